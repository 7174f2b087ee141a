//! Who holds a block device that would not open for us alone.

use std::fs;
use std::path::Path;

use crate::kernel::sysfs::BlockDirectory;

/// Names the holder of the device with these numbers, where that can be told.
pub(crate) fn holder(path: &Path, major: u64, minor: u64, block: &BlockDirectory) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = mount_point(&mounts, path, &format!("{major}:{minor}"));
    let mounted = mounted.map(|point| format!("the file system mounted on {point}"));
    mounted.or_else(|| block.holders().into_iter().next().map(|name| format!("/dev/{name}")))
}

/// The mount point of a device in the text of `mountinfo` (proc_pid_mountinfo(5)): by its numbers, or by its path for
/// file systems that have numbers of their own.
fn mount_point(mounts: &str, path: &Path, numbers: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(2);
        let (found, point) = (mount.next()?, mount.nth(1)?);
        let source = source.split(' ').nth(1)?;
        (found == numbers || Path::new(source) == path).then(|| point.replace("\\040", " "))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::mount_point;

    #[test]
    fn a_mount_is_found_by_number_and_by_source() {
        let mounts = "36 35 259:2 / /mnt/my\\040zones rw,noatime shared:1 - f2fs /dev/nvme0n2 rw\n\
                      37 35 0:40 /sub /srv rw - btrfs /dev/sdb rw\n";
        let find = |path, numbers| mount_point(mounts, Path::new(path), numbers);
        assert_eq!(find("/dev/other", "259:2").as_deref(), Some("/mnt/my zones"));
        assert_eq!(find("/dev/sdb", "8:16").as_deref(), Some("/srv"));
        assert_eq!(find("/dev/sdc", "8:32"), None);
    }
}
