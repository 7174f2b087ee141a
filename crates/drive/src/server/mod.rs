//! Connections: how many, how long, and what becomes of them when the process stops.

mod connection;
mod guarded;
mod in_flight;
mod listener;
mod local_socket;
mod phase;

use std::net::SocketAddr;
use std::sync::Arc;

use imbrex_api::drive::DriveStatus;
use imbrex_engine::Handle;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

pub(crate) use self::listener::listen;
pub use self::local_socket::{LocalSocket, LocalSocketError};
use crate::app::App;
use crate::limits::Limits;
use crate::routes::Origin;

/// Serves one drive's API over any number of listeners.
pub struct Server {
    app: Arc<App>,
    stopping: watch::Sender<bool>,
    /// Held by every connection that was there before the stop: its last clone ends the wait for them.
    alive: Option<mpsc::Sender<()>>,
    ended: mpsc::Receiver<()>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
}

/// How a server came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything taken was finished and flushed.
    InOrder,
    /// The engine did not finish in time: acknowledged blocks are durable all the same.
    Unfinished,
}

impl Server {
    /// A server of `engine`, whose drive the node calls `id`. `blocks_max` is what a format order asks for where
    /// it does not say.
    #[must_use]
    pub fn new(engine: Handle, limits: Limits, id: String, blocks_max: Option<u64>) -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self {
            app: App::new(engine, limits, id, blocks_max),
            stopping: watch::Sender::new(false),
            alive: Some(alive),
            ended,
            listeners: Vec::new(),
        }
    }

    /// The drive's status.
    #[must_use]
    pub fn status(&self) -> DriveStatus {
        self.app.drive_status()
    }

    /// Serves the data API over TCP. The first such listener is the drive's data address.
    pub fn serve_network(&mut self, listener: TcpListener) {
        if let Ok(address) = listener.local_addr() {
            self.app.set_data_address(address);
        }
        self.spawn(listener, Origin::Network, self.app.limits.connections_max);
    }

    /// Serves the data API and its order over the Unix socket.
    pub fn serve_local(&mut self, listener: UnixListener) {
        self.spawn(listener, Origin::Local, self.app.limits.connections_local_max);
    }

    /// Where the data API listens, if it does.
    #[must_use]
    pub fn data_address(&self) -> Option<SocketAddr> {
        self.status().data_address.and_then(|address| address.parse().ok())
    }

    fn spawn(&mut self, listener: impl listener::Listener, origin: Origin, connections_max: usize) {
        let Some(alive) = self.alive.clone() else {
            return;
        };
        let serving = listener::Serving {
            app: Arc::clone(&self.app),
            origin,
            stopping: self.stopping.subscribe(),
            alive: alive.downgrade(),
        };
        self.listeners.push(tokio::spawn(listener::accept(listener, serving, connections_max)));
    }

    /// Stops in order: new work is refused, what is in flight is finished, the drive is flushed.
    ///
    /// Takes at most [`Limits::drain_time_max`] and [`Limits::flush_time_max`] together.
    pub async fn stop(mut self) -> Stopped {
        self.app.drain();
        self.stopping.send_replace(true);
        self.alive = None;
        let limits = self.app.limits.clone();
        // Nothing is ever sent: the channel ends with the last connection that holds it.
        if tokio::time::timeout(limits.drain_time_max, self.ended.recv()).await.is_err() {
            warn!(
                "requests were still in flight after {} s: they are cut off",
                limits.drain_time_max.as_secs()
            );
        }
        let flushed = tokio::time::timeout(limits.flush_time_max, self.app.engine.stop()).await;
        for listener in &self.listeners {
            listener.abort();
        }
        match flushed {
            Ok(()) => {
                info!("stopped: all that was taken is on the drive");
                Stopped::InOrder
            }
            Err(_) => {
                warn!("the drive did not finish within {} s", limits.flush_time_max.as_secs());
                Stopped::Unfinished
            }
        }
    }
}
