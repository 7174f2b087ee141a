//! The engine over a drive file, in turn with fio on a file beside it: ingest, reads for a GET, CPU.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::Sizes;
use crate::bench::compare_program::{CompareProgram, arguments};
use crate::bench::disk_rate::{HARD_DISK_BYTES_PER_S, Place};
use crate::bench::fio::{self, Job, Pattern};
use crate::bench::row::{Kind, Limit, Row};
use crate::bench::sample::Sample;
use crate::step::Step;

/// How long one run may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);
/// Puts under way of all streams together, in bytes: what a window of a few blocks for each client comes to.
const WINDOW_BYTES: u64 = 64 << 20;
/// What the drive file holds beyond what is written to it, in bytes: a dozen zones.
const DRIVE_SPARE_BYTES: u64 = 3 << 30;
/// Targets of ingest by the number of streams: DESIGN.md, section 3.
const INGEST_TARGETS: [(u64, f64); 2] = [(1, 0.97), (8, 0.90)];
/// The block sizes of the targets, in bytes.
const BLOCK_BYTES: [u64; 2] = [1 << 20, 4 << 20];

/// Where and how the runs take place.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The program.
    pub program: &'a CompareProgram,
    /// The folder on the disk under test.
    pub directory: &'a Path,
    /// How much.
    pub sizes: &'a Sizes,
    /// The seed of all.
    pub seed: u64,
    /// How the engine reaches its drive file.
    pub backend: &'static str,
}

/// What a GB costs: one side of the runs.
#[derive(Default)]
struct Cpu {
    whole: Sample,
    kernel: Sample,
    copy_and_checksum: Sample,
}

impl Cpu {
    fn note(&mut self, run: &Value, side: &str) {
        self.whole.note(number(&run[side]["cpu_s_per_gb"]));
        self.kernel.note(number(&run[side]["system_cpu_s_per_gb"]));
        self.copy_and_checksum.note(number(&run["copy_and_checksum_s_per_gb"]));
    }
}

/// A figure of a run; not a number where it has none.
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// One run of the engine.
struct EngineRun {
    mb_per_s: f64,
    value: Value,
}

/// The rates of one block size: fio and the engine in turn.
#[derive(Default)]
struct Rates {
    raw: Sample,
    same_cadence: Sample,
    engine: [Sample; 2],
    ratio: [Sample; 2],
    p99_ms: [Sample; 2],
    cpu_s_per_gb: Sample,
}

impl Ground<'_> {
    /// Ingest against raw bandwidth, at a hard disk's rate and on the disk as it is; and what a GB written costs in CPU.
    ///
    /// # Errors
    /// Where a program fails.
    pub fn ingest(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        match Place::at_rate(self.directory, HARD_DISK_BYTES_PER_S) {
            Ok(place) => {
                let condition = format!(
                    "the disk held to {} MB/s by a control group, the rate of a hard disk",
                    HARD_DISK_BYTES_PER_S / 1_000_000
                );
                rows.extend(self.ingest_in(&place, self.sizes.ingest_bytes_at_hard_disk_rate, &condition)?);
            }
            Err(error) => {
                let row = Row::without_figure(
                    "ingest / raw at a hard disk's rate",
                    Kind::Measured,
                    "ratio",
                    &format!("{error:#}"),
                );
                rows.push(row.target(Limit::AtLeast(INGEST_TARGETS[0].1)));
            }
        }
        rows.extend(self.ingest_in(
            &Place::unlimited(),
            self.sizes.ingest_bytes,
            "this machine's disk as it is",
        )?);
        Ok(rows)
    }

    fn ingest_in(&self, place: &Place, bytes: u64, condition: &str) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for block_bytes in BLOCK_BYTES {
            let step = Step::begin(format!("Ingest of {} MiB blocks, {condition}", block_bytes >> 20));
            let mut rates = Rates::default();
            for _ in 0..self.sizes.repetitions {
                self.ingest_once(place, bytes, block_bytes, &mut rates)?;
            }
            step.done(&format!("raw {:.0} MB/s", rates.raw.median()));
            for (place, (streams, target)) in INGEST_TARGETS.into_iter().enumerate() {
                rows.push(self.ingest_row(&rates, place, streams, target, block_bytes, bytes, condition));
            }
        }
        Ok(rows)
    }

    /// fio, then the engine with each number of streams, then fio with the engine's cadence of flushes.
    fn ingest_once(&self, place: &Place, bytes: u64, block_bytes: u64, rates: &mut Rates) -> Result<()> {
        let raw = self.fio_write(place, bytes, block_bytes, 0)?;
        rates.raw.note(raw);
        let mut blocks_per_flush = 1;
        for (number, (streams, _)) in INGEST_TARGETS.into_iter().enumerate() {
            let run = self.engine(place, block_bytes, streams, bytes, 0)?;
            let ingest = &run.value["ingest"];
            rates.engine[number].note(run.mb_per_s);
            rates.ratio[number].note(run.mb_per_s / raw);
            rates.p99_ms[number].note(ingest["p99_us"].as_f64().unwrap_or(f64::NAN) / 1e3);
            rates.cpu_s_per_gb.note(ingest["cpu_s_per_gb"].as_f64().unwrap_or(f64::NAN));
            let flushes = ingest["flushes"].as_u64().unwrap_or(1).max(1);
            blocks_per_flush = (bytes / block_bytes / flushes).max(1);
        }
        rates.same_cadence.note(self.fio_write(place, bytes, block_bytes, blocks_per_flush)?);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of one sentence")]
    fn ingest_row(
        &self,
        rates: &Rates,
        number: usize,
        streams: u64,
        target: f64,
        block_bytes: u64,
        bytes: u64,
        condition: &str,
    ) -> Row {
        let (ratio, engine) = (&rates.ratio[number], &rates.engine[number]);
        let row = Row::new(
            format!("ingest / raw, {} MiB blocks, {streams} stream{}", block_bytes >> 20, plural(streams)),
            Kind::Measured,
            ratio.median(),
            "ratio",
        );
        let row = row
            .target(Limit::AtLeast(target))
            .spread(ratio.least(), ratio.greatest())
            .conditions(format!(
                "{condition}; {} MiB by {} in one drive file with zones of 256 MiB, {} MiB under way, each put acknowledged when flushed; {} \
                 turns of fio, engine, engine, fio",
                bytes >> 20,
                self.backend,
                WINDOW_BYTES >> 20,
                self.sizes.repetitions
            ))
            .against("engine MB/s", engine.median())
            .against("engine p99 ms", rates.p99_ms[number].median())
            .against("fio MB/s, 4 writes under way, flushed at the end", rates.raw.median())
            .against("fio MB/s with the engine's flushes, 1 under way", rates.same_cadence.median())
            .against("CPU s/GB of the whole process", rates.cpu_s_per_gb.median());
        if row.is_met() {
            return row;
        }
        let busy = rates.cpu_s_per_gb.median() * engine.median() / 1e3;
        row.note(format!(
            "at this rate the process used {busy:.2} of this machine's cores; one write is under way in a zone at a \
             time, and with the same flushes and one write under way fio gave {:.2} of its own raw rate",
            rates.same_cadence.median() / rates.raw.median()
        ))
    }

    /// Device reads of a GET of a present and of an absent key, and the CPU of a GB read and written.
    ///
    /// # Errors
    /// Where a program fails.
    pub fn reads(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for block_bytes in BLOCK_BYTES {
            let step = Step::begin(format!("GETs of {} MiB blocks", block_bytes >> 20));
            let (mut written, mut read, mut limit) = (Cpu::default(), Cpu::default(), Sample::default());
            let (mut present, mut absent, mut rate) =
                (Sample::default(), Sample::default(), Sample::default());
            let mut false_matches = 0;
            for _ in 0..self.sizes.repetitions {
                let place = Place::unlimited();
                limit.note(self.fio_read(&place, block_bytes)?);
                let run = self.engine(&place, block_bytes, 1, self.sizes.ingest_bytes, self.sizes.gets)?;
                let per_get = |side: &str| {
                    let cost = &run.value[side];
                    cost["device_reads"].as_f64().unwrap_or(f64::NAN)
                        / cost["operations"].as_f64().unwrap_or(f64::NAN)
                };
                present.note(per_get("get_present"));
                absent.note(per_get("get_absent"));
                rate.note(run.value["get_present"]["mb_per_s"].as_f64().unwrap_or(f64::NAN));
                written.note(&run.value, "ingest");
                read.note(&run.value, "get_present");
                false_matches += run.value["index_false_matches"].as_u64().unwrap_or(0);
            }
            step.done("");
            let conditions = format!(
                "{} blocks of {} MiB in the drive file, {} GETs of each kind by 1 client, page cache dropped before; \
                 counted by the engine; {false_matches} false matches of the index",
                self.sizes.ingest_bytes / block_bytes,
                block_bytes >> 20,
                self.sizes.gets
            );
            let mib = block_bytes >> 20;
            for (name, sample, limit_of, exact) in
                [("present", &present, true, 1.0), ("absent", &absent, false, 0.0)]
            {
                let mut row = Row::new(
                    format!("device reads for a GET of {name} key, {mib} MiB blocks", name = article(name)),
                    Kind::Measured,
                    sample.median(),
                    "reads",
                )
                .target(Limit::Exactly(exact))
                .spread(sample.least(), sample.greatest())
                .conditions(conditions.clone());
                if limit_of {
                    row = row
                        .against("GET MB/s", rate.median())
                        .against("fio random read MB/s, 1 under way", limit.median());
                }
                rows.push(row);
            }
            rows.push(cpu_row(
                &format!("engine CPU for a GB written, {mib} MiB blocks"),
                &written,
                block_bytes,
                "puts by 1 stream",
            ));
            rows.push(cpu_row(
                &format!("engine CPU for a GB read, {mib} MiB blocks"),
                &read,
                block_bytes,
                "GETs by 1 client",
            ));
        }
        Ok(rows)
    }

    /// The same engine over both means of asynchronous I/O, in turn.
    ///
    /// # Errors
    /// Where a program fails.
    pub fn backends(&self) -> Result<Vec<Row>> {
        const NAMES: [&str; 2] = ["io-uring", "tokio-uring"];
        const BLOCK: u64 = 1 << 20;
        let step = Step::begin("The engine by io-uring and by tokio-uring");
        let [mut ingest, mut get, mut put_cpu, mut get_cpu] =
            [(); 4].map(|()| [Sample::default(), Sample::default()]);
        for _ in 0..self.sizes.repetitions {
            for (place, backend) in NAMES.into_iter().enumerate() {
                let ground = Ground { backend, ..*self };
                let run =
                    ground.engine(&Place::unlimited(), BLOCK, 8, self.sizes.ingest_bytes, self.sizes.gets)?;
                ingest[place].note(run.mb_per_s);
                get[place].note(number(&run.value["get_present"]["mb_per_s"]));
                put_cpu[place].note(number(&run.value["ingest"]["cpu_s_per_gb"]));
                get_cpu[place].note(number(&run.value["get_present"]["cpu_s_per_gb"]));
            }
        }
        step.done("");
        let rows = NAMES.into_iter().enumerate().map(|(place, backend)| {
            Row::new(
                format!("ingest by {backend}, 8 streams of 1 MiB blocks"),
                Kind::Measured,
                ingest[place].median(),
                "MB/s",
            )
            .spread(ingest[place].least(), ingest[place].greatest())
            .conditions(format!(
                "{} MiB, then {} GETs by 8 clients; {} turns of io-uring, tokio-uring",
                self.sizes.ingest_bytes >> 20,
                self.sizes.gets,
                self.sizes.repetitions
            ))
            .against("CPU s/GB written", put_cpu[place].median())
            .against("GET MB/s", get[place].median())
            .against("CPU s/GB read", get_cpu[place].median())
        });
        Ok(rows.collect())
    }

    fn engine(
        &self,
        place: &Place,
        block_bytes: u64,
        streams: u64,
        bytes: u64,
        gets: u64,
    ) -> Result<EngineRun> {
        let file = self.directory.join("engine.drive");
        remove(&file)?;
        let options = [
            ("file", file.display().to_string()),
            ("size-bytes", (bytes + DRIVE_SPARE_BYTES).to_string()),
            ("backend", self.backend.to_owned()),
            ("block-bytes", block_bytes.to_string()),
            ("streams", streams.to_string()),
            ("window-bytes", WINDOW_BYTES.to_string()),
            ("ingest-bytes", bytes.to_string()),
            ("gets", gets.to_string()),
            ("seed", self.seed.to_string()),
        ];
        let value = self.program.line(place, &arguments("engine", &options), RUN_TIME_MAX);
        remove(&file)?;
        let value = value.with_context(|| format!("the engine with {streams} streams"))?;
        let mb_per_s = value["ingest"]["mb_per_s"].as_f64().context("compare gave no rate")?;
        Ok(EngineRun { mb_per_s, value })
    }

    fn fio_write(&self, place: &Place, bytes: u64, block_bytes: u64, writes_per_flush: u64) -> Result<f64> {
        let file = self.directory.join("fio.file");
        remove(&file)?;
        let depth = if writes_per_flush == 0 { 4 } else { 1 };
        let pattern = Pattern::SequentialWrite { writes_per_flush };
        let job = Job { pattern, block_bytes, depth, file_bytes: bytes, moved_bytes: bytes, seconds_max: 60 };
        let outcome = fio::run(place, &file, &job);
        remove(&file)?;
        Ok(outcome?.mb_per_s)
    }

    fn fio_read(&self, place: &Place, block_bytes: u64) -> Result<f64> {
        let file: PathBuf = self.directory.join("fio.file");
        let file_bytes = self.sizes.ingest_bytes;
        let job = |pattern| Job {
            pattern,
            block_bytes,
            depth: 1,
            file_bytes,
            moved_bytes: file_bytes.min(self.sizes.gets * block_bytes),
            seconds_max: 20,
        };
        let write = Job {
            moved_bytes: file_bytes,
            depth: 4,
            ..job(Pattern::SequentialWrite { writes_per_flush: 0 })
        };
        fio::run(place, &file, &write)?;
        let outcome = fio::run(place, &file, &job(Pattern::RandomRead));
        remove(&file)?;
        Ok(outcome?.mb_per_s)
    }
}

/// CPU of a GB against its target.
fn cpu_row(name: &str, cpu: &Cpu, block_bytes: u64, how: &str) -> Row {
    let whole = &cpu.whole;
    let row = Row::new(name, Kind::Measured, whole.median(), "core-seconds/GB")
        .target(Limit::AtMost(0.15))
        .spread(whole.least(), whole.greatest())
        .conditions(format!(
            "user and system time of a process with the engine and its caller: checksums of every 64 KiB of {} MiB \
             blocks, the copy into the engine's buffers, the kernel's part; {how}",
            block_bytes >> 20
        ))
        .against("of which the kernel", cpu.kernel.median())
        .against("copying and checksumming a GB alone, same process", cpu.copy_and_checksum.median());
    if row.is_met() {
        return row;
    }
    let rest = whole.median() - cpu.kernel.median();
    row.note(format!(
        "by the kernel's ticks {:.3} of it are the kernel's, for this file on this virtual disk, and {rest:.3} the process's own; \
         a copy with checksums alone takes {:.3} here",
        cpu.kernel.median(),
        cpu.copy_and_checksum.median()
    ))
}

fn article(name: &str) -> String {
    if name.starts_with('a') { format!("an {name}") } else { format!("a {name}") }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
