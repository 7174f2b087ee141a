//! One SMART attribute.

use serde::{Deserialize, Serialize};

use crate::field::Field;
use crate::report::device::NAME_BYTES_MAX;

/// One SMART attribute. What a number means is the vendor's affair: names are smartctl's guesses by model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its number.
    pub id: u8,
    /// Its name, as smartctl's database has it for the model.
    pub name: Option<String>,
    /// The normalized value: 1 (worst) to 253; what "normal" is differs by vendor.
    pub value: Option<u8>,
    /// The lowest normalized value that there ever was.
    pub worst: Option<u8>,
    /// At or below this the attribute has failed; 0 never fails.
    pub threshold: Option<u8>,
    /// The raw value: 48 bits, in which some vendors pack several numbers.
    pub raw: Option<u64>,
    /// The raw value as smartctl prints it for the model, which takes packed numbers apart.
    pub raw_text: Option<String>,
    /// Whether it has failed. None where the report does not say.
    pub failed: Option<AttributeFailed>,
    /// Whether to fail is to predict the drive's failure within 24 hours (and not only its age).
    pub prefailure: Option<bool>,
}

/// Whether an attribute has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeFailed {
    /// It never has.
    Never,
    /// It had, and is above its threshold again.
    Past,
    /// It is at or below its threshold.
    Now,
}

/// Raw values up to this one hold one number: smartctl's formats pack numbers of 8 bits and more, from 16 bits upwards in
/// those that print the lowest one alone (smartmontools, atacmds.cpp: `raw16(raw16)`, `raw24(raw8)`).
const PLAIN_MAX: u64 = 0xffff;

/// Raw values of which every bit is set: what firmware and bridges give for "not told".
const ALL_ONES: [u64; 3] = [0xffff_ffff, 0xffff_ffff_ffff, u64::MAX];

impl Attribute {
    /// The count that the raw value holds, where it is a plain one: the whole number that smartctl prints
    /// first, as in `8`, `8 (0 2)` or `4179h+12m`. None for numbers packed side by side (`2/2/2`, `2 2 2`), and for
    /// a raw value of nothing but ones. Where the text is a number alone and the raw value another one, too small to
    /// be packed, one of the two is wrong: the larger is given.
    pub fn count(&self) -> Option<u64> {
        if self.raw.is_some_and(|raw| ALL_ONES.contains(&raw)) {
            return None;
        }
        let Some(text) = self.raw_text.as_deref() else { return self.raw.map(|raw| self.counted_part(raw)) };
        let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let rest = text[digits..].trim_start();
        let packed = rest.starts_with('/') || rest.starts_with(|character: char| character.is_ascii_digit());
        if packed || rest.starts_with('.') || text.starts_with("0x") {
            return None;
        }
        let count: u64 = text[..digits].parse().ok()?;
        let other = self.raw.filter(|raw| rest.is_empty() && *raw <= PLAIN_MAX);
        Some(other.map_or(count, |raw| raw.max(count)))
    }

    /// Of attributes 5 and 196 smartctl takes the lowest 16 bits for the count, and the others for something else
    /// (smartmontools, atacmds.cpp: the default format `raw16(raw16)`).
    const fn counted_part(&self, raw: u64) -> u64 {
        if matches!(self.id, 5 | 196) { raw & 0xffff } else { raw }
    }

    pub(crate) fn read(attribute: Field<'_>) -> Option<Self> {
        let failed = match attribute.at("when_failed") {
            failed if failed.text() == Some("now") => Some(AttributeFailed::Now),
            failed if failed.text() == Some("past") => Some(AttributeFailed::Past),
            // smartctl writes an empty text where there is nothing to say.
            failed if failed.is_there() && failed.text().is_none() => Some(AttributeFailed::Never),
            _ => None,
        };
        let raw = attribute.at("raw");
        Some(Self {
            id: attribute.at("id").small().filter(|id| *id != 0)?,
            name: attribute.at("name").owned(NAME_BYTES_MAX),
            value: attribute.at("value").small(),
            worst: attribute.at("worst").small(),
            threshold: attribute.at("thresh").small(),
            raw: raw.wide("value"),
            raw_text: raw.at("string").owned(NAME_BYTES_MAX),
            failed,
            prefailure: attribute.at("flags").at("prefailure").truth(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(raw: u64, text: Option<&str>) -> Option<u64> {
        let (value, worst, threshold) = (None, None, None);
        let raw_text = text.map(str::to_owned);
        Attribute {
            id: 197,
            name: None,
            value,
            worst,
            threshold,
            raw: Some(raw),
            raw_text,
            failed: None,
            prefailure: None,
        }
        .count()
    }

    #[test]
    fn of_a_number_and_a_text_that_contradict_each_other_the_larger_is_given() {
        assert_eq!((count(10, Some("0")), count(0, Some("10"))), (Some(10), Some(10)));
        assert_eq!((count(10, Some("10")), count(10, None)), (Some(10), Some(10)));
        // Packed: the text has the lowest part alone, or says what the others are.
        assert_eq!(count(0x1_0008, Some("8")), Some(8));
        assert_eq!(count(9, Some("8 (0 2)")), Some(8));
    }
}
