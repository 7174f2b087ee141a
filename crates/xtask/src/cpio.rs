//! An initrd's archive: the "newc" form of cpio, as the kernel's `Documentation/driver-api/early-userspace/
//! buffer-format.rst` describes it.
//!
//! The same tree gives the same bytes: entries are in the order of their paths, everything is owned by
//! root, and every time is 0.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Bits of a file's mode that say what it is.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// Links that are followed in a row before it is a circle.
const LINKS_MAX: usize = 16;

/// One thing in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A folder.
    Directory,
    /// A file, read from this machine when the archive is written.
    File {
        /// Where its content is.
        source: PathBuf,
        /// Whether it can be executed.
        executable: bool,
    },
    /// A symbolic link to this path.
    Link(String),
}

/// What an archive will hold, by absolute path.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Every path with what it is.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Adds a folder and those that it is in.
    pub fn add_directory(&mut self, path: &str) {
        self.add_parents(path);
        self.entries.entry(path.to_owned()).or_insert(Entry::Directory);
    }

    /// Adds a symbolic link.
    pub fn add_link(&mut self, path: &str, target: &str) {
        self.add_parents(path);
        self.entries.insert(path.to_owned(), Entry::Link(target.to_owned()));
    }

    /// Adds a file with the content and the executable bit of `source`.
    ///
    /// # Errors
    /// Where `source` cannot be looked at.
    pub fn add_file(&mut self, path: &str, source: &Path) -> Result<()> {
        let metadata = fs::metadata(source)
            .with_context(|| format!("{} is not there for the image", source.display()))?;
        let executable = metadata.permissions().mode() & 0o111 != 0;
        self.add_parents(path);
        self.entries.insert(path.to_owned(), Entry::File { source: source.to_path_buf(), executable });
        Ok(())
    }

    /// Adds what is at `path` below `root`: a file, a link with what it points at, or a folder with all
    /// that is in it.
    ///
    /// # Errors
    /// Where it is not there, or is none of these.
    pub fn add_from(&mut self, root: &Path, path: &str) -> Result<()> {
        let path = self.resolve_parents(path)?;
        let source = root.join(path.trim_start_matches('/'));
        let metadata = fs::symlink_metadata(&source)
            .with_context(|| format!("{path} is not in the tree {}", root.display()))?;
        if metadata.is_symlink() {
            let target = fs::read_link(&source).with_context(|| format!("cannot read the link {path}"))?;
            let target = target.to_str().with_context(|| format!("the link {path} points at no text"))?;
            self.add_link(&path, target);
            let target = join(&path, target);
            if !self.entries.contains_key(&target) {
                self.add_from(root, &target)?;
            }
            return Ok(());
        }
        if metadata.is_file() {
            return self.add_file(&path, &source);
        }
        if !metadata.is_dir() {
            bail!("{path} in the tree {} is neither a file, a link nor a folder", root.display());
        }
        self.add_directory(&path);
        for entry in fs::read_dir(&source).with_context(|| format!("cannot read {}", source.display()))? {
            let name = entry.with_context(|| format!("cannot read {}", source.display()))?.file_name();
            let name = name.to_str().with_context(|| format!("a name in {path} is not UTF-8"))?;
            self.add_from(root, &format!("{path}/{name}"))?;
        }
        Ok(())
    }

    /// The entry that a path leads to, links followed; `None` where it leads nowhere.
    #[must_use]
    pub fn lookup(&self, path: &str) -> Option<(&str, &Entry)> {
        let mut path = self.resolve_parents(path).ok()?;
        for _ in 0..LINKS_MAX {
            match self.entries.get_key_value(&path)? {
                (_, Entry::Link(target)) => path = self.resolve_parents(&join(&path, target)).ok()?,
                (path, entry) => return Some((path, entry)),
            }
        }
        None
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// Where a file cannot be read, is too large for the form, or `output` fails.
    pub fn write(&self, output: &mut impl Write) -> Result<()> {
        for (number, (path, entry)) in (1_u32..).zip(&self.entries) {
            let name = path.trim_start_matches('/');
            match entry {
                Entry::Directory => write_entry(output, number, name, DIRECTORY | 0o755, &[])?,
                Entry::Link(target) => write_entry(output, number, name, LINK | 0o777, target.as_bytes())?,
                Entry::File { source, executable } => {
                    let mode = if *executable { 0o755 } else { 0o644 };
                    let content = fs::read(source)
                        .with_context(|| format!("cannot read {} for the image", source.display()))?;
                    write_entry(output, number, name, REGULAR | mode, &content)?;
                }
            }
        }
        write_entry(output, 0, "TRAILER!!!", 0, &[])
    }

    fn add_parents(&mut self, path: &str) {
        let ends = path.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0);
        for end in ends {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry::Directory);
        }
    }

    /// The path with the links among its folders (`/bin` to `usr/bin`) followed.
    fn resolve_parents(&self, path: &str) -> Result<String> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            let linked =
                path.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0).find_map(|end| match self
                    .entries
                    .get(&path[..end])
                {
                    Some(Entry::Link(target)) => {
                        Some(format!("{}{}", join(&path[..end], target), &path[end..]))
                    }
                    _ => None,
                });
            match linked {
                Some(next) => path = next,
                None => return Ok(path),
            }
        }
        bail!("the links on the way to {path} go in a circle")
    }
}

/// The absolute path that a link at `path` points at.
fn join(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    if !target.starts_with('/') {
        parts.extend(path.split('/').filter(|part| !part.is_empty()));
        parts.pop();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn write_entry(output: &mut impl Write, number: u32, name: &str, mode: u32, content: &[u8]) -> Result<()> {
    let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large for an initrd"))?;
    let name_size = u32::try_from(name.len() + 1).with_context(|| format!("{name} is too long a name"))?;
    // In order: inode, mode, user, group, links, time, size, device and represented device (major and
    // minor of each), length of the name, checksum (unused in this form).
    let fields = [number, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    let mut header = String::from("070701");
    for field in fields {
        header.push_str(&format!("{field:08X}"));
    }
    let mut bytes = header.into_bytes();
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(0);
    pad(&mut bytes);
    bytes.extend_from_slice(content);
    pad(&mut bytes);
    output.write_all(&bytes).context("cannot write the initrd")
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_tree_gives_the_same_bytes_in_whatever_order_it_was_put_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"content").unwrap();
        let (mut one, mut other) = (Tree::default(), Tree::default());
        one.add_file("/usr/bin/a", &file).unwrap();
        one.add_link("/bin", "usr/bin");
        other.add_link("/bin", "usr/bin");
        other.add_file("/usr/bin/a", &file).unwrap();
        let bytes = |tree: &Tree| {
            let mut bytes = Vec::new();
            tree.write(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(bytes(&one), bytes(&other));
        assert!(bytes(&one).starts_with(b"070701"));
        assert_eq!(bytes(&one).len() % 4, 0);
    }

    #[test]
    fn a_link_among_the_folders_of_a_path_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let mut tree = Tree::default();
        tree.add_link("/lib64", "usr/lib64");
        tree.add_link("/usr/lib64/ld.so", "../lib/real.so");
        tree.add_file("/usr/lib/real.so", &file).unwrap();
        assert_eq!(tree.lookup("/lib64/ld.so").unwrap().0, "/usr/lib/real.so");
        assert!(tree.lookup("/lib64/other.so").is_none());
        tree.add_link("/circle", "circle");
        assert!(tree.lookup("/circle").is_none());
    }
}
