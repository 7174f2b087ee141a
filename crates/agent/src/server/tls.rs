//! TLS 1.3 by rustls and aws-lc-rs.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{Error, ServerConfig};

use crate::certificate::Certificate;

/// An acceptor that shows `certificate`.
///
/// # Errors
///
/// The key does not fit the certificate.
pub(super) fn acceptor(certificate: Certificate) -> Result<TlsAcceptor, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der], certificate.key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // No session is resumed: the handshakes saved are few, and the memory of a node is for its drives.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
