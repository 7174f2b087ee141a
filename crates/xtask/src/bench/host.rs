//! What machine the figures are from.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::bench::disk_rate::whole_disk_of;

/// The machine, its disk below `directory`, and when: for the JSON file and the head of the table.
#[must_use]
pub fn describe(directory: &Path) -> Value {
    let cpu = first_value("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory_kib: u64 = first_value("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next().and_then(|number| number.parse().ok()))
        .unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    json!({
        "cpu": cpu,
        "cores": cores,
        "memory_bytes": memory_kib * 1024,
        "kernel": kernel.trim(),
        "disk": disk(directory),
        "directory": directory,
        "measured_at_unix_s": seconds,
        "load_before": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    })
}

/// One line for people.
#[must_use]
pub fn headline(machine: &Value) -> String {
    let gib = machine["memory_bytes"].as_u64().unwrap_or(0) >> 30;
    format!(
        "{} cores of {}, {gib} GiB, Linux {}, disk {}",
        machine["cores"],
        machine["cpu"].as_str().unwrap_or("an unknown CPU"),
        machine["kernel"].as_str().unwrap_or("unknown"),
        machine["disk"].as_str().unwrap_or("unknown"),
    )
}

fn first_value(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn disk(directory: &Path) -> String {
    let Ok(number) = whole_disk_of(directory) else { return "none: the folder lies in memory".to_owned() };
    let entry = Path::new("/sys/dev/block").join(&number);
    let name = entry.canonicalize().ok().and_then(|path| path.file_name().map(|name| name.to_owned()));
    let word = |file: &str| {
        let text = fs::read_to_string(entry.join(file)).unwrap_or_default();
        text.trim().to_owned()
    };
    let sectors: u64 = word("size").parse().unwrap_or(0);
    let virtual_disk = if word("device/vendor").contains("0x") { ", a virtual disk" } else { "" };
    format!(
        "{} of {} GB ({}{virtual_disk}; scheduler {}; cache {})",
        name.unwrap_or_default().to_string_lossy(),
        sectors * 512 / 1_000_000_000,
        if word("queue/rotational") == "1" { "says that it rotates" } else { "says that it does not rotate" },
        word("queue/scheduler"),
        word("queue/write_cache"),
    )
}
