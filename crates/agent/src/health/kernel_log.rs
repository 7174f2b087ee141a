//! The kernel's log as evidence: `/dev/kmsg`, one record for each read (Documentation/ABI/testing/dev-kmsg).
//!
//! - It is read without waiting, a bounded number of records at a time, and never written.
//! - Only what the kernel itself said counts: whoever may write to the log is told apart by the facility.
//! - A record is read once. Those that were overwritten before they could be read are lost, and that is all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imbrex_health::KernelLog;

use super::{Book, now_unix_s};
use crate::procfs;

/// The kernel gives a record whole or not at all: none is longer than this, in bytes (`PRINTK_MESSAGE_MAX` and the
/// head and properties before and after it).
const RECORD_BYTES_MAX: usize = 8192;

/// It is looked for new records this often, and at most this many are read then: a thousand in a second, which is more
/// than the kernel itself lets one place say (`printk_ratelimit`: 10 in 5 s).
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
const RECORDS_AT_ONCE_MAX: usize = 256;

/// Reads do not wait (open(2): O_NONBLOCK).
const OPEN_FLAGS: i32 = 0o4000;

/// The kernel overwrote records that were not read yet (EPIPE).
const ERRNO_OVERWRITTEN: i32 = 32;

/// One record's head: `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS`.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    is_kernels: bool,
    sequence: u64,
    since_boot_us: u64,
}

impl Head {
    fn parse(record: &str) -> Option<Self> {
        let mut fields = record.split_once(';')?.0.split(',');
        let mut number = || fields.next()?.parse::<u64>().ok();
        let (priority, sequence, since_boot_us) = (number()?, number()?, number()?);
        // The lowest three bits are the level, the others the facility, of which 0 is the kernel's alone.
        Some(Self { is_kernels: priority >> 3 == 0, sequence, since_boot_us })
    }
}

/// Reads the log at `path` for ever. Where that cannot be, the book is told why.
pub(crate) async fn run(book: Arc<Book>, path: &Path, procfs: &Path) {
    // Records are about drives that the book has to know first.
    book.first_observed().await;
    let opened = OpenOptions::new().read(true).custom_flags(OPEN_FLAGS).open(path);
    let reason = match opened {
        Ok(mut log) => {
            format!("{} cannot be read: {}", path.display(), follow(&book, &mut log, procfs).await)
        }
        Err(error) => format!("{} cannot be opened: {error}", path.display()),
    };
    tracing::warn!("the kernel's log gives no evidence: {reason}");
    book.set_kernel_log_reason(reason);
}

/// Reads on until that fails; gives why.
async fn follow(book: &Book, log: &mut File, procfs: &Path) -> io::Error {
    let mut buffer = vec![0; RECORD_BYTES_MAX];
    let mut words = KernelLog::default();
    loop {
        for _ in 0..RECORDS_AT_ONCE_MAX {
            match log.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => take(book, &mut words, &buffer[..length], procfs),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.raw_os_error() == Some(ERRNO_OVERWRITTEN) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error,
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Takes a record: a line with a head, and lines with properties, which have none.
fn take(book: &Book, words: &mut KernelLog, bytes: &[u8], procfs: &Path) {
    String::from_utf8_lossy(bytes).lines().for_each(|line| take_line(book, words, line, procfs));
}

fn take_line(book: &Book, words: &mut KernelLog, line: &str, procfs: &Path) {
    let Some(head) = Head::parse(line).filter(|head| head.is_kernels) else { return };
    if !book.is_new_record(head.sequence) {
        return;
    }
    if let Some(known) = words.read(line) {
        let age_s = procfs::uptime_ms(procfs)
            .map_or(0, |uptime_ms| (uptime_ms / 1000).saturating_sub(head.since_boot_us / 1_000_000));
        book.record_kernel_event(&known.device, now_unix_s().saturating_sub(age_s), known.event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_who_spoke_and_when() {
        let head = Head::parse("3,1204,98765432,-;critical medium error, dev sda, sector 7").unwrap();
        assert_eq!(head, Head { is_kernels: true, sequence: 1204, since_boot_us: 98_765_432 });
        assert!(!Head::parse("11,5,6,-;sda: I/O error, dev sda").unwrap().is_kernels, "a program wrote this");
        for text in ["", ";", "3;x", "3,1;x", "a,b,c;x", "3,1,2,-"] {
            assert_eq!(Head::parse(text), None, "{text}");
        }
    }
}
