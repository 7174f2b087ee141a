//! Kernel and initrd in one UEFI program, for machines that boot one file: by HTTP, from a stick, or as
//! an entry of a boot menu.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::command::run_logged;
use crate::debian_tree::DebianTree;
use crate::image::Image;
use crate::step::Step;
use crate::workspace::Workspace;

/// The kernel's options in the one file. It has no configuration's URL, which every site has its own:
/// firmware or a boot menu may hand over other options where Secure Boot is off.
const KERNEL_OPTIONS: &str = "console=tty0 console=ttyS0,115200 panic=10";

/// Bound of a step that takes a second.
const TIME_MAX: Duration = Duration::from_secs(120);

/// Makes the file.
///
/// # Errors
/// Where ukify fails; the sentence has the end of what it said.
pub fn build(workspace: &Workspace, debian: &DebianTree, image: &Image, step: &mut Step) -> Result<()> {
    let tools = workspace.output().join("tools/root");
    let mut command = Command::new("/usr/bin/python3");
    command
        .env("PYTHONPATH", tools.join("usr/lib/python3/dist-packages"))
        .env("SOURCE_DATE_EPOCH", "0")
        .arg(tools.join("usr/lib/systemd/ukify"))
        .arg("build")
        .arg("--linux")
        .arg(&image.kernel)
        .arg("--initrd")
        .arg(&image.initrd)
        .args(["--cmdline", KERNEL_OPTIONS])
        .args(["--uname", &debian.kernel_release()?])
        .arg("--os-release")
        .arg(format!("@{}", workspace.root().join("image/overlay/etc/os-release").display()))
        .arg("--stub")
        .arg(debian.root.join("usr/lib/systemd/boot/efi/linuxx64.efi.stub"))
        .arg("--output")
        .arg(&image.unified);
    run_logged(&mut command, &image.folder.join("ukify.log"), step, TIME_MAX)
}
