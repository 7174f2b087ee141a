//! The last seconds of a run, which must end whatever the drives do: at a power-off and a reboot the kernel asks each
//! drive once more to flush, one after the other, and waits for minutes for one that never answers.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// Tells the kernel that these devices, drives that no longer answer, are offline, so that it does not wait for them;
/// then writes back what it holds. What was acknowledged on them was flushed by their own processes.
pub(crate) fn sync(sysfs: &Path, devices: &[&str]) {
    for device in devices {
        let name = device.trim_start_matches("/dev/").replace('/', "!");
        let state = sysfs.join("block").join(name).join("device/state");
        // SCSI only: of an NVMe drive the kernel itself bounds the wait, and its state cannot be written. Without the
        // line's end the kernel does not take the word (drivers/scsi/scsi_sysfs.c, store_state_field).
        if let Err(error) =
            fs::OpenOptions::new().write(true).open(&state).and_then(|mut file| file.write_all(b"offline\n"))
        {
            eprintln!("{device} is left to the kernel: {error}");
        }
    }
    nix::unistd::sync();
}

/// Waits, and then resets the machine without asking any device: sysrq.rst of the kernel, `b`. Where the kernel has
/// come to its own end before, so has this process.
pub(crate) fn reset_after(seconds: &str) -> Result<(), String> {
    let wait = seconds
        .parse()
        .map(Duration::from_secs)
        .map_err(|_| format!("{seconds:?} is not a time in seconds"))?;
    std::thread::sleep(wait);
    let line =
        format!("imbrex: the kernel has not come to its end within {seconds} s: the machine is reset\n");
    // Neither may keep from the reset: a serial line that stands still would.
    let _ = fs::write("/dev/kmsg", format!("<3>{line}"));
    let console = fs::File::options().write(true).custom_flags(libc::O_NONBLOCK).open("/dev/console");
    let _ = console.and_then(|mut console| console.write_all(line.as_bytes()));
    fs::write("/proc/sysrq-trigger", "b").map_err(|error| format!("the machine cannot be reset: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_scsi_drive_is_set_offline_and_one_that_has_no_such_state_is_left_to_the_kernel() {
        let sysfs = std::env::temp_dir().join(format!("imbrex-ending-{}", std::process::id()));
        let state = |name: &str| sysfs.join("block").join(name).join("device/state");
        for name in ["sda", "sdb", "cciss!c0d0"] {
            fs::create_dir_all(state(name).parent().unwrap()).unwrap();
            fs::write(state(name), "running\n").unwrap();
        }
        sync(&sysfs, &["/dev/nvme0n1", "/dev/sdb", "/dev/cciss/c0d0"]);
        let states = ["sda", "sdb", "cciss!c0d0"].map(|name| fs::read_to_string(state(name)).unwrap());
        let absent = state("nvme0n1").exists();
        fs::remove_dir_all(&sysfs).unwrap();
        assert_eq!(states, ["running\n", "offline\n", "offline\n"]);
        assert!(!absent, "a file was made in sysfs");
    }

    #[test]
    fn a_wait_that_is_no_number_resets_nothing() {
        assert!(reset_after("soon").unwrap_err().contains("not a time"));
    }
}
