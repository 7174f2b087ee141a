//! How long a full drive takes to mount: without a checkpoint, with one, and after a crash.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use imbrex_engine::Options;
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::{SimulatedDrive, VirtualClock};

use crate::bench::Sizes;
use crate::bench::row::{Kind, Limit, Row};
use crate::bench::simulated::bed::{Bed, Template, Window};
use crate::bench::simulated::forged::{BLOCK_BYTES, Contents, Forged, forge};
use crate::bench::simulated::ingest::to_f64;
use crate::step::Step;

/// The engine's buffers in bytes.
const POOL_BYTES: usize = 128 << 20;
/// What is written between the checkpoint and the crash, in bytes, at most: what the default of `checkpoint_bytes` lets
/// a mount after a crash find.
const TAIL_PART: f64 = 0.9;

/// What one mount took.
struct Mount {
    simulated_s: f64,
    real_s: f64,
}

/// Three rows: rebuilt from footers, clean, after a crash.
///
/// # Errors
/// Where the drive does not serve, or blocks are missing.
pub fn rows(sizes: &Sizes) -> Result<Vec<Row>> {
    let step = Step::begin("Laying down a full drive");
    let Forged { device, blocks, blocks_max, zones, written_zones } =
        forge(sizes.mounted_drive_bytes, Contents::Footers, POOL_BYTES)?;
    step.done(&format!("{blocks} blocks in {written_zones} of {zones} zones"));
    let drive = device.drive();
    drop(device);
    let step = Step::begin("Mounting it from footers, from a checkpoint, after a crash");
    let (bed, rebuilt) = mount(&drive, blocks)?;
    // An end in order leaves a checkpoint.
    bed.stop()?;
    let (bed, clean) = mount(&drive, blocks)?;
    let (written, crashed_bed) = write_tail(bed, sizes.mounted_tail_bytes)?;
    drop(crashed_bed);
    drive.crash(1)?;
    let (_bed, crashed) = mount(&drive, blocks + written / BLOCK_BYTES as u64)?;
    step.done("");
    let whole = format!(
        "{:.1} TB, {zones} zones of 256 MiB, {blocks} blocks of 4 MiB in {written_zones} of them, index for {blocks_max}; simulated \
         time of the disk, its report of zones included; the CPU's time is not in it",
        to_f64(sizes.mounted_drive_bytes) / 1e12
    );
    let row = |name: &str, mount: &Mount, limit: f64, how: &str| {
        Row::new(name, Kind::Simulated, mount.simulated_s, "s")
            .target(Limit::AtMost(limit))
            .conditions(format!("{whole}; {how}"))
            .against("seconds of this machine for the same mount, simulation included", mount.real_s)
    };
    let report_s = super::bed::disk().report_zone_us * f64::from(zones) / 1e6;
    Ok(vec![
        row("clean mount of a full drive", &clean, 3.0, "after an end in order, which leaves a checkpoint")
            .against("of which the drive's report of its zones, s", report_s),
        row(
            "mount of a full drive after a crash",
            &crashed,
            10.0,
            &format!("power cut after {:.1} GB more were stored since the checkpoint", to_f64(written) / 1e9),
        )
        .against("of which the drive's report of its zones, s", report_s),
        row(
            "rebuild of a lost index from zone footers alone",
            &rebuilt,
            1200.0,
            "no checkpoint was ever written: every zone's header and footer is read",
        ),
    ])
}

fn mount(drive: &SimulatedDrive, blocks: u64) -> Result<(Bed, Mount)> {
    let clock = VirtualClock::new();
    let device = drive.open(BufferPool::new(POOL_BYTES)?);
    let mut bed = Bed::timed(device, &clock, &Options::default())?;
    let (began_ns, began) = (clock.now_ns(), Instant::now());
    bed.engine.mount();
    let simulated_s = to_f64(clock.now_ns() - began_ns) / 1e9;
    let real_s = began.elapsed().as_secs_f64();
    bed.check_serving()?;
    let found = bed.engine.status().blocks;
    ensure!(found == blocks, "the mount found {found} blocks of {blocks}");
    Ok((bed, Mount { simulated_s, real_s }))
}

/// Stores blocks until about `bytes` are written. Returns the bytes stored, all of them acknowledged.
fn write_tail(mut bed: Bed, bytes: u64) -> Result<(u64, Bed)> {
    let template = Template::new(BLOCK_BYTES)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    let blocks = (to_f64(bytes) * TAIL_PART / to_f64(template.record_bytes())) as u64;
    let mut window = Window::default();
    let (mut begun, mut ended) = (0, 0);
    while ended < blocks {
        while begun < blocks && window.len() < 8 {
            let Some(ticket) = template.put(&mut bed.engine, (1 << 40) + begun) else { break };
            window.push(ticket);
            begun += 1;
        }
        bed.engine.turn(Duration::from_millis(20))?;
        ended += window.reap()? as u64;
        ensure!(window.refused == 0, "the engine refused a put as overloaded");
    }
    Ok((blocks * BLOCK_BYTES as u64, bed))
}
