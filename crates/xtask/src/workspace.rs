//! Where things are in the repository and under `target/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What a build of everything needs below `target/`, in bytes.
const FREE_BYTES_MIN: u64 = 4 << 30;

/// The repository on this machine.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The repository that this program was built from.
    ///
    /// # Errors
    /// Where the repository is no longer there.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().with_context(|| {
            format!("the repository that this program was built from is gone from {}", root.display())
        })?;
        Ok(Self { root })
    }

    /// The top folder of the repository.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder: where `CARGO_TARGET_DIR` says, since the cargo that is started here obeys it too.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }

    /// The folder, below the target folder, of everything that this program makes.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.target().join("imbrex")
    }

    /// The release build of one of our programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.target().join("x86_64-unknown-linux-gnu/release").join(name)
    }

    /// A folder below [`Self::output`], made where it is not there yet.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn output_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.output().join(name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(folder)
    }

    /// Holds `name` (the image, or the one guest that runs) for this process until the returned file is dropped,
    /// so that two commands at a time do not get in each other's way.
    ///
    /// # Errors
    /// Where the lock's file cannot be made or locked.
    pub fn lock(&self, name: &str) -> Result<File> {
        let path = self.output_folder("locks")?.join(name);
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(file)
    }

    /// Checks that the disk has room for a build and the emulated drives.
    ///
    /// # Errors
    /// One sentence with the figures where it has not.
    pub fn check_free_space(&self) -> Result<()> {
        let folder = self.output_folder("")?;
        let status = nix::sys::statvfs::statvfs(&folder)
            .with_context(|| format!("cannot ask for the free space of {}", folder.display()))?;
        let free_bytes = status.blocks_available().saturating_mul(status.fragment_size());
        if free_bytes < FREE_BYTES_MIN {
            bail!(
                "{} has {} MB free and this needs {} MB: make room, or set up the repository on another disk",
                folder.display(),
                free_bytes / 1_000_000,
                FREE_BYTES_MIN / 1_000_000
            );
        }
        Ok(())
    }
}
