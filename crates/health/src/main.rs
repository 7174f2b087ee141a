//! `imbrex-health`: verdicts on saved smartctl outputs, and the rules run over a fleet's history.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use imbrex_health::notes::Notes;
use imbrex_health::replay::{Fleet, Row, Share, score};
use imbrex_health::{Bus, Finding, History, Identity, Level, Observation, Verdict, judge};
use smartctl_parser::{Protocol, REPORT_BYTES_MAX, Report};

/// Verdicts on drives.
#[derive(Debug, Parser)]
#[command(name = "imbrex-health", version)]
struct Options {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what saved outputs of `smartctl --json` come to, each for itself.
    Judge {
        /// The outputs.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Run the rules over a fleet's daily snapshots, in the format of Backblaze's drive statistics.
    Replay {
        /// The snapshots; `-` reads standard input, as in `zcat FILE.csv.gz | imbrex-health replay -`.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Where the intervals' samples begin.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Judge { files, json } => files.iter().try_for_each(|file| judge_file(file, json)),
        Command::Replay { file, json, seed } => replay(&file, json, seed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imbrex-health: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge_file(path: &Path, json: bool) -> Result<(), String> {
    let in_file = |error: io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(in_file)?;
    file.take(REPORT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(in_file)?;
    let verdict = verdict(&bytes);
    let text = if json {
        let object = serde_json::json!({ "file": path.display().to_string(), "verdict": verdict });
        format!("{object}\n")
    } else {
        words(path, &verdict)
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

/// A saved output is judged as of its own time: how old it is now says nothing of the drive.
fn verdict(bytes: &[u8]) -> Verdict {
    let (mut identity, mut at_unix_s) = (Identity::default(), 0);
    let finding = match Report::parse(bytes) {
        Ok(report) => {
            at_unix_s = report.made_at_unix_s.and_then(|made| u64::try_from(made).ok()).unwrap_or(0);
            identity = identity_of(&report);
            Finding::Smart { report: Box::new(report) }
        }
        Err(error) => Finding::SmartFailed { reason: error.to_string() },
    };
    let mut history = History::new(identity);
    history.record(Observation { at_unix_s, finding });
    judge(&history, &Notes::compiled_in(), at_unix_s)
}

fn identity_of(report: &Report) -> Identity {
    let drive = report.identity.clone();
    let bus = match report.device.protocol {
        Some(Protocol::Ata) => Bus::Sata,
        Some(Protocol::Scsi) => Bus::Sas,
        Some(Protocol::Nvme) => Bus::Nvme,
        None => Bus::Unknown,
    };
    let (model, firmware) = (drive.model, drive.firmware);
    Identity { wwn: drive.wwn, serial: drive.serial, model, firmware, bus, ..Identity::default() }
}

fn words(path: &Path, verdict: &Verdict) -> String {
    let mut text = format!("{}: {}. {}\n", path.display(), verdict.level.name(), verdict.action.words());
    for (axis, evidence) in verdict.evidence() {
        let mark = if evidence.level == Level::Healthy { "note" } else { evidence.level.name() };
        let was = evidence.was.as_ref().map(|was| format!(", was {was}")).unwrap_or_default();
        let (what, value, source) = (&evidence.what, &evidence.value, evidence.source.name());
        text.push_str(&format!("  {:9} {mark:8} {what}: {value}{was} ({source})\n", axis.name()));
    }
    text
}

fn replay(path: &Path, json: bool, seed: u64) -> Result<(), String> {
    let notes = Notes::compiled_in();
    let fleet = if path == Path::new("-") {
        Fleet::replay(io::stdin().lock(), &notes)
    } else {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Fleet::replay(BufReader::new(file), &notes)
    };
    let rows = score(&fleet.map_err(|error| format!("{}: {error}", path.display()))?, seed);
    let text = if json {
        format!("{}\n", serde_json::json!({ "seed": seed, "rules": rows }))
    } else {
        rows.iter().map(row_words).collect()
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

fn row_words(row: &Row) -> String {
    let share = |share: Share| format!("{:.4} ({:.4} to {:.4})", share.value, share.low, share.high);
    let alerts = row.alerts_per_1000_drives_30_days;
    let alerts = alerts
        .map(|alerts| format!(", {alerts:.1} new alerts per 1,000 drives in 30 days"))
        .unwrap_or_default();
    format!(
        "{:18} recall {} of {} failures, false positives {} of {} others, precision {}{alerts}\n",
        row.rule,
        share(row.recall),
        row.drives[0],
        share(row.false_positive_rate),
        row.drives[1],
        share(row.precision),
    )
}
