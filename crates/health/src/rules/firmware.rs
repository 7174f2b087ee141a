//! The drive's program: what is known of it, and whether it still tells the truth.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, HELD_S, HOUR_S};
use crate::level::Axis;
use crate::notes::{Field, Fuse};
use crate::observation::Source;
use crate::reading::Reading;

/// A disk's hours may stand still for this long, in seconds, and over so many readings, before something is wrong
/// with them. They are whole hours, and a disk that is read is on.
const STANDSTILL_S: u64 = 36 * HOUR_S;
const STANDSTILL_READINGS: usize = 3;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    fuses(context, clues);
    thresholds(context, clues);
    standstill(context, clues);
    refused(context, clues);
}

/// Not ill, and not to be used: empty, the drive's level is left as it is. Where it holds blocks they are to be moved away,
/// so that it is degraded.
fn refused(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(note) = context.notes.refuses() else { return };
    let what = format!("note {} refuses this drive", note.id);
    let holds = context.history.holds_blocks.as_ref().filter(|holds| holds.at_unix_s <= context.now_unix_s);
    clues.push(match holds.filter(|holds| holds.what) {
        Some(holds) => {
            let value = format!("it holds blocks; {}", note.title);
            let clue = Clue::degraded(Axis::Firmware, Action::Refuse, Source::Notes, what, value);
            clue.since(Some(holds.at_unix_s))
        }
        None => Clue::note(Axis::Firmware, Source::Notes, what, &note.title).asks(Action::Refuse),
    });
}

fn fuses(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some(hours) = context.newest().and_then(|newest| newest.power_on_hours) else { return };
    for (note, fuse) in context.notes.burning_fuses(hours) {
        let what = format!("note {}: {}", note.id, note.title);
        let degraded = |value: String| {
            Clue::degraded(Axis::Firmware, Action::UpdateFirmware, Source::Notes, what.clone(), value)
        };
        clues.push(match fuse {
            Fuse::Near { left_hours } => degraded(format!("{hours} hours on, {left_hours} hours are left")),
            Fuse::Passed { next_in_hours: Some(next) } => {
                degraded(format!("{hours} hours on, again in {next} hours"))
            }
            _ => Clue::note(Axis::Firmware, Source::Notes, what.clone(), format!("{hours} hours on: passed")),
        });
    }
}

fn thresholds(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some((attributes, _)) = context.attributes() else { return };
    for (note, threshold) in context.notes.thresholds() {
        let attribute = attributes.iter().find(|attribute| attribute.id == threshold.attribute);
        let Some(attribute) = attribute else { continue };
        let value = match threshold.field {
            Field::Value => attribute.value.map(u64::from),
            Field::Raw => attribute.count().map(|raw| context.notes.count_in(threshold.attribute, raw)),
        };
        if let Some(value) = value.filter(|value| threshold.is_crossed_by(*value)) {
            let what = format!("attribute {} by note {}: {}", threshold.attribute, note.id, note.title);
            let clue = Clue::degraded(Axis::Firmware, Action::PlanReplacement, Source::Notes, what, value);
            clues.push(clue.since(context.attribute_since(attribute.id)));
        }
    }
}

/// A disk that answers while its hours stand still is either a copy of an older answer (of a controller, or of a
/// program that has hung) or not on: what it tells is not how it is.
fn standstill(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some((first, last)) = last_standstill(context) else { return };
    let stood_hours = (last.at_unix_s - first.at_unix_s) / HOUR_S;
    let what = "the drive answers, and its hours stand still: what it tells is old";
    let value = format!("{} hours on, for {stood_hours} hours", first.power_on_hours.unwrap_or(0));
    let clue = Clue::degraded(Axis::Firmware, Action::PlanReplacement, Source::Smart, what, value);
    clues.push(clue.since(Some(first.at_unix_s)));
}

/// The first and the last reading of the last time that the drive's hours stood still. None for drives of flash,
/// whose clocks may stop when they sleep (NVM Express Base 2.0, "Power On Hours").
fn last_standstill<'a>(context: &Context<'a>) -> Option<(&'a Reading, &'a Reading)> {
    if context.rotates() == Some(false) {
        return None;
    }
    let mut run: Option<(&Reading, usize)> = None;
    let mut found = None;
    for reading in context.counted(HELD_S + STANDSTILL_S) {
        let (first, count) = match run {
            Some((first, count)) if first.power_on_hours == reading.power_on_hours => (first, count + 1),
            _ => (reading, 1),
        };
        run = Some((first, count));
        let is_long = reading.at_unix_s - first.at_unix_s >= STANDSTILL_S && count >= STANDSTILL_READINGS;
        if is_long && reading.power_on_hours.is_some() {
            found = Some((first, reading));
        }
    }
    found
}

/// Whether the drive's hours stand still now, so that nothing that it tells is fresh.
pub(crate) fn stands_still_now(context: &Context<'_>) -> bool {
    last_standstill(context).is_some_and(|(_, last)| Some(last) == context.newest())
}
