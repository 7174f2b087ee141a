//! Mounting: from a drive of which nothing is known to one that serves.
//!
//! The label says whose the drive is. Then every zone is asked what it holds, and the zones' logs are replayed into
//! the index in the order in which they were written: puts add records, tombstones remove exactly the record that
//! they name. Nothing is written to the drive, save that zones which will take no more records are finished, so that
//! they do not count against the drive's limit of open zones.

use imbrex_format::{Footer, Key, Label, TableEntry, Trailer, UNIT_BYTES, ZoneHeader, ZoneScope};
use imbrex_zoned::{Condition, Device, DeviceError, Zone, ZoneKind, ZoneOperation};

use crate::blocking::Blocking;
use crate::index::Index;
use crate::labels::{FoundLabel, find_label};
use crate::location::{Location, PLACE_BITS, UNIT_COUNT_MAX};
use crate::log::{OpenZone, SEQUENCE_JUMP, Tail};
use crate::request::{State, ZoneRole};
use crate::scan::{ScanBounds, scan_zone};
use crate::zone_table::ZoneTable;

/// A drive that has been read.
pub(crate) struct Mounted {
    pub(crate) label: Label,
    pub(crate) index: Index,
    pub(crate) zones: ZoneTable,
    /// The zone to which the log goes on, if one was left open.
    pub(crate) open: Option<OpenZone>,
    pub(crate) next_sequence: u64,
    pub(crate) next_group: u64,
    pub(crate) dead_units: u64,
    /// Records that were committed and whose headers are damaged: their keys are not known.
    pub(crate) lost_records: u64,
}

/// What a drive turned out to be.
pub(crate) enum MountOutcome {
    Mounted(Box<Mounted>),
    /// It is not mounted, for the reason that the state gives.
    Refused(State),
}

/// Reads the drive.
///
/// # Errors
///
/// The drive's own; what stands on the drive is an outcome and no error.
pub(crate) fn mount(device: &mut dyn Device) -> Result<MountOutcome, DeviceError> {
    if let Err(reason) = check_geometry(device) {
        return Ok(MountOutcome::Refused(State::Incompatible { reason }));
    }
    let zones = device.report_zones()?;
    let mut io = Blocking::new(device)?;
    match find_label(&mut io, &zones)? {
        FoundLabel::Label(label) => {
            let mut mount = match Mount::new(&mut io, *label, &zones) {
                Ok(mount) => mount,
                Err(state) => return Ok(MountOutcome::Refused(state)),
            };
            mount.zones(&zones)?;
            mount.replay()?;
            Ok(MountOutcome::Mounted(Box::new(mount.finish())))
        }
        FoundLabel::Refused(state) => Ok(MountOutcome::Refused(state)),
    }
}

fn check_geometry(device: &dyn Device) -> Result<(), String> {
    let geometry = device.geometry();
    let zone_units = geometry.zone_size_bytes / UNIT_BYTES as u64;
    let unit_bytes = UNIT_BYTES as u64;
    let units = [geometry.write_unit_bytes, geometry.logical_block_bytes];
    if !units.iter().all(|unit| unit_bytes.is_multiple_of(u64::from(*unit))) {
        return Err(format!(
            "it is written in units of {} bytes, and this version writes units of {UNIT_BYTES}",
            geometry.write_unit_bytes
        ));
    }
    if zone_units > u64::from(u32::MAX) || u64::from(geometry.zone_count) * zone_units > 1 << PLACE_BITS {
        return Err("it is larger than the 256 TiB that this version's index can address".into());
    }
    Ok(())
}

/// What a zone's header and footer say.
struct ZoneLog {
    zone: u32,
    first_sequence: u64,
    trailer: Option<Trailer>,
}

struct Mount<'a, 'b> {
    io: &'a mut Blocking<'b>,
    label: Label,
    index: Index,
    zones: ZoneTable,
    logs: Vec<ZoneLog>,
    open: Option<OpenZone>,
    last_sequence: u64,
    last_group: u64,
    dead_units: u64,
    lost_records: u64,
}

impl<'a, 'b> Mount<'a, 'b> {
    fn new(io: &'a mut Blocking<'b>, label: Label, zones: &[Zone]) -> Result<Self, State> {
        let zone_units = u32::try_from(label.zone_size_bytes / UNIT_BYTES as u64).unwrap_or(u32::MAX);
        let index =
            Index::new(label.blocks_max, zone_units, label.secret).map_err(|_| State::Incompatible {
                reason: format!(
                    "its index of {} blocks needs {} bytes of memory, and the machine does not give them",
                    label.blocks_max,
                    Index::memory_bytes(label.blocks_max)
                ),
            })?;
        Ok(Self {
            io,
            index,
            zones: ZoneTable::new(zones),
            logs: Vec::new(),
            open: None,
            last_sequence: 0,
            last_group: 0,
            dead_units: 0,
            lost_records: 0,
            label,
        })
    }

    /// Asks every zone what it holds.
    fn zones(&mut self, zones: &[Zone]) -> Result<(), DeviceError> {
        for zone in zones {
            if self.label.label_zones.contains(&zone.index) {
                self.zones.get_mut(zone.index).role = ZoneRole::Label;
            } else if zone.condition != Condition::Offline && zone.condition != Condition::Empty {
                self.zone(zone)?;
            }
        }
        self.logs.sort_by_key(|log| log.first_sequence);
        Ok(())
    }

    fn zone(&mut self, zone: &Zone) -> Result<(), DeviceError> {
        let header = self.read_header(zone.index)?;
        let trailer = self.read_trailer(zone)?;
        let (incarnation, first_sequence) = match (&header, &trailer) {
            (HeaderUnit::Header(header), _) => (header.incarnation, header.first_sequence),
            (_, Some(trailer)) => (trailer.incarnation, trailer.first_sequence),
            (HeaderUnit::Blank, None) if zone.kind == ZoneKind::Conventional => return Ok(()),
            _ => match self.incarnation_of_first_record(zone.index)? {
                // An engine opens a zone with the log's next sequence as its incarnation.
                Some(incarnation) => (incarnation, incarnation),
                None => return self.lose_zone(zone.index),
            },
        };
        let trailer = trailer.filter(|trailer| trailer.incarnation == incarnation);
        let entry = self.zones.get_mut(zone.index);
        entry.incarnation = incarnation;
        entry.first_sequence = first_sequence;
        entry.role = if trailer.is_some() { ZoneRole::Sealed } else { ZoneRole::Fenced };
        self.logs.push(ZoneLog { zone: zone.index, first_sequence, trailer });
        Ok(())
    }

    /// The life of a zone whose header and footer are both damaged, as its first record tells it.
    fn incarnation_of_first_record(&mut self, zone: u32) -> Result<Option<u64>, DeviceError> {
        let label = &self.label;
        let bytes = match self.io.read(zone, 1, 1) {
            Ok(bytes) => bytes,
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => return Ok(None),
        };
        Ok(imbrex_format::claimed_incarnation(bytes).filter(|incarnation| {
            let scope = ZoneScope::new(label, zone, *incarnation);
            imbrex_format::decode_record_header(bytes, &scope, 1).is_ok()
        }))
    }

    /// Something is written that neither a header, nor a footer, nor a record explains: it is kept, and never written
    /// to. A zone of one unit has lost nothing: a crash tore its header, and no record can have followed.
    fn lose_zone(&mut self, zone: u32) -> Result<(), DeviceError> {
        let entry = self.zones.get_mut(zone);
        entry.role = ZoneRole::Lost;
        if entry.written_units != 1 {
            tracing::error!(zone, "a zone is written, and nothing in it can be read: what it held is lost");
            self.lost_records += 1;
        }
        self.finish_zone(zone)
    }

    fn read_header(&mut self, zone: u32) -> Result<HeaderUnit, DeviceError> {
        match self.io.read(zone, 0, 1) {
            Ok(bytes) => Ok(match ZoneHeader::decode(bytes, &self.label, zone) {
                Ok(header) => HeaderUnit::Header(header),
                Err(_) if bytes.iter().all(|byte| *byte == 0) => HeaderUnit::Blank,
                Err(_) => HeaderUnit::Damaged,
            }),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(_) => Ok(HeaderUnit::Damaged),
        }
    }

    /// The trailer of a zone that may be sealed: one that is written to its end, or whose end nobody knows.
    fn read_trailer(&mut self, zone: &Zone) -> Result<Option<Trailer>, DeviceError> {
        let capacity_units = self.zones.get(zone.index).capacity_units;
        if zone.write_pointer_bytes.is_some_and(|pointer| pointer < zone.capacity_bytes)
            || capacity_units == 0
        {
            return Ok(None);
        }
        match self.io.read(zone.index, capacity_units - 1, 1) {
            Ok(bytes) => Ok(Trailer::decode(bytes, &self.label, zone.index).ok()),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(_) => Ok(None),
        }
    }

    /// Replays the logs of all zones, oldest first.
    fn replay(&mut self) -> Result<(), DeviceError> {
        let logs = std::mem::take(&mut self.logs);
        let newest = logs.last().map(|log| log.zone);
        for log in logs {
            self.last_sequence = self.last_sequence.max(log.first_sequence);
            let table = match &log.trailer {
                Some(trailer) => self.read_table(log.zone, trailer)?,
                None => None,
            };
            match table {
                Some(entries) => self.sealed(&log, &entries),
                None => self.scanned(&log, newest == Some(log.zone))?,
            }
        }
        Ok(())
    }

    fn read_table(&mut self, zone: u32, trailer: &Trailer) -> Result<Option<Vec<TableEntry>>, DeviceError> {
        let capacity_units = self.zones.get(zone).capacity_units;
        let Some(unit_count) = capacity_units.checked_sub(trailer.table_first_unit) else { return Ok(None) };
        if unit_count > self.io.window_units() {
            return Ok(None);
        }
        match self.io.read(zone, trailer.table_first_unit, unit_count) {
            Ok(bytes) => Ok(Footer::decode_table(bytes, trailer, &self.label).ok()),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(_) => Ok(None),
        }
    }

    fn sealed(&mut self, log: &ZoneLog, entries: &[TableEntry]) {
        let entry = self.zones.get_mut(log.zone);
        entry.table_entries = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        entry.good_units = entry.capacity_units;
        entry.written_units = entry.capacity_units;
        if let Some(trailer) = &log.trailer {
            self.last_sequence = self.last_sequence.max(trailer.last_sequence);
            self.last_group = self.last_group.max(trailer.last_group);
        }
        entries.iter().for_each(|entry| self.apply(log.zone, entry));
    }

    /// A zone without a good footer: the one to which the log was being written, or one whose footer is damaged.
    fn scanned(&mut self, log: &ZoneLog, is_newest: bool) -> Result<(), DeviceError> {
        let entry = self.zones.get(log.zone);
        let has_pointer = entry.kind == ZoneKind::SequentialWriteRequired
            && !matches!(entry.condition, Condition::ReadOnly | Condition::Full);
        let end = if has_pointer { entry.written_units } else { entry.capacity_units };
        let scope = ZoneScope::new(&self.label, log.zone, entry.incarnation);
        let bounds = ScanBounds { begin: 1, end, first_sequence: log.first_sequence };
        let scanned = scan_zone(self.io, &scope, bounds)?;
        self.last_sequence = self.last_sequence.max(scanned.highest_sequence);
        self.last_group = self.last_group.max(scanned.last_group);
        self.lost_records += u64::from(scanned.lost_records);
        scanned.entries.iter().for_each(|entry| self.apply(log.zone, entry));

        let entry = self.zones.get_mut(log.zone);
        entry.good_units = scanned.good_units;
        if entry.kind == ZoneKind::Conventional {
            entry.written_units = scanned.good_units;
        }
        let tail = Tail { good_units: entry.good_units, written_units: entry.written_units };
        let writable =
            !matches!(entry.condition, Condition::ReadOnly | Condition::Full) && log.trailer.is_none();
        if is_newest && writable && tail.has_room(scanned.entries.len(), entry.capacity_units) {
            entry.role = ZoneRole::Open;
            self.open = Some(OpenZone::resumed(log.zone, tail, scanned.entries));
            return Ok(());
        }
        entry.role = ZoneRole::Fenced;
        self.finish_zone(log.zone)
    }

    /// Finishes a zone that takes no more records, so that it is not active. A drive that refuses loses nothing by it.
    fn finish_zone(&mut self, zone: u32) -> Result<(), DeviceError> {
        let entry = self.zones.get_mut(zone);
        let active =
            matches!(entry.condition, Condition::ImplicitOpen | Condition::ExplicitOpen | Condition::Closed);
        if !active {
            return Ok(());
        }
        match self.io.zone(zone, ZoneOperation::Finish) {
            Ok(()) => {
                entry.condition = Condition::Full;
                Ok(())
            }
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(error) => {
                tracing::warn!(zone, %error, "a zone that takes no more records was not finished");
                Ok(())
            }
        }
    }

    fn apply(&mut self, zone: u32, entry: &TableEntry) {
        match entry {
            TableEntry::Block { key, unit_offset, unit_count, .. } => {
                self.apply_block(key, Location { zone, unit_offset: *unit_offset, unit_count: *unit_count });
            }
            TableEntry::Tombstone { key, target_zone, target_unit_offset, target_incarnation, .. } => {
                self.apply_tombstone(key, *target_zone, *target_unit_offset, *target_incarnation);
            }
        }
    }

    fn apply_block(&mut self, key: &Key, location: Location) {
        if location.unit_count == 0 || location.unit_count > UNIT_COUNT_MAX {
            self.lost_records += 1;
            return;
        }
        if self.index.insert(self.index.hash(key), location).is_err() {
            // The index took these blocks before the restart; only a table that was moved about differently can be
            // short of one place. The record stays on the drive and is counted.
            tracing::error!(%key, zone = location.zone, "the index has no place for a block that the drive holds");
            self.lost_records += 1;
            return;
        }
        self.zones.get_mut(location.zone).live_units += location.unit_count;
    }

    fn apply_tombstone(&mut self, key: &Key, zone: u32, unit_offset: u32, incarnation: u64) {
        if self.zones.find(zone).is_none_or(|entry| entry.incarnation != incarnation) {
            return;
        }
        let hash = self.index.hash(key);
        let mut candidates = self.index.candidates(hash);
        while let Some(location) = candidates.pop() {
            if location.zone == zone
                && location.unit_offset == unit_offset
                && self.index.remove(hash, location)
            {
                self.zones.get_mut(zone).live_units -= location.unit_count;
                self.dead_units += u64::from(location.unit_count);
            }
        }
    }

    fn finish(mut self) -> Mounted {
        self.zones.count_free();
        Mounted {
            label: self.label,
            index: self.index,
            zones: self.zones,
            open: self.open,
            next_sequence: self.last_sequence.max(1) + SEQUENCE_JUMP,
            next_group: self.last_group + 1,
            dead_units: self.dead_units,
            lost_records: self.lost_records,
        }
    }
}

enum HeaderUnit {
    Header(ZoneHeader),
    /// Nothing but zeros.
    Blank,
    Damaged,
}
