//! A drive that failed a test, could not read, or says that it fails, beside something that looks well or lost: it is told
//! all the same, and no worse than it is.

#[allow(dead_code, reason = "each test uses a part of it")]
mod outputs;

use imbrex_health::Level::{Degraded, Failing, Healthy, Unknown};
use imbrex_health::{Action, Axis};
use outputs::{HOURS, TABLE, ata, attribute, expect, judged, nvme, raw, sas, with};
use serde_json::{Value, json};

/// ATA's log of self-tests: of each the kind, how long ago it was in hours, and whether it failed to read.
fn tests(told: &[(&str, u64, bool)]) -> Value {
    let test = |(kind, ago, failed): &(&str, u64, bool)| {
        json!({ "type": { "string": kind }, "status": { "value": if *failed { 0x70 } else { 0 } },
            "lifetime_hours": HOURS - ago })
    };
    json!({ "table": told.iter().map(test).collect::<Vec<_>>() })
}

#[test]
fn a_long_test_that_failed_stands_until_a_long_one_passes() {
    let log = |told: &[(&str, u64, bool)]| with(ata(), &[("ata_smart_self_test_log.standard", tests(told))]);
    let (long, short) = ("Extended offline", "Short offline");
    let failed = log(&[(short, 10, false), (short, 30, false), (long, 50, true)]);
    expect(&[
        ("a short one has passed since", failed.clone(), Degraded, Some(Axis::Media)),
        ("a long one has passed since", log(&[(long, 10, false), (long, 50, true)]), Healthy, None),
        ("a long one clears a short one", log(&[(long, 10, false), (short, 50, true)]), Healthy, None),
        ("a short one clears a short one", log(&[(short, 10, false), (short, 50, true)]), Healthy, None),
        ("it was a year ago", log(&[(short, 10, false), (long, 9_000, true)]), Healthy, None),
        (
            "the long log is empty and the short one is not",
            with(
                ata(),
                &[(
                    "ata_smart_self_test_log",
                    json!({ "extended": { "table": [] }, "standard": tests(&[(long, 5, true)]) }),
                )],
            ),
            Degraded,
            Some(Axis::Media),
        ),
        (
            "of NVMe",
            with(
                nvme(),
                &[(
                    "nvme_self_test_log.table",
                    json!([
                        { "self_test_code": { "string": "Short" }, "self_test_result": { "value": 0 },
                            "power_on_hours": HOURS - 1 },
                        { "self_test_code": { "string": "Extended" }, "self_test_result": { "value": 7 },
                            "power_on_hours": HOURS - 50 },
                    ]),
                )],
            ),
            Degraded,
            Some(Axis::Media),
        ),
    ]);
    let value = judged(&failed).evidence()[0].1.value.clone();
    assert!(value.starts_with("Extended offline, 50 hours ago; 1 of 3"), "the one that failed: {value}");
}

#[test]
fn a_drive_that_was_awakened_to_be_asked_is_judged() {
    let failed = (TABLE, attribute(5, "Reallocated_Sector_Ct", 5, 10, 2_000, 'P', "now"));
    let told = [
        ("power_mode", json!({ "ata_value": 0, "name": "STANDBY" })),
        ("smart_status.passed", json!(false)),
        failed,
    ];
    expect(&[
        ("its mode and all the rest", with(ata(), &told), Failing, None),
        (
            "its mode alone",
            json!({ "smartctl": { "exit_status": 0 }, "power_mode": { "name": "STANDBY" }, "model_name": "ACME" }),
            Unknown,
            None,
        ),
    ]);
}

#[test]
fn a_status_beside_data_that_could_not_be_read_is_unknown() {
    let broken = with(
        ata(),
        &[
            ("smartctl.exit_status", json!(4)),
            ("ata_smart_attributes", Value::Null),
            ("temperature", Value::Null),
        ],
    );
    let with_data = with(ata(), &[("smartctl.exit_status", json!(4))]);
    expect(&[
        ("no attributes", broken, Unknown, None),
        ("some command failed, and the attributes are there", with_data, Healthy, None),
    ]);
}

#[test]
fn what_the_background_scan_could_not_read_counts_until_it_is_mended() {
    let result = |sense: u64, reassigned: u64| json!({ "lba": 1000, "sense_key": { "value": sense }, "reassign_status": { "value": reassigned } });
    let scan = |results: Value| with(sas(), &[("scsi_background_scan", results)]);
    expect(&[
        (
            "one waits",
            scan(json!({ "status": { "value": 1 }, "result_1": result(3, 1), "result_2": result(1, 0) })),
            Degraded,
            Some(Axis::Media),
        ),
        (
            "all were given other places or rewritten",
            scan(json!({ "result_1": result(3, 2), "result_2": result(3, 5) })),
            Healthy,
            None,
        ),
        ("it found nothing", scan(json!({ "status": { "value": 1 } })), Healthy, None),
        (
            "three by the drive's list",
            with(sas(), &[("scsi_pending_defects.count", json!(3))]),
            Degraded,
            Some(Axis::Media),
        ),
    ]);
}

#[test]
fn seagates_eighths_are_those_of_ata_drives() {
    let seagate = ("scsi_model_name", json!("SEAGATE ST8000NM0075"));
    let size = ("user_capacity.bytes", json!(8_001_563_222_016_u64));
    let told = |changes: &[(&str, Value)]| {
        let changes: Vec<_> =
            [seagate.clone(), size.clone()].into_iter().chain(changes.iter().cloned()).collect();
        judged(&with(sas(), &changes))
    };
    let verdict = told(&[("scsi_pending_defects.count", json!(96))]);
    assert_eq!(verdict.level, Degraded, "{:?}", verdict.evidence());
    assert_eq!(verdict.evidence()[0].1.value, "96");
    // A number that no drive has is no reason to fall over.
    let counters = ("scsi_error_counter_log.read", json!({ "total_uncorrected_errors": 3 }));
    let verdict = told(&[("scsi_grown_defect_list", json!(u64::MAX - 1)), counters]);
    assert!(verdict.level.is_bad());
    let disk = |count| {
        let remapped = raw(5, "Reallocated_Sector_Ct", count);
        judged(&with(ata(), &[("model_name", json!("ST8000DM004")), remapped])).level
    };
    assert_eq!((disk(992), disk(1_536)), (Healthy, Degraded), "a thousand is much in any unit");
}

#[test]
fn an_nvme_drive_that_is_too_hot_is_no_worse_where_its_log_is_lost() {
    let lost = |warning: u64| {
        with(
            nvme(),
            &[
                ("smartctl.exit_status", json!(8)),
                ("smart_status", json!({ "passed": false, "nvme": { "value": warning } })),
                ("nvme_smart_health_information_log", Value::Null),
                ("temperature.current", json!(84)),
            ],
        )
    };
    expect(&[
        ("too hot", lost(2), Degraded, Some(Axis::Mechanics)),
        ("unreliable", lost(4), Failing, Some(Axis::Media)),
    ]);
    let verdict = judged(&lost(2));
    assert_eq!((verdict.action, verdict.drain_without_person), (Action::Cool, false));
}
