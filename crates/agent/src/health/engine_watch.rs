//! What the drives' engines see, as evidence.
//!
//! - Each engine is asked for its counters, its status and its scrub now and then; what is new is recorded (see
//!   `engine_mark.rs`). Counters and status have to be of one moment: else damage that only one of them tells yet would
//!   count twice, or that of a process which has ended as restored by the next. So the counters are asked for before and
//!   after the status.
//! - Drives are compared over [`COMPARED`]: a drive with its peers, which are those of its model in this node.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbrex_api::drive::{DriveStats, EXIT_DEVICE_FAILED, GETS_BUCKETS, ScrubStatus, gets_bucket_us_max};
use imbrex_api::node::DriveState;
use imbrex_health::{EngineRecord, Finding, Latency};
use tokio::task::JoinSet;

use super::changes::Changes;
use super::engine_mark::{Standing, are_of_one_moment, are_of_one_process};
use super::{Book, now_unix_s};
use crate::drive_client;
use crate::init_client::{InitDrive, InitStatus};
use crate::inventory::{Inventory, Survey};

/// Engines are asked this often.
const INTERVAL: Duration = Duration::from_secs(30);

/// Drives are compared over this time.
const COMPARED: Duration = Duration::from_secs(10 * 60);

/// At most this many are asked at once.
const ASKED_MAX: usize = 32;

/// An engine whose counters move while it is asked is asked so often at most.
const TRIES_MAX: usize = 3;

/// How fast a drive's gets were, from one comparison to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Gets {
    count: u64,
    took_us: u64,
    by_time: [u64; GETS_BUCKETS],
}

impl Gets {
    /// What came since `before`; `None` where nothing did, or the counters began anew.
    fn since(&self, before: &Self) -> Option<Self> {
        let count = self.count.checked_sub(before.count).filter(|count| *count > 0)?;
        let took_us = self.took_us.checked_sub(before.took_us)?;
        let by_time =
            std::array::from_fn(|bucket| self.by_time[bucket].saturating_sub(before.by_time[bucket]));
        Some(Self { count, took_us, by_time })
    }

    fn mean_us(&self) -> u64 {
        self.took_us / self.count.max(1)
    }

    /// The end of the bucket in which the 99th percentile lies; `None` where it has no end, or the drive tells none.
    fn p99_us(&self) -> Option<u64> {
        let all: u64 = self.by_time.iter().sum();
        let mut slower = all;
        let bucket = self.by_time.iter().position(|count| {
            slower -= count;
            slower.saturating_mul(100) <= all
        });
        bucket.filter(|_| all > 0).and_then(gets_bucket_us_max)
    }
}

/// Watches the engines for ever; each has `deadline` to answer, from memory.
pub(crate) async fn run(book: Arc<Book>, agent: Arc<impl AsRef<Inventory>>, deadline: Duration) {
    let mut changes = Changes::default();
    let mut compared = Instant::now();
    let mut gets_before: BTreeMap<String, Gets> = BTreeMap::new();
    loop {
        let survey = (*agent).as_ref().survey().await;
        let told = ask_all(&survey, deadline).await;
        for Told { id, stats, standing, scrub } in &told {
            book.record_engine(id, now_unix_s(), *scrub, |before| before.next(stats, *standing));
        }
        for (id, restarts, is_open_error) in survey.init.as_ref().map(restarts).unwrap_or_default() {
            book.record_open_errors(id, now_unix_s(), |before| {
                let (mark, new) = before.restarted(restarts);
                (mark, if is_open_error { new } else { 0 })
            });
        }
        if compared.elapsed() >= COMPARED {
            compared = Instant::now();
            let gets = |stats: &DriveStats| Gets {
                count: stats.gets,
                took_us: stats.gets_us,
                by_time: stats.gets_by_time,
            };
            let now: BTreeMap<_, _> = told.iter().map(|told| (told.id.clone(), gets(&told.stats))).collect();
            record_latencies(&book, &survey, &gets_before, &now);
            gets_before = now;
        }
        changes.tell(book.node_health());
        tokio::time::sleep(INTERVAL).await;
    }
}

/// What an engine told.
struct Told {
    id: String,
    stats: DriveStats,
    standing: Standing,
    /// `None` where it did not say: the drive is not mounted, or its engine is late.
    scrub: Option<ScrubStatus>,
}

/// What every engine tells that answers.
async fn ask_all(survey: &Survey, deadline: Duration) -> Vec<Told> {
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
            asked.spawn(async move {
                let counters = counters_and_standing(&socket, deadline);
                let (counters, scrub) = tokio::join!(counters, drive_client::scrub(&socket, deadline));
                let (stats, standing) = counters?;
                Some(Told { id, stats, standing, scrub: scrub.ok() })
            });
        }
        match asked.join_next().await {
            None => return answers,
            Some(answer) => answers.extend(answer.ok().flatten()),
        }
    }
}

/// What an engine has counted, and how it stands at the same moment. `None` where it does not answer, or its process began
/// anew in between. One that finds something bad each time that it is asked is taken at its last word.
async fn counters_and_standing(socket: &Path, deadline: Duration) -> Option<(DriveStats, Standing)> {
    let mut before = drive_client::stats(socket, deadline).await.ok()?;
    let mut tries = 0;
    loop {
        let status = drive_client::status(socket, deadline).await.ok()?;
        let after = drive_client::stats(socket, deadline).await.ok()?;
        tries += 1;
        if are_of_one_moment(&before, &after) {
            return Some((after, Standing::of(&status)));
        }
        if tries >= TRIES_MAX {
            return are_of_one_process(&before, &after).then(|| (after, Standing::of(&status)));
        }
        before = after;
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
        let Some(gets) = now.since(before) else { continue };
        models.entry(model).or_default().push((id, gets));
    }
    for drives in models.values() {
        for (id, latency) in compare(drives) {
            let record = EngineRecord { latency: Some(latency), ..EngineRecord::default() };
            book.record(id, now_unix_s(), Finding::Engine { record });
        }
    }
}

/// How often init has started each drive's process again, and whether it last ended because the device could not be
/// opened.
fn restarts<'a>(init: &'a InitStatus) -> Vec<(&'a str, u64, bool)> {
    let exit = format!("exited with status {EXIT_DEVICE_FAILED}");
    let of_drive = |drive: &'a InitDrive| {
        let name = drive.service.as_deref()?;
        let service = init.services.iter().find(|service| service.name == name)?;
        Some((drive.id.as_str(), service.restarts, service.last_exit.as_deref() == Some(&exit)))
    };
    init.drives.iter().filter_map(of_drive).collect()
}

/// Each drive beside the others: the medians of their means, of their tails and of their requests.
fn compare<'a>(drives: &[(&'a str, Gets)]) -> Vec<(&'a str, Latency)> {
    let one = |(index, (id, gets)): (usize, &(&'a str, Gets))| {
        let peers =
            || drives.iter().enumerate().filter(move |(other, _)| *other != index).map(|(_, (_, gets))| gets);
        let latency = Latency {
            mean_us: gets.mean_us(),
            p99_us: gets.p99_us(),
            requests: gets.count,
            peers_mean_us: median(peers().map(Gets::mean_us).collect())?,
            peers_p99_us: median(peers().filter_map(Gets::p99_us).collect()),
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
    fn a_drive_is_compared_with_the_others_of_its_model() {
        let gets = |took_us| Gets { count: 100, took_us, ..Gets::default() };
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

    #[test]
    fn a_percentile_is_the_end_of_its_bucket() {
        let gets = |by_time: &[(usize, u64)]| {
            let mut gets = Gets::default();
            by_time.iter().for_each(|(bucket, count)| gets.by_time[*bucket] = *count);
            gets
        };
        assert_eq!(gets(&[]).p99_us(), None);
        assert_eq!(gets(&[(0, 1)]).p99_us(), Some(128));
        assert_eq!(gets(&[(3, 990), (8, 10)]).p99_us(), Some(1024), "one in a hundred is slower");
        assert_eq!(gets(&[(3, 989), (8, 11)]).p99_us(), Some(32_768));
        assert_eq!(gets(&[(15, 1)]).p99_us(), None, "nobody knows how much longer");
        let (before, now) = (gets(&[(3, 990)]), Gets { count: 5, ..gets(&[(3, 990), (8, 5)]) });
        assert_eq!(now.since(&before).unwrap().p99_us(), Some(32_768), "only what came since");
    }

    #[test]
    fn a_process_that_could_not_open_its_device_is_an_error_and_one_that_ended_otherwise_is_none() {
        let init = |exit: &str| -> InitStatus {
            serde_json::from_value(serde_json::json!({
                "node": { "state": "running", "reason": null, "config_url": null, "uptime_ms": 1 },
                "services": [{ "name": "drive@a", "state": "backoff", "pid": null, "restarts": 4, "since_ms": 1,
                    "last_exit": exit, "rss_bytes": null }],
                "drives": [{ "id": "a", "device": "/dev/sda", "port": null, "socket": null, "service": "drive@a",
                    "model": null, "serial": null }]
            }))
            .unwrap()
        };
        assert_eq!(restarts(&init("exited with status 74")), [("a", 4, true)]);
        assert_eq!(restarts(&init("killed by signal 9")), [("a", 4, false)]);
    }
}
