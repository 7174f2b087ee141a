//! Accepts connections, no more than a bound at a time.

use std::fs;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};
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

/// Listens on a TCP address. `[::]` takes IPv4 too, as ipv6(7) has it where nobody sets `IPV6_V6ONLY`.
///
/// # Errors
///
/// Those of the operating system.
pub(super) async fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
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

    #[test]
    fn where_the_kernel_has_no_ipv6_every_address_is_those_of_ipv4() {
        let all = "[::]:7400".parse().unwrap();
        let missing = io::Error::from_raw_os_error(97);
        assert_eq!(without_ipv6(all, &missing), Some("0.0.0.0:7400".parse().unwrap()));
        assert_eq!(without_ipv6(all, &io::ErrorKind::AddrInUse.into()), None);
        assert_eq!(without_ipv6("[2001:db8::1]:7400".parse().unwrap(), &missing), None);
    }

    #[tokio::test]
    async fn every_address_is_reached_by_ipv4_and_by_ipv6() {
        let listener = bind_tcp("[::]:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let hosts = ["127.0.0.1", "::1"].map(|host| host.parse::<std::net::IpAddr>().unwrap());
        // The kernel may have IPv6, and the interface none: `net.ipv6.conf.lo.disable_ipv6`.
        let has = |host: &std::net::IpAddr| std::net::TcpListener::bind((*host, 0)).is_ok();
        for host in hosts.into_iter().filter(|host| host.is_ipv4() || address.is_ipv6() && has(host)) {
            tokio::net::TcpStream::connect((host, address.port())).await.unwrap();
        }
    }

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
