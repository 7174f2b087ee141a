//! Small guests in which programs meet the zoned devices of the product's kernel: the kernel and the modules of the
//! image, an initrd of a few static programs, and the script that `src/bin/zoned-guest.rs` carries out as PID 1.
//!
//! Nothing of it is in the image. QEMU ends by itself when the script is over, and is killed when its time is up or
//! this process dies.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use xtask::accelerator::Accelerator;
use xtask::command::{exists, last_lines, run_shown, wait};
use xtask::cpio::Tree;
use xtask::debian_tree::{self, DebianTree};
use xtask::image::Image;
use xtask::machine::fresh_folder;
use xtask::step::Step;
use xtask::workspace::Workspace;
use xtask::{host_packages, kernel_modules};

/// The modules that bring the three kinds of zoned devices.
const MODULES: [&str; 5] = ["configfs", "null_blk", "nvme", "scsi_debug", "sd_mod"];

/// PID 1 of the guest, and the programs of other packages that it can run.
const INIT: &str = "zoned-guest";
const PROGRAMS: [&str; 3] = ["conformance", "differential", "engine_check"];

/// What a guest is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name of its folder.
    pub name: &'static str,
    /// Its memory in MiB, that of drives which are kept in it included.
    pub memory_mib: u32,
    /// Arguments of QEMU that give it drives.
    pub drives: Vec<String>,
    /// The script.
    pub script: Vec<String>,
    /// After which it is killed.
    pub run_time_max: Duration,
}

/// What became of one program in the guest.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its name in the script.
    pub name: String,
    /// How long it ran in the guest, in seconds.
    pub seconds: f64,
    /// `passed`, or how it failed.
    pub end: String,
    /// What it said.
    pub lines: Vec<String>,
}

impl Ended {
    /// Whether it passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.end == "passed"
    }

    /// The first line that contains `words`.
    #[must_use]
    pub fn line_with(&self, words: &str) -> Option<&str> {
        self.lines.iter().map(String::as_str).find(|line| line.contains(words))
    }
}

/// The folder of a guest's files, made before the guest is started so that drives can be put there.
#[derive(Debug)]
pub struct Folder {
    workspace: Workspace,
    path: PathBuf,
    _turn: File,
}

impl Folder {
    /// Waits for its turn (one guest runs at a time), and makes the folder, empty.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make(name: &str) -> Result<Self> {
        let workspace = Workspace::find()?;
        let turn = workspace.lock("guest")?;
        let path = workspace.output_folder("run")?.join(format!("test-{name}"));
        fresh_folder(&path)?;
        Ok(Self { workspace, path, _turn: turn })
    }

    /// Makes a sparse file of that size for an emulated drive.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn drive_file(&self, name: &str, size_bytes: u64) -> Result<PathBuf> {
        let path = self.path.join(name);
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        file.set_len(size_bytes).with_context(|| format!("cannot give {} its size", path.display()))?;
        Ok(path)
    }

    /// Writes a small file beside the drives.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Builds what is not up to date, runs the guest to its end, and tells what became of each program.
    ///
    /// # Errors
    /// Where something cannot be built, QEMU does not start, or the script does not come to its end.
    pub fn run(&self, plan: &Plan) -> Result<Vec<Ended>> {
        host_packages::ensure()?;
        build_programs(&self.workspace)?;
        let debian = {
            let _lock = self.workspace.lock("image")?;
            debian_tree::build(&self.workspace)?
        };
        let image = self.image(&debian, &plan.script)?;
        let accelerator = Accelerator::find(&self.workspace, &image)?;
        let console = self.path.join("console.log");
        let mut command = qemu();
        command
            .args(accelerator.arguments())
            .args(["-machine", "q35", "-smp", "2", "-m", &plan.memory_mib.to_string(), "-no-reboot"])
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .arg("-kernel")
            .arg(&image.kernel)
            .arg("-initrd")
            .arg(&image.initrd)
            // The kernel's own messages would break our lines; its last words before a panic come all the same.
            .args(["-append", "console=ttyS0,115200 loglevel=2 panic=-1"])
            .arg("-serial")
            .arg(format!("file:{}", console.display()))
            .args(&plan.drives);
        let messages = self.path.join("qemu.log");
        let log = File::create(&messages).with_context(|| format!("cannot make {}", messages.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut step = Step::begin(format!("Running the guest {} ({})", plan.name, accelerator.name()));
        let mut child = command.spawn().context("cannot start qemu-system-x86_64")?;
        let ended = wait(&mut child, plan.run_time_max, || step.still(&last_lines(&console, 1)))?;
        step.done("");
        let text = fs::read(&console).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.with_context(|| format!("cannot read {}", console.display()))?;
        let last_words = || format!("{}\n{}", last_lines(&console, 20), last_lines(&messages, 3));
        if ended.is_none() {
            bail!("the guest took longer than {} s:\n{}", plan.run_time_max.as_secs(), last_words());
        }
        let over = text.lines().any(|line| line.trim_end() == "@over");
        let failed = text.lines().find_map(|line| line.strip_prefix("@failed "));
        ensure!(over && failed.is_none(), "the script did not come to its end:\n{}", last_words());
        Ok(programs_in(&text))
    }

    /// The kernel of the image with an initrd of our own.
    fn image(&self, debian: &DebianTree, script: &[String]) -> Result<Image> {
        let release = debian.kernel_release()?;
        let mut tree = Tree::default();
        for folder in ["/dev", "/proc", "/sys", "/tmp", "/run"] {
            tree.add_directory(folder);
        }
        tree.add_file("/init", &self.workspace.program(INIT))?;
        for program in PROGRAMS {
            tree.add_file(
                &format!("/bin/{program}"),
                &self.workspace.program(&format!("examples/{program}")),
            )?;
        }
        tree.add_file("/script", &self.write("script", &(script.join("\n") + "\n"))?)?;
        let modules = self.path.join("modules");
        kernel_modules::install(&debian.root, &release, MODULES.into_iter(), &modules)?;
        for source in xtask::stamp::files_below(&modules)? {
            let path = source.strip_prefix(&modules).context("a module lies outside of its folder")?;
            tree.add_file(&format!("/{}", path.display()), &source)?;
        }
        let initrd = self.path.join("initrd.cpio");
        let file = File::create(&initrd).with_context(|| format!("cannot make {}", initrd.display()))?;
        tree.write(&mut std::io::BufWriter::new(file))?;
        let kernel = debian.root.join(format!("boot/vmlinuz-{release}"));
        Ok(Image { folder: self.path.clone(), unified: kernel.clone(), kernel, initrd })
    }
}

/// QEMU's arguments for a zoned NVMe namespace over a block node of that name.
#[must_use]
pub fn zoned_namespace(number: u32, node: &str, zones: &str) -> Vec<String> {
    let controller = format!("nvme,id=nvme{number},serial=ZONED{number}");
    let namespace = format!("nvme-ns,bus=nvme{number},drive={node},nsid=1,zoned=on,{zones}");
    [("-device", controller), ("-device", namespace)]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
}

/// QEMU's arguments for a block node over a raw file.
#[must_use]
pub fn file_node(node: &str, path: &Path) -> Vec<String> {
    let file = format!("driver=file,node-name={node},filename={},cache.direct=off", path.display());
    vec!["-blockdev".to_owned(), file]
}

/// QEMU's arguments for a block node over another, in which every read of one of these places, in bytes, fails. (The
/// driver `blkdebug`; a rule of the event `none` holds at all times.)
#[must_use]
pub fn failing_reads_node(node: &str, over: &str, places_bytes: &[u64]) -> Vec<String> {
    let rule = |(number, place): (usize, &u64)| {
        format!(
            ",inject-error.{number}.event=none,inject-error.{number}.iotype=read,inject-error.{number}.errno=5,\
             inject-error.{number}.sector={}",
            place / 512
        )
    };
    let rules: String = places_bytes.iter().enumerate().map(rule).collect();
    vec!["-blockdev".to_owned(), format!("driver=blkdebug,node-name={node},image={over}{rules}")]
}

fn build_programs(workspace: &Workspace) -> Result<()> {
    let step = Step::begin("Building the programs of the guest");
    let mut all = build(workspace);
    for package in ["imbrex-zoned", "imbrex-engine", "imbrex-tests"] {
        all.args(["--package", package]);
    }
    for program in PROGRAMS {
        all.args(["--example", program]);
    }
    run_shown(all.args(["--bin", INIT]))?;
    // Once more, in the place of the one before: it is to meet the devices by each backend.
    let mut conformance = build(workspace);
    conformance.args(["--package", "imbrex-zoned", "--features", "tokio-uring", "--example", "conformance"]);
    run_shown(&mut conformance)?;
    step.done("");
    Ok(())
}

fn build(workspace: &Workspace) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace.root()).args(["build", "--release", "--quiet", "--locked"]);
    command
}

/// QEMU, to be killed by the kernel should this process die.
fn qemu() -> Command {
    if !exists("setpriv") {
        return Command::new("qemu-system-x86_64");
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    command
}

/// The programs that a console tells of.
fn programs_in(console: &str) -> Vec<Ended> {
    let mut programs: Vec<Ended> = Vec::new();
    for line in console.lines().map(str::trim_end) {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["@begin", name] => programs.push(Ended {
                name: (*name).to_owned(),
                seconds: 0.0,
                end: "never ended".to_owned(),
                lines: Vec::new(),
            }),
            ["@end", _, seconds, end] => {
                if let Some(program) = programs.last_mut() {
                    program.seconds = seconds.parse().unwrap_or_default();
                    program.end = (*end).to_owned();
                }
            }
            _ => {
                if let Some(program) = programs.last_mut().filter(|program| program.end == "never ended") {
                    program.lines.push(line.to_owned());
                }
            }
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::programs_in;

    #[test]
    fn what_a_program_said_and_how_it_ended_is_found_on_the_console() {
        let console = "noise\n@begin one\r\nfirst\r\nsecond\n@end one 1.5 passed\nnoise\n@begin two\n\
                       @end two 0.1 failed: exit status: 1\n@begin three\nhalf\n";
        let programs = programs_in(console);
        assert_eq!(programs.len(), 3);
        assert!(programs[0].passed() && programs[0].lines == ["first", "second"]);
        assert_eq!(programs[0].line_with("sec"), Some("second"));
        assert_eq!(programs[1].end, "failed: exit status: 1");
        assert_eq!(programs[2].end, "never ended");
    }
}
