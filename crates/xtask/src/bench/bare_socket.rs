//! What the sockets alone cost whoever serves over loopback: the same bytes over as many connections, and nothing done with
//! them. No program that takes its blocks over TCP can cost less.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::time::{ClockId, clock_gettime};

/// The pieces in which the serving side takes and sends: those of imbrex-drive.
const TAKEN_BYTES: usize = 128 << 10;
const SENT_BYTES: usize = 256 << 10;
/// How long one piece may take.
const PIECE_TIME_MAX: Duration = Duration::from_secs(20);

/// CPU seconds of the serving side for each GB.
#[derive(Clone, Copy, Debug)]
pub struct SocketCost {
    /// That clients send.
    pub taken: f64,
    /// That clients are sent.
    pub sent: f64,
}

/// Sends `bytes` in each direction over `connections` connections.
///
/// # Errors
/// Where a socket fails.
pub fn cost(connections: u64, bytes: u64) -> Result<SocketCost> {
    let each = bytes / connections.max(1);
    let measure = |serve: fn(TcpStream, u64) -> Result<()>, client: fn(TcpStream, u64) -> Result<()>| {
        let cpu = std::thread::scope(|scope| {
            let pairs: Vec<_> = (0..connections)
                .map(|_| {
                    let (server_end, client_end) = pair()?;
                    let served = scope.spawn(move || {
                        let before = thread_cpu()?;
                        serve(server_end, each)?;
                        Ok(thread_cpu()?.saturating_sub(before))
                    });
                    Ok((served, scope.spawn(move || client(client_end, each))))
                })
                .collect::<Result<_>>()?;
            pairs
                .into_iter()
                .map(|(served, client)| {
                    joined(client.join())?;
                    joined(served.join())
                })
                .sum::<Result<Duration>>()
        })?;
        #[expect(clippy::cast_precision_loss, reason = "some GB")]
        let gb = (each * connections) as f64 / 1e9;
        Ok::<f64, anyhow::Error>(cpu.as_secs_f64() / gb)
    };
    Ok(SocketCost {
        taken: measure(|stream, bytes| take(stream, bytes, TAKEN_BYTES), send)?,
        sent: measure(send, |stream, bytes| take(stream, bytes, SENT_BYTES))?,
    })
}

fn joined<T>(outcome: std::thread::Result<Result<T>>) -> Result<T> {
    outcome.unwrap_or_else(|_| bail!("a thread panicked"))
}

/// Both ends of a connection over loopback.
fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    let client_end = TcpStream::connect(listener.local_addr()?)?;
    let (server_end, _) = listener.accept()?;
    for end in [&client_end, &server_end] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(PIECE_TIME_MAX))?;
        end.set_write_timeout(Some(PIECE_TIME_MAX))?;
    }
    Ok((server_end, client_end))
}

fn take(mut stream: TcpStream, bytes: u64, piece_bytes: usize) -> Result<()> {
    let mut piece = vec![0; piece_bytes];
    let mut left = bytes;
    while left > 0 {
        let count = stream.read(&mut piece).context("a piece could not be taken")?;
        ensure!(count > 0, "a connection ended {left} bytes early");
        left = left.saturating_sub(count as u64);
    }
    Ok(())
}

fn send(mut stream: TcpStream, bytes: u64) -> Result<()> {
    let piece = vec![0x5a; SENT_BYTES];
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(SENT_BYTES);
        stream.write_all(&piece[..count]).context("a piece could not be sent")?;
        left -= count as u64;
    }
    Ok(())
}

/// User and system time of this thread.
fn thread_cpu() -> Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).context("the thread has no clock")
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn a_socket_costs_something_in_either_direction() {
        let cost = cost(2, 64 << 20).unwrap();
        assert!(cost.taken > 0.0 && cost.sent > 0.0, "{cost:?}");
    }
}
