//! How fast the program is over loopback, and what that costs in CPU and memory: a measurement, run by hand with
//! `cargo test --release -p imbrex-drive --test loopback_speed -- --ignored --nocapture`.
//!
//! The drive is a file: puts wait for the disk under it, as `IMBREX_SPEED_DIRECTORY` chooses it.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a test may stop where something cannot be"
)]

mod support;

use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use support::http::Client;
use support::payload::{bytes_of, path_of};
use support::process::start;

/// Bytes that each line of the table puts and gets.
const BYTES: u64 = 1 << 30;
/// The kernel counts CPU time in hundredths of a second.
const TICKS_PER_S: f64 = 100.0;

/// User and system time of a process in seconds.
fn cpu_s(child: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
    f64::from(ticks) / TICKS_PER_S
}

fn memory(child: &Child, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Runs `work` for each of `clients` connections at once; gives MB/s and CPU seconds per GB.
fn measure(
    child: &Child,
    address: SocketAddr,
    clients: u64,
    work: impl Fn(&mut Client, u64) + Sync,
) -> (f64, f64) {
    let (cpu, began) = (cpu_s(child), Instant::now());
    std::thread::scope(|scope| {
        for client in 0..clients {
            let work = &work;
            scope.spawn(move || work(&mut Client::connect(address).unwrap(), client));
        }
    });
    let gb = BYTES as f64 / 1e9;
    (gb * 1e3 / began.elapsed().as_secs_f64(), (cpu_s(child) - cpu) / gb)
}

#[test]
#[ignore = "a measurement, not a proof"]
fn loopback_speed() {
    let directory = match std::env::var_os("IMBREX_SPEED_DIRECTORY") {
        Some(path) => tempfile::tempdir_in(PathBuf::from(path)).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let (mut child, address) = start(&directory.path().join("drive"), &["--size", "16GiB"], Stdio::null());
    std::thread::sleep(Duration::from_millis(500));
    println!("idle: {} MiB resident", memory(&child, "VmRSS"));
    println!("block  clients     put MB/s  CPU s/GB     get MB/s  CPU s/GB");
    let mut line = 0;
    for block_bytes in [1_u64 << 20, 4 << 20] {
        for clients in [1, 8] {
            line += 1;
            let count = BYTES / block_bytes / clients;
            let block = block_bytes as usize;
            let body = bytes_of(line, block);
            let seed = |client: u64, number: u64| line << 40 | client << 20 | number;
            let put = measure(&child, address, clients, |connection, client| {
                for number in 0..count {
                    let answer = connection.put(&path_of(seed(client, number)), &body).unwrap();
                    assert_eq!(answer.status, 201, "{answer:?}");
                }
            });
            let get = measure(&child, address, clients, |connection, client| {
                let mut taken = vec![0; block];
                for number in 0..count {
                    connection.send_head("GET", &path_of(seed(client, number)), &[]).unwrap();
                    let mut header = String::new();
                    while header != "\r\n" {
                        header.clear();
                        connection.stream.read_line(&mut header).unwrap();
                    }
                    connection.stream.read_exact(&mut taken).unwrap();
                }
            });
            println!(
                "{} MiB  {clients:>7}     {:>8.0}  {:>8.2}     {:>8.0}  {:>8.2}",
                block_bytes >> 20,
                put.0,
                put.1,
                get.0,
                get.1
            );
        }
    }
    println!("under load: {} MiB resident at most", memory(&child, "VmHWM"));
    child.kill().unwrap();
    child.wait().unwrap();
}
