//! Standard output and standard error. A closed pipe ends the program quietly.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::Error;
use crate::table::Table;

/// Where results go, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// Tables for people, or JSON for programs.
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether a program reads the output.
    pub(crate) const fn is_json(self) -> bool {
        self.json
    }

    /// Writes one line.
    ///
    /// # Errors
    /// Where standard output cannot be written to.
    pub(crate) fn line(self, line: &str) -> Result<(), Error> {
        writeln!(io::stdout(), "{line}").map_err(Error::output)
    }

    /// Writes a table.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn table(self, table: &Table) -> Result<(), Error> {
        table.lines().iter().try_for_each(|line| self.line(line))
    }

    /// Writes a JSON object.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn json<T: Serialize>(self, value: &T) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(value).map_err(|error| Error::output(error.into()))?;
        self.line(&text)
    }
}

/// Tells a person something. Nobody is left to tell where standard error is closed.
pub(crate) fn say(sentence: &str) {
    let _closed = writeln!(io::stderr(), "{sentence}");
}

/// Tells a person of a failure or a danger.
pub(crate) fn complain(sentence: &str) {
    say(&format!("imbrexctl: {sentence}"));
}
