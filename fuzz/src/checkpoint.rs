//! The payloads of a checkpoint's records, and the cells in them. Each input is given to each decoder.

use imbrex_format::{
    CELL_BYTES, CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatch, CheckpointPatches,
    CheckpointTable, OPEN_ZONES_MAX, ZoneCell,
};

use crate::index_cell;

/// The input is a payload.
pub fn run(input: &[u8]) {
    if let Ok(begin) = CheckpointBegin::decode(input) {
        assert_eq!(begin.encode(), input);
        assert!(begin.cell_count() >= begin.bucket_count);
    }
    if let Ok(end) = CheckpointEnd::decode(input) {
        assert_eq!(end.encode(), input);
        assert!(end.open.len() <= OPEN_ZONES_MAX);
    }
    if let Ok(cells) = CheckpointCells::decode(input) {
        let count = u32::try_from(cells.cells.len()).expect("a count of 32 bits");
        let head = CheckpointCells::head(cells.number, cells.first_cell, count);
        assert_eq!([head.as_slice(), cells.cells.as_flattened()].concat(), input);
        cells.cells.iter().for_each(cell);
    }
    if let Ok(patches) = CheckpointPatches::decode(input) {
        let count = u32::try_from(patches.count()).expect("a count of 32 bits");
        let mut again = CheckpointPatches::head(patches.number, count).to_vec();
        patches.iter().for_each(|patch: CheckpointPatch| again.extend(patch.encode()));
        assert_eq!(again, input);
        patches.iter().for_each(|patch| cell(&patch.bytes));
    }
    if let Ok(table) = CheckpointTable::decode(input) {
        let count = u32::try_from(table.entries.len()).expect("a count of 32 bits");
        let mut again = CheckpointTable::head(table.number, table.zone, count).to_vec();
        table.entries.iter().for_each(|entry| again.extend(CheckpointTable::entry(*entry)));
        assert_eq!(again, input);
    }
    if let Ok(bytes) = <&[u8; CELL_BYTES]>::try_from(input) {
        cell(bytes);
    }
}

fn cell(bytes: &[u8; CELL_BYTES]) {
    if let Ok(zone) = ZoneCell::decode(bytes) {
        assert_eq!(zone.encode(), *bytes);
    }
    index_cell::bucket(bytes);
}
