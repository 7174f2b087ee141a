//! A fleet's recorded history: daily snapshots of drives, as Backblaze publishes them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

use smartctl_parser::{Ata, Attribute, Device, Protocol, Report};

use crate::drive_key::DriveKey;
use crate::history::History;
use crate::identity::{Bus, Identity};
use crate::judge::judge_with;
use crate::level::Level;
use crate::notes::Notes;
use crate::observation::{Finding, Observation};

/// Seconds of a day.
const DAY_S: u64 = 24 * 3600;

/// What a file compressed by gzip begins with (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The attributes that the rules know; a column `smart_N_raw` of another is passed over.
const ATTRIBUTES: [u8; 11] = [1, 5, 9, 10, 184, 187, 194, 197, 198, 199, 22];

/// What became of one drive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it failed within the file.
    pub failed: bool,
    /// Its worst level on any day.
    pub worst: Level,
    /// Days on which it became degraded or worse, having been better the day before.
    pub alerts: u32,
    /// Days on which it was seen.
    pub days: u32,
    /// The highest raw values of attributes 5 and 197, for the rules that people use.
    pub remapped_max: u64,
    /// See [`Outcome::remapped_max`].
    pub pending_max: u64,
}

/// What became of each drive, by serial number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The drives, in the order of their serial numbers.
    pub drives: Vec<Outcome>,
}

/// A file that is no fleet's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadFleet {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadFleet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for BadFleet {}

/// Where the columns are.
struct Columns {
    date: usize,
    serial: usize,
    model: usize,
    capacity: Option<usize>,
    failure: usize,
    attributes: Vec<(u8, usize)>,
}

/// One drive on one day.
struct Day {
    at_unix_s: u64,
    failed: bool,
    capacity_bytes: Option<u64>,
    raws: Vec<(u8, u64)>,
}

impl Fleet {
    /// Reads a history and judges each drive on each of its days.
    ///
    /// # Errors
    ///
    /// It cannot be read, has no header with the columns `date`, `serial_number`, `model` and `failure`, or a line has
    /// no date. A number that is missing stays missing.
    pub fn replay(mut input: impl BufRead, notes: &Notes) -> Result<Self, BadFleet> {
        let bad = |line: usize, reason: String| BadFleet { line, reason };
        if input.fill_buf().is_ok_and(|begin| begin.starts_with(&GZIP)) {
            let reason = "it is compressed: zcat FILE.csv.gz | imbrex-health replay -";
            return Err(bad(1, reason.to_owned()));
        }
        let mut lines = input
            .lines()
            .zip(1..)
            .map(|(text, line)| text.map(|text| (text, line)).map_err(|error| bad(line, error.to_string())));
        let (header, _) = lines.next().unwrap_or_else(|| Err(bad(1, "the file is empty".to_owned())))?;
        let columns = Columns::find(&header).map_err(|reason| bad(1, reason))?;
        let mut drives: BTreeMap<(String, String), Vec<Day>> = BTreeMap::new();
        for line in lines {
            let (text, line) = line?;
            if !text.trim().is_empty() {
                let (drive, day) = columns.day(&text).map_err(|reason| bad(line, reason))?;
                drives.entry(drive).or_default().push(day);
            }
        }
        Ok(Self { drives: drives.into_iter().map(|(drive, days)| outcome(drive, days, notes)).collect() })
    }
}

impl Columns {
    fn find(header: &str) -> Result<Self, String> {
        let names: Vec<&str> = header.trim().split(',').collect();
        let find = |name: &str| names.iter().position(|other| *other == name);
        let need = |name: &str| find(name).ok_or_else(|| format!("there is no column {name}"));
        let attributes =
            ATTRIBUTES.into_iter().filter_map(|id| Some((id, find(&format!("smart_{id}_raw"))?)));
        Ok(Self {
            date: need("date")?,
            serial: need("serial_number")?,
            model: need("model")?,
            capacity: find("capacity_bytes"),
            failure: need("failure")?,
            attributes: attributes.collect(),
        })
    }

    fn day(&self, line: &str) -> Result<((String, String), Day), String> {
        let fields: Vec<&str> = line.trim().split(',').collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or("");
        let number = |index: usize| field(index).parse::<u64>().ok();
        let at_unix_s = days_since_1970(field(self.date)).ok_or("there is no date like 2013-04-10")? * DAY_S;
        let raws = self.attributes.iter().filter_map(|(id, index)| Some((*id, number(*index)?)));
        let day = Day {
            at_unix_s,
            failed: field(self.failure) == "1",
            capacity_bytes: self.capacity.and_then(number),
            raws: raws.collect(),
        };
        Ok(((field(self.serial).to_owned(), field(self.model).to_owned()), day))
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_1970(date: &str) -> Option<u64> {
    let mut numbers = date.splitn(3, '-').map(|number| number.parse::<u64>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years are counted from March, so that the leap day comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some(days - 719_468)
}

fn outcome((serial, model): (String, String), mut days: Vec<Day>, notes: &Notes) -> Outcome {
    days.sort_by_key(|day| day.at_unix_s);
    let identity =
        Identity { serial: Some(serial), model: Some(model), bus: Bus::Sata, ..Identity::default() };
    let effective = notes.effective(&identity);
    let mut history = History::new(identity);
    debug_assert!(history.key().is_none_or(|key: DriveKey| key.wwn.is_none()));
    let (mut outcome, mut was_bad) = (Outcome { worst: Level::Healthy, ..Outcome::default() }, false);
    for day in days {
        let raw = |wanted: u8| day.raws.iter().find(|(id, _)| *id == wanted).map_or(0, |(_, raw)| *raw);
        outcome.remapped_max = outcome.remapped_max.max(raw(5));
        outcome.pending_max = outcome.pending_max.max(raw(197));
        let finding = Finding::Smart { report: Box::new(report(&day)) };
        history.record(Observation { at_unix_s: day.at_unix_s, finding });
        let level = judge_with(&history, &effective, day.at_unix_s).level;
        outcome.worst = outcome.worst.max(level);
        outcome.alerts += u32::from(level.is_bad() && !was_bad);
        was_bad = level.is_bad();
        outcome.days += 1;
        if day.failed {
            outcome.failed = true;
            break;
        }
    }
    outcome
}

fn report(day: &Day) -> Report {
    let attribute = |(id, raw): &(u8, u64)| Attribute {
        id: *id,
        name: None,
        value: None,
        worst: None,
        threshold: None,
        raw: Some(*raw),
        raw_text: None,
        failed: None,
        prefailure: None,
    };
    let raw = |wanted: u8| day.raws.iter().find(|(id, _)| *id == wanted).map(|(_, raw)| *raw);
    let mut report = Report {
        device: Device { protocol: Some(Protocol::Ata), ..Device::default() },
        power_on_hours: raw(9),
        temperature_celsius: raw(194)
            .filter(|celsius| *celsius > 0)
            .and_then(|celsius| i16::try_from(celsius).ok()),
        ata: Some(Ata { attributes: day.raws.iter().map(attribute).collect(), ..Ata::default() }),
        ..Report::default()
    };
    report.identity.capacity_bytes = day.capacity_bytes;
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days() {
        for (date, days) in [
            ("1970-01-01", Some(0)),
            ("2000-03-01", Some(11_017)),
            ("2013-04-10", Some(15_805)),
            ("2013-13-01", None),
            ("x", None),
        ] {
            assert_eq!(days_since_1970(date), days, "{date}");
        }
    }

    #[test]
    fn sectors_in_eighths_are_known_by_the_model_in_the_snapshot() {
        let snapshot = |model: &str, pending: u64| {
            let header = "date,serial_number,model,capacity_bytes,failure,smart_5_raw,smart_197_raw";
            let text = format!("{header}\n2013-04-10,S1,{model},3000592982016,0,0,{pending}\n");
            Fleet::replay(text.as_bytes(), &Notes::default()).unwrap().drives[0].worst
        };
        // 64 of 512 bytes are eight sectors: too few for a level. 128 are sixteen.
        assert_eq!(snapshot("ST3000DM001", 64), Level::Healthy);
        assert_eq!(snapshot("ST3000DM001", 128), Level::Degraded);
        assert_eq!(snapshot("Hitachi HDS5C3030ALA630", 64), Level::Degraded);
    }
}
