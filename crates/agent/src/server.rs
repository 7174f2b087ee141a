//! The two ways in: HTTPS on a TCP port, and the same without TLS on a Unix socket.
//!
//! Each has connections of its own to give, so that a flood from the network does not lock out the
//! person on the console. Every wait has an end: the handshake, the head of a request, an idle
//! connection, a request, a whole connection.

mod connection;
mod listener;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;

/// Connections over TCP at a time; further ones wait in the kernel.
const TCP_CONNECTIONS_MAX: usize = 256;

/// Connections over the Unix socket at a time.
const UNIX_CONNECTIONS_MAX: usize = 64;

/// When the agent stops, requests that were begun have this long to end.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Both listeners, bound and not yet serving.
pub(crate) struct Server {
    tcp: TcpListener,
    tls: TlsAcceptor,
    unix: UnixListener,
    unix_path: PathBuf,
}

impl Server {
    /// Binds both.
    ///
    /// # Errors
    ///
    /// One sentence: an address that is in use or not ours, a directory that cannot be written, another
    /// agent that serves on the same Unix socket.
    pub(crate) async fn bind(
        address: SocketAddr,
        unix_path: &Path,
        certificate: Certificate,
    ) -> Result<Self, String> {
        let tls = tls::acceptor(certificate).map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let tcp = listener::bind_tcp(address).await.map_err(|error| {
            format!("cannot listen on {address}: {error}; give another address by --listen")
        })?;
        let unix = listener::bind_unix(unix_path).await?;
        Ok(Self { tcp, tls, unix, unix_path: unix_path.to_owned() })
    }

    /// The address of the TCP listener, with its real port.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves `router` until `stop` changes, then lets the requests that were begun end, at most
    /// [`STOP_GRACE`].
    pub(crate) async fn run(self, router: Router, stop: watch::Receiver<bool>) {
        let tls = Arc::new(self.tls);
        let tcp = listener::serve(TCP_CONNECTIONS_MAX, stop.clone(), {
            let (listener, router, stop) = (self.tcp, router.clone(), stop.clone());
            async move || {
                let (stream, _) = listener.accept().await?;
                Ok(connection::serve_tls(stream, Arc::clone(&tls), router.clone(), stop.clone()))
            }
        });
        let unix = listener::serve(UNIX_CONNECTIONS_MAX, stop.clone(), {
            let listener = self.unix;
            async move || {
                let (stream, _) = listener.accept().await?;
                Ok(connection::serve(stream, router.clone(), stop.clone()))
            }
        });
        tokio::join!(tcp, unix);
        // The next agent would find out that nobody listens; this only leaves things tidy.
        std::fs::remove_file(&self.unix_path).ok();
    }
}
