//! Whether a guest runs on this machine's own processor, found out by running one.
//!
//! `/dev/kvm` may exist, open, and hang every guest for ever: nothing but a guest that has been seen to
//! run is believed. The finding is kept until this machine boots again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{until, wait};
use crate::image::Image;
use crate::step::Step;
use crate::workspace::Workspace;

/// How long the probe's guest may take; where KVM works it needs about two seconds.
const PROBE_TIME_MAX: Duration = Duration::from_secs(15);

/// What the kernel says once it has run through its whole start and found no root: proof enough that
/// timers, memory and interrupts work.
const PROOF: &str = "Kernel panic";

/// How QEMU runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// On the processor.
    Kvm,
    /// By translation: ten times slower, and everywhere.
    Tcg,
}

impl Accelerator {
    /// QEMU's arguments for it.
    #[must_use]
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => &["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG (no KVM that works on this machine)",
        }
    }

    /// The one to use on this machine, by a probe that runs once a boot.
    ///
    /// # Errors
    /// Where the probe's files cannot be written or QEMU cannot be started.
    pub fn find(workspace: &Workspace, image: &Image) -> Result<Self> {
        let path = workspace.output_folder("accelerator")?.join("finding");
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let finding = |name: &str| format!("{} {name}\n", boot.trim());
        let written = fs::read_to_string(&path).unwrap_or_default();
        if written == finding("kvm") {
            return Ok(Self::Kvm);
        }
        if written == finding("tcg") {
            return Ok(Self::Tcg);
        }
        let step = Step::begin("Probing whether a guest runs under KVM");
        let works = Path::new("/dev/kvm").exists() && probe(workspace, image)?;
        let (accelerator, name) = if works { (Self::Kvm, "kvm") } else { (Self::Tcg, "tcg") };
        fs::write(&path, finding(name)).with_context(|| format!("cannot write {}", path.display()))?;
        step.done(accelerator.name());
        Ok(accelerator)
    }
}

/// Runs the kernel alone under KVM, and tells whether it was heard within the time.
fn probe(workspace: &Workspace, image: &Image) -> Result<bool> {
    let folder = workspace.output_folder("accelerator")?;
    let serial = folder.join("serial.log");
    let _ = fs::remove_file(&serial);
    let mut child = Command::new("qemu-system-x86_64")
        .args(Accelerator::Kvm.arguments())
        .args([
            "-machine",
            "q35",
            "-m",
            "256",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(&image.kernel)
        .args(["-append", "console=ttyS0 panic=-1"])
        .arg("-serial")
        .arg(format!("file:{}", serial.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start qemu-system-x86_64")?;
    let heard = until(PROBE_TIME_MAX, || {
        let proof = fs::read(&serial).is_ok_and(|text| String::from_utf8_lossy(&text).contains(PROOF));
        let ended = child.try_wait().is_ok_and(|status| status.is_some());
        (proof || ended).then_some(proof)
    });
    wait(&mut child, Duration::ZERO, || {})?;
    Ok(heard.unwrap_or(false)
        || fs::read(&serial).is_ok_and(|text| String::from_utf8_lossy(&text).contains(PROOF)))
}
