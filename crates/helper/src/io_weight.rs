//! Weights for I/O: a manifest's `io_weight` is its group's `io.weight`, which does nothing on a drive before blk-iocost
//! is enabled on it (Documentation/admin-guide/cgroup-v2.rst of the kernel, "IO Interface Files").
//!
//! Invariants: where no manifest names a weight, no drive is touched, since blk-iocost holds requests back by a model of
//! the drive; a drive on which it is enabled is not written to again.

use std::path::Path;
use std::{fs, io};

/// Which drives have it, below the folder of the control groups; only the root has this file.
const QUALITY: &str = "io.cost.qos";

/// Has the kernel heed weights on this block device. Setting it up waits for whatever the drive has under way.
///
/// # Errors
/// Where the kernel does not tell the device's number, keeps no weights, or refuses: it does for what has no queue of its
/// own, the head of an NVMe drive with several paths among them.
pub(crate) fn enable(groups: &Path, block: &Path) -> io::Result<()> {
    let quality = groups.join(QUALITY);
    let number = fs::read_to_string(block.join("dev"))?;
    let number = number.trim();
    if enabled(&fs::read_to_string(&quality)?, number) {
        return Ok(());
    }
    fs::write(quality, format!("{number} enable=1 ctrl=auto\n"))
}

/// Whether the line of this device says so. There is none before it was set up.
fn enabled(quality: &str, number: &str) -> bool {
    let mut lines = quality.lines().filter_map(|line| line.split_once(' '));
    lines.any(|(of, rest)| of == number && rest.split(' ').any(|word| word == "enable=1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_is_switched_on_once_by_its_number() {
        let folder = std::env::temp_dir().join(format!("imbrex-io-weight-{}", std::process::id()));
        let (groups, block) = (folder.join("groups"), folder.join("block"));
        fs::create_dir_all(&groups).unwrap();
        fs::create_dir_all(&block).unwrap();
        let quality = groups.join(QUALITY);
        fs::write(block.join("dev"), "8:16\n").unwrap();
        // A kernel without it.
        assert!(enable(&groups, &block).is_err() && !quality.exists());
        fs::write(&quality, "8:160 enable=1 ctrl=auto rpct=0.00\n8:16 enable=0 ctrl=auto\n").unwrap();
        enable(&groups, &block).unwrap();
        assert_eq!(fs::read_to_string(&quality).unwrap(), "8:16 enable=1 ctrl=auto\n");
        let told = "259:1 enable=0 ctrl=auto\n8:16 enable=1 ctrl=auto rpct=0.00 rlat=250000\n";
        fs::write(&quality, told).unwrap();
        enable(&groups, &block).unwrap();
        assert_eq!(fs::read_to_string(&quality).unwrap(), told);
        fs::remove_dir_all(&folder).unwrap();
    }
}
