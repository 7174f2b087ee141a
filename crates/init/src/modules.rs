//! Kernel modules: which aliases wait for modprobe, which were tried, and when nothing is left.
//!
//! A driver that is loaded finds devices with aliases of their own; each is tried once. The stage
//! of the boot ends when a look at sysfs finds no new one while no modprobe runs.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

/// kmod's program.
pub(crate) const MODPROBE: &str = "/usr/sbin/modprobe";
/// The most aliases that one modprobe is given.
const BATCH_MAX: usize = 64;
/// The fewest, so that a few aliases do not cost many processes.
const BATCH_MIN: usize = 8;
/// The most modprobes at one time: a slow driver holds up only its own batch.
const PARALLEL_MAX: usize = 4;
/// The most aliases that are remembered; no machine has so many.
const ALIASES_MAX: usize = 16_384;
/// How long one modprobe may take before it is killed, in milliseconds.
pub(crate) const DEADLINE_MS: u64 = 60_000;

/// Aliases on their way to modprobe.
#[derive(Debug, Default)]
pub(crate) struct Coldplug {
    seen: BTreeSet<String>,
    waiting: VecDeque<String>,
    named: Vec<String>,
    running: usize,
    changed: bool,
}

/// What to run next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    /// Aliases of devices; most belong to drivers that are built in or not there.
    Aliases(Vec<String>),
    /// Modules that a person has named: if one cannot be loaded, that is worth a line.
    Named(Vec<String>),
}

impl Batch {
    /// modprobe's arguments.
    pub(crate) fn arguments(self) -> Vec<String> {
        let (options, names): (&[&str], _) = match self {
            Self::Aliases(names) => (&["-a", "-b", "-q", "--"], names),
            Self::Named(names) => (&["-a", "--"], names),
        };
        options.iter().map(|option| (*option).to_owned()).chain(names).collect()
    }
}

impl Coldplug {
    /// A device with this alias is there.
    pub(crate) fn add(&mut self, alias: String) {
        if self.seen.len() < ALIASES_MAX && self.seen.insert(alias.clone()) {
            self.waiting.push_back(alias);
        }
    }

    /// A person wants these modules.
    pub(crate) fn add_named(&mut self, names: impl IntoIterator<Item = String>) {
        self.named.extend(names);
    }

    /// Looks at every device in sysfs.
    pub(crate) fn scan(&mut self, sysfs: &Path) {
        let entries =
            |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        for bus in entries(&sysfs.join("bus")) {
            for device in entries(&bus.join("devices")) {
                if let Ok(alias) = fs::read_to_string(device.join("modalias")) {
                    let alias = alias.trim_end();
                    if !alias.is_empty() {
                        self.add(alias.to_owned());
                    }
                }
            }
        }
        self.changed = false;
    }

    /// The next batch to run, if one may run now.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        if self.running >= PARALLEL_MAX {
            return None;
        }
        let batch = if self.named.is_empty() {
            let size = self.waiting.len().div_ceil(PARALLEL_MAX - self.running).clamp(BATCH_MIN, BATCH_MAX);
            let size = size.min(self.waiting.len());
            (size > 0).then(|| Batch::Aliases(self.waiting.drain(..size).collect()))
        } else {
            Some(Batch::Named(std::mem::take(&mut self.named)))
        };
        self.running += usize::from(batch.is_some());
        batch
    }

    /// A modprobe has ended, or was given up.
    pub(crate) fn batch_ended(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.changed = true;
    }

    /// Whether sysfs should be looked at again: drivers came, and nothing else is to do.
    pub(crate) fn wants_scan(&self) -> bool {
        self.changed && self.running == 0
    }

    /// Whether nothing runs and nothing waits.
    pub(crate) fn idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty() && self.named.is_empty() && !self.changed
    }

    /// How many aliases were seen.
    pub(crate) fn count(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alias_is_tried_once_and_the_stage_ends_when_no_new_one_appears() {
        let mut coldplug = Coldplug::default();
        for number in 0..100 {
            coldplug.add(format!("pci:{}", number % 50));
        }
        let mut tried = Vec::new();
        while let Some(Batch::Aliases(batch)) = coldplug.next_batch() {
            assert!(batch.len() <= BATCH_MAX);
            tried.extend(batch);
        }
        assert_eq!(tried.len(), 50);
        assert!(!coldplug.idle());
        for _ in 0..PARALLEL_MAX {
            assert!(!coldplug.wants_scan());
            coldplug.batch_ended();
        }
        assert!(coldplug.wants_scan() && !coldplug.idle());
        coldplug.scan(Path::new("/nowhere"));
        assert!(coldplug.idle());
    }

    #[test]
    fn no_more_than_four_run_at_one_time() {
        let mut coldplug = Coldplug::default();
        (0..1_000).for_each(|number| coldplug.add(number.to_string()));
        assert_eq!(std::iter::from_fn(|| coldplug.next_batch()).count(), PARALLEL_MAX);
        coldplug.batch_ended();
        assert!(coldplug.next_batch().is_some() && coldplug.next_batch().is_none());
    }

    #[test]
    fn a_name_is_never_taken_for_an_option() {
        let arguments = Batch::Named(vec!["-r".to_owned()]).arguments();
        assert_eq!(arguments, ["-a", "--", "-r"]);
    }
}
