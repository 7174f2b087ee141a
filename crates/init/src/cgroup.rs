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
/// A controller that the kernel lacks costs its limit, not the group; what could not be set is told.
pub(crate) fn open(service: &str, limits: &Limits) -> (Option<File>, Vec<String>) {
    make(&path(service), limits)
}

fn make(path: &Path, limits: &Limits) -> (Option<File>, Vec<String>) {
    let made = fs::create_dir(path)
        .or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) });
    // Who joins a frozen group stands still before it runs, and init waits until it runs.
    let _ = fs::write(path.join("cgroup.freeze"), "0");
    let joined = made.and_then(|()| OpenOptions::new().write(true).open(path.join("cgroup.procs")));
    let group = match joined {
        Ok(group) => group,
        Err(error) => return (None, vec![format!("it runs without any limit: {error}")]),
    };
    let set = |(file, value): (&str, String)| {
        let error = fs::write(path.join(file), &value).err()?;
        Some(format!("{file} cannot be set to {value}: {error}"))
    };
    (Some(group), settings(limits).into_iter().filter_map(set).collect())
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

/// What the kernel did to a service for want of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OutOfMemory {
    /// How often it was killed.
    pub(crate) kills: u64,
    /// How often its own limit had no room left. The machine's memory running out does not count here.
    own: u64,
}

impl OutOfMemory {
    /// What `memory.events` of the service's group tells (cgroup-v2.rst of the kernel).
    pub(crate) fn of(service: &str) -> Self {
        Self::read(&fs::read_to_string(path(service).join("memory.events")).unwrap_or_default())
    }

    fn read(events: &str) -> Self {
        let number = |key: &str| {
            let mut fields = events.lines().filter_map(|line| line.split_once(' '));
            fields.find(|(name, _)| *name == key).and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
        };
        // Where the group is killed as a whole, that is what counts: `oom_kill` has the victim twice then.
        let groups = number("oom_group_kill");
        Self { kills: if groups == 0 { number("oom_kill") } else { groups }, own: number("oom") }
    }

    /// Why the service was killed since `before`, where it was.
    pub(crate) fn since(self, before: Self) -> Option<&'static str> {
        let own = self.own > before.own;
        let why = if own { "it was over its memory limit" } else { "the machine had no memory left" };
        (self.kills > before.kills).then_some(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_was_killed_as_a_whole_was_killed_once() {
        let kills = |group| {
            let events = format!("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill {group}\n");
            OutOfMemory::read(&events).kills
        };
        assert_eq!((kills(1), kills(0)), (1, 2));
        assert_eq!(OutOfMemory::read(""), OutOfMemory::default());
    }

    #[test]
    fn a_kill_for_want_of_the_machines_memory_is_not_told_as_the_services_own_limit() {
        let before = OutOfMemory { kills: 1, own: 1 };
        let after = |kills, own| OutOfMemory { kills, own }.since(before);
        assert_eq!(after(2, 2), Some("it was over its memory limit"));
        assert_eq!(after(2, 1), Some("the machine had no memory left"));
        assert_eq!((after(1, 1), after(1, 2)), (None, None));
    }

    #[test]
    fn a_limit_that_cannot_be_set_is_told_and_costs_no_other() {
        let folder = std::env::temp_dir().join(format!("imbrex-cgroup-{}", std::process::id()));
        let group = folder.join("service");
        let limits = Limits { memory_max_mib: Some(2), pids_max: Some(7), ..Limits::default() };
        let (none, complaints) = make(&group, &limits);
        assert!(none.is_none() && complaints[0].starts_with("it runs without any limit: "), "{complaints:?}");
        // A folder in the place of the file: the kernel refuses.
        fs::create_dir_all(group.join("memory.max")).unwrap();
        fs::write(group.join("cgroup.procs"), "").unwrap();
        fs::write(group.join("cgroup.freeze"), "1").unwrap();
        let (joined, complaints) = make(&group, &limits);
        assert!(joined.is_some() && complaints.len() == 1, "{complaints:?}");
        assert!(complaints[0].starts_with("memory.max cannot be set to 2097152: "), "{complaints:?}");
        assert_eq!(fs::read_to_string(group.join("pids.max")).unwrap(), "7");
        assert_eq!(fs::read_to_string(group.join("cgroup.freeze")).unwrap(), "0", "who joins it must run");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_a_manifest_does_not_limit_is_left_to_the_kernel() {
        assert_eq!(settings(&Limits::default()), []);
        let (memory_max_mib, pids_max, io_weight) = (Some(2), Some(7), Some(200));
        let limits = Limits { memory_max_mib, pids_max, io_weight, ..Limits::default() };
        let expected =
            [("memory.max", "2097152"), ("memory.oom.group", "1"), ("pids.max", "7"), ("io.weight", "200")];
        assert_eq!(settings(&limits), expected.map(|(file, value)| (file, value.to_owned())));
    }
}
