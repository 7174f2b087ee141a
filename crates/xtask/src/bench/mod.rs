//! `cargo xtask bench`: one command, one table, one JSON file.
//!
//! - Every figure is of this run: nothing here is a constant that was measured once.
//! - What is compared runs in turn, several times, and the median counts; the spread is shown.
//! - A row whose target is missed says by how much and why; a part that cannot run is a row without a figure.
//! - Random choices follow from one seed, which is printed.
//! - Everything on the disk lies in one folder, which is removed at the end.

pub mod bare_socket;
pub mod compare_program;
pub mod contenders;
pub mod disk_rate;
pub mod engine_runs;
pub mod fio;
pub mod host;
pub mod loopback;
pub mod mounted_image;
pub mod row;
pub mod sample;
pub mod simulated;
pub mod sizes;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::bench::compare_program::CompareProgram;
use crate::bench::engine_runs::Ground;
use crate::bench::row::{Kind, Row};
pub use crate::bench::sizes::Sizes;
use crate::host_packages;
use crate::workspace::Workspace;

/// The seed of all that is random.
const SEED: u64 = 20_261_121;

/// The parts, in the order in which they run, each with what it gives.
const PARTS: [(&str, &str); 10] = [
    ("ingest", "ingest against fio on the same disk"),
    ("reads", "device reads for a GET, CPU for a GB"),
    ("backends", "the engine by io-uring and by tokio-uring"),
    ("loopback", "CPU of the whole drive process"),
    ("simulated-ingest", "ingest on a modelled disk"),
    ("index", "memory of the index"),
    ("churn", "write amplification"),
    ("mounts", "mounts of a full drive on a modelled disk"),
    ("scrub", "reads beside a scrub on a modelled disk"),
    ("comparison", "what a user would pick instead"),
];

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Where the JSON file goes.
    pub json: Option<PathBuf>,
    /// The parts to run; all where there is none.
    pub only: Vec<String>,
    /// Whether to take the small sizes.
    pub quick: bool,
    /// A folder on the disk under test; that of the builds where there is none.
    pub directory: Option<PathBuf>,
}

/// All that was found.
#[derive(Debug, Default)]
struct Findings {
    rows: Vec<Row>,
    comparisons: Vec<Value>,
}

/// Runs what was asked for, prints the table and writes the file.
///
/// # Errors
/// Where a part is not known, or something needed cannot be had. A missed target is no error: it is a finding.
pub fn run(workspace: &Workspace, request: &Request) -> Result<()> {
    if let Some(unknown) = request.only.iter().find(|name| !PARTS.iter().any(|(part, _)| part == name)) {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        bail!("there is no part {unknown}: the parts are {}", names.join(", "));
    }
    host_packages::ensure_bench()?;
    let began = Instant::now();
    let sizes = if request.quick { Sizes::quick() } else { Sizes::whole() };
    let folder = match &request.directory {
        Some(directory) => directory.clone(),
        None => workspace.output_folder("bench")?,
    };
    let folder = tempfile::Builder::new().prefix("imbrex-bench-").tempdir_in(&folder);
    let folder = folder.context("cannot make a folder on the disk under test")?;
    let machine = host::describe(folder.path());
    eprintln!("{}; seed {SEED}", host::headline(&machine));
    let mut findings = Findings::default();
    let save = |findings: &Findings| match &request.json {
        Some(path) => write_json(path, &json_of(findings, &machine, &sizes, began.elapsed().as_secs())),
        None => Ok(()),
    };
    // Before the first part, which may take a quarter of an hour: a file that cannot be written is told at once.
    save(&findings)?;
    for (part, what) in PARTS {
        if request.only.is_empty() || request.only.iter().any(|name| name == part) {
            let outcome = run_part(workspace, part, folder.path(), &sizes, &mut findings);
            if let Err(error) = outcome {
                eprintln!("✗ {part}: {error:#}");
                let row =
                    Row::without_figure(format!("{part}: {what}"), Kind::Measured, "", &format!("{error:#}"));
                findings.rows.push(row);
            }
            // After each part, so that a run that is interrupted leaves what it has found.
            save(&findings)?;
        }
    }
    print_table(&findings, &machine, began.elapsed().as_secs());
    if let Some(path) = &request.json {
        eprintln!("→ {}", path.display());
    }
    Ok(())
}

fn run_part(
    workspace: &Workspace,
    part: &str,
    directory: &Path,
    sizes: &Sizes,
    findings: &mut Findings,
) -> Result<()> {
    match part {
        "ingest" | "reads" | "backends" => {
            let program = CompareProgram::build(workspace, directory)?;
            let ground = |backend| Ground { program: &program, directory, sizes, seed: SEED, backend };
            let rows = match part {
                "ingest" => ground("io-uring").ingest()?,
                "backends" => ground("io-uring").backends()?,
                _ => ground("io-uring").reads()?,
            };
            findings.rows.extend(rows);
        }
        "loopback" => findings.rows.extend(loopback::rows(workspace, directory, sizes)?),
        "comparison" => {
            let program = CompareProgram::build(workspace, directory)?;
            let lines = &mut findings.comparisons;
            contenders::run(&program, directory, sizes, SEED, |line| lines.push(line))?;
        }
        "simulated-ingest" => findings.rows.extend(simulated::ingest::rows(sizes)?),
        "index" => findings.rows.extend(simulated::index_memory::rows(sizes)?),
        "churn" => findings.rows.extend(simulated::churn::rows(sizes, SEED)?),
        "mounts" => findings.rows.extend(simulated::mounts::rows(sizes)?),
        _ => findings.rows.extend(simulated::scrub::rows(sizes, SEED)?),
    }
    Ok(())
}

fn write_json(path: &Path, report: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(report)?;
    fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

fn json_of(findings: &Findings, machine: &Value, sizes: &Sizes, seconds: u64) -> Value {
    let (targets, figures): (Vec<&Row>, Vec<&Row>) = findings.rows.iter().partition(|row| row.is_target());
    json!({
        "machine": machine,
        "seed": SEED,
        "sizes": format!("{sizes:?}"),
        "seconds": seconds,
        "targets": targets.into_iter().map(Row::to_json).collect::<Vec<Value>>(),
        "figures": figures.into_iter().map(Row::to_json).collect::<Vec<Value>>(),
        "comparisons": findings.comparisons,
    })
}

fn print_table(findings: &Findings, machine: &Value, seconds: u64) {
    println!("{}; seed {SEED}; {seconds} s\n", host::headline(machine));
    findings.rows.iter().for_each(|row| println!("{}", row.to_text()));
    if !findings.comparisons.is_empty() {
        println!("\n{}", contenders::table(&findings.comparisons));
    }
    let targets: Vec<&Row> = findings.rows.iter().filter(|row| row.is_target()).collect();
    let met = targets.iter().filter(|row| row.is_met()).count();
    println!("{met} of {} targets met", targets.len());
}
