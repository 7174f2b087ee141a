//! `imbrexctl rm`.

use std::collections::HashSet;

use serde::Serialize;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::key::Key;
use crate::manifest::Entry;
use crate::options::Rm;
use crate::session::Session;
use crate::transfer::read::{Content, load, load_file};
use crate::transfer::{Transport, next_of};

/// What was deleted, for programs.
#[derive(Serialize)]
struct Report {
    items: Vec<Item>,
    failures: Vec<String>,
}

#[derive(Serialize)]
struct Item {
    key: Key,
    /// Keys that were on some drive.
    blocks: u64,
    /// Copies that were deleted, over all drives.
    copies: u64,
}

/// Deletes every key, and goes on where one fails.
///
/// # Errors
/// Where a key is on no drive, or a drive did not delete it.
pub(crate) async fn run(session: &Session, options: Rm) -> Result<(), Error> {
    let transport = session.transport("deleting").await?;
    let mut report = Report { items: Vec::new(), failures: Vec::new() };
    for key in &options.keys {
        match remove(&transport, key, options.recursive).await {
            Ok(item) => {
                if !session.output.is_json() {
                    session.output.line(&format!("{key}: {} deleted", count(item.blocks)))?;
                }
                report.items.push(item);
            }
            Err(error) => {
                let sentence = format!("{key} was not deleted: {error}");
                transport.progress().complain(&sentence);
                report.failures.push(sentence);
            }
        }
    }
    transport.progress().finish();
    if session.output.is_json() {
        session.output.json(&report)?;
    }
    match report.failures.len() {
        0 => Ok(()),
        failed => Err(Error::Incomplete(format!("{failed} of {} keys were not deleted", options.keys.len()))),
    }
}

fn count(blocks: u64) -> String {
    if blocks == 1 { "1 block".into() } else { format!("{blocks} blocks") }
}

async fn remove(transport: &Transport, key: &Key, recursive: bool) -> Result<Item, Error> {
    let (leaves, manifests) =
        if recursive { named_by(transport, key).await? } else { (Vec::new(), vec![*key]) };
    let mut item = Item { key: *key, blocks: 0, copies: 0 };
    // What a manifest names goes before the manifest, and the key itself last: should this be interrupted, the same
    // command can be given again.
    remove_all(transport, &leaves, &mut item).await?;
    for manifest in manifests.iter().rev() {
        remove_all(transport, std::slice::from_ref(manifest), &mut item).await?;
    }
    if item.blocks == 0 {
        let asked = transport.fleet().members().len();
        return Err(Error::Absent { key: *key, asked, not_asked: transport.fleet().not_asked().to_vec() });
    }
    Ok(item)
}

/// Every block under a key: those that hold files' bytes, and the manifests, each before what it names.
async fn named_by(transport: &Transport, key: &Key) -> Result<(Vec<Key>, Vec<Key>), Error> {
    let loaded = load(transport, key).await?;
    let mut manifests = loaded.manifests;
    let mut leaves = HashSet::new();
    match loaded.content {
        Content::Block(_) => {}
        Content::File(cut) => leaves.extend(cut.blocks),
        Content::Tree(entries) => {
            for entry in entries {
                let Entry::File { size, key, manifest, .. } = entry else { continue };
                match load_file(transport, &key, size, manifest).await {
                    Ok((cut, of_file)) => {
                        leaves.extend(cut.blocks);
                        manifests.extend(of_file.into_iter().flat_map(|loaded| loaded.manifests));
                    }
                    // An earlier, interrupted run deleted it, and before it what it named.
                    Err(Error::Absent { not_asked, .. }) if not_asked.is_empty() => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    manifests.iter().for_each(|manifest| {
        leaves.remove(manifest);
    });
    Ok((leaves.into_iter().collect(), manifests))
}

async fn remove_all(transport: &Transport, keys: &[Key], item: &mut Item) -> Result<(), Error> {
    let mut waiting = keys.iter().copied();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < transport.jobs() {
            let Some(key) = waiting.next() else { break };
            let transport = transport.clone();
            tasks.spawn(async move { transport.fleet().remove(&key).await });
        }
        let Some(outcome) = next_of(&mut tasks).await? else { return Ok(()) };
        let copies = outcome?;
        item.blocks += u64::from(copies > 0);
        item.copies += copies as u64;
    }
}
