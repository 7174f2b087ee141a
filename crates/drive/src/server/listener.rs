//! Accepting connections, as many as the limits allow.

use std::future::Future;
use std::io;
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
