//! The program itself: what it prints, what it leaves behind, and how it says no.
#![expect(clippy::unwrap_used, reason = "a test may stop where something cannot be")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::http::Client;
use support::node::eventually;
use support::payload::{bytes_of, path_of};

/// A drive of the smallest size that these tests need.
const SMALL: [&str; 4] = ["--size", "256MiB", "--zone-size", "32MiB"];

fn command(file: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imbrex-drive"));
    command.arg("--simulated").arg(file).args(more);
    command
}

/// A process that serves, and its ready line.
struct Running {
    child: Child,
    line: String,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, line: line.trim_end().to_owned() }
    }

    /// Asks for an orderly stop and gives the exit status.
    fn terminate(mut self) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }

    fn address(&self) -> std::net::SocketAddr {
        let rest = self.line.split("http://").nth(1).unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that must fail: its status and the one sentence that it prints.
fn failure(mut command: Command) -> (i32, String) {
    let output: Output = command.env("RUST_LOG", "off").output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(output.stdout.is_empty());
    assert_eq!(sentence.trim_end().lines().count(), 1, "{sentence}");
    assert!(!sentence.contains("panicked"), "{sentence}");
    (output.status.code().unwrap(), sentence)
}

/// An address that nobody listens on, out of the ports that the kernel gives to nobody by itself (`ip_local_port_range`
/// begins at 32768): no other test's socket can come in between.
fn free_address() -> std::net::SocketAddr {
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let mut addresses = (first..32_768).map(|port| std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    addresses.find(|address| std::net::TcpListener::bind(address).is_ok()).unwrap()
}

/// As the README shows it: the first request goes out before anything is printed.
#[test]
fn a_new_simulated_drive_that_is_asked_at_once_stores_the_first_block() {
    let folder = tempfile::tempdir().unwrap();
    let free = free_address();
    let mut command = command(&folder.path().join("drive"), &SMALL);
    command.args(["--listen", &free.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running { child: command.spawn().unwrap(), line: String::new() };
    let mut client = None;
    eventually("the port is taken", || {
        client = Client::connect(free).ok();
        client.is_some()
    });
    let answer = client.unwrap().put(&path_of(1), &bytes_of(1, 5000)).unwrap();
    assert_eq!(answer.status, 201);
    assert_eq!(running.terminate(), Some(0));
}

#[test]
fn a_drive_is_made_served_stopped_in_order_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let (file, socket) = (directory.path().join("drive"), directory.path().join("drive.sock"));
    let socket_text = socket.to_str().unwrap();
    let serve = ["--listen", "127.0.0.1:0", "--socket", socket_text];
    let running = Running::start(command(&file, &[&SMALL[..], &serve].concat()));
    assert!(running.line.starts_with("imbrex-drive: ready: drive "), "{}", running.line);
    assert!(running.line.contains(", 0 blocks, "), "{}", running.line);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let body = bytes_of(1, 500_000);
    let mut client = Client::connect(running.address()).unwrap();
    assert_eq!(client.put(&path_of(1), &body).unwrap().status, 201);
    assert_eq!(running.terminate(), Some(0));
    assert!(!socket.exists(), "the socket was left behind");

    // No --size: the file knows it.
    let running = Running::start(command(&file, &serve));
    assert!(running.line.contains(", 1 blocks, "), "{}", running.line);
    let mut local = Client::connect_local(&socket).unwrap();
    assert!(local.get(&path_of(1)).unwrap().body == body);
    assert_eq!(running.terminate(), Some(0));
}

#[test]
fn a_socket_that_a_killed_process_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (file, socket) = (directory.path().join("drive"), directory.path().join("drive.sock"));
    let arguments = [&SMALL[..], &["--socket", socket.to_str().unwrap()]].concat();
    let mut running = Running::start(command(&file, &arguments));
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    assert!(socket.exists());
    let running = Running::start(command(&file, &arguments));
    assert_eq!(Client::connect_local(&socket).unwrap().get("/healthz").unwrap().status, 200);
    let other = directory.path().join("other");
    let (status, sentence) = failure(command(&other, &arguments));
    assert_eq!(status, 75, "{sentence}");
    assert!(sentence.contains("another process listens"), "{sentence}");
    assert!(!other.exists(), "a drive was made for a process that cannot serve it");
    drop(running);
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "not a socket").unwrap();
    assert_eq!(failure(command(&file, &arguments)).0, 73);
    assert_eq!(fs::read(&socket).unwrap(), b"not a socket");
}

#[test]
fn init_is_told_when_the_drive_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    let mut command =
        command(&directory.path().join("drive"), &[&SMALL[..], &["--listen", "127.0.0.1:0"]].concat());
    command.stdin(File::create(&told).unwrap()).env("IMBREX_READY_FD", "0");
    let running = Running::start(command);
    eventually("init is told", || fs::read(&told).unwrap() == b"READY\n");
    assert_eq!(running.terminate(), Some(0));
}

#[test]
fn a_port_in_use_is_one_sentence_and_status_69_and_no_drive_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let file = directory.path().join("drive");
    let (status, sentence) = failure(command(&file, &[&SMALL[..], &["--listen", &address]].concat()));
    assert_eq!(status, 69);
    assert!(sentence.contains(&format!("another process listens on {address}")), "{sentence}");
    assert!(!file.exists());
}

#[test]
fn a_size_other_than_the_files_is_refused_with_both() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    let listen = ["--listen", "127.0.0.1:0"];
    assert_eq!(Running::start(command(&file, &[&SMALL[..], &listen].concat())).terminate(), Some(0));
    let (status, sentence) = failure(command(&file, &[&["--size", "512MiB"][..], &listen].concat()));
    assert_eq!(status, 65);
    assert!(sentence.contains("256 MiB") && sentence.contains("512 MiB"), "{sentence}");
    let (status, sentence) = failure(command(&file, &[&["--zone-size", "64MiB"][..], &listen].concat()));
    assert_eq!(status, 65);
    assert!(sentence.contains("32 MiB") && sentence.contains("64 MiB"), "{sentence}");
    assert_eq!(Running::start(command(&file, &[&SMALL[..], &listen].concat())).terminate(), Some(0));
}

#[test]
fn what_cannot_be_a_drive_is_refused_each_with_its_status() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let listen = ["--listen", "127.0.0.1:0"];
    let all = [&SMALL[..], &listen].concat();

    fs::write(at("text"), "hello world\n".repeat(10_000)).unwrap();
    fs::write(at("empty"), "").unwrap();
    assert_eq!(Running::start(command(&at("whole"), &all)).terminate(), Some(0));
    fs::copy(at("whole"), at("cut")).unwrap();
    let length = fs::metadata(at("cut")).unwrap().len();
    OpenOptions::new().write(true).open(at("cut")).unwrap().set_len(length / 2).unwrap();
    for name in ["text", "empty", "cut"] {
        let before = fs::metadata(at(name)).unwrap().len();
        let (status, sentence) = failure(command(&at(name), &listen));
        assert_eq!(status, 65, "{name}: {sentence}");
        assert_eq!(fs::metadata(at(name)).unwrap().len(), before);
    }
    let (status, sentence) = failure(command(&at("none"), &listen));
    assert_eq!(status, 64, "{sentence}");
    assert!(sentence.contains("--size"), "{sentence}");
    assert_eq!(failure(command(&at("no/such/directory"), &all)).0, 66);
    assert_eq!(failure(command(&at("tiny"), &[&["--size", "1MiB"][..], &listen].concat())).0, 64);
    assert_eq!(failure(command(&at("vast"), &[&["--size", "9000000TiB"][..], &listen].concat())).0, 64);

    let mut device = Command::new(env!("CARGO_BIN_EXE_imbrex-drive"));
    device.arg("--device").arg(at("text")).args(listen);
    let (status, sentence) = failure(device);
    assert_eq!(status, 65, "{sentence}");
    assert!(sentence.contains("not a block device"), "{sentence}");
    let mut device = Command::new(env!("CARGO_BIN_EXE_imbrex-drive"));
    device.args(["--device", "/dev/no-such-drive"]).args(listen);
    assert_eq!(failure(device).0, 66);

    let running = Running::start(command(&at("whole"), &listen));
    let (status, sentence) = failure(command(&at("whole"), &listen));
    assert_eq!(status, 75, "{sentence}");
    assert_eq!(running.terminate(), Some(0));

    let mut nonsense = Command::new(env!("CARGO_BIN_EXE_imbrex-drive"));
    nonsense.arg("--nonsense").stderr(Stdio::null());
    assert_eq!(nonsense.status().unwrap().code(), Some(64));
}

#[test]
fn a_label_of_another_version_is_served_as_incompatible_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    let listen = ["--listen", "127.0.0.1:0"];
    let running = Running::start(command(&file, &[&SMALL[..], &listen].concat()));
    let body = bytes_of(1, 10_000);
    Client::connect(running.address()).unwrap().put(&path_of(1), &body).unwrap();
    assert_eq!(running.terminate(), Some(0));

    let mut content = Vec::new();
    File::open(&file).unwrap().read_to_end(&mut content).unwrap();
    let labels: Vec<u64> = content
        .chunks(4096)
        .enumerate()
        .filter(|(_, unit)| unit.starts_with(b"IMBREXLB"))
        .map(|(number, _)| number as u64 * 4096)
        .collect();
    assert_eq!(labels.len(), 2);
    let own_version =
        u32::from_le_bytes(content[usize::try_from(labels[0]).unwrap() + 8..][..4].try_into().unwrap());
    let patch = |version: u32| {
        let file = OpenOptions::new().write(true).open(&file).unwrap();
        labels.iter().for_each(|at| file.write_all_at(&version.to_le_bytes(), at + 8).unwrap());
    };
    patch(77);
    let running = Running::start(command(&file, &listen));
    let mut client = Client::connect(running.address()).unwrap();
    let status = client.get("/v1/drive").unwrap().json();
    assert_eq!(status["state"], "incompatible", "{status}");
    let reason = status["state_reason"].as_str().unwrap();
    assert!(reason.contains("77") && reason.contains(&own_version.to_string()), "{reason}");
    let answer = client.get(&path_of(1)).unwrap();
    assert_eq!((answer.status, answer.json()["state"].as_str()), (503, Some("incompatible")));
    assert_eq!(running.terminate(), Some(0));

    patch(own_version);
    let running = Running::start(command(&file, &listen));
    assert!(Client::connect(running.address()).unwrap().get(&path_of(1)).unwrap().body == body);
    assert_eq!(running.terminate(), Some(0));
}
