//! Kernel modules: every device in sysfs is offered its driver, until no new device comes of it.
//!
//! A driver that is loaded finds devices with aliases of their own. Each alias is tried once, also
//! over several runs: what was tried is kept in [`TRIED`].

use crate::node_toml::Accepted;
use crate::{ACCEPTED, file, settings};
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MODPROBE: &str = "/usr/sbin/modprobe";
/// The aliases that were tried, a line each.
const TRIED: &str = "/run/imbrex/aliases";
/// The most aliases that one modprobe is given.
const BATCH_MAX: usize = 64;
/// The most modprobes at one time.
const PARALLEL_MAX: usize = 4;
/// One that takes longer hangs in a driver: it is left to itself.
const PATIENCE: Duration = Duration::from_secs(15);
/// After so long in all nobody is waited for any more.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// For so long in all a driver that was left to itself is told as still at it: the boot waits for drives until then, 30 s for
/// its stage `modules` and 60 s for its stage `drives`. Less than init's own deadline for this search.
const HANGING_MAX: Duration = Duration::from_secs(100);
/// How often those are looked at, and what they may have found by then.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The most rounds: buses behind buses are not deeper than this.
const ROUNDS_MAX: usize = 16;

/// Loads the modules that a person has named and then whatever devices ask for. Says on stdout how many
/// aliases there are, and which drivers are still at it whenever these are others.
pub(crate) fn run() -> Result<(), String> {
    let began = Instant::now();
    let known = fs::read_to_string(TRIED);
    if known.is_err() {
        // The first errand of a boot: before drivers have anything to say.
        settings::apply();
    }
    let mut tried: BTreeSet<String> = known.unwrap_or_default().lines().map(str::to_owned).collect();
    let named: Vec<String> = named().into_iter().filter(|name| !tried.contains(name)).collect();
    // If one cannot be loaded that a person has named, that is worth a line: no -q.
    let mut offer = Offer { patience: PATIENCE, until: began + WAIT_MAX, ..Offer::new() };
    offer.all(named.iter().map(|name| vec![name.clone()]).collect(), &|names| modprobe(&["-a", "--"], names));
    // They are tried again whenever there is a search: a person should hear of them until then.
    let missing = std::mem::take(&mut offer.failed);
    tried.extend(named.into_iter().filter(|name| !missing.contains(name)));
    keep(&tried)?;
    let (mut rounds, mut told) = (0, Vec::<String>::new());
    loop {
        let fresh: Vec<String> = aliases(Path::new("/sys")).difference(&tried).cloned().collect();
        let hanging = offer.still_at_it();
        if !fresh.is_empty() && rounds < ROUNDS_MAX {
            rounds += 1;
            offer.all(batches(&fresh), &|names| modprobe(&["-a", "-b", "-q", "--"], names));
            tried.extend(fresh);
            keep(&tried)?;
        } else if hanging.is_empty() || began.elapsed() >= HANGING_MAX {
            println!("{}", summary(&tried, &missing, &hanging));
            return Ok(());
        } else {
            if hanging != told {
                println!("{}", summary(&tried, &missing, &hanging));
                told = hanging;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// One line: how many aliases there are, the named modules that could not be loaded, and the drivers that are still at it.
fn summary(tried: &BTreeSet<String>, missing: &[String], hanging: &[String]) -> String {
    let aliases = tried.iter().filter(|name| name.contains(':')).count();
    let clause = |what: &str, names: &[String]| {
        if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) }
    };
    format!(
        "{aliases} device aliases{}{}",
        clause("could not be loaded", missing),
        clause("still at it", hanging)
    )
}

/// The modules that no device asks for: what makes a panic of a watchdog's last seconds, and what a person
/// has named on the kernel command line or in the configuration.
fn named() -> Vec<String> {
    let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let words =
        line.split_whitespace().filter_map(|word| word.trim_matches('"').strip_prefix("imbrex.modules="));
    let chosen = words.flat_map(|names| names.split(',')).filter(|name| !name.is_empty()).map(str::to_owned);
    let accepted: Accepted =
        fs::read(ACCEPTED).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    std::iter::once("pretimeout_panic".to_owned()).chain(chosen).chain(accepted.modules).collect()
}

fn keep(tried: &BTreeSet<String>) -> Result<(), String> {
    let text = tried.iter().fold(String::new(), |text, alias| text + alias + "\n");
    file::write_atomically(Path::new(TRIED), text.as_bytes())
        .map_err(|error| format!("{TRIED} cannot be written: {error}"))
}

/// The alias of every device below this sysfs.
fn aliases(sysfs: &Path) -> BTreeSet<String> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let devices =
        entries(&sysfs.join("bus")).flat_map(|bus| entries(&bus.join("devices")).collect::<Vec<_>>());
    // Input devices are on no bus, and the power button is one of them.
    let devices = devices.chain(entries(&sysfs.join("class/input")));
    let read = |device: std::path::PathBuf| {
        Some(fs::read_to_string(device.join("modalias")).ok()?.trim_end().to_owned())
    };
    devices.filter_map(read).filter(|alias| !alias.is_empty()).collect()
}

/// Cut so that [`PARALLEL_MAX`] processes at a time share the work.
fn batches(aliases: &[String]) -> Vec<Vec<String>> {
    let size = aliases.len().div_ceil(PARALLEL_MAX).clamp(1, BATCH_MAX);
    aliases.chunks(size).map(<[String]>::to_vec).collect()
}

fn modprobe(options: &[&str], names: &[String]) -> Option<Child> {
    let mut command = Command::new(MODPROBE);
    command.args(options).args(names).stdin(Stdio::null());
    command.spawn().map_err(|error| eprintln!("{MODPROBE} cannot be run: {error}")).ok()
}

/// How long drivers are waited for, and those that take longer.
#[derive(Debug)]
struct Offer {
    /// For one process.
    patience: Duration,
    /// For all of them.
    until: Instant,
    /// The names whose process has ended with a failure.
    failed: Vec<String>,
    /// Processes that are left to themselves, each with its names: whoever hangs in the kernel cannot be ended.
    hanging: Vec<(Child, Vec<String>)>,
}

impl Offer {
    /// Whoever hangs is left behind at once.
    fn new() -> Self {
        Self { patience: Duration::ZERO, until: Instant::now(), failed: Vec::new(), hanging: Vec::new() }
    }

    /// Has each batch tried by a process, at most [`PARALLEL_MAX`] at a time. Of one that hangs each name is tried again
    /// by itself: those behind the driver that hangs were never reached.
    fn all(&mut self, batches: Vec<Vec<String>>, start: &dyn Fn(&[String]) -> Option<Child>) {
        let mut queue = VecDeque::from(batches);
        let mut running: Vec<(Instant, Child, Vec<String>)> = Vec::new();
        while !queue.is_empty() || !running.is_empty() {
            let late = Instant::now() >= self.until;
            while running.len() < PARALLEL_MAX || late {
                let Some(batch) = queue.pop_front() else { break };
                running.extend(start(&batch).map(|child| (Instant::now(), child, batch)));
            }
            for (began, mut child, batch) in std::mem::take(&mut running) {
                match child.try_wait() {
                    Ok(None) => {}
                    // Most aliases belong to drivers that are built in or not there: of those no status says anything.
                    Ok(Some(status)) if status.success() => continue,
                    _ => {
                        self.failed.extend(batch);
                        continue;
                    }
                }
                let hangs = late || began.elapsed() >= self.patience;
                if !hangs {
                    running.push((began, child, batch));
                } else if batch.len() > 1 && !late {
                    queue.extend(batch.into_iter().map(|name| vec![name]));
                } else {
                    self.hanging.push((child, batch));
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    /// The names whose processes were left to themselves and have not ended since.
    fn still_at_it(&mut self) -> Vec<String> {
        self.hanging.retain_mut(|(child, _)| matches!(child.try_wait(), Ok(None)));
        self.hanging.iter().flat_map(|(_, names)| names.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_is_in_one_batch_of_no_more_than_sixty_four() {
        for count in [0, 1, 3, 5, 64, 300, 1_000] {
            let aliases: Vec<String> = (0..count).map(|number: usize| number.to_string()).collect();
            let batches = batches(&aliases);
            assert!(batches.iter().all(|batch| batch.len() <= BATCH_MAX));
            assert_eq!(batches.concat(), aliases);
        }
    }

    /// A process that ends at once, or, for a batch with `hang` in it, not before it is told to.
    fn process(names: &[String]) -> Option<Child> {
        let hangs = names.iter().any(|name| name == "hang");
        let program = if hangs { "/bin/cat" } else { "/bin/true" };
        Some(Command::new(program).stdin(Stdio::piped()).spawn().unwrap())
    }

    #[test]
    fn a_driver_that_hangs_is_left_behind_and_those_in_its_batch_are_tried_without_it() {
        let tried = std::cell::RefCell::new(Vec::new());
        let kept = std::cell::RefCell::new(Vec::new());
        let start = |names: &[String]| {
            tried.borrow_mut().push(names.join(" "));
            let mut child = process(names)?;
            // Its input stays open until the test is over.
            kept.borrow_mut().extend(child.stdin.take());
            Some(child)
        };
        let until = Instant::now() + Duration::from_mins(10);
        let mut offer = Offer { patience: Duration::from_millis(50), until, ..Offer::new() };
        let batch = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        offer.all(vec![batch("a hang b"), batch("c d")], &start);
        let again: BTreeSet<String> = tried.borrow().iter().cloned().collect();
        assert!(
            ["a hang b", "c d", "a", "b", "hang"].iter().all(|names| again.contains(*names)),
            "{again:?}"
        );
        assert!(offer.still_at_it().contains(&"hang".to_owned()));
        let (tried, one) = (BTreeSet::from(["pci:v1".to_owned()]), |name: &str| [name.to_owned()]);
        let line = summary(&tried, &one("no_such"), &one("hang"));
        assert_eq!(line, "1 device aliases; could not be loaded: no_such; still at it: hang");
        // The driver comes to its end, however late.
        kept.borrow_mut().clear();
        while !offer.still_at_it().is_empty() {
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_module_that_could_not_be_loaded_is_named_and_one_that_could_is_not() {
        let start = |names: &[String]| {
            let program = if names[0] == "no_such" { "/bin/false" } else { "/bin/true" };
            Some(Command::new(program).spawn().unwrap())
        };
        let patience = Duration::from_mins(10);
        let mut offer = Offer { patience, until: Instant::now() + patience, ..Offer::new() };
        offer.all(["a", "no_such", "b"].map(|name| vec![name.to_owned()]).to_vec(), &start);
        assert_eq!((offer.failed, offer.hanging.len()), (vec!["no_such".to_owned()], 0));
    }

    #[test]
    fn when_the_time_is_over_everything_is_begun_and_nothing_waited_for() {
        let count = std::cell::Cell::new(0);
        let start = |names: &[String]| {
            count.set(count.get() + 1);
            process(names)
        };
        let patience = Duration::from_hours(1);
        let mut offer = Offer { patience, ..Offer::new() };
        offer.all(vec![vec!["hang".to_owned()]; 50], &start);
        assert_eq!((count.get(), offer.hanging.len()), (50, 50));
    }

    #[test]
    fn aliases_come_from_every_bus_and_from_input_devices() {
        let folder = std::env::temp_dir().join(format!("imbrex-coldplug-{}", std::process::id()));
        for (device, alias) in [
            ("bus/pci/devices/a", "pci:v1\n"),
            ("bus/scsi/devices/b", "scsi:t-0x14\n"),
            ("bus/pci/devices/c", "\n"),
            ("class/input/input0", "input:b0019\n"),
        ] {
            let device = folder.join(device);
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("modalias"), alias).unwrap();
        }
        let found = aliases(&folder);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["input:b0019", "pci:v1", "scsi:t-0x14"]);
    }
}
