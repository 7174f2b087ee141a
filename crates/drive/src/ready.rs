//! Saying that the drive is served: one line for people, one word for init.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use imbrex_api::drive::{DriveStatus, State};

use crate::size::size_text;

/// The variable in which init names the descriptor that waits for the word.
const READY_FD: &str = "IMBREX_READY_FD";

/// The line that is printed when the drive is served.
#[must_use]
pub(crate) fn ready_line(status: &DriveStatus, socket: Option<&str>) -> String {
    let place = match (status.data_address.as_deref(), socket) {
        (Some(address), _) => format!("http://{}", reachable(address)),
        (None, Some(socket)) => format!("the socket {socket}"),
        (None, None) => "nobody".to_owned(),
    };
    let what = match (status.state, status.blocks, status.free_bytes) {
        (State::Serving | State::ReadOnly, Some(blocks), Some(free)) => {
            format!("{blocks} blocks, {} MiB free of {}", free >> 20, size_text(status.capacity_bytes))
        }
        _ => format!("{}, no blocks", size_text(status.capacity_bytes)),
    };
    format!("imbrex-drive: ready: drive {} is {}, serving {place}, {what}", status.id, status.state.as_str())
}

/// The address as a person on this machine would write it: `0.0.0.0` is no place to go to.
fn reachable(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            let host = if address.is_ipv4() { "127.0.0.1" } else { "[::1]" };
            format!("{host}:{}", address.port())
        }
        _ => address.to_owned(),
    }
}

/// Tells init, where init asked to be told.
///
/// # Errors
///
/// Where the descriptor that it named cannot be written.
pub(crate) fn tell_init() -> io::Result<()> {
    let Some(descriptor) = std::env::var_os(READY_FD) else {
        return Ok(());
    };
    let number: u32 = descriptor.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{READY_FD} names no descriptor"))
    })?;
    OpenOptions::new().write(true).open(format!("/proc/self/fd/{number}"))?.write_all(b"READY\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_the_drive_its_state_and_where_to_go() {
        let mut status = DriveStatus {
            id: "S1".to_owned(),
            state: State::Serving,
            data_address: Some("0.0.0.0:7500".to_owned()),
            blocks: Some(3),
            free_bytes: Some(5 << 20),
            capacity_bytes: 4 << 30,
            ..DriveStatus::default()
        };
        assert_eq!(
            ready_line(&status, None),
            "imbrex-drive: ready: drive S1 is serving, serving http://127.0.0.1:7500, 3 blocks, 5 MiB free of 4 GiB"
        );
        status.state = State::Foreign;
        assert!(
            ready_line(&status, None)
                .ends_with("is foreign, serving http://127.0.0.1:7500, 4 GiB, no blocks")
        );
    }
}
