//! The scrub's way through one zone: everything in it from the first record to where its footer begins.
//!
//! What is listed is read if it lives. What stands between, no list tells: it is the commits and the tombstones, and each
//! is checked as it is met. Pieces are planned and what they bring is taken here; who owns the walk reads them.
//!
//! Invariants:
//!
//! * Every unit is looked at, save those of blocks that are dead and of padding: it is a part of a record that passes its
//!   checks, or damaged, or void. A crash leaves units that no record explains, and the void record behind them names
//!   them; damage is what no void record has named.
//! * No piece is longer than [`PIECE_UNITS`]. Where one cannot be read, what it holds is read one thing at a time, so that
//!   a bad sector costs no more than what stands on it.

use std::ops::Range;

use imbrex_format::{
    Key, PayloadChecker, RecordHeader, RecordKind, TableEntry, UNIT_BYTES, VoidRange, ZoneScope,
    check_payload, decode_record_header, payload,
};

use crate::location::Location;
use crate::request::DamageKind;

/// How much is read at once: 1 MiB.
pub(crate) const PIECE_UNITS: u32 = 256;

/// How many stretches of units that nothing explains are kept apart; more are put together.
const TORN_MAX: usize = 64;

/// What a walk has found in a piece.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Blocks that were read whole and are right.
    pub(crate) blocks: u64,
    /// Blocks that are not.
    pub(crate) damaged: Vec<(Key, Location, DamageKind)>,
}

/// See the module.
pub(crate) struct Walk {
    scope: ZoneScope,
    /// Where the footer begins, or what was acknowledged ends.
    end: u32,
    /// The next unit to be checked.
    position: u32,
    next_entry: usize,
    record: Option<Record>,
    /// Up to this unit one thing is read at a time.
    one_by_one_until: u32,
    /// How many units the thing at the position has, where that was seen.
    wanted_units: u32,
    /// Where the last commit ends that was right.
    commit_end: u32,
    /// What nothing has explained so far.
    torn: Vec<Range<u32>>,
}

/// The block that is being checked.
struct Record {
    key: Key,
    location: Location,
    checker: PayloadChecker,
}

/// What stands between blocks at one unit.
enum Between {
    /// So many units are explained.
    Explained(u32),
    /// So many units are needed to say.
    Needs(u32),
    Unexplained,
}

impl Walk {
    /// A walk from a zone's first record to unit `end`.
    pub(crate) fn new(scope: ZoneScope, end: u32) -> Self {
        Self {
            scope,
            end,
            position: 1,
            next_entry: 0,
            record: None,
            one_by_one_until: 0,
            wanted_units: 1,
            commit_end: 0,
            torn: Vec::with_capacity(TORN_MAX),
        }
    }

    /// The piece that is to be read next; `None` at the end. `entries` is what the zone lists, in its order, and `lives`
    /// says what of it is still there.
    pub(crate) fn next_piece(
        &mut self,
        entries: &[TableEntry],
        lives: impl Fn(&Key, Location) -> bool,
    ) -> Option<Location> {
        if self.record.is_none() {
            while let Some((key, location)) = self.next_block(entries)
                && location.unit_offset == self.position
                && !lives(&key, location)
            {
                self.position += location.unit_count;
            }
        }
        if self.position >= self.end {
            return None;
        }
        let (zone, unit_offset) = (self.scope.zone, self.position);
        let unit_count = if unit_offset < self.one_by_one_until {
            self.one_thing(entries)
        } else {
            self.up_to_dead_block(entries, lives)
        };
        Some(Location { zone, unit_offset, unit_count })
    }

    /// The next block at or behind the position that is listed.
    fn next_block(&mut self, entries: &[TableEntry]) -> Option<(Key, Location)> {
        while let Some(entry) = entries.get(self.next_entry) {
            if let Some((key, location)) = block_of(entry, self.scope.zone)
                && location.unit_offset >= self.position
            {
                return Some((key, location));
            }
            self.next_entry += 1;
        }
        None
    }

    fn up_to_dead_block(&self, entries: &[TableEntry], lives: impl Fn(&Key, Location) -> bool) -> u32 {
        let end = self.end.min(self.position + PIECE_UNITS);
        let blocks = entries[self.next_entry..].iter().filter_map(|entry| block_of(entry, self.scope.zone));
        let dead = blocks
            .filter(|(_, location)| location.unit_offset > self.position)
            .take_while(|(_, location)| location.unit_offset < end)
            .find(|(key, location)| !lives(key, *location));
        dead.map_or(end, |(_, location)| location.unit_offset) - self.position
    }

    fn one_thing(&mut self, entries: &[TableEntry]) -> u32 {
        let block = self.record.as_ref().map(|record| record.location);
        let block = block.or_else(|| self.next_block(entries).map(|(_, location)| location));
        let wanted = match block.filter(|location| location.unit_offset <= self.position) {
            Some(location) => location.unit_offset + location.unit_count - self.position,
            None => self.wanted_units,
        };
        wanted.min(PIECE_UNITS).min(self.end - self.position).max(1)
    }

    /// Takes what the read of a piece has brought; `None` where it could not be read.
    pub(crate) fn take(
        &mut self,
        entries: &[TableEntry],
        lives: impl Fn(&Key, Location) -> bool,
        piece: Location,
        bytes: Option<&[u8]>,
    ) -> Findings {
        let mut findings = Findings::default();
        let end = piece.unit_offset + piece.unit_count;
        let Some(bytes) = bytes else {
            if piece.unit_offset >= self.one_by_one_until {
                self.one_by_one_until = end;
                self.wanted_units = 1;
            } else {
                self.thing_is_unreadable(entries, &mut findings);
            }
            return findings;
        };
        while self.position < end {
            let here = &bytes[(self.position - piece.unit_offset) as usize * UNIT_BYTES..];
            let here = &here[..(end - self.position) as usize * UNIT_BYTES];
            if self.record.is_some() {
                self.go_on(here, &mut findings);
                continue;
            }
            match self.next_block(entries) {
                Some((key, location)) if location.unit_offset == self.position => {
                    if lives(&key, location) {
                        self.begin(here, key, location, &mut findings);
                    } else {
                        self.position += location.unit_count;
                    }
                }
                next => match self.between(here, next.is_none()) {
                    Between::Explained(unit_count) => self.step(unit_count),
                    Between::Unexplained => self.unexplained(),
                    Between::Needs(unit_count) if self.wanted_units < unit_count => {
                        self.wanted_units = unit_count;
                        if piece.unit_offset == self.position && self.position >= self.one_by_one_until {
                            // It claims units of what is listed.
                            self.unexplained();
                            continue;
                        }
                        return findings;
                    }
                    Between::Needs(_) => self.unexplained(),
                },
            }
        }
        findings
    }

    fn step(&mut self, unit_count: u32) {
        self.position += unit_count;
        self.wanted_units = 1;
    }

    fn thing_is_unreadable(&mut self, entries: &[TableEntry], findings: &mut Findings) {
        let known = self.record.take().map(|record| (record.key, record.location));
        let known = known.or_else(|| self.next_block(entries));
        match known.filter(|(_, location)| location.unit_offset <= self.position) {
            Some((key, location)) => {
                findings.damaged.push((key, location, DamageKind::Medium));
                self.position = location.unit_offset + location.unit_count;
            }
            None => self.unexplained(),
        }
    }

    /// Begins to check a block, of which the first units are `here`.
    fn begin(&mut self, here: &[u8], key: Key, location: Location, findings: &mut Findings) {
        let header = decode_record_header(here, &self.scope, location.unit_offset)
            .ok()
            .filter(|header| header.key == key && header.unit_count == location.unit_count);
        let Some(header) = header else {
            findings.damaged.push((key, location, DamageKind::Checksum));
            return self.step(location.unit_count);
        };
        self.record = Some(Record { key, location, checker: PayloadChecker::new(here, &header) });
        self.go_on(here, findings);
    }

    fn go_on(&mut self, here: &[u8], findings: &mut Findings) {
        let Some(record) = self.record.as_mut() else { return };
        let end = record.location.unit_offset + record.location.unit_count;
        let unit_count = (end - self.position) as usize;
        let part = &here[..here.len().min(unit_count * UNIT_BYTES)];
        let is_right = record.checker.take(part).is_ok();
        let is_last = part.len() == unit_count * UNIT_BYTES;
        if is_right && !is_last {
            return self.step(u32::try_from(part.len() / UNIT_BYTES).unwrap_or(PIECE_UNITS));
        }
        if is_right {
            findings.blocks += 1;
        } else {
            findings.damaged.push((record.key, record.location, DamageKind::Checksum));
        }
        self.record = None;
        self.position = end;
        self.wanted_units = 1;
    }

    /// What stands at the position, where no block is listed.
    fn between(&mut self, here: &[u8], is_behind_all: bool) -> Between {
        let Ok(header) = decode_record_header(here, &self.scope, self.position) else {
            return Between::Unexplained;
        };
        let left_units = self.end - self.position;
        match header.kind {
            // What a crash tore can claim units that others use. So does padding only behind everything else.
            RecordKind::Padding if is_behind_all && header.unit_count == left_units => {
                Between::Explained(left_units)
            }
            RecordKind::Commit | RecordKind::Tombstones | RecordKind::Void
                if header.unit_count <= left_units.min(PIECE_UNITS) =>
            {
                if here.len() < header.unit_count as usize * UNIT_BYTES {
                    return Between::Needs(header.unit_count);
                }
                self.structure(here, &header)
            }
            _ => Between::Unexplained,
        }
    }

    fn structure(&mut self, here: &[u8], header: &RecordHeader) -> Between {
        let here = &here[..header.unit_count as usize * UNIT_BYTES];
        if check_payload(here, header, 0..header.payload_bytes as usize).is_err() {
            return Between::Unexplained;
        }
        if header.kind == RecordKind::Void
            && let Ok(void) = VoidRange::decode(payload(here, header))
        {
            let void = void.first_unit..void.first_unit.saturating_add(void.unit_count);
            self.torn.retain(|torn| torn.start < void.start || torn.end > void.end);
        }
        if header.kind == RecordKind::Commit {
            self.commit_end = self.position + header.unit_count;
        }
        Between::Explained(header.unit_count)
    }

    /// Nothing explains the unit at the position, save a void record that comes later.
    fn unexplained(&mut self) {
        let unit = self.position;
        let is_full = self.torn.len() == TORN_MAX;
        match self.torn.last_mut() {
            Some(last) if last.end == unit || is_full => last.end = unit + 1,
            _ => self.torn.push(unit..unit + 1),
        }
        self.step(1);
    }

    /// How many stretches between blocks are damaged, once [`Self::next_piece`] asks for nothing more.
    ///
    /// Where all that is listed stands before the last commit, what lies behind that was torn by a crash, and the zone was
    /// sealed before another group came: no void record names it.
    pub(crate) fn damaged_stretches(&self, entries: &[TableEntry]) -> u64 {
        let is_all_committed = entries.last().is_none_or(|entry| unit_of(entry) < self.commit_end);
        let damaged = |torn: &&Range<u32>| !is_all_committed || torn.start < self.commit_end;
        self.torn.iter().filter(damaged).count() as u64
    }
}

fn block_of(entry: &TableEntry, zone: u32) -> Option<(Key, Location)> {
    let TableEntry::Block { key, unit_offset, unit_count, .. } = entry else { return None };
    let location = Location { zone, unit_offset: *unit_offset, unit_count: *unit_count };
    (*unit_count > 0).then_some((*key, location))
}

fn unit_of(entry: &TableEntry) -> u32 {
    match entry {
        TableEntry::Block { unit_offset, .. } | TableEntry::Tombstone { unit_offset, .. } => *unit_offset,
    }
}
