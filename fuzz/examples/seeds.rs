//! Writes the hand-made part of the corpus: a sound input for every structure and text, from which a fuzzer goes on.
//!
//! In the folder `fuzz`: `cargo run --release --example seeds -- corpus`

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("give the folder of the corpus"))?;
    for (target, name, bytes) in imbrex_fuzz::seeds::all() {
        let folder = Path::new(&folder).join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(format!("seed-{name}")), bytes)?;
    }
    Ok(())
}
