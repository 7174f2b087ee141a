//! The drives of the node: which are there, which were, and on which port each is served. Kept in a
//! file, so that each run of the helper knows what the one before knew.
//!
//! A drive's port never changes while the node is up. Ports that the configuration gives are
//! given; the others are counted up from `port_first`, in order of ID for the drives that are there
//! when the boot has found them all, in order of appearance for those that come later.

use crate::discovery::{Found, Scan};
use crate::file;
use crate::looker::Process;
use crate::node_toml::{AGENT_PORT, Drives};
use imbrex_init::plan::{self, Drive};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where the book is kept.
const FILE: &str = "/run/imbrex/drives.json";
/// With no new drive for so long, the drives of the boot are taken to be all there, in ms.
const QUIET_MS: u64 = 500;
/// A drive that trickles in does not hold up the others for longer than this, in ms.
const QUIET_MS_MAX: u64 = 3_000;

/// The first and the longest wait before another look at a drive that could not be read, in ms.
const AGAIN_MS: u64 = 1_000;
const AGAIN_MS_MAX: u64 = 60_000;

/// Every drive that the node has seen since it booted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Book {
    drives: BTreeMap<String, Drive>,
    /// When the first and the last new drive appeared, in ms since boot.
    appeared_ms: Option<(u64, u64)>,
    /// The drives of the boot have their ports, or never will for want of a configuration.
    pub(crate) settled: bool,
    /// Why no drive is served, where the budgets of the boot's drives do not fit.
    pub(crate) refused: Option<String>,
    /// Drives whose budgets are counted.
    pub(crate) served: BTreeSet<String>,
    /// What was last complained of, and need not be announced again.
    said: BTreeSet<String>,
    /// Device files that could not be read, each with the looks at it so far and when the next is due, in ms since boot.
    unreadable: BTreeMap<String, (u32, u64)>,
    /// What looks at drives that hold it up, by the kernel's names of them.
    pub(crate) hanging: BTreeMap<String, Process>,
}

impl Book {
    /// The book as the last run left it; an empty one at boot.
    ///
    /// # Errors
    /// Where there is one that cannot be read: to begin a new one would give running drives other ports.
    pub(crate) fn load() -> Result<Self, String> {
        file::read_json(Path::new(FILE)).map(Option::unwrap_or_default)
    }

    /// Keeps the book for the next run.
    pub(crate) fn save(&self) -> std::io::Result<()> {
        file::write_atomically(Path::new(FILE), &serde_json::to_vec(self)?)
    }

    /// Every drive, by ID.
    pub(crate) fn drives(&self) -> impl Iterator<Item = &Drive> {
        self.drives.values()
    }

    /// Those of all complaints that are new. One that does not hold any more is told anew when it comes back.
    pub(crate) fn say(&mut self, lines: impl Iterator<Item = String>) -> Vec<String> {
        let before = std::mem::take(&mut self.said);
        let lines: Vec<String> = lines.collect();
        self.said.extend(lines.iter().cloned());
        lines.into_iter().filter(|line| !before.contains(line)).collect()
    }

    /// Notes why a drive that is there is not served.
    pub(crate) fn refuse(&mut self, id: &str, why: String) {
        if let Some(drive) = self.drives.get_mut(id) {
            drive.refused = Some(why);
        }
    }

    /// Takes what a scan has found, and says in a line each what is new.
    pub(crate) fn update(&mut self, scan: Scan, configuration: Option<&Drives>, now_ms: u64) -> Vec<String> {
        let Scan { found, unreadable } = scan;
        let mut lines = Vec::new();
        // To be judged anew.
        self.drives.values_mut().for_each(|drive| drive.refused = None);
        let present: BTreeSet<String> = found.iter().map(|drive| drive.id.clone()).collect();
        // What cannot be read is still there: it keeps its process.
        let gone = |drive: &&mut Drive| {
            drive.present && !present.contains(&drive.id) && !unreadable.contains(&drive.device)
        };
        for drive in self.drives.values_mut().filter(gone) {
            drive.present = false;
            self.served.remove(&drive.id);
            lines.push(format!("drive {} disappeared ({})", drive.id, drive.device));
        }
        for found in found {
            let known = self.drives.get(&found.id);
            let drive = found.drive(known.and_then(|drive| drive.port));
            if known == Some(&drive) {
                continue;
            }
            lines.push(format!("drive {} appeared ({})", drive.id, drive.device));
            if known.is_none() {
                self.appeared_ms = Some((self.appeared_ms.map_or(now_ms, |(first_ms, _)| first_ms), now_ms));
            }
            let id = drive.id.clone();
            self.drives.insert(id.clone(), drive);
            if self.settled {
                self.give_port(&id, configuration);
            }
        }
        self.look_again(unreadable, now_ms);
        lines
    }

    /// Notes when what could not be read is due again: after [`AGAIN_MS`], doubled each time, [`AGAIN_MS_MAX`] at most. A look
    /// before that, for the sake of another drive, does not put it off.
    fn look_again(&mut self, unreadable: Vec<String>, now_ms: u64) {
        self.unreadable.retain(|device, _| unreadable.contains(device));
        for device in unreadable {
            let (looks, again_ms) = self.unreadable.entry(device).or_default();
            if *again_ms <= now_ms {
                *again_ms = now_ms + (AGAIN_MS << (*looks).min(16)).min(AGAIN_MS_MAX);
                *looks = looks.saturating_add(1);
            }
        }
    }

    /// When to look again at what could not be read, in ms since boot; no uevent may come for it.
    pub(crate) fn again_ms(&self) -> Option<u64> {
        self.unreadable.values().map(|(_, again_ms)| *again_ms).min()
    }

    /// A sentence on each device file that could not be read twice: what it is nobody knows, so that it is in no list.
    pub(crate) fn unread(&self) -> Vec<String> {
        let twice = self.unreadable.iter().filter(|(_, (looks, _))| *looks > 1);
        twice
            .map(|(device, _)| format!("{device} cannot be looked at, and is tried again for ever"))
            .collect()
    }

    /// When to call [`Book::settle`], in ms since boot; none where no drive has appeared.
    pub(crate) fn settle_ms(&self) -> Option<u64> {
        self.appeared_ms.map(|(first_ms, last_ms)| (last_ms + QUIET_MS).min(first_ms + QUIET_MS_MAX))
    }

    /// The drives of the boot are all there: gives them their ports.
    pub(crate) fn settle(&mut self, configuration: Option<&Drives>) {
        self.settled = true;
        let ids: Vec<String> = self.drives.keys().cloned().collect();
        ids.iter().for_each(|id| self.give_port(id, configuration));
    }

    fn give_port(&mut self, id: &str, configuration: Option<&Drives>) {
        let Some(configuration) = configuration else { return };
        if self.drives.get(id).is_none_or(|drive| drive.port.is_some()) {
            return;
        }
        let port = configuration.ports.get(id).copied().or_else(|| self.free_port(configuration));
        if let Some(drive) = self.drives.get_mut(id) {
            drive.port = port;
        }
    }

    /// The lowest port that is left for a drive to which the configuration gives none.
    fn free_port(&self, configuration: &Drives) -> Option<u16> {
        let taken: BTreeSet<u16> = self.drives.values().filter_map(|drive| drive.port).collect();
        let reserved = |port: &u16| configuration.ports.values().any(|other| other == port);
        let free = |port: &u16| *port != AGENT_PORT && !taken.contains(port) && !reserved(port);
        (configuration.port_first..=u16::MAX).find(free)
    }

    /// Why a drive has no port, where the ports were given and none was left for it.
    pub(crate) fn no_port(&self, configuration: &Drives) -> Option<String> {
        let first = configuration.port_first;
        (self.settled && self.free_port(configuration).is_none()).then(|| {
            format!("no port from {first} to {} is left for it: drives.port_first is too high", u16::MAX)
        })
    }
}

impl Found {
    fn drive(self, port: Option<u16>) -> Drive {
        let Self { id, device, model, serial, capacity_bytes, sequence } = self;
        let socket = format!("/run/imbrex/drive-{id}.sock");
        let service = format!("{}{id}", plan::DRIVE);
        let (present, refused) = (true, None);
        Drive { id, device, port, socket, service, model, serial, capacity_bytes, sequence, present, refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Drives {
        Drives::default()
    }

    fn found(ids: &[&str]) -> Scan {
        let drive = |id: &&str| Found {
            id: (*id).to_owned(),
            device: format!("/dev/{id}"),
            model: String::new(),
            serial: String::new(),
            capacity_bytes: 0,
            sequence: 1,
        };
        Scan { found: ids.iter().map(drive).collect(), unreadable: Vec::new() }
    }

    fn ports(book: &Book) -> Vec<(&str, Option<u16>)> {
        book.drives().map(|drive| (drive.id.as_str(), drive.port)).collect()
    }

    #[test]
    fn the_drives_of_the_boot_get_their_ports_by_id_and_later_ones_as_they_appear() {
        let (mut book, configuration) = (Book::default(), configuration());
        book.update(found(&["c"]), Some(&configuration), 0);
        book.update(found(&["a", "c"]), Some(&configuration), 100);
        assert_eq!(ports(&book), [("a", None), ("c", None)]);
        assert_eq!(book.settle_ms(), Some(600));
        book.settle(Some(&configuration));
        book.update(found(&["a", "b", "c"]), Some(&configuration), 9_000);
        assert_eq!(ports(&book), [("a", Some(7500)), ("b", Some(7502)), ("c", Some(7501))]);
    }

    #[test]
    fn a_drive_that_comes_back_has_its_old_port_whatever_it_is_called_now() {
        let (mut book, configuration) = (Book::default(), configuration());
        book.update(found(&["a", "b"]), Some(&configuration), 0);
        book.settle(Some(&configuration));
        let kept = serde_json::to_vec(&book).unwrap();
        let mut book: Book = serde_json::from_slice(&kept).unwrap();
        assert_eq!(book.update(found(&["b"]), Some(&configuration), 1), ["drive a disappeared (/dev/a)"]);
        book.update(Scan::default(), Some(&configuration), 2);
        assert!(book.drives().all(|drive| !drive.present));
        let mut back = found(&["b"]);
        back.found[0].device = "/dev/other".to_owned();
        back.found[0].sequence = 2;
        assert_eq!(book.update(back.clone(), Some(&configuration), 3), ["drive b appeared (/dev/other)"]);
        let drive = book.drives().find(|drive| drive.present).unwrap();
        assert_eq!((drive.port, drive.device.as_str()), (Some(7501), "/dev/other"));
        assert!(book.update(back, Some(&configuration), 4).is_empty());
    }

    #[test]
    fn configured_ports_are_given_and_kept_from_others() {
        let mut book = Book::default();
        let ports_configured = BTreeMap::from([("z".to_owned(), 7399), ("absent".to_owned(), 7401)]);
        let configuration = Drives { port_first: 7399, memory_mib: 128, ports: ports_configured };
        book.update(found(&["a", "b", "z"]), Some(&configuration), 0);
        book.settle(Some(&configuration));
        // 7399 is z's, 7400 the agent's, 7401 that of a drive which may still come.
        assert_eq!(ports(&book), [("a", Some(7402)), ("b", Some(7403)), ("z", Some(7399))]);
    }

    #[test]
    fn without_a_configuration_drives_are_listed_and_none_has_a_port() {
        let mut book = Book::default();
        book.update(found(&["a"]), None, 0);
        book.settle(None);
        assert_eq!(ports(&book), [("a", None)]);
    }

    #[test]
    fn a_drive_that_trickles_in_does_not_hold_up_the_others() {
        let mut book = Book::default();
        for number in 0_u64..100 {
            let ids: Vec<String> = (0..=number).map(|id| format!("{id:03}")).collect();
            book.update(found(&ids.iter().map(String::as_str).collect::<Vec<_>>()), None, number * 400);
        }
        assert_eq!(book.settle_ms(), Some(QUIET_MS_MAX));
    }

    #[test]
    fn a_drive_that_cannot_be_read_at_its_first_look_is_looked_at_again_without_an_event() {
        let (mut book, configuration) = (Book::default(), configuration());
        let unreadable = || Scan { unreadable: vec!["/dev/a".to_owned()], ..found(&["b"]) };
        let (mut now_ms, mut waits_s) = (5_000, Vec::new());
        for _ in 0..9 {
            book.update(unreadable(), Some(&configuration), now_ms);
            let again_ms = book.again_ms().unwrap();
            waits_s.push((again_ms - now_ms) / 1_000);
            // Events of other drives neither put it off nor count.
            for early_ms in [0, 500, 999] {
                book.update(unreadable(), Some(&configuration), now_ms + early_ms);
                assert_eq!(book.again_ms(), Some(again_ms));
            }
            let kept = serde_json::to_vec(&book).unwrap();
            book = serde_json::from_slice(&kept).unwrap();
            now_ms = again_ms;
        }
        assert_eq!(waits_s, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(book.unread(), ["/dev/a cannot be looked at, and is tried again for ever"]);
        // Another is not made to wait with it.
        let both = ["/dev/a", "/dev/c"].map(str::to_owned).to_vec();
        book.update(Scan { unreadable: both, ..found(&["b"]) }, Some(&configuration), now_ms);
        assert_eq!(book.again_ms(), Some(now_ms + 1_000));
        book.settle(Some(&configuration));
        let lines = book.update(found(&["a", "b", "c"]), Some(&configuration), now_ms + 1_000);
        assert_eq!((lines.len(), book.again_ms()), (2, None));
        assert!(book.drives().all(|drive| drive.present && drive.port.is_some()));
    }

    #[test]
    fn a_complaint_is_announced_once_and_again_when_it_comes_back() {
        let mut book = Book::default();
        let mut say = |lines: &[&str]| book.say(lines.iter().map(|line| (*line).to_owned())).join(" ");
        let said = [say(&["a", "b"]), say(&["b", "a"]), say(&["b"]), say(&["a", "b"])];
        assert_eq!(said, ["a b", "", "", "a"]);
    }

    #[test]
    fn a_drive_that_cannot_be_read_for_a_moment_has_not_disappeared() {
        let (mut book, configuration) = (Book::default(), configuration());
        book.update(found(&["a", "b"]), Some(&configuration), 0);
        book.settle(Some(&configuration));
        let scan = Scan { unreadable: vec!["/dev/a".to_owned()], ..found(&["b"]) };
        assert_eq!(book.update(scan, Some(&configuration), 1), Vec::<String>::new());
        assert!(book.drives().all(|drive| drive.present));
        assert_eq!(book.update(found(&["b"]), Some(&configuration), 2), ["drive a disappeared (/dev/a)"]);
    }
}
