//! The kernel's log, line by line: what one line alone does not tell.
//!
//! A drive that rightly refuses an order of ours is told of twice: its driver says why, and then the block layer ends the
//! order with "I/O error" and no more. That second line is none of the drive's trouble either. (Linux 6.12: `nvme_log_error`
//! comes before `blk_print_req_error`; a SCSI disk's sense before it too.)
//!
//! - One refusal excuses one end: of the same device, and where both say so of the same place.
//! - It is kept for [`LINES_BETWEEN_MAX`] lines, so that no more than that many wait for their ends.
//! - It excuses no end that names a trouble of the drive's ("critical medium error"), and none that comes later than that.
//! - "critical target error" and "open zones exceeded" are ends themselves. Alone they are neither ours nor the drive's: the
//!   kernel says the first after "Illegal Request" and after "Hardware Error" alike (`scsi_check_sense`), and what counts
//!   stands in the line before.

use crate::kernel_event::{KernelEvent, KernelLine, Refusal, end_in, parse_kernel_line, refusal_in};

/// The block layer's line follows at once; other processors' lines may come between.
const LINES_BETWEEN_MAX: u8 = 16;

/// A logical block has 512 bytes, or so many times as many (NVM Command Set 1.0, "LBA data size"; 4 KiB at most on drives
/// that there are).
const SECTORS_IN_BLOCK: [u64; 4] = [1, 2, 4, 8];

/// Reads the kernel's log.
#[derive(Clone, Debug, Default)]
pub struct KernelLog {
    refused: Vec<Refused>,
}

/// A refusal, and in how many lines its end may still come.
#[derive(Clone, Debug)]
struct Refused {
    refusal: Refusal,
    lines_left: u8,
}

impl KernelLog {
    /// The event in the next line, as [`parse_kernel_line`] reads it; `None` where it tells of no drive's trouble.
    pub fn read(&mut self, line: &str) -> Option<KernelLine> {
        for refused in &mut self.refused {
            refused.lines_left = refused.lines_left.saturating_sub(1);
        }
        let told = parse_kernel_line(line);
        if let Some(refusal) = refusal_in(line) {
            self.note(refusal);
        } else if let Some((device, sector)) = end_in(line)
            && told.as_ref().is_none_or(|told| told.event == KernelEvent::IoError)
            && self.excuses(&device, sector)
        {
            return None;
        }
        self.refused.retain(|refused| refused.lines_left > 0);
        told
    }

    /// Keeps a refusal; another line about the same order makes no second one.
    fn note(&mut self, refusal: Refusal) {
        let is_same = |refused: &Refused| refusal.tag.is_some() && refused.refusal == refusal;
        self.refused.retain(|refused| !is_same(refused));
        // This line itself is not counted.
        self.refused.push(Refused { refusal, lines_left: LINES_BETWEEN_MAX + 1 });
    }

    /// Whether the end of an order on this device is that of one that was refused; then that one has ended.
    fn excuses(&mut self, device: &str, sector: Option<u64>) -> bool {
        let is_there = |block: Option<u64>| match (block, sector) {
            (Some(block), Some(sector)) => {
                SECTORS_IN_BLOCK.iter().any(|sectors| block.checked_mul(*sectors) == Some(sector))
            }
            _ => true,
        };
        let is_its = |refused: &Refused| refused.refusal.device == device && is_there(refused.refusal.block);
        let index = self.refused.iter().position(|refused| refused.lines_left > 0 && is_its(refused));
        index.map(|index| self.refused.remove(index)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "nvme0n1: I/O Cmd(0x1) @ LBA 0, 8 blocks, I/O Error (sct 0x1 / sc 0xbc) DNR ";
    const FAILED: &str = "I/O error, dev nvme0n1, sector 0 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2";

    /// A write of ours beside the write pointer of a SAS disk.
    const UNALIGNED: [&str; 5] = [
        "3,900,77000001,-;sd 0:0:1:0: [sdb] tag#12 FAILED Result: hostbyte=DID_OK driverbyte=DRIVER_OK cmd_age=0s",
        "3,901,77000002,-;sd 0:0:1:0: [sdb] tag#12 Sense Key : Illegal Request [current] ",
        "3,902,77000003,-;sd 0:0:1:0: [sdb] tag#12 Add. Sense: Unaligned write command",
        "3,903,77000004,-;sd 0:0:1:0: [sdb] tag#12 CDB: Write(16) 8a 00 00 00 00 00 00 08 00 00 00 00 00 08 00 00",
        "3,904,77000005,-;critical target error, dev sdb, sector 524288 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2",
    ];

    const IO_ERROR: &str = "I/O error, dev sdb, sector 4096 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2";

    fn events(lines: &[&str]) -> Vec<KernelEvent> {
        let mut log = KernelLog::default();
        lines.iter().filter_map(|line| log.read(line)).map(|told| told.event).collect()
    }

    #[test]
    fn an_error_that_follows_a_refusal_of_our_order_is_no_drives_trouble() {
        assert_eq!(events(&[FAILED]), [KernelEvent::IoError]);
        assert_eq!(events(&[REFUSED, FAILED]), []);
        assert_eq!(
            events(&[REFUSED, "other", "ata3: hard resetting link", FAILED]),
            [KernelEvent::LinkReset]
        );
        assert_eq!(events(&[REFUSED, FAILED, FAILED]), [KernelEvent::IoError], "one line for one refusal");
        assert_eq!(events(&[REFUSED, REFUSED, FAILED, FAILED]), [], "two orders, two ends");
    }

    #[test]
    fn other_errors_and_other_drives_count() {
        let medium = "critical medium error, dev nvme0n1, sector 7";
        assert_eq!(events(&[REFUSED, medium]), [KernelEvent::MediumError]);
        assert_eq!(events(&[REFUSED, medium, FAILED]), [KernelEvent::MediumError], "another order's end");
        assert_eq!(events(&[REFUSED, "I/O error, dev nvme1n1, sector 0"]), [KernelEvent::IoError]);
        let after = |lines: usize| [vec![REFUSED], vec!["other"; lines], vec![FAILED]].concat();
        assert_eq!(events(&after(15)), []);
        assert_eq!(events(&after(16)), [KernelEvent::IoError], "long after");
    }

    #[test]
    fn an_error_elsewhere_on_the_drive_counts_beside_our_own() {
        let elsewhere = "I/O error, dev nvme0n1, sector 8192 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2";
        assert_eq!(events(&[REFUSED, elsewhere, FAILED]), [KernelEvent::IoError]);
        // A drive of blocks of 4 KiB: its block 1024 begins with sector 8192.
        let refused = REFUSED.replace("LBA 0", "LBA 1024");
        assert_eq!(events(&[&refused, elsewhere]), []);
        assert_eq!(events(&[&refused, FAILED]), [KernelEvent::IoError]);
    }

    #[test]
    fn the_end_of_our_own_order_excuses_no_later_error() {
        assert_eq!(events(&UNALIGNED), []);
        let later = [&UNALIGNED[..], &[IO_ERROR]].concat();
        assert_eq!(events(&later), [KernelEvent::IoError]);
        let target = UNALIGNED[4];
        assert_eq!(
            events(&[target, IO_ERROR]),
            [KernelEvent::IoError],
            "alone it says nothing of what comes"
        );
        let zones =
            "open zones exceeded error, dev sdb, sector 0 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2";
        let full = "sd 0:0:1:0: [sdb] tag#3 Add. Sense: Insufficient zone resources";
        assert_eq!(events(&[full, zones, IO_ERROR]), [KernelEvent::IoError]);
        // Some refusals end with no reason given.
        assert_eq!(events(&[full, IO_ERROR, IO_ERROR]), [KernelEvent::IoError]);
    }

    #[test]
    fn hardware_that_failed_is_told_once_and_excuses_nothing() {
        let hardware = [
            "sd 0:0:1:0: [sdb] tag#7 FAILED Result: hostbyte=DID_OK driverbyte=DRIVER_OK cmd_age=1s",
            "sd 0:0:1:0: [sdb] tag#7 Sense Key : Hardware Error [current] ",
            "sd 0:0:1:0: [sdb] tag#7 Add. Sense: Internal target failure",
            "critical target error, dev sdb, sector 88 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
        ];
        assert_eq!(events(&hardware), [KernelEvent::HardwareError]);
        let later = [&hardware[..], &[IO_ERROR]].concat();
        assert_eq!(events(&later), [KernelEvent::HardwareError, KernelEvent::IoError]);
    }

    #[test]
    fn refusals_without_end_are_forgotten_and_bounded() {
        let mut log = KernelLog::default();
        for number in 0..1000 {
            log.read(&format!(
                "nvme{number}n1: Write(0x1) @ LBA 0, 8 blocks, Zone Is Full (sct 0x1 / sc 0xb9) DNR "
            ));
            assert!(log.refused.len() <= usize::from(LINES_BETWEEN_MAX) + 1, "{}", log.refused.len());
        }
        (0..17).for_each(|_| drop(log.read("other")));
        assert!(log.refused.is_empty());
    }
}
