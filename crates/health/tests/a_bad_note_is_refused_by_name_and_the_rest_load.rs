//! Notes of an administrator: what is bad is named, what is good is taken, and what is not trusted is not read.

#![expect(clippy::unwrap_used, reason = "a test ends where anything fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use imbrex_health::notes::{MaskedCommand, Notes, TrustRule};
use imbrex_health::{Bus, Identity};

const GOOD: &str = r#"
id = "good"
title = "It hangs."
advice = "Update it."
source = "the maker"
confidence = "verified"
reviewed_on = 2026-01-31
expires_on = 2027-01-31

[match]
model = '^GOOD'
kernel_before = "6.13"

[[effect]]
kind = "mask"
command = "smartctl"

[sample.matching]
model = "GOOD 1"
kernel = "6.12.1"

[sample.other]
model = "GOOD 1"
kernel = "6.13.0"
"#;

/// The rule by which what this test writes is believed.
fn trust(folder: &Path) -> TrustRule {
    TrustRule { owner_uid: folder.metadata().unwrap().uid() }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

fn good_drive() -> Identity {
    Identity {
        model: Some("GOOD 7".to_owned()),
        kernel: Some("6.12.43".to_owned()),
        bus: Bus::Sata,
        ..Identity::default()
    }
}

/// The reason for which the note in `text` is refused.
fn refused(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let bad_file = folder.path().join("bad.toml");
    write(&bad_file, text);
    write(&folder.path().join("good.toml"), &GOOD.replace("\"good\"", "\"the-other\""));
    let (notes, bad) = Notes::load(folder.path(), trust(folder.path()));
    assert_eq!(notes.all().len(), 1, "the rest is not taken beside {text}");
    assert_eq!(bad.len(), 1, "{bad:?} of {text}");
    assert!(bad[0].name == "good" || bad[0].name.contains("bad.toml"), "{bad:?}");
    bad[0].reason.clone()
}

#[test]
fn whatever_is_wrong_with_a_note_is_said_and_the_other_is_taken() {
    for (part, with, reason) in [
        ("id = \"good\"", "id = \"Good Note\"", "lower-case"),
        ("id = \"good\"", "", "missing field `id`"),
        ("title = \"It hangs.\"", "title = \" \"", "title is empty"),
        ("source = \"the maker\"", "", "missing field `source`"),
        ("confidence = \"verified\"", "confidence = \"certain\"", "unknown variant"),
        ("confidence = \"verified\"", "confidence = \"remembered\"", "more than advise"),
        ("reviewed_on = 2026-01-31", "reviewed_on = \"2026-01-31\"", "date"),
        ("reviewed_on = 2026-01-31", "reviewed_on = 2026-02-29", ""),
        ("reviewed_on = 2026-01-31", "reviewed_on = 2026-01-31T00:00:00Z", "plain date"),
        ("expires_on = 2027-01-31", "expires_on = 2026-01-31", "expires before"),
        ("model = '^GOOD'", "model = '^GOOD('", "does not compile"),
        ("model = '^GOOD'", "model = ''", "empty pattern"),
        ("model = '^GOOD'", "modell = '^GOOD'", "unknown field"),
        ("model = '^GOOD'", "bus = [\"unknown\"]", "bus"),
        ("kernel_before = \"6.13\"", "kernel_before = \"six\"", "no kernel release"),
        ("kernel_before = \"6.13\"", "kernel_before = \"6.13\"\nkernel_from = \"6.13\"", "ends before"),
        ("model = '^GOOD'\nkernel_before = \"6.13\"", "", "says of no drive"),
        ("model = '^GOOD'\nkernel_before = \"6.13\"", "model = '.'", "matches every drive"),
        ("kind = \"mask\"", "kind = \"explode\"", "unknown variant"),
        ("command = \"smartctl\"", "command = \"read\"", "unknown variant"),
        ("command = \"smartctl\"", "command = \"smartctl\"\nmore = 1", "unknown field"),
        ("kind = \"mask\"\ncommand = \"smartctl\"", "kind = \"refuse\"\nwhy = 1", "unknown field"),
        (
            "kind = \"mask\"\ncommand = \"smartctl\"",
            "kind = \"parser\"\nhint = \"ignore-wear\"\nattribute = 5",
            "unknown field",
        ),
        (
            "kind = \"mask\"\ncommand = \"smartctl\"",
            "kind = \"parser\"\nhint = \"helium\"\nattribute = 256",
            "256",
        ),
        (
            "kind = \"mask\"\ncommand = \"smartctl\"",
            "kind = \"threshold\"\nattribute = 5\nfield = \"raw\"",
            "one of at_least and below",
        ),
        (
            "kind = \"mask\"\ncommand = \"smartctl\"",
            "kind = \"threshold\"\nattribute = 5\nfield = \"raw\"\nat_least = 0",
            "one of at_least and below",
        ),
        (
            "kind = \"mask\"\ncommand = \"smartctl\"",
            "kind = \"time-bomb\"\nat_hours = 5\nnear_from_hours = 5",
            "near before",
        ),
        (
            "kind = \"mask\"\ncommand = \"smartctl\"",
            "kind = \"time-bomb\"\nat_hours = 5\nnear_from_hours = 4\nrepeats_every_hours = 0",
            "repeats",
        ),
        ("[[effect]]\nkind = \"mask\"\ncommand = \"smartctl\"", "", "missing field `effect`"),
        ("kernel = \"6.12.1\"", "kernel = \"6.14\"", "does not match its sample"),
        ("kernel = \"6.12.1\"", "kernell = \"6.12.1\"", "unknown field"),
        ("kernel = \"6.13.0\"", "kernel = \"6.12.9\"", "matches its sample of a drive that it is not about"),
        ("[sample.other]\nmodel = \"GOOD 1\"\nkernel = \"6.13.0\"", "", "missing field `other`"),
        ("[match]", "[match", "no TOML"),
    ] {
        assert!(GOOD.contains(part), "{part}");
        let text = GOOD.replacen(part, with, 1);
        let said = refused(&text);
        assert!(said.contains(reason), "{with}: {said}");
    }
    assert!(refused("").contains("missing field"));
    assert!(refused("note = 7").contains("neither one note nor a list"));
}

#[test]
fn a_list_of_notes_loses_the_bad_ones_and_those_that_come_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.toml");
    let nested = |id: &str| {
        let text = GOOD.replace("\"good\"", &format!("\"{id}\""));
        let text = text.replace("[match]", "[note.match]").replace("[[effect]]", "[[note.effect]]");
        format!("[[note]]\n{}", text.replace("[sample.", "[note.sample."))
    };
    let bad = nested("bad").replace("'^GOOD'", "'('");
    write(&file, &[nested("one"), bad, nested("two"), nested("one")].concat());
    let (notes, bad) = Notes::load(&file, trust(folder.path()));
    let ids: Vec<_> = notes.all().iter().map(|note| note.id.as_str()).collect();
    assert_eq!(ids, ["one", "two"]);
    let names: Vec<_> = bad.iter().map(|bad| bad.name.as_str()).collect();
    assert_eq!(names, ["bad", "one"]);
}

#[test]
fn a_loaded_note_takes_the_place_of_the_one_with_its_id_and_a_bad_one_does_not() {
    let mx500 = Identity { model: Some("CT1000MX500SSD1".to_owned()), ..Identity::default() };
    let compiled_in = Notes::compiled_in();
    assert!(compiled_in.effective(&mx500).ignores_raw(197).is_some());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let mine = GOOD.replace("\"good\"", "\"mx500-197\"");
    for (text, takes_its_place) in [(mine.clone(), true), (mine.replace("'^GOOD'", "'('"), false)] {
        write(&file, &text);
        let (loaded, _) = Notes::load(&file, trust(folder.path()));
        let notes = Notes::compiled_in().replaced_by(loaded);
        assert_eq!(notes.all().len(), compiled_in.all().len());
        assert_eq!(notes.effective(&mx500).ignores_raw(197).is_none(), takes_its_place);
        let masked = notes.effective(&good_drive()).masks(MaskedCommand::SelfTestLog).is_some();
        assert_eq!(
            masked, takes_its_place,
            "where nothing may be asked, the log of self-tests may not either"
        );
    }
}

#[test]
fn what_others_own_or_may_write_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("good.toml");
    write(&file, GOOD);
    let rule = trust(folder.path());
    let load = |path: &Path, rule| {
        let (notes, bad) = Notes::load(path, rule);
        assert!(notes.all().len() + bad.len() == 1, "{bad:?}");
        bad.into_iter().next().map(|bad| bad.reason)
    };
    assert_eq!(load(&file, rule), None);
    assert_eq!(load(folder.path(), rule), None);
    let stranger = TrustRule { owner_uid: rule.owner_uid + 1 };
    assert!(load(&file, stranger).unwrap().contains("owns it"));
    assert!(load(folder.path(), stranger).unwrap().contains("owns it"));
    for mode in [0o664, 0o646, 0o666] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert!(load(&file, rule).unwrap().contains("lets others write"), "{mode:o}");
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(load(folder.path(), rule).unwrap().contains("lets others write"));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let link = folder.path().join("link");
    symlink("/dev/zero", &link).unwrap();
    assert!(load(&link, rule).unwrap().contains("no plain file"), "a device is not read");
    assert!(load(&folder.path().join("absent"), rule).unwrap().contains("cannot read"));
    write(&file, &"#".repeat(1024 * 1024 + 1));
    assert!(load(&file, rule).unwrap().contains("longer than"));
    fs::write(&file, [0xff, 0xfe]).unwrap();
    assert!(load(&file, rule).unwrap().contains("UTF-8"));
}
