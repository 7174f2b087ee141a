//! The console: the few lines that a person in front of the machine should see.
//!
//! It is written without waiting: a serial line that stands still must not hold up PID 1, so that
//! what does not fit is lost here, and is found in init's own log.

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::io::Write;

/// Writes one line into the kernel's log, which ends up in pstore where the machine dies.
pub(crate) fn kernel_log(text: &str) {
    // <3>: an error, which does not reach a quiet console by this way too.
    let _ = std::fs::write("/dev/kmsg", format!("<3>imbrex: {text}\n"));
}

/// Writes one line, with the program's name in front of it.
pub(crate) fn line(text: &str) {
    let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    if let Ok(descriptor) = open("/dev/console", flags, Mode::empty()) {
        // One write, so that lines of the kernel do not come between.
        let _ = std::fs::File::from(descriptor).write_all(format!("imbrex: {text}\n").as_bytes());
    }
}
