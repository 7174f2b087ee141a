//! What the kernel says of the node in procfs.

use std::path::Path;

use imbrex_api::node::Memory;

use crate::file::{read_bounded, read_line};

/// Files of procfs are short; more than this is not read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The kernel's release.
pub(crate) fn kernel_release(procfs: &Path) -> Option<String> {
    read_line(&procfs.join("sys/kernel/osrelease"))
}

/// What tells this boot from all others.
pub(crate) fn boot_id(procfs: &Path) -> Option<String> {
    read_line(&procfs.join("sys/kernel/random/boot_id"))
}

/// Milliseconds since the kernel started.
pub(crate) fn uptime_ms(procfs: &Path) -> Option<u64> {
    let line = read_line(&procfs.join("uptime"))?;
    let (seconds, hundredths) = line.split_whitespace().next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = hundredths.parse().ok().filter(|&hundredths| hundredths < 100)?;
    Some(seconds.checked_mul(1000)? + hundredths * 10)
}

/// The node's memory.
pub(crate) fn memory(procfs: &Path) -> Memory {
    let text = read_text(&procfs.join("meminfo")).unwrap_or_default();
    Memory { total_bytes: kibibytes(&text, "MemTotal"), available_bytes: kibibytes(&text, "MemAvailable") }
}

/// Resident memory of this process, in bytes.
pub(crate) fn own_rss_bytes(procfs: &Path) -> Option<u64> {
    kibibytes(&read_text(&procfs.join("self/status"))?, "VmRSS")
}

fn read_text(path: &Path) -> Option<String> {
    String::from_utf8(read_bounded(path, FILE_BYTES_MAX)?).ok()
}

/// The value of a line `NAME: N kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_what_is_missing_is_none() {
        let procfs = tempfile::tempdir().unwrap();
        std::fs::write(procfs.path().join("uptime"), "12.34 5.00\n").unwrap();
        std::fs::write(procfs.path().join("meminfo"), "MemTotal:       2048 kB\nMemFree: 7 kB\n").unwrap();
        assert_eq!(uptime_ms(procfs.path()), Some(12_340));
        assert_eq!(memory(procfs.path()), Memory { total_bytes: Some(2 << 20), available_bytes: None });
        assert_eq!(kernel_release(procfs.path()), None);
    }
}
