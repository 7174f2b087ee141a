//! Whether something that listens still lives: it is spoken to, and must do anything at all about it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long each step may take; init kills a check that takes longer than its manifest says.
const STEP: Duration = Duration::from_secs(10);

/// Connects, says something that is no request of any protocol's, and waits for an answer or the
/// end of the connection. Both take a program that runs: the kernel alone would only accept.
pub(crate) fn run(address: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{address} gives no sign of life: {error}");
    let target = address.parse().map_err(|_| format!("{address:?} is not an address and a port"))?;
    let mut stream = TcpStream::connect_timeout(&target, STEP).map_err(failed)?;
    stream
        .set_read_timeout(Some(STEP))
        .and_then(|()| stream.set_write_timeout(Some(STEP)))
        .map_err(failed)?;
    stream.write_all(b"?\r\n\r\n\r\n").map_err(failed)?;
    match stream.read(&mut [0; 16]) {
        Ok(_) => Ok(()),
        // Hanging up on what it does not understand is an answer too.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::tests as tcp;
    use std::net::TcpListener;

    #[test]
    fn whoever_hangs_up_lives_and_where_nobody_listens_nobody_does() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
        assert_eq!(run(&address), Ok(()));
        server.join().unwrap();
        let (nobody, _holder) = tcp::nobody();
        assert!(run(&nobody.to_string()).unwrap_err().contains("no sign of life"));
        assert!(run("agent").unwrap_err().contains("not an address"));
    }
}
