//! The control socket: a connection brings one JSON object on one line, takes one away, and is closed.
//!
//! Bounded in every direction: [`CONNECTIONS_MAX`] connections, [`REQUEST_BYTES_MAX`] bytes a request.
//! When all connections are taken, the one that has been silent longest makes room.

use serde::Deserialize;
use std::io::{self, Read, Write};
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
        /// Number of the first line that is wanted.
        #[serde(default)]
        from: u64,
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
    /// Stop everything and start the kernel that was loaded for it, by kexec.
    Kexec,
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

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The stream, which does not wait.
    pub(crate) stream: UnixStream,
    request: Vec<u8>,
    /// What is not written yet of the answer, once there is one.
    answer: Option<(Vec<u8>, usize)>,
    /// When something last happened on it, in milliseconds since boot.
    pub(crate) active_ms: u64,
}

impl Connection {
    /// A new connection, whose stream does not wait.
    pub(crate) fn new(stream: UnixStream, now_ms: u64) -> Self {
        Self { stream, request: Vec::new(), answer: None, active_ms: now_ms }
    }

    /// Reads what has come: the whole request, where it is there.
    ///
    /// # Errors
    /// Those of the stream; where it ended, or says more than [`REQUEST_BYTES_MAX`] without a line's end.
    pub(crate) fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = [0_u8; REQUEST_BYTES_MAX];
        let room = REQUEST_BYTES_MAX - self.request.len();
        match self.stream.read(&mut buffer[..room]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.request.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        let end = self.request.iter().position(|&byte| byte == b'\n');
        Ok(end.map(|end| self.request.drain(..=end).collect()))
    }

    /// Begins to answer.
    pub(crate) fn answer(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        self.answer = Some((line, 0));
    }

    /// Whether the answer is on its way.
    pub(crate) fn answering(&self) -> bool {
        self.answer.is_some()
    }

    /// Writes what can be written without waiting; whether that was the whole answer.
    ///
    /// # Errors
    /// Those of the stream.
    pub(crate) fn write(&mut self) -> io::Result<bool> {
        let Some((answer, written)) = &mut self.answer else { return Ok(false) };
        while *written < answer.len() {
            match self.stream.write(&answer[*written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => *written += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
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
            (r#"{"op":"log","service":"drive@x"}"#, Request::Log { service: "drive@x".to_owned(), from: 0 }),
            (r#"{"op":"restart","service":"drive@x","force":true}"#, restart(true)),
            (r#"{"op":"restart","service":"drive@x"}"#, restart(false)),
            (r#"{"op":"start","service":"agent"}"#, Request::Start { service: "agent".to_owned() }),
            (r#"{"op":"poweroff"}"#, Request::Poweroff),
            (r#"{"op":"reboot"}"#, Request::Reboot),
            (r#"{"op":"kexec"}"#, Request::Kexec),
        ] {
            assert_eq!(Request::parse(line.as_bytes()), Ok(request));
        }
        for line in ["", "{}", "[]", "status", r#"{"op":"halt"}"#, r#"{"op":"log"}"#, "\u{0}"] {
            assert!(Request::parse(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn a_request_is_read_however_it_was_cut_on_the_way_and_its_answer_arrives_whole() {
        let (mut client, mut connection) = pair();
        assert_eq!(connection.read().unwrap(), None);
        client.write_all(b"on").unwrap();
        assert_eq!(connection.read().unwrap(), None);
        client.write_all(b"e\ntwo").unwrap();
        assert_eq!(connection.read().unwrap(), Some(b"one\n".to_vec()));
        connection.answer(b"1".to_vec());
        assert!(connection.write().unwrap());
        drop(connection);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "1\n");
    }

    #[test]
    fn a_request_without_end_is_not_heard_out() {
        let (mut client, mut connection) = pair();
        client.write_all(&[b'x'; REQUEST_BYTES_MAX * 3]).unwrap();
        assert_eq!(connection.read().unwrap(), None);
        assert!(connection.read().is_err());
        assert!(connection.request.capacity() <= REQUEST_BYTES_MAX * 2);
    }

    #[test]
    fn a_client_that_does_not_read_holds_up_only_itself() {
        let (mut client, mut connection) = pair();
        connection.answer(vec![b'x'; 4_000_000]);
        assert!(!connection.write().unwrap());
        #[expect(clippy::disallowed_methods, reason = "the other side of the connection, in a test")]
        let reader = std::thread::spawn(move || {
            let mut bytes = vec![0; 4_000_001];
            client.read_exact(&mut bytes).unwrap();
        });
        while !connection.write().unwrap() {}
        reader.join().unwrap();
    }
}
