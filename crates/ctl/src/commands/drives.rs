//! `imbrexctl drives`.

use imbrex_api::drive::{DriveStatus, ScrubStatus};
use imbrex_api::node::{Drive, Drives};
use serde::Serialize;

use super::scrub::period_text;
use crate::calendar::utc;
use crate::error::Error;
use crate::output::Output;
use crate::session::Session;
use crate::size::human_bytes;
use crate::table::Table;

/// Shows the drives, or the one with this ID.
///
/// # Errors
/// Where the node, or with `--drive` one of the drives, does not answer.
pub(crate) async fn run(session: &Session, id: Option<&str>) -> Result<(), Error> {
    if session.is_direct() {
        return direct(session, id).await;
    }
    let node = session.node()?;
    let output = session.output;
    if let Some(id) = id {
        let drive = node.drive(id).await?;
        return if output.is_json() { output.json(&drive) } else { output.table(&detail(&drive)) };
    }
    let drives = node.drives().await?;
    if output.is_json() {
        return output.json(&Drives { drives });
    }
    if drives.is_empty() {
        return output.line("The node has no host-managed zoned drive.");
    }
    output.table(&list(&drives))?;
    for drive in &drives {
        let remarks = Remarks {
            state_reason: drive.state_reason.as_ref(),
            unknown_zones: drive.unknown_zones.unwrap_or(0),
            slow_since_unix_s: drive.slow_since_unix_s,
            without_checkpoints: drive.without_checkpoints.as_ref(),
            refused_by: drive.refused_by.as_ref(),
        };
        remarks.print(output, &drive.id)?;
    }
    Ok(())
}

/// What a person has to know of a drive beside its line.
#[derive(Clone, Copy, Debug, Default)]
struct Remarks<'a> {
    state_reason: Option<&'a String>,
    unknown_zones: u64,
    slow_since_unix_s: Option<u64>,
    without_checkpoints: Option<&'a String>,
    refused_by: Option<&'a String>,
}

impl Remarks<'_> {
    /// In sentences.
    fn sentences(self) -> Vec<String> {
        let mut sentences: Vec<String> = self.state_reason.into_iter().cloned().collect();
        if self.unknown_zones > 0 {
            sentences.push(format!(
                "{} zones cannot be read: blocks of these are not answered for, repair them from their copies",
                self.unknown_zones
            ));
        }
        let slow = |since| format!("many times slower than before since {}", time(since));
        sentences.extend(self.slow_since_unix_s.map(slow));
        let without = |reason| format!("keeps no checkpoints of its index: {reason}");
        sentences.extend(self.without_checkpoints.map(without));
        let refused = |note| format!("must not hold data, by the firmware note {note}");
        sentences.extend(self.refused_by.map(refused));
        sentences
    }

    fn print(self, output: Output, id: &str) -> Result<(), Error> {
        self.sentences().iter().try_for_each(|sentence| output.line(&format!("{id}: {sentence}")))
    }
}

/// The drives' table, which `format --all-new` shows too.
pub(crate) fn list(drives: &[Drive]) -> Table {
    let mut table = Table::new(&[
        "ID", "DEVICE", "MODEL", "SERIAL", "STATE", "SMART", ">PORT", ">SIZE", ">FREE", ">BLOCKS", "DRIVE ID",
    ]);
    for drive in drives {
        table.row([
            drive.id.clone(),
            text(drive.device.as_ref()),
            text(drive.model.as_ref()),
            text(drive.serial.as_ref()),
            drive.state.as_str().to_owned(),
            drive.smart.status.as_str().to_owned(),
            number(drive.data_port.map(u64::from)),
            size(drive.capacity_bytes),
            size(drive.bytes_free),
            number(drive.blocks_stored),
            text(drive.drive_id.as_ref()),
        ]);
    }
    table
}

fn detail(drive: &Drive) -> Table {
    let mut table = Table::new(&["DRIVE", ""]);
    let smart = match &drive.smart.reason {
        Some(reason) => format!("{} ({reason})", drive.smart.status.as_str()),
        None => drive.smart.status.as_str().to_owned(),
    };
    let service = drive.service_state.map(|state| state.as_str().to_owned());
    for (name, value) in [
        ("id", drive.id.clone()),
        ("device", text(drive.device.as_ref())),
        ("model", text(drive.model.as_ref())),
        ("serial", text(drive.serial.as_ref())),
        ("firmware", text(drive.firmware.as_ref())),
        ("wwn", text(drive.wwn.as_ref())),
        ("drive id", text(drive.drive_id.as_ref())),
        ("state", drive.state.as_str().to_owned()),
        ("reason", text(drive.state_reason.as_ref())),
        ("SMART", smart),
        ("service", text(drive.service.as_ref())),
        ("service state", service.unwrap_or_default()),
        ("data port", number(drive.data_port.map(u64::from))),
        ("size", size(drive.capacity_bytes)),
        ("free", size(drive.bytes_free)),
        ("stored", size(drive.bytes_live)),
        ("blocks", number(drive.blocks_stored)),
        ("blocks damaged", number(drive.blocks_damaged)),
        ("zones", number(drive.zones.count)),
        ("zone size", size(drive.zones.size_bytes)),
        ("zone capacity", size(drive.zones.capacity_bytes)),
        ("open zones at most", number(drive.zones.open_max)),
        ("unknown zones", number(drive.unknown_zones)),
        ("slow since", drive.slow_since_unix_s.map(time).unwrap_or_default()),
        ("without checkpoints", text(drive.without_checkpoints.as_ref())),
        ("refused by note", text(drive.refused_by.as_ref())),
        ("scrub", drive.scrub.as_ref().map(scrub_text).unwrap_or_default()),
        ("answered", drive.answered_ms_ago.map(|ms| format!("{ms} ms ago")).unwrap_or_default()),
    ] {
        table.row([name.to_owned(), value]);
    }
    table
}

#[derive(Serialize)]
struct Direct {
    drives: Vec<DriveStatus>,
}

async fn direct(session: &Session, id: Option<&str>) -> Result<(), Error> {
    let mut drives = Vec::new();
    for client in session.direct_drives()? {
        let status = client.status().await?;
        if id.is_none_or(|id| id == status.id) {
            drives.push(status);
        }
    }
    match (session.output, id) {
        (_, Some(id)) if drives.is_empty() => {
            Err(Error::NoDrives(format!("none of the drives given by --drive has the ID {id}")))
        }
        (output, _) if output.is_json() => output.json(&Direct { drives }),
        (output, _) => direct_table(output, &drives),
    }
}

fn direct_table(output: Output, drives: &[DriveStatus]) -> Result<(), Error> {
    let mut table =
        Table::new(&["ID", "PATH", "STATE", ">SIZE", ">ZONES", ">FREE", ">BLOCKS", ">DAMAGED", "DRIVE ID"]);
    for drive in drives {
        table.row([
            drive.id.clone(),
            drive.path.clone(),
            drive.state.as_str().to_owned(),
            human_bytes(drive.capacity_bytes),
            drive.geometry.zone_count.to_string(),
            size(drive.free_bytes),
            number(drive.blocks),
            drive.damaged_blocks.to_string(),
            text(drive.drive_id.as_ref()),
        ]);
    }
    output.table(&table)?;
    for drive in drives {
        let remarks = Remarks {
            state_reason: drive.state_reason.as_ref(),
            unknown_zones: u64::from(drive.unknown_zones),
            slow_since_unix_s: drive.slow_since_unix_s,
            without_checkpoints: drive.without_checkpoints.as_ref(),
            // The drive itself knows no notes.
            refused_by: None,
        };
        remarks.print(output, &drive.id)?;
    }
    Ok(())
}

/// What is read and what is not, and whether the period is kept.
fn scrub_text(scrub: &ScrubStatus) -> String {
    let oldest =
        scrub.oldest_unix_s.map(|oldest| format!(", the oldest on {}", time(oldest))).unwrap_or_default();
    format!(
        "{} of {} read within {}{oldest}; {} of {} zones due",
        human_bytes(scrub.covered_bytes),
        human_bytes(scrub.live_bytes),
        period_text(scrub.period_s),
        scrub.overdue_zones,
        scrub.zones
    )
}

fn time(unix_s: u64) -> String {
    utc(i64::try_from(unix_s).unwrap_or(i64::MAX))
}

fn text(value: Option<&String>) -> String {
    value.cloned().unwrap_or_default()
}

fn number(value: Option<u64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn size(value: Option<u64>) -> String {
    value.map(human_bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_drive_that_is_well_nothing_is_said_beside_its_line_and_of_another_all_that_counts() {
        assert!(Remarks::default().sentences().is_empty());
        let reason = "the zones for them have failed".to_owned();
        let note = "some-note: It shingles by itself.".to_owned();
        let remarks = Remarks {
            unknown_zones: 2,
            slow_since_unix_s: Some(1_700_000_000),
            without_checkpoints: Some(&reason),
            refused_by: Some(&note),
            ..Remarks::default()
        };
        let told = remarks.sentences();
        assert!(told[0].starts_with("2 zones cannot be read") && told[0].contains("copies"), "{told:?}");
        assert_eq!(
            told[1..],
            [
                "many times slower than before since 2023-11-14 22:13:20",
                "keeps no checkpoints of its index: the zones for them have failed",
                "must not hold data, by the firmware note some-note: It shingles by itself."
            ]
        );
    }

    #[test]
    fn a_scrub_is_told_by_what_it_has_read_and_by_what_is_due() {
        let scrub = ScrubStatus {
            period_s: 30 * 86_400,
            zones: 800,
            overdue_zones: 12,
            live_bytes: 4 << 30,
            covered_bytes: 3 << 30,
            oldest_unix_s: Some(1_700_000_000),
            ..ScrubStatus::default()
        };
        let text = scrub_text(&scrub);
        assert!(text.contains("within 30 days, the oldest on 2023-11-14"), "{text}");
        assert!(text.ends_with("12 of 800 zones due"), "{text}");
        assert!(!scrub_text(&ScrubStatus { oldest_unix_s: None, ..scrub }).contains("oldest"));
    }
}
