//! The shared libraries that the image's programs need, from their ELF headers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::elf::{DT_NEEDED, FileHeader64, PT_DYNAMIC, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, StringTable};

use crate::cpio::{Entry, Tree};

/// Where the dynamic loader looks, in order.
const FOLDERS: [&str; 2] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib"];

/// What one ELF file needs at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The dynamic loader, as an absolute path.
    pub loader: Option<String>,
    /// Names of shared libraries.
    pub libraries: Vec<String>,
}

/// Adds to `tree` every library that something in it needs, from the system below `root`, until nothing
/// is missing.
///
/// # Errors
/// Where a library is in neither, with the name of the file that needs it.
pub fn add_missing(tree: &mut Tree, root: &Path) -> Result<()> {
    let mut examined = BTreeSet::new();
    loop {
        let files: Vec<(String, std::path::PathBuf)> = tree
            .entries()
            .filter_map(|(path, entry)| match entry {
                Entry::File { source, .. } if !path.ends_with(".ko") && !examined.contains(path) => {
                    Some((path.to_owned(), source.clone()))
                }
                _ => None,
            })
            .collect();
        if files.is_empty() {
            return Ok(());
        }
        for (path, source) in files {
            let bytes = fs::read(&source)
                .with_context(|| format!("cannot read {} for the image", source.display()))?;
            let needs = needs(&bytes).with_context(|| format!("{path} in the image is a broken program"))?;
            for wanted in needs.loader.iter().chain(&needs.libraries) {
                add(tree, root, wanted).with_context(|| format!("{path} in the image needs {wanted}"))?;
            }
            examined.insert(path);
        }
    }
}

/// What the file needs; nothing where it is not ELF or is linked statically.
///
/// # Errors
/// Where it starts like an ELF file of this machine's kind and is broken further on.
pub fn needs(bytes: &[u8]) -> Result<Needs> {
    if !bytes.starts_with(b"\x7fELF") {
        return Ok(Needs::default());
    }
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, bytes)?;
    let mut needs = Needs::default();
    for segment in segments {
        if segment.p_type(endian) == PT_INTERP {
            let path = segment.interpreter(endian, bytes)?.unwrap_or_default();
            needs.loader = Some(String::from_utf8_lossy(path).into_owned());
        }
        if segment.p_type(endian) == PT_DYNAMIC {
            let sections = header.sections(endian, bytes)?;
            let Some((entries, strings_index)) = sections.dynamic(endian, bytes)? else { continue };
            let strings: StringTable<'_> = sections.strings(endian, bytes, strings_index)?;
            for entry in entries.iter().filter(|entry| entry.tag32(endian) == Some(DT_NEEDED)) {
                let name = entry.string(endian, strings)?;
                needs.libraries.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    Ok(needs)
}

fn add(tree: &mut Tree, root: &Path, wanted: &str) -> Result<()> {
    let candidates: Vec<String> = if wanted.starts_with('/') {
        vec![wanted.to_owned()]
    } else {
        FOLDERS.iter().map(|folder| format!("{folder}/{wanted}")).collect()
    };
    if candidates.iter().any(|path| matches!(tree.lookup(path), Some((_, Entry::File { .. })))) {
        return Ok(());
    }
    for path in &candidates {
        let relative = path.trim_start_matches('/');
        if fs::symlink_metadata(root.join(relative)).is_ok() {
            return tree.add_from(root, path);
        }
    }
    bail!(
        "it is neither in the image nor in the Debian tree; add the package that has it to image/mkosi.conf"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_is_static_and_needs_nothing_and_a_broken_one_is_told() {
        let bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(needs(&bytes).unwrap().libraries, Vec::<String>::new());
        assert_eq!(needs(b"#!/bin/sh").unwrap(), Needs::default());
        assert!(needs(&bytes[..40]).is_err());
    }

    #[test]
    fn a_program_of_the_machine_names_its_loader_and_libc() {
        let needs = needs(&fs::read("/bin/ls").unwrap()).unwrap();
        assert_eq!(needs.loader.as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
        assert!(needs.libraries.iter().any(|name| name == "libc.so.6"), "{needs:?}");
    }

    #[test]
    fn a_missing_library_fails_the_build_and_names_who_needs_it() {
        let mut tree = Tree::default();
        tree.add_file("/usr/bin/ls", Path::new("/bin/ls")).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let error = format!("{:#}", add_missing(&mut tree, empty.path()).unwrap_err());
        assert!(error.contains("/usr/bin/ls") && error.contains("ld-linux"), "{error}");
    }
}
