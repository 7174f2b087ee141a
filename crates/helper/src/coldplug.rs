//! Kernel modules: every device in sysfs is offered its driver, until no new device comes of it.
//!
//! A driver that is loaded finds devices with aliases of their own. Each alias is tried once, also
//! over several runs: what was tried is kept in [`TRIED`].

use crate::node_toml::Accepted;
use crate::{ACCEPTED, file};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const MODPROBE: &str = "/usr/sbin/modprobe";
/// The aliases that were tried, a line each.
const TRIED: &str = "/run/imbrex/aliases";
/// The most aliases that one modprobe is given.
const BATCH_MAX: usize = 64;
/// The most modprobes at one time: a slow driver holds up only its own batch.
const PARALLEL_MAX: usize = 4;
/// The most rounds: buses behind buses are not deeper than this.
const ROUNDS_MAX: usize = 16;

/// Loads the modules that a person has named and then whatever devices ask for. Says on stdout how many
/// aliases there are.
pub(crate) fn run() -> Result<(), String> {
    let mut tried: BTreeSet<String> =
        fs::read_to_string(TRIED).unwrap_or_default().lines().map(str::to_owned).collect();
    let named: Vec<String> = named().into_iter().filter(|name| !tried.contains(name)).collect();
    // If one cannot be loaded that a person has named, that is worth a line: no -q.
    if !named.is_empty() {
        wait(modprobe(&["-a", "--"], named.iter().map(String::as_str)).into_iter().collect());
    }
    tried.extend(named);
    keep(&tried)?;
    for _ in 0..ROUNDS_MAX {
        let fresh: Vec<String> = aliases(Path::new("/sys")).difference(&tried).cloned().collect();
        if fresh.is_empty() {
            break;
        }
        for round in batches(&fresh) {
            let options = ["-a", "-b", "-q", "--"];
            wait(
                round
                    .into_iter()
                    .filter_map(|batch| modprobe(&options, batch.iter().map(String::as_str)))
                    .collect(),
            );
        }
        tried.extend(fresh);
        keep(&tried)?;
    }
    println!("{} device aliases", tried.iter().filter(|name| name.contains(':')).count());
    Ok(())
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
fn batches(aliases: &[String]) -> Vec<Vec<&[String]>> {
    let size = aliases.len().div_ceil(PARALLEL_MAX).clamp(1, BATCH_MAX);
    let batches: Vec<&[String]> = aliases.chunks(size).collect();
    batches.chunks(PARALLEL_MAX).map(<[&[String]]>::to_vec).collect()
}

fn modprobe<'a>(options: &[&str], names: impl Iterator<Item = &'a str>) -> Option<Child> {
    let mut command = Command::new(MODPROBE);
    command.args(options).args(names).stdin(Stdio::null());
    command.spawn().map_err(|error| eprintln!("{MODPROBE} cannot be run: {error}")).ok()
}

/// Waits for all of them. One that hangs is ended with this process, by whoever started it.
fn wait(children: Vec<Child>) {
    for mut child in children {
        // Most aliases belong to drivers that are built in or not there: no status says anything.
        let _ = child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_is_in_one_batch_and_no_more_than_four_run_at_one_time() {
        for count in [0, 1, 3, 5, 64, 300, 1_000] {
            let aliases: Vec<String> = (0..count).map(|number: usize| number.to_string()).collect();
            let rounds = batches(&aliases);
            assert!(rounds.iter().all(|round| round.len() <= PARALLEL_MAX));
            assert!(rounds.iter().flatten().all(|batch| batch.len() <= BATCH_MAX));
            assert_eq!(rounds.concat().concat(), aliases);
        }
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
