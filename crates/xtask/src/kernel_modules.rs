//! The kernel modules of the image: those named and those they need, decompressed.
//!
//! Decompressed, because the initrd as a whole compresses them better than each for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::output_of;

/// Lists beside the modules that `depmod` and `modprobe` read.
const LISTS: [&str; 4] = ["modules.builtin", "modules.builtin.modinfo", "modules.order", "modules.softdep"];

/// What depends on what, from `modules.dep` and `modules.softdep`.
#[derive(Debug, Default)]
pub struct Dependencies {
    /// By a module's name: its path, and the paths of all that it needs.
    hard: BTreeMap<String, (String, Vec<String>)>,
    /// By a module's name: modules that it wants where they are there.
    soft: BTreeMap<String, Vec<String>>,
    built_in: BTreeSet<String>,
}

impl Dependencies {
    /// Reads them from the folder of one kernel's modules.
    ///
    /// # Errors
    /// Where a list is missing.
    pub fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Self::parse(&read("modules.dep")?, &read("modules.softdep")?, &read("modules.builtin")?))
    }

    fn parse(hard: &str, soft: &str, built_in: &str) -> Self {
        let mut dependencies = Self::default();
        for line in hard.lines() {
            let Some((path, needed)) = line.split_once(':') else { continue };
            let needed = needed.split_whitespace().map(str::to_owned).collect();
            dependencies.hard.insert(name(path), (path.to_owned(), needed));
        }
        for line in soft.lines() {
            let mut words = line.split_whitespace();
            if let (Some("softdep"), Some(module)) = (words.next(), words.next()) {
                let wanted = words.filter(|word| !word.ends_with(':')).map(str::to_owned);
                dependencies.soft.entry(name(module)).or_default().extend(wanted);
            }
        }
        dependencies.built_in = built_in.lines().map(name).collect();
        dependencies
    }

    /// The paths of the named modules and of all that they need, below the kernel's folder.
    ///
    /// # Errors
    /// Where a named module does not exist.
    pub fn closure<'names>(&self, names: impl Iterator<Item = &'names str>) -> Result<BTreeSet<String>> {
        let mut paths = BTreeSet::new();
        let mut waiting: Vec<String> = Vec::new();
        for wanted in names {
            let wanted = name(wanted);
            if !self.hard.contains_key(&wanted) && !self.built_in.contains(&wanted) {
                bail!("the kernel has no module {wanted}: correct image/contents.toml");
            }
            waiting.push(wanted);
        }
        while let Some(wanted) = waiting.pop() {
            // A soft dependency may be built in, an alias or nothing at all.
            let Some((path, needed)) = self.hard.get(&wanted) else { continue };
            if paths.insert(path.clone()) {
                waiting.extend(needed.iter().map(|path| name(path)));
                waiting.extend(self.soft.get(&wanted).into_iter().flatten().map(|wanted| name(wanted)));
            }
        }
        Ok(paths)
    }
}

/// The name of a module from its file's path, as the kernel compares names.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// Puts the named modules of one kernel, and what they need, below `root` (a system's root), ready for
/// `modprobe`.
///
/// # Errors
/// Where a module does not exist, or cannot be decompressed or written.
pub fn install<'names>(
    debian: &Path,
    release: &str,
    names: impl Iterator<Item = &'names str>,
    root: &Path,
) -> Result<usize> {
    let relative = format!("usr/lib/modules/{release}");
    let (from, to) = (debian.join(&relative), root.join(&relative));
    let dependencies = Dependencies::read(&from)?;
    let paths = dependencies.closure(names)?;
    for path in &paths {
        let target = to.join(path.trim_end_matches(".xz"));
        let folder = target.parent().context("a module lies in no folder")?;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let source = from.join(path);
        let content = if path.ends_with(".xz") {
            output_of(Command::new("xz").args(["--decompress", "--stdout"]).arg(&source))?
        } else {
            fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?
        };
        fs::write(&target, content).with_context(|| format!("cannot write {}", target.display()))?;
    }
    for list in LISTS {
        fs::copy(from.join(list), to.join(list))
            .with_context(|| format!("cannot copy {list} of the kernel"))?;
    }
    // depmod looks for lib/modules, which is a link in a merged system.
    let link = root.join("lib");
    std::os::unix::fs::symlink("usr/lib", &link)
        .with_context(|| format!("cannot make {}", link.display()))?;
    output_of(Command::new("depmod").arg("--basedir").arg(root).arg(release))?;
    fs::remove_file(&link).with_context(|| format!("cannot remove {}", link.display()))?;
    Ok(paths.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependencies() -> Dependencies {
        Dependencies::parse(
            "kernel/a/one.ko.xz: kernel/b/two-x.ko.xz\nkernel/b/two-x.ko.xz:\nkernel/c/three.ko.xz:\n",
            "# comment\nsoftdep two_x pre: three crypto-whatever\n",
            "kernel/d/inside.ko\n",
        )
    }

    #[test]
    fn a_module_brings_what_it_needs_and_what_it_wants() {
        let paths = dependencies().closure(["one"].into_iter()).unwrap();
        let expected = ["kernel/a/one.ko.xz", "kernel/b/two-x.ko.xz", "kernel/c/three.ko.xz"];
        assert_eq!(paths.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_module_that_is_built_in_brings_nothing_and_one_that_does_not_exist_is_an_error() {
        assert!(dependencies().closure(["inside"].into_iter()).unwrap().is_empty());
        let error = dependencies().closure(["four"].into_iter()).unwrap_err().to_string();
        assert!(error.contains("no module four"), "{error}");
    }
}
