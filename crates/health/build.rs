//! Lists the notes of `firmware-notes/` for the compiler, so that a new file is in the binary without a list to keep.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-notes").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    // The order of a folder is the file system's: the same notes must give the same binary.
    files.sort();
    let mut source = String::from("&[\n");
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        writeln!(source, "({name:?}, {:?}),", fs::read_to_string(file)?).map_err(io::Error::other)?;
    }
    source.push_str("]\n");
    fs::write(Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("firmware_notes.rs"), source)
}
