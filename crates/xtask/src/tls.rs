//! TLS to one node, known by the fingerprint of its certificate: the system's roots are never used.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate, as upper-case pairs with colons.
pub type Fingerprint = String;

/// A stream that is encrypted and comes from the node.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects to the node with that certificate; no read or write may take longer than `time_max`.
///
/// # Errors
/// Where nobody listens, or somebody with another certificate.
pub fn connect(address: SocketAddr, fingerprint: &Fingerprint, time_max: Duration) -> Result<Stream> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Pinned { fingerprint: fingerprint.clone(), provider: Arc::clone(&provider) };
    let configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("the TLS that is built in offers no version")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    let connection = ClientConnection::new(Arc::new(configuration), name).context("cannot begin TLS")?;
    let stream = TcpStream::connect_timeout(&address, time_max)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(time_max)).context("cannot bound the answers")?;
    stream.set_write_timeout(Some(time_max)).context("cannot bound the requests")?;
    Ok(StreamOwned::new(connection, stream))
}

/// The fingerprint of a certificate.
fn fingerprint_of(certificate: &CertificateDer<'_>) -> Fingerprint {
    let pairs: Vec<String> =
        Sha256::digest(certificate.as_ref()).iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if fingerprint_of(end_entity) == self.fingerprint {
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
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
