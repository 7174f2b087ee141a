//! Outputs as drives, adapters and versions of smartctl vary them: each is one of three sound ones with a change that
//! says nothing against the drive, or takes away what there was to know.

mod outputs;

use imbrex_health::Level::{Healthy, Unknown};
use imbrex_health::judge_saved;
use imbrex_health::notes::Notes;
use outputs::{HOURS, TABLE, ata, attribute, expect, flash, nvme, raw, sas, with};
use serde_json::{Value, json};

#[test]
fn sound_drives_are_healthy_however_their_vendors_count() {
    let high_words = json!({ "id": 5, "name": "Reallocated_Sector_Ct", "value": 100, "worst": 100, "thresh": 10,
        "when_failed": "", "flags": { "prefailure": true }, "raw": { "value": 34_359_738_368_u64 } });
    let idnf = |hours: u64, lba: u64| {
        json!({ "extended": { "count": 1, "table": [{ "lifetime_hours": hours, "error_description": "Error: IDNF at LBA",
        "completion_registers": { "error": 16, "lba": lba } }] } })
    };
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
            "attributes of flash that nobody knows",
            with(flash(), &[raw(10, "Unknown_SSD_Attribute", 12), raw(187, "Unknown_JMF_Attribute", 3)]),
            Healthy,
            None,
        ),
        (
            "a spare that warns at 99 of 100",
            with(
                nvme(),
                &[
                    ("nvme_smart_health_information_log.available_spare", json!(99)),
                    ("nvme_smart_health_information_log.available_spare_threshold", json!(99)),
                ],
            ),
            Healthy,
            None,
        ),
        (
            "media errors all ones",
            with(nvme(), &[("nvme_smart_health_information_log.media_errors", json!(u64::MAX))]),
            Healthy,
            None,
        ),
        (
            "full helium",
            with(ata(), &[(TABLE, attribute(22, "Helium_Level", 100, 25, 100, 'P', ""))]),
            Healthy,
            None,
        ),
        (
            "a sector not found long ago",
            with(ata(), &[("ata_smart_error_log", idnf(HOURS - 800, 1))]),
            Healthy,
            None,
        ),
        (
            "a sector that the drive has not",
            with(ata(), &[("ata_smart_error_log", idnf(HOURS - 1, 18_000_000_000_000 / 512))]),
            Healthy,
            None,
        ),
        (
            "a sector not found on a drive that wants to be written in order",
            with(
                ata(),
                &[("device_type", json!({ "scsi_value": 20 })), ("ata_smart_error_log", idnf(HOURS - 1, 1))],
            ),
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
fn a_status_that_is_passed_and_failing_at_once_is_neither() {
    let drive = with(ata(), &[("smartctl.exit_status", json!(8))]);
    let verdict = judge_saved(drive.to_string().as_bytes(), &Notes::compiled_in());
    assert_eq!(verdict.level, Unknown, "{:?}", verdict.evidence());
    assert!(!verdict.drain_without_person);
    let evidence = verdict.evidence();
    assert!(
        evidence.iter().any(|(_, evidence)| evidence.what.contains("contradicts itself")),
        "{evidence:?}"
    );
}
