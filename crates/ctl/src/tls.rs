//! Whom to trust: a node's certificate is self-signed, and is known by its fingerprint only.
//!
//! Invariants: the system's roots are never used; a connection is made only where the certificate is
//! the pinned one, or where the person said that any will do; the handshake's signature is verified in
//! every case, so that a certificate that was merely copied proves nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::key::hex_pair;

/// SHA-256 of a certificate in DER, shown as `SHA256:` and upper-case pairs with colons.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SHA256")?;
        self.0.iter().try_for_each(|byte| write!(formatter, ":{byte:02X}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = match text.get(..7) {
            Some(prefix) if prefix.eq_ignore_ascii_case("sha256:") => &text[7..],
            _ => text,
        };
        let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(hex_pair).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            "a fingerprint is SHA256: and 32 hexadecimal pairs with colons, as the node's console shows it"
                .to_owned()
        })
    }
}

/// Which certificates to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// None: the handshake fails, and tells what was presented.
    Nothing,
    /// Exactly this one.
    Pinned(Fingerprint),
    /// Any.
    Anything,
}

/// What the server presented last; the sentence about a refused certificate needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presented(Arc<Mutex<Option<Fingerprint>>>);

impl Presented {
    /// The certificate presented last, where there was a handshake.
    pub(crate) fn get(&self) -> Option<Fingerprint> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, fingerprint: Fingerprint) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
    }
}

/// The client's side of TLS under `trust`, and where it writes down what was presented.
///
/// # Errors
/// Where the cryptography that is built in offers no version of TLS; that is a fault of the build.
pub(crate) fn client_config(trust: Trust) -> Result<(ClientConfig, Presented), rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let presented = Presented::default();
    let verifier = Verifier { trust, presented: presented.clone(), algorithms: algorithms(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok((config, presented))
}

fn algorithms(provider: &CryptoProvider) -> WebPkiSupportedAlgorithms {
    provider.signature_verification_algorithms
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    presented: Presented,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = Fingerprint::of(end_entity);
        self.presented.set(fingerprint);
        let accepted = match self.trust {
            Trust::Nothing => false,
            Trust::Pinned(expected) => expected == fingerprint,
            Trust::Anything => true,
        };
        if accepted {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_or_without_its_name_and_in_either_case() {
        let pairs = vec!["0a"; 32].join(":");
        let expected = Fingerprint([10; 32]);
        for text in
            [format!("SHA256:{pairs}"), format!("sha256:{}", pairs.to_uppercase()), pairs.replace(':', "")]
        {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        assert_eq!(expected.to_string().parse(), Ok(expected));
    }

    #[test]
    fn a_fingerprint_of_31_pairs_or_with_other_letters_is_refused() {
        for text in [vec!["0a"; 31].join(":"), vec!["0g"; 32].join(":"), "é".repeat(40), String::new()] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
