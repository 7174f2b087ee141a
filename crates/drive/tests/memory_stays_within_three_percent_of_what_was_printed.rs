//! The program prints at start what memory it takes. It has all of it then, and takes no more however it is used: as many
//! connections as it allows, blocks of all sizes, slow senders and slow readers, of blocks and of lists, long heads,
//! deletions, reclaim, scrub.
//!
//! A measurement of a whole process (proc(5): `VmHWM` of `/proc/PID/status`), of a program built for release.
#![expect(clippy::unwrap_used, reason = "a test may stop where something cannot be")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBuf;
use support::http::Client;
use support::payload::{Random, bytes_of, path_of};
use support::process::start;

/// As many as the program takes over TCP, but for the one that looks on.
const CONNECTIONS: u64 = 255;
/// What each of them does, one after another; and on the drive with large zones, where nothing is to be reclaimed.
const OPERATIONS: u64 = 40;
const OPERATIONS_LARGE_ZONES: u64 = 10;
/// What may be missing at start and what may be taken more under load, in percent of what was printed.
const TOLERANCE_PERCENT: u64 = 3;
/// What both drives are started with.
const OPTIONS: [&str; 12] = [
    "--memory",
    "96MiB",
    "--blocks-max",
    "100000",
    "--trash-rest",
    "0s",
    "--checkpoint-every",
    "64MiB",
    "--deadline",
    "2s",
    "--scrub-period",
    "1m",
];

/// Many zones, so that there is much to reclaim.
const SMALL_ZONES: [&str; 4] = ["--size", "512MiB", "--zone-size", "16MiB"];
/// Zones of a disk's size, whose tables of entries are as large as they can be.
const LARGE_ZONES: [&str; 4] = ["--size", "4GiB", "--zone-size", "256MiB"];

/// Starts the program; gives its address and what it says that it takes, in KiB.
fn start_and_read_budget(file: &std::path::Path, shape: &[&str]) -> (Child, SocketAddr, u64, Vec<String>) {
    let options = [shape, &OPTIONS].concat();
    let (mut child, address) = start(file, &options, Stdio::piped());
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut budget = Vec::new();
    for line in log.by_ref().skip_while(|line| !line.contains("memory, taken at start")).skip(1) {
        let is_sum = line.starts_with("in all");
        budget.push(line);
        if is_sum {
            break;
        }
    }
    // Whatever else it has to say must not fill the pipe.
    std::thread::spawn(move || log.for_each(drop));
    let sum = budget.last().and_then(|line| line.split_whitespace().rev().nth(1)).unwrap().parse().unwrap();
    (child, address, sum, budget)
}

fn memory_kib(child: &Child, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn length_of(random: &mut Random) -> usize {
    let length = match random.below(40) {
        0 => 4 << 20,
        1..=3 => 1 << 20,
        4..=13 => 100_000,
        _ => random.below(5_000),
    };
    usize::try_from(length).unwrap()
}

/// One connection's doings; whatever is refused for want of room or memory is as good as done.
fn load(
    address: SocketAddr,
    (number, operations): (u64, u64),
    answers: &AtomicU64,
    refused: &AtomicU64,
    bytes: &[u8],
) {
    let mut random = Random::new(number);
    let mut client = Client::connect(address).unwrap();
    let mut stored = Vec::new();
    for operation in 0..operations {
        let seed = number << 20 | operation;
        let answer = match random.below(8) {
            0 => client.get("/v1/blocks?limit=2000"),
            1 | 2 if !stored.is_empty() => client.get(&path_of(stored[0])),
            3 | 4 | 6 | 7 if stored.len() > 2 => client.delete(&path_of(stored.remove(0))),
            5 if stored.len() < 2 => {
                stored.push(seed);
                slowly(&mut client, seed, bytes)
            }
            _ => {
                let length = length_of(&mut random);
                let from = usize::try_from(random.below(1 << 20)).unwrap();
                let answer = client.put(&path_of(seed), &bytes[from..from + length]);
                stored.extend(answer.as_ref().is_ok_and(|answer| answer.status == 201).then_some(seed));
                answer
            }
        };
        match answer.map(|answer| answer.status) {
            Ok(200..=204 | 404) => answers.fetch_add(1, Ordering::Relaxed),
            // The connection may have ended with its answer.
            Ok(_) | Err(_) => {
                client = Client::connect(address).unwrap();
                refused.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

/// An upload in pieces, with a pause in between.
fn slowly(client: &mut Client, seed: u64, bytes: &[u8]) -> std::io::Result<support::http::Answer> {
    client.send_head("PUT", &path_of(seed), &[("Content-Length", "300000")])?;
    for piece in bytes[..300_000].chunks(50_000) {
        client.send(piece)?;
        std::thread::sleep(Duration::from_millis(10));
    }
    client.read_answer(true)
}

/// Small blocks, enough for a list of the largest size.
fn fill(address: SocketAddr) {
    std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = Client::connect(address).unwrap();
                for block in 0..OPERATIONS {
                    // One that is refused leaves others.
                    let _ = client.put(&path_of(1 << 60 | number << 20 | block), &[7; 10]);
                }
            });
        }
    });
}

/// Lists that are asked for by all at once, some of them with a long head, who take next to nothing of them; gives how
/// many were answered, and how many refused.
fn slow_listers(address: SocketAddr) -> (u64, u64) {
    let ask = |number: u64| {
        let mut client = Client::connect(address).unwrap();
        setsockopt(client.stream.get_ref(), RcvBuf, &4096).unwrap();
        let path = if number.is_multiple_of(16) { "/v1/zones" } else { "/v1/blocks?limit=10000" };
        let filler = "f".repeat(if number.is_multiple_of(5) { 7_000 } else { 100 });
        client.send_head("GET", path, &[("Filler", &filler)]).unwrap();
        client
    };
    let clients: Vec<_> = (0..CONNECTIONS).map(ask).collect();
    // Longer than a list waits for room.
    std::thread::sleep(Duration::from_millis(1_500));
    let mut counts = (0, 0);
    for mut client in clients {
        let mut line = String::new();
        client.stream.read_line(&mut line).unwrap();
        match line.split(' ').nth(1) {
            Some("200") => counts.0 += 1,
            Some("503") => counts.1 += 1,
            _ => panic!("a list was answered {line:?}"),
        }
    }
    counts
}

/// A block that is asked for by all at once, who do not take it for a while.
fn slow_readers(address: SocketAddr, path: &str) {
    let barrier = Barrier::new(usize::try_from(CONNECTIONS).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::connect(address).unwrap();
                client.send_head("GET", path, &[]).unwrap();
                barrier.wait();
                std::thread::sleep(Duration::from_millis(300));
                let mut some = vec![0; 500_000];
                // It may have been refused, which is a shorter answer; the rest of the block is given up.
                let _ = client.stream.read(&mut some);
            });
        }
    });
}

/// Starts the program over a new drive of that shape, does all that to it, and holds its memory against what it printed.
fn hold_to_what_is_printed(shape: &[&str], operations: u64) {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, address, printed_kib, budget) =
        start_and_read_budget(&directory.path().join("drive"), shape);
    let begun_kib = memory_kib(&child, "VmRSS:");
    let bytes = bytes_of(7, 6 << 20);
    let (answers, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let path = path_of(u64::MAX);
    assert_eq!(Client::connect(address).unwrap().put(&path, &bytes[..2 << 20]).unwrap().status, 201);
    std::thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let (answers, refused, bytes) = (&answers, &refused, &bytes);
            scope.spawn(move || load(address, (number, operations), answers, refused, bytes));
        }
    });
    slow_readers(address, &path);
    fill(address);
    let (listed, lists_refused) = slow_listers(address);
    let stats = Client::connect(address).unwrap().get("/v1/stats").unwrap().json();
    let most_kib = memory_kib(&child, "VmHWM:");
    child.kill().unwrap();
    child.wait().unwrap();
    budget.iter().for_each(|line| println!("{line}"));
    println!("{listed} lists given, {lists_refused} refused");
    assert!(listed > 0, "no list was given");
    println!("resident at start {begun_kib} KiB, under load {most_kib} KiB at most");
    println!(
        "{} answers, {} refused or cut off; {} zones reset, {} blocks moved",
        answers.into_inner(),
        refused.into_inner(),
        stats["zones_reset"],
        stats["moved_blocks"]
    );
    assert!(stats["puts"].as_u64().unwrap() > CONNECTIONS, "there was no load: {stats}");
    let tolerance_kib = printed_kib * TOLERANCE_PERCENT / 100;
    assert!(
        begun_kib.abs_diff(printed_kib) <= tolerance_kib,
        "{printed_kib} KiB were printed, {begun_kib} taken at start"
    );
    assert!(
        most_kib.abs_diff(printed_kib) <= tolerance_kib,
        "{printed_kib} KiB were printed, {most_kib} taken under load"
    );
}

#[test]
fn memory_stays_within_three_percent_of_what_was_printed() {
    hold_to_what_is_printed(&SMALL_ZONES, OPERATIONS);
    hold_to_what_is_printed(&LARGE_ZONES, OPERATIONS_LARGE_ZONES);
}
