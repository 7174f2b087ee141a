//! `imbrex-health judge --notes PATH`: notes of one's own count, those that others can write do not, and a bad one is
//! refused by its name while the rest count.

#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const NOTE: &str = r#"
title = "It loses what was written."
advice = "Do not use it."
source = "this test"
confidence = "verified"
reviewed_on = 2026-11-21
expires_on = 2028-11-21
match = { model = "^ACME 1$" }
effect = [{ kind = "refuse" }]
sample = { matching = { model = "ACME 1" }, other = { model = "ACME 2" } }
"#;

const OUTPUT: &str = r#"{"model_name": "ACME 1", "smart_status": {"passed": true}}"#;

fn judge(folder: &Path) -> Output {
    fs::write(folder.join("drive.json"), OUTPUT).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_imbrex-health"));
    command.arg("judge").arg("--notes").arg(folder).arg(folder.join("drive.json")).output().unwrap()
}

fn note(folder: &Path, name: &str, text: &str, mode: u32) {
    let path = folder.join(format!("{name}.toml"));
    fs::write(&path, format!("id = \"{name}\"\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn a_note_of_ones_own_counts_and_a_bad_one_beside_it_is_named() {
    let folder = folder();
    note(folder.path(), "mine", NOTE, 0o644);
    note(folder.path(), "bad", "title = \"half\"\n", 0o644);
    let output = judge(folder.path());
    assert!(output.status.success());
    let (said, refused) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(said.contains("Put no data on this drive") && said.contains("note mine refuses"), "{said}");
    assert!(refused.contains("the note bad is refused: "), "{refused}");
}

#[test]
fn a_note_that_others_can_write_counts_for_nothing() {
    let folder = folder();
    note(folder.path(), "mine", NOTE, 0o666);
    let output = judge(folder.path());
    assert!(!output.status.success() && output.stdout.is_empty());
    let refused = String::from_utf8(output.stderr).unwrap();
    assert!(refused.contains("lets others write it"), "{refused}");
}
