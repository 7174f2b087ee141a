//! How much a scrub slows reads down.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use imbrex_engine::manual::Ticket;
use imbrex_engine::{Block, Class, Options, RangeRequest};
use imbrex_zoned::simulated::VirtualClock;

use crate::bench::Sizes;
use crate::bench::row::{Kind, Limit, Row};
use crate::bench::simulated::bed::{Bed, key};
use crate::bench::simulated::forged::{BLOCK_BYTES, Contents, forge};
use crate::bench::simulated::ingest::to_f64;
use crate::step::Step;

/// The engine's buffers in bytes.
const POOL_BYTES: usize = 256 << 20;
/// One zone of so many holds blocks: they lie all over the drive, and the drive fits into memory.
const WRITTEN_ZONES_PART: u32 = 32;
/// GETs a second, on the average: about a third of what the disk can do at random with blocks of 4 MiB.
const GETS_PER_S: f64 = 10.0;

/// What goes on beside the reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// A scrub of everything, which was ordered.
    OrderedScrub,
    /// A scrub that has fallen due by itself, at the speed that its period asks for on a full drive.
    OwnScrub,
}

impl Beside {
    /// The scrub's period. Of a drive of which a part is written, that part of a full drive's: so it reads as fast as there.
    fn scrub_period(self) -> Duration {
        match self {
            Self::OwnScrub => Options::default().scrub_period / WRITTEN_ZONES_PART,
            // Nothing is due by itself: what is scrubbed is what was ordered.
            Self::Nothing | Self::OrderedScrub => Duration::from_secs(1 << 40),
        }
    }

    fn described(self) -> &'static str {
        match self {
            Self::Nothing => "nothing beside them",
            Self::OrderedScrub => "a scrub of everything was ordered, and takes what the reads leave",
            Self::OwnScrub => {
                "every zone has fallen due for the scrub, which reads them at the speed of a full drive and a period of 30 days"
            }
        }
    }
}

/// How many times the reads are drawn anew: the hundredth part of one run's is too few to tell a few per cent by.
const DRAWS: u64 = 5;

/// The reads of one draw.
struct Run {
    /// In microseconds, sorted.
    latencies_us: Vec<u64>,
    scrubbed_mb_per_s: f64,
}

impl Run {
    /// A quantile in milliseconds, of 1 to 100 per cent.
    fn quantile_ms(&self, per_cent: usize) -> f64 {
        let rank = (self.latencies_us.len() * per_cent).div_ceil(100).max(1) - 1;
        self.latencies_us.get(rank).map_or(f64::NAN, |us| to_f64(*us) / 1e3)
    }

    /// All reads of all draws as one.
    fn pooled(runs: &[Self]) -> Self {
        let mut latencies_us: Vec<u64> =
            runs.iter().flat_map(|run| run.latencies_us.iter().copied()).collect();
        latencies_us.sort_unstable();
        let scrubbed: f64 = runs.iter().map(|run| run.scrubbed_mb_per_s).sum();
        Self { latencies_us, scrubbed_mb_per_s: scrubbed / to_f64(DRAWS) }
    }
}

/// By how many per cent the p99 is above that without.
fn rise(run: &Run, alone: &Run) -> f64 {
    (run.quantile_ms(99) / alone.quantile_ms(99) - 1.0) * 100.0
}

/// Two rows: while a whole pass was ordered, and while what is due is scrubbed.
///
/// # Errors
/// Where the engine fails.
pub fn rows(sizes: &Sizes, seed: u64) -> Result<Vec<Row>> {
    let mut runs = Vec::new();
    for beside in [Beside::Nothing, Beside::OrderedScrub, Beside::OwnScrub] {
        let step = Step::begin(format!(
            "GETs beside {beside:?}, {DRAWS} times {} simulated seconds",
            sizes.simulated_load_s
        ));
        let draws: Vec<Run> =
            (0..DRAWS).map(|draw| run(beside, sizes, seed.wrapping_add(draw))).collect::<Result<_>>()?;
        let pooled = Run::pooled(&draws);
        step.done(&format!(
            "p99 {:.1} ms, scrub {:.1} MB/s",
            pooled.quantile_ms(99),
            pooled.scrubbed_mb_per_s
        ));
        runs.push((pooled, draws));
    }
    let [alone, ordered, own] = runs.as_slice() else { bail!("not every load ran") };
    Ok(vec![
        row(
            "GET p99 beside a scrub that was ordered, against without",
            Beside::OrderedScrub,
            sizes,
            ordered,
            alone,
        ),
        row("GET p99 beside a scrub that fell due, against without", Beside::OwnScrub, sizes, own, alone),
    ])
}

fn row(
    name: &str,
    beside: Beside,
    sizes: &Sizes,
    (run, draws): &(Run, Vec<Run>),
    (alone, alone_draws): &(Run, Vec<Run>),
) -> Row {
    let rises = || draws.iter().zip(alone_draws).map(|(run, alone)| rise(run, alone));
    let row = Row::new(name, Kind::Simulated, rise(run, alone), "% more")
        .target(Limit::AtMost(3.0))
        .spread(rises().fold(f64::INFINITY, f64::min), rises().fold(f64::NEG_INFINITY, f64::max))
        .conditions(format!(
            "{} GETs of 4 MiB blocks, drawn in {DRAWS} runs of {} s, at {GETS_PER_S} a second on the average, exponential gaps, the \
             same with and without the scrub, from all over a 20 TB disk of the model, of which 1 zone in {WRITTEN_ZONES_PART} is \
             full; the spread is that of the single runs; {}",
            run.latencies_us.len(), sizes.simulated_load_s, beside.described()
        ))
        .against("p99 ms", run.quantile_ms(99))
        .against("p99 ms without", alone.quantile_ms(99))
        .against("p50 ms", run.quantile_ms(50))
        .against("p50 ms without", alone.quantile_ms(50))
        .against("scrub MB/s", run.scrubbed_mb_per_s);
    if row.is_met() {
        return row;
    }
    row.note(
        "a GET that comes while a part of the scrub is on the arm waits for the end of that read; what a part takes, times how \
         often the arm is at one, is the rise",
    )
}

fn run(beside: Beside, sizes: &Sizes, seed: u64) -> Result<Run> {
    let forged = forge(sizes.mounted_drive_bytes, Contents::RecordsInOneOf(WRITTEN_ZONES_PART), POOL_BYTES)?;
    let clock = VirtualClock::new();
    let scrub_period = beside.scrub_period();
    let mut bed = Bed::timed(forged.device, &clock, &Options { scrub_period, ..Options::default() })?;
    bed.engine.mount();
    bed.check_serving()?;
    ensure!(bed.engine.status().blocks == forged.blocks, "not every block was found");
    let _ticket = (beside == Beside::OrderedScrub).then(|| bed.engine.scrub(true));
    let before = bed.engine.stats();
    let began_us = clock.now_us();
    let mut latencies_us = load(&mut bed, sizes, seed, forged.blocks)?;
    let seconds = to_f64(clock.now_us() - began_us) / 1e6;
    let scrubbed_bytes = bed.engine.stats().scrubbed_bytes - before.scrubbed_bytes;
    latencies_us.sort_unstable();
    Ok(Run { latencies_us, scrubbed_mb_per_s: to_f64(scrubbed_bytes) / seconds / 1e6 })
}

/// Asks for blocks at times that do not depend on the answers; gives each answer's latency.
fn load(bed: &mut Bed, sizes: &Sizes, seed: u64, blocks: u64) -> Result<Vec<u64>> {
    let mut random = Arrivals(seed);
    let began_us = bed.clock.now_us();
    let end_us = began_us + sizes.simulated_load_s * 1_000_000;
    let mut next_us = began_us + random.gap_us();
    let mut under_way: VecDeque<(u64, Ticket<Block>)> = VecDeque::new();
    let mut latencies_us = Vec::new();
    while next_us < end_us || !under_way.is_empty() {
        let now_us = bed.clock.now_us();
        while next_us <= now_us && next_us < end_us {
            let number = random.next() % blocks;
            under_way
                .push_back((next_us, bed.engine.get(key(number), RangeRequest::Whole, Class::Foreground)));
            next_us += random.gap_us();
        }
        let until_next_us = next_us.saturating_sub(now_us).clamp(1, 100_000);
        bed.engine.turn(Duration::from_micros(until_next_us))?;
        let now_us = bed.clock.now_us();
        let mut failure = None;
        under_way.retain_mut(|(asked_us, ticket)| match ticket.try_take() {
            None => true,
            Some(Ok(block)) => {
                if block.as_ref().len() != BLOCK_BYTES {
                    failure = Some("a block came back with another length".to_owned());
                }
                latencies_us.push(now_us - *asked_us);
                false
            }
            Some(Err(error)) => {
                failure = Some(error.to_string());
                false
            }
        });
        if let Some(failure) = failure {
            bail!("a GET failed: {failure}");
        }
    }
    Ok(latencies_us)
}

/// Exponential gaps and places, from a seed (`splitmix64`).
struct Arrivals(u64);

impl Arrivals {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn gap_us(&mut self) -> u64 {
        let share = (to_f64(self.next() >> 11) + 1.0) / 9_007_199_254_740_992.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some tenths of a second"
        )]
        let us = (-share.ln() / GETS_PER_S * 1e6) as u64;
        us.max(1)
    }
}
