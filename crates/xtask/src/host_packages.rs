//! The Debian packages that this program needs on the developer's machine.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::command::{exists, run_shown};
use crate::step::Step;

/// How to tell that a package is there: a program in the path, or a file.
enum Sign {
    Program(&'static str),
    File(&'static str),
}

/// Each package, and the sign of it.
const PACKAGES: [(&str, Sign); 9] = [
    ("debian-archive-keyring", Sign::File("/usr/share/keyrings/debian-archive-keyring.gpg")),
    ("ipxe-qemu", Sign::File("/usr/lib/ipxe/qemu/pxe-virtio.rom")),
    ("kmod", Sign::Program("depmod")),
    ("python3", Sign::File("/usr/bin/python3")),
    ("qemu-system-x86", Sign::Program("qemu-system-x86_64")),
    ("seabios", Sign::File("/usr/share/seabios/bios-256k.bin")),
    ("tar", Sign::Program("tar")),
    ("xz-utils", Sign::Program("xz")),
    ("zstd", Sign::Program("zstd")),
];

/// Sees to it that every package is there: installs what is missing where this user may.
///
/// # Errors
/// Where something is missing and may not be installed: the sentence is the command to run.
pub fn ensure() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let Some(mut command) = installer() else {
        bail!("this needs packages that are not installed; run: sudo apt-get install {}", missing.join(" "));
    };
    let step = Step::begin(format!("Installing {}", missing.join(", ")));
    run_shown(command_with(&mut command, &["update"]))?;
    if let Some(mut command) = installer() {
        let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
        arguments.extend(&missing);
        run_shown(command_with(&mut command, &arguments))?;
    }
    step.done("");
    match self::missing().as_slice() {
        [] => Ok(()),
        still => bail!("apt-get installed its packages, and yet these are missing: {}", still.join(" ")),
    }
}

/// The packages that are not there.
fn missing() -> Vec<&'static str> {
    let mut missing: Vec<&'static str> = PACKAGES
        .iter()
        .filter(|(_, sign)| match sign {
            Sign::Program(program) => !exists(program),
            Sign::File(path) => !Path::new(path).exists(),
        })
        .map(|(package, _)| *package)
        .collect();
    // Without root, mkosi maps a range of users, and needs the helper that may do so.
    if !nix::unistd::geteuid().is_root() && !exists("newuidmap") {
        missing.push("uidmap");
    }
    missing
}

/// `apt-get` as this user may run it; `None` where it may not.
fn installer() -> Option<Command> {
    if nix::unistd::geteuid().is_root() {
        return Some(Command::new("apt-get"));
    }
    let allowed = Command::new("sudo")
        .args(["--non-interactive", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    allowed.then(|| {
        let mut command = Command::new("sudo");
        command.args(["--non-interactive", "apt-get"]);
        command
    })
}

fn command_with<'command>(command: &'command mut Command, arguments: &[&str]) -> &'command mut Command {
    // The output of apt-get goes to standard error, so that standard output stays the report's.
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .env("DEBIAN_FRONTEND", "noninteractive")
}
