//! `imbrexctl history`: what a node recorded of its drives, kept where it outlives the node.
//!
//! One that fails costs no other: all are tried, and each failure is told.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use imbrex_api::health::KeptHistory;
use serde::Serialize;

use crate::error::Error;
use crate::node_client::{NodeClient, path_segment};
use crate::options::HistoryOrder;
use crate::output::complain;
use crate::session::Session;

/// What was done.
#[derive(Serialize)]
struct Done {
    drives: Vec<String>,
}

/// Saves or restores the histories of all drives.
///
/// # Errors
/// Where the node does not answer, or a history could not be kept or given back.
pub(crate) async fn run(session: &Session, order: &HistoryOrder) -> Result<(), Error> {
    let node = session.node()?;
    if let HistoryOrder::Save { directory } = order {
        fs::create_dir_all(directory).map_err(|error| Error::local("create", directory, error))?;
    }
    let drives = node.drives().await?;
    let (mut done, mut failed) = (Vec::new(), 0);
    for drive in &drives {
        let (outcome, word) = match order {
            HistoryOrder::Save { directory } => (save(&node, &drive.id, directory).await, "saved"),
            HistoryOrder::Restore { directory } => (restore(&node, &drive.id, directory).await, "restored"),
        };
        match outcome {
            Ok(true) => {
                if !session.output.is_json() {
                    session.output.line(&format!("{} {word}", drive.id))?;
                }
                done.push(drive.id.clone());
            }
            Ok(false) => complain(&format!("{}: the directory has no history of it", drive.id)),
            Err(error) => {
                complain(&format!("{}: {error}", drive.id));
                failed += 1;
            }
        }
    }
    if session.output.is_json() {
        session.output.json(&Done { drives: done })?;
    }
    if failed > 0 {
        return Err(Error::Incomplete(format!("{failed} of {} histories failed", drives.len())));
    }
    Ok(())
}

async fn save(node: &NodeClient, id: &str, directory: &Path) -> Result<bool, Error> {
    let path = file_of(id, directory)?;
    let history = node.history(id).await?;
    let text = serde_json::to_vec(&history).map_err(|error| Error::local("write", &path, error.into()))?;
    // Whoever restores sees the old file or the whole new one.
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(|error| Error::local("write", &new, error))?;
    fs::rename(&new, &path).map_err(|error| Error::local("replace", &path, error))?;
    Ok(true)
}

async fn restore(node: &NodeClient, id: &str, directory: &Path) -> Result<bool, Error> {
    let path = file_of(id, directory)?;
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::local("read", &path, error)),
    };
    let history: KeptHistory =
        serde_json::from_slice(&text).map_err(|error| Error::local("understand", &path, error.into()))?;
    node.give_history(id, &history).await.map(|()| true)
}

fn file_of(id: &str, directory: &Path) -> Result<PathBuf, Error> {
    Ok(directory.join(format!("{}.json", path_segment(id)?)))
}
