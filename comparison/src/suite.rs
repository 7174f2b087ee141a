//! The phases that every contender goes through, and one line of JSON for each.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::contender::Contender;
use crate::meters::{Meters, Reading, drop_caches};
use crate::noise::Noise;
use crate::workload::{Action, Bound, CLIENTS_MAX, Client, Outcome, Work, deal};

/// How full a disk is when it counts as aged.
const AGED_FILL: f64 = 0.80;
/// How much of what is live is deleted and written anew to age a disk.
const CHURN: f64 = 0.5;
/// How long a fill or a churn lasts at most, in units of a phase's time.
const AGING_PHASES_MAX: u32 = 15;
/// How long compaction or reclaim may go on after a phase, in seconds.
const SETTLE_S_MAX: u64 = 8;

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) block_device: String,
    pub(crate) block_bytes: usize,
    pub(crate) seconds: f64,
    pub(crate) seed: u64,
    pub(crate) aged: bool,
}

/// One line of the result.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    contender: String,
    block_bytes: usize,
    state: &'static str,
    phase: &'static str,
    clients: u64,
    operations: usize,
    seconds: f64,
    operations_per_s: f64,
    mb_per_s: f64,
    p50_us: u32,
    p99_us: u32,
    /// Process CPU for each GB of blocks stored and read, what was settled afterwards included.
    cpu_s_per_gb: Option<f64>,
    /// Bytes that reached the block device for each byte stored, likewise.
    written_per_byte_stored: Option<f64>,
    /// Requests and bytes of the block device for each GET.
    device_reads_per_get: Option<f64>,
    read_per_byte_got: Option<f64>,
    memory_peak_bytes: u64,
    /// The share of the disk that live blocks take.
    fill: f64,
    used_per_live_byte: Option<f64>,
}

/// A phase.
struct Phase {
    name: &'static str,
    action: Action,
    clients: u64,
    bytes_max: f64,
    seconds_max: f64,
    durable: bool,
    reclaim: bool,
}

/// A run over one contender.
pub(crate) struct Suite<'a> {
    plan: &'a Plan,
    contender: &'a dyn Contender,
    meters: Meters,
    noise: Noise,
    clients: Vec<Client>,
    capacity_bytes: f64,
    used_at_first_bytes: u64,
}

impl<'a> Suite<'a> {
    /// A run over an empty contender.
    ///
    /// # Errors
    ///
    /// Where the file system does not answer.
    pub(crate) fn new(plan: &'a Plan, contender: &'a dyn Contender) -> Result<Self> {
        let (free_bytes, used_bytes) = space(&plan.folder)?;
        let clients = (0..CLIENTS_MAX).map(|index| Client::new(plan.seed, index)).collect();
        Ok(Self {
            plan,
            contender,
            meters: Meters::new(&plan.block_device),
            noise: Noise::new(plan.seed, plan.block_bytes),
            clients,
            capacity_bytes: to_f64(contender.capacity_bytes().unwrap_or(free_bytes)),
            used_at_first_bytes: used_bytes,
        })
    }

    /// Runs every phase and hands over each line as it comes.
    ///
    /// # Errors
    ///
    /// Where the contender refuses or fails; the lines until then stand.
    pub(crate) fn run(&mut self, mut tell: impl FnMut(&Line) -> Result<()>) -> Result<()> {
        let seconds = self.plan.seconds;
        // The fresh phases together fill a quarter of the disk at most.
        let part = self.capacity_bytes * 0.10;
        let phase = |name, action, clients, bytes_max| Phase {
            name,
            action,
            clients,
            bytes_max,
            seconds_max: seconds,
            durable: true,
            reclaim: false,
        };
        let measured = |state_part: f64| {
            [
                phase("get", Action::Get, 1, f64::MAX),
                phase("get", Action::Get, 8, f64::MAX),
                phase("mixed", Action::Mixed, 8, state_part),
            ]
        };
        let mut fresh = vec![phase("ingest", Action::Put, 1, part), phase("ingest", Action::Put, 8, part)];
        fresh.extend(measured(part));
        for phase in &fresh {
            tell(&self.phase("fresh", phase)?)?;
        }
        self.delete("fresh", &mut tell)?;
        if !self.plan.aged {
            return Ok(());
        }
        self.age(&mut tell)?;
        let mut aged =
            vec![phase("replace", Action::Replace, 1, part), phase("replace", Action::Replace, 8, part)];
        aged.extend(measured(part));
        for phase in &aged {
            tell(&self.phase("aged", phase)?)?;
        }
        self.delete("aged", &mut tell)
    }

    /// Deletes half of what is there, then lets the contender take the room back.
    fn delete(&mut self, state: &'static str, tell: &mut impl FnMut(&Line) -> Result<()>) -> Result<()> {
        let phase = Phase {
            name: "delete",
            action: Action::Delete,
            clients: 8,
            bytes_max: self.live_bytes() / 2.0,
            seconds_max: self.plan.seconds,
            durable: true,
            reclaim: true,
        };
        let line = self.phase(state, &phase)?;
        tell(&line)
    }

    /// Fills the disk, then deletes and rewrites at random. Not durable block by block, where the contender knows
    /// that, since only the state that it leaves counts.
    fn age(&mut self, tell: &mut impl FnMut(&Line) -> Result<()>) -> Result<()> {
        let wanted = self.capacity_bytes * AGED_FILL;
        let phase = |name, action, bytes_max| Phase {
            name,
            action,
            // Many, so that whoever waits for the medium at each put comes as far as the others.
            clients: CLIENTS_MAX,
            bytes_max,
            seconds_max: self.plan.seconds * f64::from(AGING_PHASES_MAX),
            durable: false,
            reclaim: false,
        };
        let fill = phase("fill", Action::Put, wanted - self.live_bytes());
        let churn = phase("churn", Action::Replace, wanted * CHURN);
        for phase in [fill, churn] {
            tell(&self.phase("aging", &phase)?)?;
        }
        Ok(())
    }

    fn phase(&mut self, state: &'static str, phase: &Phase) -> Result<Line> {
        if matches!(phase.action, Action::Get | Action::Mixed) {
            drop_caches()?;
        }
        let what = || format!("{state} {} with {} clients", phase.name, phase.clients);
        Meters::reset_memory_peak()?;
        let before = self.meters.read()?;
        let work = Work {
            contender: self.contender,
            noise: &self.noise,
            block_bytes: self.plan.block_bytes,
            durable: phase.durable,
        };
        let bound = Bound {
            operations_max: operations(phase.bytes_max, self.plan.block_bytes),
            time_max: Duration::from_secs_f64(phase.seconds_max),
        };
        let clients = usize::try_from(phase.clients)?;
        deal(&mut self.clients, clients);
        let outcome = work.run(&mut self.clients[..clients], phase.action, bound);
        let outcome = outcome.with_context(|| format!("{}, {:.2} full", what(), self.fill()))?;
        if outcome.puts + outcome.deletes > 0 {
            let began = Instant::now();
            if phase.reclaim {
                self.contender.reclaim(SETTLE_S_MAX).with_context(what)?;
            } else {
                self.contender.settle(SETTLE_S_MAX).with_context(what)?;
            }
            // Those that only the kernel still has to write.
            nix::unistd::sync();
            eprintln!("  {}: settled in {:.1} s", what(), began.elapsed().as_secs_f64());
        }
        let after = self.meters.read()?;
        self.line(state, phase, outcome, before, after)
    }

    fn line(
        &self,
        state: &'static str,
        phase: &Phase,
        mut outcome: Outcome,
        before: Reading,
        after: Reading,
    ) -> Result<Line> {
        let block = to_f64(self.plan.block_bytes as u64);
        let stored = to_f64(outcome.puts) * block;
        let got = to_f64(outcome.gets) * block;
        let seconds = outcome.took.as_secs_f64().max(1e-9);
        let operations = outcome.latencies.len();
        let per = |value: f64, of: f64| (of > 0.0).then(|| value / of);
        let (_, used_bytes) = space(&self.plan.folder)?;
        let used = self.contender.used_bytes().unwrap_or(used_bytes.saturating_sub(self.used_at_first_bytes));
        let pure_gets = outcome.puts == 0;
        let gets = if pure_gets { to_f64(outcome.gets) } else { 0.0 };
        let read = |of: f64| per(to_f64(after.device_read_bytes - before.device_read_bytes), of);
        Ok(Line {
            contender: self.plan.name.clone(),
            block_bytes: self.plan.block_bytes,
            state,
            phase: phase.name,
            clients: phase.clients,
            operations,
            seconds,
            operations_per_s: to_f64(operations as u64) / seconds,
            mb_per_s: to_f64(operations as u64) * block / seconds / 1e6,
            p50_us: outcome.latencies.quantile_us(500),
            p99_us: outcome.latencies.quantile_us(990),
            cpu_s_per_gb: per((after.cpu_s - before.cpu_s) * 1e9, stored + got),
            written_per_byte_stored: per(
                to_f64(after.device_written_bytes - before.device_written_bytes),
                stored,
            ),
            device_reads_per_get: per(to_f64(after.device_reads - before.device_reads), gets),
            read_per_byte_got: read(gets * block),
            memory_peak_bytes: Meters::memory_peak_bytes()?,
            fill: self.fill(),
            used_per_live_byte: per(to_f64(used), self.live_bytes()),
        })
    }

    fn fill(&self) -> f64 {
        self.live_bytes() / self.capacity_bytes
    }

    fn live_bytes(&self) -> f64 {
        let blocks: usize = self.clients.iter().map(|client| client.live.len()).sum();
        to_f64(blocks as u64) * to_f64(self.plan.block_bytes as u64)
    }
}

/// Free and used bytes of the file system of `folder`.
fn space(folder: &Path) -> Result<(u64, u64)> {
    let status = nix::sys::statvfs::statvfs(folder)
        .with_context(|| format!("cannot ask for the free space of {}", folder.display()))?;
    let unit = status.fragment_size();
    let used = status.blocks().saturating_sub(status.blocks_free());
    Ok((status.blocks_available() * unit, used * unit))
}

fn operations(bytes_max: f64, block_bytes: usize) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates, and below 0 nothing is wanted"
    )]
    let count = (bytes_max / to_f64(block_bytes as u64)) as u64;
    count
}

/// A count for a quotient.
#[expect(clippy::cast_precision_loss, reason = "quotients are printed with four digits at most")]
pub(crate) fn to_f64(count: u64) -> f64 {
    count as f64
}
