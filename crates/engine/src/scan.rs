//! Reads the log of one zone that has no footer, from its header to the end of what was committed.
//!
//! Records follow one another, so the scan goes from header to header. Where no valid header stands, either a group
//! was torn by a crash or a header was damaged later: the scan looks unit by unit for the next valid header, which
//! cannot be imitated by a payload (its checksum is salted with a secret). What is found there decides:
//!
//! * a void record that begins where the last commit ended: the group was torn, and nothing of it counts;
//! * a commit, or records that a commit follows: one header in between is damaged, and costs one record;
//! * nothing: the log ends at the last commit.
//!
//! A record counts only once a commit has followed it, and sequences rise strictly: an older record that an earlier
//! life of the log left behind on a conventional zone is never taken for a part of it.

use imbrex_format::{Commit, RecordHeader, RecordKind, TableEntry, UNIT_BYTES, VoidRange, ZoneScope};
use imbrex_zoned::DeviceError;

use crate::blocking::Blocking;

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct ScannedZone {
    /// The records that were committed, in the order of the log.
    pub(crate) entries: Vec<TableEntry>,
    /// How far the zone is committed, in units from its start.
    pub(crate) good_units: u32,
    /// The highest sequence seen, committed or not.
    pub(crate) last_sequence: u64,
    /// The group number of the last commit.
    pub(crate) last_group: u64,
    /// How many records were lost to damaged headers; their keys are not known.
    pub(crate) lost_records: u32,
}

/// How far a scan goes and where it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanBounds {
    /// The first unit after the zone's header.
    pub(crate) begin: u32,
    /// The write pointer; the zone's capacity where there is none.
    pub(crate) end: u32,
    /// The sequence that the log had when the zone was opened.
    pub(crate) first_sequence: u64,
}

/// How much is read at once while records are large, and while they are small.
const LOOK_UNITS: u32 = 4;
const LOOK_UNITS_SMALL_RECORDS: u32 = 256;

struct Scan<'a, 'b> {
    io: &'a mut Blocking<'b>,
    scope: &'a ZoneScope,
    bounds: ScanBounds,
    found: ScannedZone,
    /// Records since the last commit.
    pending: Vec<TableEntry>,
    /// Records since the last commit, void and padding included.
    pending_records: u32,
    small_records: bool,
}

/// Scans the zone that `scope` names.
///
/// # Errors
///
/// The drive's, where it cannot be read at all; a single unit that cannot be read counts as damaged.
pub(crate) fn scan_zone(
    io: &mut Blocking<'_>,
    scope: &ZoneScope,
    bounds: ScanBounds,
) -> Result<ScannedZone, DeviceError> {
    let found = ScannedZone {
        good_units: bounds.begin,
        last_sequence: bounds.first_sequence.saturating_sub(1),
        ..ScannedZone::default()
    };
    let mut scan = Scan {
        io,
        scope,
        bounds,
        found,
        pending: Vec::new(),
        pending_records: 0,
        small_records: false,
    };
    scan.run()?;
    Ok(scan.found)
}

impl Scan<'_, '_> {
    fn run(&mut self) -> Result<(), DeviceError> {
        let mut unit = self.bounds.begin;
        while unit < self.bounds.end {
            match self.header_at(unit)? {
                Some(header) => {
                    self.record(&header)?;
                    unit += header.unit_count;
                    self.small_records = header.unit_count < LOOK_UNITS_SMALL_RECORDS / 4;
                }
                None => match self.next_header_after(unit)? {
                    Some(next) => unit = next,
                    None => break,
                },
            }
        }
        Ok(())
    }

    /// The valid header of a later record at `unit`, if one stands there.
    fn header_at(&mut self, unit: u32) -> Result<Option<RecordHeader>, DeviceError> {
        let wanted = if self.small_records { LOOK_UNITS_SMALL_RECORDS } else { LOOK_UNITS };
        let zone = self.scope.zone;
        let bytes = match self.io.look(zone, unit, 1, wanted, self.bounds.end) {
            Ok(bytes) => bytes,
            Err(DeviceError::MediumRead { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let header = imbrex_format::decode_record_header(bytes, self.scope, unit).ok();
        Ok(header.filter(|header| {
            header.sequence > self.found.last_sequence && header.unit_count <= self.bounds.end - unit
        }))
    }

    fn next_header_after(&mut self, unit: u32) -> Result<Option<u32>, DeviceError> {
        self.small_records = true;
        for candidate in unit + 1..self.bounds.end {
            if self.header_at(candidate)?.is_some() {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    fn record(&mut self, header: &RecordHeader) -> Result<(), DeviceError> {
        self.found.last_sequence = header.sequence;
        self.pending_records += 1;
        match header.kind {
            RecordKind::Block => self.pending.push(TableEntry::Block {
                key: header.key,
                unit_offset: header.unit_offset,
                unit_count: header.unit_count,
                payload_bytes: header.payload_bytes,
                sequence: header.sequence,
                birth: header.birth,
            }),
            RecordKind::Tombstones => self.tombstones(header)?,
            RecordKind::Commit => self.commit(header)?,
            RecordKind::Void => self.void(header)?,
            RecordKind::Padding => {}
        }
        Ok(())
    }

    /// The payload of a record that is small enough to be looked at whole; `None` where it is damaged.
    fn small_payload(&mut self, header: &RecordHeader) -> Result<Option<&[u8]>, DeviceError> {
        let count = header.unit_count;
        if count > self.io.window_units() {
            return Ok(None);
        }
        let bytes = match self.io.look(self.scope.zone, header.unit_offset, count, count, self.bounds.end) {
            Ok(bytes) => &bytes[..count as usize * UNIT_BYTES],
            Err(DeviceError::MediumRead { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let whole = 0..header.payload_bytes as usize;
        let sound = imbrex_format::check_payload(bytes, header, whole).is_ok();
        Ok(sound.then(|| imbrex_format::payload(bytes, header)))
    }

    fn tombstones(&mut self, header: &RecordHeader) -> Result<(), DeviceError> {
        let unit_offset = header.unit_offset;
        let entries = self.small_payload(header)?.and_then(|payload| imbrex_format::decode_tombstones(payload).ok());
        let Some(tombstones) = entries else {
            self.found.lost_records += 1;
            return Ok(());
        };
        self.pending.extend(tombstones.iter().map(|tombstone| TableEntry::Tombstone {
            key: tombstone.key,
            unit_offset,
            target_zone: tombstone.zone,
            target_unit_offset: tombstone.unit_offset,
            target_incarnation: tombstone.incarnation,
            birth: tombstone.birth,
        }));
        Ok(())
    }

    fn commit(&mut self, header: &RecordHeader) -> Result<(), DeviceError> {
        let commit = self.small_payload(header)?.and_then(|payload| Commit::decode(payload).ok());
        let Some(commit) = commit else { return Ok(()) };
        // The commit itself is not among the records that it counts.
        let present = self.pending_records - 1;
        self.found.lost_records += commit.record_count.saturating_sub(present);
        self.found.entries.append(&mut self.pending);
        self.found.good_units = header.unit_offset + header.unit_count;
        self.found.last_group = commit.group;
        self.pending_records = 0;
        Ok(())
    }

    fn void(&mut self, header: &RecordHeader) -> Result<(), DeviceError> {
        let range = self.small_payload(header)?.and_then(|payload| VoidRange::decode(payload).ok());
        // The void record is the first of the group that followed the crash.
        if range.is_some_and(|range| range.first_unit == self.found.good_units) {
            self.pending.clear();
            self.pending_records = 1;
        }
        Ok(())
    }
}
