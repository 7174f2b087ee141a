//! Device reads for a GET, and CPU for a GB, of a process with the engine alone.

use anyhow::Result;
use serde_json::Value;

use super::{BLOCK_BYTES, Ground, number};
use crate::bench::disk_rate::Place;
use crate::bench::row::{Kind, Limit, Row};
use crate::bench::sample::Sample;
use crate::step::Step;

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

/// What the runs of one block size gave.
#[derive(Default)]
struct Reads {
    present: Sample,
    absent: Sample,
    rate: Sample,
    limit: Sample,
    false_matches: u64,
    written: Cpu,
    read: Cpu,
}

impl Reads {
    fn note(&mut self, run: &Value, limit_mb_per_s: f64) {
        let per_get = |side: &str| number(&run[side]["device_reads"]) / number(&run[side]["operations"]);
        self.limit.note(limit_mb_per_s);
        self.present.note(per_get("get_present"));
        self.absent.note(per_get("get_absent"));
        self.rate.note(number(&run["get_present"]["mb_per_s"]));
        self.written.note(run, "ingest");
        self.read.note(run, "get_present");
        self.false_matches += run["index_false_matches"].as_u64().unwrap_or(0);
    }
}

impl Ground<'_> {
    /// Device reads of a GET of a present and of an absent key, and the CPU of a GB read and written.
    ///
    /// # Errors
    /// Where a program fails.
    pub fn reads(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for block_bytes in BLOCK_BYTES {
            let step = Step::begin(format!("GETs of {} MiB blocks", block_bytes >> 20));
            let mut reads = Reads::default();
            for _ in 0..self.sizes.repetitions {
                let place = Place::unlimited();
                let limit = self.fio_read(&place, block_bytes)?;
                let run = self.engine(&place, block_bytes, 1, self.sizes.ingest_bytes, self.sizes.gets)?;
                reads.note(&run.value, limit);
            }
            step.done("");
            rows.extend(self.reads_rows(&reads, block_bytes));
        }
        Ok(rows)
    }

    fn reads_rows(&self, reads: &Reads, block_bytes: u64) -> [Row; 4] {
        let mib = block_bytes >> 20;
        let conditions = format!(
            "{} blocks of {mib} MiB in the drive file, {} GETs of each kind by 1 client, page cache dropped before; \
             counted by the engine; {} false matches of the index",
            self.sizes.ingest_bytes / block_bytes,
            self.sizes.gets,
            reads.false_matches
        );
        let row = |key: &str, sample: &Sample, target: f64| {
            let name = format!("device reads for a GET of {key} key, {mib} MiB blocks");
            Row::new(name, Kind::Measured, sample.median(), "reads")
                .target(Limit::Exactly(target))
                .spread(sample.least(), sample.greatest())
                .conditions(conditions.clone())
        };
        [
            row("a present", &reads.present, 1.0)
                .against("GET MB/s", reads.rate.median())
                .against("fio random read MB/s, 1 under way", reads.limit.median()),
            row("an absent", &reads.absent, 0.0),
            cpu_row("written", &reads.written, mib, "puts by 1 stream"),
            cpu_row("read", &reads.read, mib, "GETs by 1 client"),
        ]
    }
}

/// CPU of a GB against its target.
fn cpu_row(done: &str, cpu: &Cpu, mib: u64, how: &str) -> Row {
    let whole = &cpu.whole;
    let name = format!("engine CPU for a GB {done}, {mib} MiB blocks");
    let row = Row::new(name, Kind::Measured, whole.median(), "core-seconds/GB")
        .target(Limit::AtMost(0.15))
        .spread(whole.least(), whole.greatest())
        .conditions(format!(
            "user and system time of a process with the engine and its caller: checksums of every 64 KiB of {mib} MiB \
             blocks, the copy into the engine's buffers, the kernel's part; {how}"
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
