//! The next image: fetched, handed to the kernel, and started by kexec, without the machine's firmware.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use imbrex_api::node::KexecOrder;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::{fetch_config, file};

/// A kernel and an initrd may be this long, in bytes each: those of the image are 40 MB together at most.
const FILE_BYTES_MAX: usize = 64 << 20;

/// Each of them may take this long on the way.
const FETCH_DEADLINE: Duration = Duration::from_secs(120);

/// The kernel has this long to take them.
const LOAD_DEADLINE: Duration = Duration::from_secs(30);

/// What the helper says is read up to this many bytes.
const OUTPUT_BYTES_MAX: u64 = 4096;

/// Loads next kernels, one at a time.
#[derive(Debug)]
pub(crate) struct NextKernel {
    helper: PathBuf,
    folder: PathBuf,
    turn: tokio::sync::Mutex<()>,
}

impl NextKernel {
    /// Will run `helper`, and keep what it fetches in `folder` until the kernel has it.
    pub(crate) fn new(helper: &Path, folder: &Path) -> Self {
        Self { helper: helper.to_owned(), folder: folder.to_owned(), turn: tokio::sync::Mutex::new(()) }
    }

    /// Fetches what the order names and hands it to the kernel.
    ///
    /// # Errors
    ///
    /// One sentence: another order is under way, a file cannot be fetched, or the kernel does not take it.
    pub(crate) async fn load(&self, order: &KexecOrder) -> Result<(), String> {
        let _turn = self.turn.try_lock().map_err(|_| "another image is just being loaded".to_owned())?;
        let (kernel, initrd) = (self.folder.join("next-kernel"), self.folder.join("next-initrd"));
        let loaded = async {
            std::fs::create_dir_all(&self.folder)
                .map_err(|error| format!("{} cannot be made: {error}", self.folder.display()))?;
            fetch(&order.kernel_url, &kernel).await?;
            fetch(&order.initrd_url, &initrd).await?;
            self.hand_over(&kernel, &initrd).await
        }
        .await;
        // The kernel has its own copy, and the node runs from memory.
        for path in [kernel, initrd] {
            std::fs::remove_file(path).ok();
        }
        loaded
    }

    async fn hand_over(&self, kernel: &Path, initrd: &Path) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{} cannot be run: {error}", self.helper.display());
        let mut child = Command::new(&self.helper)
            .arg("kexec-load")
            .args([kernel, initrd])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let mut said = String::new();
        let ending = async {
            if let Some(stderr) = child.stderr.take() {
                stderr.take(OUTPUT_BYTES_MAX).read_to_string(&mut said).await?;
            }
            child.wait().await
        };
        match tokio::time::timeout(LOAD_DEADLINE, ending).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(_)) => Err(said.trim().to_owned()),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(format!("the kernel did not take it within {} s", LOAD_DEADLINE.as_secs())),
        }
    }
}

async fn fetch(url: &str, path: &Path) -> Result<(), String> {
    let body = fetch_config::get(url, FETCH_DEADLINE, FILE_BYTES_MAX).await?;
    file::write_whole(path, &body).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
