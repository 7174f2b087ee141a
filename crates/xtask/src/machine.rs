//! A guest in QEMU: built from its parts, started, and never left running by accident.
//!
//! QEMU is a child of this process in a process group of its own (Ctrl-C reaches only us, who stop the
//! guest in order), dies with us even where we are killed, and is killed by its handle when dropped or when
//! its time is up.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::accelerator::Accelerator;
use crate::command::{exists, last_lines, until};
use crate::console::Console;
use crate::drive_file::DriveFile;
use crate::image::Image;
use crate::qmp::Qmp;

/// How long QEMU may take to open its control socket.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// What the emulated drives need, at most, to end the requests that they have been given.
const DRIVES_SETTLE_TIME: Duration = Duration::from_millis(500);

/// How the guest gets its kernel.
#[derive(Clone, Debug)]
pub enum Boot {
    /// QEMU loads kernel and initrd into its memory.
    Direct,
    /// The guest's own firmware fetches them by iPXE and TFTP from this folder, beginning with the script of
    /// this name.
    Network {
        /// What TFTP serves.
        folder: PathBuf,
        /// The script.
        script: String,
    },
}

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Folder of the machine's files: its console, QEMU's own messages.
    pub folder: PathBuf,
    /// How it runs.
    pub accelerator: Accelerator,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Options of the kernel.
    pub kernel_options: String,
    /// How it gets its kernel.
    pub boot: Boot,
    /// Its emulated drives.
    pub drives: Vec<DriveFile>,
    /// Further arguments of QEMU, for further devices.
    pub devices: Vec<String>,
    /// Network cards on the wire of the first one, `card0`: `card1` and so on.
    pub more_cards: u32,
    /// Ports of the loopback that lead into the guest: outside, inside.
    pub forwards: Vec<(u16, u16)>,
    /// More options of QEMU's user network, each after a comma.
    pub network_options: &'static str,
    /// After which the machine is killed; `None` where a person decides.
    pub run_time_max: Option<Duration>,
}

/// A running machine.
#[derive(Debug)]
pub struct Machine {
    child: Arc<Mutex<Child>>,
    qmp: Qmp,
    /// Its console.
    pub console: Console,
    messages: PathBuf,
    /// Dropped with the machine, which ends the thread that watches its time.
    _watch: Option<Sender<()>>,
    _sockets: tempfile::TempDir,
}

impl Machine {
    /// Starts a machine with that image.
    ///
    /// # Errors
    /// One sentence where a port is in use or QEMU does not start.
    pub fn start(image: &Image, parts: &Parts) -> Result<Self> {
        for (outside, _) in &parts.forwards {
            check_port(*outside)?;
        }
        // The path of a Unix socket is at most 107 bytes long, which a repository's may exceed.
        let sockets = tempfile::Builder::new().prefix("imbrex-").tempdir().context("cannot make a folder")?;
        let socket = sockets.path().join("qmp");
        let serial = parts.folder.join("console.log");
        File::create(&serial).with_context(|| format!("cannot make {}", serial.display()))?;
        let messages = parts.folder.join("qemu.log");
        let log = File::create(&messages).with_context(|| format!("cannot make {}", messages.display()))?;
        let mut command = qemu();
        command
            .args(arguments(image, parts))
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .arg("-serial")
            .arg(format!("file:{}", serial.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        let mut child = command.spawn().context("cannot start qemu-system-x86_64")?;
        let connected = until(START_TIME_MAX, || match child.try_wait() {
            Ok(None) => Qmp::connect(&socket).ok().map(Some),
            _ => Some(None),
        });
        let Some(qmp) = connected.flatten() else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("QEMU does not start: {}", last_lines(&messages, 3));
        };
        let child = Arc::new(Mutex::new(child));
        let watch = parts.run_time_max.map(|time_max| watch(Arc::clone(&child), time_max));
        Ok(Self { child, qmp, console: Console::new(&serial), messages, _watch: watch, _sockets: sockets })
    }

    /// QEMU's control socket.
    pub fn qmp(&mut self) -> &mut Qmp {
        &mut self.qmp
    }

    /// Cuts the power and lets the machine start again at once.
    ///
    /// The guest's processors are halted first, and what its drives were given already is done: QEMU's NVMe
    /// controller frees its queues at a reset without waiting for requests under way, and QEMU 7.2 crashes where
    /// one of them ends later. To the guest it is a power cut all the same: nothing in it runs on, nothing is told.
    ///
    /// # Errors
    /// Where QEMU has gone.
    pub fn cut_power(&mut self) -> Result<()> {
        self.qmp.halt()?;
        std::thread::sleep(DRIVES_SETTLE_TIME);
        self.console.restart();
        self.qmp.system_reset()?;
        self.qmp.resume()
    }

    /// Whether QEMU still runs; it ends by itself when the guest powers off.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// Waits until QEMU has ended by itself; `false` where it has not within the time.
    #[must_use]
    pub fn wait_for_end(&self, time_max: Duration) -> bool {
        until(time_max, || (!self.is_running()).then_some(())).is_some()
    }

    /// Why the machine is gone or does not answer: the ends of what QEMU and the console said.
    #[must_use]
    pub fn last_words(&self) -> String {
        let running = if self.is_running() { "QEMU runs" } else { "QEMU has ended" };
        format!(
            "{running}; {} ends with:\n{}\n{}",
            self.console.path().display(),
            last_lines(self.console.path(), 15),
            last_lines(&self.messages, 3)
        )
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        // A child that has ended already cannot be killed, and needs not be.
        let _ = child.kill();
        let _ = child.wait();
    }
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

fn arguments(image: &Image, parts: &Parts) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    add(parts.accelerator.arguments());
    add(&["-machine", "q35", "-smp", "2", "-m", &parts.memory_mib.to_string()]);
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-device", "virtio-rng-pci"]);
    let mut network = format!("user,id=net0{}", parts.network_options);
    for (outside, inside) in &parts.forwards {
        network.push_str(&format!(",hostfwd=tcp:127.0.0.1:{outside}-:{inside}"));
    }
    // Several cards share the user network by a hub.
    let first = if parts.more_cards == 0 { "net0" } else { "wire0" };
    match &parts.boot {
        Boot::Direct => {
            add(&["-kernel", &path(&image.kernel), "-initrd", &path(&image.initrd)]);
            add(&["-append", &parts.kernel_options]);
            // Without its boot program the network card costs no time at the start.
            add(&["-device", &format!("virtio-net-pci,netdev={first},id=card0,romfile=")]);
        }
        Boot::Network { folder, script } => {
            network.push_str(&format!(",tftp={},bootfile={script}", folder.display()));
            add(&["-boot", "n", "-device", &format!("virtio-net-pci,netdev={first},id=card0")]);
        }
    }
    add(&["-netdev", &network]);
    if parts.more_cards > 0 {
        add(&["-netdev", "hubport,id=wire0,hubid=0", "-netdev", "hubport,id=wire,hubid=0,netdev=net0"]);
    }
    for card in 1..=parts.more_cards {
        add(&["-netdev", &format!("hubport,id=wire{card},hubid=0")]);
        add(&["-device", &format!("virtio-net-pci,netdev=wire{card},id=card{card},romfile=")]);
    }
    for drive in &parts.drives {
        arguments.extend(drive.arguments());
    }
    arguments.extend(parts.devices.iter().cloned());
    arguments
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

/// Kills the child when its time is up, unless the returned sender is dropped before.
fn watch(child: Arc<Mutex<Child>>, time_max: Duration) -> Sender<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if receiver.recv_timeout(time_max) == Err(RecvTimeoutError::Timeout) {
            eprintln!("  the guest has run for {} s, longer than it may: it is killed", time_max.as_secs());
            let _ = lock(&child).kill();
        }
    });
    sender
}

fn lock(child: &Mutex<Child>) -> std::sync::MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that a port of the loopback is free.
///
/// # Errors
/// One sentence where it is not.
pub fn check_port(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "port {port} of 127.0.0.1 cannot be used ({error}): end what listens there (`ss -ltnp` shows it), or \
             choose others with --port and --port-first"
        ),
    }
}

/// Finds `count` free ports in a row on the loopback, and returns the first.
///
/// # Errors
/// Where there are none.
pub fn free_ports(count: u16) -> Result<u16> {
    // Below the range from which the kernel gives ports to clients.
    let mut first = 20_000_u16;
    while first < 32_000 {
        match (first..first + count).rev().find(|port| check_port(*port).is_err()) {
            Some(taken) => first = taken + 1,
            None => return Ok(first),
        }
    }
    bail!("no {count} ports in a row are free on 127.0.0.1 between 20000 and 32000")
}

/// Makes a machine's folder, empty.
///
/// # Errors
/// Where it cannot be made.
pub fn fresh_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_told_in_one_sentence_and_passed_over_in_the_search() {
        let first = free_ports(2).unwrap();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first + 1)).unwrap();
        let error = check_port(first + 1).unwrap_err().to_string();
        assert!(error.contains(&format!("port {} of 127.0.0.1 cannot be used", first + 1)), "{error}");
        assert_ne!(free_ports(2).unwrap(), first);
    }
}
