//! The way out when PID 1 itself is broken: say why, let the drives flush, reboot.
//!
//! PID 1 must not end: the kernel would panic with the drives' caches unflushed. So a panic or an
//! error that leaves no way on ends here, and this never returns.

use crate::{console, platform, shutdown, watchdog};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// From the reason on the console to the reboot, in seconds: time to read it, and for the drives to flush.
const DELAY_S: u64 = 20;

/// Set when the fatal path is under way, so that a second failure does not begin it again.
static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// From now on a panic takes the fatal path.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        let message = panic.payload_as_str().unwrap_or("no message");
        fatal(&format!("init panicked{place}: {message}"));
    }));
}

/// Says why, asks every process to end, waits, syncs and reboots.
pub(crate) fn fatal(reason: &str) -> ! {
    if !UNDER_WAY.swap(true, Ordering::SeqCst) {
        // The kernel's log goes to pstore at a panic only, unless it is told otherwise.
        let _ = std::fs::write("/sys/module/printk/parameters/always_kmsg_dump", "1");
        console::line(&format!("FATAL: {reason}"));
        console::kernel_log(&format!("FATAL: {reason}"));
        console::line(&format!("FATAL: the drives are asked to flush; reboot in {DELAY_S} s"));
        let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
        // Fed while the drives flush, and no longer: a watchdog that was told to wait for less than that is one too.
        let (began_ms, kernel_s) = (platform::now_ms(), shutdown::kernel_s_max());
        watchdog::feed_last(kernel_s);
        for _ in 0..DELAY_S {
            watchdog::feed();
            shutdown::reap_until(shutdown::NOBODY);
            platform::pause(Duration::from_secs(1));
        }
        shutdown::let_go(began_ms, false);
        watchdog::feed_last(kernel_s);
    }
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    loop {
        platform::pause(Duration::from_mins(1));
    }
}
