//! Reading one zone from record to record, and checking each.
//!
//! It follows FORMAT.md, "The log": where no record stands it looks unit by unit for the next one, it looks into a record
//! that is not followed closely in sequence, and it counts only what a commit closes.

use crate::commit::Commit;
use crate::error::FormatError;
use crate::label::Label;
use crate::record::{RecordHeader, RecordKind, decode_record_header};
use crate::scope::ZoneScope;
use crate::table_entry::TableEntry;
use crate::tombstone::decode_tombstones;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::life::End;
use crate::verify::pending::{CLOSE, Member, Pending};
use crate::verify::survey::Survey;
use crate::void::VoidRange;
use crate::zone_header::ZoneContent;

/// Below how many units a record's neighbours are read with it.
const SMALL_UNITS: u32 = 64;

/// What a zone's records say.
#[derive(Debug)]
pub(super) struct ZoneLog {
    /// What its commits list, in the order of the log.
    pub(super) entries: Vec<TableEntry>,
    pub(super) good_units: u32,
    /// The highest sequence of what counts, padding behind it included.
    pub(super) last_sequence: u64,
    pub(super) last_group: u64,
    /// Why nothing more counts.
    pub(super) end: End,
    /// Damage may have hidden a block or a tombstone.
    pub(super) is_incomplete: bool,
    /// What no commit has closed.
    pub(super) pending: Pending,
}

/// Where a zone's records begin and end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The unit behind the last that a record can have.
    pub(super) end: u32,
    pub(super) first_sequence: u64,
    pub(super) is_sequential: bool,
}

/// What stands in a unit.
enum Found {
    Record(Box<RecordHeader>),
    Nothing(End),
}

pub(super) struct Walk<'a, 'd> {
    pub(super) survey: &'a mut Survey<'d>,
    pub(super) label: &'a Label,
    pub(super) scope: ZoneScope,
    pub(super) log: ZoneLog,
    bounds: Bounds,
    /// The record before, as long as nothing has shown that all of the units that it claims are its own.
    unproven: Option<RecordHeader>,
    /// The highest sequence of all that was followed.
    followed: u64,
    looks_far: bool,
}

impl<'a, 'd> Walk<'a, 'd> {
    pub(super) fn new(
        survey: &'a mut Survey<'d>,
        label: &'a Label,
        scope: ZoneScope,
        bounds: Bounds,
    ) -> Self {
        let log = ZoneLog {
            entries: Vec::new(),
            good_units: 1,
            last_sequence: bounds.first_sequence,
            last_group: 0,
            end: End::Clean,
            is_incomplete: false,
            pending: Pending::default(),
        };
        let followed = bounds.first_sequence.saturating_sub(1);
        Self { survey, label, scope, log, bounds, unproven: None, followed, looks_far: true }
    }

    /// Reads the zone to the end of its log.
    pub(super) fn run(mut self) -> Result<ZoneLog, Halt> {
        let mut unit = 1;
        loop {
            let found = self.header_at(unit, true)?;
            if let Some(inner) = self.look_into_unproven(&found)? {
                unit = inner;
                continue;
            }
            match found {
                Found::Record(header) => {
                    self.record(&header)?;
                    unit += header.unit_count;
                    self.looks_far = header.unit_count < SMALL_UNITS;
                    // Of a commit that was torn the header may stand alone, and newer records within what it claims.
                    let proven = self.log.good_units == unit;
                    self.unproven = (!proven).then_some(*header);
                }
                Found::Nothing(end) => {
                    self.log.end = if end == End::Damaged { end } else { self.log.end };
                    let Some(next) = self.next_header_in(unit + 1, self.bounds.end)? else { break };
                    self.log.pending.gaps.push(unit..next);
                    unit = next;
                }
            }
        }
        Ok(self.log)
    }

    pub(super) fn at(&self, unit: u32) -> At {
        At::unit(self.scope.zone, unit)
    }

    /// A later record within the units that the record before claims, looked for where `next` does not follow closely.
    fn look_into_unproven(&mut self, next: &Found) -> Result<Option<u32>, Halt> {
        let Some(before) = self.unproven.take() else { return Ok(None) };
        let close = before.sequence.saturating_add(CLOSE);
        let follows = matches!(next, Found::Record(next) if next.sequence < close);
        if follows || before.unit_count == 1 {
            return Ok(None);
        }
        self.next_header_in(before.unit_offset + 1, before.unit_offset + before.unit_count)
    }

    fn next_header_in(&mut self, begin: u32, end: u32) -> Result<Option<u32>, Halt> {
        self.looks_far = true;
        for unit in begin..end {
            if matches!(self.header_at(unit, false)?, Found::Record(_)) {
                return Ok(Some(unit));
            }
        }
        Ok(None)
    }

    /// What stands in a unit. `is_expected` where a record has to begin there, if any more do.
    fn header_at(&mut self, unit: u32, is_expected: bool) -> Result<Found, Halt> {
        if unit >= self.bounds.end {
            return Ok(Found::Nothing(End::Clean));
        }
        let (zone, end, far) = (self.scope.zone, self.bounds.end, self.looks_far);
        let Ok(bytes) = self.survey.reader.unit(zone, unit, end, far)? else {
            return Ok(Found::Nothing(End::Damaged));
        };
        let why = if bytes.iter().all(|byte| *byte == 0) { End::Clean } else { End::Damaged };
        let header = match decode_record_header(bytes, &self.scope, unit) {
            Ok(header) => header,
            Err(error) => {
                // Whether this one length is above its bound is asked before the checksum is.
                let is_lie = match error {
                    FormatError::UnknownKind { .. } => true,
                    FormatError::Invalid { field } => field != "payload_bytes",
                    _ => false,
                };
                self.impossible(is_lie && is_expected, unit, || error.to_string())?;
                return Ok(Found::Nothing(why));
            }
        };
        if header.sequence <= self.followed {
            let is_lie = is_expected && self.bounds.is_sequential;
            let what = format!("its record has sequence {}, after {}", header.sequence, self.followed);
            let at = self.at(unit);
            self.survey.findings.expect(!is_lie, FindingKind::SequenceFalls, at, || what)?;
            return Ok(Found::Nothing(End::Clean));
        }
        // A crash has torn a record that claims more than was written.
        if header.unit_count > self.bounds.end - unit {
            return Ok(Found::Nothing(End::Clean));
        }
        Ok(Found::Record(Box::new(header)))
    }

    fn impossible(&mut self, is_lie: bool, unit: u32, what: impl FnOnce() -> String) -> Result<(), Halt> {
        let at = self.at(unit);
        self.survey.findings.expect(!is_lie, FindingKind::RecordImpossible, at, what)
    }

    fn record(&mut self, header: &RecordHeader) -> Result<(), Halt> {
        self.followed = header.sequence;
        self.survey.counts.records += 1;
        let unit = header.unit_offset;
        self.impossible(!header.kind.may_stand_in(ZoneContent::Records), unit, || {
            "a checkpoint's record stands in a zone of the log".into()
        })?;
        self.impossible(header.birth > header.sequence, unit, || {
            format!("its birth {} comes after its sequence {}", header.birth, header.sequence)
        })?;
        self.impossible(header.payload_bytes > self.label.payload_bytes_max, unit, || {
            let most = self.label.payload_bytes_max;
            format!("a record of {} bytes, on a drive whose blocks have {most} at most", header.payload_bytes)
        })?;
        match header.kind {
            RecordKind::Tombstones => self.tombstones(header),
            RecordKind::Commit => self.commit(header),
            RecordKind::Void => self.void(header),
            _ => {
                self.push(header, Vec::new(), None);
                Ok(())
            }
        }
    }

    fn push(
        &mut self,
        header: &RecordHeader,
        tombstones: Vec<crate::TombstoneEntry>,
        damage: Option<String>,
    ) {
        self.log.pending.members.push(Member { header: header.clone(), tombstones, damage });
    }

    /// The payload of a record that holds a structure, decoded; `Err` says what is damaged of it.
    fn structure<T>(
        &mut self,
        header: &RecordHeader,
        decode: impl FnOnce(&[u8]) -> Result<T, FormatError>,
    ) -> Result<Result<T, String>, Halt> {
        let decoded = match self.survey.reader.record(self.scope.zone, header)? {
            Ok(payload) => decode(payload),
            Err(reason) => return Ok(Err(reason)),
        };
        match decoded {
            Ok(structure) => Ok(Ok(structure)),
            Err(error) => {
                self.impossible(true, header.unit_offset, || {
                    format!("what its record holds cannot be: {error}")
                })?;
                Ok(Err(error.to_string()))
            }
        }
    }

    fn tombstones(&mut self, header: &RecordHeader) -> Result<(), Halt> {
        match self.structure(header, decode_tombstones)? {
            Ok(tombstones) => self.push(header, tombstones, None),
            Err(reason) => self.push(header, Vec::new(), Some(reason)),
        }
        Ok(())
    }

    fn void(&mut self, header: &RecordHeader) -> Result<(), Halt> {
        match self.structure(header, VoidRange::decode)? {
            Ok(range) => {
                let end = u64::from(range.first_unit) + u64::from(range.unit_count);
                let is_right =
                    range.first_unit >= self.log.good_units && end <= u64::from(header.unit_offset);
                let at = self.at(header.unit_offset);
                let good = self.log.good_units;
                self.survey.findings.expect(is_right, FindingKind::VoidContradicts, at, || {
                    let first = range.first_unit;
                    format!("it voids units {first} to {}, and the last commit ends at unit {good}", end - 1)
                })?;
                if is_right {
                    self.log.pending.void(&range);
                    self.log.end = End::Clean;
                }
                self.push(header, Vec::new(), None);
            }
            Err(reason) => self.push(header, Vec::new(), Some(reason)),
        }
        Ok(())
    }

    fn commit(&mut self, header: &RecordHeader) -> Result<(), Halt> {
        match self.structure(header, Commit::decode)? {
            Ok(commit) => self.close_group(header, &commit),
            Err(reason) => {
                self.log.pending.damaged_commits.push((header.unit_offset, reason));
                self.log.end = End::Damaged;
                Ok(())
            }
        }
    }
}
