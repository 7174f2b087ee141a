//! `imbrexctl put`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::fleet::Share;
use crate::key::Key;
use crate::options::Put;
use crate::output::Output;
use crate::session::Session;
use crate::size::{human_bytes, human_rate};
use crate::table::Table;
use crate::transfer::put::{Stored, put};
use crate::transfer::{Transport, next_of};

/// What was stored, for programs.
#[derive(Serialize)]
struct Report {
    items: Vec<Item>,
    drives: Vec<DriveShare>,
    failures: Vec<String>,
}

#[derive(Serialize)]
struct Item {
    path: String,
    key: Key,
    files: u64,
    bytes: u64,
    seconds: f64,
}

/// What went to one drive, for programs.
#[derive(Serialize)]
pub(crate) struct DriveShare {
    id: String,
    blocks: u64,
    bytes: u64,
    already_there: u64,
}

impl From<Share> for DriveShare {
    fn from(share: Share) -> Self {
        let Share { name, blocks, bytes, already_there } = share;
        Self { id: name, blocks, bytes, already_there }
    }
}

/// Stores every path, and goes on where one fails.
///
/// # Errors
/// Where no drive can be asked, or something was left out.
pub(crate) async fn run(session: &Session, options: Put) -> Result<(), Error> {
    let transport = session.transport("storing").await?;
    let start = Instant::now();
    let named = options.paths.len();
    let (items, failures) = put_all(&transport, options.paths).await?;
    let took = start.elapsed();
    transport.progress().finish();
    let drives = transport.fleet().shares().into_iter().map(DriveShare::from).collect();
    let report = Report { items, drives, failures };
    print(session.output, &report, took)?;
    match report.failures.len() {
        0 => Ok(()),
        failed => Err(Error::Incomplete(sum(named, report.items.len(), failed))),
    }
}

/// How much of what was named is stored, where `failed` things are not: whole paths, or things in a tree.
fn sum(named: usize, stored: usize, failed: usize) -> String {
    let paths = if named == 1 { "path was" } else { "paths were" };
    let sentence = format!("{stored} of {named} {paths} stored (see above)");
    match failed.saturating_sub(named.saturating_sub(stored)) {
        0 => sentence,
        1 => format!("{sentence}; 1 thing in what was stored was left out"),
        within => format!("{sentence}; {within} things in what was stored were left out"),
    }
}

/// Several paths at a time, told in the order in which they were given.
async fn put_all(transport: &Transport, paths: Vec<PathBuf>) -> Result<(Vec<Item>, Vec<String>), Error> {
    let mut items: Vec<Option<Item>> = paths.iter().map(|_| None).collect();
    let mut failures = Vec::new();
    let mut waiting = paths.into_iter().enumerate();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < transport.jobs() {
            let Some((index, path)) = waiting.next() else { break };
            let transport = transport.clone();
            tasks.spawn(async move {
                let start = Instant::now();
                let outcome = put(&transport, &path).await;
                (index, path, outcome, start.elapsed())
            });
        }
        let Some((index, path, outcome, took)) = next_of(&mut tasks).await? else { break };
        match outcome {
            Ok(Stored { key, files, bytes, left_out }) => {
                let path = path.display().to_string();
                failures.extend(left_out);
                if let Some(place) = items.get_mut(index) {
                    *place = Some(Item { path, key, files, bytes, seconds: took.as_secs_f64() });
                }
            }
            Err(error) => {
                let sentence = match &error {
                    Error::Local { .. } | Error::LocalRefused(_) => error.to_string(),
                    _ => format!("{} could not be stored: {error}", path.display()),
                };
                transport.progress().complain(&sentence);
                failures.push(sentence);
            }
        }
    }
    Ok((items.into_iter().flatten().collect(), failures))
}

fn print(output: Output, report: &Report, took: Duration) -> Result<(), Error> {
    if output.is_json() {
        return output.json(report);
    }
    if report.items.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["KEY", ">FILES", ">SIZE", ">RATE", "PATH"]);
    for item in &report.items {
        let rate = human_rate(item.bytes, Duration::from_secs_f64(item.seconds));
        table.row([
            item.key.to_string(),
            item.files.to_string(),
            human_bytes(item.bytes),
            rate,
            item.path.clone(),
        ]);
    }
    output.table(&table)?;
    output.line("")?;
    let mut table = Table::new(&["DRIVE", ">BLOCKS", ">SIZE", ">ALREADY THERE"]);
    for drive in &report.drives {
        table.row([
            drive.id.clone(),
            drive.blocks.to_string(),
            human_bytes(drive.bytes),
            drive.already_there.to_string(),
        ]);
    }
    output.table(&table)?;
    let bytes = report.items.iter().map(|item| item.bytes).sum();
    output.line("")?;
    output.line(&format!(
        "{} in {}.{} s: {}",
        human_bytes(bytes),
        took.as_secs(),
        took.subsec_millis() / 100,
        human_rate(bytes, took)
    ))
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn the_sum_tells_how_many_paths_were_stored_and_what_is_missing_in_them() {
        assert_eq!(sum(10, 0, 10), "0 of 10 paths were stored (see above)");
        assert_eq!(
            sum(1, 1, 2),
            "1 of 1 path was stored (see above); 2 things in what was stored were left out"
        );
        assert_eq!(
            sum(3, 2, 2),
            "2 of 3 paths were stored (see above); 1 thing in what was stored was left out"
        );
    }
}
