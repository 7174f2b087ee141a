//! The export is in the format that `replay` reads: what was recorded of a drive comes back with the same verdict, and
//! nothing that nobody knows comes back as a number.

#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use imbrex_health::notes::Notes;
use imbrex_health::replay::Fleet;
use imbrex_health::{ExportedDrive, Finding, History, Identity, Level, Life, Observation, backblaze_csv};
use smartctl_parser::Report;

const DAY_S: u64 = 24 * 3600;
/// 2026-11-21 12:00:00 UTC.
const NOON: u64 = 20_778 * DAY_S + DAY_S / 2;

fn history(serial: &str, remapped: &[u64]) -> History {
    let identity = Identity {
        serial: Some(serial.to_owned()),
        model: Some("ACME, 18T".to_owned()),
        ..Identity::default()
    };
    let mut history = History::new(identity);
    for (day, remapped) in (0..).zip(remapped) {
        let text = format!(
            r#"{{"power_on_time": {{"hours": {}}}, "user_capacity": {{"bytes": 500107862016}}, "temperature": {{"current": 31}},
                "ata_smart_attributes": {{"table": [
                {{"id": 5, "value": 98, "raw": {{"value": {remapped}, "string": "{remapped}"}}}},
                {{"id": 9, "value": 80, "raw": {{"value": 281479271683000, "string": "9000 (1 2)"}}}},
                {{"id": 241, "value": 100, "raw": {{"value": 77, "string": "77"}}}}]}}}}"#,
            9_000 + 24 * day
        );
        let report = Box::new(Report::parse(text.as_bytes()).unwrap());
        history.record(Observation { at_unix_s: NOON + day * DAY_S, finding: Finding::Smart { report } });
    }
    history
}

#[test]
fn a_line_for_each_day_with_what_was_told_and_nothing_else() {
    let history = history("S1", &[0, 4]);
    let nothing = History::new(Identity { serial: Some("S2".to_owned()), ..Identity::default() });
    let drives = [&history, &nothing].map(|history| ExportedDrive { history, life: Life::InService });
    let csv = backblaze_csv(drives);
    assert_eq!(
        csv,
        "date,serial_number,model,capacity_bytes,failure,smart_5_normalized,smart_5_raw,smart_9_normalized,\
         smart_9_raw,smart_194_normalized,smart_194_raw,smart_241_normalized,smart_241_raw\n\
         2026-11-21,S1,ACME  18T,500107862016,0,,0,,9000,,31,,\n\
         2026-11-22,S1,ACME  18T,500107862016,0,98,4,80,9024,,31,100,77\n"
    );
}

#[test]
fn replay_judges_it_as_the_history_itself_is_judged() {
    let (well, bad) = (history("S1", &[0, 0, 0]), history("S2", &[0, 40, 600]));
    let drives = [(&well, Life::InService), (&bad, Life::Failed)]
        .map(|(history, life)| ExportedDrive { history, life });
    let csv = backblaze_csv(drives);
    let fleet = Fleet::replay(csv.as_bytes(), &Notes::default()).unwrap();
    let outcomes: Vec<_> = fleet.drives.iter().map(|drive| (drive.failed, drive.worst, drive.days)).collect();
    assert_eq!(outcomes, [(false, Level::Healthy, 3), (true, Level::Failing, 3)]);
}
