//! The `Content-Digest` header (RFC 9530): what a client says of the bytes it sends, and whether it is true.
//!
//! `sha-256` and `crc32c` are checked. A crc32c is four bytes, the most significant first. Other algorithms
//! are ignored, as the RFC asks; a header that cannot be read is refused, since somebody wanted a check.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest as _, Sha256};

/// RFC 9651 has senders pad byte sequences and lets receivers take them unpadded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The digests that a request gives for its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// CRC-32C.
    pub crc32c: Option<u32>,
}

impl Expected {
    /// Reads all `Content-Digest` headers of a request.
    ///
    /// # Errors
    ///
    /// One sentence that says what cannot be read.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, String> {
        let mut expected = Self::default();
        for value in headers.get_all("content-digest") {
            let value = value.to_str().map_err(|_| "the Content-Digest header is not ASCII".to_owned())?;
            expected.read(value)?;
        }
        Ok(expected)
    }

    /// Reads one header's value: a dictionary of byte sequences. Where a member comes twice, the last counts.
    fn read(&mut self, value: &str) -> Result<(), String> {
        for member in value.split(',') {
            let member = member.trim_matches([' ', '\t']);
            let malformed = || {
                format!(
                    "the Content-Digest member `{member}` cannot be read: write sha-256=:BASE64: or crc32c=:BASE64:"
                )
            };
            let (name, rest) = member.split_once('=').ok_or_else(malformed)?;
            let name_is_key = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '*')
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.*".contains(c));
            let (encoded, parameters) =
                rest.strip_prefix(':').and_then(|rest| rest.split_once(':')).ok_or_else(malformed)?;
            if !name_is_key || !(parameters.is_empty() || parameters.trim_start().starts_with(';')) {
                return Err(malformed());
            }
            let bytes = BASE64.decode(encoded).map_err(|_| malformed())?;
            let length = |bytes_wanted: usize| {
                format!("the {name} digest has {} bytes, and such a digest has {bytes_wanted}", bytes.len())
            };
            match name {
                "sha-256" => self.sha256 = Some(bytes.as_slice().try_into().map_err(|_| length(32))?),
                "crc32c" => {
                    self.crc32c =
                        Some(u32::from_be_bytes(bytes.as_slice().try_into().map_err(|_| length(4))?));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The digests of a body as it comes in: only those that were asked for cost anything.
pub struct Running {
    expected: Expected,
    sha256: Sha256,
    crc32c: u32,
}

impl Running {
    /// Begins to check what `expected` names.
    #[must_use]
    pub fn new(expected: Expected) -> Self {
        Self { expected, sha256: Sha256::new(), crc32c: 0 }
    }

    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        if self.expected.sha256.is_some() {
            self.sha256.update(bytes);
        }
        if self.expected.crc32c.is_some() {
            self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        }
    }

    /// Compares.
    ///
    /// # Errors
    ///
    /// One sentence that names the digest that differs, as sent and as found.
    pub fn finish(self) -> Result<(), String> {
        let differs = |name: &str, sent: &[u8], found: &[u8]| {
            Err(format!(
                "the {name} of the body is not what Content-Digest says: sent :{}:, found :{}:",
                BASE64.encode(sent),
                BASE64.encode(found)
            ))
        };
        if let Some(sent) = self.expected.crc32c
            && sent != self.crc32c
        {
            return differs("crc32c", &sent.to_be_bytes(), &self.crc32c.to_be_bytes());
        }
        if let Some(sent) = self.expected.sha256 {
            let found: [u8; 32] = self.sha256.finalize().into();
            if sent != found {
                return differs("sha-256", &sent, &found);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The SHA-256 of `hello world`, by sha256sum.
    const HELLO_SHA256: &str = "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:";
    /// The CRC-32C of `123456789`, 0xE3069283: the check value that catalogues of CRCs give for it.
    const DIGITS_CRC32C: &str = "crc32c=:4waSgw==:";

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| ("content-digest".parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn check(values: &[&str], body: &[u8]) -> Result<(), String> {
        let mut running = Running::new(Expected::from_headers(&headers(values))?);
        body.chunks(3).for_each(|part| running.update(part));
        running.finish()
    }

    #[test]
    fn true_digests_pass_in_parts_together_and_unpadded() {
        check(&[HELLO_SHA256], b"hello world").unwrap();
        check(&[DIGITS_CRC32C], b"123456789").unwrap();
        check(&["crc32c=:4waSgw:"], b"123456789").unwrap();
        check(
            &["sha-256=:FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=:;a=1, crc32c=:4waSgw==:"],
            b"123456789",
        )
        .unwrap();
        check(&[], b"anything").unwrap();
    }

    #[test]
    fn wrong_digests_are_found_whichever_header_they_stand_in() {
        assert!(check(&[HELLO_SHA256], b"hello worlD").unwrap_err().contains("sha-256"));
        assert!(check(&[DIGITS_CRC32C], b"123456780").unwrap_err().contains("crc32c"));
        assert!(check(&[HELLO_SHA256, "crc32c=:4waSgw==:"], b"hello world").unwrap_err().contains("crc32c"));
    }

    #[test]
    fn unknown_algorithms_are_ignored_and_the_last_of_two_counts() {
        check(&["sha-512=:AAAA:, unixsum=:AA==:"], b"x").unwrap();
        check(&["crc32c=:AAAAAA==:, crc32c=:4waSgw==:"], b"123456789").unwrap();
    }

    #[test]
    fn a_header_that_cannot_be_read_is_refused() {
        for value in [
            "",
            "sha-256",
            "sha-256=abc",
            "sha-256=:abc",
            "sha-256=:!!!!:",
            "sha-256=:AAAA:",
            "crc32c=:4waSgwA=:",
            "SHA-256=:AAAA:",
            "sha-512=\"text\"",
            "crc32c=:4waSgw==:junk",
            "crc32c=:4waSgw==:,",
        ] {
            assert!(Expected::from_headers(&headers(&[value])).is_err(), "{value}");
        }
    }
}
