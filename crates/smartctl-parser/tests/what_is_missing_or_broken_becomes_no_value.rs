//! Reports that say little, say it strangely, or are none.

#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

use smartctl_parser::{ExitStatus, ParseError, Report};

fn read(text: &str) -> Report {
    Report::parse(text.as_bytes()).unwrap()
}

#[test]
fn an_empty_object_says_nothing() {
    assert_eq!(read("{}"), Report::default());
    assert!(!read("{}").has_health_data());
}

#[test]
fn what_is_no_report_is_refused_and_told_apart() {
    let refused = |bytes: &[u8]| Report::parse(bytes).unwrap_err();
    assert_eq!(refused(b""), ParseError::Empty);
    assert_eq!(refused(b" \n"), ParseError::Empty);
    assert_eq!(refused(b"Usage: smartctl [options] device"), ParseError::NotJson);
    assert_eq!(refused(b"[]"), ParseError::NotJson);
    assert_eq!(refused(b"{\"smart_status\": {\"pas"), ParseError::Truncated { length_bytes: 22 });
    assert!(matches!(refused(b"{\"a\": tru}"), ParseError::Broken { line: 1, .. }));
    assert!(matches!(refused(&vec![b' '; 3 << 20]), ParseError::TooLong { .. }));
    assert!(matches!(refused("{\"a\":".repeat(100_000).as_bytes()), ParseError::Broken { .. }), "too deep");
}

#[test]
fn words_before_and_after_the_report_are_passed_over() {
    let report = read("  Pending defect count:{\"smart_status\": {\"passed\": true}}\ntrailing {");
    assert_eq!(report.smart_passed, Some(true));
}

#[test]
fn bytes_that_are_no_text_are_replaced_and_the_rest_is_kept() {
    let report =
        Report::parse(b"{\"serial_number\": \"A\xffB\", \"smart_status\": {\"passed\": true}}").unwrap();
    assert_eq!(report.identity.serial.as_deref(), Some("A\u{fffd}B"));
    assert_eq!(report.smart_passed, Some(true));
}

#[test]
fn a_part_of_another_shape_costs_that_part_alone() {
    let report = read(
        r#"{"smart_status": 7, "smart_support": true, "temperature": {"current": "34"}, "power_on_time": {"hours": -1},
            "ata_smart_attributes": {"table": {"id": 5}}, "rotation_rate": 99999999999, "serial_number": "S1",
            "nvme_smart_health_information_log": {"critical_warning": 256, "percentage_used": 300}}"#,
    );
    assert_eq!((report.smart_passed, report.temperature_celsius, report.power_on_hours), (None, None, None));
    assert_eq!(report.smart_available, Some(true), "some wrote a bare truth");
    assert_eq!((report.ata, report.identity.rotation_rate_rpm), (None, None));
    assert_eq!(report.identity.serial.as_deref(), Some("S1"));
    let nvme = report.nvme.unwrap();
    assert_eq!((nvme.critical_warning, nvme.percentage_used), (None, None), "what cannot be is not told");
}

#[test]
fn a_temperature_that_no_drive_has_is_none() {
    for told in ["0", "255", "-273", "1e3"] {
        let report = read(&format!("{{\"temperature\": {{\"current\": {told}}}}}"));
        assert_eq!(report.temperature_celsius, None, "{told}");
    }
    let elsewhere = r#"{"temperature": {"current": 0}, "ata_sct_status": {"temperature": {"current": 29}}}"#;
    assert_eq!(read(elsewhere).temperature_celsius, Some(29));
}

#[test]
fn a_sleeping_drive_is_known_by_the_message_where_there_is_no_key() {
    let asleep = |exit: u8, message: &str| {
        read(&format!(
            r#"{{"smartctl": {{"exit_status": {exit}, "messages": [{{"string": "{message}"}}]}}}}"#
        ))
    };
    assert_eq!(asleep(2, "Device is in STANDBY BY TIMER mode, exit(2)").asleep, Some(true));
    assert_eq!(asleep(2, "Device is in LOW POWER mode, exit(2)").asleep, Some(true));
    let gone = asleep(2, "Smartctl open device: /dev/sdb failed: No such device");
    assert_eq!((gone.asleep, gone.has_health_data()), (None, false));
    assert!(gone.exit.unwrap().no_data());
}

#[test]
fn only_the_first_two_bits_of_the_exit_status_mean_no_data() {
    for bit in 0..8 {
        assert_eq!(ExitStatus(1 << bit).no_data(), bit < 2, "bit {bit}");
        assert_eq!(ExitStatus(1 << bit).facts().count(), 1);
    }
    assert_eq!(ExitStatus(0).facts().count(), 0);
    let facts: Vec<_> = ExitStatus(216).facts().collect();
    assert_eq!(facts.len(), 4);
    assert_eq!(facts[0], "the drive says that it is failing");
}

#[test]
fn a_list_without_end_is_cut() {
    let attribute = r#"{"id": 5, "raw": {"value": 1, "string": "1"}}"#;
    let table = vec![attribute; 5000].join(",");
    let report = read(&format!(r#"{{"ata_smart_attributes": {{"table": [{table}]}}}}"#));
    assert_eq!(report.ata.unwrap().attributes.len(), 64);
}

#[test]
fn the_critical_warning_is_told_with_the_status_where_the_log_is_lost() {
    let told = |text: &str| Report::parse(text.as_bytes()).unwrap().nvme;
    let lost = r#"{"device":{"protocol":"NVMe"},"smart_status":{"passed":false,"nvme":{"value":2}}}"#;
    let nvme = told(lost).expect("what the status tells");
    assert!(nvme.critical_warning.is_some_and(|warning| warning.temperature()));
    assert_eq!((nvme.available_spare_percent, nvme.percentage_used), (None, None));
    assert_eq!(told(r#"{"device":{"protocol":"NVMe"},"smart_status":{"passed":false}}"#), None);
}
