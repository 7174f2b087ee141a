//! `imbrexctl format`.

use std::io::{BufRead, IsTerminal};

use imbrex_api::node::{Drive, DriveState, FormatOrder};
use serde::Serialize;

use super::drives;
use crate::error::Error;
use crate::node_client::NodeClient;
use crate::options::Format;
use crate::output::{self, Output};
use crate::session::Session;

/// What was formatted, for programs.
#[derive(Serialize)]
struct Outcome {
    formatted: Vec<String>,
    failures: Vec<String>,
}

/// Formats one drive, or every empty one.
///
/// # Errors
/// Where the node refuses an order, or the person did not confirm it.
pub(crate) async fn run(session: &Session, options: Format) -> Result<(), Error> {
    let node = session.node()?;
    let Format { drive, serial, replace, blocks_max, all_new, yes } = options;
    if all_new {
        return format_all_new(session.output, &node, blocks_max, yes).await;
    }
    let (Some(drive), Some(serial)) = (drive, serial) else {
        return Err(Error::Usage("name a drive and its --serial, or give --all-new".into()));
    };
    node.format(&drive, &FormatOrder { serial, replace, blocks_max }).await?;
    report(session.output, &Outcome { formatted: vec![drive], failures: Vec::new() })
}

async fn format_all_new(
    output: Output,
    node: &NodeClient,
    blocks_max: Option<u64>,
    yes: bool,
) -> Result<(), Error> {
    let mut empty = node.drives().await?;
    // One that a firmware note refuses would be refused by the node.
    empty.retain(|drive| drive.state == DriveState::Unformatted && drive.refused_by.is_none());
    let mut outcome = Outcome { formatted: Vec::new(), failures: Vec::new() };
    if empty.is_empty() {
        if !output.is_json() {
            output.line("No drive is empty and may hold data: there is nothing to format.")?;
            return Ok(());
        }
        return report(output, &outcome);
    }
    if !output.is_json() {
        output.table(&drives::list(&empty))?;
    }
    if !yes {
        confirm(empty.len())?;
    }
    for drive in &empty {
        let order = FormatOrder { serial: serial(drive), replace: None, blocks_max };
        match node.format(&drive.id, &order).await {
            Ok(()) => outcome.formatted.push(drive.id.clone()),
            Err(error) => {
                let sentence = format!("{} was not formatted: {error}", drive.id);
                output::complain(&sentence);
                outcome.failures.push(sentence);
            }
        }
    }
    report(output, &outcome)
}

/// What proves that a drive is meant: its serial, or its ID where it tells none.
fn serial(drive: &Drive) -> String {
    drive.serial.clone().unwrap_or_else(|| drive.id.clone())
}

/// Asks a person; a program cannot be asked.
fn confirm(drives: usize) -> Result<(), Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage("nobody is there to confirm: give --yes to format these drives".into()));
    }
    let noun = if drives == 1 { "this drive" } else { "these drives" };
    output::say(&format!("Format {noun} ({drives})? Type yes:"));
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|source| Error::local("read", std::path::Path::new("standard input"), source))?;
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(Error::Incomplete("nothing was formatted: the answer was not yes".into()))
}

fn report(output: Output, outcome: &Outcome) -> Result<(), Error> {
    if output.is_json() {
        output.json(outcome)?;
    } else {
        for drive in &outcome.formatted {
            output.line(&format!("{drive} is formatted."))?;
        }
    }
    match outcome.failures.len() {
        0 => Ok(()),
        1 => Err(Error::Incomplete("one drive was not formatted".into())),
        failed => Err(Error::Incomplete(format!("{failed} drives were not formatted"))),
    }
}
