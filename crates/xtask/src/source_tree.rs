//! The files that the demonstration stores, and the comparison of what comes back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::machine::fresh_folder;
use crate::stamp::files_below;
use crate::workspace::Workspace;

/// How much of a default tree is taken: what a translated guest stores and reads back in a minute or two. A
/// file costs about as much time as 50 KB do, so that both are bounded.
const DEFAULT_BYTES_MAX: u64 = 200_000_000;
const DEFAULT_FILES_MAX: usize = 1500;

/// What is compared at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A tree to store.
#[derive(Clone, Debug)]
pub struct SourceTree {
    /// Where it is.
    pub path: PathBuf,
    /// What was taken, for people.
    pub description: String,
}

impl SourceTree {
    /// The tree that a person named.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn named(path: &Path) -> Result<Self> {
        let path = path
            .canonicalize()
            .with_context(|| format!("{} is not there: name a file or a folder that is", path.display()))?;
        Ok(Self { description: path.display().to_string(), path })
    }

    /// The default: the project's own documentation where it has been built, else what this machine has in
    /// `/usr/share`; as much of it as the bounds allow, in a folder of its own.
    ///
    /// # Errors
    /// Where it cannot be read or copied.
    pub fn default_of(workspace: &Workspace) -> Result<Self> {
        let documentation = workspace.target().join("doc");
        let built = documentation.is_dir();
        let origin = if built { documentation } else { PathBuf::from("/usr/share") };
        let files = files_below_readable(&origin)?;
        let chosen = choose(&files);
        ensure!(!chosen.is_empty(), "{} holds no files: name a folder to store", origin.display());
        let staged = workspace.output_folder("run")?.join("source");
        fresh_folder(&staged)?;
        for (path, _) in &chosen {
            let relative = path.strip_prefix(&origin).context("a file lies outside of its folder")?;
            copy(path, &staged.join(relative))?;
        }
        let bytes: u64 = chosen.iter().map(|(_, size)| size).sum();
        let part = if chosen.len() == files.len() {
            String::from("all of it")
        } else {
            format!("{} of its {} files: the largest, and some of each size", chosen.len(), files.len())
        };
        Ok(Self {
            path: staged,
            description: format!("{} ({part}, {} MB)", origin.display(), bytes / 1_000_000),
        })
    }
}

/// Every file that this user can read, with its size.
fn files_below_readable(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let files = files_below(folder)?.into_iter();
    Ok(files
        .filter_map(|path| {
            let size = File::open(&path).ok()?.metadata().ok()?.size();
            Some((path, size))
        })
        .collect())
}

/// The largest files, as far as the bound of bytes allows, and of the others as many as the bound of files
/// allows, evenly picked: both long transfers and many small ones are seen.
fn choose(files: &[(PathBuf, u64)]) -> Vec<(PathBuf, u64)> {
    let mut by_size: Vec<&(PathBuf, u64)> = files.iter().collect();
    by_size.sort_by_key(|(path, size)| (std::cmp::Reverse(*size), path));
    let take =
        |files: &[&(PathBuf, u64)], step: usize, count_max: usize, bytes_max: u64| -> Vec<(PathBuf, u64)> {
            let mut left = bytes_max;
            let picked = files.iter().step_by(step.max(1)).filter(|(_, size)| {
                let fits = *size <= left;
                left = if fits { left - size } else { left };
                fits
            });
            picked.take(count_max).map(|file| (*file).clone()).collect()
        };
    let large_max = DEFAULT_FILES_MAX / 2;
    let (large, others) = by_size.split_at(by_size.len().min(large_max));
    let mut chosen = take(large, 1, large_max, DEFAULT_BYTES_MAX / 4 * 3);
    chosen.extend(take(others, others.len().div_ceil(large_max), large_max, DEFAULT_BYTES_MAX / 4));
    chosen.sort();
    chosen
}

fn copy(source: &Path, target: &Path) -> Result<()> {
    let folder = target.parent().context("a file lies in no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(source, target).map(drop).with_context(|| format!("cannot copy {}", source.display()))
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Files that are equal.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is at a path of a tree.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Folder,
    Link(PathBuf),
    File(u64),
    Other,
}

/// Compares two files or trees: the same names, the same kinds, the same bytes.
///
/// # Errors
/// At the first difference, which it names; or where something cannot be read.
pub fn compare(source: &Path, copy: &Path) -> Result<Compared> {
    let (expected, got) = (list(source)?, list(copy)?);
    for name in expected.keys().chain(got.keys()) {
        let (at_source, at_copy) = (expected.get(name), got.get(name));
        ensure!(
            at_source == at_copy,
            "{} is {} in the source and {} in what came back",
            name.display(),
            describe(at_source),
            describe(at_copy)
        );
    }
    let mut compared = Compared::default();
    for (name, item) in &expected {
        let Item::File(size) = item else { continue };
        // Joining an empty name would add a slash to a file's path.
        let join =
            |root: &Path| if name.as_os_str().is_empty() { root.to_path_buf() } else { root.join(name) };
        compare_files(&join(source), &join(copy))?;
        compared.files += 1;
        compared.bytes += size;
    }
    Ok(compared)
}

fn describe(item: Option<&Item>) -> String {
    match item {
        None => "absent".to_owned(),
        Some(Item::Folder) => "a folder".to_owned(),
        Some(Item::Link(target)) => format!("a link to {}", target.display()),
        Some(Item::File(size)) => format!("a file of {size} bytes"),
        Some(Item::Other) => "neither file, folder nor link".to_owned(),
    }
}

/// Everything at and below a path, by its name below it.
fn list(root: &Path) -> Result<BTreeMap<PathBuf, Item>> {
    let mut items = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(name) = waiting.pop() {
        let path = if name.as_os_str().is_empty() { root.to_path_buf() } else { root.join(&name) };
        let metadata =
            fs::symlink_metadata(&path).with_context(|| format!("cannot look at {}", path.display()))?;
        let item = if metadata.is_dir() {
            for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
                let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
                waiting.push(name.join(entry.file_name()));
            }
            Item::Folder
        } else if metadata.is_symlink() {
            Item::Link(fs::read_link(&path).with_context(|| format!("cannot read {}", path.display()))?)
        } else if metadata.is_file() {
            Item::File(metadata.len())
        } else {
            Item::Other
        };
        items.insert(name, item);
    }
    Ok(items)
}

fn compare_files(source: &Path, copy: &Path) -> Result<()> {
    let open = |path: &Path| {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok::<_, anyhow::Error>(BufReader::with_capacity(CHUNK_BYTES, file))
    };
    let (mut expected, mut got) = (open(source)?, open(copy)?);
    let (mut one, mut other) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let mut offset = 0_usize;
    loop {
        let count = expected.read(&mut one).with_context(|| format!("cannot read {}", source.display()))?;
        got.read_exact(&mut other[..count]).with_context(|| format!("{} is too short", copy.display()))?;
        if one[..count] != other[..count] {
            bail!("{} is not what was stored: it differs within {count} bytes at {offset}", copy.display());
        }
        if count == 0 {
            return Ok(());
        }
        offset += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for root in [&one, &other] {
            fs::create_dir_all(root.join("empty")).unwrap();
            fs::write(root.join("a"), b"abc").unwrap();
            std::os::unix::fs::symlink("a", root.join("link")).unwrap();
        }
        (folder, one, other)
    }

    #[test]
    fn equal_trees_are_equal_and_their_bytes_are_counted() {
        let (_folder, one, other) = trees();
        assert_eq!(compare(&one, &other).unwrap(), Compared { files: 1, bytes: 3 });
        assert_eq!(compare(&one.join("a"), &other.join("a")).unwrap(), Compared { files: 1, bytes: 3 });
    }

    #[test]
    fn a_flipped_bit_a_missing_file_a_further_folder_and_another_link_are_each_noticed() {
        type Damage = fn(&Path);
        let damages: [(Damage, &str); 4] = [
            (|root| fs::write(root.join("a"), b"abb").unwrap(), "not what was stored"),
            (|root| fs::remove_file(root.join("a")).unwrap(), "absent in what came back"),
            (|root| fs::create_dir(root.join("b")).unwrap(), "absent in the source"),
            (
                |root| {
                    fs::remove_file(root.join("link")).unwrap();
                    std::os::unix::fs::symlink("b", root.join("link")).unwrap();
                },
                "a link to b in what came back",
            ),
        ];
        for (damage, expected) in damages {
            let (_folder, one, other) = trees();
            damage(&other);
            let error = compare(&one, &other).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_is_picked_stays_within_the_bounds() {
        let files: Vec<(PathBuf, u64)> =
            (0..5000).map(|number| (PathBuf::from(number.to_string()), 1 << 20)).collect();
        let chosen = choose(&files);
        assert!(chosen.iter().map(|(_, size)| size).sum::<u64>() <= DEFAULT_BYTES_MAX);
        assert_eq!(chosen.len(), 143 + 47);
        let small: Vec<(PathBuf, u64)> = files.iter().map(|(path, _)| (path.clone(), 1)).collect();
        assert!((1000..=DEFAULT_FILES_MAX).contains(&choose(&small).len()));
        assert_eq!(choose(&small[..20]).len(), 20);
    }
}
