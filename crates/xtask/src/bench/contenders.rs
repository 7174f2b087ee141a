//! What a user would pick instead, on the same disk with the same durability, and what the disk gives there.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::bench::Sizes;
use crate::bench::compare_program::{CompareProgram, arguments};
use crate::bench::disk_rate::Place;
use crate::bench::fio::{self, Job, Pattern};
use crate::bench::mounted_image::{FileSystem, MountedImage};
use crate::step::Step;

/// Each contender, and the file system that it gets: XFS but for the one that is about ext4.
const CONTENDERS: [(&str, FileSystem); 5] = [
    ("imbrex", FileSystem::Xfs),
    ("xfs", FileSystem::Xfs),
    ("ext4", FileSystem::Ext4),
    ("rocksdb", FileSystem::Xfs),
    ("fjall", FileSystem::Xfs),
];

/// How long a run of one contender may take, in units of a phase's time: 14 phases, two of which may take 15 times as
/// long, and what is settled after each. What it has told until then stands.
const PHASES_MAX: f64 = 70.0;

/// Runs every contender with every block size; hands over each line of JSON as it comes.
///
/// # Errors
/// Where a file system cannot be made, or a program cannot be started. A contender that fails has a line that says so.
pub fn run(
    program: &CompareProgram,
    directory: &Path,
    sizes: &Sizes,
    seed: u64,
    mut tell: impl FnMut(Value),
) -> Result<()> {
    for &block_bytes in &sizes.comparison_block_bytes {
        limits(directory, sizes, block_bytes, &mut tell)?;
        for (name, system) in CONTENDERS {
            let step = Step::begin(format!("{name} with blocks of {} KiB", block_bytes >> 10));
            let image = MountedImage::make(directory, sizes.comparison_disk_bytes, system)?;
            let mut options = vec![
                ("contender", name.to_owned()),
                ("folder", image.folder().display().to_string()),
                ("block-device", image.block_device().to_owned()),
                ("block-bytes", block_bytes.to_string()),
                ("seconds", sizes.comparison_phase_s.to_string()),
                ("seed", seed.to_string()),
            ];
            if sizes.comparison_aged {
                options.push(("aged", String::new()));
            }
            let time_max = Duration::from_secs_f64(sizes.comparison_phase_s * PHASES_MAX + 20.0);
            let printed = program.run(&Place::unlimited(), &arguments("store", &options), time_max)?;
            let lines = printed.lines.len();
            printed.lines.into_iter().for_each(&mut tell);
            if let Some(failure) = printed.failure {
                tell(json!({ "contender": name, "block_bytes": block_bytes, "failure": failure }));
            }
            drop(image);
            step.done(&format!("{lines} lines"));
        }
    }
    Ok(())
}

/// What the file system in which the contenders work gives by itself: the same disk, the same loop device.
fn limits(directory: &Path, sizes: &Sizes, block_bytes: u64, tell: &mut impl FnMut(Value)) -> Result<()> {
    let image = MountedImage::make(directory, sizes.comparison_disk_bytes, FileSystem::Xfs)?;
    let file = image.folder().join("fio");
    let bytes = sizes.comparison_disk_bytes / 2;
    let seconds_max = 1 + Duration::from_secs_f64(sizes.comparison_phase_s).as_secs();
    let job = |pattern, depth| Job {
        pattern,
        block_bytes,
        depth,
        file_bytes: bytes,
        moved_bytes: bytes,
        seconds_max,
    };
    let flushed = Pattern::SequentialWrite { writes_per_flush: 1 };
    let jobs = [
        ("sequential write", Pattern::SequentialWrite { writes_per_flush: 0 }, 4),
        ("sequential write, a flush after each", flushed, 1),
        ("random read", Pattern::RandomRead, 1),
        ("random read", Pattern::RandomRead, 8),
    ];
    for (name, pattern, depth) in jobs {
        let outcome = fio::run(&Place::unlimited(), &file, &job(pattern, depth))?;
        tell(json!({
            "contender": "fio",
            "block_bytes": block_bytes,
            "state": "fresh",
            "phase": name,
            "clients": depth,
            "mb_per_s": outcome.mb_per_s,
            "p50_us": outcome.p50_us,
            "p99_us": outcome.p99_us,
        }));
    }
    Ok(())
}

/// The lines of the comparison as a table for people.
#[must_use]
pub fn table(lines: &[Value]) -> String {
    let mut text = format!(
        "{:>7} {:5} {:8} {:36} {:>7} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7}\n",
        "block",
        "state",
        "who",
        "what",
        "clients",
        "MB/s",
        "p50 ms",
        "p99 ms",
        "CPU s/GB",
        "written",
        "reads/GET",
        "memory MB",
        "fill",
        "used"
    );
    let mut sorted: Vec<&Value> = lines.iter().filter(|line| !line["block_bytes"].is_null()).collect();
    let key = |line: &Value| {
        let state = ["fresh", "aging", "aged"].iter().position(|state| line["state"] == *state).unwrap_or(3);
        (line["block_bytes"].as_u64(), state, phase_rank(line), line["clients"].as_u64())
    };
    // Stable: within a phase the contenders stay in the order in which they ran.
    sorted.sort_by_key(|line| key(line));
    for line in sorted {
        text.push_str(&table_line(line));
    }
    text
}

fn phase_rank(line: &Value) -> usize {
    let phases =
        ["fill", "churn", "sequential write", "sequential write, a flush after each", "ingest", "replace"];
    let later = ["random read", "get", "mixed", "delete"];
    let place = phases.iter().chain(&later).position(|phase| line["phase"] == *phase);
    place.unwrap_or(phases.len() + later.len())
}

fn table_line(line: &Value) -> String {
    let kib = line["block_bytes"].as_u64().unwrap_or(0) >> 10;
    let who = line["contender"].as_str().unwrap_or_default();
    if let Some(failure) = line["failure"].as_str() {
        return format!("{kib:>4}KiB {:5} {who:8} stopped: {failure}\n", "");
    }
    let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str, scale: f64, decimals: usize| match line[name].as_f64() {
        Some(number) => format!("{:.decimals$}", number * scale),
        None => "-".to_owned(),
    };
    format!(
        "{kib:>4}KiB {:5} {who:8} {:36} {:>7} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>7} {:>7}\n",
        word("state"),
        word("phase"),
        line["clients"],
        number("mb_per_s", 1.0, 0),
        number("p50_us", 1e-3, 2),
        number("p99_us", 1e-3, 2),
        number("cpu_s_per_gb", 1.0, 2),
        number("written_per_byte_stored", 1.0, 2),
        number("device_reads_per_get", 1.0, 2),
        number("memory_peak_bytes", 1e-6, 0),
        number("fill", 1.0, 2),
        number("used_per_live_byte", 1.0, 2),
    )
}
