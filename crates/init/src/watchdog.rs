//! The hardware watchdog: the machine is reset when nobody feeds it, which only a turn of the event
//! loop does, and only while every service that matters makes progress.
//!
//! It is never disarmed: not by an end of this process, not by a shutdown, not by the last reboot
//! (the image's `modprobe.d` keeps the kernel from stopping it there). Before it resets the machine the
//! kernel panics where it can, which leaves the kernel's log in pstore.
#![expect(unsafe_code, reason = "the watchdog's ioctls")]

use serde::Serialize;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;

/// The watchdog's patience where nobody has chosen, in seconds: longer than any turn of the loop on
/// a machine that swaps interrupts for errors, shorter than a person's.
const PATIENCE_S: u32 = 60;
/// For how long it waits at the end at least, in seconds: a kernel that was started by kexec has loaded its driver by then.
const END_S_MIN: u32 = 120;
/// The least that can be chosen, in seconds.
const PATIENCE_S_MIN: u32 = 8;
/// `_IOWR('W', 6, int)`, `_IOR('W', 7, int)` and `_IOWR('W', 8, int)` of linux/watchdog.h.
const WDIOC_SETTIMEOUT: libc::c_ulong = 0xC004_5706;
const WDIOC_SETPRETIMEOUT: libc::c_ulong = 0xC004_5708;
/// `WDIOF_CARDRESET`: the machine was reset by the watchdog.
const CARD_RESET: u32 = 0x20;

/// The device that was armed, and its patience in seconds. Not the event loop's own: the fatal path feeds it too, and
/// has nothing else left.
static DEVICE: OnceLock<(File, u32)> = OnceLock::new();

/// A watchdog that is fed.
#[derive(Debug, Serialize)]
pub(crate) struct Watchdog {
    /// Its name in `/dev`.
    device: String,
    /// What it calls itself.
    identity: String,
    /// Its patience, in seconds.
    timeout_s: u32,
    /// How long before its end the kernel panics, in seconds; none where the kernel cannot.
    pretimeout_s: Option<u32>,
    /// Why the machine started, as its driver tells: the flags of linux/watchdog.h.
    boot_status: u32,
    /// Whether that was this watchdog's doing.
    reset_by_watchdog: bool,
    /// Why it is not fed any more.
    pub(crate) starved: Option<String>,
    #[serde(skip)]
    fed_ms: u64,
}

impl Watchdog {
    /// Arms the first watchdog of the machine, if it has one.
    ///
    /// # Errors
    /// One sentence, where there is one and it cannot be used.
    pub(crate) fn find(sysfs: &Path, chosen_s: Option<u32>, now_ms: u64) -> Result<Option<Self>, String> {
        let entries = fs::read_dir(sysfs.join("class/watchdog")).into_iter().flatten().flatten();
        let first = entries.filter_map(|entry| entry.file_name().into_string().ok()).min();
        let Some(device) = first.filter(|_| chosen_s != Some(0)) else { return Ok(None) };
        let text = |file: &str| {
            let path = sysfs.join("class/watchdog").join(&device).join(file);
            fs::read_to_string(path).unwrap_or_default().trim().to_owned()
        };
        let boot_status = text("bootstatus").parse().unwrap_or(0);
        let failed = |error: std::io::Error| format!("/dev/{device} cannot be armed: {error}");
        let file = File::options().write(true).open(format!("/dev/{device}")).map_err(failed)?;
        let wanted_s = chosen_s.unwrap_or(PATIENCE_S).max(PATIENCE_S_MIN);
        // Open, it counts: one that does not take what was chosen is fed by its own measure.
        let its_own_s = || text("timeout").parse().unwrap_or(PATIENCE_S_MIN);
        let timeout_s = set(&file, WDIOC_SETTIMEOUT, wanted_s).unwrap_or_else(|_| its_own_s());
        let governor = sysfs.join("class/watchdog").join(&device).join("pretimeout_governor");
        let panics = fs::write(governor, "panic").is_ok();
        let pretimeout_s = panics.then(|| set(&file, WDIOC_SETPRETIMEOUT, timeout_s / 4).ok()).flatten();
        let _ = DEVICE.set((file, timeout_s));
        // The kernel reckons the time of its panic anew at each feeding, and not when it is told of it: without this one a
        // machine that hangs before the next would be reset without a trace (`__watchdog_ping` of drivers/watchdog/watchdog_dev.c).
        feed();
        Ok(Some(Self {
            identity: text("identity"),
            device,
            timeout_s,
            pretimeout_s,
            boot_status,
            reset_by_watchdog: boot_status & CARD_RESET != 0,
            starved: None,
            fed_ms: now_ms,
        }))
    }

    /// When it wants to be fed next, in milliseconds since boot: four times within its patience.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.starved.is_none().then(|| self.fed_ms + u64::from(self.timeout_s) * 250)
    }

    /// Feeds it where it is time.
    pub(crate) fn feed(&mut self, now_ms: u64) {
        if self.deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            feed();
            self.fed_ms = now_ms;
        }
    }

    /// One line on what was found.
    pub(crate) fn describe(&self) -> String {
        let trace = self.pretimeout_s.map_or_else(String::new, |s| format!(", a panic {s} s before"));
        let before = if self.reset_by_watchdog { "; it has reset the machine before this boot" } else { "" };
        let Self { device, identity, timeout_s, .. } = self;
        format!("watchdog {device} ({identity}): reset after {timeout_s} s{trace}{before}")
    }
}

/// Feeds the watchdog, if one was armed.
pub(crate) fn feed() {
    // Any byte but 'V', which would disarm it.
    let _ = DEVICE.get().map(|(file, _)| (&*file).write_all(b"\0"));
}

/// Feeds it for the end of this run, through which it waits however little was chosen. The kernel's part of that may
/// take `kernel_s` seconds.
pub(crate) fn feed_last(kernel_s: u32) {
    let Some((file, timeout_s)) = DEVICE.get() else { return };
    // One that cannot wait for so long waits as long as it did.
    let _ = set(file, WDIOC_SETTIMEOUT, (*timeout_s).max(END_S_MIN).max(kernel_s + PATIENCE_S / 2));
    feed();
}

/// Sets a number, and says which the driver took.
fn set(file: &File, request: libc::c_ulong, value: u32) -> std::io::Result<u32> {
    let mut value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    // SAFETY: both requests read and write one int, which `value` is for the whole call.
    if unsafe { libc::ioctl(file.as_raw_fd(), request, &raw mut value) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(u32::try_from(value).unwrap_or(0))
}
