//! The run: each step on both drives, and everything compared.

use std::collections::BTreeSet;
use std::fmt;

use imbrex_zoned::{Condition, Device, Geometry, Zone, ZoneKind, ZoneOperation};

use crate::differences::{ALLOWED, COUNT, Remedy, Room, Seen, allowing};
use crate::operation::{Operation, Step};
use crate::side::{Answer, Side};
use crate::steps::{Steps, bytes};
use crate::wear::Wear;

/// Every so many steps all bytes of all zones are compared; after each step the last ones of those that were touched.
const STEPS_BETWEEN_SWEEPS: u64 = 128;

/// How much of the end of a zone that was touched is compared, in bytes.
const END_BYTES: u64 = 256 << 10;

/// The piece in which zones are read for comparison, in bytes.
const PIECE_BYTES: u64 = 1 << 20;

/// Two drives, and what both are known to hold.
pub(crate) struct Run<'a> {
    kernel: Side<'a>,
    simulated: Side<'a>,
    wear: Option<Wear>,
    geometry: Geometry,
    steps: Steps,
    /// As both drives last reported them.
    zones: Vec<Zone>,
    /// How far each zone holds what was written, in bytes: all of a conventional zone.
    written: Vec<u64>,
    summary: Summary,
}

/// What a run has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    steps: u64,
    operations: u64,
    refused: u64,
    compared_bytes: u64,
    allowed: [u64; COUNT],
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, operations, refused, compared_bytes, allowed } = self;
        write!(f, "{operations} operations in {steps} steps agree, {refused} of them refused by both, ")?;
        write!(f, "{} MiB compared; allowed differences:", compared_bytes >> 20)?;
        for (difference, count) in ALLOWED.iter().zip(allowed) {
            write!(f, "\n  {count:6}  {}", difference.name)?;
        }
        Ok(())
    }
}

impl<'a> Run<'a> {
    /// Brings both drives to the same beginning: sequential zones empty, conventional ones all zeros.
    pub(crate) fn new(
        kernel: &'a mut dyn Device,
        simulated: &'a mut dyn Device,
        wear: Option<Wear>,
        seed: u64,
    ) -> Result<Self, String> {
        let geometry = kernel.geometry().clone();
        let mut kernel = Side::new("kernel's", kernel)?;
        let simulated = Side::new("simulated", simulated)?;
        let zones = kernel.zones()?;
        let steps = Steps::new(seed, geometry.clone(), &zones, wear.is_some());
        let conventional = |zone: &Zone| zone.kind == ZoneKind::Conventional;
        let written = zones.iter().map(|zone| if conventional(zone) { zone.capacity_bytes } else { 0 });
        let (written, summary) = (written.collect(), Summary::default());
        let mut run = Self { kernel, simulated, wear, geometry, steps, zones, written, summary };
        for zone in run.zones.clone() {
            if conventional(&zone) {
                run.clear(zone)?;
            } else if zone.condition != Condition::Empty {
                run.both(&Operation::Order { zone: zone.index, operation: ZoneOperation::Reset })?;
            }
        }
        run.look(run.room(), false, &BTreeSet::new())?;
        Ok(run)
    }

    /// Runs until `operations` operations are done.
    pub(crate) fn go(&mut self, operations: u64) -> Result<Summary, String> {
        while self.summary.operations < operations {
            let step = self.steps.next(&self.zones);
            self.take(&step)?;
            if self.summary.steps.is_multiple_of(STEPS_BETWEEN_SWEEPS) {
                self.sweep().map_err(|error| self.told(&error))?;
            }
        }
        self.sweep().map_err(|error| self.told(&error))?;
        Ok(self.summary.clone())
    }

    /// An error with where in the run it was found.
    fn told(&self, error: &str) -> String {
        format!("the drives differ after {} operations: {error}", self.summary.operations)
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        self.summary.steps += 1;
        match step {
            Step::Together(operations) => {
                self.together(operations).map_err(|error| self.told(&format!("{error}\nin {step:?}")))
            }
            Step::WearOut { zone, condition } => {
                let start = self.geometry.zone_start_bytes(*zone);
                let sequential = self.zones[*zone as usize].kind == ZoneKind::SequentialWriteRequired;
                let Some(wear) = self.wear.as_mut().filter(|wear| sequential && wear.allows(*zone)) else {
                    return Ok(());
                };
                wear.wear_out(*zone, start, *condition)?;
                let next = self.steps.on_worn(*zone);
                self.take(&next)
            }
        }
    }

    fn together(&mut self, operations: &[Operation]) -> Result<(), String> {
        self.summary.operations += operations.len() as u64;
        let kernel = self.kernel.together(operations)?;
        let simulated = self.simulated.together(operations)?;
        let room = self.room();
        let mut resets = BTreeSet::new();
        for (operation, (kernel, simulated)) in operations.iter().zip(kernel.iter().zip(&simulated)) {
            let remedy = self.compare_answers(operation, room, kernel, simulated)?;
            if let (Remedy::Reset, Some(zone)) = (remedy, self.zone_of(operation)) {
                resets.insert(zone);
            }
            let overwritten = operations.iter().filter_map(Operation::writes);
            let races =
                |(start, end): (u64, u64)| reads(operation).is_some_and(|(s, e)| start < e && s < end);
            if kernel.result.is_ok() && simulated.result.is_ok() && !overwritten.clone().any(races) {
                self.compare_read(operation, kernel, simulated)?;
            }
        }
        let mut touched = BTreeSet::new();
        for (operation, (kernel, simulated)) in operations.iter().zip(kernel.iter().zip(&simulated)) {
            self.summary.refused += u64::from(kernel.result.is_err() && simulated.result.is_err());
            if kernel.result.is_ok() && simulated.result.is_ok() {
                self.learn(operation);
            }
            if !matches!(operation, Operation::Read { .. }) {
                touched.extend(self.zone_of(operation));
            }
        }
        // null_blk opens a zone to finish it, and closes another for that where the limit is reached.
        let finishes = |operation: &Operation| {
            matches!(operation, Operation::Order { operation: ZoneOperation::Finish, .. })
        };
        let may_differ =
            operations.iter().any(finishes) || kernel.iter().any(|answer| answer.result.is_err());
        drop((kernel, simulated));
        for zone in resets {
            self.both(&Operation::Order { zone, operation: ZoneOperation::Reset })?;
        }
        self.look(room, may_differ, &touched)
    }

    /// Which limits are reached. Only single operations open zones, so that this tells what an operation met.
    fn room(&self) -> Room {
        let count = |conditions: &[Condition]| {
            self.zones.iter().filter(|zone| conditions.contains(&zone.condition)).count()
        };
        let implicitly = count(&[Condition::ImplicitOpen]);
        let open = implicitly + count(&[Condition::ExplicitOpen]);
        let reached = |limit: Option<u32>, count: usize| limit.is_some_and(|limit| count >= limit as usize);
        Room {
            open_limit: reached(self.geometry.zone_open_max, open),
            active_limit: reached(self.geometry.zone_active_max, open + count(&[Condition::Closed])),
            implicitly_open: implicitly > 0,
        }
    }

    fn zone_of(&self, operation: &Operation) -> Option<u32> {
        let zone = match operation {
            Operation::Flush => return None,
            Operation::Order { zone, .. } => *zone,
            Operation::Read { offset_bytes, .. } | Operation::Write { offset_bytes, .. } => {
                u32::try_from(offset_bytes / self.geometry.zone_size_bytes).ok()?
            }
        };
        (zone < self.geometry.zone_count).then_some(zone)
    }

    fn compare_answers(
        &mut self,
        operation: &Operation,
        room: Room,
        kernel: &Answer,
        simulated: &Answer,
    ) -> Result<Remedy, String> {
        if kernel.result == simulated.result {
            return Ok(Remedy::Nothing);
        }
        let before = self.zone_of(operation).map(|zone| self.zones[zone as usize]);
        let (of_kernel, of_simulated) = (&kernel.result, &simulated.result);
        let seen = Seen::Answers { operation, before, room, kernel: of_kernel, simulated: of_simulated };
        self.allow(&seen).ok_or_else(|| {
            format!(
                "{operation:?} on {before:?}\n  the kernel's drive answers {of_kernel:?}\n  the simulated one \
                 answers {of_simulated:?}"
            )
        })
    }

    /// Counts a difference that is allowed.
    fn allow(&mut self, seen: &Seen<'_>) -> Option<Remedy> {
        let row = allowing(seen)?;
        self.summary.allowed[row] += 1;
        Some(ALLOWED[row].remedy)
    }

    fn compare_read(
        &mut self,
        operation: &Operation,
        kernel: &Answer,
        simulated: &Answer,
    ) -> Result<(), String> {
        let Operation::Read { offset_bytes, length_bytes, .. } = *operation else { return Ok(()) };
        let (Some(kernel), Some(simulated)) = (&kernel.buffer, &simulated.buffer) else {
            return Err(format!("{operation:?} does not hand its buffer back"));
        };
        let zone = self.zone_of(operation).unwrap_or(0);
        let at = offset_bytes - self.geometry.zone_start_bytes(zone).min(offset_bytes);
        let known = bytes(self.written[zone as usize].saturating_sub(at)).min(length_bytes);
        self.summary.compared_bytes += known as u64;
        if kernel[..known] != simulated[..known] {
            let byte = kernel.iter().zip(simulated.iter()).position(|(one, other)| one != other);
            return Err(format!("byte {} of {operation:?} differs", byte.unwrap_or(0)));
        }
        if kernel[known..length_bytes] != simulated[known..length_bytes] {
            self.allow(&Seen::Fill).ok_or("bytes that nobody has written differ")?;
        }
        Ok(())
    }

    /// Notes what an operation that succeeded on both drives has written.
    fn learn(&mut self, operation: &Operation) {
        let Some(zone) = self.zone_of(operation) else { return };
        let written = &mut self.written[zone as usize];
        match operation {
            Operation::Write { offset_bytes, length_bytes, .. } => {
                let end = offset_bytes % self.geometry.zone_size_bytes + *length_bytes as u64;
                *written = (*written).max(end);
            }
            Operation::Order { operation: ZoneOperation::Reset, .. } => *written = 0,
            _ => {}
        }
    }

    /// Looks at the zones of both drives, makes those equal that may differ, and compares the bytes of `touched`.
    /// At the limit as many must be open on both, unless that `may_differ`.
    fn look(&mut self, room: Room, may_differ: bool, touched: &BTreeSet<u32>) -> Result<(), String> {
        let (kernel, simulated) = (self.kernel.zones()?, self.simulated.zones()?);
        let open = |zones: &[Zone]| zones.iter().filter(|zone| is_open(zone)).count();
        if !may_differ && room.open_limit && open(&kernel) != open(&simulated) {
            return Err(format!(
                "{} zones are open, on the simulated drive {}",
                open(&kernel),
                open(&simulated)
            ));
        }
        let mut remedied = false;
        for (&kernel, &simulated) in kernel.iter().zip(&simulated).filter(|(kernel, other)| kernel != other) {
            let remedy = self.allow(&Seen::Zones { kernel, simulated, room });
            let zone = kernel.index;
            let operation = match remedy {
                Some(Remedy::Reset) => ZoneOperation::Reset,
                Some(Remedy::Close) => ZoneOperation::Close,
                _ => {
                    return Err(format!(
                        "the kernel's drive has {kernel:?}\n  the simulated one {simulated:?}"
                    ));
                }
            };
            self.both(&Operation::Order { zone, operation })?;
            remedied = true;
        }
        self.zones = simulated;
        if remedied {
            self.zones = self.simulated.zones()?;
            let kernel = self.kernel.zones()?;
            if let Some((kernel, simulated)) =
                kernel.iter().zip(&self.zones).find(|(one, other)| one != other)
            {
                return Err(format!("what was made equal is not: {kernel:?} and {simulated:?}"));
            }
        }
        touched.iter().try_for_each(|&zone| self.compare_zone(zone, END_BYTES))
    }

    /// Carries out on both drives what both must do.
    fn both(&mut self, operation: &Operation) -> Result<(), String> {
        for side in [&mut self.kernel, &mut self.simulated] {
            for answer in side.together(std::slice::from_ref(operation))? {
                answer
                    .result
                    .map_err(|error| format!("{operation:?} on the {} drive: {error}", side.name))?;
            }
        }
        self.learn(operation);
        Ok(())
    }

    /// Fills a conventional zone with one content.
    fn clear(&mut self, zone: Zone) -> Result<(), String> {
        let start = self.geometry.zone_start_bytes(zone.index);
        for at in (0..zone.capacity_bytes).step_by(bytes(PIECE_BYTES)) {
            let length = PIECE_BYTES.min(zone.capacity_bytes - at);
            self.both(&Operation::write(start + at, bytes(length), 0))?;
        }
        Ok(())
    }

    /// Compares all that both drives hold.
    fn sweep(&mut self) -> Result<(), String> {
        (0..self.geometry.zone_count).try_for_each(|zone| self.compare_zone(zone, u64::MAX))
    }

    /// Compares the last `end_bytes` of what a zone holds.
    fn compare_zone(&mut self, zone: u32, end_bytes: u64) -> Result<(), String> {
        let written = self.written[zone as usize];
        if self.zones[zone as usize].condition == Condition::Offline {
            return Ok(());
        }
        let start = self.geometry.zone_start_bytes(zone);
        for at in (written.saturating_sub(end_bytes)..written).step_by(bytes(PIECE_BYTES)) {
            let read = [Operation::read(start + at, bytes(PIECE_BYTES.min(written - at)))];
            let (kernel, simulated) = (self.kernel.together(&read)?, self.simulated.together(&read)?);
            for (kernel, simulated) in kernel.iter().zip(&simulated) {
                if let (Err(kernel), _) | (_, Err(kernel)) = (&kernel.result, &simulated.result) {
                    return Err(format!("{read:?} fails on one of the drives: {kernel}"));
                }
                self.compare_read(&read[0], kernel, simulated)?;
            }
        }
        Ok(())
    }
}

fn is_open(zone: &Zone) -> bool {
    matches!(zone.condition, Condition::ImplicitOpen | Condition::ExplicitOpen)
}

/// The range that a read reads.
fn reads(operation: &Operation) -> Option<(u64, u64)> {
    match operation {
        Operation::Read { offset_bytes, length_bytes, .. } => {
            Some((*offset_bytes, offset_bytes.saturating_add(*length_bytes as u64)))
        }
        _ => None,
    }
}
