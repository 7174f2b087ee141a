//! The key of a block: the SHA-256 of its bytes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a key.
const DIGITS: usize = 64;

/// 32 bytes that name a block and prove its content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key of a block that holds `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes themselves.
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The value of a `Content-Digest` header (RFC 9530) for the block's bytes.
    pub(crate) fn content_digest(&self) -> String {
        format!("sha-256=:{}:", STANDARD.encode(self.0))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim().as_bytes();
        if digits.len() != DIGITS {
            return Err(format!("a key has {DIGITS} hexadecimal digits, and this has {}", digits.len()));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_pair(pair).ok_or_else(|| {
                let shown = String::from_utf8_lossy(pair);
                format!("a key has hexadecimal digits only, and this has {shown:?}")
            })?;
        }
        Ok(Self(bytes))
    }
}

/// The byte that two hexadecimal digits stand for.
pub(crate) fn hex_pair(pair: &[u8]) -> Option<u8> {
    let [high, low] = pair else { return None };
    Some(hex_digit(*high)? << 4 | hex_digit(*low)?)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_key_is_the_sha_256_of_the_bytes() {
        assert_eq!(Key::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Key>(), Ok(Key::of(b"")));
    }

    #[test]
    fn the_content_digest_is_base64_between_colons() {
        assert_eq!(Key::of(b"").content_digest(), "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
    }

    #[test]
    fn a_key_of_63_digits_or_with_another_letter_is_refused_with_the_reason() {
        assert_eq!(
            EMPTY[1..].parse::<Key>().unwrap_err(),
            "a key has 64 hexadecimal digits, and this has 63"
        );
        let wrong = EMPTY.replacen('e', "x", 1);
        assert_eq!(
            wrong.parse::<Key>().unwrap_err(),
            "a key has hexadecimal digits only, and this has \"x3\""
        );
    }
}
