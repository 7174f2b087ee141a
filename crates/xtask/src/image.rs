//! The image: one kernel, one initrd, and both in one file for machines that boot by UEFI.
//!
//! The initrd is two archives in a row. The first is Debian's part and changes when `image/` does; the
//! second is our programs, so that a change to one of them is packed in seconds.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::binaries::NODE_PROGRAMS;
use crate::command::run_logged;
use crate::contents::Contents;
use crate::cpio::{Entry, Tree};
use crate::debian_tree::{self, DebianTree};
use crate::kernel_modules;
use crate::shared_libraries;
use crate::stamp::{self, Inputs};
use crate::step::Step;
use crate::unified_kernel;
use crate::workspace::Workspace;

/// Largest kernel and initrd together: what a server fetches at each boot.
pub const KERNEL_AND_INITRD_BYTES_MAX: u64 = 40_000_000;

const KERNEL: &str = "vmlinuz";
const INITRD: &str = "initrd.zst";
const UNIFIED: &str = "imbrex.efi";
const DIGESTS: &str = "SHA256SUMS";

/// Packing takes seconds; this bounds a machine that hardly runs.
const COMPRESSION_TIME_MAX: Duration = Duration::from_secs(600);

/// Folders that are there for what is mounted or written at run time.
const FOLDERS: [&str; 9] = [
    "/dev",
    "/proc",
    "/run",
    "/sys",
    "/tmp",
    "/usr/lib/dhcpcd",
    "/var/lib/chrony",
    "/var/lib/dhcpcd",
    "/var/log",
];

/// Links that make the tree look as programs expect.
const LINKS: [(&str, &str); 6] = [
    ("/bin", "usr/bin"),
    ("/lib", "usr/lib"),
    ("/lib64", "usr/lib64"),
    ("/sbin", "usr/sbin"),
    ("/usr/lib64", "lib/x86_64-linux-gnu"),
    ("/var/run", "../run"),
];

/// The image's files.
#[derive(Clone, Debug)]
pub struct Image {
    /// The folder that they are in.
    pub folder: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
    /// The initrd.
    pub initrd: PathBuf,
    /// Kernel and initrd as one UEFI program.
    pub unified: PathBuf,
}

impl Image {
    fn in_folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            kernel: folder.join(KERNEL),
            initrd: folder.join(INITRD),
            unified: folder.join(UNIFIED),
        }
    }

    /// The image in a folder, with every file compared with the digest that its build wrote.
    ///
    /// # Errors
    /// One sentence where a file is missing or is not what the build wrote.
    pub fn open(folder: &Path) -> Result<Self> {
        let image = Self::in_folder(folder);
        let digests = fs::read_to_string(folder.join(DIGESTS)).with_context(|| {
            format!("{} holds no image: run `cargo xtask image` to build one", folder.display())
        })?;
        for name in [KERNEL, INITRD, UNIFIED] {
            let path = folder.join(name);
            let line = digests.lines().find(|line| line.ends_with(name)).unwrap_or_default();
            let digest = stamp::hexadecimal(&stamp::file_digest(&path)?);
            ensure!(
                line.starts_with(&digest),
                "{} is damaged ({} bytes, and not the bytes that the build wrote): run `cargo xtask image` \
                 to build it again",
                path.display(),
                fs::metadata(&path).map_or(0, |metadata| metadata.len())
            );
        }
        Ok(image)
    }

    /// Sizes in bytes of the kernel, the initrd and the file of both.
    ///
    /// # Errors
    /// Where a file is not there.
    pub fn sizes(&self) -> Result<[u64; 3]> {
        let size = |path: &Path| {
            fs::metadata(path)
                .map(|metadata| metadata.len())
                .with_context(|| format!("cannot look at {}", path.display()))
        };
        Ok([size(&self.kernel)?, size(&self.initrd)?, size(&self.unified)?])
    }
}

/// Builds the image where it is not up to date; the programs must have been built.
///
/// # Errors
/// Where a part cannot be had, is missing, is forbidden, or the whole is too large.
pub fn build(workspace: &Workspace) -> Result<Image> {
    let _lock = workspace.lock("image")?;
    workspace.check_free_space()?;
    let debian = debian_tree::build(workspace)?;
    let base = build_base(workspace, &debian)?;
    let folder = workspace.output_folder("image")?;
    let image = Image::in_folder(&folder);
    let mut inputs = Inputs::of_procedure(2).text(&debian.digest).file(&base)?;
    for name in NODE_PROGRAMS {
        inputs = inputs.file(&workspace.program(name))?;
    }
    let (digest, stamp) = (inputs.finish(), folder.join("stamp"));
    if stamp::is_fresh(&stamp, &digest, &[]) && Image::open(&folder).is_ok() {
        Step::up_to_date("The image");
        return Ok(image);
    }
    let mut step = Step::begin("Packing the image");
    pack(workspace, &debian, &base, &image, &mut step)?;
    let [kernel, initrd, _] = image.sizes()?;
    write_digests(&folder)?;
    stamp::write(&stamp, &digest)?;
    step.done(&format!("kernel {} KB, initrd {} KB", kernel / 1000, initrd / 1000));
    ensure!(
        kernel + initrd <= KERNEL_AND_INITRD_BYTES_MAX,
        "kernel and initrd have {} bytes together and may have {KERNEL_AND_INITRD_BYTES_MAX}: see what is \
         large in {}",
        kernel + initrd,
        folder.join("contents").display()
    );
    Ok(image)
}

fn pack(
    workspace: &Workspace,
    debian: &DebianTree,
    base: &Path,
    image: &Image,
    step: &mut Step,
) -> Result<()> {
    let mut programs = Tree::default();
    for name in NODE_PROGRAMS {
        let source = workspace.program(name);
        ensure!(
            shared_libraries::needs(&fs::read(&source)?)?.libraries.is_empty(),
            "{} is not linked statically: it was not built with the repository's .cargo/config.toml",
            source.display()
        );
        programs.add_file(&format!("/usr/bin/{name}"), &source)?;
    }
    programs.add_link("/init", "usr/bin/imbrex-init");
    let own = image.folder.join("programs.zst");
    compress(&programs, &own, step)?;

    let mut initrd = fs::read(base).with_context(|| format!("cannot read {}", base.display()))?;
    // The kernel looks for the next archive at a multiple of four.
    initrd.resize(initrd.len().next_multiple_of(4), 0);
    initrd.extend(fs::read(&own).with_context(|| format!("cannot read {}", own.display()))?);
    fs::write(&image.initrd, initrd).with_context(|| format!("cannot write {}", image.initrd.display()))?;
    fs::remove_file(&own).with_context(|| format!("cannot remove {}", own.display()))?;

    let release = debian.kernel_release()?;
    let kernel = debian.root.join(format!("boot/vmlinuz-{release}"));
    fs::copy(&kernel, &image.kernel).with_context(|| format!("cannot copy {}", kernel.display()))?;
    unified_kernel::build(workspace, debian, image, step)
}

fn write_digests(folder: &Path) -> Result<()> {
    let mut text = String::new();
    for name in [KERNEL, INITRD, UNIFIED] {
        let digest = stamp::hexadecimal(&stamp::file_digest(&folder.join(name))?);
        text.push_str(&format!("{digest}  {name}\n"));
    }
    fs::write(folder.join(DIGESTS), text).with_context(|| format!("cannot write to {}", folder.display()))
}

/// Debian's part of the initrd, compressed.
fn build_base(workspace: &Workspace, debian: &DebianTree) -> Result<PathBuf> {
    let folder = workspace.output_folder("base")?;
    let (output, stamp) = (folder.join("base.zst"), folder.join("stamp"));
    let list = workspace.root().join("image/contents.toml");
    let overlay = workspace.root().join("image/overlay");
    let digest = Inputs::of_procedure(3).text(&debian.digest).file(&list)?.folder(&overlay)?.finish();
    if stamp::is_fresh(&stamp, &digest, std::slice::from_ref(&output)) {
        return Ok(output);
    }
    let mut step = Step::begin("Choosing and packing what the image takes from Debian");
    let contents = Contents::read(&list)?;
    let tree = base_tree(debian, &contents, &overlay, &folder.join("modules"))?;
    check(&tree, &contents)?;
    write_list(&tree, &folder.join("contents"))?;
    compress(&tree, &output, &mut step)?;
    stamp::write(&stamp, &digest)?;
    step.done("");
    Ok(output)
}

fn base_tree(debian: &DebianTree, contents: &Contents, overlay: &Path, modules: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    for (path, target) in LINKS {
        tree.add_link(path, target);
    }
    for path in FOLDERS {
        tree.add_directory(path);
    }
    for group in &contents.debian {
        for path in &group.paths {
            tree.add_from(&debian.root, path)
                .with_context(|| format!("image/contents.toml wants {path} for {}", group.why))?;
        }
    }
    for source in stamp::files_below(overlay)? {
        let path = source.strip_prefix(overlay).context("a file of the overlay lies outside of it")?;
        tree.add_file(&format!("/{}", path.display()), &source)?;
    }
    shared_libraries::add_missing(&mut tree, &debian.root)?;

    if modules.exists() {
        fs::remove_dir_all(modules).with_context(|| format!("cannot remove {}", modules.display()))?;
    }
    let release = debian.kernel_release()?;
    kernel_modules::install(&debian.root, &release, contents.module_names(), modules)?;
    for source in stamp::files_below(modules)? {
        let path = source.strip_prefix(modules).context("a module lies outside of its folder")?;
        tree.add_file(&format!("/{}", path.display()), &source)?;
    }
    Ok(tree)
}

/// Fails where the image has something that it must not have, or a script that nothing could run.
fn check(tree: &Tree, contents: &Contents) -> Result<()> {
    let forbidden: BTreeSet<&str> = contents.forbidden.names.iter().map(String::as_str).collect();
    for (path, entry) in tree.entries() {
        let name = path.rsplit('/').next().unwrap_or(path);
        if !matches!(entry, Entry::Directory) && forbidden.contains(name) {
            bail!("{path} must not be in the image: image/contents.toml forbids files of that name");
        }
        let Entry::File { source, executable: true } = entry else { continue };
        let content = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        let Some(line) = content.strip_prefix(b"#!") else { continue };
        let line = String::from_utf8_lossy(line.split(|byte| *byte == b'\n').next().unwrap_or_default())
            .into_owned();
        bail!("{path} is a script for {}, which is not in the image", line.trim());
    }
    Ok(())
}

/// What is in the image, largest first: for the person who wants to know why it is so large.
fn write_list(tree: &Tree, path: &Path) -> Result<()> {
    let mut files: Vec<(u64, &str)> = tree
        .entries()
        .filter_map(|(path, entry)| match entry {
            Entry::File { source, .. } => Some((fs::metadata(source).ok()?.len(), path)),
            _ => None,
        })
        .collect();
    files.sort_by_key(|(size, path)| (std::cmp::Reverse(*size), *path));
    let text: String = files.iter().map(|(size, path)| format!("{size:>10} {path}\n")).collect();
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn compress(tree: &Tree, output: &Path, step: &mut Step) -> Result<()> {
    let plain = output.with_extension("cpio");
    let file = File::create(&plain).with_context(|| format!("cannot make {}", plain.display()))?;
    let mut writer = BufWriter::new(file);
    tree.write(&mut writer)?;
    writer.flush().with_context(|| format!("cannot write {}", plain.display()))?;
    drop(writer);
    let mut command = Command::new("zstd");
    // A fixed number of threads: one and several give different bytes. A checksum makes the kernel notice
    // an image that arrived damaged.
    command.args(["--quiet", "--force", "-19", "--threads=2", "--check", "--rm"]);
    command.arg(&plain).arg("-o").arg(output);
    run_logged(&mut command, &output.with_extension("log"), step, COMPRESSION_TIME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        toml::from_str("debian = []\n[modules]\n[forbidden]\nnames = [\"sh\"]\n").unwrap()
    }

    #[test]
    fn a_shell_or_a_script_without_one_fails_the_build() {
        let mut tree = Tree::default();
        tree.add_file("/usr/bin/sh", Path::new("/bin/ls")).unwrap();
        let error = check(&tree, &contents()).unwrap_err().to_string();
        assert!(error.contains("/usr/bin/sh must not be in the image"), "{error}");

        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("hook");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut tree = Tree::default();
        tree.add_file("/usr/bin/hook", &script).unwrap();
        let error = check(&tree, &contents()).unwrap_err().to_string();
        assert!(error.contains("script for /bin/sh"), "{error}");
    }

    #[test]
    fn a_truncated_image_is_told_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        for name in [KERNEL, INITRD, UNIFIED] {
            fs::write(folder.path().join(name), name.repeat(100)).unwrap();
        }
        write_digests(folder.path()).unwrap();
        assert!(Image::open(folder.path()).is_ok());
        File::options().write(true).open(folder.path().join(INITRD)).unwrap().set_len(17).unwrap();
        let error = Image::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("initrd.zst is damaged (17 bytes"), "{error}");
    }
}
