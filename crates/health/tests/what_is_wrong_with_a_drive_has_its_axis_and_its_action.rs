//! Outputs as drives, adapters and versions of smartctl vary them: each is one of three sound ones with something wrong.

mod outputs;

use imbrex_health::Level::{Degraded, Failing, Healthy};
use imbrex_health::{Action, Axis};
use outputs::{HOURS, TABLE, ata, attribute, expect, flash, judged, nvme, raw, sas, with};
use serde_json::{Value, json};

#[test]
fn what_is_wrong_has_its_axis() {
    let failed = |id, name, kind, failed| (TABLE, attribute(id, name, 5, 10, 0, kind, failed));
    let idnf = |hours: u64, lba: u64| {
        json!({ "extended": { "count": 1, "table": [{ "lifetime_hours": hours, "error_description": "Error: IDNF at LBA",
        "completion_registers": { "error": 16, "lba": lba } }] } })
    };
    let unc = |hours: u64| {
        json!({ "summary": { "count": 1, "table": [{ "lifetime_hours": hours,
        "error_description": "Error: UNC at LBA = 0x00000001 = 1", "completion_registers": { "error": 64 } }] } })
    };
    let failed_test = |hours: u64| {
        json!({ "code": { "string": "Background long" }, "result": { "value": 7 },
        "power_on_time": { "hours": hours } })
    };
    expect(&[
        (
            "a SAS test that failed when its log could count no further",
            with(sas(), &[("power_on_time.hours", json!(90_000)), ("scsi_self_test_0", failed_test(65_535))]),
            Degraded,
            Some(Axis::Media),
        ),
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
            "a sector not found yesterday",
            with(ata(), &[("ata_smart_error_log", idnf(HOURS - 30, 1))]),
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
            "its persistent memory",
            with(nvme(), &[warning(32), ("smart_status.passed", json!(false))]),
            Failing,
            Some(Axis::Mechanics),
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
        (with(ata(), &[raw(197, "Current_Pending_Sector", 8)]), Action::Scrub),
        (with(ata(), &[raw(198, "Offline_Uncorrectable", 1)]), Action::Scrub),
        (ata(), Action::None),
        (with(ata(), &[("smart_status.passed", json!(false))]), Action::Replace),
    ] {
        let verdict = judged(&drive);
        assert_eq!(verdict.action, action, "{:?}", verdict.evidence());
    }
}

#[test]
fn the_persistent_memory_is_told_apart_from_the_backup_of_the_volatile_one() {
    let warning =
        |bits: u8| with(nvme(), &[("nvme_smart_health_information_log.critical_warning", json!(bits))]);
    let words = |bits| judged(&warning(bits)).axis(Axis::Mechanics).evidence[0].what.clone();
    assert!(words(32).contains("persistent memory region"), "{}", words(32));
    assert!(words(16).contains("backed up"), "{}", words(16));
}

#[test]
fn an_error_without_a_time_is_not_said_to_be_of_this_hour() {
    let error = json!({ "error_description": "Error: UNC at LBA = 0x00000001 = 1" });
    let log = json!({ "summary": { "count": 1, "table": [error] } });
    let verdict = judged(&with(ata(), &[("ata_smart_error_log", log)]));
    let value = &verdict.axis(Axis::Media).evidence[0].value;
    assert_eq!((verdict.level, value.as_str()), (Degraded, "1 in the log, the last one at an unknown time"));
}
