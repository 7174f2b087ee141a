//! What the drive says of itself outright: its status, its predictions, its warnings.
//!
//! A drive that says that it is failing is failing: its maker put the threshold where it must not be wrong, and
//! it is nearly always late. What it said is held for a week after it was last said.

use smartctl_parser::{Attribute, AttributeFailed};

use crate::action::Action;
use crate::clue::Clue;
use crate::context::Context;
use crate::level::Axis;
use crate::observation::Source;
use crate::statement::Statement;

pub(super) fn rule(context: &Context<'_>, clues: &mut Vec<Clue>) {
    for statement in Statement::ALL {
        let said = || context.statements().filter(|(statements, _)| statements.has(statement));
        let Some((_, last_unix_s)) = said().last() else { continue };
        let newest = context.newest().map_or(0, |newest| newest.at_unix_s);
        let still = last_unix_s == newest;
        // A contradiction is none any more when the next answer is clear.
        if statement == Statement::Contradicted && !still {
            continue;
        }
        let value = if still { "it says so now" } else { "it said so within the last week" };
        clues.push(clue(context, statement, value).since(context.said_since(statement)));
    }
    attributes(context, clues);
}

fn clue(context: &Context<'_>, statement: Statement, value: &str) -> Clue {
    let failing = |axis, what| Clue::failing(axis, Source::Smart, what, value).explicit();
    let warning = |axis, action, what| Clue::degraded(axis, action, Source::Smart, what, value).strong();
    match statement {
        Statement::StatusFailing => failing(failed_axis(context), "the drive's own status is failing"),
        Statement::PrefailureNow => {
            failing(failed_axis(context), "an attribute that predicts failure is at its threshold")
        }
        Statement::PredictsFailure => failing(Axis::Media, "the drive predicts its failure"),
        Statement::Warns => {
            warning(Axis::Media, Action::PlanReplacement, "the drive warns of its own condition")
        }
        Statement::TooHot => {
            warning(Axis::Mechanics, Action::Cool, "the drive says that its temperature is beyond its limit")
        }
        Statement::SpareLow => failing(Axis::Wear, "the drive's spare blocks are below their threshold"),
        Statement::Unreliable => failing(Axis::Media, "the drive says that its reliability is degraded"),
        Statement::ReadOnly => failing(Axis::Media, "the drive can only be read"),
        Statement::BackupFailed => {
            failing(Axis::Mechanics, "the drive's memory is no longer backed up against loss of power")
        }
        Statement::MemoryRegionFailed => failing(
            Axis::Mechanics,
            "the drive's persistent memory region can only be read, or is unreliable",
        ),
        Statement::Contradicted => Clue::unknown(
            Axis::Media,
            Source::Smart,
            "smartctl contradicts itself",
            "its exit status says failing, its report does not",
        ),
    }
}

/// The axis of the attribute that has failed, where one has; else media, of which most drives die.
fn failed_axis(context: &Context<'_>) -> Axis {
    let attributes = context.attributes().map_or(&[][..], |(attributes, _)| attributes);
    let failed = attributes.iter().find(|attribute| attribute.failed == Some(AttributeFailed::Now));
    failed.map_or(Axis::Media, |attribute| axis_of(context, attribute))
}

/// Each attribute that is or was at its threshold.
fn attributes(context: &Context<'_>, clues: &mut Vec<Clue>) {
    let Some((attributes, _)) = context.attributes() else { return };
    let past = context.cleared().map_or(&[][..], |cleared| &cleared.past_attributes);
    for attribute in attributes {
        if attribute.failed == Some(AttributeFailed::Past) && past.contains(&attribute.id) {
            continue;
        }
        let name = attribute.name.as_deref().unwrap_or("unnamed");
        let number = |number: Option<u8>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let value = format!("{} (threshold {})", number(attribute.value), number(attribute.threshold));
        let axis = axis_of(context, attribute);
        let clue = match attribute.failed {
            Some(AttributeFailed::Now) if attribute.prefailure == Some(true) => Clue::failing(
                axis,
                Source::Smart,
                format!("attribute {} {name} is at its threshold", attribute.id),
                value,
            )
            .explicit(),
            // Of an attribute that tells of age the standard says that the drive has reached its design life.
            Some(AttributeFailed::Now) => Clue::degraded(
                axis,
                if is_heat(attribute) { Action::Cool } else { Action::PlanReplacement },
                Source::Smart,
                format!("attribute {} {name} is at its threshold", attribute.id),
                value,
            ),
            // A drive was hot once, or its airflow bad: many are, and go on for years.
            Some(AttributeFailed::Past) if is_heat(attribute) || attribute.prefailure != Some(true) => {
                Clue::note(
                    axis,
                    Source::Smart,
                    format!("attribute {} {name} was at its threshold once", attribute.id),
                    value,
                )
            }
            Some(AttributeFailed::Past) => Clue::degraded(
                axis,
                Action::Watch,
                Source::Smart,
                format!("attribute {} {name} was at its threshold once", attribute.id),
                value,
            ),
            _ => continue,
        };
        clues.push(clue.since(context.attribute_since(attribute.id)));
    }
}

/// Whether an attribute tells of heat, by the same numbers.
const fn is_heat(attribute: &Attribute) -> bool {
    matches!(attribute.id, 190 | 194)
}

/// What an attribute is about, by the numbers on which vendors agree (smartmontools, drivedb.h, "DEFAULT").
fn axis_of(context: &Context<'_>, attribute: &Attribute) -> Axis {
    if context.notes.is_helium(attribute.id).is_some() {
        return Axis::Mechanics;
    }
    match attribute.id {
        3 | 7 | 8 | 10 | 11 | 18 | 22 | 23 | 24 | 190 | 191 | 194 | 220 => Axis::Mechanics,
        199 => Axis::Link,
        4 | 9 | 12 | 169 | 173 | 177 | 192 | 193 | 202 | 225 | 230..=233 => Axis::Wear,
        _ => Axis::Media,
    }
}
