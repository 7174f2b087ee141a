//! From local files to the drives.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Transport, blocking, next_of};
use crate::error::Error;
use crate::key::Key;
use crate::manifest::{self, BLOCK_BYTES, Cut, Entry, Manifest};
use crate::tree::{self, Found, FoundKind, Snapshot};

/// [`BLOCK_BYTES`] as manifests write it.
const BLOCK_SIZE: u32 = 4 << 20;
const _: () = assert!(BLOCK_SIZE as usize == BLOCK_BYTES);

/// A file that has been stored.
#[derive(Clone, Copy, Debug)]
struct StoredFile {
    key: Key,
    size: u64,
    manifest: bool,
}

/// A file or tree that has been stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// What `get` takes.
    pub(crate) key: Key,
    /// Regular files in it.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// One sentence for each thing that was left out; all have been told.
    pub(crate) left_out: Vec<String>,
}

/// Stores the file or directory at `path`; links are followed.
///
/// # Errors
/// Where there is nothing to store, or no drive takes a block.
pub(crate) async fn put(transport: &Transport, path: &Path) -> Result<Stored, Error> {
    let metadata = std::fs::metadata(path).map_err(|source| Error::local("read", path, source))?;
    if metadata.is_dir() {
        return put_tree(transport, path.to_owned()).await;
    }
    transport.progress().add_total(metadata.len());
    let stored = put_file(transport, path.to_owned(), true).await?;
    Ok(Stored { key: stored.key, files: 1, bytes: stored.size, left_out: Vec::new() })
}

async fn put_tree(transport: &Transport, root: PathBuf) -> Result<Stored, Error> {
    let mut left_out = LeftOut { transport, sentences: Vec::new() };
    let walked_root = root.clone();
    let (found, errors) = blocking(move || {
        let mut errors = Vec::new();
        tree::walk(&walked_root, &mut |error| errors.push(error)).map(|found| (found, errors))
    })
    .await??;
    errors.iter().for_each(|error| left_out.add(error));
    let size = |thing: &Found| if let FoundKind::File(size) = thing.kind { size } else { 0 };
    transport.progress().add_total(found.iter().map(size).fold(0, u64::saturating_add));
    let stored = put_files(transport, &root, &found, &mut left_out).await?;
    let (mut files, mut bytes) = (0, 0);
    let mut entries = Vec::with_capacity(found.len());
    for (thing, stored) in found.into_iter().zip(stored) {
        if let Some(stored) = stored {
            files += 1;
            bytes += stored.size;
        }
        entries.extend(entry(thing, stored));
    }
    let sentences = left_out.sentences;
    let encoded = blocking(move || manifest::encode(Manifest::Tree(entries)))
        .await?
        .map_err(|reason| Error::LocalRefused(format!("{} cannot be stored: {reason}", root.display())))?;
    let key = put_manifest(transport, encoded).await?;
    Ok(Stored { key, files, bytes, left_out: sentences })
}

/// Stores every file that was found; the answer has one place for each thing found.
async fn put_files(
    transport: &Transport,
    root: &Path,
    found: &[Found],
    left_out: &mut LeftOut<'_>,
) -> Result<Vec<Option<StoredFile>>, Error> {
    let mut stored = vec![None; found.len()];
    let mut files = found.iter().enumerate().filter(|(_, thing)| matches!(thing.kind, FoundKind::File(_)));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < transport.jobs() {
            let Some((index, thing)) = files.next() else { break };
            let (transport, path) = (transport.clone(), thing.path.below(root));
            tasks.spawn(async move { (index, put_file(&transport, path, false).await) });
        }
        let Some((index, outcome)) = next_of(&mut tasks).await? else { break };
        match outcome {
            Ok(file) => {
                if let Some(place) = stored.get_mut(index) {
                    *place = Some(file);
                }
            }
            Err(error @ (Error::Local { .. } | Error::LocalRefused(_))) => left_out.add(&error),
            Err(error) => return Err(error),
        }
    }
    Ok(stored)
}

/// What could not be stored, told at once and kept for the end.
struct LeftOut<'a> {
    transport: &'a Transport,
    sentences: Vec<String>,
}

impl LeftOut<'_> {
    fn add(&mut self, error: &Error) {
        let sentence = error.to_string();
        self.transport.progress().complain(&sentence);
        self.sentences.push(sentence);
    }
}

/// The manifest's line for a thing; nothing for a file that was left out.
fn entry(thing: Found, stored: Option<StoredFile>) -> Option<Entry> {
    let Found { path, kind, mode, mtime_s, mtime_ns } = thing;
    match kind {
        FoundKind::Dir => Some(Entry::Dir { path, mode, mtime_s, mtime_ns }),
        FoundKind::Symlink(target) => Some(Entry::Symlink { path, mtime_s, mtime_ns, target }),
        FoundKind::File(_) => {
            let StoredFile { key, size, manifest } = stored?;
            Some(Entry::File { path, mode, mtime_s, mtime_ns, size, key, manifest })
        }
    }
}

async fn put_file(transport: &Transport, path: PathBuf, follow: bool) -> Result<StoredFile, Error> {
    let _open = transport.file_permit().await?;
    let opened = path.clone();
    let (file, before) = blocking(move || {
        let file = tree::open_file(&opened, follow)?;
        let before = Snapshot::of(&file).map_err(|source| Error::local("look at", &opened, source))?;
        Ok::<_, Error>((Arc::new(file), before))
    })
    .await??;
    let (keys, size, has_magic) = put_content(transport, &file, &path, before.size).await?;
    let after = Snapshot::of(&file).map_err(|source| Error::local("look at", &path, source))?;
    if before != after || size != before.size {
        return Err(Error::LocalRefused(format!(
            "{} changed while it was being read and was left out: put it again when nothing writes to it",
            path.display()
        )));
    }
    if let ([key], false) = (keys.as_slice(), has_magic) {
        return Ok(StoredFile { key: *key, size, manifest: false });
    }
    let cut = Cut { size, block_size: BLOCK_SIZE, blocks: keys };
    let encoded = manifest::encode(Manifest::File(cut))
        .map_err(|reason| Error::LocalRefused(format!("{} cannot be stored: {reason}", path.display())))?;
    let key = put_manifest(transport, encoded).await?;
    Ok(StoredFile { key, size, manifest: true })
}

/// Stores a file block by block; tells the keys in order, the bytes, and whether it begins like a manifest.
async fn put_content(
    transport: &Transport,
    file: &Arc<File>,
    path: &Path,
    size_expected: u64,
) -> Result<(Vec<Key>, u64, bool), Error> {
    let mut tasks = JoinSet::new();
    let (mut keys, mut size, mut has_magic) = (Vec::new(), 0_u64, false);
    loop {
        let permit = transport.block_permit().await?;
        let source = Arc::clone(file);
        let remaining = usize::try_from(size_expected.saturating_sub(size)).unwrap_or(BLOCK_BYTES);
        let (key, bytes) = blocking(move || read_block(&source, remaining))
            .await?
            .map_err(|source| Error::local("read", path, source))?;
        if bytes.is_empty() && !keys.is_empty() {
            break;
        }
        if keys.is_empty() {
            has_magic = manifest::is_manifest(&bytes);
        }
        keys.push(key);
        size += bytes.len() as u64;
        let is_last = bytes.len() < BLOCK_BYTES;
        let transport = transport.clone();
        tasks.spawn(async move {
            let _permit = permit;
            transport.fleet().store(&key, &bytes).await?;
            transport.progress().advance(bytes.len() as u64);
            Ok::<_, Error>(())
        });
        while let Some(finished) = tasks.try_join_next() {
            finished.map_err(|_| super::stopped())??;
        }
        if is_last {
            break;
        }
    }
    while let Some(outcome) = next_of(&mut tasks).await? {
        outcome?;
    }
    Ok((keys, size, has_magic))
}

/// The next block of a file and its key; shorter than a block only at the file's end.
fn read_block(file: &File, remaining: usize) -> std::io::Result<(Key, Bytes)> {
    // One byte more than is expected, so that the end is found without growing the buffer.
    let mut bytes = Vec::with_capacity(remaining.saturating_add(1).min(BLOCK_BYTES));
    file.take(BLOCK_BYTES as u64).read_to_end(&mut bytes)?;
    let bytes = Bytes::from(bytes);
    Ok((Key::of(&bytes), bytes))
}

/// Stores an encoded manifest, cut as often as it takes, and tells its key.
async fn put_manifest(transport: &Transport, encoded: Bytes) -> Result<Key, Error> {
    let blocks =
        blocking(move || manifest::blocks_of(encoded, BLOCK_SIZE)).await?.map_err(Error::LocalRefused)?;
    let root = blocks.last().map(|(key, _)| *key);
    let mut tasks = JoinSet::new();
    for (key, bytes) in blocks {
        let permit = transport.block_permit().await?;
        let transport = transport.clone();
        tasks.spawn(async move {
            let _permit = permit;
            transport.fleet().store(&key, &bytes).await
        });
    }
    while let Some(outcome) = next_of(&mut tasks).await? {
        outcome?;
    }
    root.ok_or_else(super::stopped)
}
