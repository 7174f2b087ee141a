//! Accepts connections, no more than a bound at a time.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::STOP_GRACE;

/// How long to wait when the kernel gives no connection, mostly because of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts by `accept` and runs what that gives, at most `connections_max` at a time, until `stop` changes.
pub(super) async fn serve<A, C>(connections_max: usize, mut stop: watch::Receiver<bool>, accept: A)
where
    A: AsyncFn() -> io::Result<C>,
    C: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        // Where all places are taken, the next connection waits in the kernel until one is free.
        let may_accept = connections.len() < connections_max;
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(), if may_accept => match accepted {
                Ok(connection) => { connections.spawn(connection); }
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    let all_end = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, all_end).await.is_err() {
        tracing::warn!("connections that did not end in time are closed");
    }
}

/// Listens on a Unix socket at `path` that only the owner may use.
///
/// # Errors
///
/// One sentence: somebody listens there already, or the directory cannot be written.
pub(super) async fn bind_unix(path: &Path) -> Result<UnixListener, String> {
    let shown = path.display();
    if UnixStream::connect(path).await.is_ok() {
        return Err(format!(
            "another agent serves on {shown}: stop it, or give another directory by --run-dir"
        ));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("the old socket {shown} cannot be removed: {error}"));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(|error| format!("cannot listen on {shown}: {error}"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|error| format!("the permissions of {shown} cannot be set: {error}"))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_nobody_serves_is_replaced_and_one_that_is_served_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        drop(bind_unix(&path).await.unwrap());
        let _serving = bind_unix(&path).await.unwrap();
        assert!(bind_unix(&path).await.unwrap_err().contains("another agent"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
