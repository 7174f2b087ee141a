//! The last seconds of a run, which must end whatever the drives do: at a power-off and a reboot the kernel asks each
//! drive once more to flush, one after the other, and waits for minutes for one that never answers.
//!
//! So each is asked here first, all of them at once. What its process has come to says nothing: the process of an idle drive
//! ends in order although the drive is frozen, and one in maintenance may have a drive that answers well.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a drive may take to answer: a well one has nothing to flush any more. Less than init waits (`shutdown.rs`).
const PATIENCE: Duration = Duration::from_secs(8);

/// What is read of a drive, aligned as direct reads want it (open(2), `O_DIRECT`).
#[repr(align(4096))]
struct Page([u8; 4096]);

/// Asks each SCSI drive to flush and to read; tells the kernel that those which do not answer are offline, so that it does
/// not wait for them; then writes back what the kernel holds. What was acknowledged was flushed by the drives' processes.
///
/// # Errors
/// One sentence that names the drives that do not answer.
pub(crate) fn sync() -> Result<(), String> {
    let silent = let_go(Path::new("/sys"), ask, PATIENCE)?;
    nix::unistd::sync();
    if silent.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = silent.into_iter().collect();
    Err(format!("imbrex: the kernel does not wait for what no longer answers: {}", names.join(", ")))
}

/// Sets each SCSI drive offline for which `ask` does not come back in time: their names. Of an NVMe drive the kernel itself
/// bounds the wait, and a command on its way would only make it longer (`nvme_wait_freeze_timeout`).
fn let_go(sysfs: &Path, ask: fn(&str), patience: Duration) -> Result<BTreeSet<String>, String> {
    let blocks = sysfs.join("block");
    let entries: io::Result<Vec<_>> = fs::read_dir(&blocks).and_then(Iterator::collect);
    let entries = entries.map_err(|error| format!("{} cannot be read: {error}", blocks.display()))?;
    let names = entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
    let mut silent: BTreeSet<String> = names.filter(|name| name.starts_with("sd")).collect();
    let (sender, answers) = mpsc::channel();
    for name in silent.iter().cloned() {
        let sender = sender.clone();
        // Nobody waits for it: it may be in the kernel's hands for ever.
        std::thread::spawn(move || {
            ask(&name);
            let _ = sender.send(name);
        });
    }
    drop(sender);
    let until = Instant::now() + patience;
    while let Ok(name) = answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
        silent.remove(&name);
    }
    for name in &silent {
        let state = blocks.join(name).join("device/state");
        // Without the line's end the kernel does not take the word (drivers/scsi/scsi_sysfs.c, store_state_field).
        if let Err(error) =
            File::options().write(true).open(&state).and_then(|mut file| file.write_all(b"offline\n"))
        {
            eprintln!("imbrex: {name} is left to the kernel: {error}");
        }
    }
    Ok(silent)
}

/// Has a drive flush and read. Comes back when it has answered, be it with an error.
fn ask(name: &str) {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECT | libc::O_NONBLOCK)
        .open(Path::new("/dev").join(name));
    if let Ok(file) = file {
        let mut page = Page([0; 4096]);
        let _ = file.sync_all();
        let _ = file.read_at(&mut page.0, 0);
    }
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
    fn a_scsi_drive_that_does_not_answer_is_set_offline_and_no_other_is_touched() {
        let sysfs = std::env::temp_dir().join(format!("imbrex-ending-{}", std::process::id()));
        let state = |name: &str| sysfs.join("block").join(name).join("device/state");
        for name in ["sda", "sdb", "nvme0n1"] {
            fs::create_dir_all(state(name).parent().unwrap()).unwrap();
            fs::write(state(name), "running\n").unwrap();
        }
        // One that is gone in the middle of it.
        fs::create_dir_all(sysfs.join("block/sdc")).unwrap();
        let ask = |name: &str| {
            if name != "sda" {
                loop {
                    std::thread::park();
                }
            }
        };
        let silent = let_go(&sysfs, ask, Duration::from_secs(5)).unwrap();
        let states = ["sda", "sdb", "nvme0n1"].map(|name| fs::read_to_string(state(name)).unwrap());
        let absent = state("sdc").exists();
        fs::remove_dir_all(&sysfs).unwrap();
        assert_eq!(silent.into_iter().collect::<Vec<_>>(), ["sdb", "sdc"]);
        assert_eq!(states, ["running\n", "offline\n", "running\n"]);
        assert!(!absent, "a file was made in sysfs");
    }

    #[test]
    fn drives_that_answer_are_waited_for_no_longer_than_they_take() {
        let sysfs = std::env::temp_dir().join(format!("imbrex-answers-{}", std::process::id()));
        fs::create_dir_all(sysfs.join("block/sda")).unwrap();
        let silent = let_go(&sysfs, |_| {}, Duration::from_hours(24));
        fs::remove_dir_all(&sysfs).unwrap();
        assert_eq!(silent, Ok(BTreeSet::new()));
        assert!(let_go(&sysfs, |_| {}, PATIENCE).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn a_wait_that_is_no_number_resets_nothing() {
        assert!(reset_after("soon").unwrap_err().contains("not a time"));
    }
}
