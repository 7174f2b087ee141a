//! The records that a checkpoint consists of, made one after another into one buffer.

use imbrex_format::{
    CELL_BYTES, CHECKPOINT_HEAD_BYTES, CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatch,
    CheckpointPatches, CheckpointTable, CommitZone, PayloadWriter, RecordKind, UNIT_BYTES, ZoneContent,
    ZoneHeader,
};

use crate::checkpointing::{Running, Step};
use crate::mutation::{Mutation, is};
use crate::store::Store;

/// The most units that one record of a checkpoint has: 1 MiB.
const PART_UNITS_MAX: u32 = 256;

/// How often changed cells are written again before no new group is begun until they are.
const PATCH_PASSES_MAX: u32 = 4;

/// What one step comes to.
pub(crate) enum Made {
    /// A record, to be written.
    Record(RecordKind, usize),
    /// Nothing to write: the next step.
    Nothing,
}

/// How many units one record of a checkpoint has at most, in zones of `capacity_units`.
pub(crate) fn part_units(capacity_units: u32) -> u32 {
    PART_UNITS_MAX.min(capacity_units.saturating_sub(1) / 4)
}

impl Store {
    pub(crate) fn make_checkpoint_header(&mut self, buffer: &mut [u8], zone: u32) {
        let incarnation = self.take_sequence();
        let entry = self.zones.get_mut(zone);
        entry.incarnation = incarnation;
        entry.first_sequence = incarnation;
        let header = ZoneHeader {
            zone,
            content: ZoneContent::Checkpoint,
            stream: 0,
            incarnation,
            first_sequence: incarnation,
            opened_at_unix_s: self.unix_s,
        };
        header.encode(&self.label, buffer);
    }

    /// Fills the buffer with the payload of the step's next record, and moves the step on.
    pub(crate) fn make_part(&mut self, buffer: &mut [u8], running: &mut Running) -> Made {
        let number = self.checkpointing.number;
        // What a part of so many units holds beside the record's header, its table of checksums and the head.
        let room_bytes = (self.checkpointing.part_units as usize - 1) * UNIT_BYTES - CHECKPOINT_HEAD_BYTES;
        let cells_max = (room_bytes / CELL_BYTES).max(1) as u64;
        match running.step {
            Step::Begin => {
                let begin = CheckpointBegin {
                    number,
                    bucket_count: self.index.cell_count(),
                    zone_count: self.label.zone_count,
                    begun_at_unix_s: running.begun_at_unix_s,
                };
                running.step = Step::Cells { next: 0 };
                fill(buffer, RecordKind::CheckpointBegin, begin.encode().len(), [&begin.encode()[..]])
            }
            Step::Cells { next } => {
                let end = (next + cells_max).min(self.index.cell_count());
                running.step = match end == self.index.cell_count() {
                    true => Step::Patches { from: 0, passes: 0 },
                    false => Step::Cells { next: end },
                };
                let count = u32::try_from(end - next).unwrap_or(u32::MAX);
                let head = CheckpointCells::head(number, next, count);
                let cells = (next..end).map(|cell| &self.index.cell(cell)[..]);
                let bytes = CheckpointCells::payload_bytes(count as usize);
                fill(buffer, RecordKind::CheckpointCells, bytes, [&head[..]].into_iter().chain(cells))
            }
            Step::Patches { from, passes } => self.make_patches(buffer, running, from, Some(passes)),
            Step::LastPatches { from } => self.make_patches(buffer, running, from, None),
            Step::ZoneCells { next } => {
                let end = next
                    .saturating_add(u32::try_from(cells_max).unwrap_or(u32::MAX))
                    .min(self.label.zone_count);
                running.step = match end == self.label.zone_count {
                    true => Step::Tables { nth: 0, entry: 0 },
                    false => Step::ZoneCells { next: end },
                };
                let first_cell = self.index.cell_count() + u64::from(next);
                let head = CheckpointCells::head(number, first_cell, end - next);
                let cells: Vec<[u8; CELL_BYTES]> =
                    (next..end).map(|zone| self.zones.get(zone).to_cell().encode()).collect();
                let bytes = CheckpointCells::payload_bytes(cells.len());
                let parts = [&head[..]].into_iter().chain(cells.iter().map(|cell| &cell[..]));
                fill(buffer, RecordKind::CheckpointCells, bytes, parts)
            }
            Step::Tables { nth, entry } => self.make_table(buffer, running, nth, entry, cells_max),
            Step::End => {
                let Some(end) = running.end.as_mut() else { return Made::Nothing };
                end.record_count = running.record_count;
                end.patch_count = running.patch_count;
                let encoded = end.encode();
                running.step = Step::FlushEnd;
                fill(buffer, RecordKind::CheckpointEnd, encoded.len(), [&encoded[..]])
            }
            Step::Reset | Step::Hold | Step::FlushParts | Step::FlushEnd | Step::Done => Made::Nothing,
        }
    }

    /// Cells of the index that have changed since they were written: in several passes while groups go on, and once
    /// more when none does.
    fn make_patches(
        &mut self,
        buffer: &mut [u8],
        running: &mut Running,
        from: u64,
        passes: Option<u32>,
    ) -> Made {
        let room_bytes = (self.checkpointing.part_units as usize - 1) * UNIT_BYTES - CHECKPOINT_HEAD_BYTES;
        let patches_max = (room_bytes / CheckpointPatch::BYTES).max(1);
        let mut patches: Vec<[u8; CheckpointPatch::BYTES]> = Vec::new();
        let mut at = from;
        while patches.len() < patches_max {
            let Some(cell) = self.index.take_dirty(at) else { break };
            patches.push(CheckpointPatch { cell, bytes: *self.index.cell(cell) }.encode());
            at = cell + 1;
        }
        let is_full = patches.len() == patches_max;
        running.step = match passes {
            _ if is_full && passes.is_none() => Step::LastPatches { from: at },
            Some(passes) if is_full && passes < PATCH_PASSES_MAX => Step::Patches { from: at, passes },
            Some(passes) if from > 0 && passes < PATCH_PASSES_MAX => {
                Step::Patches { from: 0, passes: passes + 1 }
            }
            Some(_) => Step::Hold,
            None => Step::ZoneCells { next: 0 },
        };
        if is(Mutation::ForgetPatches) {
            patches.clear();
        }
        if patches.is_empty() {
            return Made::Nothing;
        }
        running.patch_count += patches.len() as u64;
        let count = u32::try_from(patches.len()).unwrap_or(u32::MAX);
        let head = CheckpointPatches::head(self.checkpointing.number, count);
        let bytes = CheckpointPatches::payload_bytes(patches.len());
        let parts = [&head[..]].into_iter().chain(patches.iter().map(|patch| &patch[..]));
        fill(buffer, RecordKind::CheckpointPatches, bytes, parts)
    }

    /// What the open zones list; after the last, the moment is taken.
    fn make_table(
        &mut self,
        buffer: &mut [u8],
        running: &mut Running,
        nth: usize,
        entry: usize,
        entries_max: u64,
    ) -> Made {
        let Some((_, open)) = self.open.iter().nth(nth) else {
            // The moment is taken: groups may go on.
            running.end = Some(self.checkpoint_end());
            self.written_since_checkpoint_bytes = 0;
            running.step = Step::FlushParts;
            return Made::Nothing;
        };
        let left = &open.entries[entry.min(open.entries.len())..];
        let count = left.len().min(usize::try_from(entries_max).unwrap_or(usize::MAX));
        running.step = match count == left.len() {
            true => Step::Tables { nth: nth + 1, entry: 0 },
            false => Step::Tables { nth, entry: entry + count },
        };
        if count == 0 {
            return Made::Nothing;
        }
        let count_u32 = u32::try_from(count).unwrap_or(u32::MAX);
        let head = CheckpointTable::head(self.checkpointing.number, open.zone, count_u32);
        let entries: Vec<_> = left[..count].iter().map(|entry| CheckpointTable::entry(*entry)).collect();
        let parts = [&head[..]].into_iter().chain(entries.iter().map(|entry| &entry[..]));
        fill(buffer, RecordKind::CheckpointTable, CheckpointTable::payload_bytes(count), parts)
    }

    fn checkpoint_end(&self) -> CheckpointEnd {
        let open =
            self.open.iter().map(|(_, open)| open.zone).filter(|zone| self.zones.get(*zone).good_units > 0);
        CheckpointEnd {
            number: self.checkpointing.number,
            next_sequence: self.next_sequence,
            next_group: self.next_group,
            blocks: self.index.len(),
            live_units: self.live_units,
            dead_units: self.good_units.saturating_sub(self.live_units),
            record_count: 0,
            patch_count: 0,
            taken_at_unix_s: self.unix_s,
            open: open
                .map(|zone| CommitZone {
                    zone,
                    good_units: self.zones.get(zone).good_units,
                    incarnation: self.zones.get(zone).incarnation,
                })
                .collect(),
        }
    }
}

/// Puts a payload of `payload_bytes` together in the buffer.
fn fill<'a>(
    buffer: &mut [u8],
    kind: RecordKind,
    payload_bytes: usize,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Made {
    let mut writer = PayloadWriter::new(payload_bytes);
    // The payload's length is the sum of its parts, so the writer can refuse none of them.
    let complete =
        parts.into_iter().all(|part| writer.write(buffer, part).is_ok()) && writer.finish(buffer).is_ok();
    debug_assert!(complete);
    Made::Record(kind, payload_bytes)
}
