//! Sends the services' logs to where the configuration says: a syslog server (RFC 5424 over TCP, framed
//! as in RFC 6587, 3.4.1) or a socket that takes one JSON object a line.
//!
//! What waits to be sent waits in init's rings, which are bounded; what falls out of a ring before it
//! was sent is counted, and the count is sent in its place. Nothing is kept here but how far each
//! target has come, and how far it has taken that: what a target that closes the connection has not
//! acknowledged is sent again. A line may come twice then, and none is lost on the way.

use crate::frame::{Format, came};
use crate::planner::now_ms;
use crate::tcp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Init's control socket.
const INIT: &str = "/run/imbrex/init.sock";
/// Where `configure` leaves the targets.
const TARGETS: &str = "/run/imbrex/log-targets";
/// The longest answer of init's, in bytes: a whole ring fits.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How often the rings are looked at, and how long a step over the network may take.
const LOOK: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_secs(10);
/// With something on its way for so long and nothing acknowledged, a target is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// So many connections in a row whose other side has said that it will say nothing more, each before it has stood for a
/// look: that is this target's way, and no end.
const ENDS_MAX: u32 = 3;
/// So many addresses of a name are tried: IPv6 may be the first, and lead nowhere.
const ADDRESSES_MAX: usize = 4;
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

/// One target, and how far it has come.
#[derive(Debug)]
struct Target {
    format: Format,
    place: String,
    stream: Option<TcpStream>,
    /// Number of the next line of each service.
    next: BTreeMap<String, u64>,
    /// The same, as far as the target's machine has acknowledged them on a connection that was open afterwards.
    taken: BTreeMap<String, u64>,
    /// When nothing was on its way that was not acknowledged, the last time.
    idle: Instant,
    /// How many of its connections in a row have ended by the other side's closing its half, up to [`ENDS_MAX`].
    ends: u32,
    /// How far had been sent when this connection's other side was first seen to have closed its half.
    ended_at: Option<BTreeMap<String, u64>>,
    wait: Duration,
    due: Instant,
}

/// What init's ring has of one service from some line on.
#[derive(Debug, Deserialize)]
struct Lines {
    lines: Vec<String>,
    /// When each of them came, in milliseconds since boot.
    times_ms: Vec<u64>,
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
        let (next, taken, now) = (BTreeMap::new(), BTreeMap::new(), Instant::now());
        Some(Self {
            format,
            place: place.to_owned(),
            stream: None,
            next,
            taken,
            idle: now,
            ends: 0,
            ended_at: None,
            wait: LOOK,
            due: now,
        })
    }

    /// Sends what is new. A target that takes nothing is left alone for longer each time.
    fn turn(&mut self, host: &str, services: &[String]) {
        if Instant::now() < self.due {
            return;
        }
        match self.check().and_then(|()| services.iter().try_for_each(|service| self.send_new(host, service)))
        {
            // What was written is not taken yet: where a target hangs up on it each time, the wait grows all the same.
            Ok(()) => {}
            Err(error) => {
                eprintln!("{}: {error}", self.place);
                self.give_up();
            }
        }
    }

    /// Looks whether the connection still stands, and how far the target has taken what was sent before.
    ///
    /// That the other side has closed its half is an end: behind a proxy, which acknowledges bytes that its own other side
    /// no longer takes, nothing else tells it. But where each connection is closed like that ([`ENDS_MAX`]), it still
    /// reads, and only a reset is an end: else the same lines would be sent again and again, and none after them.
    ///
    /// # Errors
    /// One clause, where it does not, or where the target has acknowledged nothing for [`SILENCE_MAX`].
    fn check(&mut self) -> Result<(), String> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let speaks = tcp::check_open(stream).map_err(|error| {
            self.ends = 0;
            format!("the connection is gone: {error}")
        })?;
        if !speaks && self.ends < ENDS_MAX {
            self.ends += 1;
            return Err("the connection is gone: the other side has closed it".to_owned());
        }
        if tcp::unacknowledged_bytes(stream).is_ok_and(|bytes| bytes == 0) {
            self.idle = Instant::now();
            self.ends = if speaks { 0 } else { ENDS_MAX };
            // Only what was sent after an end tells one that still reads from one that is gone, which answers it by a reset.
            if speaks || *self.ended_at.get_or_insert_with(|| self.next.clone()) != self.next {
                self.wait = LOOK;
                self.taken.clone_from(&self.next);
            }
        }
        let silent = self.idle.elapsed() >= SILENCE_MAX;
        if silent {
            Err(format!("it has acknowledged nothing for {} s", SILENCE_MAX.as_secs()))
        } else {
            Ok(())
        }
    }

    /// Closes the connection, and goes back to what was taken.
    fn give_up(&mut self) {
        (self.stream, self.ended_at) = (None, None);
        self.next.clone_from(&self.taken);
        self.due = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(WAIT_MAX);
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
        let clocks = (SystemTime::now(), now_ms());
        let first_ms = new.times_ms.first().copied().unwrap_or(clocks.1);
        let notice = notice.iter().map(|line| (first_ms, line));
        let bytes: Vec<u8> = notice
            .chain(new.times_ms.iter().copied().zip(&new.lines))
            .flat_map(|(time_ms, line)| self.format.frame(&came(clocks, time_ms), host, service, line))
            .collect();
        self.stream()?.write_all(&bytes).map_err(|error| {
            self.ends = 0;
            format!("it takes no lines: {error}")
        })?;
        self.next.insert(service.to_owned(), new.first + new.lines.len() as u64);
        Ok(())
    }

    fn stream(&mut self) -> Result<&mut TcpStream, String> {
        if self.stream.is_none() {
            let failed = |error: std::io::Error| format!("it cannot be reached: {error}");
            let addresses = self.place.to_socket_addrs().map_err(failed)?.take(ADDRESSES_MAX);
            let mut stream = Err("its name has no address".to_owned());
            for address in addresses {
                stream = TcpStream::connect_timeout(&address, STEP).map_err(failed);
                if stream.is_ok() {
                    break;
                }
            }
            let stream = stream?;
            stream.set_write_timeout(Some(STEP)).map_err(failed)?;
            self.stream = Some(stream);
            self.idle = Instant::now();
        }
        self.stream.as_mut().ok_or_else(|| "it cannot be reached".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn lines_arrive_framed_and_what_was_lost_is_told_in_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let mut target = Target::new(&format!("syslog {place}")).unwrap();
        let lines = |first, lines: &[&str]| Lines {
            first,
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            times_ms: vec![0; lines.len()],
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

    fn one() -> Lines {
        Lines { first: 0, lines: vec!["one".to_owned()], times_ms: vec![now_ms()] }
    }

    #[test]
    fn what_a_target_has_not_taken_when_it_closes_is_sent_again_and_what_it_has_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut target = Target::new(&format!("json {}", listener.local_addr().unwrap())).unwrap();
        target.send("node", "agent", 0, &one()).unwrap();
        let (mut first, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&mut first).read_line(&mut line).unwrap();
        assert!(line.contains("one"), "{line}");
        while target.taken.is_empty() {
            target.check().unwrap();
        }
        target
            .send("node", "agent", 1, &Lines { first: 1, lines: vec!["two".to_owned()], times_ms: vec![0] })
            .unwrap();
        // It closes with the second line unread.
        drop(first);
        let error = loop {
            match target.check() {
                Ok(()) => target.taken = BTreeMap::from([("agent".to_owned(), 1)]),
                Err(error) => break error,
            }
        };
        assert!(error.starts_with("the connection is gone"), "{error}");
        target.give_up();
        assert_eq!(target.next["agent"], 1);
        assert!(target.stream.is_none() && target.due > Instant::now());
    }

    #[test]
    fn a_target_that_only_reads_gets_each_line_after_a_few_tries_and_not_the_first_one_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut target = Target::new(&format!("json {}", listener.local_addr().unwrap())).unwrap();
        // Connects, sends what was not taken, and waits until the other side's end has come.
        let connect = |target: &mut Target| {
            target.send("node", "agent", 0, &one()).unwrap();
            let (other, _) = listener.accept().unwrap();
            other.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(target.stream.as_ref().unwrap().peek(&mut [0]).unwrap(), 0);
            BufReader::new(other)
        };
        let read = |other: &mut BufReader<TcpStream>| {
            let mut line = String::new();
            other.read_line(&mut line).unwrap();
            line
        };
        for _ in 0..ENDS_MAX {
            let mut other = connect(&mut target);
            assert!(read(&mut other).contains("one"));
            assert!(target.check().unwrap_err().contains("the other side has closed it"));
            target.give_up();
        }
        let mut other = connect(&mut target);
        assert!(read(&mut other).contains("one"));
        while target.ended_at.is_none() {
            target.check().unwrap();
        }
        assert!(target.taken.is_empty(), "it may have gone");
        let two = Lines { first: 1, lines: vec!["two".to_owned()], times_ms: vec![0] };
        target.send("node", "agent", 1, &two).unwrap();
        assert!(read(&mut other).contains("two"));
        while target.taken.get("agent") != Some(&2) {
            target.check().unwrap();
        }
        // It does not read any more either: that is told by a reset, and the next connection is judged anew.
        drop(other);
        let more = || Lines { first: 2, ..one() };
        while target.check().is_ok() && target.send("node", "agent", 2, &more()).is_ok() {}
        assert_eq!(target.ends, 0);
    }

    #[test]
    fn a_target_that_is_not_there_loses_nothing_but_time() {
        let (place, _holder) = tcp::tests::nobody();
        let mut target = Target::new(&format!("json {place}")).unwrap();
        assert!(target.send("node", "agent", 0, &one()).is_err());
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
