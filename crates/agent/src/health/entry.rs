//! What the book holds of one drive.

use std::path::PathBuf;
use std::time::Instant;

use imbrex_api::drive::ScrubStatus;
use imbrex_api::health::PollOutcome;
use imbrex_api::node::{Bus, Drive, DriveState, Smart, SmartStatus};
use imbrex_health::notes::{MaskedCommand, Notes};
use imbrex_health::{Bus as HealthBus, DriveKey, Finding, History, Identity, Observation};
use serde::{Deserialize, Serialize};
use smartctl_parser::{Answer, FailureKind, Protocol, Report, ScsiSense};

use super::clock_watch::Step;
use super::engine_mark::Mark;
use super::saved::Saved;
use super::schedule::Schedule;
use crate::inventory::SurveyedDrive;
use crate::sysfs::Whereabouts;

/// One drive.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What was recorded of it.
    pub(crate) history: History,
    /// When it is asked.
    pub(crate) schedule: Schedule,
    /// What came of the last question.
    pub(crate) asked: Option<Asked>,
    /// The counters of its engine when it was last asked.
    pub(super) mark: Mark,
    /// How far its scrub was then; `None` where the engine did not say.
    pub(super) scrub: Option<ScrubStatus>,
    /// Whether it is there.
    pub(crate) present: bool,
    /// Its device file, where smartctl can open it.
    pub(crate) device: Option<String>,
    /// The socket of its process.
    pub(crate) socket: Option<PathBuf>,
    /// Where it sits.
    pub(crate) whereabouts: Whereabouts,
    /// Bytes on it: in all, in blocks, and free; `None` where that is not known.
    pub(crate) capacity_bytes: Option<u64>,
    pub(crate) live_bytes: Option<u64>,
    pub(crate) free_bytes: Option<u64>,
}

/// What came of a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) outcome: PollOutcome,
    pub(crate) reason: Option<String>,
    pub(crate) smart: SmartStatus,
    pub(crate) at_unix_s: u64,
}

impl Entry {
    /// A drive of which nothing is recorded yet.
    pub(crate) fn new(drive: &SurveyedDrive, kernel: Option<&str>, now: Instant, now_unix_s: u64) -> Self {
        let mut entry = Self {
            history: History::new(identity_of(&drive.entry, &drive.whereabouts, kernel)),
            schedule: Schedule::new([None, None], now, now_unix_s),
            asked: None,
            mark: Mark::default(),
            scrub: None,
            present: true,
            device: None,
            socket: None,
            whereabouts: Whereabouts::default(),
            capacity_bytes: None,
            live_bytes: None,
            free_bytes: None,
        };
        entry.observe(drive, kernel, now, now_unix_s);
        entry
    }

    /// Whether this is the drive that a survey tells of under the same ID: nothing that is known of both differs.
    pub(crate) fn is(&self, drive: &SurveyedDrive) -> bool {
        let agree = |known: &Option<String>, told: &Option<String>| {
            known.is_none()
                || told.is_none()
                || known.as_deref().map(str::trim) == told.as_deref().map(str::trim)
        };
        let identity = self.history.identity();
        let is_there = drive.entry.state != DriveState::Missing;
        // A drive without a name that comes back may be any drive.
        let may_be_another = self.key().is_none() && !self.present && is_there;
        agree(&identity.wwn, &drive.entry.wwn)
            && agree(&identity.serial, &drive.entry.serial)
            && !may_be_another
    }

    /// Takes note of what a survey said.
    pub(crate) fn observe(
        &mut self,
        drive: &SurveyedDrive,
        kernel: Option<&str>,
        now: Instant,
        now_unix_s: u64,
    ) {
        let told = &drive.entry;
        let present = told.state != DriveState::Missing;
        if matches!(told.state, DriveState::Missing | DriveState::Stopped | DriveState::Unresponsive) {
            // Nobody asks it now.
            self.scrub = None;
        }
        let device = told.device.clone().filter(|device| present && device.starts_with("/dev/"));
        if present && !self.present && !self.schedule.is_asking() {
            // It came back: how it is now is wanted soon.
            self.schedule = Schedule::new([None, self.schedule.asked_fully_unix_s], now, now_unix_s);
        }
        self.present = present;
        self.device = device;
        self.socket.clone_from(&drive.socket);
        self.whereabouts.clone_from(&drive.whereabouts);
        self.capacity_bytes = told.capacity_bytes;
        self.live_bytes = told.bytes_live;
        self.free_bytes = told.bytes_free;
        let identity = self.identity_with_report(identity_of(told, &drive.whereabouts, kernel));
        self.history.set_identity(identity);
        self.record(now_unix_s, Finding::Presence { present });
    }

    /// Whether the kernel's log calls it so.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.whereabouts.names.iter().any(|known| known == name)
    }

    /// Records something.
    pub(crate) fn record(&mut self, at_unix_s: u64, finding: Finding) {
        self.history.record(Observation { at_unix_s, finding });
    }

    /// The key; `None` where the drive tells neither WWN nor serial.
    pub(crate) fn key(&self) -> Option<DriveKey> {
        self.history.key()
    }

    /// What is kept of it on file.
    pub(super) fn saved(&self) -> Saved {
        Saved {
            history: self.history.clone(),
            asked: self.asked.clone(),
            asked_unix_s: self.schedule.asked_unix_s,
            asked_fully_unix_s: self.schedule.asked_fully_unix_s,
            mark: self.mark,
        }
    }

    /// Takes what was on file.
    pub(super) fn restore(&mut self, saved: Saved, now: Instant, now_unix_s: u64) {
        self.take_history(saved.history, now_unix_s);
        self.mark = saved.mark;
        if !self.schedule.is_asking() {
            self.asked = saved.asked;
            self.schedule = Schedule::new([saved.asked_unix_s, saved.asked_fully_unix_s], now, now_unix_s);
        }
    }

    /// Takes a history of this drive that was recorded before.
    pub(super) fn take_history(&mut self, history: History, now_unix_s: u64) {
        self.history.merge(history);
        let identity = self.identity_with_report(self.history.identity().clone());
        self.history.set_identity(identity);
        self.record(now_unix_s, Finding::Presence { present: self.present });
    }

    /// The node's clock was set: what is known is out of its time.
    pub(super) fn clock_stepped(&mut self, step: Step, now: Instant, now_unix_s: u64) {
        if let Step::Back(by_s) = step {
            self.history.clock_set_back(by_s, now_unix_s);
        }
        self.schedule.come_soon(now);
    }

    /// Keeps what smartctl answered.
    pub(crate) fn answered(&mut self, answer: Answer, now: Instant, now_unix_s: u64) {
        let hung = matches!(&answer, Answer::Failed(failure)
            if matches!(failure.kind, FailureKind::Late | FailureKind::Stuck | FailureKind::Busy));
        self.schedule.end(hung, now, now_unix_s);
        let failed = |reason: String| (PollOutcome::Failed, Some(reason), SmartStatus::Unknown);
        let (outcome, reason, smart) = match answer {
            Answer::Asleep => {
                self.record(now_unix_s, Finding::Asleep);
                let reason = "the drive sleeps and was left asleep".to_owned();
                (PollOutcome::Asleep, Some(reason), SmartStatus::Unknown)
            }
            Answer::Failed(failure) => {
                self.record(now_unix_s, Finding::SmartFailed { reason: failure.sentence.clone() });
                failed(failure.sentence)
            }
            Answer::Report(report) => match self.stranger(&report) {
                Some(reason) => failed(reason),
                None => {
                    let (smart, reason) = smart_of(&report);
                    self.record(now_unix_s, Finding::Smart { report });
                    let identity = self.identity_with_report(self.history.identity().clone());
                    self.history.set_identity(identity);
                    (PollOutcome::Report, reason, smart)
                }
            },
        };
        self.asked = Some(Asked { outcome, reason, smart, at_unix_s: now_unix_s });
    }

    /// Nothing is asked of the drive, for this reason.
    pub(crate) fn masked(&mut self, reason: String, now: Instant, now_unix_s: u64) {
        self.schedule.pass_over(now, now_unix_s);
        let smart = SmartStatus::Unknown;
        self.asked =
            Some(Asked { outcome: PollOutcome::Masked, reason: Some(reason), smart, at_unix_s: now_unix_s });
    }

    /// The note by which nothing, or not everything, may be asked.
    pub(crate) fn mask(&self, notes: &Notes, command: MaskedCommand) -> Option<String> {
        let effective = notes.effective(self.history.identity());
        effective.masks(command).map(|note| format!("{}: {}", note.id, note.title))
    }

    /// The note by which the drive must not hold data.
    pub(crate) fn refusing_note(&self, notes: &Notes) -> Option<String> {
        let effective = notes.effective(self.history.identity());
        effective.refuses().map(|note| format!("{}: {}", note.id, note.title))
    }

    /// Whether it was not asked because of a note when it was last due.
    pub(crate) fn is_masked(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.outcome == PollOutcome::Masked)
    }

    /// The status as the drive's entry in the inventory tells it.
    pub(crate) fn smart(&self) -> Smart {
        match &self.asked {
            Some(asked) => Smart {
                status: asked.smart,
                reason: asked.reason.clone(),
                checked_at_unix_s: Some(asked.at_unix_s),
            },
            None => never_asked("smartctl was not asked yet"),
        }
    }

    /// Why a report is not this drive's: a device file may have become another drive's since it was looked up.
    fn stranger(&self, report: &Report) -> Option<String> {
        let identity = self.history.identity();
        let same_wwn = identity.wwn.is_some() && identity.wwn == report.identity.wwn;
        let (known, told) = (identity.serial.as_deref()?, report.identity.serial.as_deref()?);
        // SCSI serials are told in a short and a long form.
        let same_serial = known.contains(told.trim()) || told.contains(known.trim());
        (!same_wwn && !same_serial)
            .then(|| format!("smartctl's report is of another drive ({told}), not of this one ({known})"))
    }

    /// What smartctl says of model and firmware goes first: the kernel cuts a SATA drive's model after 16 letters.
    fn identity_with_report(&self, mut identity: Identity) -> Identity {
        let Some((_, report)) = self.history.latest_report() else { return identity };
        let told = &report.identity;
        identity.model = told.model.clone().or(identity.model);
        identity.firmware = told.firmware.clone().or(identity.firmware);
        identity.bus = match report.device.protocol {
            Some(Protocol::Ata) => HealthBus::Sata,
            Some(Protocol::Scsi) => HealthBus::Sas,
            Some(Protocol::Nvme) => HealthBus::Nvme,
            None => identity.bus,
        };
        identity
    }
}

/// What is told of a drive that was never asked.
pub(crate) fn never_asked(reason: &str) -> Smart {
    Smart { status: SmartStatus::Unknown, reason: Some(reason.to_owned()), checked_at_unix_s: None }
}

fn identity_of(drive: &Drive, whereabouts: &Whereabouts, kernel: Option<&str>) -> Identity {
    Identity {
        wwn: drive.wwn.clone(),
        serial: drive.serial.clone(),
        // The drive's process tells the vendor too, which is "ATA" for all of SATA (SAT); smartctl tells none.
        model: drive
            .model
            .as_deref()
            .map(|model| model.strip_prefix("ATA ").unwrap_or(model).trim().to_owned()),
        firmware: drive.firmware.clone(),
        bus: match drive.bus {
            Bus::Nvme => HealthBus::Nvme,
            Bus::Scsi if whereabouts.is_ata => HealthBus::Sata,
            Bus::Scsi => HealthBus::Sas,
            Bus::NullBlock | Bus::Simulated | Bus::Unknown => HealthBus::Unknown,
        },
        hba: whereabouts.adapter.clone(),
        kernel: kernel.map(str::to_owned),
    }
}

/// SMART's overall status in a report, and why. Where two things contradict each other, or the one that is needed is
/// not there, the status is unknown.
fn smart_of(report: &Report) -> (SmartStatus, Option<String>) {
    let words = (!report.messages.is_empty()).then(|| report.messages.join("; "));
    let failing = report.exit.is_some_and(|exit| exit.drive_failing());
    match (report.smart_passed, failing) {
        (Some(true), false) => (SmartStatus::Passed, words),
        (Some(false), _) => (SmartStatus::Failed, why_failed(report).or(words)),
        (Some(true), true) => {
            let reason = "smartctl contradicts itself: the status is passed, the exit status says failing";
            (SmartStatus::Unknown, Some(reason.to_owned()))
        }
        (None, _) => {
            (SmartStatus::Unknown, words.or_else(|| Some("smartctl gave no overall status".to_owned())))
        }
    }
}

fn why_failed(report: &Report) -> Option<String> {
    let sense = report.scsi.as_ref().and_then(|scsi| scsi.sense.as_ref());
    let code = |sense: &ScsiSense| format!("SCSI sense {:02x}h/{:02x}h", sense.asc, sense.ascq);
    let scsi = sense.map(|sense| sense.words.clone().unwrap_or_else(|| code(sense)));
    let warning = report.nvme.as_ref().and_then(|nvme| nvme.critical_warning);
    scsi.or_else(|| warning.map(|warning| format!("critical warning {:#04x}", warning.0)))
}
