//! `imbrex-health replay` on a fleet that is small enough to be counted by hand.

#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

/// Two days of ten drives: the serial, and on the second day whether it failed, and its attributes 5 and 197.
const DRIVES: [(&str, u8, u64, u64); 10] = [
    // Failed: two of them are found, one of these as failing, and one is missed.
    ("A", 1, 300, 0),
    ("B", 1, 1_200, 40),
    ("C", 1, 0, 0),
    // Well: one is named in vain.
    ("D", 0, 400, 0),
    ("E", 0, 0, 0),
    ("F", 0, 3, 0),
    ("G", 0, 0, 1),
    ("H", 0, 0, 0),
    ("I", 0, 0, 0),
    ("J", 0, 0, 0),
];

/// The fleet as a file; `fails` tells whether those that failed did.
fn fleet(fails: bool) -> String {
    let mut text =
        "date,serial_number,model,capacity_bytes,failure,smart_5_raw,smart_9_raw,smart_197_raw\n".to_owned();
    for (day, hours) in [("2020-01-01", 1_000), ("2020-01-02", 1_024)] {
        for (serial, failed, remapped, pending) in DRIVES {
            let failed = if fails && hours == 1_024 { failed } else { 0 };
            // They stand so from the first day on: nothing grows.
            text += &format!("{day},{serial},ACME 1,1000000000000,{failed},{remapped},{hours},{pending}\n");
        }
    }
    text
}

fn replay(text: &[u8], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.csv");
    fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imbrex-health"));
    command.arg("replay").arg(&file).args(arguments).output().unwrap()
}

fn rules(text: &str) -> Value {
    let output = replay(text.as_bytes(), &["--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["rules"].take()
}

fn near(share: &Value, expected: f64) -> bool {
    (share["value"].as_f64().unwrap() - expected).abs() < 1e-9
}

#[test]
fn shares_are_those_that_were_counted_by_hand() {
    let rules = rules(&fleet(true));
    // Of the rules: the found and the named in vain, of three failures and seven others.
    for (index, rule, found, in_vain) in [
        (0, "degraded or worse", 2.0, 1.0),
        (1, "failing", 1.0, 0.0),
        (2, "5 > 0 or 197 > 0", 2.0, 3.0),
        (3, "5 > 16 or 197 > 1", 2.0, 1.0),
        (4, "5 >= 1100", 1.0, 0.0),
    ] {
        let row = &rules[index];
        assert_eq!(row["rule"], rule);
        assert!(near(&row["recall"], found / 3.0), "{row:#}");
        assert!(near(&row["false_positive_rate"], in_vain / 7.0), "{row:#}");
        assert!(near(&row["precision"], found / (found + in_vain)), "{row:#}");
        let (low, high) = (&row["recall"]["low"], &row["recall"]["high"]);
        assert!(low.as_f64() <= row["recall"]["value"].as_f64(), "{row:#}");
        assert!(high.as_f64() >= row["recall"]["value"].as_f64(), "{row:#}");
    }
    // Three drives of ten became bad in twenty days of drives.
    assert!(near(&rules[0]["alerts_per_1000_drives_30_days"], 3.0 / 20.0 * 30_000.0), "{:#}", rules[0]);
}

#[test]
fn of_a_fleet_in_which_none_failed_no_recall_is_told() {
    let none = fleet(false);
    for row in rules(&none).as_array().unwrap() {
        assert_eq!(row["recall"], Value::Null, "{row:#}");
        assert!(row["false_positive_rate"]["value"].is_f64(), "{row:#}");
    }
    let said = String::from_utf8(replay(none.as_bytes(), &[]).stdout).unwrap();
    assert!(said.lines().all(|line| line.contains("recall cannot be measured: none failed")), "{said}");
    let well = none
        .lines()
        .filter(|line| !["A", "B", "D", "F", "G"].iter().any(|serial| line.contains(&format!(",{serial},"))));
    let well: String = well.map(|line| format!("{line}\n")).collect();
    assert_eq!(rules(&well)[0]["precision"], Value::Null, "none was named");
}

#[test]
fn a_file_that_is_compressed_says_how_it_is_read() {
    let output = replay(&[0x1f, 0x8b, 8, 0, 0, 0], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("zcat"), "{said}");
}

#[test]
fn a_saved_output_that_cannot_be_read_keeps_no_other_from_being_judged() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["one.json", "none.json", "two.json"].map(|name| folder.path().join(name));
    for name in [&names[0], &names[2]] {
        fs::write(name, r#"{"smart_status": {"passed": true}}"#).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_imbrex-health"));
    let output = command.arg("judge").args(&names).output().unwrap();
    let (said, error) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(said.contains("one.json: ") && said.contains("two.json: "), "{said}");
    assert!(!output.status.success() && error.contains("none.json: No such file"), "{error}");
}
