//! A server of a few fixed files on the loopback: where a guest takes its configuration from.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

/// How long a client may take over its request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// Lines of a request's head that are read.
const LINES_MAX: usize = 100;

/// The files by their paths; each is kept for as long as a client fetches it.
type Files = Arc<Mutex<BTreeMap<String, Arc<[u8]>>>>;

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct HttpFiles {
    address: SocketAddr,
    files: Files,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpFiles {
    /// Serves the files, by their path with its slash, on a free port of the loopback.
    ///
    /// # Errors
    /// Where there is no free port.
    pub fn serve(files: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        Self::serve_on(Ipv4Addr::LOCALHOST.into(), files)
    }

    /// The same on a free port of this address.
    ///
    /// # Errors
    /// Where there is none, or the machine has no such address.
    pub fn serve_on(address: IpAddr, files: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let listener = TcpListener::bind((address, 0))
            .with_context(|| format!("cannot listen on a port of {address}"))?;
        let address = listener.local_addr().context("cannot tell the port of the loopback")?;
        let files = files.into_iter().map(|(path, content)| (path, content.into()));
        let files: Files = Arc::new(Mutex::new(files.collect()));
        let stopping = Arc::new(AtomicBool::new(false));
        let (seen, served) = (Arc::clone(&stopping), Arc::clone(&files));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                // A client that goes away in the middle asks again.
                let _ = stream.and_then(|stream| answer(stream, &served));
            }
        });
        Ok(Self { address, files, stopping, thread: Some(thread) })
    }

    /// Serves these bytes at that path from now on.
    pub fn set(&self, path: &str, content: Vec<u8>) {
        lock(&self.files).insert(path.to_owned(), content.into());
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for HttpFiles {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes the thread out of its wait for a client; a thread that has ended already needs no waking.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(files: &Files) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<[u8]>>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(stream: TcpStream, files: &Files) -> std::io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    stream.set_write_timeout(Some(REQUEST_TIME_MAX))?;
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    for _ in 0..LINES_MAX {
        line.clear();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let file = lock(files).get(path).cloned();
    let (status, body) = match &file {
        Some(body) => ("200 OK", &body[..]),
        None => ("404 Not Found", &b"there is no such file\n"[..]),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes())?;
    if !request.starts_with("HEAD ") {
        stream.write_all(body)?;
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::Connection;

    #[test]
    fn a_file_is_served_until_it_is_another_and_one_that_is_not_there_is_not_found() {
        let server = HttpFiles::serve(BTreeMap::from([("/a".to_owned(), b"content".to_vec())])).unwrap();
        let get = |path: &str| {
            let mut connection = Connection::open(server.address, Duration::from_secs(5)).unwrap();
            connection.request("GET", path, &[], &[]).unwrap()
        };
        assert_eq!(get("/a").text(), "content");
        server.set("/a", b"another".to_vec());
        assert_eq!(get("/a").text(), "another");
        assert_eq!(get("/b").status, 404);
    }
}
