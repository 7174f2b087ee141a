//! `imbrex-drive` as a process of its own, over a simulated drive.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts the program over the drive file `file`, with the arguments `shape`, and waits until it serves.
pub fn start(file: &Path, shape: &[&str], stderr: Stdio) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_imbrex-drive"))
        .arg("--simulated")
        .arg(file)
        .args(shape)
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next());
    let address = address.and_then(|address| address.parse().ok());
    (child, address.unwrap_or_else(|| panic!("the process did not come up: {line:?}")))
}
