//! What is put comes back, byte for byte, and is where it should be.

#![allow(clippy::unwrap_used, reason = "a test and its helpers fail by panicking")]

mod fake;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use fake::{FakeDrive, key_of, noise, on_drives, put, run, run_well, stderr};

const BLOCK: usize = 4 << 20;

#[test]
fn a_file_of_any_size_comes_back() {
    let (one, two) = (FakeDrive::start(1), FakeDrive::start(2));
    let drives = [&one, &two];
    let place = tempfile::tempdir().unwrap();
    for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 5 * BLOCK + 17] {
        let (file, copy) = (place.path().join("file"), place.path().join(format!("copy-{length}")));
        let bytes = noise(length, 1);
        fs::write(&file, &bytes).unwrap();
        let key = put(&drives, &file);
        assert_eq!(key == key_of(&bytes), length <= BLOCK, "{length}");
        run_well(&drives, &["get", &key, "-o", copy.to_str().unwrap()]);
        assert!(fs::read(&copy).unwrap() == bytes, "{length}");
        let to_stdout = run(&drives, &["get", &key]);
        assert!(to_stdout.status.success() && to_stdout.stdout == bytes, "{length}");
        run_well(&drives, &["verify", &key, "--against", file.to_str().unwrap()]);
    }
}

#[test]
fn a_small_file_that_begins_like_a_manifest_is_put_under_one_and_comes_back() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    let bytes = b"{\"imbrex-manifest\":1,\"kind\":\"tree\",\"entries\":[]}";
    fs::write(&file, bytes).unwrap();
    let key = put(&[&drive], &file);
    assert_ne!(key, key_of(bytes));
    assert_eq!(run_well(&[&drive], &["get", &key]).as_bytes(), bytes);

    let tree = put(&[&drive], place.path());
    let copy = place.path().join("copy");
    run_well(&[&drive], &["get", &tree, "-o", copy.to_str().unwrap()]);
    assert_eq!(fs::read(copy.join("file")).unwrap(), bytes);
}

/// A tree with everything that a tree can have.
fn odd_tree(root: &Path) {
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::create_dir_all(root.join("deep/er/still")).unwrap();
    fs::write(root.join("deep/er/still/large"), noise(2 * BLOCK + 5, 3)).unwrap();
    fs::write(root.join("deep/same"), "same").unwrap();
    fs::write(root.join("same"), "same").unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("run-me"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("run-me"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not-\xff-utf-8")), "x").unwrap();
    fs::write(root.join("sp ace\n\u{e9}"), "y").unwrap();
    symlink("deep/same", root.join("link")).unwrap();
    symlink("/nowhere/at/all", root.join("dangling")).unwrap();
    symlink(OsStr::from_bytes(b"\xfe"), root.join("link-to-bytes")).unwrap();
    fs::write(root.join("deep/locked"), "z").unwrap();
    fs::set_permissions(root.join("deep/locked"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(root.join("deep"), fs::Permissions::from_mode(0o555)).unwrap();
}

/// Everything that must be the same, as lines.
fn describe(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(dir) = pending.pop() {
        for child in fs::read_dir(dir).unwrap() {
            let path = child.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_dir() {
                pending.push(path.clone());
                "directory".to_owned()
            } else if metadata.is_symlink() {
                format!("-> {:?}", fs::read_link(&path).unwrap())
            } else {
                key_of(&fs::read(&path).unwrap())
            };
            let name = path.strip_prefix(root).unwrap();
            lines.push(format!(
                "{name:?} {:o} {}.{} {content}",
                metadata.mode(),
                metadata.mtime(),
                metadata.mtime_nsec()
            ));
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_tree_comes_back_with_its_names_modes_times_and_links() {
    let drives: Vec<FakeDrive> = (1..=3).map(FakeDrive::start).collect();
    let drives: Vec<&FakeDrive> = drives.iter().collect();
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("tree");
    odd_tree(&root);
    let key = put(&drives, &root);
    assert_eq!(key, put(&drives, &root), "the same tree has the same key");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for target in ["copy", "empty-dir"] {
        let target = place.path().join(target);
        if target.ends_with("empty-dir") {
            fs::create_dir(&target).unwrap();
        }
        run_well(&drives, &["get", &key, "-o", &text(&target)]);
        assert_eq!(describe(&root), describe(&target));
        run_well(&drives, &["verify", &key, "--against", &text(&target)]);
    }
    let again = run(&drives, &["get", &key, "-o", &text(&place.path().join("copy"))]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is not empty"), "{}", stderr(&again));
    let names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|child| child.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "no temporary name is left: {names:?}");
}

#[test]
fn verify_tells_every_difference_from_a_local_tree() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("tree");
    fs::create_dir(&root).unwrap();
    for name in ["same", "changed", "longer", "gone", "becomes-dir"] {
        fs::write(root.join(name), name).unwrap();
    }
    symlink("a", root.join("link")).unwrap();
    let key = put(&[&drive], &root);
    fs::write(root.join("changed"), "chanGed").unwrap();
    fs::write(root.join("longer"), "longer!").unwrap();
    fs::write(root.join("new"), "new").unwrap();
    for name in ["gone", "becomes-dir", "link"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    fs::create_dir(root.join("becomes-dir")).unwrap();
    symlink("b", root.join("link")).unwrap();

    let output = run(&[&drive], &["--json", "verify", &key, "--against", root.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["files_equal"], 1);
    assert_eq!(report["only_here"], serde_json::json!(["new"]));
    assert_eq!(report["only_stored"], serde_json::json!(["gone"]));
    let different = report["different"].to_string();
    assert_eq!(report["different"].as_array().unwrap().len(), 4, "{different}");
    for word in ["differs from byte 4", "has 7 bytes here and 6 stored", "is a dir here", "points to b here"]
    {
        assert!(different.contains(word), "{word}: {different}");
    }
}

#[test]
fn put_tells_keys_and_shares_and_finds_what_is_there_already() {
    let (one, two) = (FakeDrive::start(1), FakeDrive::start(2));
    let drives = [&one, &two];
    let place = tempfile::tempdir().unwrap();
    let (file, small) = (place.path().join("file"), place.path().join("small"));
    fs::write(&file, noise(10 * BLOCK, 9)).unwrap();
    fs::write(&small, "small").unwrap();
    let arguments = ["--json", "put", file.to_str().unwrap(), small.to_str().unwrap()];
    for already_there in [0, 12] {
        let report: serde_json::Value = serde_json::from_str(&run_well(&drives, &arguments)).unwrap();
        assert_eq!(report["items"][0]["bytes"], 10 * BLOCK);
        assert_eq!(report["items"][1]["key"], key_of(b"small"));
        assert_eq!(report["items"][1]["files"], 1);
        let sum = |field: &str| -> u64 {
            report["drives"].as_array().unwrap().iter().map(|drive| drive[field].as_u64().unwrap()).sum()
        };
        assert_eq!((sum("blocks"), sum("already_there")), (12, already_there));
    }
    assert!(one.keys().len() > 1 && two.keys().len() > 1, "both drives have some");
    assert_eq!(one.keys().len() + two.keys().len(), 12, "and no block is on both");
}

#[test]
fn no_more_is_in_flight_than_permitted() {
    let (one, two) = (FakeDrive::start(1), FakeDrive::start(2));
    for drive in [&one, &two] {
        drive.store().faults.put_takes = std::time::Duration::from_millis(20);
    }
    let place = tempfile::tempdir().unwrap();
    for number in 0..60 {
        fs::write(place.path().join(format!("{number}")), noise(100, number)).unwrap();
    }
    let path = place.path().to_str().unwrap();
    run_well(&[&one, &two], &["--jobs", "6", "--jobs-per-drive", "2", "put", path]);
    assert_eq!((one.store().in_flight_max, two.store().in_flight_max), (2, 2));
    run_well(&[&one], &["--jobs", "3", "--jobs-per-drive", "9", "put", path]);
    assert_eq!(one.store().in_flight_max, 3);
}

#[test]
fn ls_lists_every_block_once_over_many_pages_and_stops_where_told() {
    let (one, two) = (FakeDrive::start(1), FakeDrive::start(2));
    for number in 0..250_u32 {
        let drive = if number % 5 == 0 { &one } else { &two };
        drive.plant(&number.to_le_bytes());
    }
    let listed = |arguments: &[&str]| -> Vec<String> {
        let json: serde_json::Value = serde_json::from_str(&run_well(&[&one, &two], arguments)).unwrap();
        let blocks = json["blocks"].as_array().unwrap();
        blocks.iter().map(|block| block["key"].as_str().unwrap().to_owned()).collect()
    };
    let mut keys = listed(&["--json", "ls"]);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 250);
    assert_eq!(listed(&["--json", "ls", "--limit", "55"]).len(), 55);
    let table = run_well(&[&one, &two], &["ls"]);
    assert_eq!(table.lines().count(), 251);
}

#[test]
fn ls_of_a_key_shows_what_it_names() {
    let drive = FakeDrive::start(1);
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("tree");
    odd_tree(&root);
    let key = put(&[&drive], &root);
    let table = run_well(&[&drive], &["ls", &key]);
    assert!(table.contains("-rwxr-xr-x") && table.contains("run-me"), "{table}");
    assert!(table.contains("link -> deep/same") && table.contains("sp ace\\n"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&run_well(&[&drive], &["--json", "ls", &key])).unwrap();
    let large =
        json["entries"].as_array().unwrap().iter().find(|entry| entry["path"] == "deep/er/still/large");
    let large = large.unwrap()["key"].as_str().unwrap().to_owned();
    assert_eq!(run_well(&[&drive], &["ls", &large]).lines().count(), 4);
}

#[test]
fn rm_deletes_one_block_or_all_under_a_key() {
    let (one, two) = (FakeDrive::start(1), FakeDrive::start(2));
    let drives = [&one, &two];
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("tree");
    odd_tree(&root);
    let other = one.plant(b"other");
    two.plant(b"other");
    let key = put(&drives, &root);
    run_well(&drives, &["rm", "--recursive", &key]);
    assert_eq!((one.keys(), two.keys()), (vec![other.clone()], vec![other.clone()]));
    run_well(&drives, &["rm", &other]);
    assert!(one.keys().is_empty() && two.keys().is_empty());
    let again = run(&drives, &["rm", &other]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("none of the 2 drives that were asked holds"), "{}", stderr(&again));
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let drive = FakeDrive::start(1);
    for number in 0..3000_u32 {
        drive.plant(&number.to_le_bytes());
    }
    let mut child = on_drives(&[&drive], &["ls"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""));
}
