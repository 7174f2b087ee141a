//! Ingest on a disk that is modelled, against what the model itself writes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imbrex_engine::Options;
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::disk::{Pattern, Region, Workload};
use imbrex_zoned::simulated::{SimulatedGeometry, VirtualClock, regenerating};

use crate::bench::Sizes;
use crate::bench::row::{Kind, Limit, Row};
use crate::bench::simulated::bed::{Bed, Template, Window, disk};
use crate::step::Step;

/// A zone of the drive in bytes.
pub const ZONE_BYTES: u64 = 256 << 20;
/// Zones of the drive: its first, on the outer tracks.
const ZONES: u32 = 96;
/// Puts under way of all streams together, in bytes: with half of it in one group, and the other half gathering, a
/// flush covers 32 or 128 MiB.
const WINDOWS_BYTES: [u64; 2] = [64 << 20, 256 << 20];
/// What the engine's buffers have beyond the window, in bytes: its reserve, and room between the blocks.
const POOL_SPARE_BYTES: u64 = 64 << 20;

/// A row for each block size and number of streams.
///
/// # Errors
/// Where the engine fails.
pub fn rows(sizes: &Sizes) -> Result<Vec<Row>> {
    let bytes = sizes.simulated_ingest_bytes;
    let mut rows = Vec::new();
    for block_bytes in [1_u64 << 20, 4 << 20] {
        for ((streams, target), window_bytes) in
            [(1_u64, 0.97), (8, 0.90)].into_iter().flat_map(|case| WINDOWS_BYTES.map(|window| (case, window)))
        {
            let step =
                Step::begin(format!("Simulated ingest, {} MiB blocks, {streams} streams", block_bytes >> 20));
            let run = ingest(block_bytes, streams, window_bytes, bytes)?;
            let raw = raw_bytes_per_s(bytes, None);
            let same = raw_bytes_per_s(bytes, Some(run.bytes_per_flush));
            step.done("");
            let row = Row::new(
                format!(
                    "ingest / raw, {} MiB blocks, {streams} stream{}",
                    block_bytes >> 20,
                    if streams == 1 { "" } else { "s" }
                ),
                Kind::Simulated,
                run.bytes_per_s / raw,
                "ratio",
            );
            let row = row
                .target(Limit::AtLeast(target))
                .conditions(format!(
                    "the model of a 20 TB disk, outer tracks, zones of 256 MiB; {} MiB by the engine, {} MiB under way in all, \
                     each put acknowledged when flushed; raw: the model's own sequential write, 4 x 1 MiB under way, one flush \
                     at the end",
                    bytes >> 20,
                    window_bytes >> 20
                ))
                .against("engine MB/s", run.bytes_per_s / 1e6)
                .against("raw MB/s", raw / 1e6)
                .against("raw MB/s with as many flushes as the engine's", same / 1e6)
                .against("MiB for each flush", to_f64(run.bytes_per_flush) / 1_048_576.0)
                .against("bytes written for each byte stored", run.written_per_byte)
                .against("bytes scrubbed meanwhile for each byte stored", run.scrubbed_per_byte);
            rows.push(explained(row, run.bytes_per_s, raw, same, run.written_per_byte));
        }
    }
    Ok(rows)
}

fn explained(row: Row, engine: f64, raw: f64, same: f64, written_per_byte: f64) -> Row {
    if row.is_met() {
        return row;
    }
    let rest = engine * written_per_byte / same;
    row.note(format!(
        "of what is missing, {:.1} % of raw are the flushes (each costs this disk most of a turn during which it writes nothing), \
         {:.1} % are headers, footers and padding, and the engine reaches {rest:.3} of what is left",
        (1.0 - same / raw) * 100.0,
        (1.0 - 1.0 / written_per_byte) * 100.0
    ))
}

struct Run {
    bytes_per_s: f64,
    bytes_per_flush: u64,
    written_per_byte: f64,
    scrubbed_per_byte: f64,
}

fn ingest(block_bytes: u64, streams: u64, window_bytes: u64, bytes: u64) -> Result<Run> {
    let geometry = SimulatedGeometry {
        zone_count: ZONES,
        zone_size_bytes: ZONE_BYTES,
        zone_capacity_bytes: ZONE_BYTES,
        conventional_zones: 2,
        zone_open_max: Some(128),
        zone_active_max: None,
        ..SimulatedGeometry::default()
    };
    let clock = VirtualClock::new();
    let pool = BufferPool::new(usize::try_from(window_bytes + POOL_SPARE_BYTES)?);
    let device = regenerating(geometry, pool.context("cannot take the engine's buffers")?)?;
    let mut bed = Bed::timed(device, &clock, &Options::default())?;
    bed.format(u64::from(ZONES) * 256)?;
    let template = Template::new(usize::try_from(block_bytes)?)?;
    let blocks = bytes / block_bytes;
    let share = (window_bytes / block_bytes / streams).max(1);
    let mut windows: Vec<Window<_>> = (0..streams).map(|_| Window::default()).collect();
    let before = bed.engine.stats();
    let (began_us, mut begun, mut ended) = (clock.now_us(), 0, 0);
    while ended < blocks {
        for window in &mut windows {
            while begun < blocks && (window.len() as u64) < share {
                let Some(ticket) = template.put(&mut bed.engine, begun) else { break };
                window.push(ticket);
                begun += 1;
            }
        }
        bed.engine.turn(Duration::from_millis(20))?;
        for window in &mut windows {
            ended += window.reap()? as u64;
            ensure!(window.refused == 0, "the engine refused a put as overloaded");
        }
    }
    let (stats, seconds) = (bed.engine.stats(), to_f64(clock.now_us() - began_us) / 1e6);
    let flushes = (stats.flushes - before.flushes).max(1);
    let stored = to_f64(blocks * block_bytes);
    Ok(Run {
        bytes_per_s: stored / seconds,
        bytes_per_flush: blocks * block_bytes / flushes,
        written_per_byte: to_f64(stats.device_written_bytes - before.device_written_bytes) / stored,
        scrubbed_per_byte: to_f64(stats.scrubbed_bytes - before.scrubbed_bytes) / stored,
    })
}

/// What the model writes by itself on the same tracks.
fn raw_bytes_per_s(bytes: u64, flush_every_bytes: Option<u64>) -> f64 {
    let workload = Workload {
        pattern: Pattern::Sequential,
        region: Region {
            start_bytes: 4 * ZONE_BYTES,
            zone_bytes: ZONE_BYTES,
            zone_count: u64::from(ZONES - 4),
        },
        block_bytes: 1 << 20,
        jobs: 1,
        depth: 4,
        write_percent: 100,
        reads_beyond_pointer: false,
        merges: true,
        resets: false,
        flush_every_bytes: Some(flush_every_bytes.unwrap_or(bytes)),
        job_bytes_max: bytes,
        seconds_max: 1e6,
        seed: 1,
    };
    let measured = workload.run(&disk());
    to_f64(measured.bytes) / measured.seconds
}

/// A count for a quotient.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "quotients are printed with five digits at most")]
pub fn to_f64(count: u64) -> f64 {
    count as f64
}
