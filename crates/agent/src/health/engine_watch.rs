//! What the drives' engines see, as evidence.
//!
//! - Each engine is asked for its counters now and then, from its memory; what they rose by is recorded. A counter that
//!   is lower than before began anew: its process was started again, or the drive mounted anew.
//! - Drives are compared over [`COMPARED`]: a drive with its peers, which are those of its model in this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbrex_api::drive::DriveStats;
use imbrex_api::node::{DriveState, ZoneConditions};
use imbrex_health::{EngineRecord, Finding, Latency};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::changes::Changes;
use super::{Book, now_unix_s};
use crate::drive_client;
use crate::inventory::{Inventory, Survey};

/// Engines are asked this often.
const INTERVAL: Duration = Duration::from_secs(30);

/// Drives are compared over this time.
const COMPARED: Duration = Duration::from_secs(10 * 60);

/// At most this many are asked at once.
const ASKED_MAX: usize = 32;

/// The counters of an engine when it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    read_errors: u64,
    write_errors: u64,
    flush_errors: u64,
    checksum_failures: u64,
    scrub_errors: u64,
    zones_read_only: u64,
    zones_offline: u64,
}

impl Mark {
    fn of(stats: &DriveStats, zones: Option<ZoneConditions>, before: Self) -> Self {
        Self {
            read_errors: stats.read_errors,
            write_errors: stats.write_errors,
            flush_errors: stats.flush_errors,
            checksum_failures: stats.checksum_failures,
            scrub_errors: stats.scrub_errors,
            zones_read_only: zones.map_or(before.zones_read_only, |zones| zones.read_only),
            zones_offline: zones.map_or(before.zones_offline, |zones| zones.offline),
        }
    }

    /// What has happened since `before`.
    fn since(&self, before: &Self) -> EngineRecord {
        let rise = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        // A condition is recorded when it changes: the time of the record is since when it is so.
        let changed = |now: u64, before: u64| (now != before).then_some(now);
        EngineRecord {
            read_errors: rise(self.read_errors, before.read_errors),
            write_errors: rise(self.write_errors, before.write_errors),
            flush_errors: rise(self.flush_errors, before.flush_errors),
            checksum_failures: rise(self.checksum_failures, before.checksum_failures),
            scrub_findings: rise(self.scrub_errors, before.scrub_errors),
            zones_read_only: changed(self.zones_read_only, before.zones_read_only),
            zones_offline: changed(self.zones_offline, before.zones_offline),
            ..EngineRecord::default()
        }
    }
}

/// How fast a drive's gets were, from one comparison to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Gets {
    count: u64,
    took_us: u64,
}

/// Watches the engines for ever; each has `deadline` to answer, from memory.
pub(crate) async fn run(book: Arc<Book>, agent: Arc<impl AsRef<Inventory>>, deadline: Duration) {
    let mut changes = Changes::default();
    let mut compared = Instant::now();
    let mut gets_before: BTreeMap<String, Gets> = BTreeMap::new();
    loop {
        let survey = (*agent).as_ref().survey().await;
        let stats = ask_all(&survey, deadline).await;
        for (id, stats) in &stats {
            let zones = survey.drive(id).and_then(|drive| drive.entry.zones.conditions);
            book.record_engine(id, now_unix_s(), |before| {
                let mark = Mark::of(stats, zones, before);
                (mark, mark.since(&before))
            });
        }
        if compared.elapsed() >= COMPARED {
            compared = Instant::now();
            let gets = |stats: &DriveStats| Gets { count: stats.gets, took_us: stats.gets_us };
            let now: BTreeMap<_, _> = stats.iter().map(|(id, stats)| (id.clone(), gets(stats))).collect();
            record_latencies(&book, &survey, &gets_before, &now);
            gets_before = now;
        }
        changes.tell(book.node_health());
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The counters of every engine that answers.
async fn ask_all(survey: &Survey, deadline: Duration) -> Vec<(String, DriveStats)> {
    let mut waiting = survey.drives.iter().filter(|drive| {
        !matches!(drive.entry.state, DriveState::Missing | DriveState::Stopped | DriveState::Unresponsive)
    });
    let mut asked = JoinSet::new();
    let mut answers = Vec::new();
    loop {
        while asked.len() < ASKED_MAX {
            let Some(drive) = waiting.next() else { break };
            let Some(socket) = drive.socket.clone() else { continue };
            let id = drive.entry.id.clone();
            asked.spawn(async move { Some((id, drive_client::stats(&socket, deadline).await.ok()?)) });
        }
        match asked.join_next().await {
            None => return answers,
            Some(answer) => answers.extend(answer.ok().flatten()),
        }
    }
}

fn record_latencies(
    book: &Book,
    survey: &Survey,
    before: &BTreeMap<String, Gets>,
    now: &BTreeMap<String, Gets>,
) {
    let mut models: BTreeMap<&str, Vec<(&str, Gets)>> = BTreeMap::new();
    for drive in &survey.drives {
        let (id, Some(model)) = (drive.entry.id.as_str(), drive.entry.model.as_deref()) else { continue };
        let (Some(before), Some(now)) = (before.get(id), now.get(id)) else { continue };
        let count = now.count.checked_sub(before.count).filter(|count| *count > 0);
        let (Some(count), Some(took_us)) = (count, now.took_us.checked_sub(before.took_us)) else { continue };
        models.entry(model).or_default().push((id, Gets { count, took_us }));
    }
    for drives in models.values() {
        for (id, latency) in compare(drives) {
            let record = EngineRecord { latency: Some(latency), ..EngineRecord::default() };
            book.record(id, now_unix_s(), Finding::Engine { record });
        }
    }
}

/// Each drive beside the others: the medians of their means and of their requests.
fn compare<'a>(drives: &[(&'a str, Gets)]) -> Vec<(&'a str, Latency)> {
    let mean_us = |gets: &Gets| gets.took_us / gets.count.max(1);
    let one = |(index, (id, gets)): (usize, &(&'a str, Gets))| {
        let peers =
            || drives.iter().enumerate().filter(move |(other, _)| *other != index).map(|(_, (_, gets))| gets);
        let latency = Latency {
            mean_us: mean_us(gets),
            p99_us: None,
            requests: gets.count,
            peers_mean_us: median(peers().map(mean_us).collect())?,
            peers_requests: median(peers().map(|gets| gets.count).collect())?,
            peers: u32::try_from(drives.len() - 1).unwrap_or(u32::MAX),
        };
        Some((*id, latency))
    };
    drives.iter().enumerate().filter_map(one).collect()
}

/// The middle one, the lower of two; `None` of none.
fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rose_is_recorded_and_a_counter_that_began_anew_counts_whole() {
        let before = Mark { read_errors: 5, write_errors: 7, zones_offline: 1, ..Mark::default() };
        let zones = ZoneConditions { read_only: 2, offline: 1, ..ZoneConditions::default() };
        let stats = DriveStats { read_errors: 8, write_errors: 2, scrub_errors: 1, ..DriveStats::default() };
        let mark = Mark::of(&stats, Some(zones), before);
        let record = mark.since(&before);
        assert_eq!((record.read_errors, record.write_errors, record.scrub_findings), (3, 2, 1));
        assert_eq!((record.zones_read_only, record.zones_offline), (Some(2), None), "only what has changed");
        let unknown = Mark::of(&stats, None, mark);
        assert_eq!(unknown.since(&mark), EngineRecord::default(), "what is not told has not changed");
    }

    #[test]
    fn a_drive_is_compared_with_the_others_of_its_model() {
        let gets = |took_us| Gets { count: 100, took_us };
        let drives =
            [("a", gets(1_000_000)), ("b", gets(900_000)), ("c", gets(1_100_000)), ("slow", gets(9_000_000))];
        let compared = compare(&drives);
        let (_, slow) = compared[3];
        assert_eq!(
            (slow.mean_us, slow.peers_mean_us, slow.peers, slow.peers_requests),
            (90_000, 10_000, 3, 100)
        );
        let (_, good) = compared[0];
        assert_eq!((good.mean_us, good.peers_mean_us), (10_000, 11_000));
        assert!(compare(&drives[..1]).is_empty(), "one drive alone has no peers");
    }
}
