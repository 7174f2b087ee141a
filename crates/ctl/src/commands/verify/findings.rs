//! What a verification found.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::error::Error;
use crate::key::Key;
use crate::output::Output;
use crate::size::{human_bytes, human_rate};
use crate::table::Table;

/// Keys that are told one by one to a person; a program gets all.
const TOLD_MAX: usize = 100;

/// What a verification found so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Findings {
    /// Blocks that were read and are what their key says.
    pub(crate) blocks: u64,
    /// Bytes in these blocks.
    pub(crate) bytes: u64,
    /// Blocks that are on no drive.
    pub(crate) missing: Vec<Finding>,
    /// Blocks of which no good copy could be read.
    pub(crate) damaged: Vec<Finding>,
    /// Blocks that may be on a drive that could not be asked.
    pub(crate) unreachable: Vec<Finding>,
    /// Bad copies of blocks of which another copy is good.
    pub(crate) bad_copies: Vec<Finding>,
    /// Files whose bytes are those of the local ones.
    pub(crate) files_equal: u64,
    /// One sentence for each thing that is not the same here and there.
    pub(crate) different: Vec<String>,
    /// Paths that are stored, and not here.
    pub(crate) only_stored: Vec<String>,
    /// Paths that are here, and not stored.
    pub(crate) only_here: Vec<String>,
}

/// A block with which something is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// Its key.
    pub(crate) key: Key,
    /// The file that it is part of; empty for the key that was given.
    pub(crate) path: String,
    /// What is wrong, in one sentence.
    pub(crate) reason: String,
}

/// The whole result, for programs.
#[derive(Serialize)]
struct Report<'a> {
    key: Key,
    against: Option<String>,
    ok: bool,
    seconds: f64,
    #[serde(flatten)]
    findings: &'a Findings,
}

impl Findings {
    /// Notes that a block cannot be had.
    ///
    /// # Errors
    /// The same error, where it says nothing about a block.
    pub(crate) fn add_failure(&mut self, key: Key, path: &str, error: Error) -> Result<(), Error> {
        let reason = error.to_string();
        let (key, class) = match error {
            Error::Absent { key, not_asked, .. } if not_asked.is_empty() => (key, &mut self.missing),
            Error::Absent { key, .. } => (key, &mut self.unreachable),
            Error::Unreadable { key, .. } => (key, &mut self.damaged),
            Error::Manifest { .. } => (key, &mut self.damaged),
            other => return Err(other),
        };
        class.push(Finding { key, path: path.to_owned(), reason });
        Ok(())
    }

    /// Notes that one copy of a good block is bad.
    pub(crate) fn add_bad_copy(&mut self, key: Key, path: &str, reason: &str) {
        self.bad_copies.push(Finding { key, path: path.to_owned(), reason: reason.to_owned() });
    }

    /// Adds what another part found.
    pub(crate) fn merge(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.bytes += other.bytes;
        self.missing.extend(other.missing);
        self.damaged.extend(other.damaged);
        self.unreachable.extend(other.unreachable);
        self.bad_copies.extend(other.bad_copies);
        self.files_equal += other.files_equal;
        self.different.extend(other.different);
        self.only_stored.extend(other.only_stored);
        self.only_here.extend(other.only_here);
    }

    /// The classes of what may be wrong, with how often it is.
    const fn classes(&self) -> [(&'static str, usize); 7] {
        [
            ("blocks missing", self.missing.len()),
            ("blocks damaged", self.damaged.len()),
            ("blocks on drives that could not be asked", self.unreachable.len()),
            ("bad copies of good blocks", self.bad_copies.len()),
            ("different", self.different.len()),
            ("stored, and not here", self.only_stored.len()),
            ("here, and not stored", self.only_here.len()),
        ]
    }

    /// Prints the result.
    ///
    /// # Errors
    /// Where something is wrong: the first class of it is named.
    pub(crate) fn report(
        &self,
        output: Output,
        key: Key,
        against: Option<&Path>,
        took: Duration,
    ) -> Result<(), Error> {
        let wrong = self.classes().into_iter().find(|(_, count)| *count > 0);
        if output.is_json() {
            let against = against.map(|path| path.display().to_string());
            let seconds = took.as_secs_f64();
            output.json(&Report { key, against, ok: wrong.is_none(), seconds, findings: self })?;
        } else {
            self.print(output, against.is_some(), took)?;
        }
        match wrong {
            None => Ok(()),
            Some((class, count)) => {
                Err(Error::Incomplete(format!("{key} is not as it should be: {class}: {count}")))
            }
        }
    }

    fn print(&self, output: Output, compared: bool, took: Duration) -> Result<(), Error> {
        let mut table = Table::new(&["RESULT", ">COUNT", ">SIZE", ">RATE"]);
        let rate = human_rate(self.bytes, took);
        table.row(["blocks good".into(), self.blocks.to_string(), human_bytes(self.bytes), rate]);
        if compared {
            table.row(["files equal".into(), self.files_equal.to_string(), String::new(), String::new()]);
        }
        for (index, (class, count)) in self.classes().into_iter().enumerate() {
            let about_blocks = index < 4;
            if about_blocks || compared {
                table.row([class.to_owned(), count.to_string(), String::new(), String::new()]);
            }
        }
        output.table(&table)?;
        let blocks = [
            ("missing", &self.missing),
            ("damaged", &self.damaged),
            ("not asked", &self.unreachable),
            ("bad copy", &self.bad_copies),
        ];
        for (word, findings) in blocks {
            let lines = findings.iter().map(|finding| {
                let of =
                    if finding.path.is_empty() { String::new() } else { format!(" of {}", finding.path) };
                format!("{word}: {}{of}: {}", finding.key, finding.reason)
            });
            tell(output, lines)?;
        }
        let names = [
            ("different", &self.different),
            ("stored, and not here", &self.only_stored),
            ("here, and not stored", &self.only_here),
        ];
        for (word, sentences) in names {
            tell(output, sentences.iter().map(|sentence| format!("{word}: {sentence}")))?;
        }
        Ok(())
    }
}

/// Writes the first lines, and how many there are more.
fn tell(output: Output, lines: impl ExactSizeIterator<Item = String>) -> Result<(), Error> {
    let more = lines.len().saturating_sub(TOLD_MAX);
    for line in lines.take(TOLD_MAX) {
        output.line(&line)?;
    }
    if more > 0 {
        output.line(&format!("... and {more} more: --json lists all"))?;
    }
    Ok(())
}
