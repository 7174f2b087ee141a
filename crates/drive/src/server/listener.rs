//! Accepting connections, as many as the limits allow.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::warn;

use super::connection::{Treatment, serve_connection};
use crate::app::App;
use crate::metrics::Figures;
use crate::routes::{Origin, router};

/// How long to wait after `accept` failed, for lack of descriptors as a rule, before it is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a connection's service needs.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) app: Arc<App>,
    pub(super) origin: Origin,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) alive: mpsc::WeakSender<()>,
}

/// What both kinds of listener can do.
pub(super) trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Listens on a TCP address. `[::]` is every address of the machine: IPv4 too, as ipv6(7) has it where nobody sets
/// `IPV6_V6ONLY`, and IPv4 alone where the kernel has no IPv6.
///
/// # Errors
///
/// Those of the operating system.
pub(crate) async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) => match without_ipv6(address, &error) {
            Some(other) => TcpListener::bind(other).await,
            None => Err(error),
        },
        listener => listener,
    }
}

/// What to listen on instead, where the kernel has no IPv6 (`ipv6.disable=1`) and every address is meant.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    // socket(2): EAFNOSUPPORT, 97 on every architecture that the image is built for.
    let missing = address.ip() == Ipv6Addr::UNSPECIFIED && error.raw_os_error() == Some(97);
    missing.then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Answers are written whole: waiting for more to send would only delay them.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Serves connections until the task is aborted: at most `connections_max` at once, and a few more that are told
/// to come back later.
pub(super) async fn accept(listener: impl Listener, serving: Serving, connections_max: usize) {
    let places = Arc::new(Semaphore::new(connections_max));
    let refusals = Arc::new(Semaphore::new(serving.app.limits.connections_refused_max));
    let router = router(Arc::clone(&serving.app), serving.origin);
    loop {
        let stream = match listener.next().await {
            Ok(stream) => stream,
            Err(error) => {
                warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (place, treatment) = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => (place, Treatment::Serve),
            Err(_) => {
                Figures::count(&serving.app.figures.connections_refused);
                match Arc::clone(&refusals).try_acquire_owned() {
                    Ok(place) => (place, Treatment::Refuse),
                    Err(_) => continue,
                }
            }
        };
        let (serving, router) = (serving.clone(), router.clone());
        tokio::spawn(async move {
            serve_connection(stream, serving, router, treatment).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_kernel_has_no_ipv6_every_address_is_those_of_ipv4() {
        let all = "[::]:7500".parse().unwrap();
        let missing = io::Error::from_raw_os_error(97);
        assert_eq!(without_ipv6(all, &missing), Some("0.0.0.0:7500".parse().unwrap()));
        assert_eq!(without_ipv6(all, &io::ErrorKind::AddrInUse.into()), None);
        assert_eq!(without_ipv6("[2001:db8::1]:7500".parse().unwrap(), &missing), None);
    }

    #[tokio::test]
    async fn every_address_is_reached_by_ipv4_and_by_ipv6() {
        let listener = listen("[::]:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let hosts = ["127.0.0.1", "::1"].map(|host| host.parse::<std::net::IpAddr>().unwrap());
        // The kernel may have IPv6, and the interface none: `net.ipv6.conf.lo.disable_ipv6`.
        let has = |host: &std::net::IpAddr| std::net::TcpListener::bind((*host, 0)).is_ok();
        for host in hosts.into_iter().filter(|host| host.is_ipv4() || address.is_ipv6() && has(host)) {
            TcpStream::connect((host, address.port())).await.unwrap();
        }
    }
}
