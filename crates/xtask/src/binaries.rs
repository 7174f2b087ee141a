//! Our own programs, built by cargo.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::run_shown;
use crate::step::Step;
use crate::workspace::Workspace;

/// The packages whose programs run on a node or talk to one; each program is named as its package.
pub const PROGRAMS: [&str; 5] = ["imbrex-init", "imbrex-helper", "imbrex-agent", "imbrex-drive", "imbrexctl"];

/// The programs that are in the image.
pub const NODE_PROGRAMS: [&str; 4] = ["imbrex-init", "imbrex-helper", "imbrex-agent", "imbrex-drive"];

/// Builds every program; cargo knows what is up to date.
///
/// # Errors
/// Where cargo fails; what it said has been shown.
pub fn build(workspace: &Workspace) -> Result<()> {
    let step = Step::begin("Building the programs (some minutes the first time)");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root()).args(["build", "--release", "--quiet", "--locked"]);
    for package in PROGRAMS {
        command.args(["--package", package]);
    }
    run_shown(&mut command)?;
    step.done("");
    Ok(())
}

/// Each program with its size in bytes.
///
/// # Errors
/// Where one is not there.
pub fn sizes(workspace: &Workspace) -> Result<Vec<(&'static str, u64)>> {
    PROGRAMS
        .into_iter()
        .map(|name| {
            let path = workspace.program(name);
            let metadata =
                fs::metadata(&path).with_context(|| format!("{} was not built", path.display()))?;
            Ok((name, metadata.len()))
        })
        .collect()
}
