//! The control socket: one JSON object a line in, one a line out.
//!
//! Bounded in every direction: [`CONNECTIONS_MAX`] connections, [`REQUEST_BYTES_MAX`] bytes a
//! request, one answer on its way per connection. When all connections are taken, the one that has
//! been silent longest makes room.

use serde::Deserialize;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

/// The socket's place.
pub(crate) const SOCKET: &str = "/run/imbrex/init.sock";
/// The most connections at one time.
pub(crate) const CONNECTIONS_MAX: usize = 16;
/// The longest request, in bytes, its line end included.
pub(crate) const REQUEST_BYTES_MAX: usize = 4096;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Request {
    /// Everything about the node.
    Status,
    /// The last lines of a service.
    Log {
        /// Which.
        service: String,
    },
    /// Stop a service and start it again.
    Restart {
        /// Which.
        service: String,
        /// By SIGKILL.
        #[serde(default)]
        force: bool,
    },
    /// Start a service and forget its failures.
    Start {
        /// Which.
        service: String,
    },
    /// Stop everything and power off.
    Poweroff,
    /// Stop everything and start again.
    Reboot,
}

impl Request {
    /// Reads one line, or says in one sentence what is wrong with it.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| format!("the request is not understood: {error}"))
    }
}

/// Makes the socket, which only root may use.
///
/// # Errors
/// Those of the file system.
pub(crate) fn listen() -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(SOCKET);
    let listener = UnixListener::bind(SOCKET)?;
    std::fs::set_permissions(SOCKET, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What a connection wants next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// To be answered this.
    Request(Vec<u8>),
    /// To wait for the other side.
    Wait,
    /// To be closed.
    Close,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection<S = UnixStream> {
    stream: S,
    request: Vec<u8>,
    answer: Vec<u8>,
    written: usize,
    closing: bool,
    /// When something last happened on it, in milliseconds since boot.
    pub(crate) active_ms: u64,
}

impl<S: Read + Write> Connection<S> {
    /// A new connection, whose stream does not wait.
    pub(crate) fn new(stream: S, now_ms: u64) -> Self {
        Self {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
            written: 0,
            closing: false,
            active_ms: now_ms,
        }
    }

    /// Whether an answer is still on its way: no request is read meanwhile.
    pub(crate) fn answering(&self) -> bool {
        self.written < self.answer.len()
    }

    /// Writes and reads what can be without waiting.
    pub(crate) fn advance(&mut self) -> Progress {
        match self.write() {
            Ok(true) if self.closing => Progress::Close,
            Ok(true) => self.read(),
            Ok(false) => Progress::Wait,
            Err(_) => Progress::Close,
        }
    }

    /// Answers the request. `closing`: nothing more is read afterwards.
    pub(crate) fn answer(&mut self, mut line: Vec<u8>, closing: bool) {
        line.push(b'\n');
        self.answer = line;
        self.written = 0;
        self.closing = closing;
    }

    /// Writes what fits of the answer, so that it is on its way before anything else happens.
    pub(crate) fn write_some(&mut self) {
        // What is wrong with the stream comes up again when it is read.
        let _ = self.write();
    }

    fn write(&mut self) -> io::Result<bool> {
        while self.answering() {
            match self.stream.write(&self.answer[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.written += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.answer = Vec::new();
        self.written = 0;
        Ok(true)
    }

    fn read(&mut self) -> Progress {
        let mut buffer = [0_u8; REQUEST_BYTES_MAX];
        loop {
            if let Some(end) = self.request.iter().position(|&byte| byte == b'\n') {
                let rest = self.request.split_off(end + 1);
                let line = std::mem::replace(&mut self.request, rest);
                return Progress::Request(line);
            }
            if self.request.len() >= REQUEST_BYTES_MAX {
                self.request.clear();
                let error =
                    format!(r#"{{"ok":false,"error":"a request has at most {REQUEST_BYTES_MAX} bytes"}}"#);
                self.answer(error.into_bytes(), true);
                return if matches!(self.write(), Ok(false)) { Progress::Wait } else { Progress::Close };
            }
            let room = REQUEST_BYTES_MAX - self.request.len();
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => return Progress::Close,
                Ok(length) => self.request.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Wait,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Close,
            }
        }
    }
}

impl<S: AsFd> AsFd for Connection<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (UnixStream, Connection) {
        let (client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        (client, Connection::new(server, 0))
    }

    #[test]
    fn every_request_of_the_contract_is_understood() {
        let restart = |force| Request::Restart { service: "drive@x".to_owned(), force };
        for (line, request) in [
            (r#"{"op":"status"}"#, Request::Status),
            (r#"{"op":"log","service":"drive@x"}"#, Request::Log { service: "drive@x".to_owned() }),
            (r#"{"op":"restart","service":"drive@x","force":true}"#, restart(true)),
            (r#"{"op":"restart","service":"drive@x"}"#, restart(false)),
            (r#"{"op":"start","service":"agent"}"#, Request::Start { service: "agent".to_owned() }),
            (r#"{"op":"poweroff"}"#, Request::Poweroff),
            (r#"{"op":"reboot"}"#, Request::Reboot),
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Ok(request));
        }
        for line in ["", "{}", "[]", "status", r#"{"op":"halt"}"#, r#"{"op":"log"}"#, "\u{0}"] {
            assert!(Request::parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn requests_come_one_by_one_however_they_were_cut_on_the_way() {
        let (mut client, mut connection) = pair();
        client.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(connection.advance(), Progress::Request(b"one\n".to_vec()));
        connection.answer(b"1".to_vec(), false);
        assert_eq!(connection.advance(), Progress::Request(b"two\n".to_vec()));
        assert_eq!(connection.advance(), Progress::Wait);
        client.write_all(b"ee\n").unwrap();
        assert_eq!(connection.advance(), Progress::Request(b"three\n".to_vec()));
        drop(client);
        assert_eq!(connection.advance(), Progress::Close);
    }

    #[test]
    fn a_request_without_end_is_refused_and_takes_no_more_than_its_bound() {
        let (mut client, mut connection) = pair();
        client.write_all(&[b'x'; REQUEST_BYTES_MAX * 3]).unwrap();
        assert_eq!(connection.advance(), Progress::Close);
        assert!(connection.request.capacity() <= REQUEST_BYTES_MAX * 2);
        drop(connection);
        let mut answer = vec![0; 200];
        let length = client.read(&mut answer).unwrap();
        assert!(String::from_utf8_lossy(&answer[..length]).contains("at most 4096 bytes"));
    }

    #[test]
    fn a_client_that_does_not_read_holds_up_only_itself() {
        let (mut client, mut connection) = pair();
        client.write_all(b"one\ntwo\n").unwrap();
        connection.advance();
        connection.answer(vec![b'x'; 4_000_000], false);
        assert_eq!(connection.advance(), Progress::Wait);
        assert!(connection.answering());
        #[expect(clippy::disallowed_methods, reason = "the other side of the connection, in a test")]
        let reader = std::thread::spawn(move || {
            let mut bytes = vec![0; 4_000_001];
            client.read_exact(&mut bytes).unwrap();
            client
        });
        while connection.answering() {
            if let Progress::Request(line) = connection.advance() {
                assert_eq!(line, b"two\n");
            }
        }
        drop(reader.join().unwrap());
    }
}
