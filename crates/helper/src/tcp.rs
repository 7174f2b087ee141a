//! What the kernel knows of a TCP connection on which we only send.
#![expect(unsafe_code, reason = "an ioctl of sockets, which the standard library has not")]

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// The most bytes that are thrown away at one look: we are not talked to.
const UNASKED_BYTES_MAX: usize = 64 * 1024;

/// Whether the other side may still speak, or has closed its half: that alone does not tell whether it still reads.
/// What the other side says is thrown away. `stream` is non-blocking.
///
/// # Errors
/// Where the connection was reset, or is broken.
pub(crate) fn check_open(stream: &mut TcpStream) -> io::Result<bool> {
    let (mut buffer, mut drained) = ([0_u8; 4096], 0);
    while drained < UNASKED_BYTES_MAX {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => drained += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// How much of what was written the other side's kernel has not acknowledged yet: `SIOCOUTQ` of tcp(7).
///
/// # Errors
/// Those of the kernel.
pub(crate) fn unacknowledged_bytes(stream: &TcpStream) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the request, which has the number of TIOCOUTQ, writes one int, which `bytes` is for the whole call.
    if unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u32::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{SocketAddr, TcpListener};

    /// An address on which nobody listens, and nobody can as long as both ends of the connection that has its port are
    /// held.
    pub(crate) fn nobody() -> (SocketAddr, [TcpStream; 2]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, _) = listener.accept().unwrap();
        (holder.local_addr().unwrap(), [holder, peer])
    }

    /// Lets connections to `listener` hold little that nobody has read: 400 KiB or so, whatever the machine has for each.
    pub(crate) fn hold_little(listener: &TcpListener) {
        let bytes: libc::c_int = 200 * 1024;
        let size = libc::socklen_t::try_from(size_of_val(&bytes)).unwrap();
        // SAFETY: the option takes one int, which `bytes` is for the whole call, and `size` its length.
        let outcome = unsafe {
            libc::setsockopt(
                listener.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUF,
                (&raw const bytes).cast(),
                size,
            )
        };
        assert_eq!(outcome, 0, "{}", io::Error::last_os_error());
    }

    #[test]
    fn what_nobody_reads_is_unacknowledged_and_an_end_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        assert!(check_open(&mut stream).unwrap());
        let mut written = 0;
        while let Ok(length) = stream.write(&[b'x'; 65_536]) {
            written += length;
        }
        assert!(unacknowledged_bytes(&stream).unwrap() > 0);
        std::io::copy(&mut Read::by_ref(&mut other).take(written as u64), &mut io::sink()).unwrap();
        while unacknowledged_bytes(&stream).unwrap() > 0 {
            std::thread::yield_now();
        }
        other.write_all(b"unasked").unwrap();
        assert!(check_open(&mut stream).unwrap());
        other.shutdown(std::net::Shutdown::Write).unwrap();
        while check_open(&mut stream).unwrap() {
            std::thread::yield_now();
        }
        // Nobody is there any more to take it, and the kernel on the other side says so.
        drop(other);
        // Whichever of the two comes first takes the error with it.
        while check_open(&mut stream).is_ok() && stream.write(b"x").is_ok() {}
    }
}
