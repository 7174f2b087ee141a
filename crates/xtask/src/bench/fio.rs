//! `fio`: what the disk itself gives, on the same file system and in the same run.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::disk_rate::Place;
use crate::command::output_of;

/// How the disk is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// From the first byte on, with an `fdatasync` after every so many writes (0: at the end only).
    SequentialWrite {
        /// The number of writes.
        writes_per_flush: u64,
    },
    /// At random.
    RandomRead,
}

/// One job.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// How.
    pub pattern: Pattern,
    /// The size of each read or write in bytes.
    pub block_bytes: u64,
    /// How many are under way at once.
    pub depth: u64,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// How many bytes are moved at most.
    pub moved_bytes: u64,
    /// After how many seconds it ends in any case.
    pub seconds_max: u64,
}

/// What it gave.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Bytes a second, in millions.
    pub mb_per_s: f64,
    /// The time within which half of the operations ended, in microseconds.
    pub p50_us: f64,
    /// The time within which 99 of 100 ended, in microseconds.
    pub p99_us: f64,
}

/// Runs a job by `io_uring` and `O_DIRECT` on `file`, which it makes where it is not there.
///
/// # Errors
/// Where fio fails, or prints something else than it should.
pub fn run(place: &Place, file: &Path, job: &Job) -> Result<Outcome> {
    let mut command = Command::new("fio");
    command.args(["--name=limit", "--output-format=json", "--ioengine=io_uring", "--direct=1"]);
    command.args(["--randrepeat=1", "--randseed=7", "--fallocate=posix", "--invalidate=1"]);
    command.arg(format!("--filename={}", file.display()));
    command.arg(format!("--bs={}", job.block_bytes)).arg(format!("--iodepth={}", job.depth));
    command.arg(format!("--size={}", job.file_bytes)).arg(format!("--io_size={}", job.moved_bytes));
    command.arg(format!("--runtime={}", job.seconds_max));
    let side = match job.pattern {
        Pattern::SequentialWrite { writes_per_flush } => {
            command.args(["--rw=write", "--end_fsync=1"]);
            if writes_per_flush > 0 {
                command.arg(format!("--fdatasync={writes_per_flush}"));
            }
            "write"
        }
        Pattern::RandomRead => {
            command.arg("--rw=randread");
            "read"
        }
    };
    let output = output_of(&mut place.command(&command))?;
    parse(&output, side)
}

fn parse(output: &[u8], side: &str) -> Result<Outcome> {
    // Warnings may stand before the JSON.
    let begin = output.iter().position(|byte| *byte == b'{').context("fio printed no JSON")?;
    let value: Value = serde_json::from_slice(&output[begin..]).context("fio printed broken JSON")?;
    let side = &value["jobs"][0][side];
    let number = |value: &Value, what: &str| value.as_f64().with_context(|| format!("fio gave no {what}"));
    let percentiles = &side["clat_ns"]["percentile"];
    Ok(Outcome {
        mb_per_s: number(&side["bw_bytes"], "bandwidth")? / 1e6,
        p50_us: number(&percentiles["50.000000"], "median latency")? / 1e3,
        p99_us: number(&percentiles["99.000000"], "p99 latency")? / 1e3,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn bandwidth_and_latency_are_found_behind_a_warning() {
        let text = br#"fio: a warning
{"jobs": [{"read": {"bw_bytes": 250000000, "clat_ns": {"percentile": {"50.000000": 8000, "99.000000": 20000}}}}]}"#;
        let outcome = parse(text, "read").unwrap();
        assert_eq!((outcome.mb_per_s, outcome.p50_us, outcome.p99_us), (250.0, 8.0, 20.0));
        assert!(parse(text, "write").is_err());
        assert!(parse(b"no", "read").is_err());
    }
}
