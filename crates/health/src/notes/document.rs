//! A note as TOML: read, and checked before anything believes it.
//!
//! - A note that is not whole, or does not do with its own samples what it says, is refused.
//! - A note from memory only advises: nothing is refused, silenced or alarmed by what nobody could look up.
//! - Every text and every list has a bound.

use serde::Deserialize;
use toml::value::{Date, Datetime};

use super::criteria::{Criteria, Pattern};
use super::effect::{Effect, Threshold, TimeBomb};
use super::kernel_range::{KernelRange, KernelRelease};
use super::note::{Confidence, Note};
use crate::{Bus, Identity};

/// The longest text of a note, in bytes.
const TEXT_BYTES_MAX: usize = 2_000;
/// The longest name of a note, in bytes.
const ID_BYTES_MAX: usize = 64;
/// The most effects of one note.
const EFFECTS_MAX: usize = 16;

/// The file's form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    id: String,
    title: String,
    advice: String,
    source: String,
    confidence: Confidence,
    reviewed_on: Datetime,
    expires_on: Datetime,
    #[serde(rename = "match")]
    criteria: Patterns,
    #[serde(rename = "effect")]
    effects: Vec<Effect>,
    sample: Samples,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patterns {
    model: Option<String>,
    firmware: Option<String>,
    #[serde(default)]
    bus: Vec<Bus>,
    kernel_from: Option<String>,
    kernel_before: Option<String>,
    hba: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Samples {
    matching: Sample,
    other: Sample,
}

/// The part of an identity that notes look at.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    model: Option<String>,
    firmware: Option<String>,
    #[serde(default)]
    bus: Bus,
    kernel: Option<String>,
    hba: Option<String>,
}

/// Reads a note from TOML.
///
/// # Errors
///
/// One phrase on what is wrong with it.
pub(super) fn parse(table: toml::Table) -> Result<Note, String> {
    let document: Document = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    check_texts(&document)?;
    let reviewed_on = day(&document.reviewed_on, "reviewed_on")?;
    let expires_on = day(&document.expires_on, "expires_on")?;
    if expires_on <= reviewed_on {
        return Err("it expires before it was reviewed".to_owned());
    }
    check_effects(&document)?;
    let note = Note {
        criteria: criteria(document.criteria)?,
        id: document.id,
        title: document.title,
        advice: document.advice,
        source: document.source,
        confidence: document.confidence,
        reviewed_on,
        expires_on,
        effects: document.effects,
        file: None,
    };
    check_matches(&note, document.sample)?;
    Ok(note)
}

/// Whether `text` can be a note's name.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(plain)
}

fn check_texts(document: &Document) -> Result<(), String> {
    if !is_id(&document.id) {
        return Err(format!("its id is not 1 to {ID_BYTES_MAX} lower-case letters, digits and hyphens"));
    }
    for (name, text) in
        [("title", &document.title), ("advice", &document.advice), ("source", &document.source)]
    {
        if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(format!("the {name} is empty or longer than {TEXT_BYTES_MAX} bytes"));
        }
    }
    Ok(())
}

/// The day that `date` is; a day that the calendar does not have is refused.
fn day(date: &Datetime, name: &str) -> Result<Date, String> {
    let Datetime { date: Some(date), time: None, offset: None } = *date else {
        return Err(format!("{name} is not a plain date"));
    };
    let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    let days = match date.month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if (1..=12).contains(&date.month) && (1..=days).contains(&date.day) {
        return Ok(date);
    }
    Err(format!("{name} is {date}, a day that the calendar does not have"))
}

fn check_effects(document: &Document) -> Result<(), String> {
    let effects = &document.effects;
    if effects.is_empty() || effects.len() > EFFECTS_MAX {
        return Err(format!("it has {} effects where 1 to {EFFECTS_MAX} are taken", effects.len()));
    }
    for effect in effects {
        if document.confidence == Confidence::Remembered && !matches!(effect, Effect::Advice(_)) {
            return Err("it is from memory and does more than advise".to_owned());
        }
        match effect {
            Effect::Threshold(threshold) => check_threshold(threshold)?,
            Effect::TimeBomb(bomb) => check_time_bomb(bomb)?,
            Effect::Parser(_) | Effect::Mask(_) | Effect::Refuse(_) | Effect::Advice(_) => {}
        }
    }
    Ok(())
}

fn check_threshold(threshold: &Threshold) -> Result<(), String> {
    match (threshold.at_least, threshold.below) {
        (Some(1..), None) | (None, Some(1..)) => Ok(()),
        _ => Err("a threshold has one of at_least and below, which is 1 or more".to_owned()),
    }
}

fn check_time_bomb(bomb: &TimeBomb) -> Result<(), String> {
    if bomb.near_from_hours >= bomb.at_hours {
        return Err("a time bomb is near before it goes off".to_owned());
    }
    if bomb.repeats_every_hours == Some(0) {
        return Err("a time bomb repeats after 1 hour or more".to_owned());
    }
    Ok(())
}

fn criteria(patterns: Patterns) -> Result<Criteria, String> {
    let compile = |text: Option<String>| text.map(|text| Pattern::compile(&text)).transpose();
    let release = |text: Option<String>| match text {
        None => Ok(None),
        Some(text) => match KernelRelease::parse(&text) {
            Some(release) => Ok(Some(release)),
            None => Err(format!("{text:?} is no kernel release")),
        },
    };
    if patterns.bus.contains(&Bus::Unknown) {
        return Err("a bus that is not known fulfils no criterion".to_owned());
    }
    Ok(Criteria {
        model: compile(patterns.model)?,
        firmware: compile(patterns.firmware)?,
        bus: patterns.bus,
        kernel: KernelRange {
            from: release(patterns.kernel_from)?,
            before: release(patterns.kernel_before)?,
        },
        hba: compile(patterns.hba)?,
    })
}

fn check_matches(note: &Note, samples: Samples) -> Result<(), String> {
    if note.criteria.is_empty() {
        return Err("it says of no drive that it is about it".to_owned());
    }
    if !note.criteria.kernel.is_in_order() {
        return Err("its range of kernels ends before it begins".to_owned());
    }
    if note.criteria.hold_for_everything() {
        return Err("it matches every drive".to_owned());
    }
    if !note.matches(&samples.matching.into()) {
        return Err("it does not match its sample of a drive that it is about".to_owned());
    }
    if note.matches(&samples.other.into()) {
        return Err("it matches its sample of a drive that it is not about".to_owned());
    }
    Ok(())
}

impl From<Sample> for Identity {
    fn from(sample: Sample) -> Self {
        Self {
            model: sample.model,
            firmware: sample.firmware,
            bus: sample.bus,
            kernel: sample.kernel,
            hba: sample.hba,
            ..Self::default()
        }
    }
}
