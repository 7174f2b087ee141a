//! `imbrex-verify` on files: what it prints, and with which status it ends.

#![expect(clippy::unwrap_used, reason = "what cannot be fails its test")]

mod drive;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use drive::file::DriveFile;
use drive::states::killed;
use imbrex_format::{DriveId, Label, UNIT_BYTES};
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Device, Token};

const ZONE_BYTES: u64 = 1 << 20;

fn verify(arguments: &[&str], path: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_imbrex-verify")).args(arguments).arg(path).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// The file of a drive of eight zones, two of them conventional, with these labels.
fn drive_file(directory: &Path, labels: [Option<Label>; 2]) -> std::path::PathBuf {
    let path = directory.join("drive.img");
    let pool = BufferPool::new(4 * UNIT_BYTES).unwrap();
    let geometry = SimulatedGeometry {
        serial: Some("S".into()),
        ..SimulatedGeometry::fitted(8 << 20, ZONE_BYTES).unwrap()
    };
    let mut device = SimulatedDevice::create(&path, geometry, pool.clone()).unwrap();
    let mut completions = Vec::new();
    for (zone, label) in (0..).zip(labels) {
        let Some(label) = label else { continue };
        let mut buffer = pool.try_allocate(UNIT_BYTES).unwrap();
        label.encode(&mut buffer);
        device.submit_write(Token(zone), zone * ZONE_BYTES, buffer).unwrap();
        device.wait(None, &mut completions).unwrap();
    }
    assert!(completions.iter().all(|completion| completion.result.is_ok()));
    path
}

fn label() -> Label {
    Label {
        drive_id: DriveId([1; 16]),
        secret: [2; 16],
        generation: 1,
        formatted_at_unix_s: 3,
        unit_bytes: 4096,
        zone_count: 8,
        zone_size_bytes: ZONE_BYTES,
        checksum_chunk_bytes: 65_536,
        payload_bytes_max: 1 << 17,
        blocks_max: 100,
        label_zones: [0, 1],
        device_serial: "S".into(),
        checkpoint_first_zone: 0,
        checkpoint_slot_zones: 0,
    }
}

#[test]
fn nothing_wrong_is_0_for_people_and_for_programs() {
    let directory = tempfile::tempdir().unwrap();
    let path = drive_file(directory.path(), [Some(label()), Some(label())]);
    let before = std::fs::read(&path).unwrap();
    let (status, text, _) = verify(&[], &path);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("SOUND") && text.contains("format version 2"), "{text}");
    let (status, json, _) = verify(&["--json", "--payloads", "--all"], &path);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, json["verdict"].as_str()), (Some(0), Some("sound")));
    assert_eq!(json["extent"]["payloads"], serde_json::Value::Bool(true));
    assert!(before == std::fs::read(&path).unwrap(), "the file was changed");
}

#[test]
fn damage_is_1_and_a_lie_is_2() {
    let directory = tempfile::tempdir().unwrap();
    let path = drive_file(directory.path(), [Some(label()), None]);
    let (status, text, _) = verify(&[], &path);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("damage  zone 1, unit 0") && text.contains("DAMAGED"), "{text}");
    std::fs::remove_file(&path).unwrap();
    let other = Label { blocks_max: 101, ..label() };
    let path = drive_file(directory.path(), [Some(label()), Some(other)]);
    let (status, json, _) = verify(&["--json"], &path);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, json["verdict"].as_str()), (Some(2), Some("lying")));
    assert_eq!(json["findings"][0]["kind"], "label-contradicts");
}

#[test]
fn a_zone_of_which_nothing_tells_whether_it_was_emptied_in_order_is_3() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive.img");
    let mut file = DriveFile::of(&killed(), &path);
    file.reset(8);
    std::fs::write(&path, &file.0).unwrap();
    let (status, text, _) = verify(&["--all"], &path);
    assert_eq!(status, Some(3), "{text}");
    assert!(text.contains("\nunsure  zone 8: ") && text.contains("\nUNSURE: "), "{text}");
    let (status, json, _) = verify(&["--json"], &path);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, json["verdict"].as_str()), (Some(3), Some("unsure")));
    assert_eq!(json["findings"][0]["kind"], "may-be-gone");
}

#[test]
fn what_cannot_be_verified_has_a_status_and_a_sentence_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = drive_file(directory.path(), [None, None]);
    let told = |arguments: &[&str], path: &Path| {
        let (status, text, sentence) = verify(arguments, path);
        assert!(text.is_empty() && sentence.starts_with("imbrex-verify: "), "{text} {sentence}");
        (status.unwrap(), sentence)
    };
    let (status, sentence) = told(&[], &path);
    assert!(status == 65 && sentence.contains("neither a label nor a zone header"), "{status} {sentence}");
    assert_eq!(told(&[], &directory.path().join("nothing")).0, 66);
    assert_eq!(told(&["--zone", "8"], &path).0, 64);
    let held = SimulatedDevice::open(&path, BufferPool::new(UNIT_BYTES).unwrap()).unwrap();
    let (status, sentence) = told(&[], &path);
    assert!(status == 75 && sentence.contains("in use"), "{status} {sentence}");
    drop(held);
    let text = directory.path().join("text");
    std::fs::File::create(&text).unwrap().write_all_at(&[b'x'; 8192], 0).unwrap();
    assert_eq!(told(&[], &text).0, 65);
    let (status, _, usage) = verify(&["--unheard-of"], &path);
    assert!(status == Some(64) && usage.contains("Usage"), "{usage}");
    let (status, help, _) = verify(&["--help"], &path);
    assert!(status == Some(0) && help.contains("Exit status"), "{help}");
}
