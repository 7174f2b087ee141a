//! From the drives: what a key names, and the blocks of a file in their order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::{Transport, blocking};
use crate::error::Error;
use crate::fleet::Fetched;
use crate::key::Key;
use crate::manifest::{self, BLOCK_BYTES_MAX, Cut, Manifest};

/// Largest block that a drive takes, as manifests write it.
const BLOCK_SIZE_MAX: u32 = 16 << 20;
const _: () = assert!(BLOCK_SIZE_MAX as usize == BLOCK_BYTES_MAX);

/// What a key names.
#[derive(Debug)]
pub(crate) enum Content {
    /// A block that holds a file's bytes themselves.
    Block(Bytes),
    /// A file in blocks.
    File(Cut),
    /// A directory.
    Tree(Vec<manifest::Entry>),
}

/// What a key names, and which blocks said so.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What it is.
    pub(crate) content: Content,
    /// The blocks that were read to learn it, the one with the key itself first.
    pub(crate) manifests: Vec<Key>,
    /// Bytes in these blocks.
    pub(crate) manifest_bytes: u64,
    /// Bad copies that were met on the way.
    pub(crate) bad_copies: Vec<(Key, String)>,
}

/// Learns what `key` names. A block without a manifest's magic is a file's bytes.
///
/// # Errors
/// Where a block cannot be had, or a manifest cannot be used.
pub(crate) async fn load(transport: &Transport, key: &Key) -> Result<Loaded, Error> {
    let Fetched { bytes, bad_copies } = transport.fleet().fetch(key).await?;
    let bad_copies: Vec<_> = bad_copies.into_iter().map(|reason| (*key, reason)).collect();
    let mut loaded = Loaded {
        content: Content::Block(bytes.clone()),
        manifests: vec![*key],
        manifest_bytes: bytes.len() as u64,
        bad_copies,
    };
    if !manifest::is_manifest(&bytes) {
        return Ok(loaded);
    }
    let mut encoded = bytes;
    loop {
        let decoded = blocking(move || manifest::decode(&encoded)).await?;
        match decoded.map_err(|reason| Error::Manifest { key: *key, reason })? {
            Manifest::Inner(inner) => encoded = join(transport, key, inner, &mut loaded).await?,
            Manifest::File(cut) => {
                loaded.content = Content::File(cut);
                return Ok(loaded);
            }
            Manifest::Tree(entries) => {
                loaded.content = Content::Tree(entries);
                return Ok(loaded);
            }
        }
    }
}

/// The blocks of a file in a tree: those that its manifest names, or the one that it is.
///
/// # Errors
/// Where the manifest cannot be had or used, or contradicts the tree.
pub(crate) async fn load_file(
    transport: &Transport,
    key: &Key,
    size: u64,
    manifest: bool,
) -> Result<(Cut, Option<Loaded>), Error> {
    if !manifest {
        return Ok((Cut { size, block_size: BLOCK_SIZE_MAX, blocks: vec![*key] }, None));
    }
    let mut loaded = load(transport, key).await?;
    let refused = |reason: String| Error::Manifest { key: *key, reason };
    match std::mem::replace(&mut loaded.content, Content::Block(Bytes::new())) {
        Content::File(cut) if cut.size == size => Ok((cut, Some(loaded))),
        Content::File(cut) => {
            Err(refused(format!("it stands for {} bytes where the tree says {size}", cut.size)))
        }
        Content::Block(_) | Content::Tree(_) => {
            Err(refused("the tree says that it is a file's, and it is not".into()))
        }
    }
}

/// Puts a manifest that was cut together again.
async fn join(transport: &Transport, root: &Key, cut: Cut, loaded: &mut Loaded) -> Result<Bytes, Error> {
    let mut joined = Vec::new();
    loaded.manifests.extend_from_slice(&cut.blocks);
    loaded.manifest_bytes += cut.size;
    let mut blocks = Blocks::new(transport.clone(), *root, cut);
    while let Some(mut block) = blocks.next().await? {
        let Fetched { bytes, bad_copies } = block.take()?;
        loaded.bad_copies.extend(bad_copies.into_iter().map(|reason| (block.key, reason)));
        joined.extend_from_slice(&bytes);
    }
    Ok(Bytes::from(joined))
}

/// The blocks of one file, in order, several of them under way at a time.
#[derive(Debug)]
pub(crate) struct Blocks {
    transport: Transport,
    root: Key,
    cut: Arc<Cut>,
    started: usize,
    under_way: VecDeque<JoinHandle<Block>>,
}

/// One block of a file.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its key.
    pub(crate) key: Key,
    /// Where it begins, in bytes from the file's start.
    pub(crate) offset: u64,
    /// Its bytes, checked against the key and of the length that the manifest needs.
    outcome: Option<Result<Fetched, Error>>,
    /// The right to hold the bytes.
    _permit: OwnedSemaphorePermit,
}

impl Block {
    /// The bytes, or why they cannot be had. They are taken once; the block itself is to be kept until they have
    /// gone, since it holds the right to have them in memory.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub(crate) fn take(&mut self) -> Result<Fetched, Error> {
        self.outcome.take().unwrap_or_else(|| Err(super::stopped()))
    }
}

impl Blocks {
    /// The blocks of `cut`, which the manifest `root` lists.
    pub(crate) fn new(transport: Transport, root: Key, cut: Cut) -> Self {
        Self { transport, root, cut: Arc::new(cut), started: 0, under_way: VecDeque::new() }
    }

    /// The next block; nothing at the end.
    ///
    /// # Errors
    /// Where the program is being stopped. What is wrong with a block is in the block.
    pub(crate) async fn next(&mut self) -> Result<Option<Block>, Error> {
        while self.under_way.len() < self.transport.jobs() && self.started < self.cut.blocks.len() {
            // Only who has nothing under way may wait for a permit: what is under way holds some.
            let permit = match Arc::clone(&self.transport.blocks).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) if self.under_way.is_empty() => self.transport.block_permit().await?,
                Err(_) => break,
            };
            self.start(permit);
        }
        let Some(first) = self.under_way.front_mut() else { return Ok(None) };
        let block = first.await.map_err(|_| super::stopped());
        self.under_way.pop_front();
        block.map(Some)
    }

    fn start(&mut self, permit: OwnedSemaphorePermit) {
        let index = self.started;
        let Some(key) = self.cut.blocks.get(index).copied() else { return };
        self.started += 1;
        let (transport, root, expected) = (self.transport.clone(), self.root, self.cut.block_bytes(index));
        let offset = u64::from(self.cut.block_size).saturating_mul(index as u64);
        self.under_way.push_back(tokio::spawn(async move {
            let outcome = transport.fleet().fetch(&key).await.and_then(|fetched| {
                if fetched.bytes.len() as u64 == expected {
                    return Ok(fetched);
                }
                let reason = format!(
                    "it says that the block {key} has {expected} bytes, and that has {}",
                    fetched.bytes.len()
                );
                Err(Error::Manifest { key: root, reason })
            });
            Block { key, offset, outcome: Some(outcome), _permit: permit }
        }));
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.under_way.iter().for_each(JoinHandle::abort);
    }
}
