//! The zone ioctls of `linux/blkzoned.h`, and `BLKGETSIZE64` of `linux/fs.h`.

#![expect(unsafe_code, reason = "nix has no safe calls for zones")]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use crate::{Condition, Geometry, Zone, ZoneKind, ZoneOperation};

/// The kernel counts in sectors of this size, whatever the drive's block.
pub(crate) const SECTOR_BYTES: u64 = 512;
/// How many zones one call reports: 64 KiB of answer.
const ZONES_PER_REPORT: usize = 1023;
/// The report gives capacities (`BLK_ZONE_REP_CAPACITY`).
const REPORTS_CAPACITY: u32 = 1;

/// `struct blk_zone`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct KernelZone {
    start: u64,
    len: u64,
    wp: u64,
    kind: u8,
    condition: u8,
    non_seq: u8,
    reset: u8,
    resv: [u8; 4],
    capacity: u64,
    reserved: [u8; 24],
}

/// `struct blk_zone_report` without its zones.
#[repr(C)]
struct ReportHeader {
    sector: u64,
    nr_zones: u32,
    flags: u32,
}

/// `struct blk_zone_report` with room for zones.
#[repr(C)]
struct Report {
    header: ReportHeader,
    zones: [KernelZone; ZONES_PER_REPORT],
}

/// `struct blk_zone_range`.
#[repr(C)]
struct ZoneRange {
    sector: u64,
    nr_sectors: u64,
}

const _: () = assert!(size_of::<KernelZone>() == 64);
const _: () = assert!(size_of::<ReportHeader>() == 16);
const _: () = assert!(size_of::<ZoneRange>() == 16);

nix::ioctl_readwrite!(blk_report_zone, 0x12, 130, ReportHeader);
nix::ioctl_read!(blk_get_size, 0x12, 114, u64);
nix::ioctl_write_ptr!(blk_reset_zone, 0x12, 131, ZoneRange);
nix::ioctl_write_ptr!(blk_open_zone, 0x12, 134, ZoneRange);
nix::ioctl_write_ptr!(blk_close_zone, 0x12, 135, ZoneRange);
nix::ioctl_write_ptr!(blk_finish_zone, 0x12, 136, ZoneRange);

/// The size of a block device in bytes: 0 once the drive has vanished.
pub(crate) fn device_bytes(device: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut bytes = 0;
    // SAFETY: the kernel writes one `u64`, and `bytes` is reached by nobody else during the call.
    unsafe { blk_get_size(device.as_raw_fd(), &raw mut bytes) }?;
    Ok(bytes)
}

/// Why zones could not be reported.
#[derive(Debug)]
pub(crate) enum ReportError {
    Errno(Errno),
    /// The kernel described a zone in a way that this program does not know.
    Unknown(String),
}

/// Reports up to `count` zones from zone `first` on.
pub(crate) fn report_zones(
    device: BorrowedFd<'_>,
    geometry: &Geometry,
    first: u32,
    count: u32,
) -> Result<Vec<Zone>, ReportError> {
    let end = first.saturating_add(count).min(geometry.zone_count);
    let mut zones = Vec::with_capacity((end - first.min(end)) as usize);
    let mut report = Box::new(Report {
        header: ReportHeader { sector: 0, nr_zones: 0, flags: 0 },
        zones: [KernelZone::default(); ZONES_PER_REPORT],
    });
    let mut next = first;
    while next < end {
        let wanted = (end - next).min(ZONES_PER_REPORT.try_into().unwrap_or(1));
        let sector = geometry.zone_start_bytes(next) / SECTOR_BYTES;
        report.header = ReportHeader { sector, nr_zones: wanted, flags: 0 };
        // The pointer is to the whole report, of which the header is the beginning.
        let header = (&raw mut *report).cast::<ReportHeader>();
        // SAFETY: the kernel writes the header and at most `nr_zones` zones after it; `report` is that long, is of
        // the layout asserted above, and is reached by nobody else during the call. Any bytes are a valid `Report`.
        unsafe { blk_report_zone(device.as_raw_fd(), header) }.map_err(ReportError::Errno)?;
        let reported = report.header.nr_zones.min(wanted);
        if reported == 0 {
            return Err(ReportError::Unknown(format!("a drive of {next} zones instead of {end}")));
        }
        let has_capacity = report.header.flags & REPORTS_CAPACITY != 0;
        for zone in &report.zones[..reported as usize] {
            zones.push(decode(*zone, next, geometry, has_capacity).map_err(ReportError::Unknown)?);
            next += 1;
        }
    }
    Ok(zones)
}

/// Carries out an order to one zone, and returns when the drive has.
pub(crate) fn order_zone(
    device: BorrowedFd<'_>,
    geometry: &Geometry,
    zone: u32,
    operation: ZoneOperation,
) -> Result<(), Errno> {
    let start_bytes = geometry.zone_start_bytes(zone);
    let length_bytes = geometry.zone_size_bytes.min(geometry.device_bytes.saturating_sub(start_bytes));
    let range = ZoneRange { sector: start_bytes / SECTOR_BYTES, nr_sectors: length_bytes / SECTOR_BYTES };
    let device = device.as_raw_fd();
    // SAFETY: each of these calls reads one `ZoneRange`, of the layout asserted above, and writes no memory.
    let ordered = unsafe {
        match operation {
            ZoneOperation::Open => blk_open_zone(device, &raw const range),
            ZoneOperation::Close => blk_close_zone(device, &raw const range),
            ZoneOperation::Finish => blk_finish_zone(device, &raw const range),
            ZoneOperation::Reset => blk_reset_zone(device, &raw const range),
        }
    };
    ordered.map(|_| ())
}

/// Translates one zone, or says what of it is not known.
fn decode(zone: KernelZone, index: u32, geometry: &Geometry, has_capacity: bool) -> Result<Zone, String> {
    let start_bytes = geometry.zone_start_bytes(index);
    if zone.start.checked_mul(SECTOR_BYTES) != Some(start_bytes) {
        return Err(format!("zone {index} at sector {}", zone.start));
    }
    let kind = match zone.kind {
        0x1 => ZoneKind::Conventional,
        0x2 => ZoneKind::SequentialWriteRequired,
        other => return Err(format!("zone {index} as of type {other:#x}")),
    };
    let condition = match zone.condition {
        0x0 => Condition::NotWritePointer,
        0x1 => Condition::Empty,
        0x2 => Condition::ImplicitOpen,
        0x3 => Condition::ExplicitOpen,
        0x4 => Condition::Closed,
        0xd => Condition::ReadOnly,
        0xe => Condition::Full,
        0xf => Condition::Offline,
        other => return Err(format!("zone {index} as in condition {other:#x}")),
    };
    let worn = matches!(condition, Condition::ReadOnly | Condition::Offline);
    let pointerless = condition == Condition::NotWritePointer;
    if !worn && pointerless != (kind == ZoneKind::Conventional) {
        return Err(format!("zone {index}, which is {kind:?}, as in condition {condition:?}"));
    }
    let capacity = if has_capacity { zone.capacity } else { zone.len };
    let capacity_bytes =
        capacity.checked_mul(SECTOR_BYTES).filter(|&bytes| bytes <= geometry.zone_size_bytes);
    let capacity_bytes = capacity_bytes.ok_or_else(|| format!("zone {index} of {capacity} sectors"))?;
    let write_pointer_bytes = if worn || pointerless || condition == Condition::Full {
        None
    } else {
        let pointer = zone.wp.checked_mul(SECTOR_BYTES).and_then(|bytes| bytes.checked_sub(start_bytes));
        let pointer = pointer.filter(|&pointer| pointer <= capacity_bytes);
        Some(pointer.ok_or_else(|| format!("the write pointer of zone {index} at sector {}", zone.wp))?)
    };
    Ok(Zone { index, kind, condition, capacity_bytes, write_pointer_bytes })
}

#[cfg(test)]
mod tests {
    use super::{KernelZone, decode};
    use crate::{Condition, Geometry, ZoneKind};

    const GEOMETRY: Geometry = Geometry {
        logical_block_bytes: 4096,
        write_unit_bytes: 4096,
        zone_count: 8,
        zone_size_bytes: 1 << 20,
        zone_open_max: None,
        zone_active_max: None,
        device_bytes: 8 << 20,
        rotational: true,
    };

    fn zone(kind: u8, condition: u8) -> KernelZone {
        KernelZone {
            start: 3 * 2048,
            len: 2048,
            wp: 3 * 2048 + 16,
            kind,
            condition,
            capacity: 2000,
            ..KernelZone::default()
        }
    }

    #[test]
    fn a_zone_is_translated_and_a_pointer_that_means_nothing_is_dropped() {
        let closed = decode(zone(2, 4), 3, &GEOMETRY, true).unwrap();
        assert_eq!((closed.condition, closed.write_pointer_bytes), (Condition::Closed, Some(8192)));
        assert_eq!(closed.capacity_bytes, 2000 * 512);
        assert_eq!(decode(zone(2, 4), 3, &GEOMETRY, false).unwrap().capacity_bytes, 1 << 20);
        for condition in [0xd, 0xe, 0xf] {
            assert_eq!(decode(zone(2, condition), 3, &GEOMETRY, true).unwrap().write_pointer_bytes, None);
        }
        assert_eq!(decode(zone(1, 0), 3, &GEOMETRY, true).unwrap().kind, ZoneKind::Conventional);
        assert_eq!(decode(zone(1, 0xf), 3, &GEOMETRY, true).unwrap().condition, Condition::Offline);
    }

    #[test]
    fn what_is_not_known_of_a_zone_is_refused() {
        for unknown in [zone(3, 1), zone(0, 1), zone(2, 5), zone(2, 0xff), zone(2, 0), zone(1, 4)] {
            assert!(decode(unknown, 3, &GEOMETRY, true).is_err());
        }
        assert!(decode(zone(2, 1), 4, &GEOMETRY, true).is_err(), "another zone's place");
        let far = KernelZone { wp: 9 * 2048, ..zone(2, 4) };
        assert!(decode(far, 3, &GEOMETRY, true).is_err(), "a pointer outside the zone");
        let long = KernelZone { capacity: 4096, ..zone(2, 4) };
        assert!(decode(long, 3, &GEOMETRY, true).is_err(), "a capacity beyond the zone");
    }
}
