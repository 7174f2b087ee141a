//! `imbrexctl scrub`.

use imbrex_api::drive::ScrubStatus;
use serde::Serialize;

use crate::calendar::utc;
use crate::error::Error;
use crate::options::Scrub;
use crate::session::Session;
use crate::size::human_bytes;
use crate::table::Table;

#[derive(Serialize)]
struct Line {
    drive: String,
    #[serde(flatten)]
    scrub: ScrubStatus,
}

#[derive(Serialize)]
struct Lines {
    drives: Vec<Line>,
}

/// Shows how far the drives are, or orders a full pass of them first.
///
/// # Errors
/// Where no drive of that name serves, or one does not answer.
pub(crate) async fn run(session: &Session, options: Scrub) -> Result<(), Error> {
    let fleet = session.fleet().await?;
    let mut drives = Vec::new();
    for member in fleet.members() {
        if options.drive.as_ref().is_some_and(|drive| *drive != member.name) {
            continue;
        }
        let scrub = member.client().scrub(options.start).await?;
        drives.push(Line { drive: member.name.clone(), scrub });
    }
    if let Some(drive) = options.drive.filter(|_| drives.is_empty()) {
        return Err(Error::NoDrives(format!(
            "no drive that serves has the ID {drive}: see imbrexctl drives"
        )));
    }
    if session.output.is_json() {
        return session.output.json(&Lines { drives });
    }
    session.output.table(&table(&drives))
}

fn table(drives: &[Line]) -> Table {
    let mut table = Table::new(&[
        "ID",
        ">PERIOD",
        ">ZONES",
        ">READ",
        ">DUE",
        ">STORED",
        ">COVERED",
        "OLDEST",
        "PASS SINCE",
        ">DAMAGED",
    ]);
    for Line { drive, scrub } in drives {
        table.row([
            drive.clone(),
            period_text(scrub.period_s),
            scrub.zones.to_string(),
            scrub.covered_zones.to_string(),
            scrub.overdue_zones.to_string(),
            human_bytes(scrub.live_bytes),
            human_bytes(scrub.covered_bytes),
            scrub.oldest_unix_s.map_or_else(|| "never".to_owned(), time),
            scrub.pass_since_unix_s.map(time).unwrap_or_default(),
            scrub.errors.to_string(),
        ]);
    }
    table
}

fn time(unix_s: u64) -> String {
    utc(i64::try_from(unix_s).unwrap_or(i64::MAX))
}

/// A period in the largest unit that divides it.
pub(super) fn period_text(seconds: u64) -> String {
    let units = [("days", 86_400), ("hours", 3_600), ("min", 60)];
    let whole = units.into_iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds} s"), |(name, unit)| format!("{} {name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_shown_in_the_largest_unit_that_divides_it() {
        let shown = [2_592_000, 129_600, 60, 61].map(period_text);
        assert_eq!(shown, ["30 days", "36 hours", "1 min", "61 s"]);
    }

    #[test]
    fn a_drive_that_never_read_a_zone_says_so() {
        let line = Line { drive: "d".to_owned(), scrub: ScrubStatus::default() };
        let lines = table(&[line]).lines();
        assert!(lines[1].contains("never"), "{lines:?}");
    }
}
