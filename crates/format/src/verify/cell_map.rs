//! The cells of a checkpoint, while it is being read.

use crate::checkpoint::{CELL_BYTES, CheckpointBegin, CheckpointCells, CheckpointPatches, CheckpointTable};
use crate::verify::VerifyError;
use crate::verify::findings::Halt;
use crate::verify::survey::Survey;

/// How many cells one word of bits stands for.
const WORD_CELLS: usize = u64::BITS as usize;

/// See the module.
pub(super) struct CellMap {
    cells: Vec<[u8; CELL_BYTES]>,
    /// Which cells stand in a record of cells.
    seen: Vec<u64>,
    pub(super) patch_count: u64,
    /// What open zones list.
    pub(super) tables: Vec<CheckpointTable>,
}

impl CellMap {
    pub(super) fn new(survey: &mut Survey<'_>, begin: &CheckpointBegin) -> Result<Self, Halt> {
        let memory = Halt::Refused(VerifyError::Memory { memory_bytes_max: survey.options.memory_bytes_max });
        let Ok(count) = usize::try_from(begin.cell_count()) else { return Err(memory) };
        let words = count.div_ceil(WORD_CELLS);
        survey.ledger.budget.take((count as u64).saturating_mul(CELL_BYTES as u64))?;
        survey.ledger.budget.take(words as u64 * 8)?;
        Ok(Self {
            cells: vec![[0; CELL_BYTES]; count],
            seen: vec![0; words],
            patch_count: 0,
            tables: Vec::new(),
        })
    }

    /// Takes a run of cells; `false` where the checkpoint does not have them.
    pub(super) fn put(&mut self, run: &CheckpointCells<'_>) -> bool {
        let Ok(first) = usize::try_from(run.first_cell) else { return false };
        let Some(place) = first.checked_add(run.cells.len()).and_then(|end| self.cells.get_mut(first..end))
        else {
            return false;
        };
        place.copy_from_slice(run.cells);
        (first..first + run.cells.len())
            .for_each(|cell| self.seen[cell / WORD_CELLS] |= 1 << (cell % WORD_CELLS));
        true
    }

    /// Takes patches; `false` where the checkpoint does not have one of their cells.
    pub(super) fn patch(&mut self, patches: &CheckpointPatches<'_>) -> bool {
        self.patch_count += patches.count() as u64;
        patches.iter().all(|patch| {
            let cell = usize::try_from(patch.cell).ok().and_then(|cell| self.cells.get_mut(cell));
            cell.map(|cell| *cell = patch.bytes).is_some()
        })
    }

    /// Takes what an open zone lists; the budget holds it to the end of the run.
    pub(super) fn list(&mut self, survey: &mut Survey<'_>, table: CheckpointTable) -> Result<(), Halt> {
        survey.ledger.budget.take((table.entries.capacity() * size_of::<crate::TableEntry>()) as u64)?;
        self.tables.push(table);
        Ok(())
    }

    /// How many cells stand in no record of cells.
    pub(super) fn missing(&self) -> u64 {
        let seen: u64 = self.seen.iter().map(|word| u64::from(word.count_ones())).sum();
        self.cells.len() as u64 - seen
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing() == 0
    }

    pub(super) fn release(self, survey: &mut Survey<'_>) {
        let (cells, _) = self.into_parts(survey);
        survey.ledger.budget.give_back((cells.len() * CELL_BYTES) as u64);
    }

    /// The cells and the tables, which stay taken from the budget.
    pub(super) fn into_parts(self, survey: &mut Survey<'_>) -> (Vec<[u8; CELL_BYTES]>, Vec<CheckpointTable>) {
        survey.ledger.budget.give_back(self.seen.len() as u64 * 8);
        (self.cells, self.tables)
    }
}
