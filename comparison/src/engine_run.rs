//! Imbrex's engine alone over a drive file: how fast streams of puts are, what reads cost.
//!
//! A stream is one sender that keeps a window of blocks under way, as a client over HTTP does with a few connections;
//! each put is acknowledged when it is durable.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use imbrex_engine::{Class, EngineError, Handle, RangeRequest, Stats};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::drive_file::{Backend, Shape};
use crate::imbrex::{self, Imbrex, block_on, put_request};
use crate::latency::Latencies;
use crate::meters::{Meters, drop_caches};
use crate::noise::Noise;
use crate::suite::to_f64;

/// A zone in bytes, as disks have it: at its end there is no room for another large block, and that is written too.
const ZONE_BYTES: u64 = 256 << 20;

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) file: PathBuf,
    pub(crate) size_bytes: u64,
    pub(crate) backend: Backend,
    pub(crate) block_bytes: usize,
    pub(crate) streams: u64,
    /// Bytes that all streams together have under way.
    pub(crate) window_bytes: u64,
    pub(crate) ingest_bytes: u64,
    pub(crate) gets: u64,
    pub(crate) seed: u64,
}

/// What puts or gets cost.
#[derive(Clone, Debug, Serialize)]
struct Cost {
    operations: u64,
    seconds: f64,
    mb_per_s: f64,
    p50_us: u32,
    p99_us: u32,
    /// CPU of the whole process: the engine's thread, checksums and copies of the senders, the kernel's part.
    cpu_s_per_gb: f64,
    /// The kernel's part of it.
    system_cpu_s_per_gb: f64,
    device_reads: u64,
    flushes: u64,
    device_written_bytes: u64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
struct Report {
    backend: &'static str,
    block_bytes: usize,
    streams: u64,
    window_bytes: u64,
    ingest: Cost,
    get_present: Option<Cost>,
    get_absent: Option<Cost>,
    copy_and_checksum_s_per_gb: f64,
    index_false_matches: u64,
    memory_budget_bytes: u64,
    memory_peak_bytes: u64,
}

/// Runs the plan and prints one line of JSON.
///
/// # Errors
///
/// Where the engine refuses or fails, or gives back other bytes.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let blocks = (plan.ingest_bytes / plan.block_bytes as u64).max(plan.streams);
    let shape = Shape {
        size_bytes: plan.size_bytes,
        zone_bytes: ZONE_BYTES,
        // The window is gathered while the group before it is written: room for both.
        pool_bytes: usize::try_from(plan.window_bytes * 2)?,
        blocks_max: blocks * 2,
    };
    let engine = imbrex::create(&plan.file, plan.backend, &shape)?;
    let noise = Noise::new(plan.seed, plan.block_bytes);
    let ingest = metered(&engine, plan.block_bytes, || ingest(plan, engine.handle(), &noise, blocks))?;
    let (mut present, mut absent) = (None, None);
    if plan.gets > 0 {
        drop_caches()?;
        present =
            Some(metered(&engine, plan.block_bytes, || gets(plan, engine.handle(), &noise, blocks, true))?);
        absent =
            Some(metered(&engine, plan.block_bytes, || gets(plan, engine.handle(), &noise, blocks, false))?);
    }
    let report = Report {
        backend: plan.backend.name(),
        block_bytes: plan.block_bytes,
        streams: plan.streams,
        window_bytes: plan.window_bytes,
        ingest,
        get_present: present,
        get_absent: absent,
        copy_and_checksum_s_per_gb: copy_and_checksum_s_per_gb(&noise, plan.block_bytes)?,
        index_false_matches: engine.stats().index_false_matches,
        memory_budget_bytes: engine.handle().status().memory_bytes,
        memory_peak_bytes: Meters::memory_peak_bytes()?,
    };
    engine.stop();
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn metered(engine: &Imbrex, block_bytes: usize, work: impl FnOnce() -> Result<Latencies>) -> Result<Cost> {
    let before: Stats = engine.stats();
    let ((user, system), began) = (cpu_s()?, Instant::now());
    let mut latencies = work()?;
    let (user_after, system_after) = cpu_s()?;
    let (user, system, seconds) = (user_after - user, system_after - system, began.elapsed().as_secs_f64());
    let after = engine.stats();
    let bytes = to_f64(latencies.len() as u64) * to_f64(block_bytes as u64);
    Ok(Cost {
        operations: latencies.len() as u64,
        seconds,
        mb_per_s: bytes / seconds / 1e6,
        p50_us: latencies.quantile_us(500),
        p99_us: latencies.quantile_us(990),
        cpu_s_per_gb: (user + system) * 1e9 / bytes,
        system_cpu_s_per_gb: system * 1e9 / bytes,
        device_reads: after.device_reads - before.device_reads,
        flushes: after.flushes - before.flushes,
        device_written_bytes: after.device_written_bytes - before.device_written_bytes,
    })
}

/// CPU time of this process in seconds: its own, and the kernel's for it.
fn cpu_s() -> Result<(f64, f64)> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).context("cannot read this process's CPU time")?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
    let seconds = |time: nix::sys::time::TimeVal| time.num_microseconds() as f64 / 1e6;
    Ok((seconds(usage.user_time()), seconds(usage.system_time())))
}

/// CPU seconds for a GB that is copied into a record and checksummed, and nothing else.
fn copy_and_checksum_s_per_gb(noise: &Noise, block_bytes: usize) -> Result<f64> {
    let mut record = vec![0; imbrex_format::record_units(block_bytes) as usize * imbrex_format::UNIT_BYTES];
    let count = (1_usize << 30) / block_bytes;
    let (user, system) = cpu_s()?;
    for number in 0..count as u64 {
        let mut writer = imbrex_format::PayloadWriter::new(block_bytes);
        writer.write(&mut record, noise.payload(number, block_bytes))?;
        writer.finish(&mut record)?;
    }
    let (user_after, system_after) = cpu_s()?;
    Ok((user_after - user + system_after - system) * 1e9 / to_f64((count * block_bytes) as u64))
}

fn ingest(plan: &Plan, handle: &Handle, noise: &Noise, blocks: u64) -> Result<Latencies> {
    let window = (plan.window_bytes / plan.block_bytes as u64 / plan.streams).max(1);
    let (share, more) = (blocks / plan.streams, blocks % plan.streams);
    let mut total = Latencies::default();
    let outcomes: Vec<Result<Latencies>> = std::thread::scope(|scope| {
        let mut first = 0;
        let running: Vec<_> = (0..plan.streams)
            .map(|stream| {
                let numbers = first..first + share + u64::from(stream < more);
                first = numbers.end;
                scope.spawn(move || stream_of(handle, noise, plan.block_bytes, numbers, window))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a stream panicked")))
            .collect()
    });
    for outcome in outcomes {
        total.extend(outcome?);
    }
    Ok(total)
}

/// Puts blocks in order with `window` of them under way.
fn stream_of(
    handle: &Handle,
    noise: &Noise,
    block_bytes: usize,
    numbers: std::ops::Range<u64>,
    window: u64,
) -> Result<Latencies> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("cannot start a runtime")?;
    let mut latencies = Latencies::default();
    runtime.block_on(async {
        let mut under_way: JoinSet<(Duration, Result<(), EngineError>)> = JoinSet::new();
        for number in numbers {
            if under_way.len() as u64 >= window {
                note(&mut under_way, &mut latencies).await?;
            }
            let began = Instant::now();
            let request = loop {
                match put_request(handle, &noise.key(number), noise.payload(number, block_bytes))? {
                    Some(request) => break request,
                    None => note(&mut under_way, &mut latencies).await?,
                }
            };
            let handle = handle.clone();
            under_way.spawn(async move {
                let outcome = handle.put(request).await.map(|_| ());
                (began.elapsed(), outcome)
            });
            // Lets the request reach the engine before the next payload is made.
            tokio::task::yield_now().await;
        }
        while !under_way.is_empty() {
            note(&mut under_way, &mut latencies).await?;
        }
        Ok(latencies)
    })
}

/// Waits for one of the puts under way.
async fn note(
    under_way: &mut JoinSet<(Duration, Result<(), EngineError>)>,
    latencies: &mut Latencies,
) -> Result<()> {
    let Some(ended) = under_way.join_next().await else { bail!("the engine's buffers hold no block") };
    let (took, outcome) = ended.context("a put was given up")?;
    outcome?;
    latencies.note(took);
    Ok(())
}

/// Gets blocks at random, `streams` at a time: of those that were put, or of those that never were.
fn gets(plan: &Plan, handle: &Handle, noise: &Noise, blocks: u64, present: bool) -> Result<Latencies> {
    let share = (plan.gets / plan.streams).max(1);
    let outcomes: Vec<Result<Latencies>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..plan.streams)
            .map(|stream| {
                scope.spawn(move || {
                    let mut random =
                        crate::random::Random::new(plan.seed ^ stream ^ u64::from(present) << 32);
                    let mut latencies = Latencies::default();
                    for _ in 0..share {
                        let number = random.below(blocks) + if present { 0 } else { blocks };
                        let key = imbrex_format::Key(noise.key(number));
                        let began = Instant::now();
                        match block_on(handle.get(key, RangeRequest::Whole, Class::Foreground)) {
                            Ok(block) => ensure!(
                                present && block.as_ref().len() == plan.block_bytes,
                                "block {number} came back wrong"
                            ),
                            Err(EngineError::NotFound) if !present => {}
                            Err(error) => return Err(error.into()),
                        }
                        latencies.note(began.elapsed());
                    }
                    Ok(latencies)
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a reader panicked")))
            .collect()
    });
    let mut total = Latencies::default();
    for outcome in outcomes {
        total.extend(outcome?);
    }
    Ok(total)
}
