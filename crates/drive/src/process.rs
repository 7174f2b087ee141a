//! The life of the process: listen, open, mount, serve, stop.

use std::io::Write as _;
use std::time::Duration;

use imbrex_engine::{FormatOrder, Handle, Replace, State, tables_bytes};
use imbrex_zoned::BufferPool;
use tracing::{info, warn};

use crate::failure::Failure;
use crate::limits::Limits;
use crate::opening::{Opened, open_drive};
use crate::options::Options;
use crate::ready::{ready_line, tell_init};
use crate::reserve::{take_at_start, take_for_next_thread};
use crate::server::{LocalSocket, Server, Stopped, listen};
use crate::shutdown::StopSignals;

/// What the process takes besides, in bytes: 4 MiB of code, stacks and runtime, what the heap of the engine's thread has
/// beyond the lists in it, for answers on their way and for what lies between them (measured: 7 to 8 MiB under the load of
/// `tests/memory_stays_within_three_percent_of_what_was_printed.rs`), and what lies between the connections' buffers.
const PROCESS_BYTES: u64 = 15 << 20;
/// How far the heap of this thread is grown at start beyond the connections' buffers, in bytes.
const HTTP_HEAP_BYTES: usize = 3 << 20;
/// How far the heap of the engine's thread is grown at start, in bytes: to hold all that but code, beside its lists and the
/// engine's tables of entries, which come out of that heap where zones are large.
const ENGINE_HEAP_BYTES: usize = 12 << 20;

/// How often the engine is asked whether it has mounted its drive.
const MOUNT_PAUSE: Duration = Duration::from_millis(2);

/// Serves the drive that `options` name until SIGTERM or SIGINT.
///
/// # Errors
///
/// One of [`Failure`].
pub async fn run(options: Options) -> Result<(), Failure> {
    let system = |operation| move |source| Failure::System { operation, source };
    let mut signals = StopSignals::take().map_err(system("taking over the signals"))?;
    // Both addresses are taken before the drive is touched: where they cannot be, nothing has happened.
    let network = match options.listen {
        Some(address) => Some(listen(address).await.map_err(|source| Failure::Listen { address, source })?),
        None => None,
    };
    let local = options.socket.as_deref().map(LocalSocket::bind).transpose().map_err(Failure::Socket)?;

    let limits = Limits::default();
    take_at_start(limits.connections_bytes_max() + HTTP_HEAP_BYTES);
    let pool_bytes = usize::try_from(options.memory).unwrap_or(usize::MAX);
    let pool = BufferPool::new(pool_bytes).map_err(system("taking the memory for the buffers"))?;
    let Opened { device, format_if_empty } = open_drive(&options, pool)?;
    let lists_bytes = limits.lists_bytes_max(device.geometry().zone_count);
    take_for_next_thread(ENGINE_HEAP_BYTES + lists_bytes + tables_bytes(device.geometry()));
    let engine = Handle::start(device, &options.engine()).map_err(system("starting the engine"))?;
    let id = options.id.clone().unwrap_or_else(|| engine.identity().id());
    let mut server = Server::new(engine.clone(), limits.clone(), id, options.blocks_max);
    // Whoever starts a simulated drive by hand asks it at once: connections wait for the moment that its mount takes. A
    // real drive answers from the start, since its mount can take long.
    let mut network = network;
    if options.drive.simulated.is_none() {
        network.take().into_iter().for_each(|listener| server.serve_network(listener));
    }
    // Its file goes when this function ends.
    let _socket = local.map(|(socket, listener)| {
        server.serve_local(listener);
        socket
    });

    let signal = tokio::select! {
        mounted = mount(&engine, &options, format_if_empty) => {
            mounted?;
            network.take().into_iter().for_each(|listener| server.serve_network(listener));
            announce(&server, &engine, &options, &limits);
            signals.came().await
        }
        signal = signals.came() => signal,
    };
    info!("{signal}: no more work is taken");
    match server.stop().await {
        Stopped::InOrder => Ok(()),
        Stopped::Unfinished => Err(Failure::Unfinished),
    }
}

/// Waits until the engine knows what is on the drive, and formats a simulated one on which nothing is.
async fn mount(engine: &Handle, options: &Options, format_if_empty: bool) -> Result<(), Failure> {
    while engine.status().state == State::Mounting {
        tokio::time::sleep(MOUNT_PAUSE).await;
    }
    if format_if_empty && engine.status().state == State::Unformatted {
        let identity = engine.identity();
        let order = FormatOrder {
            serial: identity.serial.clone().unwrap_or_else(|| identity.id()),
            replace: Replace::Nothing,
            blocks_max: options.blocks_max,
        };
        engine.format(order).await.map_err(Failure::Format)?;
    }
    Ok(())
}

/// Says what memory is taken, and that the drive is served.
fn announce(server: &Server, engine: &Handle, options: &Options, limits: &Limits) {
    let status = server.status();
    let memory = engine
        .status()
        .memory
        .clone()
        .with("connections", limits.connections_bytes_max() as u64)
        .with("lists", limits.lists_bytes_max(engine.geometry().zone_count) as u64)
        .with("code, stacks and heaps", PROCESS_BYTES);
    info!("memory, taken at start and kept to under any load:\n{memory}");
    if let Some(reason) = &status.state_reason {
        warn!("the drive is {}: {reason}", status.state.as_str());
    }
    let socket = options.socket.as_deref().map(|path| path.display().to_string());
    // A reader that has gone does not keep the drive from being served.
    let _ = writeln!(std::io::stdout(), "{}", ready_line(&status, socket.as_deref()));
    if let Err(error) = tell_init() {
        warn!("init could not be told that the drive is ready: {error}");
    }
}
