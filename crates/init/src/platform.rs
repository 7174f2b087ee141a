//! The machine below init: clock, mounts, kernel settings, small files.

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::time::{ClockId, clock_gettime};
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Where sysfs is mounted.
pub(crate) const SYSFS: &str = "/sys";
/// Where the sockets and generated files of the node lie.
pub(crate) const RUN: &str = "/run/imbrex";

/// Milliseconds since the kernel started, suspension included.
pub(crate) fn now_ms() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Waits, where nothing is left that could be held up: the event loop is over.
pub(crate) fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "the event loop is over: nothing is left to hold up")]
    std::thread::sleep(time);
}

/// What to mount: source and type, place, flags, options.
type Mount = (&'static str, &'static str, MsFlags, &'static str);

/// Mounts without which nothing works, and whether each may be missing.
fn mounts() -> [(Mount, bool); 7] {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    [
        (("proc", "/proc", quiet, ""), false),
        (("sysfs", "/sys", quiet, ""), false),
        (("devtmpfs", "/dev", MsFlags::MS_NOSUID, "mode=0755"), false),
        (("tmpfs", "/run", quiet, "mode=0755,size=32m"), false),
        (("tmpfs", "/tmp", quiet, "mode=1777,size=32m"), false),
        (("cgroup2", "/sys/fs/cgroup", quiet, "nsdelegate"), true),
        (("pstore", "/sys/fs/pstore", quiet, ""), true),
    ]
}

/// Mounts the pseudo-filesystems and makes the node's directories. Says what could be left out.
///
/// # Errors
/// One sentence, where something is missing without which nothing works.
pub(crate) fn mount_filesystems() -> Result<Vec<String>, String> {
    let mut left_out = Vec::new();
    for ((kind, place, flags, options), may_be_missing) in mounts() {
        let _ = fs::create_dir_all(place);
        match mount(Some(kind), place, Some(kind), flags, Some(options)) {
            // Mounted already.
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) if may_be_missing => {
                left_out.push(format!("{kind} is not mounted on {place}: {error}"));
            }
            Err(error) => return Err(format!("{kind} cannot be mounted on {place}: {error}")),
        }
    }
    umask(Mode::from_bits_truncate(0o022));
    fs::create_dir_all(RUN).map_err(|error| format!("{RUN} cannot be made: {error}"))?;
    fs::create_dir_all("/etc").map_err(|error| format!("/etc cannot be made: {error}"))?;
    Ok(left_out)
}

/// The limits that every process of the node inherits.
pub(crate) fn raise_limits() {
    // A drive's process holds a connection per client.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, 65_536, 65_536);
}

/// Resident memory of a process, in bytes.
pub(crate) fn rss_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    let page_bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(u64::try_from(page_bytes).ok()?)
}

/// A number to move restarts apart between nodes: the standard library takes it from the kernel.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether a kernel was loaded to go on with: kexec_file_load(2).
pub(crate) fn next_kernel_is_loaded() -> bool {
    fs::read_to_string("/sys/kernel/kexec_loaded").is_ok_and(|text| text.trim() == "1")
}
