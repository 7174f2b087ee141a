//! Sends the services' logs to where the configuration says: a syslog server (RFC 5424 over TCP, framed
//! as in RFC 6587, 3.4.1) or a socket that takes one JSON object a line.
//!
//! What waits to be sent waits in init's rings, which are bounded; what falls out of a ring before it
//! was sent is counted, and the count is sent in its place. Nothing is kept here but how far each
//! target has come.

use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Init's control socket.
const INIT: &str = "/run/imbrex/init.sock";
/// Where `configure` leaves the targets.
const TARGETS: &str = "/run/imbrex/log-targets";
/// The longest answer of init's, in bytes: a whole ring fits.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How often the rings are looked at, and how long a step over the network may take.
const LOOK: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_secs(10);
/// The longest wait after a target did not take anything.
const WAIT_MAX: Duration = Duration::from_mins(1);

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

/// How a target wants its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Syslog,
    Json,
}

/// One target, and how far it has come.
#[derive(Debug)]
struct Target {
    format: Format,
    place: String,
    stream: Option<TcpStream>,
    /// Number of the next line of each service.
    next: BTreeMap<String, u64>,
    wait: Duration,
    due: SystemTime,
}

/// What init's ring has of one service from some line on.
#[derive(Debug, Deserialize)]
struct Lines {
    lines: Vec<String>,
    /// Number of the first of them.
    first: u64,
}

/// Sends until it is ended.
pub(crate) fn run() -> Result<(), String> {
    let text =
        std::fs::read_to_string(TARGETS).map_err(|error| format!("{TARGETS} cannot be read: {error}"))?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let mut targets: Vec<Target> = text.lines().filter_map(Target::new).collect();
    loop {
        match services() {
            Ok(services) => targets.iter_mut().for_each(|target| target.turn(&host, &services)),
            Err(error) => eprintln!("{error}"),
        }
        std::thread::sleep(LOOK);
    }
}

fn services() -> Result<Vec<String>, String> {
    let status = ask_init(&json!({"op": "status"}))?;
    let names = status["services"].as_array().into_iter().flatten();
    Ok(names.filter_map(|service| Some(service["name"].as_str()?.to_owned())).collect())
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

impl Target {
    fn new(line: &str) -> Option<Self> {
        let (kind, place) = line.split_once(' ')?;
        let format = if kind == "syslog" { Format::Syslog } else { Format::Json };
        let next = BTreeMap::new();
        Some(Self { format, place: place.to_owned(), stream: None, next, wait: LOOK, due: UNIX_EPOCH })
    }

    /// Sends what is new. A target that takes nothing is left alone for longer each time.
    fn turn(&mut self, host: &str, services: &[String]) {
        if SystemTime::now() < self.due {
            return;
        }
        match services.iter().try_for_each(|service| self.send_new(host, service)) {
            Ok(()) => self.wait = LOOK,
            Err(error) => {
                eprintln!("{}: {error}", self.place);
                self.stream = None;
                self.due = SystemTime::now() + self.wait;
                self.wait = (self.wait * 2).min(WAIT_MAX);
            }
        }
    }

    fn send_new(&mut self, host: &str, service: &str) -> Result<(), String> {
        let from = self.next.get(service).copied().unwrap_or(0);
        let answer = ask_init(&json!({"op": "log", "service": service, "from": from}))?;
        let new: Lines = serde_json::from_value(answer)
            .map_err(|error| format!("init's log is not understood: {error}"))?;
        self.send(host, service, from, &new)
    }

    /// Sends these lines, and notes how far that went.
    fn send(&mut self, host: &str, service: &str, from: u64, new: &Lines) -> Result<(), String> {
        let lost = new.first.saturating_sub(from);
        let notice =
            (lost > 0).then(|| format!("{lost} lines were lost here: more was said than could be kept"));
        if new.lines.is_empty() && notice.is_none() {
            return Ok(());
        }
        let now = timestamp(SystemTime::now());
        let lines = notice.iter().chain(&new.lines);
        let bytes: Vec<u8> = lines.flat_map(|line| self.format.frame(&now, host, service, line)).collect();
        self.stream()?.write_all(&bytes).map_err(|error| format!("it takes no lines: {error}"))?;
        self.next.insert(service.to_owned(), new.first + new.lines.len() as u64);
        Ok(())
    }

    fn stream(&mut self) -> Result<&mut TcpStream, String> {
        if self.stream.is_none() {
            let failed = |error: std::io::Error| format!("it cannot be reached: {error}");
            let addresses: Vec<SocketAddr> = self.place.to_socket_addrs().map_err(failed)?.collect();
            let address = addresses.first().ok_or("its name has no address")?;
            let stream = TcpStream::connect_timeout(address, STEP).map_err(failed)?;
            stream.set_write_timeout(Some(STEP)).map_err(failed)?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| "it cannot be reached".to_owned())
    }
}

impl Format {
    /// One line as it goes over the wire.
    fn frame(self, now: &str, host: &str, service: &str, line: &str) -> Vec<u8> {
        match self {
            // Facility 3 (daemon), severity 6 (informational): init does not know what a line means. APP-NAME has
            // 48 characters at most, which a drive's service may exceed; PROCID has 128.
            Self::Syslog => {
                let host = if host.is_empty() { "-" } else { host };
                let kind = service.split('@').next().unwrap_or_default();
                let message = format!("<30>1 {now} {host} {kind:.48} {service:.128} - - {line}");
                format!("{} {message}", message.len()).into_bytes()
            }
            Self::Json => {
                let object = json!({ "timestamp": now, "host": host, "service": service, "message": line });
                format!("{object}\n").into_bytes()
            }
        }
    }
}

/// RFC 3339 in UTC, to the millisecond: when the line was read, at most a second after it was written.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_time_is_written_as_the_standards_want_it() {
        let at = |seconds: u64| timestamp(UNIX_EPOCH + Duration::from_millis(seconds * 1_000 + 7));
        assert_eq!(at(0), "1970-01-01T00:00:00.007Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.007Z");
        assert_eq!(at(1_795_269_599), "2026-11-21T13:59:59.007Z");
    }

    #[test]
    fn lines_arrive_framed_and_what_was_lost_is_told_in_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let mut target = Target::new(&format!("syslog {place}")).unwrap();
        let lines = |first, lines: &[&str]| Lines {
            first,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        };
        target.send("node", "agent", 0, &lines(0, &["one", "two"])).unwrap();
        target.send("node", "agent", 2, &lines(5, &["six"])).unwrap();
        assert_eq!(target.next["agent"], 6);
        drop(target);
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        let (length, rest) = text.split_once(' ').unwrap();
        let first = &rest[..length.parse().unwrap()];
        assert!(first.starts_with("<30>1 ") && first.ends_with("Z node agent agent - - one"), "{first}");
        assert!(text.contains("3 lines were lost here") && text.ends_with("agent - - six"), "{text}");
    }

    #[test]
    fn no_name_is_longer_than_the_standard_lets_it_be() {
        let service = format!("drive@{}", "x".repeat(200));
        let text = String::from_utf8(Format::Syslog.frame("now", "node", &service, "one")).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!((words[4], words[5].len(), words.len()), ("drive", 128, 9));
    }

    #[test]
    fn json_is_one_object_a_line_whatever_the_line_has_in_it() {
        let bytes = Format::Json.frame("now", "node", "drive@x", "a \"quoted\" line");
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        let object: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(object["message"], "a \"quoted\" line");
    }

    #[test]
    fn a_target_that_is_not_there_loses_nothing_but_time() {
        let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut target = Target::new(&format!("json {place}")).unwrap();
        assert!(target.send("node", "agent", 0, &Lines { first: 0, lines: vec!["one".to_owned()] }).is_err());
        assert!(target.next.is_empty());
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
