//! Histories as daily snapshots of drives, in the format of Backblaze's drive statistics: one line for each drive and
//! day, which `imbrex-health replay` and the tools that people have for that format read.
//!
//! - What nobody knows is an empty field, never 0.
//! - The counts of earlier days are those that the rules keep; the normalized values and the other attributes are those
//!   of the last report, on its day.
//! - NVMe and SAS drives have no attributes: their hours and temperature stand where ATA has them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::history::History;
use crate::life::Life;
use crate::reading::{Counter, Reading};

/// Seconds of a day.
const DAY_S: u64 = 24 * 3600;

/// The attributes of a drive's hours and temperature.
const HOURS: u8 = 9;
const TEMPERATURE: u8 = 194;

/// One drive to be written down.
#[derive(Clone, Copy, Debug)]
pub struct ExportedDrive<'a> {
    /// What was recorded of it.
    pub history: &'a History,
    /// Where in its life it is: one that was given up failed on the last of its days.
    pub life: Life,
}

/// What is known of one attribute on one day.
#[derive(Clone, Copy, Default)]
struct Cell {
    normalized: Option<u8>,
    raw: Option<u64>,
}

/// One drive on one day.
struct Row {
    /// Days since 1970-01-01, UTC.
    day: u64,
    /// Serial number, model, size in bytes.
    drive: [String; 3],
    failed: bool,
    cells: BTreeMap<u8, Cell>,
}

/// The snapshots of `drives`, oldest first, under a header that names the attributes that any of them has.
#[must_use]
pub fn backblaze_csv<'a>(drives: impl IntoIterator<Item = ExportedDrive<'a>>) -> String {
    let mut rows: Vec<Row> = drives.into_iter().flat_map(rows_of).collect();
    rows.sort_by(|one, other| (one.day, &one.drive).cmp(&(other.day, &other.drive)));
    let attributes: BTreeSet<u8> = rows.iter().flat_map(|row| row.cells.keys().copied()).collect();
    let mut text = "date,serial_number,model,capacity_bytes,failure".to_owned();
    for id in &attributes {
        // Writing to a string does not fail.
        let _ = write!(text, ",smart_{id}_normalized,smart_{id}_raw");
    }
    text.push('\n');
    for row in &rows {
        let [serial, model, capacity] = &row.drive;
        let _ = write!(text, "{},{serial},{model},{capacity},{}", date(row.day), u8::from(row.failed));
        for id in &attributes {
            let cell = row.cells.get(id).copied().unwrap_or_default();
            let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
            let _ = write!(text, ",{},{}", number(cell.normalized.map(u64::from)), number(cell.raw));
        }
        text.push('\n');
    }
    text
}

/// The days of one drive: each of the latest reading on it.
fn rows_of(drive: ExportedDrive<'_>) -> Vec<Row> {
    let history = drive.history;
    let identity = history.identity();
    let report = history.latest_report().map(|(_, report)| report);
    let capacity_bytes = report.and_then(|report| report.identity.capacity_bytes);
    let names = [
        field(identity.serial.as_deref().or(identity.wwn.as_deref())),
        field(identity.model.as_deref()),
        capacity_bytes.map(|bytes| bytes.to_string()).unwrap_or_default(),
    ];
    let mut days: BTreeMap<u64, BTreeMap<u8, Cell>> = BTreeMap::new();
    for reading in history.readings() {
        days.insert(reading.at_unix_s / DAY_S, cells_of(reading));
    }
    if let Some((attributes, at_unix_s)) = history.latest_attributes() {
        let cells = days.entry(at_unix_s / DAY_S).or_default();
        for attribute in attributes {
            let cell = Cell { normalized: attribute.value, raw: attribute.raw };
            let kept = cells.entry(attribute.id).or_default();
            // Raw as the drive gave it, which of hours and temperature may hold more than the number.
            let is_plain = matches!(attribute.id, HOURS | TEMPERATURE) && kept.raw.is_some();
            *kept = Cell { raw: if is_plain { kept.raw } else { cell.raw }, ..cell };
        }
    }
    let last = days.keys().next_back().copied();
    let row = |(day, cells)| Row {
        day,
        drive: names.clone(),
        failed: drive.life == Life::Failed && Some(day) == last,
        cells,
    };
    days.into_iter().map(row).collect()
}

fn cells_of(reading: &Reading) -> BTreeMap<u8, Cell> {
    let counted = Counter::ALL.into_iter().filter_map(|counter| {
        let raw = reading.counter(counter)?;
        Some((counter.attribute()?, raw))
    });
    let hours = reading.power_on_hours.map(|hours| (HOURS, hours));
    let celsius = reading.temperature_celsius.and_then(|celsius| u64::try_from(celsius).ok());
    let all = counted.chain(hours).chain(celsius.map(|celsius| (TEMPERATURE, celsius)));
    all.map(|(id, raw)| (id, Cell { normalized: None, raw: Some(raw) })).collect()
}

/// A text as a field: the format knows no quotes, so that what would end the field is a blank.
fn field(text: Option<&str>) -> String {
    let plain = |character: char| {
        if character.is_control() || matches!(character, ',' | '"') { ' ' } else { character }
    };
    text.unwrap_or_default().trim().chars().map(plain).collect()
}

/// The date of a day since 1970-01-01: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
fn date(day: u64) -> String {
    let shifted = day + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{:04}-{month:02}-{day_of_month:02}", year_of_era + era * 400 + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        for (day, text) in
            [(0, "1970-01-01"), (11_016, "2000-02-29"), (15_805, "2013-04-10"), (20_778, "2026-11-21")]
        {
            assert_eq!(date(day), text);
        }
    }

    #[test]
    fn a_name_ends_no_field() {
        assert_eq!(field(Some(" ACME,\"18\nT\" ")), "ACME  18 T ");
    }
}
