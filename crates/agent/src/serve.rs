//! Brings the agent up, keeps it up, and takes it down in order.

use std::sync::Arc;
use std::time::Duration;

use smartctl_parser::{Smartctl, SmartctlProgram};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::certificate::Certificate;
use crate::enclosure::Enclosures;
use crate::file;
use crate::health::{self, Book, LoadedNotes, engine_watch, kernel_log, notes_file, saved};
use crate::init_client::InitClient;
use crate::inventory::Inventory;
use crate::next_kernel::NextKernel;
use crate::options::ServeOptions;
use crate::readiness;
use crate::routes::{self, Agent};
use crate::server::Server;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
///
/// One sentence on why the agent could not come up.
pub(crate) async fn run(options: &ServeOptions) -> Result<(), String> {
    let run_dir = &options.run_dir;
    std::fs::create_dir_all(run_dir)
        .map_err(|error| format!("{} cannot be made: {error}", run_dir.display()))?;
    let certificate =
        Certificate::generate().map_err(|error| format!("no certificate could be made: {error}"))?;
    let fingerprint = certificate.fingerprint.clone();
    let server = Server::bind(options.listen, &run_dir.join("agent.sock"), certificate).await?;
    let address =
        server.address().map_err(|error| format!("the address of the listener is not known: {error}"))?;
    let fingerprint_file = run_dir.join("agent.fingerprint");
    file::write_whole(&fingerprint_file, format!("{fingerprint}\n").as_bytes())
        .map_err(|error| format!("{} cannot be written: {error}", fingerprint_file.display()))?;

    let notes = LoadedNotes::load(&options.firmware_notes);
    notes.tell();
    let book = Arc::new(Book::new(notes, &options.procfs));
    let state_dir = options.state_dir.as_ref().unwrap_or(run_dir);
    let (histories, slots) = (state_dir.join("health.jsonl"), state_dir.join("slots.json"));
    saved::restore(&book, &histories);
    let smartctl: Arc<dyn Smartctl> = Arc::new(SmartctlProgram::new(&options.smartctl));
    let deadline = Duration::from_millis(options.ask_deadline_ms);
    let init = InitClient::new(&run_dir.join("init.sock"), deadline);
    let agent = Arc::new(Agent {
        inventory: Inventory::new(options, init.clone(), Arc::clone(&book)),
        init,
        fingerprint: fingerprint.clone(),
        configuration: run_dir.join("node.toml"),
        enclosures: Enclosures::new(&options.sysfs).kept_in(slots),
        procfs: options.procfs.clone(),
        book: Arc::clone(&book),
        smartctl: Arc::clone(&smartctl),
        next_kernel: NextKernel::new(&options.helper, &options.next_dir),
    });
    let (stop, stopped) = watch::channel(false);
    let stopping = signals().map_err(|error| format!("signals cannot be received: {error}"))?;
    let mut watches = JoinSet::new();
    watches.spawn({
        let agent = Arc::clone(&agent);
        async move { agent.inventory.keep_surveying(|survey| agent.enclosures.remember(survey)).await }
    });
    watches.spawn(health::run(Arc::clone(&book), smartctl, deadline));
    watches.spawn(notes_file::run(Arc::clone(&book), options.firmware_notes.clone()));
    watches.spawn(engine_watch::run(Arc::clone(&book), Arc::clone(&agent), deadline));
    watches.spawn({
        let (kmsg, procfs) = (options.kmsg.clone(), options.procfs.clone());
        let book = Arc::clone(&book);
        async move { kernel_log::run(book, &kmsg, &procfs).await }
    });
    let savings = tokio::spawn({
        let (book, histories) = (Arc::clone(&book), histories.clone());
        async move { saved::run(book, &histories).await }
    });
    let serving = tokio::spawn(server.run(routes::router(agent), stopped));

    println!("imbrex-agent ready: https://{address} certificate SHA-256 {fingerprint}");
    if let Err(error) = readiness::announce() {
        tracing::warn!("init could not be told that the agent is ready: {error}");
    }
    let broken = tokio::select! {
        () = stopping => None,
        error = first_broken(&mut watches) => Some(error),
    };
    tracing::info!("stopping");
    watches.abort_all();
    savings.abort();
    // Two must not write the same file: this one has ended, or was cut off.
    savings.await.ok();
    saved::save(&book, &histories).await;
    stop.send_replace(true);
    serving.await.map_err(|error| format!("the server ended badly: {error}"))?;
    broken.map_or(Ok(()), |error| Err(format!("a watch over the drives broke off: {error}")))
}

/// Ends with the first that breaks off. What goes on without it would tell of old data for ever: init starts the agent anew.
/// One that ends in order (of a kernel whose log cannot be read) is missed by nobody.
async fn first_broken(watches: &mut JoinSet<()>) -> JoinError {
    loop {
        match watches.join_next().await {
            Some(Err(error)) => return error,
            Some(Ok(())) => {}
            None => std::future::pending().await,
        }
    }
}

/// Ends with the first SIGTERM or SIGINT.
fn signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watch_that_breaks_off_is_noticed_and_one_that_ends_is_not() {
        let mut watches = JoinSet::new();
        watches.spawn(async {});
        watches.spawn(std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(50), first_broken(&mut watches)).await.is_err());
        watches.spawn(async { panic!("a defect") });
        assert!(first_broken(&mut watches).await.is_panic());
    }
}
