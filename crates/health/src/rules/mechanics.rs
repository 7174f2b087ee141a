//! Motor, helium, heat, and a drive that has become slow.

use crate::action::Action;
use crate::clue::Clue;
use crate::context::{Context, DAY_S, GROWTH_S, HELD_S};
use crate::happenings::Happening;
use crate::level::Axis;
use crate::observation::Source;
use crate::reading::{Counter, Reading};

/// At this temperature and above a drive is beyond what its maker allows, in degrees Celsius: 60 in the data sheets of
/// the large disks (HC550, Exos X18, MG08), 70 in those of solid-state drives for SATA and SAS. An NVMe drive knows its own.
const DISK_CELSIUS_MAX: i16 = 60;
const FLASH_CELSIUS_MAX: i16 = 70;

/// So many times in its life a motor may have needed a second try.
const SPIN_RETRIES_MAX: u64 = 10;

/// A drive is slow where so many comparisons with its peers within a day found it so, and at least three in four.
const SLOW_MIN: u64 = 12;

/// A drive has become slow where it was many times slower than before in so many different ten minutes of a week. Once, it
/// may have been busy with itself: the engine calls it slow after half a minute (see its `slowness.rs`), and takes for
/// usual what lasts for an hour.
const SLOWER_SLOTS_MIN: usize = 3;

/// Helium is lost below this normalized value: it begins at 100 and a drive is tight (smartmontools, drivedb.h:
/// attributes 22, 23 and 24).
const HELIUM_FULL: u8 = 100;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    temperature(context, clues);
    spin(context, clues);
    helium(context, clues);
    slow(context, clues);
    slower_than_before(context, clues);
}

fn temperature(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let limit = match context.rotates() {
        _ if context.report().is_some_and(|report| report.nvme.is_some()) => return,
        Some(false) => FLASH_CELSIUS_MAX,
        _ => DISK_CELSIUS_MAX,
    };
    let heat = |reading: &Reading| reading.temperature_celsius.filter(|celsius| *celsius >= limit);
    if let Some(celsius) = context.readings(DAY_S).iter().rev().find_map(heat) {
        let back = context.readings(GROWTH_S).iter().rev().skip_while(|reading| heat(reading).is_none());
        let since =
            back.take_while(|reading| heat(reading).is_some()).last().map(|reading| reading.at_unix_s);
        let value = format!("{celsius} degrees Celsius (limit {limit})");
        let clue = Clue::degraded(Axis::Mechanics, Action::Cool, Source::Smart, "temperature", value);
        clues.push(clue.since(since));
    }
}

fn spin(context: &Context<'_>, clues: &mut Vec<Clue>) {
    if context.rotates() == Some(false) {
        return;
    }
    let what = "times that the motor needed another try to start";
    if let Some(growth) = context.growth(Counter::SpinRetries, GROWTH_S) {
        let clue =
            Clue::degraded(Axis::Mechanics, Action::PlanReplacement, Source::Smart, what, growth.to.count);
        clues.push(clue.was(growth.from.count).since(Some(growth.from.at_unix_s)).strong());
    } else if let Some(count) = context.highest(Counter::SpinRetries).filter(|count| count.count > 0) {
        clues.push(if count.count >= SPIN_RETRIES_MAX {
            Clue::degraded(Axis::Mechanics, Action::PlanReplacement, Source::Smart, what, count.count)
        } else {
            Clue::note(Axis::Mechanics, Source::Smart, what, count.count)
        });
    }
}

/// An attribute that smartctl calls helium, or that a note knows for it. One that has come to its threshold is told of
/// by the rule of statements.
fn helium(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some((attributes, _)) = context.attributes() else { return };
    for attribute in attributes {
        let named = matches!(attribute.id, 22..=24)
            && attribute.name.as_deref().is_some_and(|name| name.to_ascii_lowercase().contains("helium"));
        let lost = attribute.value.filter(|value| *value < HELIUM_FULL && *value > 0);
        if let Some(value) = lost.filter(|_| named || context.notes.is_helium(attribute.id).is_some()) {
            let what = format!("helium is being lost (attribute {})", attribute.id);
            let clue = Clue::degraded(Axis::Mechanics, Action::PlanReplacement, Source::Smart, what, value);
            clues.push(clue.was(HELIUM_FULL).since(context.attribute_since(attribute.id)).strong());
        }
    }
}

fn slow(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let slow = context.tally(&[Happening::SlowerThanPeers], DAY_S);
    let fast = context.tally(&[Happening::AsFastAsPeers], DAY_S);
    if slow.count >= SLOW_MIN && slow.count >= fast.count.saturating_mul(3) {
        let value = context.history.latency.as_ref().map_or_else(
            || "at least twice their mean latency".to_owned(),
            |latency| {
                let latency = &latency.what;
                let tail = |p99_us: Option<u64>| {
                    p99_us.map(|p99_us| format!(" (99 % within {p99_us} us)")).unwrap_or_default()
                };
                let (own, peers) = (tail(latency.p99_us), tail(latency.peers_p99_us));
                format!("{} us{own}, its peers {} us{peers}", latency.mean_us, latency.peers_mean_us)
            },
        );
        let what = "much slower than its peers under the same load";
        let clue = Clue::degraded(Axis::Mechanics, Action::PlanReplacement, Source::Engine, what, value);
        clues.push(clue.since(slow.since_unix_s).strong());
    }
}

/// Held against its own record. Not strong: its load may have changed in a way that no drive takes as well; its peers
/// would tell.
fn slower_than_before(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let slower = context.tally(&[Happening::SlowerThanBefore], HELD_S);
    if slower.count == 0 {
        return;
    }
    let what = "many times slower than it was before";
    let value = format!("within {} different ten minutes of the last week", slower.slots);
    let clue = if slower.slots >= SLOWER_SLOTS_MIN {
        Clue::degraded(Axis::Mechanics, Action::Watch, Source::Engine, what, value)
    } else {
        Clue::note(Axis::Mechanics, Source::Engine, what, value)
    };
    clues.push(clue.since(slower.since_unix_s));
}
