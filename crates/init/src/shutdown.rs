//! The end, when every service has stopped: kill what is left, sync, and let go. Nothing is mounted that lies on a disk.

use crate::process::{Exit, PROGRAM, reap};
use crate::supervisor::{ILL_MS, KILL_DEADLINE_FORCED_MS};
use crate::{console, platform};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What the machine does when init has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The power goes off.
    PowerOff,
    /// The machine starts again.
    Reboot,
    /// The kernel that was loaded for it goes on at once, without the firmware.
    Kexec,
}

impl Ending {
    /// As the console says it.
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::PowerOff => "power off",
            Self::Reboot => "reboot",
            Self::Kexec => "start the next kernel",
        }
    }
}

/// An order that comes so soon after another, in milliseconds, is that one: a key is held down, or a client tries again.
pub(crate) const SAME_ORDER_MS: u64 = 2_000;
/// How long processes that nobody knows may take to die, in milliseconds.
const WAIT_MS: u64 = 2_000;
/// How long the last question to the drives may take, in milliseconds: longer than the helper waits for an answer.
const SYNC_MS: u64 = 10_000;
const STEP: Duration = Duration::from_millis(10);
/// How long the kernel may take for its part, in seconds: one drive after the other flushes and stops turning.
const KERNEL_S: u32 = 30;
const KERNEL_S_PER_DRIVE: u32 = 5;
/// The whole end where a drive does not answer, in milliseconds from the order on. The kernel has 30 s of it at least.
const SILENT_MS: u64 = 90_000;
const SILENT_KERNEL_MS: u64 = 30_000;
const _: () = assert!(ILL_MS + KILL_DEADLINE_FORCED_MS + WAIT_MS + SYNC_MS + SILENT_KERNEL_MS <= SILENT_MS);

/// Ends the machine's run, as was ordered at `ordered_ms` since boot; `stuck` as for [`let_go`]. Never returns.
pub(crate) fn end(ending: Ending, ordered_ms: u64, stuck: bool) -> ! {
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    wait_for(WAIT_MS, NOBODY);
    let_go(ordered_ms, stuck);
    console::line(&format!("{} after {} ms of uptime", ending.verb(), platform::now_ms()));
    let mode = match ending {
        Ending::PowerOff => RebootMode::RB_POWER_OFF,
        Ending::Reboot => RebootMode::RB_AUTOBOOT,
        Ending::Kexec => RebootMode::RB_KEXEC,
    };
    let mut refused = reboot(mode);
    if ending == Ending::Kexec {
        console::line(&format!("the next kernel does not start: {refused:?}; the machine starts again"));
        refused = reboot(RebootMode::RB_AUTOBOOT);
    }
    console::line(&format!("the kernel refuses to {}: {refused:?}; switch the machine off", ending.verb()));
    loop {
        platform::pause(Duration::from_mins(1));
    }
}

/// Has each drive asked once more, those that do not answer let go of, and what the kernel holds written back: by a
/// process of its own, so that a dead drive cannot hold up the end for longer than the wait. Another resets the machine where
/// the kernel does not come to its own end after that. Where a service is `stuck` in the kernel, a drive does not answer.
pub(crate) fn let_go(ordered_ms: u64, stuck: bool) {
    let pid = helper("sync", &[]).ok().and_then(|child| i32::try_from(child.id()).ok());
    let all_answer = pid.is_some_and(|pid| wait_for(SYNC_MS, pid) == Some(Exit::Status(0))) && !stuck;
    let passed_ms = platform::now_ms().saturating_sub(ordered_ms);
    let left_ms = SILENT_MS.saturating_sub(passed_ms).max(SILENT_KERNEL_MS);
    let kernel_s = if all_answer { u64::from(kernel_s_max()) } else { left_ms / 1_000 };
    let _ = helper("reset-after", &[kernel_s.to_string()]);
}

/// How long the kernel's part may take where every drive answers, in seconds.
pub(crate) fn kernel_s_max() -> u32 {
    let drives = std::fs::read_dir("/sys/block").map_or(0, Iterator::count);
    KERNEL_S.saturating_add(KERNEL_S_PER_DRIVE.saturating_mul(u32::try_from(drives).unwrap_or(u32::MAX)))
}

fn helper(verb: &str, words: &[String]) -> std::io::Result<Child> {
    Command::new(PROGRAM).arg(verb).args(words).stdin(Stdio::null()).spawn()
}

/// A child that there is none of: who waits for it waits for all.
pub(crate) const NOBODY: i32 = 0;

/// Waits for this child, but for so long at most: how it has ended.
fn wait_for(time_ms: u64, child: i32) -> Option<Exit> {
    let until_ms = platform::now_ms() + time_ms;
    loop {
        let exit = reap_until(child);
        if exit.is_some() || platform::now_ms() >= until_ms {
            return exit;
        }
        platform::pause(STEP);
    }
}

/// Takes every dead child, up to this one: how it has ended. A failure where no child is left at all.
pub(crate) fn reap_until(child: i32) -> Option<Exit> {
    loop {
        match reap() {
            Ok(Some((pid, exit))) if pid == child => return Some(exit),
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(_) => return Some(Exit::Status(1)),
        }
    }
}
