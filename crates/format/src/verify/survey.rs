//! One run of the verifier, from the label to the comparison with the checkpoint.

use imbrex_zoned::Zone;
use imbrex_zoned::read_only::ReadOnlyDrive;

use crate::label::Label;
use crate::verify::claims::Claims;
use crate::verify::findings::{Findings, Halt};
use crate::verify::ledger::{Budget, Ledger};
use crate::verify::life::Life;
use crate::verify::reader::Reader;
use crate::verify::report::{CheckpointFacts, Counts, DriveFacts, Extent, Report, Verdict};
use crate::verify::{VerifyOptions, checkpoint, labels, replay, zones};

/// Everything that a run knows.
pub(super) struct Survey<'d> {
    pub(super) options: VerifyOptions,
    pub(super) reader: Reader<'d>,
    pub(super) findings: Findings,
    pub(super) ledger: Ledger,
    pub(super) claims: Claims,
    pub(super) counts: Counts,
    /// The drive's own report of its zones.
    pub(super) zones: Vec<Zone>,
    /// The present life of each zone of the log.
    pub(super) lives: Vec<Option<Life>>,
    /// Zones that are full, in which nothing stands: a header that was torn seems to be all that they ever held.
    pub(super) begun: Vec<u32>,
    /// Damage may have hidden blocks or tombstones: what then seems to contradict is not called a lie.
    pub(super) incomplete: bool,
    pub(super) checkpoint: Option<CheckpointFacts>,
    drive: Option<DriveFacts>,
    is_replayed: bool,
}

impl<'d> Survey<'d> {
    pub(super) fn new(drive: &'d mut dyn ReadOnlyDrive, options: &VerifyOptions) -> Self {
        let zones = drive.zones().to_vec();
        Self {
            options: *options,
            findings: Findings::new(!options.all),
            ledger: Ledger::new(Budget::new(options.memory_bytes_max)),
            claims: Claims::default(),
            counts: Counts::default(),
            lives: vec![None; zones.len()],
            zones,
            begun: Vec::new(),
            incomplete: false,
            checkpoint: None,
            drive: None,
            is_replayed: false,
            reader: Reader::new(drive),
        }
    }

    pub(super) fn run(&mut self) -> Result<(), Halt> {
        let (label, is_recovered) = labels::find(self)?;
        self.ledger.set_secret(label.secret);
        self.drive = Some(self.describe(&label, is_recovered));
        for index in 0..self.zones.len() {
            let zone = self.zones[index];
            let is_wanted = self.options.zone.is_none_or(|wanted| wanted == zone.index);
            let is_log = !label.label_zones.contains(&zone.index) && !label.is_checkpoint_zone(zone.index);
            if is_wanted && is_log {
                self.lives[index] = zones::verify_zone(self, &label, &zone)?;
            }
        }
        if self.options.zone.is_some() {
            return Ok(());
        }
        replay::run(self, &label)?;
        self.is_replayed = true;
        checkpoint::run(self, &label)
    }

    fn describe(&self, label: &Label, is_recovered: bool) -> DriveFacts {
        let identity = self.reader.drive().identity();
        DriveFacts {
            path: identity.path.display().to_string(),
            serial: identity.serial.clone(),
            drive_id: label.drive_id.to_string(),
            format_version: crate::VERSION,
            formatted_at_unix_s: label.formatted_at_unix_s,
            zone_count: label.zone_count,
            zone_size_bytes: label.zone_size_bytes,
            blocks_max: label.blocks_max,
            is_label_recovered: is_recovered,
        }
    }

    /// What was found; `is_complete` where nothing made the run stop before its end.
    pub(super) fn report(self, is_complete: bool) -> Report {
        let verdict = match (self.findings.lies, self.findings.damage) {
            (0, 0) if self.findings.unsure == 0 => Verdict::Sound,
            (0, 0) => Verdict::Unsure,
            (0, _) => Verdict::Damaged,
            _ => Verdict::Lying,
        };
        Report {
            verdict,
            drive: self.drive,
            extent: Extent {
                is_complete,
                payloads: self.options.payloads,
                zone: self.options.zone,
                is_replayed: self.is_replayed,
                read_bytes: self.reader.read_bytes,
                memory_bytes_most: self.ledger.budget.most_bytes,
                memory_bytes_max: self.options.memory_bytes_max,
            },
            counts: self.counts,
            checkpoint: self.checkpoint,
            lies: self.findings.lies,
            damage: self.findings.damage,
            unsure: self.findings.unsure,
            findings: self.findings.list,
            findings_left_out: self.findings.left_out,
            cannot_tell: self.findings.cannot_tell,
            notes: self.findings.notes,
        }
    }
}
