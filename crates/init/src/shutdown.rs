//! The end, when every service has stopped: kill what is left, sync, and let go. Nothing is mounted that lies on a disk.

use crate::process::{PROGRAM, reap};
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

/// How long processes that nobody knows may take to die, and a sync to end, in milliseconds each.
const WAIT_MS: u64 = 2_000;
const STEP: Duration = Duration::from_millis(10);
/// How long the kernel may take for its part, in seconds: it asks each drive to flush and to stop turning, one after
/// the other, and a drive takes seconds for it. Where one is silent, no more is waited.
const KERNEL_S: u32 = 30;
const KERNEL_S_PER_DRIVE: u32 = 5;

/// Ends the machine's run. Never returns. The kernel does not ask `silent`, devices that no longer answer.
pub(crate) fn end(ending: Ending, silent: &[String]) -> ! {
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    wait_until(WAIT_MS, reap_silently);
    let_go(silent);
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

/// Lets go of devices that no longer answer and writes back what the kernel holds, in a process of its own, so
/// that a dead disk cannot hold up the end for longer than the wait. Another resets the machine where the kernel
/// does not come to its own end after that.
pub(crate) fn let_go(silent: &[String]) {
    if helper("sync", silent).is_ok() {
        wait_until(WAIT_MS, reap_silently);
    }
    let _ = helper("reset-after", &[kernel_s(silent).to_string()]);
}

/// How long the kernel's part may take, in seconds.
pub(crate) fn kernel_s(silent: &[String]) -> u32 {
    let drives =
        if silent.is_empty() { std::fs::read_dir("/sys/block").map_or(0, Iterator::count) } else { 0 };
    KERNEL_S + KERNEL_S_PER_DRIVE * u32::try_from(drives).unwrap_or(0)
}

fn helper(verb: &str, words: &[String]) -> std::io::Result<Child> {
    Command::new(PROGRAM).arg(verb).args(words).stdin(Stdio::null()).spawn()
}

/// Waits until something is done, but for so long at most.
fn wait_until(time_ms: u64, done: impl Fn() -> bool) {
    let until_ms = platform::now_ms() + time_ms;
    while !done() && platform::now_ms() < until_ms {
        platform::pause(STEP);
    }
}

/// Takes every dead child; whether none is left.
pub(crate) fn reap_silently() -> bool {
    loop {
        match reap() {
            Ok(Some(_)) => {}
            outcome => return outcome.is_err(),
        }
    }
}
