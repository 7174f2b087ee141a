//! Three sound outputs of smartctl's, and what to change in them.

use imbrex_health::notes::Notes;
use imbrex_health::{Axis, Level, Verdict, judge_saved};
use serde_json::{Value, json};

pub(crate) const HOURS: u64 = 20_000;

/// An attribute as smartctl prints it. The kind is `P` for one that predicts failure, else `O`.
pub(crate) fn attribute(
    id: u8,
    name: &str,
    value: u8,
    threshold: u8,
    raw: u64,
    kind: char,
    failed: &str,
) -> Value {
    json!({ "id": id, "name": name, "value": value, "worst": value, "thresh": threshold, "when_failed": failed,
        "flags": { "prefailure": kind == 'P' }, "raw": { "value": raw, "string": raw.to_string() } })
}

pub(crate) fn ata() -> Value {
    json!({
        "smartctl": { "version": [7, 4], "exit_status": 0 }, "local_time": { "time_t": 1_700_000_000 },
        "device": { "name": "/dev/sda", "type": "sat", "protocol": "ATA" },
        "model_name": "ACME 18T", "serial_number": "A1", "firmware_version": "F1", "rotation_rate": 7200,
        "user_capacity": { "bytes": 18_000_000_000_000_u64 }, "smart_status": { "passed": true },
        "temperature": { "current": 33 }, "power_on_time": { "hours": HOURS },
        "ata_smart_attributes": { "table": [
            attribute(1, "Raw_Read_Error_Rate", 81, 44, 126_113_264, 'P', ""),
            attribute(5, "Reallocated_Sector_Ct", 100, 10, 0, 'P', ""),
            attribute(7, "Seek_Error_Rate", 88, 45, 656_338_945, 'P', ""),
            attribute(9, "Power_On_Hours", 78, 0, HOURS, 'O', ""),
            attribute(188, "Command_Timeout", 100, 0, 4_295_032_833, 'O', ""),
            attribute(195, "Hardware_ECC_Recovered", 81, 0, 126_113_264, 'O', ""),
            attribute(197, "Current_Pending_Sector", 100, 0, 0, 'O', ""),
            attribute(198, "Offline_Uncorrectable", 100, 0, 0, 'O', ""),
            attribute(199, "UDMA_CRC_Error_Count", 200, 0, 0, 'O', ""),
        ] },
    })
}

pub(crate) fn flash() -> Value {
    let mut drive = ata();
    drive["rotation_rate"] = json!(0);
    drive["user_capacity"]["bytes"] = json!(480_103_981_056_u64);
    drive["ata_smart_attributes"]["table"] =
        json!([attribute(5, "Reallocated_Sector_Ct", 100, 10, 0, 'P', "")]);
    drive
}

pub(crate) fn sas() -> Value {
    let counters = json!({ "total_uncorrected_errors": 0, "errors_corrected_by_eccdelayed": 1020 });
    json!({
        "smartctl": { "version": [7, 3], "exit_status": 0 }, "local_time": { "time_t": 1_700_000_000 },
        "device": { "name": "/dev/sdb", "type": "scsi", "protocol": "SCSI" }, "serial_number": "S1",
        "scsi_model_name": "ACME SAS", "scsi_revision": "C1", "rotation_rate": 7200,
        "smart_status": { "passed": true }, "temperature": { "current": 35 }, "power_on_time": { "hours": HOURS },
        "scsi_grown_defect_list": 0,
        "scsi_error_counter_log": { "read": counters, "write": counters, "verify": counters },
    })
}

pub(crate) fn nvme() -> Value {
    json!({
        "smartctl": { "version": [7, 5], "exit_status": 0 }, "local_time": { "time_t": 1_700_000_000 },
        "device": { "name": "/dev/nvme0", "type": "nvme", "protocol": "NVMe" }, "serial_number": "N1",
        "model_name": "ACME NVMe", "firmware_version": "1", "smart_status": { "passed": true, "nvme": { "value": 0 } },
        "nvme_smart_health_information_log": { "critical_warning": 0, "temperature": 41, "available_spare": 100,
            "available_spare_threshold": 10, "percentage_used": 3, "power_on_hours": HOURS, "media_errors": 0,
            "num_err_log_entries": 4871 },
    })
}

/// `drive` with each value put at its place. A place that ends with `.+` is a list that the value is added to, and one
/// in the list of attributes is the attribute's number. `null` takes away.
pub(crate) fn with(mut drive: Value, changes: &[(&str, Value)]) -> Value {
    for (place, value) in changes {
        let path = format!("/{}", place.trim_end_matches(".+").replace('.', "/"));
        if let Some(list) = place.strip_suffix(".+").and_then(|_| drive.pointer_mut(&path)?.as_array_mut()) {
            list.retain(|old| old["id"] != value["id"] || old["id"].is_null());
            list.push(value.clone());
            continue;
        }
        let mut at = &mut drive;
        for name in place.split('.') {
            at = &mut at[name];
        }
        *at = value.clone();
    }
    drive
}

pub(crate) const TABLE: &str = "ata_smart_attributes.table.+";

pub(crate) fn raw(id: u8, name: &str, raw: u64) -> (&'static str, Value) {
    (TABLE, attribute(id, name, 100, 0, raw, 'O', ""))
}

pub(crate) fn judged(drive: &Value) -> Verdict {
    judge_saved(drive.to_string().as_bytes(), &Notes::compiled_in())
}

#[track_caller]
pub(crate) fn expect(cases: &[(&str, Value, Level, Option<Axis>)]) {
    for (name, drive, level, axis) in cases {
        let verdict = judged(drive);
        assert_eq!(verdict.level, *level, "{name}: {:?}", verdict.evidence());
        if let Some(axis) = axis {
            assert_eq!(verdict.axis(*axis).level, *level, "{name}: {:?}", verdict.evidence());
            let other_bad = verdict.axes.iter().find(|other| other.axis != *axis && other.level.is_bad());
            assert!(other_bad.is_none(), "{name}: {other_bad:?}");
        }
    }
}
