//! A drive served within the test's process: a simulated drive, its engine, and its server on a thread.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use imbrex_drive::limits::{ENGINE_BYTES, Limits};
use imbrex_drive::server::{LocalSocket, Server, Stopped};
use imbrex_engine::{FormatOrder, Handle, Options, Replace, State};
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedDrive, SimulatedGeometry};
use tokio::sync::oneshot;

use super::http::{Answer, Client};

/// What a test may want otherwise.
pub struct Setup {
    pub geometry: SimulatedGeometry,
    pub pool_bytes: usize,
    pub limits: Limits,
    pub engine: Options,
    pub format: bool,
    pub blocks_max: Option<u64>,
    /// A drive in this file instead of one in memory; made where there is none.
    pub file: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            geometry: geometry(16, 32 << 20),
            pool_bytes: ENGINE_BYTES + (64 << 20),
            limits: quick_limits(),
            engine: Options::default(),
            format: true,
            blocks_max: Some(10_000),
            file: None,
        }
    }
}

/// A drive of `zone_count` zones, two of them for labels.
pub fn geometry(zone_count: u32, zone_size_bytes: u64) -> SimulatedGeometry {
    SimulatedGeometry {
        zone_count,
        zone_size_bytes,
        zone_capacity_bytes: zone_size_bytes,
        ..SimulatedGeometry::default()
    }
}

/// Limits that are reached within a test's patience.
pub fn quick_limits() -> Limits {
    Limits {
        waiting_time_max: Duration::from_millis(200),
        head_time_max: Duration::from_millis(400),
        idle_time_max: Duration::from_secs(20),
        stall_time_max: Duration::from_millis(700),
        linger_time_max: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// A drive being served.
pub struct Node {
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub drive: SimulatedDrive,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Stopped>>,
    _directory: tempfile::TempDir,
}

impl Node {
    pub fn start(setup: Setup) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("drive.sock");
        let (stop, stopped) = oneshot::channel();
        let (started, start) = mpsc::channel();
        let socket_path = socket.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let (mut server, drive) = serve(setup).await;
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                server.serve_network(listener);
                let (_socket, local) = LocalSocket::bind(&socket_path).unwrap();
                server.serve_local(local);
                started.send((address, drive)).unwrap();
                let _ = stopped.await;
                server.stop().await
            })
        });
        let (address, drive) = start.recv().expect("the node did not start");
        Self { address, socket, drive, stop: Some(stop), thread: Some(thread), _directory: directory }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    pub fn get_json(&self, path: &str) -> serde_json::Value {
        let answer = self.client().get(path).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub fn put(&self, path: &str, body: &[u8]) -> Answer {
        self.client().put(path, body).unwrap()
    }

    /// Begins the orderly stop without waiting for its end.
    pub fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the end of the stop.
    pub fn wait(mut self) -> Stopped {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap()
    }
}

/// An engine over the drive that `setup` describes, mounted, and its server.
async fn serve(setup: Setup) -> (Server, SimulatedDrive) {
    let pool = BufferPool::new(setup.pool_bytes).unwrap();
    let device = open(&setup, pool);
    let drive = device.drive();
    let engine = Handle::start(Box::new(device), &setup.engine).unwrap();
    while engine.status().state == State::Mounting {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if setup.format && engine.status().state == State::Unformatted {
        let serial = engine.identity().serial.clone().unwrap();
        let order = FormatOrder { serial, replace: Replace::Nothing, blocks_max: setup.blocks_max };
        engine.format(order).await.unwrap();
    }
    (Server::new(engine, setup.limits, "test-drive".to_owned(), setup.blocks_max), drive)
}

fn open(setup: &Setup, pool: BufferPool) -> SimulatedDevice {
    match &setup.file {
        None => SimulatedDevice::in_memory(setup.geometry.clone(), pool).unwrap(),
        Some(path) if Path::exists(path) => SimulatedDevice::open(path, pool).unwrap(),
        Some(path) => SimulatedDevice::create(path, setup.geometry.clone(), pool).unwrap(),
    }
}

/// Waits until `condition` holds, and fails where it does not within ten seconds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never came about that {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
