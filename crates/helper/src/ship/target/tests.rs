//! A target on a connection of this machine, and a clock that only the test moves.

use super::*;
use crate::tcp;
use std::io::{BufRead, BufReader, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::yield_now;

/// A clock that stands still until it is moved.
#[derive(Clone)]
struct Time(Arc<Mutex<Instant>>);

impl Time {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

fn target(kind: &str, place: impl std::fmt::Display) -> (Target, Time) {
    let time = Time(Arc::new(Mutex::new(Instant::now())));
    let read = time.clone();
    let clock = Box::new(move || *read.0.lock().unwrap());
    (Target::with_clock(&format!("{kind} {place}"), clock).unwrap(), time)
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn lines(first: u64, lines: &[&str]) -> Lines {
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    Lines { first, times_ms: vec![0; lines.len()], lines }
}

fn read_line(other: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    other.read_line(&mut line).unwrap();
    line
}

/// How much of what was written is not acknowledged, in bytes; none without a connection.
fn on_its_way_bytes(target: &Target) -> u32 {
    let connection = target.connection.as_ref();
    connection.map_or(0, |connection| tcp::unacknowledged_bytes(connection.stream()).unwrap())
}

/// Lets what was sent be acknowledged and the connection stand for the looks after that.
fn stand(target: &mut Target, time: &Time) {
    while on_its_way_bytes(target) > 0 {
        yield_now();
    }
    for _ in 0..2 {
        time.pass(LOOK);
        target.check().unwrap();
    }
}

#[test]
fn lines_arrive_framed_and_what_was_lost_is_told_in_its_place() {
    let listener = listen();
    let (mut target, _) = target("syslog", listener.local_addr().unwrap());
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
fn what_a_target_has_not_taken_when_it_closes_is_sent_again_and_what_it_has_is_not() {
    let listener = listen();
    let (mut target, time) = target("json", listener.local_addr().unwrap());
    target.send("node", "agent", 0, &lines(0, &["one"])).unwrap();
    let mut first = BufReader::new(listener.accept().unwrap().0);
    assert!(read_line(&mut first).contains("one"));
    stand(&mut target, &time);
    assert_eq!(target.taken["agent"], 1);
    target.send("node", "agent", 1, &lines(1, &["two"])).unwrap();
    // It closes with the second line unread.
    drop(first);
    let error = loop {
        if let Err(error) = target.check() {
            break error;
        }
    };
    assert!(error.starts_with("the connection is gone"), "{error}");
    target.give_up();
    assert_eq!(target.next["agent"], 1);
    assert!(target.connection.is_none() && target.due > (target.clock)());
}

#[test]
fn a_target_that_only_reads_gets_each_line_after_a_few_tries_and_not_the_first_one_for_ever() {
    let listener = listen();
    let (mut target, time) = target("json", listener.local_addr().unwrap());
    // Connects, sends what was not taken, and waits until the other side's end has come.
    let connect = |target: &mut Target| {
        target.send("node", "agent", 0, &lines(0, &["one"])).unwrap();
        let (other, _) = listener.accept().unwrap();
        other.shutdown(Shutdown::Write).unwrap();
        while target.connection.as_ref().unwrap().stream().peek(&mut [0]).is_err() {
            yield_now();
        }
        BufReader::new(other)
    };
    for _ in 0..ENDS_MAX {
        let mut other = connect(&mut target);
        assert!(read_line(&mut other).contains("one"));
        assert!(target.check().unwrap_err().contains("the other side has closed it"));
        target.give_up();
    }
    let mut other = connect(&mut target);
    assert!(read_line(&mut other).contains("one"));
    stand(&mut target, &time);
    assert!(target.taken.is_empty(), "it may have gone");
    target.send("node", "agent", 1, &lines(1, &["two"])).unwrap();
    assert!(read_line(&mut other).contains("two"));
    stand(&mut target, &time);
    assert_eq!(target.taken.get("agent"), Some(&2));
    // It does not read any more either: that is told by a reset, and the next connection is judged anew.
    drop(other);
    while target.check().is_ok() && target.send("node", "agent", 2, &lines(2, &["three"])).is_ok() {}
    assert_eq!(target.ends, 0);
}

#[test]
fn a_target_that_is_not_there_loses_nothing_but_time() {
    let (place, _holder) = tcp::tests::nobody();
    let (mut target, _) = target("json", place);
    assert!(target.send("node", "agent", 0, &lines(0, &["one"])).is_err());
    assert!(target.next.is_empty());
}

/// So many services, each with so many lines of a kilobyte.
struct Backlog {
    services: u64,
    lines: u64,
}

impl Rings for Backlog {
    fn services(&self) -> Result<Vec<String>, String> {
        Ok((0..self.services).map(|service| format!("drive@{service:02}")).collect())
    }

    fn lines(&self, service: &str, from: u64) -> Result<Lines, String> {
        let lines = (from..self.lines).map(|line| format!("{service} {line:04} {}", "x".repeat(1_000)));
        let lines: Vec<String> = lines.collect();
        Ok(Lines { first: from, times_ms: vec![0; lines.len()], lines })
    }
}

#[test]
fn a_target_that_reads_slowly_gets_each_line_once_however_long_it_takes() {
    let listener = listen();
    tcp::tests::hold_little(&listener);
    let (mut target, time) = target("json", listener.local_addr().unwrap());
    let backlog = Backlog { services: 20, lines: 1_000 };
    let (mut text, mut rounds) = (Vec::new(), 0_u32);
    let mut other = None;
    loop {
        target.turn("node", &backlog);
        assert!(target.connection.is_some(), "it was given up after {rounds} rounds");
        let sent = target.next.values().filter(|next| **next == backlog.lines).count() as u64;
        if sent == backlog.services && !target.is_full() {
            break;
        }
        let other = other.get_or_insert_with(|| listener.accept().unwrap().0);
        // It reads until a little more is acknowledged. Not all of it ever is, and the time goes on.
        let before_bytes = on_its_way_bytes(&target);
        while before_bytes > 0 && on_its_way_bytes(&target) == before_bytes {
            let mut piece = [0; 16_384];
            let length = other.read(&mut piece).unwrap();
            text.extend_from_slice(&piece[..length]);
        }
        time.pass(SILENCE_MAX * 5 / 6);
        rounds += 1;
    }
    assert!(rounds > 2, "all of it went at once");
    assert!(target.taken.len() > 2, "the first of it was taken long ago: {:?}", target.taken);
    drop(target);
    other.unwrap().read_to_end(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let came: std::collections::BTreeSet<&str> = text.lines().collect();
    let lines = usize::try_from(backlog.services * backlog.lines).unwrap();
    assert_eq!((text.lines().count(), came.len()), (lines, lines));
    assert!(!text.contains("lost here"));
}

#[test]
fn a_target_that_takes_not_one_byte_more_is_given_up_after_its_time_and_not_before() {
    let listener = listen();
    tcp::tests::hold_little(&listener);
    let (mut target, time) = target("json", listener.local_addr().unwrap());
    let backlog = Backlog { services: 20, lines: 1_000 };
    assert_eq!(target.turn("node", &backlog), LOOK_FULL);
    let mut rounds = 0;
    while target.connection.is_some() {
        assert_eq!(target.wait, LOOK);
        time.pass(SILENCE_MAX / 3);
        rounds += 1;
        target.turn("node", &backlog);
    }
    assert!(rounds >= 3, "{rounds} rounds of 10 s");
    assert_eq!(target.next, target.taken, "the rest is sent again");
}

#[test]
fn what_init_does_not_answer_is_no_fault_of_the_targets() {
    struct Silent;
    impl Rings for Silent {
        fn services(&self) -> Result<Vec<String>, String> {
            Ok(vec!["agent".to_owned()])
        }
        fn lines(&self, _: &str, _: u64) -> Result<Lines, String> {
            Err("init does not answer".to_owned())
        }
    }
    let listener = listen();
    let (mut target, _) = target("json", listener.local_addr().unwrap());
    target.send("node", "agent", 0, &lines(0, &["one"])).unwrap();
    assert_eq!(target.turn("node", &Silent), LOOK);
    assert!(target.connection.is_some() && target.next["agent"] == 1);
}
