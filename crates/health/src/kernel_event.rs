//! What the kernel says of a drive, out of the lines of its log.
//!
//! - A line that is not known is no event. A line that tells of an order of ours that the drive rightly refused
//!   (illegal request, unaligned write, too many open zones) is none either: that is our bug, not the drive's.
//! - The texts are those of Linux 6.12: `block/blk-core.c` (`blk_errors`), `drivers/scsi`, `drivers/ata/libata-*.c`,
//!   `drivers/nvme/host`, `drivers/pci/pcie/aer.c`.

use serde::{Deserialize, Serialize};

/// A line longer than this is cut before it is read, in bytes: the kernel's own records hold at most 8 KiB.
const LINE_BYTES_MAX: usize = 1024;

/// What the kernel says of a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelEvent {
    /// The drive could not read or write the medium.
    MediumError,
    /// The drive said that its hardware failed.
    HardwareError,
    /// An order failed, and the kernel does not say why.
    IoError,
    /// The link or the drive was reset, or went down and came up.
    LinkReset,
    /// The link spoilt data, and said so.
    LinkError,
    /// The drive did not answer in time.
    Timeout,
    /// The kernel gave the drive up.
    Offline,
}

/// An event, and what the kernel calls the drive that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelLine {
    /// The name: `sda`, `nvme0n1`, `nvme0`, `ata3`, `0:0:1:0` or `0000:3b:00.0`.
    pub device: String,
    /// The event.
    pub event: KernelEvent,
}

/// Whose orders were wrong: ours. NVMe's words are those of Linux's `drivers/nvme/host/constants.c`, and its codes those
/// of the Zoned Namespace Command Set 1.1, "Status Values": a kernel built without the words gives only them.
const OUR_FAULT: [&str; 18] = [
    "Illegal Request",
    "Unaligned write command",
    "Insufficient zone resources",
    "zone resource",
    "critical target error",
    "Zone Management",
    "Zone Boundary Error",
    "Zone Is Full",
    "Zone Invalid Write",
    "Too Many Active Zones",
    "Too Many Open Zones",
    "Invalid Zone State Transition",
    "(sct 0x1 / sc 0xb8)",
    "(sct 0x1 / sc 0xb9)",
    "(sct 0x1 / sc 0xbc)",
    "(sct 0x1 / sc 0xbd)",
    "(sct 0x1 / sc 0xbe)",
    "(sct 0x1 / sc 0xbf)",
];

/// Which words tell of which event; the first that fits counts.
const WORDS: [(&str, KernelEvent); 29] = [
    ("critical medium error", KernelEvent::MediumError),
    // Data that came with a wrong guard or reference tag (T10 PI).
    ("protection error, dev ", KernelEvent::MediumError),
    ("timeout error, dev ", KernelEvent::Timeout),
    ("device offline error, dev ", KernelEvent::Offline),
    ("recoverable transport error, dev ", KernelEvent::LinkError),
    ("Sense Key : Medium Error", KernelEvent::MediumError),
    ("Unrecovered Read Error", KernelEvent::MediumError),
    ("Sense Key : Hardware Error", KernelEvent::HardwareError),
    ("error: { UNC", KernelEvent::MediumError),
    ("error: { ICRC", KernelEvent::LinkError),
    ("PCIe Bus Error", KernelEvent::LinkError),
    ("rejecting I/O to offline device", KernelEvent::Offline),
    ("Device offlined", KernelEvent::Offline),
    ("device offlined", KernelEvent::Offline),
    ("Disabling device after reset failure", KernelEvent::Offline),
    ("Removing after probe failure", KernelEvent::Offline),
    (": disable device", KernelEvent::Offline),
    ("timing out command", KernelEvent::Timeout),
    ("attempting task abort", KernelEvent::Timeout),
    ("timeout, aborting", KernelEvent::Timeout),
    ("timeout, reset controller", KernelEvent::Timeout),
    ("timeout, disable controller", KernelEvent::Timeout),
    ("qc timeout", KernelEvent::Timeout),
    ("hard resetting link", KernelEvent::LinkReset),
    ("SATA link down", KernelEvent::LinkReset),
    ("controller is down; will reset", KernelEvent::LinkReset),
    ("Power-on or device reset occurred", KernelEvent::LinkReset),
    ("frozen", KernelEvent::LinkReset),
    ("I/O error, dev ", KernelEvent::IoError),
];

/// What libata ends its line with that gives a drive up. Within a line it tells of a cache: "Write cache: disabled, read
/// cache: enabled" stands there at each start.
const DISABLED: &str = ": disabled";

/// The event in a line of the kernel's log, as `/dev/kmsg` gives it (`PRIORITY,SEQUENCE,TIME,FLAGS;TEXT`) or
/// without that head. `None` where the line tells of no drive's trouble.
#[must_use]
pub fn parse_kernel_line(line: &str) -> Option<KernelLine> {
    let text = text_of(line)?;
    if is_our_fault(text) {
        return None;
    }
    let told = WORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, event)| *event);
    let event = told.or_else(|| text.trim_end().ends_with(DISABLED).then_some(KernelEvent::Offline))?;
    Some(KernelLine { device: device_in(text)?, event })
}

/// What a line says. `None` where it is a continuation line of /dev/kmsg: these begin with a blank and hold properties.
fn text_of(line: &str) -> Option<&str> {
    let line = &line[..line.floor_char_boundary(LINE_BYTES_MAX)];
    let text = match line.split_once(';') {
        Some((head, text)) if head.starts_with(|first: char| first.is_ascii_digit()) => text,
        _ => line,
    };
    (!text.starts_with(' ')).then_some(text)
}

fn is_our_fault(text: &str) -> bool {
    OUR_FAULT.iter().any(|words| text.contains(words))
}

/// A line of a driver's that says that a device rightly refused an order of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The device.
    pub(crate) device: String,
    /// What all lines about this order have in common, and no other's: SCSI's tag.
    pub(crate) tag: Option<String>,
    /// Where the order was to write or read, in logical blocks: NVMe's lines say so.
    pub(crate) block: Option<u64>,
}

/// The refusal that a line tells of. The block layer's own line, which ends an order, is none.
pub(crate) fn refusal_in(line: &str) -> Option<Refusal> {
    let text = text_of(line).filter(|text| is_our_fault(text) && !is_end(text))?;
    let tag = text.split(' ').find(|word| word.starts_with("tag#")).map(str::to_owned);
    Some(Refusal { device: device_in(text)?, tag, block: number_after(text, "@ LBA ") })
}

/// The block layer's line about an order that has failed: the device, and the sector of 512 bytes (`blk_print_req_error`:
/// "WHY error, dev NAME, sector N op ...").
pub(crate) fn end_in(line: &str) -> Option<(String, Option<u64>)> {
    let text = text_of(line).filter(|text| is_end(text))?;
    Some((device_in(text)?, number_after(text, ", sector ")))
}

fn is_end(text: &str) -> bool {
    text.contains(" error, dev ")
}

fn number_after(text: &str, words: &str) -> Option<u64> {
    let (_, rest) = text.split_once(words)?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// The name of the device that a text is about.
fn device_in(text: &str) -> Option<String> {
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let Some((_, rest)) = text.split_once(", dev ") {
        return rest.split([',', ' ']).next().filter(|name| is_name(name)).map(str::to_owned);
    }
    if let Some((_, rest)) = text.split_once('[')
        && let Some((name, _)) = rest.split_once(']')
        && name.starts_with("sd")
        && is_name(name)
    {
        return Some(name.to_owned());
    }
    let mut words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let first = words.next()?;
    let name = match first.trim_end_matches(':') {
        "sd" | "nvme" | "scsi" | "pcieport" => words.next()?,
        _ => first,
    };
    let name = name.trim_end_matches(':');
    let is_ata = name.starts_with("ata") && name[3..].starts_with(|digit: char| digit.is_ascii_digit());
    let is_address =
        name.matches(':').count() >= 2 && name.starts_with(|digit: char| digit.is_ascii_hexdigit());
    let is_nvme = name.starts_with("nvme") && is_name(name);
    // ata3.00 is the drive on port ata3.
    let name = if is_ata { name.split('.').next()? } else { name };
    (is_ata || is_address || is_nvme).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_of_the_device_and_the_event() {
        for (line, device, event) in [
            (
                "3,1204,98765432,-;critical medium error, dev sda, sector 7 op 0x0:(READ) flags 0x0 phys_seg 1",
                "sda",
                KernelEvent::MediumError,
            ),
            (
                "sd 0:0:1:0: [sdb] tag#12 Sense Key : Hardware Error [current]",
                "sdb",
                KernelEvent::HardwareError,
            ),
            ("I/O error, dev nvme0n1, sector 0 op 0x1:(WRITE)", "nvme0n1", KernelEvent::IoError),
            ("ata3: hard resetting link", "ata3", KernelEvent::LinkReset),
            ("ata3.00: error: { UNC }", "ata3", KernelEvent::MediumError),
            ("ata10.00: error: { ICRC ABRT }", "ata10", KernelEvent::LinkError),
            ("nvme nvme1: I/O 12 QID 3 timeout, aborting", "nvme1", KernelEvent::Timeout),
            ("nvme nvme1: controller is down; will reset: CSTS=0x3", "nvme1", KernelEvent::LinkReset),
            ("sd 1:0:4:0: Power-on or device reset occurred", "1:0:4:0", KernelEvent::LinkReset),
            ("sd 1:0:4:0: [sdk] attempting task abort! scmd(0x0)", "sdk", KernelEvent::Timeout),
            ("sd 1:0:4:0: rejecting I/O to offline device", "1:0:4:0", KernelEvent::Offline),
            ("ata3.00: disabled", "ata3", KernelEvent::Offline),
            (
                "nvme 0000:3b:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer",
                "0000:3b:00.0",
                KernelEvent::LinkError,
            ),
        ] {
            assert_eq!(
                parse_kernel_line(line),
                Some(KernelLine { device: device.to_owned(), event }),
                "{line}"
            );
        }
    }

    #[test]
    fn an_order_that_was_rightly_refused_is_no_event() {
        for line in [
            "sd 0:0:1:0: [sdb] tag#12 Sense Key : Illegal Request [current]",
            "sd 0:0:1:0: [sdb] tag#12 Add. Sense: Unaligned write command",
            "critical target error, dev sdb, sector 524288 op 0x1:(WRITE)",
            "zone resource error, dev sdb, sector 0",
            "nvme0n1: Write(0x1) @ LBA 0, 8 blocks, Zone Invalid Write (sct 0x1 / sc 0xbc) DNR ",
            "I/O error, dev nvme0n1, sector 0 op 0x1:(WRITE), Zone Invalid Write",
        ] {
            assert_eq!(parse_kernel_line(line), None, "{line}");
        }
    }

    #[test]
    fn other_lines_are_no_events() {
        for line in [
            "",
            ";",
            "6,1,2,-;",
            " SUBSYSTEM=block",
            "6,1,2,-;sd 0:0:0:0: [sda] Attached SCSI disk",
            "6,1,2,-;sd 0:0:0:0: [sda] Write cache: disabled, read cache: enabled, doesn't support DPO or FUA",
            "EXT4-fs error (device sda1): I/O error, dev",
            "I/O error, dev ",
            "frozen",
            "ata: frozen",
            "éata3.00: é",
        ] {
            assert_eq!(parse_kernel_line(line), None, "{line}");
        }
    }
}
