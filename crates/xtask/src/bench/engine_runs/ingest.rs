//! Ingest against raw bandwidth, by fio and the engine in turn.

use anyhow::Result;

use super::{BLOCK_BYTES, Ground, WINDOW_BYTES, number};
use crate::bench::disk_rate::{HARD_DISK_BYTES_PER_S, Place};
use crate::bench::row::{Kind, Limit, Row};
use crate::bench::sample::Sample;
use crate::step::Step;

/// Targets of ingest by the number of streams: DESIGN.md, section 3.
const INGEST_TARGETS: [(u64, f64); 2] = [(1, 0.97), (8, 0.90)];

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
        for (case, (streams, _)) in INGEST_TARGETS.into_iter().enumerate() {
            let run = self.engine(place, block_bytes, streams, bytes, 0)?;
            let ingest = &run.value["ingest"];
            rates.engine[case].note(run.mb_per_s);
            rates.ratio[case].note(run.mb_per_s / raw);
            rates.p99_ms[case].note(number(&ingest["p99_us"]) / 1e3);
            rates.cpu_s_per_gb.note(number(&ingest["cpu_s_per_gb"]));
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
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}
