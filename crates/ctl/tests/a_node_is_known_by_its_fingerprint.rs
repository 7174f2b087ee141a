//! A node is known by the fingerprint of its certificate, and by nothing else.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::process::Output;

use fake::node::{FakeNode, Signs, serving};
use fake::{FakeDrive, key_of, program, stderr};
use imbrex_api::node::{Drive, DriveState};

fn ask(node: &FakeNode, arguments: &[&str]) -> Output {
    program().args(["--node", &node.url()]).args(arguments).output().unwrap()
}

#[test]
fn without_a_fingerprint_nothing_is_done_and_the_presented_one_is_shown() {
    let node = FakeNode::start(Vec::new(), Signs::WithItsOwnKey);
    let output = ask(&node, &["node"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains(&format!("--fingerprint {}", node.fingerprint)), "{told}");
    assert!(told.contains("console") && told.lines().count() == 1, "{told}");
}

#[test]
fn another_certificate_than_the_pinned_one_is_refused_and_both_are_named() {
    let node = FakeNode::start(Vec::new(), Signs::WithItsOwnKey);
    let other = format!("SHA256:{}", ["AB"; 32].join(":"));
    let output = ask(&node, &["--fingerprint", &other, "node"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains(&other) && told.contains(&node.fingerprint), "{told}");
}

#[test]
fn the_pinned_certificate_is_accepted() {
    let node = FakeNode::start(Vec::new(), Signs::WithItsOwnKey);
    let output = ask(&node, &["--fingerprint", &node.fingerprint.to_lowercase(), "node"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("running") && table.contains("network"), "{table}");
    let mut by_environment = program();
    by_environment.env("IMBREX_NODE", node.url()).env("IMBREX_FINGERPRINT", &node.fingerprint);
    assert!(by_environment.args(["--json", "node"]).output().unwrap().status.success());
}

#[test]
fn the_right_certificate_without_its_key_proves_nothing() {
    let node = FakeNode::start(Vec::new(), Signs::WithAnotherKey);
    for trust in [vec!["--fingerprint", &node.fingerprint], vec!["--insecure"]] {
        let output = ask(&node, &[&trust[..], &["node"]].concat());
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    }
}

#[test]
fn insecure_accepts_any_certificate_and_says_so() {
    let node = FakeNode::start(Vec::new(), Signs::WithItsOwnKey);
    let output = ask(&node, &["--insecure", "node"]);
    assert!(output.status.success());
    assert!(stderr(&output).contains("--insecure"), "{}", stderr(&output));
}

#[test]
fn blocks_go_to_the_drives_that_the_node_names() {
    let (one, two) = (FakeDrive::start(1), FakeDrive::start(2));
    let failed = Drive {
        id: "wwn-bad".into(),
        state: DriveState::Failed,
        state_reason: Some("It is on fire.".into()),
        ..Drive::default()
    };
    let node = FakeNode::start(vec![serving(&one), serving(&two), failed], Signs::WithItsOwnKey);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    std::fs::write(&file, "bytes").unwrap();
    let put = ask(&node, &["--fingerprint", &node.fingerprint, "put", file.to_str().unwrap()]);
    assert!(put.status.success(), "{}", stderr(&put));
    assert!(stderr(&put).contains("wwn-bad is failed (It is on fire)"), "{}", stderr(&put));
    assert_eq!([one.keys(), two.keys()].concat(), [key_of(b"bytes")]);
    let get = ask(&node, &["--fingerprint", &node.fingerprint, "get", &key_of(b"bytes")]);
    assert_eq!(get.stdout, b"bytes");
    let drives = ask(&node, &["--fingerprint", &node.fingerprint, "drives"]);
    let table = String::from_utf8(drives.stdout).unwrap();
    assert!(table.contains("serving") && table.contains("wwn-bad: It is on fire."), "{table}");
}

#[test]
fn format_orders_name_the_serial_and_all_new_ones_need_a_yes() {
    let empty = |id: &str, serial: Option<&str>| Drive {
        id: id.into(),
        serial: serial.map(str::to_owned),
        state: DriveState::Unformatted,
        ..Drive::default()
    };
    let used = FakeDrive::start(1);
    let drives = vec![empty("a", Some("SA")), serving(&used), empty("b", None)];
    let node = FakeNode::start(drives, Signs::WithItsOwnKey);
    let pinned = ["--fingerprint", &node.fingerprint];

    let output = ask(&node, &[&pinned[..], &["format", "--all-new"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--yes"), "{}", stderr(&output));
    assert!(node.orders().is_empty());

    let output = ask(&node, &[&pinned[..], &["format", "--all-new", "--yes"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let one = ["format", "c", "--serial", "SC", "--replace", "foreign"];
    assert!(ask(&node, &[&pinned[..], &one].concat()).status.success());
    let orders: Vec<(String, String, Option<String>)> =
        node.orders().into_iter().map(|(id, order)| (id, order.serial, order.replace)).collect();
    assert_eq!(
        orders,
        [
            ("a".into(), "SA".into(), None),
            ("b".into(), "b".into(), None),
            ("c".into(), "SC".into(), Some("foreign".into())),
        ]
    );
}
