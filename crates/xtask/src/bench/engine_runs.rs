//! The engine over a drive file, in turn with fio on a file beside it: ingest, reads for a GET, CPU.

mod ingest;
mod reads;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::Sizes;
use crate::bench::compare_program::{CompareProgram, arguments};
use crate::bench::disk_rate::Place;
use crate::bench::fio::{self, Job, Pattern};
use crate::bench::row::{Kind, Row};
use crate::bench::sample::Sample;
use crate::step::Step;

/// How long one run may take.
const RUN_TIME_MAX: Duration = Duration::from_secs(120);
/// Puts under way of all streams together, in bytes: what a window of a few blocks for each client comes to.
const WINDOW_BYTES: u64 = 64 << 20;
/// What the drive file holds beyond what is written to it, in bytes: a dozen zones.
const DRIVE_SPARE_BYTES: u64 = 3 << 30;
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

/// A figure of a run; not a number where it has none.
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// One run of the engine.
struct EngineRun {
    mb_per_s: f64,
    value: Value,
}

impl Ground<'_> {
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

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}
