//! Write amplification of a drive that is 80 % full, whose blocks are deleted and replaced again and again.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use imbrex_engine::{Class, Options, Stats};
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::{SimulatedGeometry, VirtualClock, regenerating};

use crate::bench::Sizes;
use crate::bench::row::{Kind, Limit, Row};
use crate::bench::simulated::bed::{Bed, Template, Window};
use crate::bench::simulated::ingest::to_f64;
use crate::step::Step;

/// The share of the drive that live records take.
const FILL: f64 = 0.80;
/// A block of 256 KiB in a zone of 16 MiB is what one of 4 MiB is in a zone of 256 MiB: some 60 to a zone. What the log
/// writes besides blocks weighs sixteen times as much here: larger ones take a bench too long.
const BLOCK_BYTES: usize = 256 << 10;
const ZONE_BYTES: u64 = 16 << 20;
/// The engine's buffers in bytes.
const POOL_BYTES: usize = 32 << 20;
/// Puts under way at once.
const WINDOW: usize = 16;
/// Turns without progress after which a run is given up.
const IDLE_TURNS_MAX: u32 = 100_000;

/// Which block dies next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deaths {
    /// Any, with the same chance.
    Uniform,
    /// One of the oldest tenth: blocks that came together go at about the same time.
    OldFirst,
}

/// Bytes written for each byte of new records, over a part of a run.
#[derive(Clone, Copy)]
struct Written {
    all: f64,
    /// Of which blocks moved out of zones that were reclaimed.
    moved: f64,
    checkpoints: f64,
}

impl Written {
    fn between(from: &Stats, to: &Stats, record_bytes: u64) -> Self {
        let new_bytes = to_f64((to.puts - from.puts) * record_bytes);
        let share = |of: fn(&Stats) -> u64| to_f64(of(to) - of(from)) / new_bytes;
        Self {
            all: share(|stats| stats.device_written_bytes),
            moved: share(|stats| stats.moved_bytes),
            checkpoints: share(|stats| stats.checkpoint_bytes),
        }
    }

    /// Tombstones, commits, headers and footers.
    fn marks(&self) -> f64 {
        self.all - 1.0 - self.moved - self.checkpoints
    }
}

/// What one run gave.
struct Run {
    /// While all that is live was replaced for the first time, and the last time.
    first_turnover: Written,
    steady: Written,
    fill: f64,
    moved_per_zone: f64,
    resets: u64,
}

/// The rows of both kinds of deletion.
///
/// # Errors
/// Where the engine fails.
pub fn rows(sizes: &Sizes, seed: u64) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (deaths, name, limit) in [
        (Deaths::Uniform, "uniformly random deletes", 1.8),
        (Deaths::OldFirst, "age-correlated deletes", 1.2),
    ] {
        let step = Step::begin(format!("Write amplification at 80 % full, {name}"));
        let run = run(deaths, sizes, seed)?;
        step.done(&format!("{:.2}", run.steady.all));
        let how = match deaths {
            Deaths::Uniform => "the block to delete is any with the same chance",
            Deaths::OldFirst => "the block to delete is one of the oldest tenth",
        };
        let conditions = format!(
            "{} zones of 16 MiB with 256 KiB blocks, as many to a zone as 4 MiB blocks in 256 MiB; live records take {:.3} of what \
             records can take; {how}, and a new one takes its place; no lifetimes are told; all bytes that the engine writes \
             over those of new records; steady: the last of {} turnovers of all that is live",
            sizes.churn_zones, run.fill, sizes.churn_turnovers
        );
        for (state, written) in [("steady state", run.steady), ("first full turnover", run.first_turnover)] {
            let row = Row::new(
                format!("write amplification, {name}, {state}"),
                Kind::Simulated,
                written.all,
                "ratio",
            );
            let row = row.target(Limit::AtMost(limit)).conditions(conditions.clone());
            rows.push(explained(row, deaths, &written, &run, sizes.churn_zones));
        }
    }
    Ok(rows)
}

/// The row with what the figure is made of, and where its target is missed, why.
fn explained(row: Row, deaths: Deaths, written: &Written, run: &Run, zone_count: u32) -> Row {
    let row = row
        .against("of which blocks moved", written.moved)
        .against("of which tombstones, commits, headers and footers", written.marks())
        .against("of which checkpoints", written.checkpoints)
        .against("zones reset in the whole run", to_f64(run.resets))
        .against("blocks moved out of each", run.moved_per_zone);
    let bound = uniform_bound(run.fill);
    let row = match deaths {
        Deaths::Uniform => row.against("bound of cleaning the oldest zone first", bound),
        Deaths::OldFirst => row,
    };
    if row.is_met() {
        return row;
    }
    let (moved, checkpoints, marks) = (written.moved, written.checkpoints, written.marks());
    row.note(match deaths {
        Deaths::Uniform => format!(
            "no log that is cleaned zone by zone can meet it in a steady state: where deaths are uniform, the zone cleaned next is live to u with \
             fill = (u - 1) / ln u, and each new byte costs 1 / (1 - u) = {bound:.2} written (Desnoyers, \"Analytic \
             Modeling of SSD Write Performance\", SYSTOR 2012); moved here are {moved:.2} where that has {:.2}, more where zones \
             are kept free to be written, less before the steady state; checkpoints ({checkpoints:.2}) and marks of {zone_count} zones this \
             small ({marks:.2}) come on top, and with 4 MiB in 256 MiB both are some sixteenth of that",
            bound - 1.0
        ),
        Deaths::OldFirst => format!(
            "moved are {moved:.2}; the rest are checkpoints ({checkpoints:.2}) and tombstones, commits and the like ({marks:.2}), which in {zone_count} \
             zones this small, with blocks of 256 KiB, are some sixteen times what they are with 4 MiB in 256 MiB"
        ),
    })
}

/// What cleaning in the order of age costs where deaths are uniform and `fill` of the log is live: 1 / (1 - u), where
/// fill = (u - 1) / ln u. By bisection.
fn uniform_bound(fill: f64) -> f64 {
    let (mut low, mut high) = (1e-6, 1.0 - 1e-9);
    for _ in 0..100 {
        let u = f64::midpoint(low, high);
        if (u - 1.0) / u.ln() < fill { low = u } else { high = u }
    }
    1.0 / (1.0 - f64::midpoint(low, high))
}

fn run(deaths: Deaths, sizes: &Sizes, seed: u64) -> Result<Run> {
    let geometry = SimulatedGeometry {
        zone_count: sizes.churn_zones,
        zone_size_bytes: ZONE_BYTES,
        zone_capacity_bytes: ZONE_BYTES,
        conventional_zones: 0,
        zone_open_max: Some(128),
        zone_active_max: None,
        ..SimulatedGeometry::default()
    };
    let clock = VirtualClock::new();
    let pool = BufferPool::new(POOL_BYTES).context("cannot take the engine's buffers")?;
    let options = Options { trash_rest: Duration::ZERO, ..Options::default() };
    let mut bed = Bed::over(Box::new(regenerating(geometry, pool)?), &clock, &options);
    let template = Template::new(BLOCK_BYTES)?;
    let capacity_bytes = u64::from(sizes.churn_zones) * ZONE_BYTES;
    bed.format(capacity_bytes / template.record_bytes())?;
    let capacity_bytes = bed.engine.status().free_bytes;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
    let blocks = (to_f64(capacity_bytes) * FILL / to_f64(template.record_bytes())) as u64;
    let mut churn = Churn { bed, template, live: Vec::new(), next: 0, random: seed };
    churn.put(blocks)?;
    let filled = churn.bed.engine.stats();
    let mut marks = vec![filled];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few turnovers")]
    let turnovers = sizes.churn_turnovers as u64;
    for _ in 0..turnovers {
        churn.replace(blocks, deaths)?;
        marks.push(churn.bed.engine.stats());
    }
    let record_bytes = churn.template.record_bytes();
    let [filled, first, .., before_last, last] = marks.as_slice() else { bail!("too few turnovers") };
    let end = churn.bed.engine.stats();
    Ok(Run {
        first_turnover: Written::between(filled, first, record_bytes),
        steady: Written::between(before_last, last, record_bytes),
        fill: to_f64(blocks * record_bytes) / to_f64(capacity_bytes),
        moved_per_zone: to_f64(end.moved_blocks) / to_f64(end.zones_reset.max(1)),
        resets: end.zones_reset,
    })
}

struct Churn {
    bed: Bed,
    template: Template,
    /// Numbers of the live blocks; the oldest first where that is how they die.
    live: Vec<u64>,
    next: u64,
    random: u64,
}

impl Churn {
    /// Puts `count` new blocks.
    fn put(&mut self, count: u64) -> Result<()> {
        let (mut begun, mut ended, mut idle) = (0, 0, 0);
        let mut window = Window::default();
        while ended < count {
            while begun < count && window.len() < WINDOW {
                let Some(ticket) = self.template.put(&mut self.bed.engine, self.next) else { break };
                window.push(ticket);
                self.live.push(self.next);
                self.next += 1;
                begun += 1;
            }
            let reaped = self.turn(&mut window)?;
            ended += reaped;
            idle = if reaped > 0 { 0 } else { idle + 1 };
            if idle > IDLE_TURNS_MAX {
                bail!(
                    "the engine stores nothing any more, {} blocks live: {:?}",
                    self.live.len(),
                    self.bed.engine.stats()
                );
            }
        }
        Ok(())
    }

    /// Deletes and puts `count` blocks, a few at a time.
    fn replace(&mut self, count: u64, deaths: Deaths) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let part = left.min(WINDOW as u64);
            let mut window = Window::default();
            for _ in 0..part {
                let number = self.victim(deaths);
                window.push(self.bed.engine.delete(super::bed::key(number), Class::Foreground));
            }
            let mut idle = 0;
            while !window.is_empty() {
                idle = if self.turn(&mut window)? > 0 { 0 } else { idle + 1 };
                if idle > IDLE_TURNS_MAX {
                    bail!("the engine deletes nothing any more: {:?}", self.bed.engine.stats());
                }
            }
            self.put(part)?;
            left -= part;
        }
        Ok(())
    }

    fn victim(&mut self, deaths: Deaths) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = self.random >> 33;
        match deaths {
            Deaths::Uniform => {
                let place = usize::try_from(random).unwrap_or(0) % self.live.len();
                self.live.swap_remove(place)
            }
            Deaths::OldFirst => {
                let place = usize::try_from(random).unwrap_or(0) % (self.live.len() / 10).max(1);
                self.live.remove(place)
            }
        }
    }

    /// One turn. A drive without a model takes no time, so that a little passes here: the rest of trash is over soon.
    fn turn<T>(&mut self, window: &mut Window<T>) -> Result<u64> {
        self.bed.clock.advance(Duration::from_micros(100));
        self.bed.engine.turn(Duration::ZERO)?;
        Ok(window.reap()? as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::uniform_bound;

    #[test]
    fn the_bound_of_uniform_deaths_solves_its_equation() {
        for fill in [0.5, 0.8, 0.9] {
            let u = 1.0 - 1.0 / uniform_bound(fill);
            assert!(((u - 1.0) / u.ln() - fill).abs() < 1e-9, "{fill}");
        }
        // Solved by another program.
        assert!((uniform_bound(0.8) - 2.692_730_8).abs() < 1e-6, "{}", uniform_bound(0.8));
    }
}
