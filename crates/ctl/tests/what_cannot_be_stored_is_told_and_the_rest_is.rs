//! What cannot be stored is told, a sentence each, and the rest is stored.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use imbrex_api::drive::State;

use fake::{FakeDrive, key_of, noise, on_drives, program, run, run_well, stderr};

#[test]
fn a_socket_in_a_tree_and_a_path_that_is_not_there() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let _listener = UnixListener::bind(tree.join("socket")).unwrap();
    fs::write(tree.join("file"), "file").unwrap();
    let gone = place.path().join("gone");
    let arguments = ["--json", "put", tree.to_str().unwrap(), gone.to_str().unwrap()];
    let output = run(&[&drive], &arguments);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("socket is a socket") && told.contains("cannot read"), "{told}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["items"].as_array().unwrap().len(), 1);
    assert_eq!(report["failures"].as_array().unwrap().len(), 2);
    let key = report["items"][0]["key"].as_str().unwrap();
    let copy = place.path().join("copy");
    run_well(&[&drive], &["get", key, "-o", copy.to_str().unwrap()]);
    assert_eq!(fs::read(copy.join("file")).unwrap(), b"file");
}

#[test]
fn a_device_is_refused() {
    let drive = FakeDrive::start(1);
    let output = run(&[&drive], &["put", "/dev/zero"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("character device"), "{}", stderr(&output));
}

#[test]
fn where_no_drive_may_be_written_each_says_why_and_nothing_counts_as_stored() {
    let worn = FakeDrive::start_in(1, State::ReadOnly, Some("its spare zones are used up"));
    let leaving = FakeDrive::start_in(2, State::Draining, None);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "file").unwrap();
    let output = run(&[&worn, &leaving], &["put", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    for words in ["fake-1", "its spare zones are used up", "fake-2", "draining", "0 of 1 path was stored"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_left_out() {
    let drive = FakeDrive::start(1);
    drive.store().faults.put_takes = Duration::from_millis(300);
    let place = tempfile::tempdir().unwrap();
    let growing = place.path().join("growing");
    fs::write(&growing, noise(9 << 20, 1)).unwrap();
    fs::write(place.path().join("still"), "still").unwrap();
    let child = on_drives(&[&drive], &["--json", "--jobs", "1", "put", place.path().to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while drive.store().puts == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    OpenOptions::new().append(true).open(&growing).unwrap().write_all(b"more").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("growing changed while it was being read"), "{}", stderr(&output));
    assert!(drive.keys().contains(&key_of(b"still")));
}

#[test]
fn an_output_that_is_there_is_not_replaced_unless_told() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let key = drive.plant(b"new");
    let target = place.path().join("target");
    fs::write(&target, "old").unwrap();
    let target_text = target.to_str().unwrap();
    let output = run(&[&drive], &["get", &key, "-o", target_text]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert_eq!(fs::read(&target).unwrap(), b"old");
    run_well(&[&drive], &["get", &key, "-o", target_text, "--force"]);
    assert_eq!(fs::read(&target).unwrap(), b"new");
}

#[test]
fn wrong_arguments_exit_with_2_and_say_what_is_right() {
    let drive = FakeDrive::start(1);
    let key = drive.plant(b"{\"imbrex-manifest\":1,\"kind\":\"tree\",\"entries\":[]}");
    for (arguments, word) in [
        (vec!["get", "123"], "64 hexadecimal digits"),
        (vec!["--drive", "http://h", "ls"], "needs a port"),
        (vec!["--node", "http://10.1.2.3:7400", "node"], "https://10.1.2.3:7400"),
        (vec!["--fingerprint", "abc", "node"], "32 hexadecimal pairs"),
        (vec!["--jobs", "0", "ls"], "1..=256"),
        (vec!["--drive", &drive.url(), "node"], "--node"),
        (vec!["--drive", &drive.url(), "--json", "get", &key], "-o PATH"),
        (vec!["--drive", &drive.url(), "get", &key], "-o DIR"),
    ] {
        let output = program().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_drive_that_is_not_there_is_one_sentence() {
    let mut drive = FakeDrive::start(1);
    drive.pull();
    let output = run(&[&drive], &["ls"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains(&drive.url()) && told.lines().count() == 1, "{told}");
}

#[test]
fn completion_scripts_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run_well(&[], &["completions", shell]);
        assert!(script.contains("imbrexctl") && script.contains("verify"), "{shell}");
    }
}
