//! Manifests: blocks that say which other blocks make up a file or a tree. MANIFEST.md draws them.
//!
//! Invariants:
//! - The bytes of a manifest begin with [`MAGIC`]; `put` keeps no file that begins so as a bare block.
//! - A manifest that [`decode`] returned is whole and consistent: as many keys as its size needs, every
//!   path below its root, every parent a directory that stands before it. Nothing past it need be trusted.
//! - Encoding is canonical: the same content has the same bytes, and so the same key.

use std::collections::HashMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::byte_text::ByteText;
use crate::key::Key;
use crate::relative_path::RelativePath;

/// Size of the blocks that a large file is cut into, in bytes.
pub(crate) const BLOCK_BYTES: usize = 4 << 20;
/// Largest block that a drive takes, in bytes.
pub(crate) const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Largest manifest, in bytes, before it is cut: it is held in memory, and memory is declared.
pub(crate) const MANIFEST_BYTES_MAX: usize = 1 << 30;
/// What the bytes of every manifest begin with.
pub(crate) const MAGIC: &[u8] = b"{\"imbrex-manifest\":";
/// The version that this program writes, and the only one that it reads.
pub(crate) const VERSION: u64 = 1;

/// A decoded manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manifest {
    /// The blocks, joined, are a file.
    File(Cut),
    /// The blocks, joined, are a manifest.
    Inner(Cut),
    /// A directory.
    Tree(Vec<Entry>),
}

/// Bytes that were cut into blocks of one size; only the last may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Bytes in all.
    pub(crate) size: u64,
    /// Bytes in each block but the last.
    pub(crate) block_size: u32,
    /// The keys, in order.
    pub(crate) blocks: Vec<Key>,
}

impl Cut {
    /// Bytes in block number `index`.
    pub(crate) fn block_bytes(&self, index: usize) -> u64 {
        let before = u64::from(self.block_size).saturating_mul(index as u64);
        self.size.saturating_sub(before).min(u64::from(self.block_size))
    }
}

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Entry {
    /// A directory; what lies in it follows.
    Dir { path: RelativePath, mode: u32, mtime_s: i64, mtime_ns: u32 },
    /// A regular file.
    File {
        path: RelativePath,
        mode: u32,
        mtime_s: i64,
        mtime_ns: u32,
        size: u64,
        key: Key,
        /// Whether `key` names a manifest; else the block holds the file's bytes themselves.
        manifest: bool,
    },
    /// A symbolic link.
    Symlink { path: RelativePath, mtime_s: i64, mtime_ns: u32, target: ByteText },
}

impl Entry {
    /// Where it is below the root.
    pub(crate) const fn path(&self) -> &RelativePath {
        match self {
            Self::Dir { path, .. } | Self::File { path, .. } | Self::Symlink { path, .. } => path,
        }
    }

    /// Bytes in it; none unless it is a file.
    pub(crate) const fn bytes(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Dir { .. } | Self::Symlink { .. } => 0,
        }
    }

    /// The word for what it is.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Dir { .. } => "dir",
            Self::File { .. } => "file",
            Self::Symlink { .. } => "symlink",
        }
    }
}

#[derive(Deserialize)]
struct Probe {
    #[serde(rename = "imbrex-manifest")]
    version: u64,
    kind: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EncodedCut<'a> {
    #[serde(rename = "imbrex-manifest")]
    version: u64,
    kind: &'a str,
    size: u64,
    block_size: u32,
    blocks: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EncodedTree<'a> {
    #[serde(rename = "imbrex-manifest")]
    version: u64,
    kind: &'a str,
    entries: Vec<Entry>,
}

/// Whether `bytes` are, or claim to be, a manifest.
pub(crate) fn is_manifest(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The canonical bytes of a manifest.
///
/// # Errors
/// A phrase, where the manifest is larger than [`MANIFEST_BYTES_MAX`].
pub(crate) fn encode(manifest: Manifest) -> Result<Bytes, String> {
    let cut = |kind, cut: Cut| {
        let Cut { size, block_size, blocks } = cut;
        serde_json::to_vec(&EncodedCut { version: VERSION, kind, size, block_size, blocks })
    };
    let bytes = match manifest {
        Manifest::File(file) => cut("file", file),
        Manifest::Inner(inner) => cut("manifest", inner),
        Manifest::Tree(entries) => {
            serde_json::to_vec(&EncodedTree { version: VERSION, kind: "tree", entries })
        }
    }
    .map_err(|error| error.to_string())?;
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(format!(
            "its manifest would have {} bytes, and {MANIFEST_BYTES_MAX} is the most: put it in several parts",
            bytes.len()
        ));
    }
    Ok(Bytes::from(bytes))
}

/// Reads a manifest that anybody may have written.
///
/// # Errors
/// A phrase that says why it is not used.
pub(crate) fn decode(bytes: &[u8]) -> Result<Manifest, String> {
    if !is_manifest(bytes) {
        return Err("it is no manifest: it does not begin with the magic of one".into());
    }
    let malformed = |error: serde_json::Error| format!("it is malformed: {error}");
    let probe: Probe = serde_json::from_slice(bytes).map_err(malformed)?;
    if probe.version != VERSION {
        return Err(format!(
            "it is of version {}, and this imbrexctl reads version {VERSION}: use one that is as new as the one \
             that wrote it",
            probe.version
        ));
    }
    let cut = || -> Result<Cut, String> {
        let encoded: EncodedCut<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
        let EncodedCut { size, block_size, blocks, .. } = encoded;
        check_cut(Cut { size, block_size, blocks })
    };
    match probe.kind.as_deref() {
        Some("file") => cut().map(Manifest::File),
        Some("manifest") => {
            let inner = cut()?;
            if inner.size > MANIFEST_BYTES_MAX as u64 {
                return Err(format!(
                    "it stands for a manifest of {} bytes, and {MANIFEST_BYTES_MAX} is the most",
                    inner.size
                ));
            }
            Ok(Manifest::Inner(inner))
        }
        Some("tree") => {
            let tree: EncodedTree<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
            check_tree(&tree.entries)?;
            Ok(Manifest::Tree(tree.entries))
        }
        Some(other) => Err(format!("it is of the kind {other:?}, which version {VERSION} does not have")),
        None => Err("it is malformed: it has no kind".into()),
    }
}

fn check_cut(cut: Cut) -> Result<Cut, String> {
    if cut.block_size == 0 || cut.block_size as usize > BLOCK_BYTES_MAX {
        return Err(format!("its block size of {} is not between 1 and {BLOCK_BYTES_MAX}", cut.block_size));
    }
    let needed = cut.size.div_ceil(u64::from(cut.block_size));
    if needed != cut.blocks.len() as u64 || needed == 0 {
        return Err(format!(
            "{} bytes in blocks of {} need {needed} keys, and it has {}",
            cut.size,
            cut.block_size,
            cut.blocks.len()
        ));
    }
    Ok(cut)
}

/// Every path once, and every parent a directory that came before: so nothing can lie below a link.
fn check_tree(entries: &[Entry]) -> Result<(), String> {
    let mut seen: HashMap<&[u8], bool> = HashMap::with_capacity(entries.len());
    for entry in entries {
        let path = entry.path();
        if let Some(parent) = path.parent()
            && seen.get(parent) != Some(&true)
        {
            return Err(format!("{path:?} in it does not lie in a directory that stands before it"));
        }
        if seen.insert(path.as_bytes(), matches!(entry, Entry::Dir { .. })).is_some() {
            return Err(format!("{path:?} is in it twice"));
        }
        check_entry(entry)?;
    }
    Ok(())
}

fn check_entry(entry: &Entry) -> Result<(), String> {
    let path = entry.path();
    let (Entry::Dir { mtime_ns, .. } | Entry::File { mtime_ns, .. } | Entry::Symlink { mtime_ns, .. }) =
        entry;
    if *mtime_ns >= 1_000_000_000 {
        return Err(format!("the time of {path:?} in it has {mtime_ns} nanoseconds"));
    }
    match entry {
        Entry::Dir { mode, .. } | Entry::File { mode, .. } if *mode > 0o7777 => {
            Err(format!("the mode of {path:?} in it is {mode:o}"))
        }
        Entry::File { size, manifest: false, .. } if *size > BLOCK_BYTES_MAX as u64 => {
            Err(format!("{path:?} in it has {size} bytes in one block"))
        }
        Entry::Symlink { target, .. } if target.as_bytes().is_empty() || target.as_bytes().contains(&0) => {
            Err(format!("the link {path:?} in it points to {target:?}"))
        }
        _ => Ok(()),
    }
}

/// The blocks that keep an encoded manifest, the one whose key stands for all of it last: itself where
/// it fits into `block_bytes`, else its parts and the blocks of the manifest that lists them.
///
/// # Errors
/// As [`encode`].
pub(crate) fn blocks_of(bytes: Bytes, block_bytes: u32) -> Result<Vec<(Key, Bytes)>, String> {
    let mut blocks = Vec::new();
    let mut whole = bytes;
    while whole.len() > block_bytes as usize {
        let mut keys = Vec::new();
        for start in (0..whole.len()).step_by(block_bytes as usize) {
            let part = whole.slice(start..whole.len().min(start + block_bytes as usize));
            let key = Key::of(&part);
            keys.push(key);
            blocks.push((key, part));
        }
        let size = whole.len() as u64;
        whole = encode(Manifest::Inner(Cut { size, block_size: block_bytes, blocks: keys }))?;
    }
    blocks.push((Key::of(&whole), whole));
    Ok(blocks)
}

#[cfg(test)]
mod tests;
