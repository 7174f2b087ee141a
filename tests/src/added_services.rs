//! Services that a test has init keep: an archive behind the image's initrd, with their manifests and one program.
//!
//! The kernel unpacks archives that follow each other one after the other, so that the image stays as it is shipped.

use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use xtask::command::run_shown;
use xtask::cpio::Tree;
use xtask::image::Image;
use xtask::workspace::Workspace;

use crate::probe;

/// The program that every such service runs, and where it lies in the guest.
const PROGRAM: &str = "guest-service";
const PROGRAM_IN_GUEST: &str = "/usr/bin/guest-service";

/// The least program that ends well, for the verb `parent`: ten thousand of it are started in a test, and a runtime's own
/// start would take most of the time. An ELF header of 64 bytes, a program header of 56 (elf(5)), and `exit(0)` (syscalls(2):
/// number 60).
pub const LEAST_IN_GUEST: &str = "/usr/bin/exit-at-once";
const LEAST: [&[u8]; 11] = [
    b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
    // An executable for x86-64; entry point; where the program headers begin, and no sections.
    b"\x02\0\x3e\0\x01\0\0\0",
    b"\x78\0\x40\0\0\0\0\0",
    b"\x40\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    // Flags, and the sizes and counts of the headers.
    b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0",
    // To be loaded, read and executed: the whole file, at its address, with its length twice, aligned to a page.
    b"\x01\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0",
    b"\0\0\x40\0\0\0\0\0\0\0\x40\0\0\0\0\0",
    b"\x81\0\0\0\0\0\0\0\x81\0\0\0\0\0\0\0",
    b"\0\x10\0\0\0\0\0\0",
    // xor edi, edi; mov eax, 60
    b"\x31\xff\xb8\x3c\0\0\0",
    // syscall
    b"\x0f\x05",
];

/// Instead of its code, that of a program that never ends, as long as it: mov eax, 34; syscall (`pause`); and again.
const ENDLESS: [u8; 9] = *b"\xb8\x22\0\0\0\x0f\x05\xeb\xf7";

/// Where init looks for manifests.
const MANIFESTS: &str = "/usr/lib/imbrex/services";

/// Where the files lie in the guest that tell services to begin with what they are for.
pub const TRIGGERS: &str = "/run/imbrex-test";

/// The kernel looks for the next archive at a multiple of this.
const ALIGNMENT_BYTES: usize = 4;

/// One service of a test's own.
#[derive(Clone, Debug)]
pub struct AddedService {
    /// Its name.
    pub name: &'static str,
    /// The verb of `guest-service` with its words.
    pub verb: String,
    /// What its manifest says besides the command.
    pub manifest: &'static str,
}

impl AddedService {
    /// A service that begins with what it is for when its [`trigger`] appears.
    #[must_use]
    pub fn triggered(name: &'static str, verb: &str, manifest: &'static str) -> Self {
        let (verb, rest) = verb.split_once(' ').unwrap_or((verb, ""));
        Self { name, verb: format!("{verb} {} {rest}", trigger(name)), manifest }
    }

    /// The tests' own hand in the guest.
    #[must_use]
    pub fn probe() -> Self {
        // With children of its own by the thousand; nothing that it does is to be cut short by a limit.
        Self { name: "test-probe", verb: format!("probe {}", probe::PORT), manifest: "" }
    }

    fn manifest(&self) -> String {
        let words = self.verb.split_whitespace().map(|word| format!(", {word:?}"));
        format!("command = [{PROGRAM_IN_GUEST:?}{}]\n{}\n", words.collect::<String>(), self.manifest)
    }
}

/// Writes the initrd of an image that does not come up, in a file of `folder`: its PID 1 does nothing for ever.
///
/// # Errors
/// Where a file cannot be written.
pub fn initrd_that_hangs(folder: &Path) -> Result<PathBuf> {
    let (program, initrd) = (folder.join("endless"), folder.join("initrd-that-hangs"));
    let mut code = LEAST.concat();
    let place = code.len() - ENDLESS.len();
    code.splice(place.., ENDLESS);
    fs::write(&program, code).with_context(|| format!("cannot write {}", program.display()))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).context("cannot make it a program")?;
    let mut tree = Tree::default();
    tree.add_file("/init", &program)?;
    let file = File::create(&initrd).with_context(|| format!("cannot make {}", initrd.display()))?;
    tree.write(&mut BufWriter::new(file))?;
    Ok(initrd)
}

/// The file that tells a service of this name to begin.
#[must_use]
pub fn trigger(name: &str) -> String {
    format!("{TRIGGERS}/{name}")
}

/// The image with these services behind it, in files of `folder`.
///
/// # Errors
/// Where the program cannot be built or a file cannot be written.
pub fn add(workspace: &Workspace, image: &Image, services: &[AddedService], folder: &Path) -> Result<Image> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root()).args(["build", "--release", "--quiet", "--locked"]);
    run_shown(command.args(["--package", "imbrex-tests", "--bin", PROGRAM]))?;
    let mut tree = Tree::default();
    tree.add_file(PROGRAM_IN_GUEST, &workspace.program(PROGRAM))?;
    let least = folder.join("exit-at-once");
    fs::write(&least, LEAST.concat()).with_context(|| format!("cannot write {}", least.display()))?;
    fs::set_permissions(&least, fs::Permissions::from_mode(0o755)).context("cannot make it a program")?;
    tree.add_file(LEAST_IN_GUEST, &least)?;
    for service in services {
        let source = folder.join(format!("{}.toml", service.name));
        fs::write(&source, service.manifest())
            .with_context(|| format!("cannot write {}", source.display()))?;
        tree.add_file(&format!("{MANIFESTS}/{}.toml", service.name), &source)?;
    }
    let initrd = folder.join("initrd");
    fs::copy(&image.initrd, &initrd).with_context(|| format!("cannot copy {}", image.initrd.display()))?;
    let mut file = File::options().append(true).open(&initrd).context("cannot open the copied initrd")?;
    let length = usize::try_from(file.metadata().context("cannot look at the initrd")?.len())?;
    let padding = vec![0; length.next_multiple_of(ALIGNMENT_BYTES) - length];
    std::io::Write::write_all(&mut file, &padding).context("cannot write the initrd")?;
    tree.write(&mut BufWriter::new(file))?;
    Ok(Image { initrd, ..image.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_program_is_as_long_as_it_says_and_ends_well() {
        assert_eq!(LEAST.concat().len(), 0x81);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("least");
        fs::write(&path, LEAST.concat()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Command::new(&path).status().unwrap().success());
    }

    #[test]
    fn a_manifest_has_the_verbs_words_and_the_trigger_before_the_others() {
        let service = AddedService::triggered("storm", "storm 100", "[limits]\nmemory_max_mib = 8");
        assert_eq!(
            service.manifest(),
            "command = [\"/usr/bin/guest-service\", \"storm\", \"/run/imbrex-test/storm\", \"100\"]\n\
             [limits]\nmemory_max_mib = 8\n"
        );
    }
}
