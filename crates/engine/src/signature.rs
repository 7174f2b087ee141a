//! Signs of other people's data, so that nobody formats a drive that somebody else still uses.

/// How many bytes from the start of the drive the signatures reach.
pub(crate) const SIGNATURES_END_BYTES: usize = 72 * 1024;

/// What stands at a fixed place of a drive: the offset in bytes, the bytes, and the name of what they betray.
///
/// Sources: the headers of each format in Linux 6.12 (`include/linux/magic.h` and the file systems' own), the UEFI
/// specification 2.10 section 5.3 (GPT), and Ceph's `bluestore_types` for the last.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (512, b"EFI PART", "a GUID partition table"),
    (4096, b"EFI PART", "a GUID partition table"),
    (0, b"XFSB", "an XFS file system"),
    (0, b"SFOZ", "a zonefs file system"),
    (1024 + 0x38, &[0x53, 0xEF], "an ext2, ext3 or ext4 file system"),
    (1024, &[0x10, 0x20, 0xF5, 0xF2], "an F2FS file system"),
    (65536 + 64, b"_BHRfS_M", "a btrfs file system"),
    (0, b"LUKS\xBA\xBE", "a LUKS volume"),
    (512, b"LABELONE", "an LVM physical volume"),
    (4096, &[0xFC, 0x4E, 0x2B, 0xA9], "a Linux software RAID member"),
    (0, b"bluestore block device", "a Ceph OSD"),
];

/// The name of the format whose signature the first bytes of a drive show.
pub(crate) fn find_signature(first_bytes: &[u8]) -> Option<&'static str> {
    let shows = |offset: usize, magic: &[u8]| first_bytes.get(offset..offset + magic.len()) == Some(magic);
    SIGNATURES.iter().find(|(offset, magic, _)| shows(*offset, magic)).map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signature_is_recognised_at_its_place_and_nowhere_else() {
        for (offset, magic, name) in SIGNATURES {
            let mut bytes = vec![0; SIGNATURES_END_BYTES];
            bytes[*offset..offset + magic.len()].copy_from_slice(magic);
            assert_eq!(find_signature(&bytes), Some(*name));
            bytes.rotate_right(8);
            assert_eq!(find_signature(&bytes), None, "{name} at a wrong place");
        }
    }

    #[test]
    fn an_empty_or_short_drive_shows_nothing() {
        assert_eq!(find_signature(&[0; SIGNATURES_END_BYTES]), None);
        assert_eq!(find_signature(&[]), None);
    }
}
