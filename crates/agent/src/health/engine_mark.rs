//! What an engine had told when it was last asked: against it, what it tells now is new or old.
//!
//! - Counters count since the drive's process began. One that began anew counts from nothing: all that it tells is new.
//! - Not so damage. The drive is the same, and a process that has begun anew finds what the one before it had found: only
//!   what goes beyond that is new. Blocks that were restored while a process ran are damaged no longer.
//! - Conditions of zones are recorded when they change: the time of the record is since when it is so. Other states are told
//!   always, and kept since they were first told.
//! - A drive that turns slow is counted once, however long it stays so.

use imbrex_api::drive::{DriveStats, DriveStatus};
use imbrex_api::node::ZoneConditions;
use imbrex_health::EngineRecord;
use serde::{Deserialize, Serialize};

/// What an engine had told when it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Mark {
    /// How long its process had run.
    uptime_ms: u64,
    read_errors: u64,
    write_errors: u64,
    flush_errors: u64,
    reset_errors: u64,
    checksum_failures: u64,
    scrub_errors: u64,
    slowdowns: u64,
    zones_read_only: u64,
    zones_offline: u64,
    zones_unknown: u64,
    lacks_checkpoints: bool,
    /// Blocks that the process knew to be damaged.
    blocks_damaged: u64,
    /// Blocks that any process of this drive has told to be damaged, less those that were restored while one ran.
    blocks_told: u64,
    /// How often init had started the drive's process again.
    restarts: u64,
}

/// What an engine tells of how it stands, beside its counters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    pub(super) zones: Option<ZoneConditions>,
    pub(super) zones_unknown: Option<u64>,
    pub(super) blocks_damaged: Option<u64>,
    /// `None` where the drive is not mounted: then nobody knows.
    pub(super) lacks_checkpoints: Option<bool>,
    /// The same.
    pub(super) holds_blocks: Option<bool>,
}

impl Standing {
    /// What a drive's status tells.
    pub(super) fn of(status: &DriveStatus) -> Self {
        let is_mounted = status.blocks.is_some();
        Self {
            zones: status.zones,
            // Before the mount has ended nothing is known to be unknown.
            zones_unknown: is_mounted.then_some(u64::from(status.unknown_zones)),
            blocks_damaged: Some(status.damaged_blocks),
            lacks_checkpoints: is_mounted.then_some(status.without_checkpoints.is_some()),
            holds_blocks: status.blocks.map(|blocks| blocks > 0),
        }
    }
}

/// Whether two answers of an engine are of one process that has found nothing bad in between: what it told of itself between
/// the two is of the same moment as both.
pub(super) fn are_of_one_moment(before: &DriveStats, after: &DriveStats) -> bool {
    let counters = |stats: &DriveStats| COUNTERS.map(|counter| counter(stats));
    are_of_one_process(before, after) && counters(before) == counters(after)
}

/// Whether the later of two answers is of the process that gave the earlier one: it has run for longer, and counted no less.
pub(super) fn are_of_one_process(before: &DriveStats, after: &DriveStats) -> bool {
    before.uptime_ms <= after.uptime_ms && COUNTERS.iter().all(|counter| counter(before) <= counter(after))
}

/// What an engine counts against its drive.
const COUNTERS: [fn(&DriveStats) -> u64; 7] = [
    |stats| stats.read_errors,
    |stats| stats.write_errors,
    |stats| stats.flush_errors,
    |stats| stats.reset_errors,
    |stats| stats.checksum_failures,
    |stats| stats.scrub_errors,
    |stats| stats.slowdowns,
];

impl Mark {
    /// The next mark, and what has happened since this one.
    pub(super) fn next(self, stats: &DriveStats, standing: Standing) -> (Self, EngineRecord) {
        let before = if self.is_of_earlier_process(stats) { self.of_new_process() } else { self };
        let zones = standing.zones;
        let blocks_damaged = standing.blocks_damaged.unwrap_or(before.blocks_damaged);
        let restored = before.blocks_damaged.saturating_sub(blocks_damaged);
        let told = before.blocks_told.max(before.blocks_damaged).saturating_sub(restored);
        let mark = Self {
            uptime_ms: stats.uptime_ms,
            read_errors: stats.read_errors,
            write_errors: stats.write_errors,
            flush_errors: stats.flush_errors,
            reset_errors: stats.reset_errors,
            checksum_failures: stats.checksum_failures,
            scrub_errors: stats.scrub_errors,
            slowdowns: stats.slowdowns,
            zones_read_only: zones.map_or(before.zones_read_only, |zones| zones.read_only),
            zones_offline: zones.map_or(before.zones_offline, |zones| zones.offline),
            zones_unknown: standing.zones_unknown.unwrap_or(before.zones_unknown),
            lacks_checkpoints: standing.lacks_checkpoints.unwrap_or(before.lacks_checkpoints),
            blocks_damaged,
            blocks_told: told.max(blocks_damaged),
            restarts: before.restarts,
        };
        let record = EngineRecord {
            // States, of which a history that is given back may hold older ones: told always.
            zones_unknown: standing.zones_unknown,
            keeps_checkpoints: standing.lacks_checkpoints.map(|lacks| !lacks),
            holds_blocks: standing.holds_blocks,
            ..mark.since(&before, told)
        };
        (mark, record)
    }

    /// What has happened since `before`; `told` blocks were known to be damaged.
    fn since(&self, before: &Self, told: u64) -> EngineRecord {
        let changed = |now: u64, before: u64| (now != before).then_some(now);
        let found = self.blocks_damaged.saturating_sub(before.blocks_damaged);
        let records_lost = self.blocks_damaged.saturating_sub(told);
        let found_again = found - records_lost.min(found);
        // A scrub counts each block that it finds damaged twice: by what was wrong, and as its own.
        let scrub_errors = self.scrub_errors.saturating_sub(before.scrub_errors);
        let mut again = found_again.min(scrub_errors);
        let mut new = |now: u64, before: u64| {
            let rise = now.saturating_sub(before);
            let known = rise.min(again);
            again -= known;
            rise - known
        };
        EngineRecord {
            read_errors: new(self.read_errors, before.read_errors),
            checksum_failures: new(self.checksum_failures, before.checksum_failures),
            write_errors: self.write_errors.saturating_sub(before.write_errors),
            flush_errors: self.flush_errors.saturating_sub(before.flush_errors),
            reset_errors: self.reset_errors.saturating_sub(before.reset_errors),
            scrub_findings: scrub_errors.saturating_sub(found_again),
            records_lost,
            slower_than_before: self.slowdowns.saturating_sub(before.slowdowns),
            zones_read_only: changed(self.zones_read_only, before.zones_read_only),
            zones_offline: changed(self.zones_offline, before.zones_offline),
            ..EngineRecord::default()
        }
    }

    /// Whether the process that tells `stats` is another one: it has not run for as long, or has counted less.
    fn is_of_earlier_process(&self, stats: &DriveStats) -> bool {
        stats.uptime_ms < self.uptime_ms
            || [
                (stats.read_errors, self.read_errors),
                (stats.write_errors, self.write_errors),
                (stats.flush_errors, self.flush_errors),
                (stats.reset_errors, self.reset_errors),
                (stats.checksum_failures, self.checksum_failures),
                (stats.scrub_errors, self.scrub_errors),
                (stats.slowdowns, self.slowdowns),
            ]
            .into_iter()
            .any(|(now, before)| now < before)
    }

    /// What still holds when the drive's process begins anew: its zones, and what was told of its damage.
    pub(super) fn of_new_process(self) -> Self {
        Self {
            zones_read_only: self.zones_read_only,
            zones_offline: self.zones_offline,
            zones_unknown: self.zones_unknown,
            lacks_checkpoints: self.lacks_checkpoints,
            blocks_told: self.blocks_told.max(self.blocks_damaged),
            restarts: self.restarts,
            ..Self::default()
        }
    }

    /// What still holds in another boot of the node, in which init counts anew too.
    pub(super) fn of_new_boot(self) -> Self {
        Self { restarts: 0, ..self.of_new_process() }
    }

    /// This mark, with the damage that the drive has told by another, which was kept elsewhere. To do it twice is to do it
    /// once.
    pub(super) fn and_told_by(self, kept: Self) -> Self {
        let told = kept.blocks_told.max(kept.blocks_damaged);
        Self { blocks_told: self.blocks_told.max(told), ..self }
    }

    /// The mark when init has started the process again `restarts` times, and how often that is since this one.
    pub(super) fn restarted(self, restarts: u64) -> (Self, u64) {
        let new = restarts.checked_sub(self.restarts).unwrap_or(restarts);
        (Self { restarts, ..self }, new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(blocks: u64) -> Standing {
        Standing { blocks_damaged: Some(blocks), ..Standing::default() }
    }

    #[test]
    fn what_rose_is_recorded_and_a_process_that_began_anew_counts_whole() {
        let before = Mark { read_errors: 5, write_errors: 7, zones_offline: 1, ..Mark::default() };
        let zones = ZoneConditions { read_only: 2, offline: 1, ..ZoneConditions::default() };
        let stats = DriveStats { read_errors: 8, write_errors: 9, reset_errors: 4, ..DriveStats::default() };
        let standing = Standing { zones: Some(zones), ..damaged(3) };
        let (mark, record) = before.next(&stats, standing);
        assert_eq!((record.read_errors, record.write_errors, record.reset_errors), (3, 2, 4));
        assert_eq!((record.zones_read_only, record.zones_offline), (Some(2), None), "only what has changed");
        assert_eq!(record.records_lost, 3);
        let (_, unknown) = mark.next(&stats, Standing::default());
        assert_eq!(unknown, EngineRecord::default(), "what is not told has not changed");
        let lower = DriveStats { write_errors: 1, ..stats };
        let (_, record) = mark.next(&lower, standing);
        assert_eq!((record.read_errors, record.write_errors), (8, 1), "one counter is lower: all began anew");
    }

    #[test]
    fn a_process_that_began_anew_is_known_by_the_time_for_which_it_runs() {
        let told = |uptime_ms, read_errors| DriveStats { uptime_ms, read_errors, ..DriveStats::default() };
        let (mark, _) = Mark::default().next(&told(60_000, 2), Standing::default());
        let (_, record) = mark.next(&told(20_000, 3), Standing::default());
        assert_eq!(record.read_errors, 3);
        let (_, record) = mark.next(&told(90_000, 3), Standing::default());
        assert_eq!(record.read_errors, 1);
    }

    #[test]
    fn answers_of_one_process_that_found_nothing_in_between_are_of_one_moment() {
        let told = |uptime_ms, scrub_errors| DriveStats { uptime_ms, scrub_errors, ..DriveStats::default() };
        assert!(are_of_one_moment(&told(5, 1), &told(5, 1)) && are_of_one_moment(&told(5, 1), &told(9, 1)));
        assert!(!are_of_one_moment(&told(5, 1), &told(9, 2)) && are_of_one_process(&told(5, 1), &told(9, 2)));
        assert!(!are_of_one_process(&told(5, 1), &told(4, 1)), "it has run for less");
        assert!(!are_of_one_process(&told(5, 1), &told(9, 0)), "it has counted less");
    }

    #[test]
    fn damage_that_a_process_finds_again_after_a_restart_is_told_once() {
        let told = |uptime_ms, found| DriveStats {
            uptime_ms,
            scrub_errors: found,
            read_errors: found,
            ..DriveStats::default()
        };
        let (mark, record) = Mark::default().next(&told(60_000, 5), damaged(5));
        assert_eq!((record.records_lost, record.scrub_findings, record.read_errors), (5, 5, 5));
        // It starts again, is not mounted yet, and then finds four of the five, all five, and one more.
        for mark in [mark, mark.of_new_boot()] {
            let (mark, record) = mark.next(&told(1_000, 0), damaged(0));
            assert_eq!((record.records_lost, record.scrub_findings, record.read_errors), (0, 0, 0));
            let (mark, record) = mark.next(&told(31_000, 4), damaged(4));
            assert_eq!(
                (record.records_lost, record.scrub_findings, record.read_errors),
                (0, 0, 0),
                "old damage"
            );
            let (mark, record) = mark.next(&told(61_000, 6), damaged(6));
            assert_eq!(
                (record.records_lost, record.scrub_findings, record.read_errors),
                (1, 1, 1),
                "one is new"
            );
            let (_, record) = mark.next(&told(91_000, 7), damaged(7));
            assert_eq!((record.records_lost, record.scrub_findings, record.read_errors), (1, 1, 1));
        }
    }

    #[test]
    fn a_block_that_was_restored_is_not_lost_anew_and_one_that_is_lost_after_that_is() {
        let stats = DriveStats::default();
        let (mark, _) = Mark::default().next(&stats, damaged(3));
        let (mark, record) = mark.next(&stats, damaged(1));
        assert_eq!(record.records_lost, 0);
        let (mark, record) = mark.next(&stats, damaged(2));
        assert_eq!(record.records_lost, 1);
        // A restart in which nothing is known yet is no restoring.
        let (mark, _) = mark.of_new_process().next(&stats, damaged(0));
        let (_, record) = mark.next(&stats, damaged(2));
        assert_eq!(record.records_lost, 0);
    }

    #[test]
    fn a_mark_of_an_agent_before_this_one_is_read() {
        let saved = r#"{"read_errors":5,"write_errors":0,"flush_errors":0,"checksum_failures":0,"scrub_errors":3,
            "zones_read_only":0,"zones_offline":0,"blocks_damaged":3}"#;
        let mark: Mark = serde_json::from_str(saved).unwrap();
        let (mark, _) = mark.next(&DriveStats { uptime_ms: 1, ..DriveStats::default() }, damaged(0));
        let (_, record) = mark.next(&DriveStats { scrub_errors: 3, ..DriveStats::default() }, damaged(3));
        assert_eq!((record.records_lost, record.scrub_findings), (0, 0));
    }

    #[test]
    fn a_drive_that_is_not_mounted_says_nothing_of_zones_and_checkpoints() {
        let told = |drive: &DriveStatus| {
            let standing = Standing::of(drive);
            (standing.zones_unknown, standing.lacks_checkpoints, standing.holds_blocks)
        };
        let mut drive = DriveStatus::default();
        assert_eq!(told(&drive), (None, None, None));
        drive = DriveStatus { blocks: Some(0), slow_since_unix_s: Some(1), ..drive };
        assert_eq!(told(&drive), (Some(0), Some(false), Some(false)));
        let mark = Mark { zones_unknown: 2, lacks_checkpoints: true, ..Mark::default() };
        let slowed = DriveStats { slowdowns: 1, ..DriveStats::default() };
        let (mark, record) = mark.next(&slowed, Standing::of(&drive));
        assert_eq!((record.zones_unknown, record.keeps_checkpoints), (Some(0), Some(true)));
        assert_eq!(record.slower_than_before, 1);
        let (_, record) = mark.next(&slowed, Standing::of(&drive));
        assert_eq!(record.slower_than_before, 0, "it is slow still, and became so once");
        assert_eq!(record.keeps_checkpoints, Some(true), "told again, for a history that is given back");
    }
}
