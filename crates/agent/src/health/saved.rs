//! The book on file: what was recorded survives the agent.
//!
//! - The file lies in the state directory. Where that is in memory, as on a node that boots from it, it survives a restart
//!   of the agent, not one of the node; beyond that, histories are given out and taken by the API.
//! - One line of JSON for each drive, after a line that says what the file is. A line that cannot be read costs its
//!   drive's history, and no more. Lines and their number are bounded.
//! - It is written drive by drive, beside the old one, and takes its place when it is whole.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imbrex_health::History;
use serde::{Deserialize, Serialize};

use super::Book;
use super::engine_mark::Mark;
use super::entry::Asked;

/// It is written this often, and when the agent stops in order.
const INTERVAL: Duration = Duration::from_secs(60);

/// A drive's line may be this long, in bytes: a full history has some 100 KiB.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// At most this many drives are read.
const DRIVES_MAX: usize = 512;

/// What the file is.
const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    version: u32,
    /// The boot in which it was written: the kernel counts its log's records anew in each.
    pub(super) boot_id: Option<String>,
    pub(super) next_sequence: u64,
}

impl Head {
    pub(super) fn new(boot_id: Option<String>, next_sequence: u64) -> Self {
        Self { version: VERSION, boot_id, next_sequence }
    }
}

/// One drive's line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) history: History,
    pub(super) asked: Option<Asked>,
    pub(super) asked_unix_s: Option<u64>,
    pub(super) asked_fully_unix_s: Option<u64>,
    pub(super) mark: Mark,
}

/// Writes the book now and then, for ever.
pub(crate) async fn run(book: Arc<Book>, path: &Path) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        save(&book, path).await;
    }
}

/// Writes the book. Where that fails it is said in the log: the old file stays.
pub(crate) async fn save(book: &Book, path: &Path) {
    let temporary = path.with_extension("new");
    let written = match write(book, &temporary).await {
        Ok(()) => fs::rename(&temporary, path),
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::warn!("the drives' histories could not be written to {}: {error}", path.display());
        // What counts is said; a leftover is replaced the next time.
        fs::remove_file(&temporary).ok();
    }
}

async fn write(book: &Book, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(&mut file, &book.saved_head())?;
    for id in book.ids() {
        let Some(line) = book.saved_line(&id) else { continue };
        file.write_all(b"\n")?;
        file.write_all(&line?)?;
        // A line takes a fraction of a millisecond: others have their turn between two.
        tokio::task::yield_now().await;
    }
    file.write_all(b"\n")?;
    file.flush()
}

/// Gives `book` what the file at `path` holds. No file is a node that has just booted.
pub(crate) fn restore(book: &Book, path: &Path) {
    match read(path) {
        Ok(Some((head, drives))) => {
            tracing::info!(drives = drives.len(), "the drives' histories were read");
            book.restore(&head, drives);
        }
        Ok(None) => {}
        Err(error) => {
            tracing::warn!("the drives' histories could not be read from {}: {error}", path.display());
        }
    }
}

fn read(path: &Path) -> io::Result<Option<(Head, Vec<Saved>)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = BufReader::new(file);
    let mut next = || {
        let mut line = Vec::new();
        let length = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        io::Result::Ok((length > 0).then_some(line))
    };
    let head: Head = serde_json::from_slice(&next()?.unwrap_or_default())?;
    if head.version != VERSION {
        return Err(io::Error::other(format!(
            "it has version {}, and this agent reads {VERSION}",
            head.version
        )));
    }
    let mut drives = Vec::new();
    for _ in 0..DRIVES_MAX {
        let Some(line) = next()? else { break };
        match serde_json::from_slice(&line) {
            Ok(saved) => drives.push(saved),
            Err(error) => tracing::warn!("a drive's history in {} is passed over: {error}", path.display()),
        }
    }
    Ok(Some((head, drives)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_costs_its_drive_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("health.jsonl");
        let saved = Saved {
            history: History::default(),
            asked: None,
            asked_unix_s: Some(7),
            asked_fully_unix_s: None,
            mark: Mark::default(),
        };
        let line = serde_json::to_string(&saved).unwrap();
        let head = serde_json::to_string(&Head::new(Some("b".to_owned()), 9)).unwrap();
        fs::write(&path, format!("{head}\n{line}\n{}\n{line}\n", &line[..line.len() / 2])).unwrap();
        let (head, drives) = read(&path).unwrap().unwrap();
        assert_eq!(head, Head::new(Some("b".to_owned()), 9));
        assert_eq!(drives.len(), 2);
        assert_eq!(drives[1].asked_unix_s, Some(7));
    }

    #[test]
    fn what_is_no_book_is_refused_and_nothing_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("health.jsonl");
        assert!(read(&path).unwrap().is_none());
        for text in ["", "{}", "[]\n", r#"{"version":2,"boot_id":null,"next_sequence":0}"#] {
            fs::write(&path, text).unwrap();
            assert!(read(&path).is_err(), "{text}");
        }
    }
}
