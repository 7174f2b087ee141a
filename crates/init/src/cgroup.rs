//! A control group (version 2) per service: its memory's wall, and a way to kill all of it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

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

/// Makes the service's group with its limit, and opens the file through which a process joins it.
///
/// # Errors
/// Where there are no control groups; the service then runs without one.
pub(crate) fn open(service: &str, memory_max_bytes: Option<u64>) -> io::Result<File> {
    let path = path(service);
    match fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if let Some(bytes) = memory_max_bytes {
        // No memory.high: a service that leaks would be slowed down there without end, instead of
        // being killed and reported. Where the memory controller is missing, the service still
        // gets its group.
        let _ = fs::write(path.join("memory.max"), bytes.to_string());
        // One process over the wall takes its whole service with it, not half of it.
        let _ = fs::write(path.join("memory.oom.group"), "1");
    }
    OpenOptions::new().write(true).open(path.join("cgroup.procs"))
}

/// Kills every process of the service; whether that was possible.
pub(crate) fn kill(service: &str) -> bool {
    fs::write(path(service).join("cgroup.kill"), "1").is_ok()
}

/// How often the kernel has killed a process of this service for want of memory.
pub(crate) fn oom_kills(service: &str) -> u64 {
    let text = fs::read_to_string(path(service).join("memory.events")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}
