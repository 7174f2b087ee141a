//! Checkpoints of the drive in memory.

use imbrex_format::{
    CELL_BYTES, CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatch, CheckpointPatches,
    CheckpointTable, CommitZone, IndexEntry, RecordKind, TableEntry, ZoneCell, ZoneCellRole, ZoneContent,
    index_bucket_count, index_hash, other_bucket,
};

use super::{Block, SLOTS, TestDrive, ZONE_UNITS, ZONES};

/// What a checkpoint is made of, to be changed before it is written.
pub(crate) struct Draft {
    pub(crate) begin: CheckpointBegin,
    pub(crate) cells: Vec<[u8; CELL_BYTES]>,
    /// Cells that are first written otherwise, and then patched.
    pub(crate) patched: Vec<usize>,
    pub(crate) tables: Vec<(u32, Vec<TableEntry>)>,
    pub(crate) end: CheckpointEnd,
    /// Whether the end is written.
    pub(crate) is_ended: bool,
}

impl Draft {
    /// Gives an entry back out of the index.
    pub(crate) fn take_entry(&mut self) -> IndexEntry {
        let buckets = usize::try_from(self.begin.bucket_count).unwrap();
        for cell in &mut self.cells[..buckets] {
            for slot in 0..6 {
                let entry = IndexEntry::of_slot(cell, slot);
                if !entry.is_empty() {
                    IndexEntry::EMPTY.put_into_slot(cell, slot);
                    return entry;
                }
            }
        }
        panic!("the index is empty");
    }

    /// The cell of a zone, changed.
    pub(crate) fn change_zone(&mut self, zone: u32, change: impl Fn(&mut ZoneCell)) {
        let at = usize::try_from(self.begin.bucket_count).unwrap() + zone as usize;
        let mut cell = ZoneCell::decode(&self.cells[at]).unwrap();
        change(&mut cell);
        self.cells[at] = cell.encode();
    }
}

impl TestDrive {
    fn put_into_index(&self, cells: &mut [[u8; CELL_BYTES]], block: &Block) {
        let count = index_bucket_count(self.label.blocks_max);
        let (bucket, tag) = index_hash(&self.label.secret, &block.key, count);
        let place_units = u64::from(block.zone * ZONE_UNITS + block.unit);
        let entry = IndexEntry { place_units, unit_count: block.units, tag };
        let other = other_bucket(bucket, tag, count);
        let slots = [other, bucket].into_iter().flat_map(|bucket| (0..6).map(move |slot| (bucket, slot)));
        for (bucket, slot) in slots {
            let cell = &mut cells[usize::try_from(bucket).unwrap()];
            if IndexEntry::of_slot(cell, slot).is_empty() {
                return entry.put_into_slot(cell, slot);
            }
        }
        panic!("both buckets are full");
    }

    fn zone_cell(&self, zone: u32) -> ZoneCell {
        let state = &self.zones[zone as usize];
        let role = match zone {
            0 | 1 => ZoneCellRole::Label,
            _ if self.label.is_checkpoint_zone(zone) => ZoneCellRole::Checkpoint,
            _ if state.is_open => ZoneCellRole::Open,
            _ if state.is_sealed => ZoneCellRole::Sealed,
            _ if state.next_unit > 0 => ZoneCellRole::Fenced,
            _ => ZoneCellRole::Free,
        };
        let is_log = matches!(role, ZoneCellRole::Open | ZoneCellRole::Sealed | ZoneCellRole::Fenced);
        let live = self.live.iter().filter(|block| block.zone == zone).map(|block| block.units).sum();
        let count = |entries: usize| u32::try_from(entries).unwrap();
        let tombstones = state.entries.iter().filter(|entry| matches!(entry, TableEntry::Tombstone { .. }));
        ZoneCell {
            role,
            stream: 0,
            evacuate: false,
            capacity_units: ZONE_UNITS,
            written_units: state.next_unit,
            good_units: state.good_units,
            live_units: live,
            table_entries: count(state.entries.len()),
            tombstones: count(tombstones.count()),
            incarnation: if is_log { state.incarnation } else { 0 },
            closed_sequence: match role {
                ZoneCellRole::Open => u64::MAX,
                ZoneCellRole::Sealed | ZoneCellRole::Fenced => self.sequence,
                _ => 0,
            },
            scrubbed_at_unix_s: 0,
            sealed_at_unix_s: 0,
        }
    }

    /// What the drive holds now, as a checkpoint.
    pub(crate) fn draft(&self, number: u64) -> Draft {
        let bucket_count = index_bucket_count(self.label.blocks_max);
        let mut cells = vec![[0; CELL_BYTES]; usize::try_from(bucket_count).unwrap()];
        self.live.iter().for_each(|block| self.put_into_index(&mut cells, block));
        cells.extend((0..ZONES).map(|zone| self.zone_cell(zone).encode()));
        let open = (0..ZONES).filter(|zone| self.zones[*zone as usize].is_open).map(|zone| CommitZone {
            zone,
            good_units: self.zones[zone as usize].good_units,
            incarnation: self.zones[zone as usize].incarnation,
        });
        let listing = (0..ZONES).filter(|zone| self.zones[*zone as usize].is_open);
        let tables: Vec<_> = listing
            .map(|zone| (zone, self.zones[zone as usize].entries.clone()))
            .filter(|(_, entries)| !entries.is_empty())
            .collect();
        let table_count = tables.len();
        Draft {
            begin: CheckpointBegin { number, bucket_count, zone_count: ZONES, begun_at_unix_s: 5 },
            patched: vec![0, cells.len() - 1],
            tables,
            cells,
            end: CheckpointEnd {
                number,
                next_sequence: self.sequence,
                next_group: self.group,
                blocks: self.live.len() as u64,
                live_units: self.live.iter().map(|block| u64::from(block.units)).sum(),
                dead_units: 0,
                record_count: 4 + table_count as u64,
                patch_count: 2,
                taken_at_unix_s: 6,
                open: open.collect(),
            },
            is_ended: true,
        }
    }

    pub(crate) fn write_checkpoint(&mut self, slot: u32, draft: &Draft) {
        let zone = SLOTS + slot;
        self.reset(zone);
        self.open_zone(zone, ZoneContent::Checkpoint, 0);
        let number = draft.begin.number;
        let mut written = draft.cells.clone();
        draft.patched.iter().for_each(|cell| written[*cell] = [0xff; CELL_BYTES]);
        let middle = written.len() / 2;
        let run = |first: usize, cells: &[[u8; CELL_BYTES]]| {
            let count = u32::try_from(cells.len()).unwrap();
            [CheckpointCells::head(number, first as u64, count).as_slice(), cells.as_flattened()].concat()
        };
        let mut patches =
            CheckpointPatches::head(number, u32::try_from(draft.patched.len()).unwrap()).to_vec();
        for cell in &draft.patched {
            patches.extend(CheckpointPatch { cell: *cell as u64, bytes: draft.cells[*cell] }.encode());
        }
        let mut records = vec![
            (RecordKind::CheckpointBegin, draft.begin.encode().to_vec()),
            (RecordKind::CheckpointCells, run(0, &written[..middle])),
            (RecordKind::CheckpointCells, run(middle, &written[middle..])),
            (RecordKind::CheckpointPatches, patches),
        ];
        for (zone, entries) in &draft.tables {
            let mut payload =
                CheckpointTable::head(number, *zone, u32::try_from(entries.len()).unwrap()).to_vec();
            entries.iter().for_each(|entry| payload.extend(CheckpointTable::entry(*entry)));
            records.push((RecordKind::CheckpointTable, payload));
        }
        if draft.is_ended {
            records.push((RecordKind::CheckpointEnd, draft.end.encode().to_vec()));
        }
        for (sequence, (kind, payload)) in (1..).zip(&records) {
            self.record_as(zone, *kind, payload, sequence, sequence, imbrex_format::Key([0; 32]));
        }
    }

    /// Writes a right checkpoint.
    pub(crate) fn checkpoint(&mut self, slot: u32, number: u64) {
        self.write_checkpoint(slot, &self.draft(number));
    }
}
