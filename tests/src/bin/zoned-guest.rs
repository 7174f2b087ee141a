//! PID 1 of the guests in which programs meet the kernel's zoned devices: it carries out the script `/script`, says on
//! the console what became of each program, and powers off.
//!
//! A line of the script is one order: `load MODULE [OPTION=VALUE ...]`, `set FILE VALUE` (folders on the way are made),
//! `wait FILE`, `run SECONDS NAME PROGRAM [ARGUMENT ...]`. An order that fails is told and ends the script, a program
//! that fails is told and does not.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios::tcdrain;
use xtask::command::{until, wait};

/// How long a file may take to appear: a drive is looked at in the background after its module is loaded.
const APPEAR_TIME_MAX: Duration = Duration::from_secs(30);

fn main() {
    let outcome = run();
    if let Err(error) = &outcome {
        say(&format!("@failed {error:#}"));
    }
    say("@over");
    // Without effect only where this is no guest of ours: then there is nothing to switch off.
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

fn run() -> Result<()> {
    for (kind, path) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        mount_at(kind, path)?;
    }
    let script = fs::read_to_string("/script").context("there is no script")?;
    let modules = Modules::read()?;
    for line in script.lines().filter(|line| !line.is_empty()) {
        order(line, &modules).with_context(|| format!("in {line:?}"))?;
    }
    Ok(())
}

fn mount_at(kind: &str, path: &str) -> Result<()> {
    mount(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("cannot mount {path}"))
}

fn order(line: &str, modules: &Modules) -> Result<()> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["load", module, options @ ..] => modules.load(module, &options.join(" ")),
        ["set", path, value] => {
            let folder = Path::new(path).parent().context("a file lies in a folder")?;
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
            fs::write(path, value).with_context(|| format!("cannot write {value} to {path}"))
        }
        ["wait", path] => until(APPEAR_TIME_MAX, || Path::new(path).exists().then_some(()))
            .with_context(|| format!("{path} does not appear")),
        ["run", seconds, name, program, arguments @ ..] => {
            let time_max = Duration::from_secs(seconds.parse().context("not a number of seconds")?);
            program_run(name, program, arguments, time_max)
        }
        _ => bail!("not an order"),
    }
}

fn program_run(name: &str, program: &str, arguments: &[&str], time_max: Duration) -> Result<()> {
    say(&format!("@begin {name}"));
    let started = Instant::now();
    let console = || OpenOptions::new().write(true).open("/dev/console").context("there is no console");
    let mut child = Command::new(program)
        .args(arguments)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(console()?)
        .stderr(console()?)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let end = match wait(&mut child, time_max, || {})? {
        Some(status) if status.success() => "passed".to_owned(),
        Some(status) => format!("failed: {status}"),
        None => format!("killed after {} s", time_max.as_secs()),
    };
    say(&format!("@end {name} {:.1} {end}", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Writes a line to the console, and waits until it is out: a machine that is switched off takes along what still waits.
fn say(line: &str) {
    if let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") {
        // Whom else could it be told?
        let _ = console.write_all(format!("{line}\n").as_bytes());
        let _ = tcdrain(&console);
    }
}

/// The kernel's modules by name, each with those that must be loaded before it.
struct Modules {
    paths: BTreeMap<String, Vec<String>>,
    folder: String,
}

impl Modules {
    fn read() -> Result<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot tell the kernel")?;
        let folder = format!("/usr/lib/modules/{}", release.trim());
        let list = format!("{folder}/modules.dep");
        let text = fs::read_to_string(&list).with_context(|| format!("cannot read {list}"))?;
        let mut paths = BTreeMap::new();
        for (path, needed) in text.lines().filter_map(|line| line.split_once(':')) {
            let chain = std::iter::once(path).chain(needed.split_whitespace()).map(str::to_owned);
            paths.insert(name(path), chain.collect());
        }
        Ok(Self { paths, folder })
    }

    /// Loads a module and what it needs; one that the kernel has already is passed over.
    fn load(&self, module: &str, options: &str) -> Result<()> {
        // A module that is not in the list is built in.
        for path in self.paths.get(module).into_iter().flatten().rev() {
            let own = name(path) == module;
            let options = CString::new(if own { options } else { "" })?;
            let file = File::open(format!("{}/{path}", self.folder))
                .with_context(|| format!("there is no module {path}"))?;
            match finit_module(&file, &options, ModuleInitFlags::empty()) {
                Ok(()) | Err(nix::errno::Errno::EEXIST) => {}
                Err(error) => bail!("the kernel does not take {path}: {error}"),
            }
        }
        // It is a module itself, and its folder is there once it is loaded.
        if module == "configfs" { mount_at("configfs", "/sys/kernel/config") } else { Ok(()) }
    }
}

/// The name of a module from its file's path, as the kernel compares names.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}
