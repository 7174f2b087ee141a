//! The kernel's log, line by line: what one line alone does not tell.
//!
//! A drive that rightly refuses an order of ours is told of twice: its driver says why, and then the block layer says
//! "I/O error" and no more. The second line is none of the drive's trouble either. (Linux: `nvme_log_error` comes before
//! `blk_print_req_error`; a SCSI disk's sense before it too.)

use crate::kernel_event::{KernelEvent, KernelLine, parse_kernel_line, refuser_in};

/// The block layer's line follows at once; other processors' lines may come between.
const LINES_BETWEEN_MAX: u8 = 16;

/// Reads the kernel's log.
#[derive(Clone, Debug, Default)]
pub struct KernelLog {
    refused: Option<Refused>,
}

/// A device that refused an order of ours, and in how many lines its "I/O error" may still come.
#[derive(Clone, Debug)]
struct Refused {
    device: String,
    lines_left: u8,
}

impl KernelLog {
    /// The event in the next line, as [`parse_kernel_line`] reads it; `None` where it tells of no drive's trouble.
    pub fn read(&mut self, line: &str) -> Option<KernelLine> {
        if let Some(device) = refuser_in(line) {
            self.refused = Some(Refused { device, lines_left: LINES_BETWEEN_MAX });
            return None;
        }
        let refused = self.refused.take();
        let told = parse_kernel_line(line);
        if let Some(Refused { device, lines_left }) = refused {
            let is_its = |told: &KernelLine| told.event == KernelEvent::IoError && told.device == device;
            if told.as_ref().is_some_and(is_its) {
                return None;
            }
            let lines_left = lines_left - 1;
            self.refused = (lines_left > 0).then_some(Refused { device, lines_left });
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &str = "nvme0n1: I/O Cmd(0x1) @ LBA 0, 8 blocks, I/O Error (sct 0x1 / sc 0xbc) DNR ";
    const FAILED: &str = "I/O error, dev nvme0n1, sector 0 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2";

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
    }

    #[test]
    fn other_errors_and_other_drives_count() {
        let medium = "critical medium error, dev nvme0n1, sector 7";
        assert_eq!(events(&[REFUSED, medium]), [KernelEvent::MediumError]);
        assert_eq!(events(&[REFUSED, "I/O error, dev nvme1n1, sector 0"]), [KernelEvent::IoError]);
        let long_after: Vec<_> = [REFUSED].into_iter().chain(["other"; 16]).chain([FAILED]).collect();
        assert_eq!(events(&long_after), [KernelEvent::IoError]);
    }
}
