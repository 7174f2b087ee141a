//! What was recorded of one drive, bounded.
//!
//! - A history belongs to a drive, by [`DriveKey`], and to no device file.
//! - It takes observations in any order: one that comes late has its place by its own time. One that is older than
//!   thirty days before the newest says nothing any more.
//! - It is bounded: [`READINGS_MAX`] readings (the latest of each half day), the last report with what
//!   earlier ones had and it has not, and the counts of what happened.

use serde::{Deserialize, Serialize};
use smartctl_parser::{Attribute, ErrorLog, Report, SelfTestLog};

use crate::asleep::Asleep;
use crate::cleared::Cleared;
use crate::drive_key::DriveKey;
use crate::happenings::{Happening, Happenings, KEPT_S};
use crate::identity::Identity;
use crate::kernel_event::KernelEvent;
use crate::last_report::{LastReport, Part};
use crate::observation::{EngineRecord, Finding, Latency, LifeStep, Observation, ScrubCoverage};
use crate::reading::Reading;

/// The latest reading of each slot of this length is kept, in seconds: half a day.
const READING_SLOT_S: u64 = 12 * 3600;

/// At most this many readings are kept: thirty days of half days, and one to begin with.
pub const READINGS_MAX: usize = 61;

/// A reason is kept to this length, in bytes.
const REASON_BYTES_MAX: usize = 256;

/// A drive is slower than its peers where its mean latency is this many times theirs, or its 99th percentile that many
/// times theirs. (Gunawi et al., FAST 2018: drives that fail slow answer most requests as ever and some very late. A
/// percentile is known to a factor of two, so that its factor is larger.)
const SLOW_FACTOR: u64 = 2;
const SLOW_TAIL_FACTOR: u64 = 8;

/// A 99th percentile of fewer requests is chance: the slowest ten decide.
const TAIL_REQUESTS_MIN: u64 = 1000;

/// Drives are compared where there are this many peers at least, each with this many requests.
const PEERS_MIN: u32 = 3;
const REQUESTS_MIN: u64 = 100;

/// Something, and when it was so, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct At<T> {
    pub(crate) at_unix_s: u64,
    pub(crate) what: T,
}

/// What was recorded of one drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    identity: Identity,
    pub(crate) first_seen_unix_s: Option<u64>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) report: Option<LastReport>,
    pub(crate) error_log: Option<At<ErrorLog>>,
    pub(crate) self_tests: Option<At<SelfTestLog>>,
    pub(crate) smart_failure: Option<At<String>>,
    pub(crate) smart_answered_unix_s: Option<u64>,
    pub(crate) engine_seen_unix_s: Option<u64>,
    pub(crate) zones_read_only: Option<At<u64>>,
    pub(crate) zones_offline: Option<At<u64>>,
    pub(crate) zones_unknown: Option<At<u64>>,
    pub(crate) keeps_checkpoints: Option<At<bool>>,
    pub(crate) holds_blocks: Option<At<bool>>,
    pub(crate) scrub: Option<At<ScrubCoverage>>,
    pub(crate) latency: Option<At<Latency>>,
    pub(crate) happenings: Happenings,
    pub(crate) present: Option<At<bool>>,
    pub(crate) step: Option<At<LifeStep>>,
    pub(crate) cleared: Option<At<Cleared>>,
    pub(crate) asleep: Option<Asleep>,
}

impl History {
    /// The empty history of a drive.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self { identity, ..Self::default() }
    }

    /// What the drive is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What its history is kept under; `None` where it has no name.
    #[must_use]
    pub fn key(&self) -> Option<DriveKey> {
        DriveKey::of(&self.identity)
    }

    /// Takes what is known anew of the drive: its firmware may be another, it may hang on another adapter.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// The last report of smartctl's, and when it was made, in seconds since 1970.
    #[must_use]
    pub fn latest_report(&self) -> Option<(u64, &Report)> {
        self.report.as_ref().map(|report| (report.at_unix_s, &*report.what))
    }

    /// The ATA attributes that the drive told last, and when, in seconds since 1970.
    #[must_use]
    pub fn latest_attributes(&self) -> Option<(&[Attribute], u64)> {
        let report = self.report.as_ref()?;
        Some((&report.what.ata.as_ref()?.attributes, report.told_unix_s(Part::Attributes)?))
    }

    /// The readings that are kept, oldest first.
    #[must_use]
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Since when it has been recorded, in seconds since 1970; `None` where nothing is.
    #[must_use]
    pub const fn watched_since_unix_s(&self) -> Option<u64> {
        self.first_seen_unix_s
    }

    /// Records one observation.
    pub fn record(&mut self, observation: Observation) {
        let at_unix_s = observation.at_unix_s;
        let first = self.first_seen_unix_s.map_or(at_unix_s, |first| first.min(at_unix_s));
        self.first_seen_unix_s = Some(first);
        match observation.finding {
            Finding::Smart { report } => self.record_report(at_unix_s, report),
            Finding::SmartFailed { mut reason } => {
                reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
                self.happenings.record(at_unix_s, Happening::SmartFailed, 1);
                put(&mut self.smart_failure, at_unix_s, reason);
            }
            Finding::Asleep => self.record_asleep(at_unix_s),
            Finding::Engine { record } => self.record_engine(at_unix_s, record),
            Finding::Scrub { coverage } => put(&mut self.scrub, at_unix_s, coverage),
            Finding::Kernel { event } => self.happenings.record(at_unix_s, happening_of(event), 1),
            Finding::Presence { present } => self.record_presence(at_unix_s, present),
            Finding::Life { step } => {
                if step == LifeStep::Cleared {
                    let cleared = self.known_at(at_unix_s);
                    put(&mut self.cleared, at_unix_s, cleared);
                }
                put(&mut self.step, at_unix_s, step);
            }
        }
    }

    /// What is struck out at this time.
    fn known_at(&self, at_unix_s: u64) -> Cleared {
        let zones = |zones: &Option<At<u64>>| zones.as_ref().map_or(0, |zones| zones.what);
        let before = self.readings.iter().rfind(|reading| reading.at_unix_s <= at_unix_s);
        let mut cleared = Cleared {
            reading: before.copied(),
            zones_read_only: zones(&self.zones_read_only),
            zones_offline: zones(&self.zones_offline),
            zones_unknown: zones(&self.zones_unknown),
            ..Cleared::default()
        };
        cleared.note(
            self.report.as_ref().map(|report| &*report.what),
            self.error_log.as_ref().map(|log| &log.what),
            self.self_tests.as_ref().map(|log| &log.what),
        );
        cleared
    }

    fn record_asleep(&mut self, at_unix_s: u64) {
        self.smart_answered_unix_s = self.smart_answered_unix_s.max(Some(at_unix_s));
        // One that told of itself since is awake.
        if self.readings.last().is_none_or(|newest| newest.at_unix_s < at_unix_s) {
            let asleep = Asleep::at(at_unix_s);
            self.asleep = Some(self.asleep.map_or(asleep, |known| known.and(asleep)));
        }
    }

    fn record_report(&mut self, at_unix_s: u64, mut report: Box<Report>) {
        if report.asleep == Some(true) {
            return self.record_asleep(at_unix_s);
        }
        // A run that came back with the drive's identity alone is an answer all the same.
        self.smart_answered_unix_s = self.smart_answered_unix_s.max(Some(at_unix_s));
        let Some(reading) = Reading::of(&report, at_unix_s) else { return };
        self.asleep = self.asleep.filter(|asleep| asleep.since_unix_s > at_unix_s);
        if let Some(log) = report.ata.as_mut().and_then(|ata| ata.error_log.take()) {
            put(&mut self.error_log, at_unix_s, log);
        }
        if let Some(log) = report.self_tests.take() {
            put(&mut self.self_tests, at_unix_s, log);
        }
        let report = LastReport::new(at_unix_s, report);
        self.report = Some(match self.report.take() {
            Some(kept) => kept.with(report),
            None => report,
        });
        self.put_reading(reading);
    }

    pub(crate) fn put_reading(&mut self, reading: Reading) {
        let slot = |reading: &Reading| reading.at_unix_s / READING_SLOT_S;
        let cleared_unix_s = self.cleared.as_ref().map(|cleared| cleared.at_unix_s);
        match self.readings.binary_search_by_key(&slot(&reading), slot) {
            Ok(index) => {
                let kept = &mut self.readings[index];
                let earlier = if reading.at_unix_s >= kept.at_unix_s {
                    std::mem::replace(kept, reading)
                } else {
                    reading
                };
                kept.fill_from(&earlier);
                // A slot says everything that was said in it, and the latest counts. What was struck out in between was
                // said before.
                let is_struck_out =
                    cleared_unix_s.is_some_and(|at| (earlier.at_unix_s..kept.at_unix_s).contains(&at));
                if !is_struck_out {
                    kept.statements = kept.statements.or(earlier.statements);
                }
            }
            Err(index) => self.readings.insert(index, reading),
        }
        let oldest = self.readings.last().map_or(0, |newest| newest.at_unix_s.saturating_sub(KEPT_S));
        let old = self.readings.partition_point(|reading| reading.at_unix_s < oldest);
        self.readings.drain(..old.max(self.readings.len().saturating_sub(READINGS_MAX)));
    }

    fn record_engine(&mut self, at_unix_s: u64, record: EngineRecord) {
        self.engine_seen_unix_s = self.engine_seen_unix_s.max(Some(at_unix_s));
        for (happening, count) in [
            (Happening::ReadError, record.read_errors),
            (Happening::WriteError, record.write_errors),
            (Happening::FlushError, record.flush_errors),
            (Happening::ResetError, record.reset_errors),
            (Happening::OpenError, record.open_errors),
            (Happening::ChecksumFailure, record.checksum_failures),
            (Happening::ScrubFinding, record.scrub_findings.max(record.records_lost)),
            (Happening::SlowerThanBefore, record.slower_than_before),
        ] {
            self.happenings.record(at_unix_s, happening, count);
        }
        put_state(&mut self.zones_read_only, at_unix_s, record.zones_read_only);
        put_state(&mut self.zones_offline, at_unix_s, record.zones_offline);
        put_state(&mut self.zones_unknown, at_unix_s, record.zones_unknown);
        put_state(&mut self.keeps_checkpoints, at_unix_s, record.keeps_checkpoints);
        put_state(&mut self.holds_blocks, at_unix_s, record.holds_blocks);
        if let Some(latency) = record.latency {
            if let Some(slow) = slower_than_peers(latency) {
                let happening = if slow { Happening::SlowerThanPeers } else { Happening::AsFastAsPeers };
                self.happenings.record(at_unix_s, happening, 1);
            }
            put(&mut self.latency, at_unix_s, latency);
        }
    }

    /// `present` keeps the time at which the present state began.
    fn record_presence(&mut self, at_unix_s: u64, present: bool) {
        match &mut self.present {
            Some(known) if known.what == present => known.at_unix_s = known.at_unix_s.min(at_unix_s),
            Some(known) if known.at_unix_s > at_unix_s => {}
            _ => {
                if !present {
                    self.happenings.record(at_unix_s, Happening::Gone, 1);
                }
                self.present = Some(At { at_unix_s, what: present });
            }
        }
    }
}

/// Keeps the newer of two.
fn put<T>(kept: &mut Option<At<T>>, at_unix_s: u64, what: T) {
    if kept.as_ref().is_none_or(|kept| kept.at_unix_s <= at_unix_s) {
        *kept = Some(At { at_unix_s, what });
    }
}

/// Keeps the newer of two states. One that is told again is so since it was first told.
fn put_state<T: PartialEq>(kept: &mut Option<At<T>>, at_unix_s: u64, what: Option<T>) {
    match (kept, what) {
        (Some(kept), Some(what)) if kept.what == what => kept.at_unix_s = kept.at_unix_s.min(at_unix_s),
        (kept, Some(what)) => put(kept, at_unix_s, what),
        (_, None) => {}
    }
}

const fn happening_of(event: KernelEvent) -> Happening {
    match event {
        KernelEvent::MediumError => Happening::MediumError,
        KernelEvent::HardwareError => Happening::HardwareError,
        KernelEvent::IoError => Happening::IoError,
        KernelEvent::LinkReset => Happening::LinkReset,
        KernelEvent::LinkError => Happening::LinkError,
        KernelEvent::Timeout => Happening::Timeout,
        KernelEvent::Offline => Happening::Offline,
    }
}

/// Whether the drive was much slower than its peers; `None` where they cannot be compared: too few of them, too few
/// requests, or a load on the drive that is more than twice theirs.
fn slower_than_peers(latency: Latency) -> Option<bool> {
    let comparable = latency.peers >= PEERS_MIN
        && latency.requests >= REQUESTS_MIN
        && latency.peers_requests >= REQUESTS_MIN
        && latency.requests / 2 <= latency.peers_requests
        && latency.peers_mean_us > 0;
    let enough = latency.requests.min(latency.peers_requests) >= TAIL_REQUESTS_MIN;
    let tails = latency.p99_us.zip(latency.peers_p99_us).filter(|(_, peers)| enough && *peers > 0);
    let is_slow_at_times = tails.is_some_and(|(own, peers)| own / SLOW_TAIL_FACTOR >= peers);
    comparable.then_some(latency.mean_us / SLOW_FACTOR >= latency.peers_mean_us || is_slow_at_times)
}
