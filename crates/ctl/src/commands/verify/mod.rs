//! `imbrexctl verify`.

mod findings;
mod local;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::error::Error;
use crate::key::Key;
use crate::manifest::{Cut, Entry};
use crate::options::Verify;
use crate::session::Session;
use crate::transfer::read::{Blocks, Content, Loaded, load, load_file};
use crate::transfer::{Transport, blocking, next_of};
use findings::Findings;
use local::LocalFile;

/// Reads back everything under a key, and compares it.
///
/// # Errors
/// Where anything is missing, damaged or different.
pub(crate) async fn run(session: &Session, options: Verify) -> Result<(), Error> {
    let Verify { key, against } = options;
    let transport = session.transport("verifying").await?;
    let start = Instant::now();
    let outcome = verify(&transport, key, against.as_deref()).await;
    transport.progress().finish();
    outcome?.report(session.output, key, against.as_deref(), start.elapsed())
}

async fn verify(transport: &Transport, key: Key, against: Option<&Path>) -> Result<Findings, Error> {
    let against = against.map(crate::tree::resolve).transpose()?;
    let mut findings = Findings::default();
    let loaded = match load(transport, &key).await {
        Ok(loaded) => loaded,
        Err(error) => {
            findings.add_failure(key, "", error)?;
            return Ok(findings);
        }
    };
    match &loaded.content {
        // The block is read again below, as a file's only one.
        Content::Block(_) => {}
        Content::File(_) | Content::Tree(_) => note_manifests(&mut findings, &loaded, ""),
    }
    match loaded.content {
        Content::Block(bytes) => {
            let (cut, _) = load_file(transport, &key, bytes.len() as u64, false).await?;
            verify_single(transport, key, cut, against, &mut findings).await?;
        }
        Content::File(cut) => verify_single(transport, key, cut, against, &mut findings).await?,
        Content::Tree(entries) => verify_tree(transport, entries, against, &mut findings).await?,
    }
    Ok(findings)
}

fn note_manifests(findings: &mut Findings, loaded: &Loaded, path: &str) {
    findings.blocks += loaded.manifests.len() as u64;
    findings.bytes += loaded.manifest_bytes;
    for (key, reason) in &loaded.bad_copies {
        findings.add_bad_copy(*key, path, reason);
    }
}

/// A key that stands for one file, against a local file.
async fn verify_single(
    transport: &Transport,
    key: Key,
    cut: Cut,
    against: Option<PathBuf>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let name = against.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let local = against.map(|path| LocalFile::open(&path, cut.size, true)).transpose()?;
    transport.progress().add_total(cut.size);
    findings.merge(verify_blocks(transport, key, cut, local, &name).await?);
    Ok(())
}

async fn verify_tree(
    transport: &Transport,
    entries: Vec<Entry>,
    against: Option<PathBuf>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let entries = Arc::new(entries);
    if let Some(root) = against.clone() {
        let listed = Arc::clone(&entries);
        let (lists, left_out) = blocking(move || local::compare_lists(&root, &listed)).await??;
        left_out.iter().for_each(|sentence| transport.progress().complain(sentence));
        findings.merge(lists);
    }
    transport.progress().add_total(entries.iter().map(Entry::bytes).fold(0, u64::saturating_add));
    let mut files = entries.iter().filter(|entry| matches!(entry, Entry::File { .. }));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < transport.jobs() {
            let Some(entry) = files.next() else { break };
            tasks.spawn(verify_file(transport.clone(), entry.clone(), against.clone()));
        }
        let Some(found) = next_of(&mut tasks).await? else { return Ok(()) };
        findings.merge(found?);
    }
}

/// One file of a tree.
async fn verify_file(transport: Transport, entry: Entry, root: Option<PathBuf>) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    let Entry::File { path, size, key, manifest, .. } = entry else { return Ok(findings) };
    let _open = transport.file_permit().await?;
    let name = path.to_string();
    let (cut, loaded) = match load_file(&transport, &key, size, manifest).await {
        Ok(loaded) => loaded,
        Err(error) => {
            findings.add_failure(key, &name, error)?;
            return Ok(findings);
        }
    };
    if let Some(loaded) = loaded {
        note_manifests(&mut findings, &loaded, &name);
    }
    // That it is not there, or no file, the lists have told.
    let local = root.and_then(|root| LocalFile::open(&path.below(&root), size, false).ok());
    findings.merge(verify_blocks(&transport, key, cut, local, &name).await?);
    Ok(findings)
}

/// Reads every block of a file, whatever is wrong with the ones before.
async fn verify_blocks(
    transport: &Transport,
    root: Key,
    cut: Cut,
    local: Option<LocalFile>,
    name: &str,
) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    let mut difference = local.as_ref().and_then(|local| local.size_difference(name));
    let local = local.map(Arc::new);
    let mut whole = true;
    let mut blocks = Blocks::new(transport.clone(), root, cut);
    while let Some(mut block) = blocks.next().await? {
        let (key, offset) = (block.key, block.offset);
        let fetched = match block.take() {
            Ok(fetched) => fetched,
            Err(error) => {
                whole = false;
                findings.add_failure(key, name, error)?;
                continue;
            }
        };
        findings.blocks += 1;
        findings.bytes += fetched.bytes.len() as u64;
        for reason in &fetched.bad_copies {
            findings.add_bad_copy(key, name, reason);
        }
        transport.progress().advance(fetched.bytes.len() as u64);
        if let (Some(local), None) = (local.clone(), &difference) {
            difference = blocking(move || local.difference(offset, &fetched.bytes)).await??;
        }
    }
    match (local, difference) {
        (Some(_), Some(difference)) => findings.different.push(difference),
        (Some(_), None) if whole => findings.files_equal += 1,
        _ => {}
    }
    Ok(findings)
}
