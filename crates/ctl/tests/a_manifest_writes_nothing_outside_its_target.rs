//! A manifest may come from anybody. Whatever it says, nothing is written outside the target.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::fs;

use fake::{FakeDrive, key_of, run, stderr};

/// Gets a hostile tree and tells what was said.
fn refused(entries: &str) -> String {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    drive.plant(b"evil");
    let entries = entries.replace("PLACE", place.path().to_str().unwrap()).replace("EVIL", &key_of(b"evil"));
    let manifest = format!("{{\"imbrex-manifest\":1,\"kind\":\"tree\",\"entries\":[{entries}]}}");
    let key = drive.plant(manifest.as_bytes());
    let target = place.path().join("inner/target");
    fs::create_dir(place.path().join("inner")).unwrap();
    let output = run(&[&drive], &["get", &key, "-o", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{manifest}");
    assert!(!target.exists());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "{manifest}");
    assert_eq!(fs::read_dir(place.path().join("inner")).unwrap().count(), 0, "{manifest}");
    stderr(&output)
}

fn file(path: &str) -> String {
    format!(
        "{{\"kind\":\"file\",\"path\":{path},\"mode\":420,\"mtime_s\":0,\"mtime_ns\":0,\"size\":4,\"key\":\"EVIL\",\
         \"manifest\":false}}"
    )
}

#[test]
fn paths_that_lead_out_are_refused() {
    assert!(refused(&file("\"../evil\"")).contains(". or .."));
    assert!(refused(&file("\"PLACE/evil\"")).contains("absolute"));
    assert!(refused(&file("\"a/../../evil\"")).contains(". or .."));
    assert!(refused(&file("{\"hex\":\"2e2e2f6576696c\"}")).contains(". or .."));
}

#[test]
fn a_link_is_never_followed() {
    let link = "{\"kind\":\"symlink\",\"path\":\"l\",\"mtime_s\":0,\"mtime_ns\":0,\"target\":\"PLACE\"}";
    let below = refused(&format!("{link},{}", file("\"l/evil\"")));
    assert!(below.contains("does not lie in a directory"), "{below}");
    let dir = "{\"kind\":\"dir\",\"path\":\"l\",\"mode\":493,\"mtime_s\":0,\"mtime_ns\":0}";
    let twice = refused(&format!("{dir},{link},{}", file("\"l/evil\"")));
    assert!(twice.contains("twice"), "{twice}");
}

#[test]
fn a_size_that_is_not_the_blocks_is_refused() {
    let told = refused(&file("\"f\"").replace("\"size\":4", "\"size\":5"));
    assert!(told.contains("has 5 bytes, and that has 4"), "{told}");
}

#[test]
fn another_version_is_refused_by_naming_both() {
    let drive = FakeDrive::start(1);
    let key = drive.plant(b"{\"imbrex-manifest\":2,\"kind\":\"tree\"}");
    for command in ["get", "verify", "ls"] {
        let output = run(&[&drive], &[command, &key]);
        assert_eq!(output.status.code(), Some(1));
        let told = format!("{}{}", stderr(&output), String::from_utf8_lossy(&output.stdout));
        assert!(told.contains("version 2") && told.contains("version 1"), "{command}: {told}");
    }
}

#[test]
fn a_manifest_that_claims_to_be_enormous_is_refused() {
    let drive = FakeDrive::start(1);
    let manifest = format!(
        "{{\"imbrex-manifest\":1,\"kind\":\"manifest\",\"size\":1073741825,\"block_size\":16777216,\"blocks\":[{}]}}",
        vec![format!("\"{}\"", key_of(b"evil")); 65].join(",")
    );
    let key = drive.plant(manifest.as_bytes());
    let output = run(&[&drive], &["get", &key]);
    assert!(stderr(&output).contains("1073741824 is the most"), "{}", stderr(&output));
}
