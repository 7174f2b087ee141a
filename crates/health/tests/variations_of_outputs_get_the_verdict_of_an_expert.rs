//! Outputs as drives, adapters and versions of smartctl vary them: each is one of three sound ones with a change, and
//! the verdict that somebody who knows drives would give.

use imbrex_health::notes::Notes;
use imbrex_health::{Action, Axis, Level, Verdict, judge_saved};
use serde_json::{Value, json};

use Level::{Degraded, Failing, Healthy, Unknown};

const HOURS: u64 = 20_000;

/// An attribute as smartctl prints it. The kind is `P` for one that predicts failure, else `O`.
fn attribute(id: u8, name: &str, value: u8, threshold: u8, raw: u64, kind: char, failed: &str) -> Value {
    json!({ "id": id, "name": name, "value": value, "worst": value, "thresh": threshold, "when_failed": failed,
        "flags": { "prefailure": kind == 'P' }, "raw": { "value": raw, "string": raw.to_string() } })
}

fn ata() -> Value {
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

fn flash() -> Value {
    let mut drive = ata();
    drive["rotation_rate"] = json!(0);
    drive["user_capacity"]["bytes"] = json!(480_103_981_056_u64);
    drive["ata_smart_attributes"]["table"] =
        json!([attribute(5, "Reallocated_Sector_Ct", 100, 10, 0, 'P', "")]);
    drive
}

fn sas() -> Value {
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

fn nvme() -> Value {
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
fn with(mut drive: Value, changes: &[(&str, Value)]) -> Value {
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

const TABLE: &str = "ata_smart_attributes.table.+";

fn raw(id: u8, name: &str, raw: u64) -> (&'static str, Value) {
    (TABLE, attribute(id, name, 100, 0, raw, 'O', ""))
}

fn judged(drive: &Value) -> Verdict {
    judge_saved(drive.to_string().as_bytes(), &Notes::compiled_in())
}

#[track_caller]
fn expect(cases: &[(&str, Value, Level, Option<Axis>)]) {
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

#[test]
fn sound_drives_are_healthy_however_their_vendors_count() {
    let high_words = json!({ "id": 5, "name": "Reallocated_Sector_Ct", "value": 100, "worst": 100, "thresh": 10,
        "when_failed": "", "flags": { "prefailure": true }, "raw": { "value": 34_359_738_368_u64 } });
    expect(&[
        ("ata", ata(), Healthy, None),
        ("flash", flash(), Healthy, None),
        ("sas", sas(), Healthy, None),
        ("nvme", nvme(), Healthy, None),
        ("packed 188", with(ata(), &[raw(188, "Command_Timeout", 17_180_131_332)]), Healthy, None),
        ("5 with high words alone", with(ata(), &[(TABLE, high_words)]), Healthy, None),
        ("197 all ones", with(ata(), &[raw(197, "Current_Pending_Sector", 0xffff_ffff_ffff)]), Healthy, None),
        ("184 of the factory", with(flash(), &[raw(184, "Factory_Bad_Block_Count", 212)]), Healthy, None),
        (
            "197 to 199 of a flash drive that counts otherwise",
            with(
                flash(),
                &[
                    raw(197, "Read_Failure_Blk_Ct", 3),
                    raw(198, "Read_Sectors_Tot_Ct", 91_827_364),
                    raw(199, "Write_Sectors_Tot_Ct", 81_726_354),
                ],
            ),
            Healthy,
            None,
        ),
        (
            "full helium",
            with(ata(), &[(TABLE, attribute(22, "Helium_Level", 100, 25, 100, 'P', ""))]),
            Healthy,
            None,
        ),
        ("one remapped sector", with(ata(), &[raw(5, "Reallocated_Sector_Ct", 1)]), Healthy, None),
        ("some frames spoilt long ago", with(ata(), &[raw(199, "UDMA_CRC_Error_Count", 83)]), Healthy, None),
        (
            "delayed corrections",
            with(sas(), &[("scsi_error_counter_log.read.errors_corrected_by_eccdelayed", json!(90_000_000))]),
            Healthy,
            None,
        ),
        ("two grown defects", with(sas(), &[("scsi_grown_defect_list", json!(2))]), Healthy, None),
        (
            "a drill",
            with(sas(), &[("smart_status", json!({ "passed": false, "scsi": { "asc": 93, "ascq": 255 } }))]),
            Healthy,
            None,
        ),
        ("no temperature", with(ata(), &[("temperature.current", json!(0))]), Healthy, None),
        ("an impossible temperature", with(ata(), &[("temperature.current", json!(255))]), Healthy, None),
        ("127 is no temperature", with(ata(), &[("temperature.current", json!(127))]), Healthy, None),
        (
            "hot once",
            with(ata(), &[(TABLE, attribute(190, "Airflow_Temperature_Cel", 67, 45, 33, 'O', "past"))]),
            Healthy,
            None,
        ),
        (
            "spare and threshold not told",
            with(
                nvme(),
                &[
                    ("nvme_smart_health_information_log.available_spare", json!(0)),
                    ("nvme_smart_health_information_log.available_spare_threshold", json!(0)),
                ],
            ),
            Healthy,
            None,
        ),
        (
            "endurance nearly used",
            with(nvme(), &[("nvme_smart_health_information_log.percentage_used", json!(93))]),
            Healthy,
            None,
        ),
        (
            "a life that counts upward",
            with(flash(), &[(TABLE, attribute(230, "Media_Wearout_Indicator", 1, 0, 7, 'O', ""))]),
            Healthy,
            None,
        ),
    ]);
}

#[test]
fn what_is_wrong_has_its_axis() {
    let failed = |id, name, kind, failed| (TABLE, attribute(id, name, 5, 10, 0, kind, failed));
    let unc = |hours: u64| {
        json!({ "summary": { "count": 1, "table": [{ "lifetime_hours": hours,
        "error_description": "Error: UNC at LBA = 0x00000001 = 1", "completion_registers": { "error": 64 } }] } })
    };
    expect(&[
        (
            "waiting and unreadable by its own scan",
            with(ata(), &[raw(197, "Current_Pending_Sector", 8), raw(198, "Offline_Uncorrectable", 8)]),
            Degraded,
            Some(Axis::Media),
        ),
        ("16 waiting", with(ata(), &[raw(197, "Current_Pending_Sector", 17)]), Degraded, Some(Axis::Media)),
        ("remapped a lot", with(ata(), &[raw(5, "Reallocated_Sector_Ct", 387)]), Degraded, Some(Axis::Media)),
        ("told a host", with(ata(), &[raw(187, "Reported_Uncorrect", 1)]), Degraded, Some(Axis::Media)),
        (
            "told a host, by its statistics",
            with(
                ata(),
                &[(
                    "ata_device_statistics",
                    json!({ "pages": [{ "number": 4,
            "table": [{ "offset": 8, "name": "Number of Reported Uncorrectable Errors", "value": 2, "flags": { "valid": true } }] }] }),
                )],
            ),
            Degraded,
            Some(Axis::Media),
        ),
        ("spoilt within", with(ata(), &[raw(184, "End-to-End_Error", 3)]), Degraded, Some(Axis::Media)),
        (
            "a sector lost last week",
            with(ata(), &[("ata_smart_error_log", unc(HOURS - 100))]),
            Degraded,
            Some(Axis::Media),
        ),
        (
            "a sector lost, the hours have wrapped",
            with(ata(), &[("power_on_time.hours", json!(70_000)), ("ata_smart_error_log", unc(4_400))]),
            Degraded,
            Some(Axis::Media),
        ),
        (
            "a million frames spoilt",
            with(ata(), &[raw(199, "UDMA_CRC_Error_Count", 1_118_119)]),
            Degraded,
            Some(Axis::Link),
        ),
        (
            "helium",
            with(ata(), &[(TABLE, attribute(22, "Helium_Level", 81, 25, 81, 'P', ""))]),
            Degraded,
            Some(Axis::Mechanics),
        ),
        ("motor", with(ata(), &[raw(10, "Spin_Retry_Count", 40)]), Degraded, Some(Axis::Mechanics)),
        ("a hot disk", with(ata(), &[("temperature.current", json!(64))]), Degraded, Some(Axis::Mechanics)),
        (
            "airflow now",
            with(ata(), &[failed(190, "Airflow_Temperature_Cel", 'O', "now")]),
            Degraded,
            Some(Axis::Mechanics),
        ),
        (
            "old age now",
            with(ata(), &[failed(193, "Load_Cycle_Count", 'O', "now")]),
            Degraded,
            Some(Axis::Wear),
        ),
        (
            "a threshold crossed once",
            with(ata(), &[failed(5, "Reallocated_Sector_Ct", 'P', "past")]),
            Degraded,
            Some(Axis::Media),
        ),
        ("grown defects", with(sas(), &[("scsi_grown_defect_list", json!(56))]), Degraded, Some(Axis::Media)),
        (
            "uncorrected reads",
            with(sas(), &[("scsi_error_counter_log.read.total_uncorrected_errors", json!(1))]),
            Degraded,
            Some(Axis::Media),
        ),
        (
            "a warning that is heat",
            with(sas(), &[("smart_status", json!({ "passed": false, "scsi": { "asc": 11, "ascq": 1 } }))]),
            Degraded,
            Some(Axis::Mechanics),
        ),
        (
            "a warning of the background scan",
            with(sas(), &[("smart_status", json!({ "passed": false, "scsi": { "asc": 11, "ascq": 3 } }))]),
            Degraded,
            Some(Axis::Media),
        ),
        (
            "NVMe heat alone",
            with(
                nvme(),
                &[
                    ("smart_status.passed", json!(false)),
                    ("nvme_smart_health_information_log.critical_warning", json!(2)),
                ],
            ),
            Degraded,
            Some(Axis::Mechanics),
        ),
        (
            "media errors",
            with(nvme(), &[("nvme_smart_health_information_log.media_errors", json!(7))]),
            Degraded,
            Some(Axis::Media),
        ),
        (
            "endurance used up",
            with(nvme(), &[("nvme_smart_health_information_log.percentage_used", json!(255))]),
            Degraded,
            Some(Axis::Wear),
        ),
        (
            "little spare",
            with(nvme(), &[("nvme_smart_health_information_log.available_spare", json!(12))]),
            Degraded,
            Some(Axis::Wear),
        ),
        (
            "life left, by Samsung",
            with(flash(), &[(TABLE, attribute(177, "Wear_Leveling_Count", 1, 0, 3011, 'O', ""))]),
            Degraded,
            Some(Axis::Wear),
        ),
        (
            "life left, by Micron",
            with(flash(), &[(TABLE, attribute(202, "Percent_Lifetime_Remain", 1, 1, 99, 'O', ""))]),
            Degraded,
            Some(Axis::Wear),
        ),
        (
            "life left, by Phison",
            with(flash(), &[(TABLE, attribute(231, "SSD_Life_Left", 1, 0, 1, 'O', ""))]),
            Degraded,
            Some(Axis::Wear),
        ),
        (
            "life left, by Intel",
            with(flash(), &[(TABLE, attribute(233, "Media_Wearout_Indicator", 1, 0, 0, 'O', ""))]),
            Degraded,
            Some(Axis::Wear),
        ),
        (
            "life used, as smartctl 7.4 makes it out",
            with(flash(), &[("endurance_used", json!({ "current_percent": 104 }))]),
            Degraded,
            Some(Axis::Wear),
        ),
    ]);
}

#[test]
fn a_drive_that_says_that_it_fails_is_failing_whatever_else_is_missing_or_contradicts_it() {
    let failed = |failed| (TABLE, attribute(5, "Reallocated_Sector_Ct", 4, 36, 3956, 'P', failed));
    let status = |passed: Value| ("smart_status", passed);
    let warning = |bits: u8| ("nvme_smart_health_information_log.critical_warning", json!(bits));
    expect(&[
        (
            "status without attributes",
            with(ata(), &[status(json!({ "passed": false })), ("ata_smart_attributes", Value::Null)]),
            Failing,
            Some(Axis::Media),
        ),
        (
            "passed, and an attribute that predicts failure is at its threshold",
            with(ata(), &[failed("now")]),
            Failing,
            Some(Axis::Media),
        ),
        (
            "exit status 8, no status in the report",
            with(ata(), &[status(Value::Null), ("smartctl.exit_status", json!(8))]),
            Failing,
            None,
        ),
        (
            "exit status 8 and no data at all",
            json!({ "smartctl": { "version": [7, 0], "exit_status": 8 } }),
            Failing,
            None,
        ),
        (
            "exit status 16 and no attributes",
            with(ata(), &[("ata_smart_attributes", Value::Null), ("smartctl.exit_status", json!(16))]),
            Failing,
            None,
        ),
        (
            "SAS predicts it",
            with(
                sas(),
                &[
                    status(json!({ "passed": false, "scsi": { "asc": 93, "ascq": 16 } })),
                    ("scsi_error_counter_log", Value::Null),
                ],
            ),
            Failing,
            Some(Axis::Media),
        ),
        (
            "spare below its threshold, no warning set",
            with(nvme(), &[("nvme_smart_health_information_log.available_spare", json!(4))]),
            Failing,
            Some(Axis::Wear),
        ),
        (
            "reliability",
            with(nvme(), &[warning(4), ("smart_status.passed", json!(false))]),
            Failing,
            Some(Axis::Media),
        ),
        (
            "read-only, and nobody says failed",
            with(nvme(), &[warning(8), status(Value::Null)]),
            Failing,
            Some(Axis::Media),
        ),
        (
            "heat and reliability",
            with(nvme(), &[warning(6), ("smart_status.passed", json!(false))]),
            Failing,
            None,
        ),
        (
            "electronics",
            with(
                ata(),
                &[(
                    "ata_smart_self_test_log",
                    json!({ "standard": { "table": [
            { "type": { "string": "Short offline" }, "status": { "value": 80, "passed": false }, "lifetime_hours": HOURS - 3 }] } }),
                )],
            ),
            Failing,
            Some(Axis::Mechanics),
        ),
    ]);
}

#[test]
fn what_is_no_fault_of_the_drives_leaves_it_healthy() {
    let log = |value: u8, hours: u64| {
        (
            "ata_smart_self_test_log",
            json!({ "standard": { "table": [
        { "type": { "string": "Extended offline" }, "status": { "value": value }, "lifetime_hours": hours }] } }),
        )
    };
    let error = |words: &str, hours: u64| {
        (
            "ata_smart_error_log",
            json!({ "summary": { "count": 9, "table": [
        { "lifetime_hours": hours, "error_description": words }] } }),
        )
    };
    expect(&[
        ("a test that the host stopped", with(ata(), &[log(0x10, HOURS)]), Healthy, None),
        ("a test that a reset ended", with(ata(), &[log(0x20, HOURS)]), Healthy, None),
        ("a test that runs", with(ata(), &[log(0xf9, HOURS)]), Healthy, None),
        ("a test that failed two years ago", with(ata(), &[log(0x70, 1_000)]), Healthy, None),
        ("commands that the drive refused", with(ata(), &[error("Error: ABRT", HOURS - 1)]), Healthy, None),
        (
            "a sector lost two years ago",
            with(ata(), &[error("Error: UNC at LBA = 0x1 = 1", 100)]),
            Healthy,
            None,
        ),
        ("some command failed", with(ata(), &[("smartctl.exit_status", json!(4))]), Healthy, None),
        ("no status, all attributes sound", with(ata(), &[("smart_status", Value::Null)]), Healthy, None),
        (
            "a bridge that passes on the status alone",
            with(ata(), &[("ata_smart_attributes", Value::Null), ("device.type", json!("usbjmicron"))]),
            Healthy,
            None,
        ),
        (
            "SAS without its counters",
            with(sas(), &[("scsi_error_counter_log", Value::Null), ("scsi_grown_defect_list", Value::Null)]),
            Healthy,
            None,
        ),
        (
            "grown defects as smartctl 7.0 tells two of them",
            with(sas(), &[("smartctl.version", json!([7, 0])), ("scsi_grown_defect_list", json!(16))]),
            Healthy,
            None,
        ),
    ]);
}

#[test]
fn no_data_are_unknown() {
    let only = |exit: u8, words: &str| {
        json!({ "smartctl": { "version": [7, 3], "exit_status": exit,
        "messages": [{ "string": words, "severity": "error" }] } })
    };
    expect(&[
        ("type not detected", only(1, "/dev/vda: Unable to detect device type"), Unknown, None),
        (
            "a bridge that nobody knows",
            only(1, "/dev/sda: Unknown USB bridge [0x0bda:0x9201 (0xf200)]"),
            Unknown,
            None,
        ),
        ("not opened", only(2, "Smartctl open device: /dev/sda failed: No such device"), Unknown, None),
        ("asleep", only(2, "Device is in STANDBY mode, exit(2)"), Unknown, None),
        (
            "identity alone",
            with(ata(), &[("smart_status", Value::Null), ("ata_smart_attributes", Value::Null)]),
            Unknown,
            None,
        ),
        ("not opened, and yet passed", with(ata(), &[("smartctl.exit_status", json!(2))]), Unknown, None),
        (
            "attributes of which none tells of the medium",
            with(
                ata(),
                &[
                    ("smart_status", Value::Null),
                    (
                        "ata_smart_attributes.table",
                        json!([attribute(9, "Power_On_Hours", 78, 0, HOURS, 'O', "")]),
                    ),
                ],
            ),
            Unknown,
            None,
        ),
    ]);
    for output in [
        "",
        "{",
        "[]",
        "null",
        "smartctl: not found",
        "{\"smartctl\":",
        "{}",
        "{\"smart_status\":\"passed\"}",
    ] {
        assert_eq!(judge_saved(output.as_bytes(), &Notes::compiled_in()).level, Unknown, "{output:?}");
    }
}

#[test]
fn firmware_that_fails_at_an_hour_is_told_before_it_does() {
    let of_age = |hours: u64| {
        with(
            flash(),
            &[
                ("model_name", json!("VO0480JFDGT")),
                ("firmware_version", json!("HPD6")),
                ("device.protocol", json!("SCSI")),
                ("power_on_time.hours", json!(hours)),
            ],
        )
    };
    assert_eq!(judged(&of_age(1_000)).level, Healthy);
    let near = judged(&of_age(32_000));
    assert_eq!((near.level, near.axis(Axis::Firmware).level), (Degraded, Degraded), "{:?}", near.evidence());
    assert_eq!(near.action, Action::UpdateFirmware);
}

#[test]
fn heat_is_cooled_and_a_link_is_checked_before_a_drive_is_replaced() {
    for (drive, action) in [
        (with(ata(), &[("temperature.current", json!(64))]), Action::Cool),
        (
            with(ata(), &[(TABLE, attribute(190, "Airflow_Temperature_Cel", 5, 10, 64, 'O', "now"))]),
            Action::Cool,
        ),
        (with(ata(), &[raw(199, "UDMA_CRC_Error_Count", 1_118_119)]), Action::CheckLink),
        (with(ata(), &[("smart_status.passed", json!(false))]), Action::Replace),
    ] {
        let verdict = judged(&drive);
        assert_eq!(verdict.action, action, "{:?}", verdict.evidence());
    }
}
