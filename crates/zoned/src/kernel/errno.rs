//! What the kernel's error numbers mean of a drive (`blk_errors` in the kernel's `block/blk-core.c`).

use nix::errno::Errno;

use crate::DeviceError;

/// The error of a read.
pub(crate) fn of_read(errno: Errno, offset_bytes: u64, length_bytes: u64) -> DeviceError {
    match errno {
        // A failed sector, a failed integrity check, a failed target, and what the drive did not explain.
        Errno::ENODATA | Errno::EILSEQ | Errno::EIO | Errno::EREMOTEIO => {
            DeviceError::MediumRead { offset_bytes, length_bytes }
        }
        Errno::EINVAL => DeviceError::Unaligned { offset_bytes, length_bytes },
        errno => of_any("reading", errno),
    }
}

/// The error of a write to `zone`.
pub(crate) fn of_write(errno: Errno, zone: u32, offset_bytes: u64, length_bytes: u64) -> DeviceError {
    match errno {
        Errno::ENODATA | Errno::EILSEQ | Errno::EIO | Errno::EREMOTEIO => {
            DeviceError::MediumWrite { offset_bytes, length_bytes }
        }
        // The kernel refuses direct I/O that is not aligned: our fault.
        Errno::EINVAL => DeviceError::Unaligned { offset_bytes, length_bytes },
        // The drive lacked the resources to open the zone, or to make it active.
        Errno::ETOOMANYREFS | Errno::EOVERFLOW => DeviceError::TooManyOpenZones { zone },
        // A drive that has vanished has no size, and our range lay within the size that it had.
        Errno::ENOSPC => DeviceError::Gone,
        errno => of_any("writing", errno),
    }
}

/// The error of a flush.
pub(crate) fn of_flush(errno: Errno) -> DeviceError {
    match of_any("flushing", errno) {
        DeviceError::Gone => DeviceError::Gone,
        _ => DeviceError::Flush,
    }
}

/// The error of an order to a zone, before its condition has been looked at.
pub(crate) fn of_order(errno: Errno, zone: u32) -> DeviceError {
    match errno {
        Errno::ETOOMANYREFS | Errno::EOVERFLOW => DeviceError::TooManyOpenZones { zone },
        errno => of_any("ordering a zone", errno),
    }
}

/// The error of anything else.
pub(crate) fn of_any(operation: &'static str, errno: Errno) -> DeviceError {
    match errno {
        Errno::ENODEV | Errno::ENXIO | Errno::ESHUTDOWN => DeviceError::Gone,
        errno => DeviceError::System { operation, errno: errno as i32 },
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::{of_flush, of_read, of_write};
    use crate::DeviceError;

    #[test]
    fn what_the_medium_failed_is_told_from_a_drive_that_has_gone() {
        let place = (4096, 8192);
        let read = |errno| of_read(errno, place.0, place.1);
        let write = |errno| of_write(errno, 3, place.0, place.1);
        let (offset_bytes, length_bytes) = place;
        for errno in [Errno::ENODATA, Errno::EILSEQ, Errno::EIO, Errno::EREMOTEIO] {
            assert_eq!(read(errno), DeviceError::MediumRead { offset_bytes, length_bytes }, "{errno}");
            assert_eq!(write(errno), DeviceError::MediumWrite { offset_bytes, length_bytes }, "{errno}");
            assert_eq!(of_flush(errno), DeviceError::Flush, "{errno}");
        }
        for errno in [Errno::ENODEV, Errno::ENXIO, Errno::ESHUTDOWN] {
            assert_eq!([read(errno), write(errno), of_flush(errno)], [(); 3].map(|()| DeviceError::Gone));
        }
        assert_eq!(write(Errno::EOVERFLOW), DeviceError::TooManyOpenZones { zone: 3 });
        assert!(matches!(read(Errno::ENOMEM), DeviceError::System { operation: "reading", .. }));
    }
}
