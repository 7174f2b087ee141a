//! Questions and orders to init, on its control socket: one JSON object per line, one answer per line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use imbrex_api::node::{BootStage, NodeState, Service, Watchdog};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// An order has at least this long: it is better carried out late than given twice.
const ORDER_DEADLINE: Duration = Duration::from_secs(10);

/// A line of an answer may be this long, in bytes: a whole log of one service fits.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What init says of the node.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct InitStatus {
    /// The node itself.
    pub(crate) node: InitNode,
    /// The stages of the boot.
    #[serde(default)]
    pub(crate) boot: Vec<BootStage>,
    /// The services.
    #[serde(default)]
    pub(crate) services: Vec<Service>,
    /// The drives that are there, and those that were.
    #[serde(default)]
    pub(crate) drives: Vec<InitDrive>,
    /// What has a log: services that have said something, and helpers of init's.
    #[serde(default)]
    pub(crate) logs: Vec<String>,
}

/// What init says of the node itself.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct InitNode {
    /// What the node does now.
    pub(crate) state: NodeState,
    /// Why, in one sentence.
    pub(crate) reason: Option<String>,
    /// Where the configuration comes from.
    pub(crate) config_url: Option<String>,
    /// Milliseconds since the kernel started.
    pub(crate) uptime_ms: Option<u64>,
    /// The hardware watchdog.
    #[serde(default)]
    pub(crate) watchdog: Option<Watchdog>,
    /// What the machine told before it died last.
    #[serde(default)]
    pub(crate) last_crash: Vec<String>,
    /// How often the clock was stepped since the boot.
    #[serde(default)]
    pub(crate) clock_steps: u64,
    /// How many of its helpers are stuck in the kernel.
    #[serde(default)]
    pub(crate) helpers_stuck: u64,
}

/// What init says of one drive.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct InitDrive {
    /// Its ID.
    pub(crate) id: String,
    /// Its device file.
    pub(crate) device: Option<String>,
    /// Its data port.
    pub(crate) port: Option<u16>,
    /// The socket of its process.
    pub(crate) socket: Option<PathBuf>,
    /// The service that runs its process.
    pub(crate) service: Option<String>,
    /// Its model; empty where it tells none.
    pub(crate) model: Option<String>,
    /// Its serial number; empty where it tells none.
    pub(crate) serial: Option<String>,
    /// Whether it is there.
    #[serde(default = "yes")]
    pub(crate) present: bool,
    /// Why it alone is not served.
    #[serde(default)]
    pub(crate) refused: Option<String>,
}

fn yes() -> bool {
    true
}

/// The last lines that a service wrote.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ServiceLog {
    /// The lines, oldest first.
    pub(crate) lines: Vec<String>,
    /// How many older ones are gone.
    #[serde(default)]
    pub(crate) lost: u64,
}

/// What the node is to do as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PowerOrder {
    /// Stop everything in order and switch off.
    PowerOff,
    /// Stop everything in order and boot again.
    Reboot,
    /// Stop everything in order and go on with the kernel that was loaded.
    Kexec,
}

/// Why init gave no answer, or which.
#[derive(Debug)]
pub(crate) enum InitError {
    /// Nothing listens on the socket.
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It did not answer in time.
    Late {
        /// The socket.
        socket: PathBuf,
        /// How long was waited.
        deadline: Duration,
    },
    /// The connection broke, or the answer is not what was agreed.
    Answer {
        /// The socket.
        socket: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It answered, and refused: its own sentence.
    Refused(String),
}

impl fmt::Display for InitError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { socket, source } => {
                write!(formatter, "init does not listen on {}: {source}", socket.display())
            }
            Self::Late { socket, deadline } => {
                write!(
                    formatter,
                    "init did not answer on {} within {} ms",
                    socket.display(),
                    deadline.as_millis()
                )
            }
            Self::Answer { socket, reason } => {
                write!(formatter, "init's answer on {} cannot be used: {reason}", socket.display())
            }
            Self::Refused(sentence) => formatter.write_str(sentence),
        }
    }
}

impl std::error::Error for InitError {}

/// A client of init.
#[derive(Clone, Debug)]
pub(crate) struct InitClient {
    socket: PathBuf,
    deadline: Duration,
}

impl InitClient {
    /// A client of the init that listens on `socket` and has `deadline` for a question.
    pub(crate) fn new(socket: &Path, deadline: Duration) -> Self {
        Self { socket: socket.to_owned(), deadline }
    }

    /// What runs, and why not.
    pub(crate) async fn status(&self) -> Result<InitStatus, InitError> {
        self.ask(&json!({"op": "status"}), self.deadline).await
    }

    /// The last lines of a service.
    pub(crate) async fn log(&self, service: &str) -> Result<ServiceLog, InitError> {
        self.ask(&json!({"op": "log", "service": service}), self.deadline).await
    }

    /// Stops the service's process (kills it, where forced) and starts it again.
    pub(crate) async fn restart(&self, service: &str, force: bool) -> Result<(), InitError> {
        self.order(&json!({"op": "restart", "service": service, "force": force})).await
    }

    /// Starts a service that is down; clears its maintenance.
    pub(crate) async fn start(&self, service: &str) -> Result<(), InitError> {
        self.order(&json!({"op": "start", "service": service})).await
    }

    /// Ends the node's run.
    pub(crate) async fn power(&self, order: PowerOrder) -> Result<(), InitError> {
        let operation = match order {
            PowerOrder::PowerOff => "poweroff",
            PowerOrder::Reboot => "reboot",
            PowerOrder::Kexec => "kexec",
        };
        self.order(&json!({"op": operation})).await
    }

    async fn order(&self, request: &Value) -> Result<(), InitError> {
        self.ask::<Value>(request, self.deadline.max(ORDER_DEADLINE)).await.map(drop)
    }

    async fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        request: &Value,
        deadline: Duration,
    ) -> Result<T, InitError> {
        let line = tokio::time::timeout(deadline, self.exchange(request))
            .await
            .map_err(|_| InitError::Late { socket: self.socket.clone(), deadline })??;
        let answer: Value = serde_json::from_slice(&line).map_err(|error| self.bad(&error))?;
        if answer.get("ok").and_then(Value::as_bool) != Some(true) {
            let sentence =
                answer.get("error").and_then(Value::as_str).unwrap_or("init refused and gave no reason");
            return Err(InitError::Refused(sentence.to_owned()));
        }
        serde_json::from_value(answer).map_err(|error| self.bad(&error))
    }

    async fn exchange(&self, request: &Value) -> Result<Vec<u8>, InitError> {
        let mut stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| InitError::Connect { socket: self.socket.clone(), source })?;
        let mut line = request.to_string();
        line.push('\n');
        stream.write_all(line.as_bytes()).await.map_err(|error| self.bad(&error))?;
        let mut answer = Vec::new();
        let mut reader = BufReader::new(stream).take(ANSWER_BYTES_MAX);
        reader.read_until(b'\n', &mut answer).await.map_err(|error| self.bad(&error))?;
        match answer.last() {
            Some(b'\n') => Ok(answer),
            Some(_) if reader.limit() == 0 => Err(self.bad(&"it is longer than 4 MiB")),
            Some(_) => Err(self.bad(&"it breaks off")),
            None => Err(self.bad(&"it is empty")),
        }
    }

    fn bad(&self, reason: &dyn fmt::Display) -> InitError {
        InitError::Answer { socket: self.socket.clone(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// An init that gives one answer to one question, and nothing where `answer` is `None`.
    fn init_that_answers(answer: Option<&'static str>) -> (tempfile::TempDir, InitClient) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("init.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                None => std::future::pending().await,
            }
        });
        (directory, InitClient::new(&socket, Duration::from_millis(500)))
    }

    #[tokio::test]
    async fn a_status_is_read_and_unknown_states_do_not_spoil_it() {
        let (_directory, init) = init_that_answers(Some(concat!(
            r#"{"ok":true,"node":{"state":"running","reason":null,"config_url":null,"uptime_ms":5},"#,
            r#""boot":[{"stage":"network","started_ms":1,"took_ms":null,"outcome":"running","detail":null}],"#,
            r#""services":[{"name":"agent","state":"dancing","pid":7,"restarts":0,"since_ms":3,"last_exit":null,"rss_bytes":1}],"#,
            r#""drives":[{"id":"a","device":"/dev/a","port":7500,"socket":"/s","service":"drive@a","model":"m","serial":"s"}]}"#,
            "\n"
        )));
        let status = init.status().await.unwrap();
        assert_eq!(status.node.state, NodeState::Running);
        assert_eq!(status.services[0].state, imbrex_api::node::ServiceState::Unknown);
        assert_eq!(status.drives[0].port, Some(7500));
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_inits_own_words() {
        let (_directory, init) =
            init_that_answers(Some("{\"ok\":false,\"error\":\"no service is named x\"}\n"));
        assert_eq!(init.restart("x", false).await.unwrap_err().to_string(), "no service is named x");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_not_taken() {
        let (_directory, init) = init_that_answers(Some("{\"ok\":true"));
        assert!(matches!(init.status().await, Err(InitError::Answer { .. })));
    }

    #[tokio::test]
    async fn a_silent_init_costs_its_deadline_and_no_more() {
        let (_directory, init) = init_that_answers(None);
        let started = std::time::Instant::now();
        assert!(matches!(init.status().await, Err(InitError::Late { .. })));
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}
