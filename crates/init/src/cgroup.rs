//! A control group (version 2) per service: its limits, and a way to kill all of it.

use imbrex_init::plan::Limits;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes in a mebibyte.
const MEBIBYTE_BYTES: u64 = 1024 * 1024;
const ROOT: &str = "/sys/fs/cgroup";

/// Lets the groups have their own limits. Each controller by itself, since one that the kernel
/// lacks would take the others with it.
pub(crate) fn prepare() {
    for controller in ["+memory", "+pids", "+cpu", "+io"] {
        let _ = fs::write(Path::new(ROOT).join("cgroup.subtree_control"), controller);
    }
}

fn path(service: &str) -> PathBuf {
    Path::new(ROOT).join(service.replace('/', "-"))
}

/// Makes the service's group with its limits, and opens the file through which a process joins it.
/// A controller that the kernel lacks costs its limit, not the group.
///
/// # Errors
/// Where there are no control groups; the service then runs without one.
pub(crate) fn open(service: &str, limits: &Limits) -> io::Result<File> {
    let path = path(service);
    match fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for (file, value) in settings(limits) {
        let _ = fs::write(path.join(file), value);
    }
    OpenOptions::new().write(true).open(path.join("cgroup.procs"))
}

/// The files of a group, and what is written to each.
fn settings(limits: &Limits) -> Vec<(&'static str, String)> {
    let bytes = |mib: Option<u64>| mib.map(|mib| mib.saturating_mul(MEBIBYTE_BYTES).to_string());
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let files = [
        ("memory.min", bytes(limits.memory_min_mib)),
        ("memory.high", bytes(limits.memory_high_mib)),
        ("memory.max", bytes(limits.memory_max_mib)),
        // One process over the wall takes its whole service with it, not half of it.
        ("memory.oom.group", limits.memory_max_mib.map(|_| "1".to_owned())),
        ("pids.max", number(limits.pids_max)),
        ("io.weight", number(limits.io_weight)),
        ("cpu.weight", number(limits.cpu_weight)),
    ];
    files.into_iter().filter_map(|(file, value)| Some((file, value?))).collect()
}

/// Kills every process of the service; whether that was possible.
pub(crate) fn kill(service: &str) -> bool {
    fs::write(path(service).join("cgroup.kill"), "1").is_ok()
}

/// How often the kernel has killed this service for want of memory.
pub(crate) fn oom_kills(service: &str) -> u64 {
    count_oom_kills(&fs::read_to_string(path(service).join("memory.events")).unwrap_or_default())
}

/// Where the group is killed as a whole, that is what counts: `oom_kill` has the victim twice then.
fn count_oom_kills(events: &str) -> u64 {
    let number = |key: &str| {
        let mut fields = events.lines().filter_map(|line| line.split_once(' '));
        fields.find(|(name, _)| *name == key).and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
    };
    match number("oom_group_kill") {
        0 => number("oom_kill"),
        groups => groups,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_was_killed_as_a_whole_was_killed_once() {
        let events = |group| format!("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill {group}\n");
        assert_eq!((count_oom_kills(&events(1)), count_oom_kills(&events(0))), (1, 2));
        assert_eq!(count_oom_kills(""), 0);
    }

    #[test]
    fn what_a_manifest_does_not_limit_is_left_to_the_kernel() {
        assert_eq!(settings(&Limits::default()), []);
        let limits = Limits { memory_max_mib: Some(2), pids_max: Some(7), ..Limits::default() };
        let expected = [("memory.max", "2097152"), ("memory.oom.group", "1"), ("pids.max", "7")];
        assert_eq!(settings(&limits), expected.map(|(file, value)| (file, value.to_owned())));
    }
}
