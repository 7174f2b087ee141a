//! Reads the log of one zone that has no footer, from its header to the end of what was committed.
//!
//! Records follow one another, so the scan goes from header to header. Where no valid header stands, either a group
//! was torn by a crash or a header was damaged later: the scan looks unit by unit for the next valid header, which
//! cannot be imitated by a payload (its checksum is salted with a secret). What is found there decides:
//!
//! * a void record that begins where the last commit ended: the group was torn, and nothing of it counts;
//! * a commit, or records that a commit follows: a header in between is damaged, and costs its record;
//! * nothing: the log ends at the last commit.
//!
//! A record counts only once a commit has followed it whose group it belongs to, and sequences rise strictly: an older
//! record that an earlier mount left behind is never taken for a part of the log. A commit lists its group, so that a
//! record whose header is damaged is known by its key all the same.
//!
//! A record that a crash tore may claim more units than were ever written of it, and later groups then stand within
//! what it claims. Every mount makes the sequence jump. So where the sequence jumps, or the log seems to end, the scan
//! looks into the record before.

use std::collections::BTreeMap;

use imbrex_format::{
    Commit, CommitZone, Key, RecordHeader, RecordKind, TableEntry, UNIT_BYTES, VoidRange, ZoneScope,
};
use imbrex_zoned::DeviceError;

use crate::blocking::Blocking;
use crate::location::Location;
use crate::log::SEQUENCE_JUMP;

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct ScannedZone {
    /// The records that were committed, in the order of the log.
    pub(crate) entries: Vec<TableEntry>,
    /// How far the zone is committed, in units from its start.
    pub(crate) good_units: u32,
    /// The sequence of the last record that was followed.
    last_sequence: u64,
    /// The highest sequence of any valid header, even one that claims more units than are written: the log's next
    /// sequences must be far from it, or its record could pass for a part of them.
    pub(crate) highest_sequence: u64,
    /// The group number of the last commit.
    pub(crate) last_group: u64,
    /// Stretches that could not be read before a commit, and in which nothing stands that it lists: they may have held the
    /// commit of another group.
    pub(crate) unreadable_groups: u64,
    /// Units behind the last commit that could not be read, the first of them.
    unreadable: Vec<u32>,
    /// Where padding begins behind it.
    padding: Option<u32>,
    /// Blocks whose headers are damaged; a commit names them.
    pub(crate) damaged: Vec<(Key, Location)>,
    /// What the last commit says of other open zones.
    pub(crate) open: Vec<CommitZone>,
    /// How far each life was good that any commit calls open, by zone and incarnation.
    pub(crate) vouched: BTreeMap<(u32, u64), u32>,
    /// Records behind the last commit, with their sequences: of a torn group, or of one whose commit is damaged.
    pub(crate) uncommitted: Vec<(u64, TableEntry)>,
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

/// How many units that cannot be read are remembered before one commit.
const UNREADABLE_MAX: usize = 64;

struct Scan<'a, 'b> {
    io: &'a mut Blocking<'b>,
    scope: &'a ZoneScope,
    bounds: ScanBounds,
    found: ScannedZone,
    /// What the records since the last commit hold, each entry with its record's sequence.
    pending: Vec<(u64, TableEntry)>,
    /// The record before, as long as nothing has shown that all of the units that it claims are its own.
    unproven: Option<RecordHeader>,
    small_records: bool,
}

/// Scans the zone that `scope` names.
///
/// # Errors
///
/// [`DeviceError::Gone`]; whatever else cannot be read counts as damaged.
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
    let mut scan =
        Scan { io, scope, bounds, found, pending: Vec::new(), unproven: None, small_records: false };
    scan.run()?;
    Ok(ScannedZone { uncommitted: scan.pending, ..scan.found })
}

impl ScannedZone {
    /// Whether something cannot be read behind the last commit, and before where the zone's padding or its footer begins.
    /// A crash tears a group, but leaves nothing unreadable: a commit may stand there, of a group that was acknowledged.
    pub(crate) fn has_unreadable_end(&self, footer_first: u32) -> bool {
        let end = self.padding.unwrap_or(footer_first).min(footer_first);
        self.unreadable.iter().any(|unit| (self.good_units..end).contains(unit))
    }

    /// A zone of which nothing more than its first `good_units` is known.
    pub(crate) fn nothing_behind(good_units: u32) -> Self {
        Self { good_units, ..Self::default() }
    }
}

impl Scan<'_, '_> {
    fn run(&mut self) -> Result<(), DeviceError> {
        let mut unit = self.bounds.begin;
        loop {
            let header = self.header_at(unit)?;
            if let Some(inner) = self.look_into_unproven(header.as_ref())? {
                unit = inner;
                continue;
            }
            if let Some(header) = header {
                self.record(&header)?;
                unit += header.unit_count;
                self.small_records = header.unit_count < LOOK_UNITS_SMALL_RECORDS / 4;
                // Of a commit that was torn the header may stand alone, and newer records within the units that it claims.
                let proven = self.found.good_units == unit;
                self.unproven = (!proven).then_some(header);
            } else {
                match self.next_header_in(unit + 1, self.bounds.end)? {
                    Some(next) => unit = next,
                    None => return Ok(()),
                }
            }
        }
    }

    /// A later record within the units that the record before claims: it is looked for where `next` does not follow
    /// that record closely.
    fn look_into_unproven(&mut self, next: Option<&RecordHeader>) -> Result<Option<u32>, DeviceError> {
        let Some(before) = self.unproven.take() else { return Ok(None) };
        let follows = next.is_some_and(|next| next.sequence < before.sequence + SEQUENCE_JUMP / 2);
        if follows {
            return Ok(None);
        }
        self.next_header_in(before.unit_offset + 1, before.unit_offset + before.unit_count)
    }

    /// The valid header of a later record at `unit`, if one stands there.
    fn header_at(&mut self, unit: u32) -> Result<Option<RecordHeader>, DeviceError> {
        if unit >= self.bounds.end {
            return Ok(None);
        }
        let wanted = if self.small_records { LOOK_UNITS_SMALL_RECORDS } else { LOOK_UNITS };
        let zone = self.scope.zone;
        let end = self.bounds.end;
        // Where a stretch cannot be read, the units of it that can are still looked at.
        let looks = [wanted, 1];
        let Some(wanted) = first_readable(self.io, zone, unit, &looks, end)? else {
            if self.found.unreadable.len() < UNREADABLE_MAX {
                self.found.unreadable.push(unit);
            }
            return Ok(None);
        };
        let bytes = self.io.look(zone, unit, 1, wanted, end)?;
        let Ok(header) = imbrex_format::decode_record_header(bytes, self.scope, unit) else {
            return Ok(None);
        };
        self.found.highest_sequence = self.found.highest_sequence.max(header.sequence);
        let follows =
            header.sequence > self.found.last_sequence && header.unit_count <= self.bounds.end - unit;
        Ok(follows.then_some(header))
    }

    fn next_header_in(&mut self, begin: u32, end: u32) -> Result<Option<u32>, DeviceError> {
        self.small_records = true;
        for candidate in begin..end {
            if self.header_at(candidate)?.is_some() {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    fn record(&mut self, header: &RecordHeader) -> Result<(), DeviceError> {
        self.found.last_sequence = header.sequence;
        match header.kind {
            RecordKind::Block => self.block(header),
            RecordKind::Tombstones => self.tombstones(header)?,
            RecordKind::Commit => self.commit(header)?,
            RecordKind::Void => self.void(header)?,
            RecordKind::Padding => self.found.padding = Some(header.unit_offset),
            // A checkpoint's records do not stand in the log.
            _ => {}
        }
        Ok(())
    }

    fn block(&mut self, header: &RecordHeader) {
        let entry = TableEntry::Block {
            key: header.key,
            unit_offset: header.unit_offset,
            unit_count: header.unit_count,
            payload_bytes: header.payload_bytes,
            sequence: header.sequence,
            birth: header.birth,
        };
        self.pending.push((header.sequence, entry));
    }

    /// The payload of a record that is small enough to be looked at whole; `None` where it is damaged.
    fn small_payload(&mut self, header: &RecordHeader) -> Result<Option<&[u8]>, DeviceError> {
        let count = header.unit_count;
        if count > self.io.window_units() {
            return Ok(None);
        }
        let bytes = match self.io.look(self.scope.zone, header.unit_offset, count, count, self.bounds.end) {
            Ok(bytes) => &bytes[..count as usize * UNIT_BYTES],
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => return Ok(None),
        };
        let whole = 0..header.payload_bytes as usize;
        let sound = imbrex_format::check_payload(bytes, header, whole).is_ok();
        Ok(sound.then(|| imbrex_format::payload(bytes, header)))
    }

    fn tombstones(&mut self, header: &RecordHeader) -> Result<(), DeviceError> {
        let unit_offset = header.unit_offset;
        let entries =
            self.small_payload(header)?.and_then(|payload| imbrex_format::decode_tombstones(payload).ok());
        // Where they are damaged, their commit lists them.
        let Some(tombstones) = entries else { return Ok(()) };
        self.pending.extend(tombstones.iter().map(|tombstone| {
            let entry = TableEntry::Tombstone {
                key: tombstone.key,
                unit_offset,
                target_zone: tombstone.zone,
                target_unit_offset: tombstone.unit_offset,
                target_incarnation: tombstone.incarnation,
                birth: tombstone.birth,
            };
            (header.sequence, entry)
        }));
        Ok(())
    }

    fn commit(&mut self, header: &RecordHeader) -> Result<(), DeviceError> {
        let commit = self.small_payload(header)?.and_then(|payload| Commit::decode(payload).ok());
        let Some(commit) = commit else { return Ok(()) };
        // A damaged commit before this one leaves its group here too: this commit was flushed after it. What a torn group
        // left behind is older than both, and is only as old as a mount that ended it.
        let first_sequence = commit.first_sequence.saturating_sub(SEQUENCE_JUMP / 2);
        let seen = |unit: u32| {
            let at = |(_, entry): &(u64, TableEntry)| matches!(entry, TableEntry::Block { unit_offset, .. } if *unit_offset == unit);
            self.pending.iter().any(at)
        };
        for entry in &commit.entries {
            if let TableEntry::Block { key, unit_offset, unit_count, .. } = entry
                && !seen(*unit_offset)
            {
                let (zone, unit_offset, unit_count) = (self.scope.zone, *unit_offset, *unit_count);
                self.found.damaged.push((*key, Location { zone, unit_offset, unit_count }));
            }
        }
        let is_listed = |unit: &u32| commit.entries.iter().any(|entry| explains(entry, *unit));
        let is_lost = self.found.unreadable.iter().any(|unit| *unit < header.unit_offset && !is_listed(unit));
        self.found.unreadable_groups += u64::from(is_lost);
        self.found.unreadable.clear();
        // What is older than a mount, and no void names, is of a group whose own commit was damaged since, or of a torn one
        // whose void was lost: nobody can tell any more, so that it does not count, and is told as lost.
        let is_older = |(sequence, entry): &(u64, TableEntry)| {
            *sequence < first_sequence && matches!(entry, TableEntry::Block { .. })
        };
        self.found.unreadable_groups += u64::from(self.pending.iter().any(is_older));
        let before = self
            .pending
            .drain(..)
            .filter(|(sequence, _)| *sequence >= first_sequence && *sequence < commit.first_sequence);
        self.found.entries.extend(before.map(|(_, entry)| entry));
        self.found.entries.extend(commit.entries);
        for open in &commit.open {
            let good_units = self.found.vouched.entry((open.zone, open.incarnation)).or_default();
            *good_units = open.good_units.max(*good_units);
        }
        self.found.open = commit.open;
        self.found.good_units = header.unit_offset + header.unit_count;
        self.found.last_group = commit.group;
        self.found.padding = None;
        Ok(())
    }

    fn void(&mut self, header: &RecordHeader) -> Result<(), DeviceError> {
        let range = self.small_payload(header)?.and_then(|payload| VoidRange::decode(payload).ok());
        // The void record is the first of the group that followed the crash.
        if range.is_some_and(|range| range.first_unit == self.found.good_units) {
            self.pending.clear();
        }
        Ok(())
    }
}

/// The first of `looks` (how many units to read at once) with which the units from `unit` on can be read; what was read
/// stays in the window.
fn first_readable(
    io: &mut Blocking<'_>,
    zone: u32,
    unit: u32,
    looks: &[u32],
    end: u32,
) -> Result<Option<u32>, DeviceError> {
    for wanted in looks {
        match io.look(zone, unit, 1, *wanted, end) {
            Ok(_) => return Ok(Some(*wanted)),
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Whether an entry of a commit tells what stands at a unit.
fn explains(entry: &TableEntry, unit: u32) -> bool {
    match entry {
        TableEntry::Block { unit_offset, unit_count, .. } => {
            (*unit_offset..unit_offset.saturating_add(*unit_count)).contains(&unit)
        }
        TableEntry::Tombstone { unit_offset, .. } => {
            // A record of tombstones has four units at most.
            (*unit_offset..unit_offset.saturating_add(4)).contains(&unit)
        }
    }
}
