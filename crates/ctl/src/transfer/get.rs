//! From the drives to local files.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::read::{Blocks, Content, load, load_file};
use super::stage::{self, StagedDir, StagedFile};
use super::{Transport, blocking, next_of};
use crate::error::Error;
use crate::key::Key;
use crate::manifest::{Cut, Entry};

/// What was fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    /// Regular files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// Fetches what `key` names to `output`, or to standard output.
///
/// # Errors
/// Where a block cannot be had or the output cannot be written; then no output is left under its name.
pub(crate) async fn get(
    transport: &Transport,
    key: &Key,
    output: Option<&Path>,
    replace: bool,
) -> Result<Got, Error> {
    let loaded = load(transport, key).await?;
    let bytes = match &loaded.content {
        Content::Block(bytes) => bytes.len() as u64,
        Content::File(cut) => cut.size,
        Content::Tree(entries) => return get_tree(transport, key, entries, output).await,
    };
    transport.progress().add_total(bytes);
    let staged = output.map(|path| StagedFile::create(path, replace)).transpose()?;
    let sink = match (&staged, output) {
        (Some(staged), Some(path)) => Sink::File(Arc::new(staged.handle()?), path.to_owned()),
        _ => Sink::Standard,
    };
    match loaded.content {
        Content::Block(block) => {
            transport.progress().advance(block.len() as u64);
            sink.write(block).await?;
        }
        Content::File(cut) => copy(transport, key, cut, &sink).await?,
        Content::Tree(_) => {}
    }
    if let Some(staged) = staged {
        staged.finish()?;
    }
    Ok(Got { files: 1, bytes })
}

/// Where a file's bytes go, in order.
#[derive(Clone, Debug)]
enum Sink {
    Standard,
    File(Arc<File>, PathBuf),
}

impl Sink {
    async fn write(&self, bytes: Bytes) -> Result<(), Error> {
        let sink = self.clone();
        blocking(move || match sink {
            Self::Standard => {
                let mut out = std::io::stdout().lock();
                out.write_all(&bytes).and_then(|()| out.flush()).map_err(Error::output)
            }
            Self::File(file, path) => {
                (&*file).write_all(&bytes).map_err(|source| Error::local("write", &path, source))
            }
        })
        .await?
    }
}

async fn copy(transport: &Transport, root: &Key, cut: Cut, sink: &Sink) -> Result<(), Error> {
    let mut blocks = Blocks::new(transport.clone(), *root, cut);
    while let Some(mut block) = blocks.next().await? {
        let fetched = block.take()?;
        for reason in &fetched.bad_copies {
            transport.progress().complain(&format!("a bad copy of {} was passed over: {reason}", block.key));
        }
        let length = fetched.bytes.len() as u64;
        sink.write(fetched.bytes).await?;
        transport.progress().advance(length);
    }
    Ok(())
}

async fn get_tree(
    transport: &Transport,
    key: &Key,
    entries: &[Entry],
    output: Option<&Path>,
) -> Result<Got, Error> {
    let target = output
        .ok_or_else(|| Error::Usage(format!("{key} is a directory: name one to write it to with -o DIR")))?;
    let staged = StagedDir::create(target)?;
    let root = staged.path().to_owned();
    let mut got = Got { files: 0, bytes: 0 };
    for entry in entries {
        match entry {
            Entry::Dir { path, .. } => {
                let full = path.below(&root);
                fs::create_dir(&full).map_err(|source| Error::local("create", &full, source))?;
            }
            Entry::File { size, .. } => {
                got.files += 1;
                got.bytes = got.bytes.saturating_add(*size);
            }
            Entry::Symlink { .. } => {}
        }
    }
    transport.progress().add_total(got.bytes);
    get_files(transport, &root, entries).await?;
    make_links(&root, entries)?;
    staged.finish()?;
    restore_dirs(target, entries)?;
    Ok(got)
}

async fn get_files(transport: &Transport, root: &Path, entries: &[Entry]) -> Result<(), Error> {
    let mut files = entries.iter().filter(|entry| matches!(entry, Entry::File { .. }));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < transport.jobs() {
            let Some(entry) = files.next() else { break };
            tasks.spawn(get_file(transport.clone(), root.to_owned(), entry.clone()));
        }
        let Some(outcome) = next_of(&mut tasks).await? else { return Ok(()) };
        outcome?;
    }
}

async fn get_file(transport: Transport, root: PathBuf, entry: Entry) -> Result<(), Error> {
    let Entry::File { path, mode, mtime_s, mtime_ns, size, key, manifest } = entry else { return Ok(()) };
    let _open = transport.file_permit().await?;
    let (cut, _) = load_file(&transport, &key, size, manifest).await?;
    let full = path.below(&root);
    let file = Arc::new(stage::create_new(&full)?);
    copy(&transport, &key, cut, &Sink::File(Arc::clone(&file), full.clone())).await?;
    stage::restore(&file, &full, mode, (mtime_s, mtime_ns))
}

/// Links come when no file is written any more.
fn make_links(root: &Path, entries: &[Entry]) -> Result<(), Error> {
    for entry in entries {
        if let Entry::Symlink { path, mtime_s, mtime_ns, target } = entry {
            stage::symlink(target.as_path(), &path.below(root), (*mtime_s, *mtime_ns))?;
        }
    }
    Ok(())
}

/// Directories' modes and times come when nothing changes or moves in them any more, the innermost first.
fn restore_dirs(root: &Path, entries: &[Entry]) -> Result<(), Error> {
    for entry in entries.iter().rev() {
        if let Entry::Dir { path, mode, mtime_s, mtime_ns } = entry {
            stage::restore_dir(&path.below(root), *mode, (*mtime_s, *mtime_ns))?;
        }
    }
    Ok(())
}
