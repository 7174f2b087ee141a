//! What an operation's failure on the file means of the drive that it holds.

use nix::errno::Errno;

use crate::DeviceError;
use crate::kernel::errno;
use crate::kernel::operation::{Action, Failure};

/// The error of a read.
pub(crate) fn read_error(failure: Failure, offset_bytes: u64, length_bytes: usize) -> DeviceError {
    let length_bytes = length_bytes as u64;
    match failure {
        Failure::Errno(errno) => errno::of_read(errno, offset_bytes, length_bytes),
        // The file was cut short under us.
        Failure::PastEnd => DeviceError::MediumRead { offset_bytes, length_bytes },
    }
}

/// The error of a write, by the part of it that failed.
pub(crate) fn write_error(
    failure: Failure,
    action: Action,
    offset_bytes: u64,
    length_bytes: usize,
) -> DeviceError {
    match (action, failure) {
        (Action::Write, Failure::Errno(Errno::EIO | Errno::ENODATA | Errno::EILSEQ | Errno::EREMOTEIO)) => {
            DeviceError::MediumWrite { offset_bytes, length_bytes: length_bytes as u64 }
        }
        (Action::Write, Failure::Errno(Errno::EINVAL)) => {
            DeviceError::Unaligned { offset_bytes, length_bytes: length_bytes as u64 }
        }
        (Action::Write, _) => system("writing the simulated drive", failure),
        (_, _) => system("writing the simulated drive's zone table", failure),
    }
}

/// Any other error.
pub(crate) fn system(operation: &'static str, failure: Failure) -> DeviceError {
    let errno = match failure {
        Failure::Errno(errno) => errno,
        Failure::PastEnd => Errno::EIO,
    };
    DeviceError::System { operation, errno: errno as i32 }
}
