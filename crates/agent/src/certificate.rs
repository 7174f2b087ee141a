//! The certificate of the HTTPS API: made at start, self-signed, its key only in memory.
//!
//! A node keeps nothing over a boot, so neither does its identity: a client pins the fingerprint
//! that init shows on the console and that `/v1/node` repeats on the local socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, date_time_ymd};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate and its key.
pub(crate) struct Certificate {
    /// The certificate.
    pub(crate) der: CertificateDer<'static>,
    /// Its private key.
    pub(crate) key: PrivateKeyDer<'static>,
    /// SHA-256 of the certificate, as upper-case hex pairs with colons.
    pub(crate) fingerprint: String,
}

impl Certificate {
    /// Makes a new key and a certificate for it.
    ///
    /// # Errors
    ///
    /// The kernel gave no random numbers, or signing failed.
    pub(crate) fn generate() -> Result<Self, rcgen::Error> {
        let key_pair = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned(), "imbrex.local".to_owned()])?;
        for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            parameters.subject_alt_names.push(SanType::IpAddress(address));
        }
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "Imbrex node");
        // A node's clock may be wrong until it has found a time server, and the certificate lives no longer
        // than the boot: dates would refuse good clients and protect none.
        parameters.not_before = date_time_ymd(1975, 1, 1);
        parameters.not_after = date_time_ymd(4096, 1, 1);
        let certificate = parameters.self_signed(&key_pair)?;
        let der = certificate.der().clone();
        let fingerprint = fingerprint(&der);
        Ok(Self { der, key: PrivatePkcs8KeyDer::from(key_pair.serialize_der()).into(), fingerprint })
    }
}

/// SHA-256 of `bytes` as upper-case hex pairs with colons, as openssl prints it.
fn fingerprint(bytes: &[u8]) -> String {
    let pairs: Vec<String> = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_sha_256_that_openssl_prints() {
        assert!(fingerprint(b"abc").starts_with("BA:78:16:BF:8F:01:CF:EA"));
        assert_eq!(fingerprint(b"").len(), 32 * 3 - 1);
    }

    #[test]
    fn every_start_makes_another_certificate() {
        let (first, second) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        assert_ne!(first.fingerprint, second.fingerprint);
    }
}
