//! Fixtures of the project's own, one for each command set, in the shapes of smartctl 7.0 to 7.5.

#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

use smartctl_parser::{AttributeFailed, CriticalWarning, Protocol, Report, SelfTestResult};

const ATA: &str = include_str!("fixtures/ata.json");
const SAS: &str = include_str!("fixtures/sas.json");
const NVME: &str = include_str!("fixtures/nvme.json");

fn read(text: &str) -> Report {
    Report::parse(text.as_bytes()).unwrap()
}

#[test]
fn an_ata_drive_is_read() {
    let report = read(ATA);
    assert_eq!(report.version, Some((7, 4)));
    assert_eq!(report.device.protocol, Some(Protocol::Ata));
    let identity = &report.identity;
    assert_eq!(identity.wwn.as_deref(), Some("naa.5000cca2a1b2c3d4"));
    assert_eq!((identity.capacity_bytes, identity.rotation_rate_rpm), (Some(20_000_588_955_648), Some(7200)));
    assert_eq!(report.temperature_celsius, Some(34));
    assert_eq!(report.power_on_hours, Some(70_000));
    let exit = report.exit.unwrap();
    assert!(exit.error_log_has_entries() && !exit.no_data() && !exit.drive_failing());
    let ata = report.ata.as_ref().unwrap();
    let reallocated = ata.attribute(5).unwrap();
    assert_eq!((reallocated.count(), reallocated.failed), (Some(12), Some(AttributeFailed::Past)));
    assert_eq!(reallocated.prefailure, Some(true));
    assert_eq!(ata.attribute(188).unwrap().count(), None, "three numbers packed in one are no count");
    assert_eq!(ata.attribute(9).unwrap().count(), Some(70_000));
    assert_eq!(ata.pending_defects, Some(8));
    assert_eq!(ata.statistic(4, 8).unwrap().value, 3);
    assert!(ata.statistic(4, 16).is_none(), "a statistic that the drive calls invalid is none");
    assert_eq!(ata.phy_counters[0].value, 2);
}

#[test]
fn an_error_is_told_with_its_kind_and_age_though_hours_wrap() {
    let report = read(ATA);
    let log = report.ata.as_ref().unwrap().error_log.as_ref().unwrap();
    assert_eq!(log.count, Some(3));
    let [unreadable, link, refused] = &log.errors[..] else { panic!("{log:?}") };
    let age = |error: &smartctl_parser::LoggedError| error.age_hours(70_000);
    assert!(unreadable.kinds.unreadable && !unreadable.kinds.link);
    assert_eq!(age(unreadable), Some(70_000 - 65_536 - 4_400));
    assert!(link.kinds.link && link.kinds.aborted && !link.kinds.is_only_aborted());
    assert_eq!(age(link), Some(70_000 - 60_000), "before the wrap");
    assert!(refused.kinds.is_only_aborted());
    assert_eq!(refused.age_hours(20), None, "an error from the future of a young drive contradicts it");
    assert_eq!(refused.age_hours(4_465), Some(0), "an hour ahead is rounding");
}

#[test]
fn self_tests_are_told_by_number_and_by_words() {
    let report = read(ATA);
    let tests = &report.self_tests.as_ref().unwrap().tests;
    assert_eq!(
        tests.iter().map(|test| test.result).collect::<Vec<_>>(),
        [
            SelfTestResult::FailedRead,
            SelfTestResult::Stopped,
            SelfTestResult::Passed,
            SelfTestResult::FailedServo
        ]
    );
    assert_eq!(tests[0].first_bad_lba, Some(104_874_792));
    assert_eq!(tests[0].age_hours(70_000), Some(64));
    assert_eq!(tests[1].first_bad_lba, None, "a test that was stopped found nothing");
}

#[test]
fn a_sas_drive_is_read() {
    let report = read(SAS);
    assert_eq!(report.smart_passed, Some(false));
    assert_eq!(report.identity.host_managed_zoned, Some(true));
    assert_eq!(report.identity.firmware.as_deref(), Some("C421"));
    assert_eq!(report.identity.wwn.as_deref(), Some("naa.5000cca2b1b2c3d4"));
    let scsi = report.scsi.as_ref().unwrap();
    let sense = scsi.sense.as_ref().unwrap();
    assert!(sense.predicts_failure() && !sense.is_warning());
    assert_eq!(scsi.grown_defects.unwrap().count, 9);
    let read = scsi.read.as_ref().unwrap();
    assert_eq!((read.uncorrected, read.processed_bytes), (Some(4), Some(315_926_142_000_000)));
    assert_eq!(scsi.pending_defects, Some(2));
    assert_eq!((scsi.phys[0].port, scsi.phys[0].invalid_words), (0, Some(7)));
    assert_eq!(scsi.zoned.unwrap().write_rule_violations, Some(1));
    let tests = &report.self_tests.as_ref().unwrap().tests;
    assert_eq!((tests[0].result, tests[0].age_hours(900)), (SelfTestResult::Failed, Some(10)));
    assert_eq!(tests[1].result, SelfTestResult::Passed);
}

#[test]
fn smartctl_7_1_gives_the_length_of_the_defect_list_and_the_count_is_told() {
    let old = SAS
        .replace("[7, 5]", "[7, 1]")
        .replace("\"scsi_grown_defect_list\": 9", "\"scsi_grown_defect_list\": 72");
    let defects = read(&old).scsi.unwrap().grown_defects.unwrap();
    assert_eq!((defects.count, defects.reported), (9, 72));
}

#[test]
fn the_names_of_smartctl_before_7_3_are_known() {
    let old = SAS.replace("scsi_revision", "revision").replace("scsi_model_name", "model_name");
    let identity = read(&old).identity;
    assert_eq!((identity.firmware.as_deref(), identity.model.as_deref()), (Some("C421"), Some("ACME SMR20")));
}

#[test]
fn an_nvme_drive_is_read() {
    let report = read(NVME);
    let health = report.nvme.as_ref().unwrap();
    let warning = health.critical_warning.unwrap();
    assert_eq!(warning, CriticalWarning(0b1001));
    assert_eq!(warning.facts().collect::<Vec<_>>(), ["spare below its threshold", "media read-only"]);
    assert_eq!(report.identity.wwn.as_deref(), Some("eui.0025385b71b00001"));
    assert_eq!(report.temperature_celsius, None, "0 is not told");
    assert_eq!(health.media_errors, Some(u64::MAX), "128 bits that do not fit are the largest that do");
    assert_eq!(
        health.data_units_written,
        Some(18_014_398_509_481_984),
        "exact, though JSON's numbers are not"
    );
    assert_eq!(report.power_on_hours, Some(321));
    let tests = &report.self_tests.as_ref().unwrap().tests;
    assert_eq!((tests[0].result, tests[0].first_bad_lba), (SelfTestResult::Failed, Some(77)));
}
