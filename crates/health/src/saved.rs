//! Verdicts on saved outputs of smartctl's.

use smartctl_parser::{Protocol, Report};

use crate::history::History;
use crate::identity::{Bus, Identity};
use crate::judge::judge;
use crate::notes::Notes;
use crate::observation::{Finding, Observation};
use crate::verdict::Verdict;

/// What a saved output of `smartctl --json` comes to, with no history beside it. It is judged as of its own time: how
/// old it is now says nothing of the drive.
#[must_use]
pub fn judge_saved(output: &[u8], notes: &Notes) -> Verdict {
    let (mut identity, mut at_unix_s) = (Identity::default(), 0);
    let finding = match Report::parse(output) {
        Ok(report) => {
            at_unix_s = report.made_at_unix_s.and_then(|made| u64::try_from(made).ok()).unwrap_or(0);
            identity = identity_of(&report);
            Finding::Smart { report: Box::new(report) }
        }
        Err(error) => Finding::SmartFailed { reason: error.to_string() },
    };
    let mut history = History::new(identity);
    history.record(Observation { at_unix_s, finding });
    judge(&history, notes, at_unix_s)
}

/// The part of an identity that a report tells.
fn identity_of(report: &Report) -> Identity {
    let drive = report.identity.clone();
    let bus = match report.device.protocol {
        Some(Protocol::Ata) => Bus::Sata,
        Some(Protocol::Scsi) => Bus::Sas,
        Some(Protocol::Nvme) => Bus::Nvme,
        None => Bus::Unknown,
    };
    let (model, firmware) = (drive.model, drive.firmware);
    Identity { wwn: drive.wwn, serial: drive.serial, model, firmware, bus, ..Identity::default() }
}
