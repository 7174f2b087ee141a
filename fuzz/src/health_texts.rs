//! Texts that health is made of: lines of the kernel's log, notes of an administrator's, and fleets' histories.

use imbrex_health::notes::Notes;
use imbrex_health::replay::Fleet;
use imbrex_health::{Bus, Identity, parse_kernel_line};

/// Longer inputs are not read as notes or histories, in bytes: each of their patterns is compiled, and each line judged.
const TEXT_BYTES_MAX: usize = 4096;

/// The input is a text of each kind.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for line in text.lines() {
        if let Some(event) = parse_kernel_line(line) {
            assert!(!event.device.is_empty() && line.contains(&event.device), "{event:?} of {line:?}");
            assert_eq!(parse_kernel_line(line), Some(event), "the same line tells the same");
        }
    }
    if text.len() > TEXT_BYTES_MAX {
        return;
    }
    notes(&text);
    let _ = Fleet::replay(text.as_bytes(), &Notes::default());
}

/// A note that is taken is not about every drive, and one that is refused says why.
fn notes(text: &str) {
    let (notes, refused) = Notes::of_text("input", text);
    assert!(refused.iter().all(|note| !note.name.is_empty() && !note.reason.is_empty()), "{refused:?}");
    let nothing = Identity { bus: Bus::Unknown, ..Identity::default() };
    assert_eq!(notes.matching(&nothing).count(), 0, "what is not known of a drive fulfils no criterion");
    let effective = notes.effective(&nothing);
    assert!(effective.refuses().is_none());
    for note in notes.all() {
        assert!(!note.id.is_empty() && !note.effects.is_empty());
    }
}
