//! What the index takes: for a block, and for a TB.

use anyhow::Result;
use imbrex_engine::Options;
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::{VirtualClock, regenerating};

use crate::bench::Sizes;
use crate::bench::row::{Kind, Limit, Row};
use crate::bench::simulated::bed::Bed;
use crate::bench::simulated::forged::geometry;
use crate::bench::simulated::ingest::to_f64;

/// The engine's buffers in bytes.
const POOL_BYTES: usize = 64 << 20;

/// A row for a block, and one for a TB of 4 MiB blocks.
///
/// # Errors
/// Where the engine does not format the drive.
pub fn rows(sizes: &Sizes) -> Result<Vec<Row>> {
    let device_bytes = sizes.mounted_drive_bytes;
    let blocks = device_bytes / (4 << 20);
    let [half, whole] = [blocks / 2, blocks].map(|blocks| memory_bytes(device_bytes, blocks));
    let (half, whole) = (half?, whole?);
    let per_block = to_f64(whole - half) / to_f64(blocks - blocks / 2);
    let conditions = format!(
        "a drive of {:.1} TB formatted for {blocks} blocks of 4 MiB; from the memory that the engine says it took, for all blocks \
         and for half of them, so that its buffers and the table of zones drop out; the index takes no more than the number of \
         blocks that it was made for, so that this is what a block costs when it is full",
        to_f64(device_bytes) / 1e12
    );
    let per_tb = per_block * to_f64(blocks) / (to_f64(device_bytes) / 1e12) / 1e6;
    Ok(vec![
        Row::new("index memory for a block, table slack included", Kind::Simulated, per_block, "bytes")
            .target(Limit::AtMost(12.0))
            .conditions(conditions.clone()),
        Row::new("index memory for a TB of 4 MiB blocks", Kind::Simulated, per_tb, "MB")
            .target(Limit::AtMost(6.0))
            .conditions(conditions)
            .against("memory of the whole engine, MB, for this drive", to_f64(whole) / 1e6)
            .against("of which buffers, MB", to_f64(POOL_BYTES as u64) / 1e6),
    ])
}

fn memory_bytes(device_bytes: u64, blocks_max: u64) -> Result<u64> {
    let device = regenerating(geometry(device_bytes), BufferPool::new(POOL_BYTES)?)?;
    let mut bed = Bed::over(Box::new(device), &VirtualClock::new(), &Options::default());
    bed.format(blocks_max)?;
    Ok(bed.engine.status().memory_bytes)
}
