//! The drives of the node: which are there, which were, and on which port each is served.
//!
//! A drive's port never changes while the node is up. Ports that the configuration gives are
//! given; the others are counted up from `port_first`, in order of ID for the drives that are there
//! when the boot has found them all, in order of appearance for those that come later.

pub(crate) mod discovery;

use crate::config;
use crate::services::{self, Specification};
use discovery::Found;
use std::collections::{BTreeMap, BTreeSet};

/// With no new drive for so long, the drives of the boot are taken to be all there, in ms.
const QUIET_MS: u64 = 500;
/// A drive that trickles in does not hold up the others for longer than this, in ms.
const QUIET_MS_MAX: u64 = 3_000;

/// A drive that is there, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Drive {
    /// What sysfs said last.
    pub(crate) found: Found,
    /// Whether it is there.
    pub(crate) present: bool,
    /// Its data port, once it has one.
    pub(crate) port: Option<u16>,
}

impl Drive {
    /// Its data API's Unix socket.
    pub(crate) fn socket(&self) -> String {
        format!("/run/imbrex/drive-{}.sock", self.found.id)
    }

    /// The name of its service.
    pub(crate) fn service(&self) -> String {
        format!("drive@{}", self.found.id)
    }
}

/// What the supervisor is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// This service is to run.
    Start(Specification),
    /// This service is to stop: its drive disappeared.
    Stop(String),
    /// A line for init's log.
    Record(String),
}

/// Every drive that the node has seen since it booted.
#[derive(Debug, Default)]
pub(crate) struct Book {
    drives: BTreeMap<String, Drive>,
    configuration: Option<config::Drives>,
    /// When the first and the last new drive appeared, in ms since boot.
    appeared_ms: Option<(u64, u64)>,
    settled: bool,
}

impl Book {
    /// Every drive, by ID.
    pub(crate) fn drives(&self) -> impl Iterator<Item = &Drive> {
        self.drives.values()
    }

    /// Whether the drives of the boot have their ports.
    pub(crate) fn settled(&self) -> bool {
        self.settled
    }

    /// The node's configuration is known: drives may be served.
    pub(crate) fn configure(&mut self, configuration: config::Drives) {
        self.configuration = Some(configuration);
    }

    /// Takes what a scan has found.
    pub(crate) fn update(&mut self, found: Vec<Found>, now_ms: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        let present: BTreeSet<String> = found.iter().map(|drive| drive.id.clone()).collect();
        for drive in
            self.drives.values_mut().filter(|drive| drive.present && !present.contains(&drive.found.id))
        {
            drive.present = false;
            changes.push(Change::Record(format!(
                "drive {} disappeared ({})",
                drive.found.id, drive.found.device
            )));
            changes.push(Change::Stop(drive.service()));
        }
        for found in found {
            let known = self.drives.get(&found.id);
            if known.is_some_and(|drive| drive.present && drive.found == found) {
                continue;
            }
            changes.push(Change::Record(format!("drive {} appeared ({})", found.id, found.device)));
            let port = known.and_then(|drive| drive.port);
            if known.is_none() {
                self.appeared_ms = Some((self.appeared_ms.map_or(now_ms, |(first_ms, _)| first_ms), now_ms));
            }
            let drive = Drive { found, present: true, port };
            let id = drive.found.id.clone();
            self.drives.insert(id.clone(), drive);
            if self.settled {
                self.give_port(&id);
            }
            changes.extend(self.start(&id));
        }
        changes
    }

    /// When to call [`Book::settle`], in ms since boot: at once where no drive has appeared.
    pub(crate) fn settle_ms(&self) -> u64 {
        self.appeared_ms.map_or(0, |(first_ms, last_ms)| (last_ms + QUIET_MS).min(first_ms + QUIET_MS_MAX))
    }

    /// The drives of the boot are all there: gives them their ports and starts them.
    pub(crate) fn settle(&mut self) -> Vec<Change> {
        self.settled = true;
        let ids: Vec<String> = self.drives.keys().cloned().collect();
        ids.iter().for_each(|id| self.give_port(id));
        ids.iter().filter_map(|id| self.start(id)).collect()
    }

    fn give_port(&mut self, id: &str) {
        let Some(configuration) = &self.configuration else { return };
        if self.drives.get(id).is_none_or(|drive| drive.port.is_some()) {
            return;
        }
        let port = configuration.ports.get(id).copied().or_else(|| {
            let taken: BTreeSet<u16> = self.drives.values().filter_map(|drive| drive.port).collect();
            let reserved = |port: &u16| configuration.ports.values().any(|other| other == port);
            let free = |port: &u16| *port != config::AGENT_PORT && !taken.contains(port) && !reserved(port);
            (configuration.port_first..=u16::MAX).find(free)
        });
        if let Some(drive) = self.drives.get_mut(id) {
            drive.port = port;
        }
    }

    /// The service of a drive that is there and has its port.
    fn start(&self, id: &str) -> Option<Change> {
        let configuration = self.configuration.as_ref()?;
        let drive = self.drives.get(id).filter(|drive| drive.present)?;
        let words = [
            ("id", id.to_owned()),
            ("device", drive.found.device.clone()),
            ("port", drive.port?.to_string()),
            ("socket", drive.socket()),
            ("memory", configuration.memory_mib.to_string()),
        ];
        services::expand(services::DRIVE, &words).map(Change::Start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ids: &[&str]) -> Vec<Found> {
        let drive = |id: &&str| Found {
            id: (*id).to_owned(),
            device: format!("/dev/{id}"),
            model: String::new(),
            serial: String::new(),
        };
        ids.iter().map(drive).collect()
    }

    fn ports(book: &Book) -> Vec<(&str, Option<u16>)> {
        book.drives().map(|drive| (drive.found.id.as_str(), drive.port)).collect()
    }

    fn starts(changes: &[Change]) -> Vec<&str> {
        let mut names = Vec::new();
        for change in changes {
            if let Change::Start(service) = change {
                names.push(service.name.as_str());
            }
        }
        names
    }

    #[test]
    fn the_drives_of_the_boot_get_their_ports_by_id_and_later_ones_as_they_appear() {
        let mut book = Book::default();
        book.configure(config::Drives::default());
        assert_eq!(starts(&book.update(found(&["c"]), 0)), Vec::<&str>::new());
        book.update(found(&["a", "c"]), 100);
        assert_eq!(book.settle_ms(), 600);
        assert_eq!(starts(&book.settle()), ["drive@a", "drive@c"]);
        assert_eq!(starts(&book.update(found(&["a", "b", "c"]), 9_000)), ["drive@b"]);
        assert_eq!(ports(&book), [("a", Some(7500)), ("b", Some(7502)), ("c", Some(7501))]);
    }

    #[test]
    fn a_drive_that_comes_back_has_its_old_port_whatever_it_is_called_now() {
        let mut book = Book::default();
        book.configure(config::Drives::default());
        book.update(found(&["a", "b"]), 0);
        book.settle();
        assert!(book.update(found(&["b"]), 1).contains(&Change::Stop("drive@a".to_owned())));
        book.update(vec![], 2);
        let mut back = found(&["b"]);
        back[0].device = "/dev/other".to_owned();
        let changes = book.update(back.clone(), 3);
        let Some(Change::Start(service)) = changes.last() else { panic!("{changes:?}") };
        assert!(service.arguments.contains(&"0.0.0.0:7501".to_owned()), "{service:?}");
        assert!(service.arguments.contains(&"/dev/other".to_owned()), "{service:?}");
        assert_eq!(book.update(back, 4), []);
    }

    #[test]
    fn configured_ports_are_given_and_kept_from_others() {
        let mut book = Book::default();
        let ports_configured = BTreeMap::from([("z".to_owned(), 7399), ("absent".to_owned(), 7401)]);
        book.configure(config::Drives { port_first: 7399, memory_mib: 64, ports: ports_configured });
        book.update(found(&["a", "b", "z"]), 0);
        book.settle();
        // 7399 is z's, 7400 the agent's, 7401 that of a drive which may still come.
        assert_eq!(ports(&book), [("a", Some(7402)), ("b", Some(7403)), ("z", Some(7399))]);
    }

    #[test]
    fn without_a_configuration_drives_are_listed_and_none_is_started() {
        let mut book = Book::default();
        assert_eq!(starts(&book.update(found(&["a"]), 0)), Vec::<&str>::new());
        assert_eq!(starts(&book.settle()), Vec::<&str>::new());
        assert_eq!(ports(&book), [("a", None)]);
        assert!(matches!(&book.update(vec![], 1)[..], [Change::Record(_), Change::Stop(_)]));
    }

    #[test]
    fn a_drive_that_trickles_in_does_not_hold_up_the_others() {
        let mut book = Book::default();
        for number in 0_u64..100 {
            let ids: Vec<String> = (0..=number).map(|id| format!("{id:03}")).collect();
            book.update(found(&ids.iter().map(String::as_str).collect::<Vec<_>>()), number * 400);
        }
        assert_eq!(book.settle_ms(), QUIET_MS_MAX);
    }
}
