use std::os::unix::fs::PermissionsExt;

use super::*;

/// A note about a model, in one of two wordings.
fn note(id: &str, title: &str) -> String {
    format!(
        r#"id = "{id}"
title = "{title}"
advice = "Look at it."
source = "This test"
confidence = "verified"
reviewed_on = 2026-01-01
expires_on = 2036-01-01
match = {{ model = '^FAKE 1$' }}
effect = [{{ kind = "advice" }}]
sample = {{ matching = {{ model = "FAKE 1" }}, other = {{ model = "OTHER 1" }} }}
"#
    )
}

/// A folder that only its owner can write.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    // Another file takes the place of the old one, so that no clock decides whether it is seen.
    let (new, path) = (folder.join(format!("{name}.new")), folder.join(name));
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&new, &path).unwrap();
}

/// The titles of the administrator's notes.
fn titles(notes: &LoadedNotes) -> Vec<&str> {
    notes.own.all().iter().map(|note| note.title.as_str()).collect()
}

fn refused(notes: &LoadedNotes) -> Vec<&str> {
    notes.state.refused.iter().map(|note| note.name.as_str()).collect()
}

/// Only root can place files that root owns.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn notes_that_change_are_read_again_and_those_that_do_not_are_not() {
    let folder = folder();
    let path = folder.path();
    write(path, "a.toml", &note("note-a", "One."));
    let notes = LoadedNotes::load(path);
    assert!(notes.read_again(path).is_none(), "nothing has changed");
    write(path, "a.toml", &note("note-a", "Two."));
    write(path, "b.toml", &note("note-b", "Three."));
    let again = notes.read_again(path).expect("they have changed");
    if !is_root() {
        assert_eq!(titles(&again), [""; 0]);
        assert!(again.state.refused[0].reason.contains("and not user 0"), "{:?}", again.state);
        return;
    }
    assert_eq!((titles(&notes), titles(&again)), (vec!["One."], vec!["Two.", "Three."]));
    assert_eq!(again.state.from_path, ["note-a", "note-b"]);
    assert_eq!(again.state.count, notes.state.count + 1);
    fs::remove_file(path.join("a.toml")).unwrap();
    let without = again.read_again(path).expect("one has gone");
    assert_eq!(titles(&without), ["Three."], "what is taken away is gone");
    fs::remove_dir_all(path).unwrap();
    let none = without.read_again(path).expect("all have gone");
    assert_eq!((titles(&none), none.state.path.as_deref()), (vec![], None));
    assert_eq!(none.state.count, Notes::compiled_in().all().len() as u64);
}

#[test]
fn what_is_refused_leaves_what_was_there_before() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let path = folder.path();
    let two =
        format!("[[note]]\n{}", note("note-b", "Two.")) + &format!("[[note]]\n{}", note("note-c", "Three."));
    write(path, "a.toml", &note("note-a", "One."));
    write(path, "two.toml", &two);
    let notes = LoadedNotes::load(path);
    assert_eq!(titles(&notes), ["One.", "Two.", "Three."]);
    // One note is bad, and of a file nothing can be read; beside them a new one has come.
    write(path, "a.toml", &note("note-a", "Four.").replace("advice", "silence"));
    write(path, "two.toml", "this is no TOML");
    write(path, "d.toml", &note("note-d", "Five."));
    let again = notes.read_again(path).expect("they have changed");
    assert_eq!(titles(&again), ["One.", "Two.", "Three.", "Five."]);
    assert_eq!(refused(&again), ["note-a", &path.join("two.toml").display().to_string()]);
    // A folder that others can write is not believed, whatever is in it.
    write(path, "d.toml", &note("note-d", "Six."));
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    let kept = again.read_again(path).expect("its mode has changed");
    assert_eq!(titles(&kept), ["One.", "Two.", "Three.", "Five."]);
    assert_eq!(refused(&kept), [&path.display().to_string()]);
    // And then it is again.
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    let mended = kept.read_again(path).expect("its mode has changed");
    assert_eq!(titles(&mended), ["One.", "Two.", "Three.", "Six."], "what is still refused is still kept");
}
