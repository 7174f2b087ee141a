//! A load generator in virtual time, in the manner of fio: jobs with a queue each, over a region of zones.

use std::collections::HashMap;

use crate::simulated::disk::breakdown::Breakdown;
use crate::simulated::disk::command::Command;
use crate::simulated::disk::machine::Disk;
use crate::simulated::disk::parameters::{DiskParameters, as_float, as_whole};
use crate::simulated::disk::zone_queue::{Request, ZoneQueue};
use crate::simulated::random::Random;

/// The most jobs.
const JOBS_MAX: usize = 1024;
/// The most operations that a job keeps in flight.
const DEPTH_MAX: usize = 1024;

/// Where a job reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Each job its own equal part of the region, zone after zone.
    Sequential,
    /// Writes at the write pointers of random zones of the region; reads of random blocks of it.
    Random,
    /// Each job its own equal part of the region, of which it fills zones chosen at random, one after another.
    Streams,
    /// One write to each of so many zones in turn, again and again. The zones are `stride` zones apart. When they are
    /// full, the next so many follow.
    Turns {
        /// How many zones are written in turn.
        zones: u64,
        /// The distance from one to the next, in zones.
        stride: u64,
    },
}

/// A part of the drive, in whole zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first byte.
    pub start_bytes: u64,
    /// The size of a zone in bytes.
    pub zone_bytes: u64,
    /// The number of zones.
    pub zone_count: u64,
}

/// A workload. What is random in it follows from its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Where it reads and writes. In a mix of both, only the writes follow it: the reads are random.
    pub pattern: Pattern,
    /// The part of the drive that it is confined to.
    pub region: Region,
    /// The size of an operation in bytes.
    pub block_bytes: u64,
    /// The number of jobs.
    pub jobs: usize,
    /// How many operations each job keeps in flight.
    pub depth: usize,
    /// The share of writes among the operations, in percent.
    pub write_percent: u64,
    /// Whether the reads lie beyond the write pointers.
    pub reads_beyond_pointer: bool,
    /// Whether writes wait for their zone in the host's scheduler, which merges them. Without one, the load generator itself
    /// waits, and an operation begins once it has its zone.
    pub merges: bool,
    /// Whether a zone is reset before it is first written.
    pub resets: bool,
    /// A job flushes when it has written so many bytes; `None`: never.
    pub flush_every_bytes: Option<u64>,
    /// A job ends when it has done so many bytes.
    pub job_bytes_max: u64,
    /// No operation begins later than this, in seconds.
    pub seconds_max: f64,
    /// What random choices follow from.
    pub seed: u64,
}

/// What came of a workload, in simulated time.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Bytes read and written.
    pub bytes: u64,
    /// Reads and writes.
    pub operations: u64,
    /// From the beginning to the last end, in seconds.
    pub seconds: f64,
    /// What the arm did.
    pub breakdown: Breakdown,
    latencies_ns: Vec<u64>,
}

struct Operation {
    job: usize,
    begun_ns: u64,
    length_bytes: u64,
    is_flush: bool,
}

#[derive(Clone, Default)]
struct Job {
    in_flight: usize,
    issued_bytes: u64,
    unflushed_bytes: u64,
    zone: u64,
    within_bytes: u64,
    begun: bool,
}

struct Run<'a> {
    workload: &'a Workload,
    disk: Disk,
    random: Random,
    jobs: Vec<Job>,
    turn: u64,
    pointers: HashMap<u64, u64>,
    zone_queue: ZoneQueue,
    operations: HashMap<u64, Operation>,
    /// The operations of each command, and the zone that it holds.
    commands: HashMap<u64, (Vec<u64>, Option<u64>)>,
    number: u64,
    measured: Measured,
}

impl Workload {
    /// Says in one sentence what cannot be run of this workload.
    ///
    /// # Errors
    ///
    /// That sentence.
    pub fn check(&self) -> Result<(), String> {
        let Region { start_bytes, zone_bytes, zone_count } = self.region;
        if self.block_bytes == 0 || !self.block_bytes.is_multiple_of(4096) || self.block_bytes > zone_bytes {
            return Err(format!(
                "a block of {} bytes is no multiple of 4096 within a zone",
                self.block_bytes
            ));
        }
        if !(1..=JOBS_MAX).contains(&self.jobs) || !(1..=DEPTH_MAX).contains(&self.depth) {
            return Err(format!("there are 1 to {JOBS_MAX} jobs of depth 1 to {DEPTH_MAX}"));
        }
        let divided = matches!(self.pattern, Pattern::Sequential | Pattern::Streams);
        let parts = if divided { self.jobs as u64 } else { 1 };
        if zone_count < parts || !start_bytes.is_multiple_of(zone_bytes) {
            return Err(format!("{zone_count} zones are too few, or begin within a zone"));
        }
        if let Pattern::Turns { zones, stride } = self.pattern
            && (zones == 0 || stride == 0 || zones.saturating_mul(stride) > zone_count)
        {
            return Err(format!("{zones} zones, {stride} apart, do not fit into {zone_count}"));
        }
        if self.write_percent > 100 {
            return Err(format!("{} percent of writes are more than all", self.write_percent));
        }
        let endless = self.job_bytes_max == u64::MAX && !self.seconds_max.is_finite();
        if endless || self.seconds_max.is_nan() || self.seconds_max <= 0.0 {
            return Err("the workload has no end, or ends before it begins".to_owned());
        }
        Ok(())
    }

    /// Runs the workload on a disk at rest.
    ///
    /// # Panics
    ///
    /// Where [`Workload::check`] fails.
    #[must_use]
    pub fn run(&self, parameters: &DiskParameters) -> Measured {
        if let Err(sentence) = self.check() {
            panic!("the workload cannot be run: {sentence}");
        }
        let mut run = Run {
            workload: self,
            disk: Disk::new(parameters.clone()),
            random: Random::new(self.seed),
            jobs: vec![Job::default(); self.jobs],
            turn: 0,
            pointers: HashMap::new(),
            zone_queue: ZoneQueue::new(self.merges),
            operations: HashMap::new(),
            commands: HashMap::new(),
            number: 0,
            measured: Measured {
                bytes: 0,
                operations: 0,
                seconds: 0.0,
                breakdown: Breakdown::default(),
                latencies_ns: Vec::new(),
            },
        };
        run.work_off();
        run.measured
    }
}

impl Run<'_> {
    fn work_off(&mut self) {
        (0..self.jobs.len()).for_each(|job| self.fill(job));
        while let Some(next_ns) = self.disk.next_event_ns() {
            self.disk.advance(next_ns);
            let done: Vec<(u64, u64)> = self.disk.take_done().collect();
            for (command, _) in done {
                self.ended(command);
            }
        }
        self.measured.breakdown = self.disk.breakdown();
        self.measured.latencies_ns.sort_unstable();
    }

    fn ended(&mut self, command: u64) {
        let Some((operations, zone)) = self.commands.remove(&command) else { return };
        if let Some(zone) = zone
            && let Some(next) = self.zone_queue.ended(zone)
        {
            self.send(next, zone);
        }
        for number in operations {
            let Some(operation) = self.operations.remove(&number) else { continue };
            let now_ns = self.disk.now_ns();
            self.measured.seconds = as_float(now_ns) / 1.0e9;
            if !operation.is_flush {
                self.measured.bytes += operation.length_bytes;
                self.measured.operations += 1;
                self.measured.latencies_ns.push(now_ns - operation.begun_ns);
            }
            self.jobs[operation.job].in_flight -= 1;
            self.fill(operation.job);
        }
    }

    /// Lets a job issue what its depth allows.
    fn fill(&mut self, job: usize) {
        while self.jobs[job].in_flight < self.workload.depth
            && self.jobs[job].issued_bytes < self.workload.job_bytes_max
            && as_float(self.disk.now_ns()) < self.workload.seconds_max * 1.0e9
        {
            self.issue(job);
        }
    }

    fn issue(&mut self, job: usize) {
        let length_bytes = self.workload.block_bytes;
        self.jobs[job].in_flight += 1;
        let flush_due =
            self.workload.flush_every_bytes.is_some_and(|every| self.jobs[job].unflushed_bytes >= every);
        self.number += 1;
        let number = self.number;
        let begun_ns = self.disk.now_ns();
        self.operations.insert(number, Operation { job, begun_ns, length_bytes, is_flush: flush_due });
        if flush_due {
            self.jobs[job].unflushed_bytes = 0;
            self.command(vec![number], None, Command::Flush);
            return;
        }
        self.jobs[job].issued_bytes += length_bytes;
        if self.random.up_to(99) < self.workload.write_percent {
            self.jobs[job].unflushed_bytes += length_bytes;
            let (zone, within_bytes) = self.place_of_write(job);
            let offset_bytes = self.offset_bytes(zone, within_bytes);
            let request = Request { offset_bytes, length_bytes, operations: vec![number] };
            if let Some(request) = self.zone_queue.submit(zone, request) {
                self.send(request, zone);
            }
        } else {
            let offset_bytes = self.place_of_read(job);
            let stored_bytes = if self.workload.reads_beyond_pointer { 0 } else { length_bytes };
            self.command(vec![number], None, Command::Read { offset_bytes, length_bytes, stored_bytes });
        }
    }

    fn send(&mut self, request: Request, zone: u64) {
        let Request { offset_bytes, length_bytes, operations } = request;
        let now_ns = self.disk.now_ns();
        for number in operations.iter().filter(|_| !self.workload.merges) {
            self.operations.entry(*number).and_modify(|operation| operation.begun_ns = now_ns);
        }
        self.command(operations, Some(zone), Command::Write { offset_bytes, length_bytes });
    }

    fn command(&mut self, operations: Vec<u64>, zone: Option<u64>, command: Command) {
        self.number += 1;
        self.commands.insert(self.number, (operations, zone));
        self.disk.submit(self.number, command);
    }

    fn offset_bytes(&self, zone: u64, within_bytes: u64) -> u64 {
        self.workload.region.start_bytes + zone * self.workload.region.zone_bytes + within_bytes
    }

    /// The zones of a job's own part of the region: the first, and how many.
    fn part(&self, job: usize) -> (u64, u64) {
        let part = self.workload.region.zone_count / self.workload.jobs as u64;
        (job as u64 * part, part.max(1))
    }

    /// The zone and the place within it of a job's next write.
    fn place_of_write(&mut self, job: usize) -> (u64, u64) {
        let zone = match self.workload.pattern {
            Pattern::Sequential | Pattern::Streams => return self.next_in_stream(job),
            Pattern::Random => self.random.up_to(self.workload.region.zone_count - 1),
            Pattern::Turns { zones, stride } => {
                let rounds = self.workload.region.zone_bytes / self.workload.block_bytes;
                let (round, zone) = (self.turn / zones, self.turn % zones);
                let filled = round / rounds;
                self.turn += 1;
                (filled * zones + zone) * stride % self.workload.region.zone_count
            }
        };
        let pointer = self.pointers.entry(zone).or_insert(0);
        let full = *pointer + self.workload.block_bytes > self.workload.region.zone_bytes;
        let first_write = *pointer == 0;
        let within_bytes = if full { 0 } else { *pointer };
        *pointer = within_bytes + self.workload.block_bytes;
        if full || (first_write && self.workload.resets) {
            self.reset(zone);
        }
        (zone, within_bytes)
    }

    /// The next block of a job that goes through zones, one after another or in random order.
    fn next_in_stream(&mut self, job: usize) -> (u64, u64) {
        let (first, part) = self.part(job);
        let block_bytes = self.workload.block_bytes;
        let Job { zone, within_bytes, begun, .. } = self.jobs[job];
        if begun && within_bytes + block_bytes <= self.workload.region.zone_bytes {
            self.jobs[job].within_bytes += block_bytes;
            return (zone, within_bytes);
        }
        let next = match self.workload.pattern {
            Pattern::Streams => first + self.random.up_to(part - 1),
            _ if begun => first + (zone - first + 1) % part,
            _ => first,
        };
        self.jobs[job].zone = next;
        self.jobs[job].within_bytes = block_bytes;
        self.jobs[job].begun = true;
        if self.workload.resets {
            self.reset(next);
        }
        (next, 0)
    }

    fn place_of_read(&mut self, job: usize) -> u64 {
        let is_mix = self.workload.write_percent > 0;
        let (zone, within_bytes) = match self.workload.pattern {
            Pattern::Sequential | Pattern::Streams if !is_mix => self.next_in_stream(job),
            _ => {
                let blocks = self.workload.region.zone_bytes / self.workload.block_bytes;
                let zone = self.random.up_to(self.workload.region.zone_count - 1);
                (zone, self.random.up_to(blocks - 1) * self.workload.block_bytes)
            }
        };
        self.offset_bytes(zone, within_bytes)
    }

    fn reset(&mut self, zone: u64) {
        let start_bytes = self.offset_bytes(zone, 0);
        let dropped_bytes = (start_bytes, start_bytes + self.workload.region.zone_bytes);
        self.command(Vec::new(), None, Command::ZoneOrder { dropped_bytes });
    }
}

impl Measured {
    /// The rate in MiB per second.
    #[must_use]
    pub fn mebibytes_per_s(&self) -> f64 {
        as_float(self.bytes) / f64::from(1 << 20) / self.seconds
    }

    /// Operations per second.
    #[must_use]
    pub fn operations_per_s(&self) -> f64 {
        as_float(self.operations) / self.seconds
    }

    /// The latency that `percent` percent of the operations did not exceed, in milliseconds.
    #[must_use]
    pub fn latency_ms(&self, percent: f64) -> f64 {
        let last = self.latencies_ns.len().saturating_sub(1);
        let index = as_whole(as_float(last as u64) * percent / 100.0);
        let latency_ns = usize::try_from(index).ok().and_then(|index| self.latencies_ns.get(index));
        latency_ns.map_or(0.0, |&latency_ns| as_float(latency_ns) / 1.0e6)
    }
}
