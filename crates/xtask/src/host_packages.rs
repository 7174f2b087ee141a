//! The Debian packages that this program needs on the developer's machine.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::command::{exists, run_shown};
use crate::step::Step;

/// How to tell that a package is there: a program in the path, a file, or a library whose name begins so.
enum Sign {
    Program(&'static str),
    File(&'static str),
    Library(&'static str),
}

/// Where Debian keeps libraries.
const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// Each package, and the sign of it.
const PACKAGES: [(&str, Sign); 10] = [
    ("debian-archive-keyring", Sign::File("/usr/share/keyrings/debian-archive-keyring.gpg")),
    // What compiles libFuzzer.
    ("g++", Sign::Program("c++")),
    ("ipxe-qemu", Sign::File("/usr/lib/ipxe/qemu/pxe-virtio.rom")),
    ("kmod", Sign::Program("depmod")),
    ("python3", Sign::File("/usr/bin/python3")),
    ("qemu-system-x86", Sign::Program("qemu-system-x86_64")),
    ("seabios", Sign::File("/usr/share/seabios/bios-256k.bin")),
    ("tar", Sign::Program("tar")),
    ("xz-utils", Sign::Program("xz")),
    ("zstd", Sign::Program("zstd")),
];

/// What `cargo xtask bench` needs: the limit of a disk, file systems to compare with, and what compiles RocksDB.
const BENCH_PACKAGES: [(&str, Sign); 8] = [
    ("clang", Sign::Program("clang")),
    ("cmake", Sign::Program("cmake")),
    ("e2fsprogs", Sign::Program("mkfs.ext4")),
    ("fio", Sign::Program("fio")),
    ("g++", Sign::Program("c++")),
    ("libclang-dev", Sign::Library("libclang-")),
    ("mount", Sign::Program("losetup")),
    ("xfsprogs", Sign::Program("mkfs.xfs")),
];

/// Sees to it that every package is there: installs what is missing where this user may.
///
/// # Errors
/// Where something is missing and may not be installed: the sentence is the command to run.
pub fn ensure() -> Result<()> {
    ensure_that(missing)
}

/// As [`ensure`], for what the benchmark needs and nothing else does.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_bench() -> Result<()> {
    ensure_that(|| missing_of(&BENCH_PACKAGES))
}

fn ensure_that(what_is_missing: impl Fn() -> Vec<&'static str>) -> Result<()> {
    let missing = what_is_missing();
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
    match what_is_missing().as_slice() {
        [] => Ok(()),
        still => bail!("apt-get installed its packages, and yet these are missing: {}", still.join(" ")),
    }
}

/// The packages that are not there.
fn missing() -> Vec<&'static str> {
    let mut missing = missing_of(&PACKAGES);
    // Without root, mkosi maps a range of users, and needs the helper that may do so.
    if !nix::unistd::geteuid().is_root() && !exists("newuidmap") {
        missing.push("uidmap");
    }
    missing
}

fn missing_of(packages: &[(&'static str, Sign)]) -> Vec<&'static str> {
    let is_missing = |sign: &Sign| match sign {
        Sign::Program(program) => !exists(program),
        Sign::File(path) => !Path::new(path).exists(),
        Sign::Library(prefix) => !fs::read_dir(LIBRARIES).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        }),
    };
    packages.iter().filter(|(_, sign)| is_missing(sign)).map(|(package, _)| *package).collect()
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
