//! `imbrex-health`: verdicts on saved smartctl outputs, and the rules run over a fleet's history.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use imbrex_health::notes::{Notes, TrustRule};
use imbrex_health::replay::{Fleet, Row, Share, score};
use imbrex_health::{Level, Verdict, judge_saved};
use smartctl_parser::REPORT_BYTES_MAX;

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
        #[command(flatten)]
        notes: NotesOption,
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
        #[command(flatten)]
        notes: NotesOption,
    },
}

/// Notes beside those that are compiled in.
#[derive(Debug, Args)]
struct NotesOption {
    /// A file or folder of firmware notes, which take the place of compiled-in ones with the same ids. It has to belong
    /// to you and nobody else may be able to write it. (A node believes only root's.)
    #[arg(long = "notes", value_name = "PATH")]
    path: Option<PathBuf>,
}

impl NotesOption {
    /// The notes to judge by. Each note that was refused is told of, and the others are taken.
    ///
    /// # Errors
    ///
    /// Nothing of the file or folder could be taken.
    fn load(&self) -> Result<Notes, String> {
        let compiled_in = Notes::compiled_in();
        let Some(path) = &self.path else { return Ok(compiled_in) };
        let owner_uid =
            std::fs::metadata("/proc/self").map_err(|error| format!("/proc/self: {error}"))?.uid();
        let (notes, refused) = Notes::load(path, TrustRule { owner_uid });
        for note in &refused {
            eprintln!("imbrex-health: the note {} is refused: {}", note.name, note.reason);
        }
        if notes.all().is_empty() {
            return Err(format!("{} holds no note that can be taken", path.display()));
        }
        Ok(compiled_in.replaced_by(notes))
    }
}

fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Judge { files, json, notes } => {
            notes.load().and_then(|notes| judge_files(&files, &notes, json))
        }
        Command::Replay { file, json, seed, notes } => {
            notes.load().and_then(|notes| replay(&file, &notes, json, seed))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imbrex-health: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Judges all that can be read, and says which cannot.
///
/// # Errors
///
/// Some could not be read, or standard output not be written.
fn judge_files(files: &[PathBuf], notes: &Notes, json: bool) -> Result<(), String> {
    let mut not_read = 0;
    for file in files {
        match judge_file(file, notes, json)? {
            Ok(()) => {}
            Err(error) => {
                eprintln!("imbrex-health: {error}");
                not_read += 1;
            }
        }
    }
    if not_read == 0 { Ok(()) } else { Err(format!("{not_read} of {} files could not be read", files.len())) }
}

/// # Errors
///
/// Standard output cannot be written: nobody reads on. Within, the file cannot be read: the others can.
fn judge_file(path: &Path, notes: &Notes, json: bool) -> Result<Result<(), String>, String> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(REPORT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Ok(Err(format!("{}: {error}", path.display())));
    }
    let verdict = judge_saved(&bytes, notes);
    let text = if json {
        let object = serde_json::json!({ "file": path.display().to_string(), "verdict": verdict });
        format!("{object}\n")
    } else {
        words(path, &verdict)
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))?;
    Ok(Ok(()))
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

fn replay(path: &Path, notes: &Notes, json: bool, seed: u64) -> Result<(), String> {
    let fleet = if path == Path::new("-") {
        Fleet::replay(io::stdin().lock(), notes)
    } else {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Fleet::replay(BufReader::new(file), notes)
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
    let share = |share: Option<Share>, of: u64, whole: &str, nothing: &str| match share {
        Some(Share { value, low, high }) => format!("{value:.4} ({low:.4} to {high:.4}) of {of} {whole}"),
        None => nothing.to_owned(),
    };
    let alerts = row.alerts_per_1000_drives_30_days;
    let alerts = alerts
        .map(|alerts| {
            let Share { value, low, high } = alerts;
            format!(", {value:.1} ({low:.1} to {high:.1}) new alerts per 1,000 drives in 30 days")
        })
        .unwrap_or_default();
    format!(
        "{:18} recall {}, false positives {}, precision {}{alerts}\n",
        row.rule,
        share(row.recall, row.drives[0], "failures", "cannot be measured: none failed"),
        share(row.false_positive_rate, row.drives[1], "others", "cannot be measured: all failed"),
        share(row.precision, row.found[0] + row.found[1], "named", "cannot be measured: none was named"),
    )
}
