//! The plan: out of the manifests, the node's configuration and the drives that are there, every
//! service that is to run. Init starts this whenever one of them may have changed, one at a time.

use crate::book::Book;
use crate::looker::{self, Looker};
use crate::manifests::{self, Manifests};
use crate::node_toml::{Accepted, Drives};
use crate::{ACCEPTED, budget, clock_floor, discovery, file};
use imbrex_init::plan::{self, Drive, Plan, Specification, Start};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How often a boot that waits for its last drive looks for it.
const LOOK: Duration = Duration::from_millis(50);

/// How much of the node the plan is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The services only: no drive is looked at yet.
    Services,
    /// The drives too.
    Drives,
    /// Every driver had its chance: when no new drive has come for a while, all get their ports.
    Settle,
    /// A driver is still at it: the same where a drive was found; where none was, that one is waited for.
    SettleFound,
}

/// Writes the plan.
pub(crate) fn run(extent: Extent) -> Result<(), String> {
    // Before the first service starts: the agent's certificate has a time in it.
    let clock = clock_floor::raise_to_floor();
    let clock = clock.unwrap_or_else(|error| Some(format!("the clock cannot be set: {error}")));
    // From here on whatever cannot be read is an error, and no plan is the last plan: to take it for absent would stop
    // what runs.
    let running = Path::new(plan::FILE).exists();
    let (manifests, complaints) = Manifests::read(Path::new(manifests::FOLDER), running)?;
    let accepted: Option<Accepted> = file::read_json(Path::new(ACCEPTED))?;
    let meminfo = std::fs::read_to_string("/proc/meminfo");
    let meminfo = meminfo.map_err(|error| format!("the machine's memory is not known: {error}"))?;
    let mut book = Book::load()?;
    let drives = accepted.as_ref().map(|accepted| &accepted.drives);
    let settled_before = book.settled;
    let record = if extent == Extent::Services {
        Vec::new()
    } else {
        look(&mut book, extent, drives, manifests.weigh_io())?
    };
    let node = Node {
        manifests: &manifests,
        accepted: accepted.as_ref(),
        machine_mib: budget::machine_mib(&meminfo),
    };
    let (services, refusals) = node.services(&mut book, !settled_before);
    let unread = book.unread();
    let mut announce = book.say(complaints.into_iter().chain(refusals).chain(unread));
    announce.extend(clock);
    let plan = Plan {
        services,
        drives: book.drives().cloned().collect(),
        settled: book.settled,
        refused: book.refused.clone(),
        // Nobody has looked yet: what is due stays due.
        again_ms: book.again_ms().filter(|_| extent != Extent::Services),
        record,
        announce,
    };
    let failed = |error: std::io::Error| format!("the plan cannot be written: {error}");
    book.save().map_err(failed)?;
    let text = serde_json::to_vec(&plan).map_err(|error| failed(error.into()))?;
    file::write_atomically(Path::new(plan::FILE), &text).map_err(failed)
}

/// Looks for drives and says what is new. `weigh`: weights for I/O are to be heeded on them.
fn look(
    book: &mut Book,
    extent: Extent,
    drives: Option<&Drives>,
    weigh: bool,
) -> Result<Vec<String>, String> {
    let (mut lines, mut told) = (Vec::new(), BTreeSet::new());
    let start = || looker::start(weigh);
    let mut looker = Looker::new(&start, std::mem::take(&mut book.hanging));
    loop {
        let scan = discovery::scan(Path::new("/sys"), |name| {
            looker.ask(name).inspect_err(|error| {
                let line = format!("{} cannot be looked at: {error}", discovery::device(name));
                if told.insert(line.clone()) {
                    eprintln!("{line}");
                }
            })
        })?;
        let now_ms = now_ms();
        lines.extend(book.update(scan, drives, now_ms));
        book.hanging.clone_from(&looker.hanging);
        if book.settled {
            return Ok(lines);
        }
        match (extent, book.settle_ms()) {
            (Extent::Settle | Extent::SettleFound, Some(settle_ms)) if settle_ms > now_ms => {
                std::thread::sleep(LOOK);
            }
            (Extent::Settle, _) | (Extent::SettleFound, Some(_)) => {
                book.settle(drives);
                return Ok(lines);
            }
            _ => return Ok(lines),
        }
    }
}

/// Milliseconds since the kernel started.
pub(crate) fn now_ms() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the plan is made of, besides the drives.
struct Node<'a> {
    manifests: &'a Manifests,
    accepted: Option<&'a Accepted>,
    machine_mib: Option<u64>,
}

impl Node<'_> {
    /// Every service that is to run, and why others are not. `boot`: the drives are those of the boot.
    fn services(&self, book: &mut Book, boot: bool) -> (Vec<Specification>, Vec<String>) {
        let mut services = self.manifests.starting(Start::Boot);
        services.extend(self.manifests.starting(Start::Network));
        let mut refusals = Vec::new();
        for name in self.accepted.iter().flat_map(|accepted| &accepted.services) {
            match self.manifests.expand(name, &[]) {
                Ok(service) => services.push(service),
                Err(error) => refusals.push(error),
            }
        }
        self.add_drives(book, boot, &mut services, &mut refusals);
        (services, refusals)
    }

    /// Adds the drives that are there. Where the budgets of the boot's drives do not fit, none of them
    /// is served until they do: it is the configuration that is wrong, and not the last drive. One that comes later
    /// and does not fit is refused alone.
    fn add_drives(
        &self,
        book: &mut Book,
        boot: bool,
        services: &mut Vec<Specification>,
        refusals: &mut Vec<String>,
    ) {
        let (mut fresh, mut refused) = (Vec::new(), Vec::new());
        for drive in book.drives().filter(|drive| drive.present) {
            match self.drive_service(drive) {
                Some(Ok(service)) if book.served.contains(&drive.id) => services.push(service),
                Some(Ok(service)) => fresh.push((drive.id.clone(), service)),
                Some(Err(error)) => refused.push((drive.id.clone(), error)),
                None => {
                    let why = self.accepted.and_then(|accepted| book.no_port(&accepted.drives));
                    refused.extend(why.map(|why| (drive.id.clone(), why)));
                }
            }
        }
        if boot || book.refused.is_some() {
            let all = services.iter().chain(fresh.iter().map(|(_, service)| service));
            book.refused = self.fits(all).err();
            refusals.extend(book.refused.iter().map(|why| format!("maintenance: no drive is served: {why}")));
        }
        for (id, service) in fresh.into_iter().filter(|_| book.refused.is_none()) {
            match self.fits(services.iter().chain([&service])) {
                Ok(()) => {
                    book.served.insert(id);
                    services.push(service);
                }
                Err(error) => refused.push((id, error)),
            }
        }
        for (id, why) in refused {
            refusals.push(format!("drive {id} is not served: {why}"));
            book.refuse(&id, why);
        }
    }

    /// A drive's service out of its template, once the drive has a port.
    fn drive_service(&self, drive: &Drive) -> Option<Result<Specification, String>> {
        let (port, memory_mib) = (drive.port?, self.accepted?.drives.memory_mib);
        let budget_mib = budget::drive_mib(memory_mib, drive.capacity_bytes);
        let words = [
            ("id", drive.id.clone()),
            ("device", drive.device.clone()),
            ("port", port.to_string()),
            ("socket", drive.socket.clone()),
            ("memory_mib", memory_mib.to_string()),
            ("memory_budget_mib", budget_mib.to_string()),
            // Twice over: an index may be made for more blocks than there are by default.
            ("memory_max_mib", budget_mib.saturating_mul(2).saturating_add(256).to_string()),
        ];
        // A drive that was away between two looks is another one to its process, which must start again.
        let sequence = ("IMBREX_DRIVE_SEQUENCE".to_owned(), drive.sequence.to_string());
        Some(self.manifests.expand(plan::DRIVE, &words).map(|mut service| {
            service.environment.extend([sequence]);
            service
        }))
    }

    fn fits<'a>(&self, services: impl Iterator<Item = &'a Specification>) -> Result<(), String> {
        self.machine_mib.map_or(Ok(()), |machine_mib| budget::check(services, machine_mib))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{Found, Scan};
    use crate::manifests::tests;

    fn book(ids: &[&str], drives: &Drives) -> Book {
        let mut book = Book::default();
        book.update(found(ids), Some(drives), 0);
        book.settle(Some(drives));
        book
    }

    fn found(ids: &[&str]) -> Scan {
        let found = |id: &&str| Found {
            id: (*id).to_owned(),
            device: format!("/dev/{id}"),
            model: String::new(),
            serial: String::new(),
            capacity_bytes: 1 << 40,
            sequence: 1,
        };
        Scan { found: ids.iter().map(found).collect(), unreadable: Vec::new() }
    }

    fn drive_names(services: &[Specification]) -> Vec<&str> {
        let names = services.iter().map(|service| service.name.as_str());
        names.filter(|name| name.starts_with(plan::DRIVE)).collect()
    }

    #[test]
    fn a_drive_too_many_is_refused_alone_and_a_boot_with_too_many_serves_none() {
        let manifests = tests::manifests();
        let accepted = Accepted::default();
        // The system, the agent, the two of the network, and the drives.
        let two_drives_mib = 192 + 16 + 2 * 16 + 2 * (128 + 64 + 16);
        let node =
            Node { manifests: &manifests, accepted: Some(&accepted), machine_mib: Some(two_drives_mib) };
        let mut known = book(&["b", "c"], &accepted.drives);
        let (services, refusals) = node.services(&mut known, true);
        assert_eq!((drive_names(&services), refusals), (vec!["drive@b", "drive@c"], Vec::new()));
        known.update(found(&["a", "b", "c"]), Some(&accepted.drives), 9_000);
        let (services, refusals) = node.services(&mut known, false);
        assert_eq!(drive_names(&services), ["drive@b", "drive@c"]);
        assert!(refusals[0].starts_with("drive a is not served: the budgets do not fit"), "{refusals:?}");
        let refused = |book: &Book| {
            let drives = book.drives().filter(|drive| drive.refused.is_some());
            drives.map(|drive| drive.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(refused(&known), ["a"]);
        // Another look finds it as it was, and no other.
        assert!(known.update(found(&["a", "b", "c"]), Some(&accepted.drives), 9_000).is_empty());
        known.update(found(&["a", "c"]), Some(&accepted.drives), 9_001);
        assert_eq!(drive_names(&node.services(&mut known, false).0), ["drive@c", "drive@a"]);
        assert_eq!(refused(&known), Vec::<String>::new());

        let mut known = book(&["a", "b", "c"], &accepted.drives);
        let (services, refusals) = node.services(&mut known, true);
        assert!(drive_names(&services).is_empty());
        assert!(
            refusals[0].contains("no drive is served") && refusals[0].contains("3 drive x 208"),
            "{refusals:?}"
        );
        // One is pulled, and the others fit.
        known.update(found(&["a", "c"]), Some(&accepted.drives), 9_002);
        let (services, refusals) = node.services(&mut known, false);
        assert_eq!((drive_names(&services), refusals), (vec!["drive@a", "drive@c"], Vec::new()));
        assert_eq!(known.refused, None);
    }

    #[test]
    fn a_drive_for_which_no_port_is_left_is_told_and_costs_no_other() {
        let manifests = tests::manifests();
        let accepted =
            Accepted { drives: Drives { port_first: u16::MAX, ..Drives::default() }, ..Accepted::default() };
        let node = Node { manifests: &manifests, accepted: Some(&accepted), machine_mib: None };
        let mut known = Book::default();
        known.update(found(&["a", "b"]), Some(&accepted.drives), 0);
        assert!(node.services(&mut known, true).1.is_empty(), "ports are not given yet");
        known.settle(Some(&accepted.drives));
        let (services, refusals) = node.services(&mut known, true);
        assert_eq!(drive_names(&services), ["drive@a"]);
        let why = "no port from 65535 to 65535 is left for it: drives.port_first is too high";
        assert_eq!(refusals, [format!("drive b is not served: {why}")]);
        let refused: Vec<_> = known.drives().map(|drive| drive.refused.as_deref()).collect();
        assert_eq!(refused, [None, Some(why)]);
    }

    #[test]
    fn a_drive_that_was_away_between_two_looks_gets_another_process() {
        let manifests = tests::manifests();
        let accepted = Accepted::default();
        let node = Node { manifests: &manifests, accepted: Some(&accepted), machine_mib: None };
        let mut known = book(&["a"], &accepted.drives);
        let before = node.services(&mut known, true).0;
        let mut back = found(&["a"]);
        assert!(known.update(back.clone(), Some(&accepted.drives), 1).is_empty());
        assert_eq!(node.services(&mut known, false).0, before);
        back.found[0].sequence = 2;
        known.update(back, Some(&accepted.drives), 2);
        assert_ne!(node.services(&mut known, false).0, before);
    }

    #[test]
    fn without_a_configuration_only_what_boots_and_the_network_are_in_the_plan() {
        let manifests = tests::manifests();
        let node = Node { manifests: &manifests, accepted: None, machine_mib: None };
        let mut known = Book::default();
        known.update(found(&["a"]), None, 0);
        known.settle(None);
        let names: Vec<String> =
            node.services(&mut known, true).0.into_iter().map(|service| service.name).collect();
        assert_eq!(names, ["agent", "dhcpcd", "network"]);
    }
}
