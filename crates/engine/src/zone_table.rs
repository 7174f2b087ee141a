//! What the engine knows of all zones. One entry a zone, all of them taken at mount.

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::{Condition, Zone, ZoneKind};

use crate::location::Location;
use crate::log::Stream;
use crate::request::{ZoneRole, ZoneStatus};
pub(crate) use crate::zone_entry::ZoneEntry;

/// All zones of the drive, by number.
pub(crate) struct ZoneTable {
    entries: Vec<ZoneEntry>,
    /// Where the search for a free zone goes on, so that zones wear and age evenly.
    next_free: usize,
    free_count: u32,
    free_units: u64,
    /// How many zones were reset and wait for checkpoints.
    reset_count: u32,
    /// How many zones may hold blocks of which nothing is known: none becomes so while the drive serves.
    unknown_count: u32,
    /// Whether the log goes to conventional zones where no other is free.
    uses_conventional: bool,
}

impl ZoneTable {
    /// The table of a drive whose report is `zones`.
    pub(crate) fn new(zones: &[Zone]) -> Self {
        Self {
            entries: zones.iter().map(ZoneEntry::from_report).collect(),
            next_free: 0,
            free_count: 0,
            free_units: 0,
            reset_count: 0,
            unknown_count: 0,
            uses_conventional: true,
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

    /// Whether any zone is offline.
    pub(crate) fn has_offline_zones(&self) -> bool {
        self.entries.iter().any(|entry| entry.condition == Condition::Offline)
    }

    /// Keeps the log out of conventional zones: a report of zones does not tell whether they have been written since a
    /// checkpoint.
    pub(crate) fn keep_out_of_conventional(&mut self) {
        self.uses_conventional = false;
    }

    /// Whether the log goes to a zone of this kind.
    pub(crate) fn may_be_of_log(&self, zone: u32) -> bool {
        self.uses_conventional || self.get(zone).kind != ZoneKind::Conventional
    }

    /// Whether a zone can be opened for the log.
    fn is_free(&self, entry: &ZoneEntry) -> bool {
        entry.role == ZoneRole::Free && (self.uses_conventional || entry.kind != ZoneKind::Conventional)
    }

    /// Whether a zone of the log can be written, now or once it has been reset.
    pub(crate) fn may_be_written(&self, entry: &ZoneEntry) -> bool {
        match entry.role {
            ZoneRole::Label | ZoneRole::Checkpoint | ZoneRole::Lost => false,
            ZoneRole::Free => self.is_free(entry),
            _ => entry.can_be_reset(),
        }
    }

    /// How many zones the drive has.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// A free zone of at least `capacity_units`, from where the last search ended; a sequential one where there is any. It
    /// is not taken by this.
    pub(crate) fn find_free(&mut self, capacity_units: u32) -> Option<u32> {
        let count = self.entries.len();
        let fits = |zone: &usize, kind: ZoneKind| {
            let entry = &self.entries[*zone];
            entry.role == ZoneRole::Free && entry.kind == kind && entry.capacity_units >= capacity_units
        };
        let sequential = (0..count)
            .map(|step| (self.next_free + step) % count)
            .find(|zone| fits(zone, ZoneKind::SequentialWriteRequired));
        if let Some(found) = sequential {
            self.next_free = found;
            return u32::try_from(found).ok();
        }
        if !self.uses_conventional {
            return None;
        }
        let conventional = (0..count).find(|zone| fits(zone, ZoneKind::Conventional));
        conventional.and_then(|found| u32::try_from(found).ok())
    }

    /// Begins a new life of a free zone.
    pub(crate) fn take(&mut self, zone: u32, stream: Stream, first_sequence: u64) {
        let entry = self.get_mut(zone);
        *entry = ZoneEntry {
            role: ZoneRole::Open,
            stream,
            incarnation: first_sequence,
            first_sequence,
            written_units: 0,
            good_units: 0,
            table_entries: 0,
            tombstones: 0,
            evacuate: false,
            is_stuck: false,
            is_kept: false,
            is_lost_life: false,
            has_failed_reset: false,
            is_unknown: false,
            freed_by: 0,
            closed_sequence: u64::MAX,
            closed_at_unix_s: 0,
            scrubbed_at_unix_s: 0,
            ..*entry
        };
        let units = u64::from(entry.capacity_units);
        self.free_count -= 1;
        self.free_units -= units;
    }

    /// Takes a free zone for checkpoints.
    pub(crate) fn keep_for_checkpoints(&mut self, zone: u32) {
        let was_free = self.is_free(self.get(zone));
        let entry = self.get_mut(zone);
        entry.role = ZoneRole::Checkpoint;
        let units = u64::from(entry.capacity_units);
        if was_free {
            self.free_count -= 1;
            self.free_units -= units;
        }
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

    /// Makes a zone that was reset free again. Its last life is remembered, so that its end can be told.
    pub(crate) fn set_free(&mut self, zone: u32) {
        let was_reset = u32::from(self.get(zone).role == ZoneRole::Reset);
        self.reset_count -= was_reset;
        let entry = self.get_mut(zone);
        entry.role = ZoneRole::Free;
        let units = u64::from(entry.capacity_units);
        if self.is_free(self.get(zone)) {
            self.free_count += 1;
            self.free_units += units;
        }
    }

    /// Lets free zones wait until the checkpoint `freed_by` counts: one that could not be read at the mount may call them
    /// used, and would take a new life for the old one.
    pub(crate) fn keep_free_until(&mut self, freed_by: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.role == ZoneRole::Free) {
            entry.role = ZoneRole::Reset;
            entry.freed_by = freed_by;
        }
    }

    /// Notes that a zone was reset: it is free once the checkpoint with the number `freed_by` counts.
    pub(crate) fn set_reset(&mut self, zone: u32, freed_by: u64) {
        let entry = self.get_mut(zone);
        entry.role = ZoneRole::Reset;
        entry.freed_by = freed_by;
        self.reset_count += 1;
    }

    /// How many zones were reset and wait for checkpoints.
    pub(crate) fn reset_count(&self) -> u32 {
        self.reset_count
    }

    /// How many zones are free.
    pub(crate) fn free_count(&self) -> u32 {
        self.free_count
    }

    /// How many units the free zones have together.
    pub(crate) fn free_units(&self) -> u64 {
        self.free_units
    }

    /// How many zones may hold blocks of which nothing is known.
    pub(crate) fn unknown_count(&self) -> u32 {
        self.unknown_count
    }

    /// Counts the free zones anew, and those that are in doubt, once every zone has its role.
    pub(crate) fn count_free(&mut self) {
        let free = || self.entries.iter().filter(|entry| self.is_free(entry));
        let (count, units) = (free().count(), free().map(|entry| u64::from(entry.capacity_units)).sum());
        self.free_count = u32::try_from(count).unwrap_or(u32::MAX);
        self.free_units = units;
        let reset = self.entries.iter().filter(|entry| entry.role == ZoneRole::Reset).count();
        self.reset_count = u32::try_from(reset).unwrap_or(u32::MAX);
        let unknown = self.entries.iter().filter(|entry| entry.is_unknown).count();
        self.unknown_count = u32::try_from(unknown).unwrap_or(u32::MAX);
    }

    /// Whether the record at `location` lies in what has been acknowledged. A zone in the trash is read until it is reset:
    /// where the index still has a place in it, it went there by mistake.
    pub(crate) fn is_acknowledged(&self, location: Location) -> bool {
        let zone = self.get(location.zone);
        (zone.is_readable_log() || zone.role == ZoneRole::Trash) && location.unit_offset < zone.good_units
    }

    /// Whether this life of the zone has not ended, for all that a mount could find. Of a zone in doubt it may be a later
    /// one than is known, and so it may of one that waits for checkpoints, where a newer one than this mount has read knows
    /// that life.
    pub(crate) fn has_life(&self, zone: u32, incarnation: u64) -> bool {
        self.find(zone).is_some_and(|entry| {
            let is_uncertain = entry.is_unknown || entry.role == ZoneRole::Reset;
            let is_later = is_uncertain && entry.incarnation < incarnation;
            (entry.incarnation == incarnation || is_later) && entry.role != ZoneRole::Free
        })
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
        // In one pass: a large drive has so many zones that they are not in the processor's cache.
        let mut counts = CONDITIONS.map(|condition| (condition, 0));
        for entry in &self.entries {
            let own = counts.iter_mut().find(|(condition, _)| *condition == entry.condition);
            own.into_iter().for_each(|(_, count)| *count += 1);
        }
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
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
