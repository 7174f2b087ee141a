//! Whatever the drives do: what is stored is stored, what comes back is right, and the rest is told.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::fs;
use std::path::Path;
use std::time::Duration;

use fake::{FakeDrive, key_of, noise, on_drives, put, run, run_well, stderr};

const BLOCK: usize = 4 << 20;

fn file_in(place: &Path, length: usize) -> (String, Vec<u8>) {
    let bytes = noise(length, length as u64);
    let path = place.join("file");
    fs::write(&path, &bytes).unwrap();
    (path.to_str().unwrap().to_owned(), bytes)
}

#[test]
fn a_busy_drive_is_asked_again() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let (file, bytes) = file_in(place.path(), 100);
    drive.store().faults.busy = 5;
    run_well(&[&drive], &["put", &file]);
    assert_eq!(drive.keys(), [key_of(&bytes)]);
    drive.store().faults.busy = 5;
    assert!(run(&[&drive], &["get", &key_of(&bytes)]).stdout == bytes);
}

#[test]
fn a_drive_that_stays_busy_is_given_up_in_bounded_time() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let (file, _) = file_in(place.path(), 100);
    drive.store().faults.busy = u32::MAX;
    let output = run(&[&drive], &["put", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("busy each time that it was asked"), "{}", stderr(&output));
}

#[test]
fn full_and_read_only_drives_are_passed_over() {
    let (full, read_only, good) = (FakeDrive::start(1), FakeDrive::start(2), FakeDrive::start(3));
    full.store().faults.full = true;
    read_only.store().faults.read_only = true;
    let place = tempfile::tempdir().unwrap();
    let (file, bytes) = file_in(place.path(), 8 * BLOCK);
    let drives = [&full, &read_only, &good];
    let key = put(&drives, Path::new(&file));
    assert_eq!((full.keys().len(), read_only.keys().len(), good.keys().len()), (0, 0, 9));
    assert!(full.store().puts < 9, "a full drive is not asked for every block");
    assert!(run(&drives, &["get", &key]).stdout == bytes);
}

#[test]
fn where_no_drive_takes_a_block_every_reason_is_told() {
    let (full, read_only) = (FakeDrive::start(1), FakeDrive::start(2));
    full.store().faults.full = true;
    read_only.store().faults.read_only = true;
    let place = tempfile::tempdir().unwrap();
    let (file, _) = file_in(place.path(), 10);
    let output = run(&[&full, &read_only], &["put", &file]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("fake-1: full") && told.contains("fake-2: it is read-only"), "{told}");
}

#[test]
fn a_drive_pulled_during_a_put_costs_nothing_but_a_detour() {
    let (mut pulled, good) = (FakeDrive::start(1), FakeDrive::start(2));
    let place = tempfile::tempdir().unwrap();
    let (file, bytes) = file_in(place.path(), 20 * BLOCK);
    for drive in [&pulled, &good] {
        drive.store().faults.put_takes = Duration::from_millis(100);
    }
    let child = on_drives(&[&pulled, &good], &["--json", "put", &file])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while pulled.store().puts == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    pulled.pull();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let key = report["items"][0]["key"].as_str().unwrap();
    // The drive comes back elsewhere, with what it had acknowledged.
    let returned = FakeDrive::start(1);
    returned.store().blocks = pulled.store().blocks.clone();
    assert!(run(&[&returned, &good], &["get", key]).stdout == bytes);
}

#[test]
fn a_block_that_comes_back_wrong_is_never_handed_on() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let (file, bytes) = file_in(place.path(), 3 * BLOCK);
    let key = put(&[&drive], Path::new(&file));
    let wrong = key_of(&bytes[BLOCK..2 * BLOCK]);
    drive.store().faults.flipped.insert(wrong.clone(), u32::MAX);

    let copy = place.path().join("copy");
    let output = run(&[&drive], &["get", &key, "-o", copy.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&wrong), "{}", stderr(&output));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left but the file");

    let output = run(&[&drive], &["get", &key]);
    assert_eq!(output.status.code(), Some(1));
    assert!(bytes.starts_with(&output.stdout), "what went to standard output is right as far as it goes");

    let output = run(&[&drive], &["--json", "verify", &key]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["damaged"][0]["key"], wrong);
    assert_eq!(report["blocks"], 3, "the others and the manifest are good");
}

#[test]
fn damage_on_the_way_is_asked_for_again() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let (file, bytes) = file_in(place.path(), BLOCK);
    let key = put(&[&drive], Path::new(&file));
    drive.store().faults.flipped.insert(key.clone(), 1);
    drive.store().faults.truncated.insert(key.clone(), 1);
    assert!(run(&[&drive], &["get", &key]).stdout == bytes);
}

#[test]
fn a_body_that_always_breaks_off_is_an_error() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let (file, _) = file_in(place.path(), BLOCK);
    let key = put(&[&drive], Path::new(&file));
    drive.store().faults.truncated.insert(key.clone(), u32::MAX);
    let output = run(&[&drive], &["get", &key]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains("the answer broke off"), "{}", stderr(&output));
}

#[test]
fn a_good_copy_elsewhere_is_used_and_verify_tells_of_the_bad_one() {
    let (one, two) = (FakeDrive::start(1), FakeDrive::start(2));
    let bytes = noise(1000, 7);
    let key = one.plant(&bytes);
    two.plant(&bytes);
    for bad in [&one, &two] {
        bad.store().faults.corrupt.insert(key.clone(), "block-corrupt");
        assert!(run(&[&one, &two], &["get", &key]).stdout == bytes);
        bad.store().faults.corrupt.clear();
    }
    let told = [&one, &two].map(|bad| {
        bad.store().faults.corrupt.insert(key.clone(), "media-error");
        let output = run(&[&one, &two], &["verify", &key]);
        bad.store().faults.corrupt.clear();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    });
    // Only the drive that is asked first is seen to be bad.
    assert_eq!(told.iter().filter(|(code, _)| *code == Some(1)).count(), 1, "{told:?}");
    assert!(told.iter().any(|(_, text)| text.contains("bad copy: ")), "{told:?}");
}

#[test]
fn missing_blocks_are_listed_by_key_and_file() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::write(place.path().join(name), name).unwrap();
    }
    let key = put(&[&drive], place.path());
    drive.store().blocks.remove(&key_of(b"b"));
    let output = run(&[&drive], &["verify", &key, "--against", place.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains(&format!("missing: {} of b", key_of(b"b"))), "{table}");
    assert!(
        table.lines().any(|line| line.split_whitespace().eq(["files", "equal", "2", "-", "-"])),
        "{table}"
    );
}

#[test]
fn a_drive_that_is_gone_is_named_where_it_may_hold_what_is_missing() {
    let (mut one, two) = (FakeDrive::start(1), FakeDrive::start(2));
    let place = tempfile::tempdir().unwrap();
    let (file, _) = file_in(place.path(), 8 * BLOCK);
    let key = put(&[&one, &two], Path::new(&file));
    one.pull();
    let output = run(&[&one, &two], &["get", &key]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&one.url()), "{}", stderr(&output));
    let output = run(&[&one, &two], &["--json", "verify", &key]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["missing"].as_array().unwrap().len(), 0, "nobody can say that they are missing");
    assert!(!report["unreachable"].as_array().unwrap().is_empty());
}
