//! The end, when every service has stopped: kill what is left, sync, unmount, and let go.

use crate::process::{Reaped, reap};
use crate::{console, platform};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Command, Stdio};
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
const STEP_MS: u64 = 10;

/// Ends the machine's run. Never returns.
pub(crate) fn end(ending: Ending) -> ! {
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    wait_until(reap_silently);
    for line in platform::unmount_disks() {
        console::line(&line);
    }
    sync_bounded();
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
        #[expect(clippy::disallowed_methods, reason = "the event loop is over: nothing is left to hold up")]
        std::thread::sleep(Duration::from_mins(1));
    }
}

/// Writes back what the kernel holds, in a process of its own, so that a dead disk cannot hold up
/// the end for longer than the wait.
pub(crate) fn sync_bounded() {
    let program = std::env::current_exe().unwrap_or_else(|_| "/init".into());
    let child = Command::new(program).arg("sync").stdin(Stdio::null()).spawn();
    if child.is_ok() {
        wait_until(reap_silently);
    } else {
        nix::unistd::sync();
    }
}

fn wait_until(done: impl Fn() -> bool) {
    let until_ms = platform::now_ms() + WAIT_MS;
    while !done() && platform::now_ms() < until_ms {
        #[expect(clippy::disallowed_methods, reason = "the event loop is over: nothing is left to hold up")]
        std::thread::sleep(Duration::from_millis(STEP_MS));
    }
}

/// Takes every dead child; whether none is left.
pub(crate) fn reap_silently() -> bool {
    loop {
        match reap() {
            Reaped::Child { .. } => {}
            Reaped::AllAlive => return false,
            Reaped::NoChildren => return true,
        }
    }
}
