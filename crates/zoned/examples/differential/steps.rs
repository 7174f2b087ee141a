//! What is asked next: chosen from a seed, with the state of the zones in view, so that every rule is met often.

use imbrex_zoned::{Condition, Geometry, Zone, ZoneKind, ZoneOperation};

use crate::operation::{Operation, Step};
use crate::random::Random;

/// How many zones more than may be open are used, and how many where there is no limit.
const ZONES_BEYOND_LIMIT: usize = 4;
const ZONES_WITHOUT_LIMIT: usize = 12;

/// Half of the time zones are opened, by little writes and by order, and hardly one is emptied or ended: so that the
/// limits are reached. It changes after so many steps.
const PHASE_STEPS: u64 = 64;

/// The longest write and read, in bytes.
const WRITE_BYTES_MAX: u64 = 2 << 20;
const READ_BYTES_MAX: u64 = 256 << 10;

/// The most operations that are in flight together.
const TOGETHER_MAX: u64 = 8;

/// The unit of a buffer in bytes.
const UNIT: u64 = imbrex_zoned::UNIT_BYTES as u64;

/// Chooses steps.
pub(crate) struct Steps {
    random: Random,
    geometry: Geometry,
    /// The zones that are used: all conventional ones, a few more sequential ones than may be open, and the last.
    used: Vec<u32>,
    content: u64,
    wears: bool,
    /// How many steps were chosen.
    count: u64,
}

impl Steps {
    pub(crate) fn new(seed: u64, geometry: Geometry, zones: &[Zone], wears: bool) -> Self {
        let limits = geometry.zone_open_max.into_iter().chain(geometry.zone_active_max);
        let limit = limits.max().and_then(|limit| usize::try_from(limit).ok());
        let sequential = limit.map_or(ZONES_WITHOUT_LIMIT, |limit| limit + ZONES_BEYOND_LIMIT);
        let is_sequential = |zone: &&Zone| zone.kind == ZoneKind::SequentialWriteRequired;
        let mut used: Vec<u32> =
            zones.iter().filter(|zone| !is_sequential(zone)).map(|zone| zone.index).collect();
        used.truncate(2);
        used.extend(zones.iter().filter(is_sequential).take(sequential).map(|zone| zone.index));
        used.push(geometry.zone_count - 1);
        Self { random: Random::new(seed), geometry, used, content: 0, wears, count: 0 }
    }

    /// The next step on drives whose zones are `zones`.
    pub(crate) fn next(&mut self, zones: &[Zone]) -> Step {
        self.count += 1;
        let operation = match self.random.below(100) {
            0..34 => self.write_at_pointer(zones),
            34..46 => self.write_somewhere(zones),
            46..60 => self.read_somewhere(zones),
            60..62 => Operation::Flush,
            62..86 => self.order(zones),
            86..99 => return Step::Together(self.several(zones)),
            _ if self.wears => return self.wear_out(zones),
            _ => self.order_out_of_bounds(),
        };
        Step::Together(vec![operation])
    }

    fn crowds(&self) -> bool {
        self.count / PHASE_STEPS % 2 == 1
    }

    fn zone(&mut self, zones: &[Zone]) -> Zone {
        zones[self.random.of(&self.used) as usize]
    }

    fn write_at_pointer(&mut self, zones: &[Zone]) -> Operation {
        let zone = self.zone(zones);
        let pointer = zone.write_pointer_bytes.unwrap_or(0);
        let room = zone.capacity_bytes.saturating_sub(pointer).clamp(UNIT, WRITE_BYTES_MAX);
        let length = match self.random.below(10) {
            _ if self.crowds() => UNIT,
            0..7 => UNIT * (1 + self.random.below(16)),
            7 => UNIT * (1 + self.random.below(room.div_ceil(UNIT))),
            _ => room,
        };
        self.write(self.geometry.zone_start_bytes(zone.index) + pointer, length)
    }

    fn write_somewhere(&mut self, zones: &[Zone]) -> Operation {
        let offset = self.place(zones);
        let length = UNIT * self.random.of(&[1, 1, 2, 16, 130]);
        let mut write = self.write(offset, length);
        if let Operation::Write { stranger, .. } = &mut write {
            *stranger = self.random.one_in(20);
        }
        write
    }

    fn read_somewhere(&mut self, zones: &[Zone]) -> Operation {
        let offset = self.place(zones);
        let block = u64::from(self.geometry.logical_block_bytes);
        let length = match self.random.below(12) {
            0 => 0,
            1 => block / 2,
            2 => block,
            3 => READ_BYTES_MAX,
            _ => block * (1 + self.random.below(READ_BYTES_MAX / block)),
        };
        let buffer = if length > UNIT && self.random.one_in(20) { length - UNIT } else { length };
        Operation::Read {
            offset_bytes: offset,
            length_bytes: bytes(length),
            buffer_bytes: bytes(buffer),
            stranger: self.random.one_in(30),
        }
    }

    /// A place at which something happens: around the pointer, the capacity, the zone's and the drive's ends.
    fn place(&mut self, zones: &[Zone]) -> u64 {
        let zone = self.zone(zones);
        let (start, capacity) = (self.geometry.zone_start_bytes(zone.index), zone.capacity_bytes);
        let (block, end) = (u64::from(self.geometry.logical_block_bytes), self.geometry.device_bytes);
        let pointer = zone.write_pointer_bytes.unwrap_or(capacity / 2 / UNIT * UNIT);
        let off = self.random.of(&[1, block / 2, block]);
        match self.random.below(16) {
            0 | 1 => start,
            2..5 => start + pointer,
            5 => start + pointer + UNIT,
            6 => start + pointer.saturating_sub(UNIT),
            7 => start + pointer + off,
            8 => start + capacity - UNIT,
            9 => start + capacity,
            10 => start + self.geometry.zone_size_bytes - UNIT,
            11 => self.random.of(&[end, end - UNIT, end + UNIT, u64::MAX - UNIT + 1, u64::MAX]),
            _ => start + self.random.below(capacity / UNIT) * UNIT,
        }
    }

    fn order(&mut self, zones: &[Zone]) -> Operation {
        // First a condition, then a zone in it: the rare conditions are where the rules are.
        let condition = self.random.of(&[
            Condition::Empty,
            Condition::ImplicitOpen,
            Condition::ExplicitOpen,
            Condition::Closed,
            Condition::Full,
        ]);
        let in_it = |zone: &&u32| zones[**zone as usize].condition == condition;
        let candidates: Vec<u32> = self.used.iter().filter(in_it).copied().collect();
        let any = candidates.is_empty() || self.random.one_in(4);
        let zone = self.random.of(if any { &self.used } else { &candidates });
        let operation = match self.random.below(16) {
            0..13 if self.crowds() => {
                self.random.of(&[ZoneOperation::Open, ZoneOperation::Open, ZoneOperation::Close])
            }
            0..6 => ZoneOperation::Open,
            6..10 => ZoneOperation::Close,
            10..12 => ZoneOperation::Finish,
            _ => ZoneOperation::Reset,
        };
        Operation::Order { zone, operation }
    }

    fn order_out_of_bounds(&mut self) -> Operation {
        let zone = self.geometry.zone_count + u32::from(self.random.one_in(2));
        Operation::Order { zone, operation: self.random.of(&[ZoneOperation::Open, ZoneOperation::Reset]) }
    }

    /// Reads, flushes, and writes at the pointers of zones that are open already: which of several zones is opened
    /// first would otherwise be the drive's choice, and so would be who is refused at a limit.
    fn several(&mut self, zones: &[Zone]) -> Vec<Operation> {
        let mut operations = Vec::new();
        let mut open: Vec<Zone> = self.used.iter().map(|&zone| zones[zone as usize]).collect();
        open.dedup_by_key(|zone| zone.index);
        open.retain(|zone| matches!(zone.condition, Condition::ImplicitOpen | Condition::ExplicitOpen));
        for _ in 0..2 + self.random.below(TOGETHER_MAX - 1) {
            if self.random.one_in(8) {
                operations.push(Operation::Flush);
                continue;
            }
            if open.is_empty() || self.random.one_in(2) {
                operations.push(self.read_somewhere(zones));
                continue;
            }
            let chosen = self.random.below(open.len() as u64);
            let zone = open.swap_remove(usize::try_from(chosen).unwrap_or(0));
            let start = self.geometry.zone_start_bytes(zone.index);
            let pointer = zone.write_pointer_bytes.unwrap_or(0);
            let room = (zone.capacity_bytes - pointer).max(UNIT);
            let length = UNIT * (1 + self.random.below(32).min(room / UNIT - 1));
            operations.push(self.write(start + pointer, length));
            if self.random.one_in(6) && pointer + length < zone.capacity_bytes {
                // The second write in flight in a zone is refused.
                operations.push(self.write(start + pointer + length, UNIT));
            }
        }
        operations
    }

    fn wear_out(&mut self, zones: &[Zone]) -> Step {
        let zone = self.zone(zones);
        let condition = self.random.of(&[Condition::ReadOnly, Condition::Offline]);
        Step::WearOut { zone: zone.index, condition }
    }

    /// An operation on the zone that has just worn out.
    pub(crate) fn on_worn(&mut self, zone: u32) -> Step {
        let start = self.geometry.zone_start_bytes(zone);
        let operation = match self.random.below(6) {
            0..3 => Operation::read(start, bytes(UNIT)),
            3 => Operation::Order { zone, operation: ZoneOperation::Reset },
            4 => Operation::Order { zone, operation: ZoneOperation::Finish },
            _ => Operation::Order { zone, operation: ZoneOperation::Open },
        };
        Step::Together(vec![operation])
    }

    fn write(&mut self, offset_bytes: u64, length: u64) -> Operation {
        self.content += 1;
        Operation::write(offset_bytes, bytes(length), self.content)
    }
}

/// A length in memory.
pub(crate) fn bytes(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
