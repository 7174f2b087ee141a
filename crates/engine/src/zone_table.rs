//! What the engine knows of each zone. One entry a zone, all of them taken at mount.

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::{Condition, Zone, ZoneKind};

use crate::location::Location;
use crate::request::{ZoneRole, ZoneStatus};

/// One zone.
#[derive(Clone, Debug)]
pub(crate) struct ZoneEntry {
    pub(crate) kind: ZoneKind,
    pub(crate) condition: Condition,
    pub(crate) role: ZoneRole,
    /// How many units can be written.
    pub(crate) capacity_units: u32,
    /// Where the next write goes.
    pub(crate) written_units: u32,
    /// How far the zone is acknowledged: what lies beyond is no one's.
    pub(crate) good_units: u32,
    /// Units of records that the index names.
    pub(crate) live_units: u32,
    /// Which life of the zone this is.
    pub(crate) incarnation: u64,
    /// The sequence that the log had when this life began: zones sort by it.
    pub(crate) first_sequence: u64,
    /// The number of entries in the footer's table, in a sealed zone.
    pub(crate) table_entries: u32,
}

impl ZoneEntry {
    /// The zone as a report describes it, with no role yet.
    pub(crate) fn from_report(zone: &Zone) -> Self {
        let usable = !matches!(zone.condition, Condition::ReadOnly | Condition::Offline);
        Self {
            kind: zone.kind,
            condition: zone.condition,
            role: if usable { ZoneRole::Free } else { ZoneRole::Lost },
            capacity_units: units(zone.capacity_bytes),
            written_units: written_units(zone),
            good_units: 0,
            live_units: 0,
            incarnation: 0,
            first_sequence: 0,
            table_entries: 0,
        }
    }

    /// Whether its log can be read.
    pub(crate) fn is_readable_log(&self) -> bool {
        matches!(self.role, ZoneRole::Open | ZoneRole::Sealed | ZoneRole::Fenced)
    }
}

/// How far the drive says that the zone is written. A full zone is written to its end; a conventional one says nothing.
fn written_units(zone: &Zone) -> u32 {
    match zone.condition {
        Condition::Full => units(zone.capacity_bytes),
        _ => units(zone.write_pointer_bytes.unwrap_or(0)),
    }
}

/// Whole units in `bytes`. A zone has fewer than 2^32 of them: the geometry is refused otherwise.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes / UNIT_BYTES as u64).unwrap_or(u32::MAX)
}

/// All zones of the drive, by number.
pub(crate) struct ZoneTable {
    entries: Vec<ZoneEntry>,
    /// Where the search for a free zone goes on, so that zones wear and age evenly.
    next_free: usize,
    free_count: u32,
    free_units: u64,
}

impl ZoneTable {
    /// The table of a drive whose report is `zones`.
    pub(crate) fn new(zones: &[Zone]) -> Self {
        Self {
            entries: zones.iter().map(ZoneEntry::from_report).collect(),
            next_free: 0,
            free_count: 0,
            free_units: 0,
        }
    }

    /// The zone with this number, which must be one of the drive's.
    pub(crate) fn get(&self, zone: u32) -> &ZoneEntry {
        &self.entries[zone as usize]
    }

    /// As [`Self::get`], to be changed.
    pub(crate) fn get_mut(&mut self, zone: u32) -> &mut ZoneEntry {
        &mut self.entries[zone as usize]
    }

    /// The zone with this number, if the drive has it.
    pub(crate) fn find(&self, zone: u32) -> Option<&ZoneEntry> {
        self.entries.get(zone as usize)
    }

    /// Zones in order, with their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &ZoneEntry)> {
        (0u32..).zip(&self.entries)
    }

    /// A free zone of at least `capacity_units`, from where the last search ended. It is not taken by this.
    pub(crate) fn find_free(&mut self, capacity_units: u32) -> Option<u32> {
        let count = self.entries.len();
        let found = (0..count).map(|step| (self.next_free + step) % count).find(|zone| {
            let entry = &self.entries[*zone];
            entry.role == ZoneRole::Free && entry.capacity_units >= capacity_units
        })?;
        self.next_free = found;
        u32::try_from(found).ok()
    }

    /// Begins a new life of a free zone.
    pub(crate) fn take(&mut self, zone: u32, first_sequence: u64) {
        let entry = self.get_mut(zone);
        entry.role = ZoneRole::Open;
        entry.incarnation = first_sequence;
        entry.first_sequence = first_sequence;
        entry.written_units = 0;
        entry.good_units = 0;
        let units = u64::from(entry.capacity_units);
        self.free_count -= 1;
        self.free_units -= units;
    }

    /// Notes that a zone is written up to `end_unit`.
    pub(crate) fn written(&mut self, zone: u32, end_unit: u32) {
        let entry = self.get_mut(zone);
        entry.written_units = end_unit;
        if entry.kind == ZoneKind::SequentialWriteRequired {
            let full = end_unit == entry.capacity_units;
            entry.condition = if full { Condition::Full } else { Condition::ImplicitOpen };
        }
    }

    /// How many zones are free.
    pub(crate) fn free_count(&self) -> u32 {
        self.free_count
    }

    /// How many units the free zones have together.
    pub(crate) fn free_units(&self) -> u64 {
        self.free_units
    }

    /// Counts the free zones anew, once every zone has its role.
    pub(crate) fn count_free(&mut self) {
        let free = || self.entries.iter().filter(|entry| entry.role == ZoneRole::Free);
        let (count, units) = (free().count(), free().map(|entry| u64::from(entry.capacity_units)).sum());
        self.free_count = u32::try_from(count).unwrap_or(u32::MAX);
        self.free_units = units;
    }

    /// Whether the record at `location` lies in what has been acknowledged.
    pub(crate) fn is_acknowledged(&self, location: Location) -> bool {
        let zone = self.get(location.zone);
        zone.is_readable_log() && location.unit_offset < zone.good_units
    }

    /// How many zones there are in each condition.
    pub(crate) fn count_by_condition(&self) -> Vec<(Condition, u32)> {
        const CONDITIONS: [Condition; 8] = [
            Condition::NotWritePointer,
            Condition::Empty,
            Condition::ImplicitOpen,
            Condition::ExplicitOpen,
            Condition::Closed,
            Condition::Full,
            Condition::ReadOnly,
            Condition::Offline,
        ];
        let count = |condition| self.entries.iter().filter(|entry| entry.condition == condition).count();
        CONDITIONS
            .map(|condition| (condition, u32::try_from(count(condition)).unwrap_or(u32::MAX)))
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// The memory that the table takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.entries.capacity() * size_of::<ZoneEntry>()) as u64
    }

    /// Every zone for a listing.
    pub(crate) fn statuses(&self) -> Vec<ZoneStatus> {
        let bytes = |units: u32| u64::from(units) * UNIT_BYTES as u64;
        self.iter()
            .map(|(zone, entry)| ZoneStatus {
                zone,
                kind: entry.kind,
                condition: entry.condition,
                role: entry.role,
                capacity_bytes: bytes(entry.capacity_units),
                written_bytes: bytes(entry.written_units),
                live_bytes: bytes(entry.live_units),
                incarnation: entry.incarnation,
            })
            .collect()
    }
}
