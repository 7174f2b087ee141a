//! Scrub: reading everything again before it rots, so that what is lost is known while other copies are left.
//!
//! Zone by zone, the one that is most overdue first; a zone that was written lately is due sooner than the period, for
//! what was written badly shows early. In each zone its header is read, then its footer, then all from its first record
//! on in small pieces, so that a client never waits long behind one ([`crate::scrub_walk`]): the blocks that live, the
//! tombstones and the commits. A zone's turn is remembered in the checkpoints. What else stands on the drive, the labels
//! and the checkpoint by which it would be mounted, has its turn once in a period too
//! ([`crate::scrub_slots`]).
//!
//! Where a block cannot be read, or is not what was written, it is listed by its key. Where a header, a footer, a commit or
//! tombstones are damaged, nothing is lost yet: each says what something else says too. Either way the zone is evacuated,
//! so that what stands in it stands twice again elsewhere, and the zones beside it are looked at next: a bad place on a
//! platter is seldom alone.

use std::collections::VecDeque;

use imbrex_format::{UNIT_BYTES, ZoneScope, footer_units};
use imbrex_zoned::{Buffer, BufferPool, Device};

use crate::inventory::Inventory;
use crate::location::Location;
use crate::options::Options;
use crate::reads::{Read, ReadPurpose, ZoneReader};
use crate::request::{ScrubStatus, State, ZoneRole};
use crate::schedule::Work;
use crate::scrub_pace::ScrubPace;
use crate::scrub_slots::SlotScrub;
use crate::scrub_walk::{PIECE_UNITS, Walk};
use crate::store::Store;
use crate::zone_table::ZoneEntry;

mod taking;

/// How many zones beside damaged ones wait to be looked at.
const NEIGHBOURS_MAX: usize = 64;

/// How often it is looked whether a zone is due, in microseconds.
const LOOK_US: u64 = 1_000_000;

/// What the scrub is doing, and how far it is.
pub(crate) struct Scrub {
    pub(crate) pace: ScrubPace,
    pub(crate) buffer: Option<Buffer>,
    inventory: Inventory,
    current: Option<Current>,
    /// How far the zone was good when its list was taken, where that was the list of an open one.
    open_end_units: Option<u32>,
    neighbours: VecDeque<u32>,
    /// Every zone that was scrubbed before this is due: a pass was ordered.
    pub(crate) pass_since_unix_s: u64,
    looked_us: u64,
    pub(crate) slots: SlotScrub,
}

/// The zone that is being read.
struct Current {
    zone: u32,
    incarnation: u64,
    /// The zone's when its turn began: a zone that is sealed meanwhile has another turn.
    closed_sequence: u64,
    step: Step,
    is_reading: bool,
    /// What was found damaged in it, and how many blocks of that.
    errors: u64,
    damaged_blocks: u64,
}

/// How far the scrub is in a zone.
enum Step {
    Header,
    Table,
    Walk(Box<Walk>),
}

impl Scrub {
    /// Takes its memory; `None` where the pool has no room.
    pub(crate) fn new(pool: &BufferPool, options: &Options, entries_max: usize) -> Option<Self> {
        Some(Self {
            pace: ScrubPace::new(options.scrub_period.as_secs()),
            buffer: Some(pool.try_allocate(PIECE_UNITS as usize * UNIT_BYTES)?),
            inventory: Inventory::new(entries_max),
            current: None,
            open_end_units: None,
            neighbours: VecDeque::with_capacity(NEIGHBOURS_MAX),
            pass_since_unix_s: 0,
            looked_us: 0,
            slots: SlotScrub::default(),
        })
    }

    /// When a zone is due, in seconds since 1970.
    fn due_unix_s(&self, entry: &ZoneEntry, unix_s: u64) -> u64 {
        let (closed_at_unix_s, scrubbed_at_unix_s) = (entry.closed_at_unix_s, entry.scrubbed_at_unix_s);
        if past(scrubbed_at_unix_s, unix_s) < self.pass_since_unix_s {
            return 0;
        }
        let stamp_unix_s = if scrubbed_at_unix_s == 0 { closed_at_unix_s } else { scrubbed_at_unix_s };
        if stamp_unix_s > unix_s {
            // Due now, and not late: where the clock is behind, as on a node whose battery is dead, all zones are so until it
            // is set, and are read at the pace at which a full drive is.
            return unix_s;
        }
        self.pace.due_unix_s(closed_at_unix_s, scrubbed_at_unix_s)
    }

    /// Where the clock was set back, what was ordered and done by it counts from now on, or never was.
    fn follow_clock(&mut self, unix_s: u64) {
        self.pass_since_unix_s = self.pass_since_unix_s.min(unix_s);
        self.slots.follow_clock(unix_s);
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.inventory.memory_bytes()
    }
}

/// A time that stands on the drive, in seconds since 1970; 0, which is never, where it lies in the future. The clock was ahead
/// when it was written, and nobody knows by how much.
fn past(stamp_unix_s: u64, unix_s: u64) -> u64 {
    if stamp_unix_s > unix_s { 0 } else { stamp_unix_s }
}

impl Store {
    /// Orders that everything is read once, beginning now.
    pub(crate) fn begin_scrub_pass(&mut self) {
        self.scrub.pass_since_unix_s = self.unix_s.max(1);
        self.scrub.looked_us = 0;
    }

    /// When the scrub has to be looked at.
    pub(crate) fn scrub_due_us(&self) -> Option<u64> {
        match &self.scrub.current {
            Some(current) if current.is_reading => None,
            None if self.scrub.slots.is_reading => None,
            Some(_) if self.scrub.pace.allowed_us() > self.now_us => Some(self.scrub.pace.allowed_us()),
            _ => Some(self.scrub.looked_us.saturating_add(LOOK_US)),
        }
    }

    /// Goes on with a zone, or begins one that is due.
    pub(crate) fn pump_scrub(&mut self, device: &mut dyn Device) {
        if matches!(self.fault, Some(State::Failed { .. })) {
            return;
        }
        self.scrub.follow_clock(self.unix_s);
        if self.scrub.current.is_none() && (self.pump_slot_scrub(device) || !self.begin_zone()) {
            return;
        }
        let Some(current) = &self.scrub.current else { return };
        if current.is_reading || self.now_us < self.scrub.pace.allowed_us() {
            return;
        }
        if self.is_zone_gone(current) {
            self.scrub.current = None;
            return;
        }
        let entry = self.zones.get(current.zone);
        match &current.step {
            Step::Header => {
                let header = Location { zone: current.zone, unit_offset: 0, unit_count: 1 };
                self.read_for_scrub(device, header, None);
            }
            Step::Table => match self.scrub.inventory.next_read(entry) {
                Some(location) => self.read_for_scrub(device, location, None),
                None => self.begin_walk(device),
            },
            Step::Walk(_) => self.read_next_piece(device),
        }
    }

    /// Whether reclaim was faster, so that what is read of the zone may be what a reset has left there.
    fn is_zone_gone(&self, current: &Current) -> bool {
        let entry = self.zones.get(current.zone);
        entry.incarnation != current.incarnation || !entry.is_readable_log()
    }

    /// Chooses the zone that is most overdue.
    fn begin_zone(&mut self) -> bool {
        if self.now_us < self.scrub.looked_us.saturating_add(LOOK_US) && self.scrub.looked_us > 0 {
            return false;
        }
        self.scrub.looked_us = self.now_us;
        let neighbour = self.scrub.neighbours.pop_front();
        // A zone that was sealed just now has its turn when its footer is there.
        let readable = |zone: u32, entry: &ZoneEntry| {
            entry.is_to_be_scrubbed() && (entry.role != ZoneRole::Sealed || !self.writes_are_at_risk(zone))
        };
        let neighbour = neighbour.filter(|zone| readable(*zone, self.zones.get(*zone)));
        let due = || {
            let zones = self.zones.iter().filter(|(zone, entry)| readable(*zone, entry));
            let zones = zones.map(|(zone, entry)| (self.scrub.due_unix_s(entry, self.unix_s), zone));
            zones.min().filter(|(due, _)| *due <= self.unix_s).map(|(_, zone)| zone)
        };
        let Some(zone) = neighbour.or_else(due) else { return false };
        self.set_scrub_pace(zone, neighbour.is_some());
        let entry = self.zones.get(zone);
        self.scrub.open_end_units = None;
        self.scrub.inventory.begin(zone, entry, entry.has_footer());
        if let Some(open) = self.open.of_zone(zone) {
            self.scrub.inventory.set(zone, &open.entries);
            self.scrub.open_end_units = Some(entry.good_units);
        }
        self.scrub.current = Some(Current {
            zone,
            incarnation: entry.incarnation,
            closed_sequence: entry.closed_sequence,
            step: Step::Header,
            is_reading: false,
            errors: 0,
            damaged_blocks: 0,
        });
        true
    }

    /// What was ordered, and what lies beside damage, is read as fast as the class may.
    fn set_scrub_pace(&mut self, zone: u32, is_neighbour: bool) {
        let entry = self.zones.get(zone);
        let due_unix_s = self.scrub.due_unix_s(entry, self.unix_s);
        if is_neighbour || due_unix_s == 0 {
            return self.scrub.pace.begin_at_once();
        }
        // Of a zone that is open, or that a mount found by its footer, nothing says that it is late.
        let is_known = entry.closed_at_unix_s > 0 || entry.scrubbed_at_unix_s > 0;
        let due_unix_s = if is_known { due_unix_s } else { self.unix_s };
        let live_units: u64 = self.zones.iter().map(|(_, entry)| u64::from(entry.live_units)).sum();
        self.scrub.pace.begin(due_unix_s, self.unix_s, live_units * UNIT_BYTES as u64);
    }

    pub(crate) fn read_for_scrub(
        &mut self,
        device: &mut dyn Device,
        location: Location,
        buffer: Option<Buffer>,
    ) {
        if let Some(current) = self.scrub.current.as_mut() {
            current.is_reading = true;
        }
        self.scrub.pace.spend(self.now_us, u64::from(location.unit_count) * UNIT_BYTES as u64);
        let purpose = ReadPurpose::Zone(ZoneReader::Scrub, buffer);
        self.enqueue_read(device, Read::of_stretch(location, purpose, Work::Scrub));
    }

    /// The zone's list is known: what it names is read, and what stands between.
    fn begin_walk(&mut self, device: &mut dyn Device) {
        let Some(current) = self.scrub.current.as_mut() else { return };
        let entry = self.zones.get(current.zone);
        let footer = if entry.has_footer() { footer_units(entry.table_entries as usize) } else { 0 };
        let scope = ZoneScope::new(&self.label, current.zone, current.incarnation);
        // A zone that was open when its list was taken may have been sealed since: what came later waits for its next turn.
        let listed_end = self.scrub.open_end_units.take().unwrap_or(u32::MAX);
        let end = entry.good_units.min(entry.capacity_units.saturating_sub(footer)).min(listed_end);
        current.errors += u64::from(self.scrub.inventory.has_damaged_footer());
        current.step = Step::Walk(Box::new(Walk::new(scope, end)));
        self.read_next_piece(device);
    }

    /// Reads the next piece of the zone; ends its turn where there is none.
    fn read_next_piece(&mut self, device: &mut dyn Device) {
        let Some(current) = self.scrub.current.as_mut() else { return };
        let Step::Walk(walk) = &mut current.step else { return };
        let (index, zones) = (&self.index, &self.zones);
        let entries = self.scrub.inventory.entries();
        let piece = walk.next_piece(entries, |key, location| {
            zones.is_acknowledged(location) && index.contains(index.hash(key), location)
        });
        let Some(piece) = piece else {
            current.errors += walk.damaged_stretches(entries);
            return self.end_scrub_of_zone();
        };
        if let Some(buffer) = self.scrub.buffer.take() {
            self.read_for_scrub(device, piece, Some(buffer));
        }
    }

    fn end_scrub_of_zone(&mut self) {
        let Some(current) = self.scrub.current.take() else { return };
        let unix_s = self.unix_s;
        let entry = self.zones.get_mut(current.zone);
        if entry.closed_sequence == current.closed_sequence {
            // Else more was written to it meanwhile, before it was sealed.
            entry.scrubbed_at_unix_s = unix_s;
        }
        let structures = current.errors - current.damaged_blocks;
        if structures > 0 {
            tracing::warn!(
                zone = current.zone,
                structures,
                "the scrub found damage beside the blocks of a zone"
            );
            self.stats.scrub_errors += structures;
            self.stats.scrub_structure_errors += structures;
            self.zone_is_suspect(current.zone);
        }
        // The next zone is looked for at once.
        self.scrub.looked_us = 0;
        if current.errors > 0 {
            let last = u32::try_from(self.zones.iter().count()).unwrap_or(u32::MAX);
            let beside = [current.zone.checked_sub(1), current.zone.checked_add(1)];
            for zone in beside.into_iter().flatten().filter(|zone| *zone < last) {
                let is_known = self.scrub.neighbours.contains(&zone);
                let scrubbed_at_unix_s = past(self.zones.get(zone).scrubbed_at_unix_s, unix_s);
                let is_fresh = scrubbed_at_unix_s.saturating_add(3600) > unix_s;
                if !is_known && !is_fresh && self.scrub.neighbours.len() < NEIGHBOURS_MAX {
                    self.scrub.neighbours.push_back(zone);
                }
            }
        }
    }

    /// How far the scrub is.
    pub(crate) fn scrub_status(&self) -> ScrubStatus {
        let mut status = ScrubStatus {
            period_s: self.scrub.pace.period_s(),
            pass_since_unix_s: self.scrub.pass_since_unix_s,
            zone: self.scrub.current.as_ref().map(|current| current.zone),
            records: self.stats.scrubbed_records,
            bytes: self.stats.scrubbed_bytes,
            errors: self.stats.scrub_errors,
            oldest_unix_s: u64::MAX,
            slots_unix_s: self.scrub.slots.scrubbed_at_unix_s,
            ..ScrubStatus::default()
        };
        let begin = self.unix_s.saturating_sub(self.scrub.pace.period_s()).max(self.scrub.pass_since_unix_s);
        for (_, entry) in self.zones.iter().filter(|(_, entry)| entry.is_to_be_scrubbed()) {
            let live_bytes = u64::from(entry.live_units) * UNIT_BYTES as u64;
            status.zones += 1;
            status.live_bytes += live_bytes;
            let scrubbed_at_unix_s = past(entry.scrubbed_at_unix_s, self.unix_s);
            status.overdue_zones += u32::from(self.scrub.due_unix_s(entry, self.unix_s) <= self.unix_s);
            status.oldest_unix_s = status.oldest_unix_s.min(scrubbed_at_unix_s);
            if scrubbed_at_unix_s >= begin && scrubbed_at_unix_s > 0 {
                status.covered_zones += 1;
                status.covered_bytes += live_bytes;
            }
        }
        status.oldest_unix_s = if status.zones == 0 { 0 } else { status.oldest_unix_s };
        status
    }
}
