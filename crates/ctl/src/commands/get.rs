//! `imbrexctl get`.

use std::time::Instant;

use serde::Serialize;

use crate::error::Error;
use crate::key::Key;
use crate::options::Get;
use crate::output;
use crate::session::Session;
use crate::size::{human_bytes, human_rate};
use crate::transfer::get::{Got, get};

/// What was fetched, for programs.
#[derive(Serialize)]
struct Report {
    key: Key,
    output: String,
    files: u64,
    bytes: u64,
    seconds: f64,
}

/// Fetches what a key names.
///
/// # Errors
/// Where a block cannot be had or the output cannot be written.
pub(crate) async fn run(session: &Session, options: Get) -> Result<(), Error> {
    let Get { key, output: target, force } = options;
    if session.output.is_json() && target.is_none() {
        return Err(Error::Usage("standard output cannot carry both the file and JSON: give -o PATH".into()));
    }
    let transport = session.transport("fetching").await?;
    let start = Instant::now();
    let outcome = get(&transport, &key, target.as_deref(), force).await;
    transport.progress().finish();
    let Got { files, bytes } = outcome?;
    let took = start.elapsed();
    let Some(target) = target else { return Ok(()) };
    let target = target.display().to_string();
    if session.output.is_json() {
        return session.output.json(&Report {
            key,
            output: target,
            files,
            bytes,
            seconds: took.as_secs_f64(),
        });
    }
    let noun = if files == 1 { "file" } else { "files" };
    output::say(&format!("{target}: {files} {noun}, {}, {}", human_bytes(bytes), human_rate(bytes, took)));
    Ok(())
}
