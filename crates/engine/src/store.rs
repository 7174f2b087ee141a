//! A mounted drive: everything that its engine knows.
//!
//! One thread owns a store. Its parts: [`crate::admission`] begins requests, [`crate::reading`] finds and checks records,
//! [`crate::writing`] forms groups, [`crate::room`] says where they may go, [`crate::sealing`] changes zones,
//! [`crate::committing`] makes groups durable, [`crate::fencing`] says what a failed write means, [`crate::listing`] walks
//! the zones; [`crate::reclaim`] moves what lives, [`crate::trash`] resets what is dead, [`crate::scrub`] reads everything
//! again, [`crate::checkpointing`] keeps the index where a mount finds it.
//!
//! Invariants:
//!
//! * A record is visible once the flush that followed its commit has completed, and not before: visible are records
//!   below their zone's `good_units`.
//! * A key in `busy` has one put, deletion or move under way; others for it wait in `deferred` until that is done.
//! * A zone to which a write has failed is never written to again before it was reset.

use std::collections::{HashSet, VecDeque};

use imbrex_format::{COMMIT_ENTRIES_MAX, Commit, Key, Label, UNIT_BYTES, record_units};
use imbrex_zoned::{Buffer, Completion, Device, DeviceError, Token};

use crate::admission::Deferred;
use crate::arena::Arena;
use crate::checkpointing::Checkpointing;
use crate::damage::DamageList;
use crate::group::Group;
use crate::index::Index;
use crate::log::{ENTRIES_MAX, OpenZones, Stream};
use crate::mount::Mounted;
use crate::options::Options;
use crate::pace::Pace;
use crate::pacing::pace_of;
use crate::pending::Pending;
use crate::reads::{Reads, ZoneReader};
use crate::reclaim::Reclaim;
use crate::referee::Referee;
use crate::request::{State, Stats};
use crate::reserve::Reserve;
use crate::scrub::Scrub;
use crate::slowness::Slowness;
use crate::trash::Trash;
use crate::zone_table::ZoneTable;

/// The kind of an operation in flight, in the high bits of its token; the low bits are its slot or its zone.
pub(crate) const TOKEN_READ: u64 = 0;
pub(crate) const TOKEN_WRITE: u64 = 1 << 32;
pub(crate) const TOKEN_FLUSH: u64 = 2 << 32;
pub(crate) const TOKEN_BARRIER: u64 = 3 << 32;
pub(crate) const TOKEN_FINISH: u64 = 4 << 32;
pub(crate) const TOKEN_RESET: u64 = 5 << 32;
pub(crate) const TOKEN_CHECKPOINT: u64 = 6 << 32;
/// Set in the token of every flush, whosever it is.
pub(crate) const TOKEN_IS_FLUSH: u64 = 1 << 63;

/// How many operations in flight are not reads: a write, a flush, and one each of a finish, a reset and a checkpoint.
const OWN_OPERATIONS: usize = 6;

/// See the module.
pub(crate) struct Store {
    pub(crate) label: Label,
    pub(crate) index: Index,
    pub(crate) zones: ZoneTable,
    pub(crate) open: OpenZones,
    /// The stream that had its turn last.
    pub(crate) stream_turn: usize,
    pub(crate) next_sequence: u64,
    pub(crate) next_group: u64,
    pub(crate) live_units: u64,
    /// Units of all zones of the log that are acknowledged, what lives and what does not.
    pub(crate) good_units: u64,
    pub(crate) reserve: Reserve,
    /// Of all zones that were closed before this place of the log it is durable elsewhere that they were.
    pub(crate) told_sequence: u64,
    /// The payload of the commit that is being made.
    pub(crate) commit_payload: Vec<u8>,
    pub(crate) reads: Reads,
    pub(crate) pending: Pending,
    /// When it was last looked which of it nobody awaits any more.
    pub(crate) dropped_at_us: u64,
    pub(crate) writing: Option<Group>,
    pub(crate) flushing: Option<Group>,
    /// Writes, flushes and orders that the device has not finished, those of abandoned groups included.
    pub(crate) log_in_flight: u32,
    /// Those of them that are flushes.
    pub(crate) flushes_in_flight: u32,
    /// Zones that were fenced while a write to them was in flight.
    pub(crate) to_finish: Vec<u32>,
    /// Groups that have failed since one last became durable.
    pub(crate) failures_in_a_row: u32,
    pub(crate) busy: HashSet<Key>,
    pub(crate) deferred: VecDeque<Deferred>,
    /// Whether a key has left `busy` since the deferred requests were last begun again.
    pub(crate) key_released: bool,
    /// How often a record has ceased to stand where it stood.
    pub(crate) places_changed: u64,
    pub(crate) damage: DamageList,
    /// Committed records that mounting could not read; their keys are not known.
    pub(crate) lost_records: u64,
    pub(crate) reclaim: Reclaim,
    pub(crate) trash: Trash,
    pub(crate) trash_rest_us: u64,
    pub(crate) referee: Referee,
    pub(crate) pace: Pace,
    /// Whether something waits to be written for which a zone must be opened, and too few are free.
    pub(crate) waits_for_zone: bool,
    /// When the level was last counted.
    pub(crate) level_counted_us: u64,
    /// What had changed when it was.
    pub(crate) level_changes: u64,
    /// Whether it was counted in this turn: a zone is chosen for reclaim only then.
    pub(crate) level_is_fresh: bool,
    /// Whether something can be reclaimed, or is on its way to be free.
    pub(crate) has_reclaimable: bool,
    /// Whether only tombstones stand in a zone that could be emptied.
    pub(crate) has_spent_zone: bool,
    pub(crate) scrub: Scrub,
    pub(crate) slowness: Slowness,
    pub(crate) checkpointing: Checkpointing,
    pub(crate) written_since_checkpoint_bytes: u64,
    /// When the log was last written to, in microseconds of the engine's clock.
    pub(crate) written_us: u64,
    pub(crate) stats: Stats,
    /// What ended writing, once something has.
    pub(crate) fault: Option<State>,
    /// Whether the engine is to end: nothing is begun that nobody asked for.
    pub(crate) is_stopping: bool,
    pub(crate) deadline_us: u64,
    /// The engine's clock, read once a turn.
    pub(crate) now_us: u64,
    pub(crate) unix_s: u64,
}

/// The bytes that the largest commit's payload has.
const COMMIT_BYTES_MAX: usize = Commit::payload_bytes(COMMIT_ENTRIES_MAX);

impl Store {
    /// Takes over a drive that has been mounted. `None` where the pool has no room for the memory that the engine keeps
    /// to itself.
    pub(crate) fn new(mounted: Mounted, device: &dyn Device, options: &Options, now_us: u64) -> Option<Self> {
        let is_first_due = mounted.checkpoint.is_none() && mounted.zones.has_offline_zones();
        let capacity_units = mounted.zones.iter().map(|(_, zone)| zone.capacity_units).max().unwrap_or(0);
        let zone_count = mounted.zones.iter().count();
        // A record has one unit at least.
        let entries_max = ENTRIES_MAX.min(capacity_units as usize);
        let live_units = mounted.zones.iter().map(|(_, zone)| u64::from(zone.live_units)).sum();
        let good_units = mounted.zones.iter().map(|(_, zone)| u64::from(zone.good_units)).sum();
        let depth = if device.geometry().rotational { options.rotational_depth_max } else { usize::MAX };
        let reads_max = device.in_flight_max().saturating_sub(OWN_OPERATIONS).min(depth).max(1);
        let pool = device.pool();
        let largest_units = record_units(mounted.labels.label.payload_bytes_max as usize) as usize;
        let trash_rest_us = Options::us(options.trash_rest);
        let zones_u32 = u32::try_from(zone_count).unwrap_or(u32::MAX);
        let mut store = Self {
            reserve: Reserve::new(pool, capacity_units)?,
            commit_payload: Vec::with_capacity(COMMIT_BYTES_MAX),
            reads: Reads::new(reads_max, options.requests_max),
            reclaim: Reclaim::new(Arena::new(pool, largest_units)?, entries_max),
            trash: Trash::new(zone_count, entries_max, pool.try_allocate(UNIT_BYTES)?),
            scrub: Scrub::new(pool, options, entries_max)?,
            checkpointing: Checkpointing::new(pool, &mounted, options)?,
            pace: pace_of(&mounted.zones),
            waits_for_zone: false,
            label: mounted.labels.label,
            index: mounted.index,
            zones: mounted.zones,
            open: mounted.open,
            stream_turn: 0,
            next_sequence: mounted.next_sequence,
            next_group: mounted.next_group,
            told_sequence: 0,
            live_units,
            good_units,
            pending: Pending::new(options.requests_max),
            dropped_at_us: 0,
            writing: None,
            flushing: None,
            log_in_flight: 0,
            flushes_in_flight: 0,
            to_finish: Vec::new(),
            failures_in_a_row: 0,
            busy: HashSet::with_capacity(options.requests_max * 2),
            deferred: VecDeque::with_capacity(options.requests_max),
            key_released: false,
            places_changed: 0,
            damage: DamageList::default(),
            lost_records: mounted.lost_records,
            trash_rest_us,
            referee: Referee::new(zones_u32, trash_rest_us),
            level_counted_us: 0,
            level_changes: 0,
            level_is_fresh: false,
            slowness: Slowness::default(),
            has_reclaimable: true,
            has_spent_zone: false,
            written_since_checkpoint_bytes: 0,
            written_us: 0,
            stats: Stats { labels_renewed: mounted.labels_renewed, ..Stats::default() },
            fault: None,
            is_stopping: false,
            deadline_us: Options::us(options.deadline),
            now_us,
            unix_s: 0,
        };
        if is_first_due {
            // A checkpoint says which zones were dead before anything was written: see [`crate::doubt`].
            store.checkpoint_is_due();
        }
        store.tell_referee();
        store.tell_referee_of_labels();
        store.damage_found(&mounted.damaged);
        store.bury_the_dead();
        Some(store)
    }

    /// Tells the referee what the mount has found: it counts the records itself, from the index.
    fn tell_referee(&mut self) {
        let Self { referee, zones, index, open, .. } = self;
        for (zone, entry) in zones.iter() {
            match entry.role {
                crate::request::ZoneRole::Label | crate::request::ZoneRole::Checkpoint => {
                    referee.reserve(zone);
                }
                _ if entry.is_readable_log() => referee.opened(zone, entry.incarnation),
                _ => {}
            }
        }
        index.sweep(0..index.cell_count(), |location| {
            referee.committed(location.zone, zones.get(location.zone).incarnation);
        });
        for (zone, entry) in zones.iter() {
            if entry.is_readable_log() && open.of_zone(zone).is_none() {
                referee.closed(zone, entry.incarnation);
            }
        }
    }

    /// Lists what the mount found damaged.
    fn damage_found(&mut self, damaged: &[(Key, crate::location::Location)]) {
        for (key, location) in damaged {
            if self.index.contains(self.index.hash(key), *location) {
                self.record_damaged(*key, *location, crate::request::DamageKind::Checksum);
            }
        }
    }

    /// Zones in which the mount found nothing alive go to the trash.
    fn bury_the_dead(&mut self) {
        let dead: Vec<u32> = self.zones.iter().map(|(zone, _)| zone).collect();
        dead.into_iter().for_each(|zone| self.zone_lost_a_record(zone));
    }

    /// Does what can be begun: reads that wait, the next write, the next flush, the next group, and then what the engine
    /// does of itself.
    pub(crate) fn pump(&mut self, device: &mut dyn Device) {
        self.pump_deferred(device);
        self.update_pace();
        self.pump_reads(device);
        self.pump_writes(device);
        // At the end nothing new is begun, save where what was taken before waits for room.
        if !self.is_stopping || self.waits_for_zone {
            self.pump_reclaim(device);
        }
        if !self.is_stopping {
            self.pump_scrub(device);
        }
        self.pump_trash(device);
        self.pump_checkpoint(device);
        self.watch_pace();
    }

    /// Takes the end of an operation.
    pub(crate) fn complete(&mut self, device: &mut dyn Device, completion: Completion) {
        let Completion { token: Token(token), result, buffer } = completion;
        let is_flush = token & TOKEN_IS_FLUSH != 0;
        let token = token & !TOKEN_IS_FLUSH;
        self.flushes_in_flight -= u32::from(is_flush && self.flushes_in_flight > 0);
        let kind = token & !(TOKEN_WRITE - 1);
        let zone = u32::try_from(token & (TOKEN_WRITE - 1)).unwrap_or(u32::MAX);
        if kind != TOKEN_READ {
            self.log_in_flight = self.log_in_flight.saturating_sub(1);
        }
        match kind {
            TOKEN_WRITE | TOKEN_BARRIER => self.write_done(device, result, buffer),
            TOKEN_FLUSH => self.flush_done(device, result),
            TOKEN_FINISH => self.finish_done(zone, result),
            TOKEN_RESET => {
                self.reset_done(device, result, buffer);
                self.keep_run();
            }
            TOKEN_CHECKPOINT => self.checkpoint_done(device, is_flush, result, buffer),
            _ => self.read_done(device, token, result, buffer),
        }
        if is_flush {
            // A commit may have waited for it.
            self.submit_write(device);
        }
    }

    /// Hands what was read of a zone to whoever reads it.
    pub(crate) fn zone_read_done(
        &mut self,
        device: &mut dyn Device,
        reader: ZoneReader,
        location: crate::location::Location,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        match reader {
            ZoneReader::Reclaim => self.reclaim_read(device, location, result, buffer),
            ZoneReader::Inspection => self.inspection_read(location, result, buffer),
            ZoneReader::Scrub => self.scrub_read(location, result, buffer),
        }
    }

    /// Tells whoever reads a zone that a read could not begin.
    pub(crate) fn zone_read_refused(&mut self, reader: ZoneReader, buffer: Option<Buffer>) {
        match reader {
            ZoneReader::Reclaim => self.reclaim_refused(buffer),
            ZoneReader::Inspection => self.inspection_refused(),
            ZoneReader::Scrub => self.scrub_refused(buffer),
        }
    }

    /// Whether nothing is under way that somebody asked for, or that could not be left as it is.
    pub(crate) fn is_idle(&self) -> bool {
        self.reads.is_idle()
            && self.pending.is_empty()
            && self.writing.is_none()
            && self.flushing.is_none()
            && self.log_in_flight == 0
            && self.deferred.is_empty()
    }

    /// Whether the engine can end: nothing is under way, and what is to be written at the end has been.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_idle() && self.reads.is_settled() && self.last_checkpoint_is_done()
    }

    /// Bytes in which records can still be written: free zones, those that are free soon, and what is left of the open ones.
    pub(crate) fn free_bytes(&self) -> u64 {
        let open = |(_, open): (Stream, &crate::log::OpenZone)| {
            u64::from(open.room_units(1, self.zones.get(open.zone).capacity_units))
        };
        let open: u64 = self.open.iter().map(open).sum();
        (self.zones.free_units() + open) * UNIT_BYTES as u64
    }

    /// Bytes that are written and hold nothing that lives.
    pub(crate) fn dead_bytes(&self) -> u64 {
        self.good_units.saturating_sub(self.live_units) * UNIT_BYTES as u64
    }
}

#[cfg(test)]
impl Store {
    /// What it is about, for a failure's report.
    pub(crate) fn describe(&self) -> String {
        let zones: Vec<String> = self
            .zones
            .iter()
            .map(|(zone, entry)| {
                format!(
                    "{zone}:{}{}{} {}/{}/{} t{}",
                    entry.role.name(),
                    if entry.is_stuck { " stuck" } else { "" },
                    if entry.evacuate { " evacuate" } else { "" },
                    entry.live_units,
                    entry.good_units,
                    entry.capacity_units,
                    entry.tombstones
                )
            })
            .collect();
        format!(
            "zones {zones:?}; pace {:?}; victim {:?}; trash {}; writing {} flushing {} in flight {} busy {} deferred {} \
             pending {:?}; checkpoint {:?}; stats {:?}; fault {:?}",
            self.pace,
            self.reclaim.describe(),
            self.trash.describe(),
            self.writing.is_some(),
            self.flushing.is_some(),
            self.log_in_flight,
            self.busy.len(),
            self.deferred.len(),
            self.pending.describe(),
            self.checkpointing.describe(),
            self.stats,
            self.fault
        )
    }
}
