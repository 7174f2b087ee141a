//! A collector of logs on the loopback, to which a node sends its lines: by RFC 5424 in the frames of RFC 6587, 3.4.1,
//! or as one JSON object a line. It keeps every byte, and hangs up when it is told to.

use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// More than a node says in a test, in bytes; what comes beyond is not kept.
const BYTES_MAX: usize = 64 << 20;

/// How its lines are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// RFC 5424, each message with its length before it.
    Syslog,
    /// One JSON object a line.
    Json,
}

/// One line of a service's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was said, as the node writes it.
    pub time: String,
    /// The node's name.
    pub host: String,
    /// The service.
    pub service: String,
    /// What it said.
    pub text: String,
}

/// What came over each connection, and the one that is open.
#[derive(Debug, Default)]
struct Received {
    connections: Vec<Vec<u8>>,
    open: Option<TcpStream>,
}

/// A collector that listens; it ends when this is dropped.
#[derive(Debug)]
pub struct Collector {
    layout: Layout,
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// Where there is none.
    pub fn listen(layout: Layout) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
        let address = listener.local_addr().context("cannot tell the port")?;
        let received = Arc::new(Mutex::new(Received::default()));
        let stopping = Arc::new(AtomicBool::new(false));
        let (kept, seen) = (Arc::clone(&received), Arc::clone(&stopping));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                take(stream, &kept);
            }
        });
        Ok(Self { layout, address, received, stopping, thread: Some(thread) })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Hangs up on the node, as a collector does that is started again: what it sent before has been read.
    pub fn hang_up(&self) {
        if let Some(stream) = lock(&self.received).open.take() {
            // One that has gone by itself needs no hanging up.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.received).connections.len()
    }

    /// The lines that have come so far, in their order; one that is under way is left out.
    ///
    /// # Errors
    /// Where something is not laid out as the standard wants it.
    pub fn lines(&self) -> Result<Vec<Line>> {
        let connections = lock(&self.received).connections.clone();
        let lines = connections.iter().map(|bytes| match self.layout {
            Layout::Syslog => syslog_lines(bytes),
            Layout::Json => json_lines(bytes),
        });
        Ok(lines.collect::<Result<Vec<_>>>()?.concat())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.hang_up();
        // Wakes the thread out of its wait; one that has ended already needs no waking.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(received: &Mutex<Received>) -> MutexGuard<'_, Received> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what comes until the connection ends.
fn take(mut stream: TcpStream, received: &Mutex<Received>) {
    let number = {
        let mut received = lock(received);
        received.open = stream.try_clone().ok();
        received.connections.push(Vec::new());
        received.connections.len() - 1
    };
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let kept = &mut lock(received).connections[number];
        if kept.len() + length <= BYTES_MAX {
            kept.extend_from_slice(&buffer[..length]);
        }
    }
}

/// Messages with their lengths before them (RFC 6587, 3.4.1).
fn syslog_lines(mut bytes: &[u8]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&bytes[..space])?;
        let length: usize =
            length.parse().with_context(|| format!("{length:?} is no length of a message"))?;
        let Some(message) = bytes.get(space + 1..space + 1 + length) else { break };
        lines.push(syslog_line(std::str::from_utf8(message)?)?);
        bytes = &bytes[space + 1 + length..];
    }
    Ok(lines)
}

/// `<30>1 TIME HOST APP-NAME PROCID - - MESSAGE` (RFC 5424, 6): facility 3, severity 6, no structured data.
fn syslog_line(message: &str) -> Result<Line> {
    let words: Vec<&str> = message.splitn(8, ' ').collect();
    let [head, time, host, _, service, id, data, text] = words.as_slice() else {
        anyhow::bail!("{message:?} has not the fields of a message");
    };
    ensure!(*head == "<30>1" && *id == "-" && *data == "-", "{message:?} has another head");
    let word = |word: &str| word.to_owned();
    Ok(Line { time: word(time), host: word(host), service: word(service), text: word(text) })
}

fn json_lines(bytes: &[u8]) -> Result<Vec<Line>> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = std::str::from_utf8(&bytes[..whole])?.lines().map(|line| {
        let object: Value = serde_json::from_str(line).with_context(|| format!("{line:?} is no JSON"))?;
        let text = |key: &str| {
            let text = object[key].as_str().with_context(|| format!("{line:?} has no {key}"))?;
            anyhow::Ok(text.to_owned())
        };
        Ok(Line {
            time: text("timestamp")?,
            host: text("host")?,
            service: text("service")?,
            text: text("message")?,
        })
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;
    use xtask::command::until;

    #[test]
    fn messages_are_read_by_their_lengths_and_one_under_way_is_left_out() {
        let lines = syslog_lines(b"31 <30>1 t h drive drive@x - - a b31 <30>1 t h drive drive@x -").unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].service.as_str(), lines[0].text.as_str()), ("drive@x", "a b"));
        assert!(syslog_lines(b"x <30>1 t").is_err());
        assert!(syslog_lines(b"9 <30>1 t h").is_err());
    }

    #[test]
    fn what_comes_after_it_has_hung_up_is_another_connection() {
        let collector = Collector::listen(Layout::Json).unwrap();
        for text in ["one", "two"] {
            let mut stream = TcpStream::connect(collector.address).unwrap();
            let object = serde_json::json!({"timestamp": "t", "host": "h", "service": "s", "message": text});
            stream.write_all(format!("{object}\n{{").as_bytes()).unwrap();
            let came = || collector.lines().unwrap().iter().any(|line| line.text == text).then_some(());
            until(Duration::from_secs(30), came).unwrap();
            collector.hang_up();
            assert!(!matches!(stream.read(&mut [0; 8]), Ok(1..)));
        }
        assert_eq!(collector.connections(), 2);
    }
}
