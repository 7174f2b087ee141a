//! An agent's process, and what holds of its start and its end.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::client::{self, Answer, get};

/// The directories in which an agent is started.
pub(crate) struct Place {
    root: TempDir,
    ask_deadline_ms: &'static str,
}

impl Place {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for directory in ["run", "sys/block"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        fs::write(root.path().join("kmsg"), "").unwrap();
        // Long, so that a busy machine is not taken for a stuck drive.
        Self { root, ask_deadline_ms: "10000" }
    }

    /// The same with the deadline that agents have outside of tests.
    pub(crate) fn impatient() -> Self {
        Self { ask_deadline_ms: "1000", ..Self::new() }
    }

    /// The run directory.
    pub(crate) fn run(&self) -> PathBuf {
        self.root.path().join("run")
    }

    /// Writes a file of the fake sysfs.
    pub(crate) fn sysfs(&self, path: &str, contents: &str) {
        let path = self.root.path().join("sys/block").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// Writes a file of the administrator's firmware notes.
    pub(crate) fn firmware_note(&self, name: &str, contents: &str) {
        let folder = self.root.path().join("firmware-notes");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), contents).unwrap();
        for path in [folder.join(name), folder] {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    /// Takes a file of the administrator's firmware notes away.
    pub(crate) fn no_firmware_note(&self, name: &str) {
        fs::remove_file(self.root.path().join("firmware-notes").join(name)).unwrap();
    }

    /// Makes the kernel say this.
    pub(crate) fn kernel_says(&self, record: &str) {
        let mut log = fs::OpenOptions::new().append(true).open(self.root.path().join("kmsg")).unwrap();
        log.write_all(format!("{record}\n SUBSYSTEM=block\n").as_bytes()).unwrap();
    }

    /// Makes smartctl this shell script.
    pub(crate) fn smartctl(&self, script: &str) {
        write_script(&self.root.path().join("smartctl"), &format!("#!/bin/sh\n{script}\n"));
    }

    /// Makes the helper this shell script.
    pub(crate) fn helper(&self, script: &str) {
        write_script(&self.root.path().join("helper"), &format!("#!/bin/sh\n{script}\n"));
    }

    /// The command that starts an agent here.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imbrex-agent"));
        command
            .args(["--listen", "127.0.0.1:0", "--ask-deadline-ms", self.ask_deadline_ms])
            .arg("--run-dir")
            .arg(self.run())
            .arg("--sysfs")
            .arg(self.root.path().join("sys"))
            .arg("--firmware-notes")
            .arg(self.root.path().join("firmware-notes"))
            .arg("--kmsg")
            .arg(self.root.path().join("kmsg"))
            .arg("--smartctl")
            .arg(self.root.path().join("smartctl"))
            .arg("--helper")
            .arg(self.root.path().join("helper"))
            .arg("--next-dir")
            .arg(self.root.path().join("next"))
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Starts an agent and waits until it is ready.
    pub(crate) async fn start(&self) -> Agent {
        Agent::start(self.command(), &self.run()).await
    }
}

/// Another process writes it: what another thread starts meanwhile would hold our own descriptor until its exec, and what is
/// open for writing cannot be run (execve(2), ETXTBSY). It takes its place when it is whole.
fn write_script(path: &Path, text: &str) {
    let mut shell = std::process::Command::new("/bin/sh")
        .args(["-c", "cat > \"$0.new\" && chmod 755 \"$0.new\" && mv \"$0.new\" \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

/// A running agent; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    socket: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: String,
}

impl Agent {
    async fn start(mut command: Command, run_dir: &Path) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.unwrap();
        let line = line.unwrap().expect("the agent ended before it was ready");
        let words: Vec<_> = line.split_whitespace().collect();
        let address = words.iter().find_map(|word| word.strip_prefix("https://")).unwrap().parse().unwrap();
        let fingerprint = words.last().unwrap().to_string();
        Self { child, lines, socket: run_dir.join("agent.sock"), address, fingerprint }
    }

    /// Sends a request by TLS.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        client::over_tls(self.address, &self.fingerprint, request).await.unwrap()
    }

    /// The JSON at `path`, which must be there.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.send(get(path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer.json()
    }

    /// Asks for the drive `id` until `is_so`, and gives it; fails after 30 s.
    pub(crate) async fn drive_when(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut latest = Value::Null;
        for _ in 0..300 {
            latest = self.send(get(&format!("/v1/drives/{id}"))).await.json();
            if is_so(&latest) {
                return latest;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("this did not come: {latest:#}");
    }

    /// Sends a request on the Unix socket.
    pub(crate) async fn send_locally(&self, request: Request<Full<Bytes>>) -> Answer {
        client::over_unix(&self.socket, request).await
    }

    pub(crate) async fn terminate(&mut self) -> std::process::ExitStatus {
        let process = self.child.id().unwrap().to_string();
        // The shell's own kill: no signal can be sent from here without unsafe code.
        Command::new("sh").args(["-c", &format!("kill -TERM {process}")]).status().await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), self.child.wait())
            .await
            .expect("does not stop")
            .unwrap()
    }
}

/// Runs a command that has to end by itself soon.
pub(crate) async fn end_of(command: &mut Command) -> Output {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).output();
    tokio::time::timeout(Duration::from_secs(30), output).await.expect("it does not end").unwrap()
}

#[tokio::test]
async fn the_fingerprint_is_in_its_file_and_is_that_of_the_certificate_shown() {
    let place = Place::new();
    let agent = place.start().await;
    let file = fs::read_to_string(place.run().join("agent.fingerprint")).unwrap();
    assert_eq!(file, format!("{}\n", agent.fingerprint));
    assert_eq!(agent.send(get("/healthz")).await.status, StatusCode::OK);
    let other = agent.fingerprint.replace(|digit: char| digit != ':', "0");
    assert!(client::over_tls(agent.address, &other, get("/healthz")).await.is_err());
}

#[tokio::test]
async fn a_stop_in_order_ends_with_0_and_takes_the_socket_away() {
    let place = Place::new();
    let mut agent = place.start().await;
    assert_eq!(agent.send_locally(get("/healthz")).await.status, StatusCode::OK);
    assert!(agent.terminate().await.success());
    assert!(!place.run().join("agent.sock").exists());
}

#[tokio::test]
async fn init_is_told_when_the_agent_is_ready() {
    let place = Place::new();
    let mut command = place.command();
    command.env("IMBREX_READY_FD", "1");
    let mut agent = Agent::start(command, &place.run()).await;
    let line = tokio::time::timeout(Duration::from_secs(30), agent.lines.next_line()).await.unwrap();
    assert_eq!(line.unwrap().as_deref(), Some("READY"));
}

#[tokio::test]
async fn a_second_agent_on_the_same_directory_or_port_is_refused_in_one_sentence() {
    let place = Place::new();
    let agent = place.start().await;
    let output = end_of(&mut place.command()).await;
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && sentence.contains("another agent serves"), "{sentence}");
    let other = Place::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imbrex-agent"));
    command.args(["--listen", &agent.address.to_string()]).arg("--run-dir").arg(other.run());
    let output = end_of(&mut command).await;
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && sentence.contains("--listen"), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
}
