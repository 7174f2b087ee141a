//! The Debian system that the image is cut from, made by mkosi.
//!
//! mkosi itself comes out of its package in Debian trixie, unpacked below `target/imbrex`: nothing is
//! installed, and Debian 12 has none that is new enough. The mirror is the one that this machine's apt
//! uses, asked for at run time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{output_of, run_logged, run_shown};
use crate::stamp::{self, Inputs};
use crate::step::Step;
use crate::workspace::Workspace;

/// The release of Debian that the image is cut from; its mkosi builds it.
const RELEASE: &str = "trixie";

/// Keys of Debian's archive.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Bounds of the steps, generous: a slow mirror is not an error.
const DOWNLOAD_TIME_MAX: Duration = Duration::from_secs(600);
const BUILD_TIME_MAX: Duration = Duration::from_secs(1800);

/// The tree, unpacked.
#[derive(Clone, Debug)]
pub struct DebianTree {
    /// The folder that is its root.
    pub root: PathBuf,
    /// Digest of what it was made from.
    pub digest: String,
}

impl DebianTree {
    /// The release of the kernel in the tree.
    ///
    /// # Errors
    /// Where the tree has no kernel, or several.
    pub fn kernel_release(&self) -> Result<String> {
        let folder = self.root.join("usr/lib/modules");
        let mut releases: Vec<String> = fs::read_dir(&folder)
            .with_context(|| format!("the Debian tree has no kernel in {}", folder.display()))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        match (releases.pop(), releases.is_empty()) {
            (Some(release), true) => Ok(release),
            _ => bail!("the Debian tree has not exactly one kernel in {}", folder.display()),
        }
    }
}

/// Makes the tree where it is not up to date.
///
/// # Errors
/// Where packages cannot be had or mkosi fails; the sentence names the log.
pub fn build(workspace: &Workspace) -> Result<DebianTree> {
    let folder = workspace.output_folder("debian")?;
    let configuration = workspace.root().join("image/mkosi.conf");
    let digest = Inputs::of_procedure(1).file(&configuration)?.finish();
    let tree = DebianTree { root: folder.join("tree"), digest };
    let stamp = folder.join("stamp");
    if stamp::is_fresh(&stamp, &tree.digest, std::slice::from_ref(&tree.root)) {
        Step::up_to_date("Debian's part of the image");
        return Ok(tree);
    }
    let mirror = mirror()?;
    let tools = tools(workspace, &mirror)?;
    let archive = run_mkosi(workspace, &configuration, &tools, &mirror)?;
    unpack(&archive, &tree.root)?;
    stamp::write(&stamp, &tree.digest)?;
    Ok(tree)
}

/// The address of Debian's archive that this machine's apt uses.
fn mirror() -> Result<String> {
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI) $(COMPONENT) $(RELEASE)", "Created-By: Packages"]);
    let output = output_of(&mut command)?;
    let output = String::from_utf8_lossy(&output);
    let mirror = output.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (address, component, suite) = (words.next()?, words.next()?, words.next()?);
        let ours = component == "main" && ["bookworm", "trixie", "stable"].contains(&suite);
        ours.then(|| address.trim_end_matches('/').to_owned())
    });
    mirror.context(
        "apt's configuration on this machine names no mirror of Debian 12 or 13 (component main): \
         add one to /etc/apt/sources.list.d",
    )
}

/// Unpacks mkosi and ukify, and returns the folder they are in.
fn tools(workspace: &Workspace, mirror: &str) -> Result<PathBuf> {
    let folder = workspace.output_folder("tools")?;
    let (root, stamp) = (folder.join("root"), folder.join("stamp"));
    let digest = Inputs::of_procedure(1).text(RELEASE).finish();
    if stamp::is_fresh(&stamp, &digest, std::slice::from_ref(&root)) {
        return Ok(root);
    }
    let mut step = Step::begin(format!("Fetching mkosi from Debian {RELEASE}"));
    let packages = workspace.output_folder("tools/packages")?;
    empty(&packages)?;
    let apt = Apt::new(&folder.join("apt"), mirror)?;
    let log = folder.join("log");
    run_logged(apt.command().arg("update"), &log, &mut step, DOWNLOAD_TIME_MAX)?;
    let mut download = apt.command();
    download.current_dir(&packages).args(["download", "mkosi", "systemd-ukify", "python3-pefile"]);
    run_logged(&mut download, &log, &mut step, DOWNLOAD_TIME_MAX)?;
    empty(&root)?;
    for package in stamp::files_below(&packages)? {
        run_shown(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&root))?;
    }
    stamp::write(&stamp, &digest)?;
    step.done("");
    Ok(root)
}

/// An apt of its own: its state and sources are below one folder, the machine's own are not touched.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path, mirror: &str) -> Result<Self> {
        for name in ["etc/apt.conf.d", "etc/preferences.d", "lists/partial", "cache/archives/partial"] {
            let folder = folder.join(name);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let sources = format!("deb [signed-by={KEYRING}] {mirror} {RELEASE} main\n");
        for (name, content) in [("etc/sources.list", sources.as_str()), ("status", "")] {
            let path = folder.join(name);
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Self { folder: folder.to_path_buf() })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        let folders = [
            ("Dir::Etc", "etc"),
            ("Dir::State", ""),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ];
        for (key, name) in folders {
            command.arg("-o").arg(format!("{key}={}", self.folder.join(name).display()));
        }
        // The folder may lie where the user that apt downloads as cannot look.
        command.args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]);
        command
    }
}

/// Runs mkosi and returns the archive that it made.
fn run_mkosi(workspace: &Workspace, configuration: &Path, tools: &Path, mirror: &str) -> Result<PathBuf> {
    let mut step = Step::begin("Putting Debian's part of the image together (about a minute)");
    let folder = workspace.output_folder("debian/mkosi")?;
    empty(&folder)?;
    let sources = folder.join("mkosi.sandbox/etc/apt/sources.list.d");
    fs::create_dir_all(&sources).with_context(|| format!("cannot make {}", sources.display()))?;
    let text = format!(
        "Types: deb\nURIs: {mirror}\nSuites: {RELEASE} {RELEASE}-updates {RELEASE}-backports\n\
         Components: main\nSigned-By: {KEYRING}\n"
    );
    fs::write(sources.join("mkosi.sources"), text).context("cannot write the sources of the image")?;
    fs::copy(configuration, folder.join("mkosi.conf")).context("cannot copy image/mkosi.conf")?;

    let output = workspace.output_folder("debian/output")?;
    let mut command = Command::new("/usr/bin/python3");
    command
        .current_dir(&folder)
        .env("PYTHONPATH", tools.join("usr/lib/python3/dist-packages"))
        // The hook of the kernel's package reads it from there.
        .env("INITRD", "No")
        .args(["-m", "mkosi", "--force"])
        .arg("--output-directory")
        .arg(&output)
        .arg("--package-cache-directory")
        .arg(workspace.output_folder("debian/packages")?)
        .arg("--workspace-directory")
        .arg(workspace.output_folder("debian/work")?)
        .arg("build");
    run_logged(&mut command, &workspace.output().join("debian/log"), &mut step, BUILD_TIME_MAX)?;
    step.done("");
    Ok(output.join("debian.tar"))
}

/// Unpacks the archive of a system, as this user's own files.
fn unpack(archive: &Path, root: &Path) -> Result<()> {
    empty(root)?;
    let mut command = Command::new("tar");
    command.args(["--extract", "--no-same-owner", "--no-same-permissions", "--exclude=./dev/*", "--file"]);
    run_shown(command.arg(archive).arg("--directory").arg(root))?;
    // It is only read from here on, and takes 300 MB.
    fs::remove_file(archive).with_context(|| format!("cannot remove {}", archive.display()))
}

/// Makes a folder, empty.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        make_writable(folder)?;
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Folders of a Debian system that nobody may write, its owner included, could not be emptied again.
fn make_writable(folder: &Path) -> Result<()> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot change {}", folder.display()))?;
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        folders.extend(
            entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    Ok(())
}
