//! Sends the services' logs to where the configuration says: a syslog server (RFC 5424 over TCP, framed
//! as in RFC 6587, 3.4.1) or a socket that takes one JSON object a line.
//!
//! What waits to be sent waits in init's rings, which are bounded; what falls out of a ring before it
//! was sent is counted, and the count is sent in its place. Nothing is kept here but how far each
//! target has come, how far it has taken that, and what of one ring its connection has not had room for yet:
//! what a target that closes the connection has not acknowledged is sent again. A line may come twice
//! then, and none is lost on the way.
//!
//! Each target has a thread of its own and they share nothing, so that none waits for another's network.

mod connection;
mod target;

use crate::tcp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use target::Target;

/// Init's control socket.
const INIT: &str = "/run/imbrex/init.sock";
/// Where `configure` leaves the targets.
const TARGETS: &str = "/run/imbrex/log-targets";
/// The longest answer of init's, in bytes: a whole ring fits.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How often the rings are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often a connection is looked at that has no room for what is to be sent.
const LOOK_FULL: Duration = Duration::from_millis(50);
/// How long init may take for an answer, and a connection to be made.
const STEP: Duration = Duration::from_secs(10);

/// `[logs]`: where logs are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Targets {
    /// `HOST:PORT` of a syslog server.
    pub(crate) syslog: Option<String>,
    /// `HOST:PORT` of a socket that takes JSON.
    pub(crate) json: Option<String>,
}

impl Targets {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.syslog.is_none() && self.json.is_none()
    }

    /// Says in one sentence what is wrong with them.
    pub(crate) fn check(&self) -> Result<(), String> {
        for target in self.syslog.iter().chain(&self.json) {
            let parts = target.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if parts.is_none_or(|(_, port)| port.parse::<u16>().is_err())
                || target.contains(char::is_whitespace)
            {
                return Err(format!("{target:?} is not HOST:PORT"));
            }
        }
        Ok(())
    }

    /// Leaves them for the service that sends.
    pub(crate) fn write(&self) -> std::io::Result<()> {
        let line = |kind: &str, target: &Option<String>| {
            target.as_ref().map_or_else(String::new, |target| format!("{kind} {target}\n"))
        };
        let text = line("syslog", &self.syslog) + &line("json", &self.json);
        crate::file::write_atomically(Path::new(TARGETS), text.as_bytes())
    }
}

/// What init's ring has of one service from some line on.
#[derive(Debug, Default, Deserialize)]
struct Lines {
    lines: Vec<String>,
    /// When each of them came, in milliseconds since boot.
    times_ms: Vec<u64>,
    /// Number of the first of them.
    first: u64,
}

/// What has the lines that are to be sent.
trait Rings {
    /// The services and helpers that have some.
    fn services(&self) -> Result<Vec<String>, String>;
    /// What is kept of one service, from this line on.
    fn lines(&self, service: &str, from: u64) -> Result<Lines, String>;
}

/// Init's rings. One answer is held at a time, whichever of the targets it is for: a whole ring is large.
struct Init(Mutex<()>);

/// Sends until it is ended.
pub(crate) fn run() -> Result<(), String> {
    let text =
        std::fs::read_to_string(TARGETS).map_err(|error| format!("{TARGETS} cannot be read: {error}"))?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let init = Init(Mutex::new(()));
    each(text.lines().filter_map(Target::new).collect(), move |mut target| {
        loop {
            thread::sleep(target.turn(&host, &init));
        }
    })
}

/// Does the work of each target in a thread of its own.
///
/// # Errors
/// Where one of the threads cannot be started, or has ended: it never should, and the service starts again.
fn each(targets: Vec<Target>, work: impl Fn(Target) + Send + Sync + 'static) -> Result<(), String> {
    let (work, mut senders) = (Arc::new(work), Vec::new());
    for target in targets {
        let (work, place) = (Arc::clone(&work), target.place.clone());
        let sender = thread::Builder::new().spawn(move || work(target));
        senders
            .push((sender.map_err(|error| format!("no thread can be started for {place}: {error}"))?, place));
    }
    loop {
        if let Some((_, place)) = senders.iter().find(|(sender, _)| sender.is_finished()) {
            return Err(format!("nothing is sent to {place} any more: its thread has ended"));
        }
        thread::sleep(LOOK);
    }
}

impl Rings for Init {
    fn services(&self) -> Result<Vec<String>, String> {
        // Those of services that have said something, and of what init has helpers for.
        let status = ask_init(&json!({"op": "status"}))?;
        let names = status["logs"].as_array().into_iter().flatten();
        Ok(names.filter_map(|name| Some(name.as_str()?.to_owned())).collect())
    }

    fn lines(&self, service: &str, from: u64) -> Result<Lines, String> {
        let _one = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = ask_init(&json!({"op": "log", "service": service, "from": from}))?;
        serde_json::from_value(answer).map_err(|error| format!("init's log is not understood: {error}"))
    }
}

/// One question to init, and its answer.
pub(crate) fn ask_init(request: &Value) -> Result<Value, String> {
    let failed = |error: std::io::Error| format!("init does not answer: {error}");
    let mut stream = UnixStream::connect(INIT).map_err(failed)?;
    stream.set_read_timeout(Some(STEP)).map_err(failed)?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(failed)?;
    let mut line = Vec::new();
    BufReader::new(stream).take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line).map_err(failed)?;
    let answer: Value =
        serde_json::from_slice(&line).map_err(|error| format!("init's answer is not understood: {error}"))?;
    if answer["ok"] == json!(true) {
        return Ok(answer);
    }
    Err(answer["error"].as_str().unwrap_or("init refuses and does not say why").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// How long the other side of a meeting is waited for: only where the test fails.
    const MEETING_MAX: Duration = Duration::from_secs(20);

    #[test]
    fn no_target_waits_for_another_and_one_that_ends_is_told() {
        let targets = ["syslog one:1", "json two:2"].map(|line| Target::new(line).unwrap());
        let ((one, two), (here, there)) = (mpsc::channel(), mpsc::channel());
        let ends = Mutex::new(vec![(one, there), (here, two)]);
        let (told, met) = mpsc::channel();
        let error = each(targets.into(), move |_| {
            let (to, from) = ends.lock().unwrap().pop().unwrap();
            to.send(()).unwrap();
            told.send(from.recv_timeout(MEETING_MAX).is_ok()).unwrap();
        });
        assert!(error.unwrap_err().contains("its thread has ended"));
        let met: Vec<bool> = met.iter().collect();
        assert_eq!(met, [true, true], "each met the other");
    }

    #[test]
    fn a_target_without_a_port_is_refused() {
        for text in ["log.example.org", ":514", "host:port", "a b:1"] {
            let targets = Targets { syslog: Some(text.to_owned()), json: None };
            assert!(targets.check().is_err(), "{text}");
        }
        assert_eq!(Targets { syslog: None, json: Some("[2001:db8::1]:9000".to_owned()) }.check(), Ok(()));
    }
}
