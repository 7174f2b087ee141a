//! What a note does, in typed form.

use serde::{Deserialize, Serialize};

/// One effect of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Effect {
    /// Reads a value of smartctl's differently.
    Parser(ParserHint),
    /// A question that must not be put to the drive.
    Mask(Mask),
    /// A value from which on the drive is degraded.
    Threshold(Threshold),
    /// The firmware fails at a certain age.
    TimeBomb(TimeBomb),
    /// The drive must not hold data.
    Refuse(Refuse),
    /// What the note says is all that it does.
    Advice(Advice),
}

/// How to read what smartctl tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "hint", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ParserHint {
    /// The raw value of this ATA attribute says nothing of the drive's health.
    IgnoreRaw {
        /// The attribute's number.
        attribute: u8,
    },
    /// The raw value of this ATA attribute holds three counters of 16 bits: the lowest one counts.
    LowWord {
        /// The attribute's number.
        attribute: u8,
    },
    /// This ATA attribute tells of the helium in the drive, whatever smartctl calls it.
    Helium {
        /// The attribute's number.
        attribute: u8,
    },
    /// The wear and the spare blocks that the drive tells are wrong.
    IgnoreWear {},
}

/// A question that must not be put to the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// The question.
    pub command: MaskedCommand,
}

/// Questions that harm some drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskedCommand {
    /// Everything that smartctl asks, the identity included.
    Smartctl,
    /// The log of self-tests.
    SelfTestLog,
}

/// A value of an ATA attribute from which on the drive is degraded. SMART alone takes no drive further than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The attribute's number.
    pub attribute: u8,
    /// Which of the attribute's values.
    pub field: Field,
    /// Degraded from this value up; `None` where the threshold is a lower one.
    pub at_least: Option<u64>,
    /// Degraded below this value; `None` where the threshold is an upper one.
    pub below: Option<u64>,
}

/// A value of an ATA attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The raw one: a count, where no parser hint says otherwise.
    Raw,
    /// The normalized one, from 253 or less down to 1.
    Value,
}

impl Threshold {
    /// Whether `value` crosses it.
    #[must_use]
    pub fn is_crossed_by(&self, value: u64) -> bool {
        self.at_least.is_some_and(|bound| value >= bound) || self.below.is_some_and(|bound| value < bound)
    }
}

/// The firmware fails when the drive has run for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeBomb {
    /// Power-on hours at which it fails.
    pub at_hours: u64,
    /// Power-on hours from which on something must be done.
    pub near_from_hours: u64,
    /// It fails again after each this many hours; `None` where it fails once, and for good.
    pub repeats_every_hours: Option<u64>,
}

/// How far a drive is from the hour at which its firmware fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fuse {
    /// Far away.
    Far,
    /// It burns.
    Near {
        /// Hours that are left.
        left_hours: u64,
    },
    /// The hour has passed and the drive lives. Where the fault comes again, this is when.
    Passed {
        /// Hours to the next time; `None` where it does not repeat.
        next_in_hours: Option<u64>,
    },
}

impl TimeBomb {
    /// How far a drive with this many power-on hours is from it.
    #[must_use]
    pub fn fuse(&self, power_on_hours: u64) -> Fuse {
        if power_on_hours < self.near_from_hours {
            return Fuse::Far;
        }
        let Some(over_hours) = power_on_hours.checked_sub(self.at_hours) else {
            return Fuse::Near { left_hours: self.at_hours - power_on_hours };
        };
        let next = self.repeats_every_hours.filter(|period| *period > 0);
        Fuse::Passed { next_in_hours: next.map(|period| period - over_hours % period) }
    }
}

/// The drive must not hold data. Nothing more to say in the effect: the note gives the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {}

/// The note is to be read, and nothing else follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fuse_is_far_then_near_then_passed() {
        let bomb = TimeBomb { at_hours: 32_768, near_from_hours: 24_576, repeats_every_hours: None };
        assert_eq!(bomb.fuse(24_575), Fuse::Far);
        assert_eq!(bomb.fuse(24_576), Fuse::Near { left_hours: 8_192 });
        assert_eq!(bomb.fuse(32_767), Fuse::Near { left_hours: 1 });
        assert_eq!(bomb.fuse(32_768), Fuse::Passed { next_in_hours: None });
    }

    #[test]
    fn a_fault_that_repeats_is_awaited_again() {
        let bomb = TimeBomb { at_hours: 28_224, near_from_hours: 26_000, repeats_every_hours: Some(1_008) };
        assert_eq!(bomb.fuse(28_224), Fuse::Passed { next_in_hours: Some(1_008) });
        assert_eq!(bomb.fuse(28_224 + 1_007), Fuse::Passed { next_in_hours: Some(1) });
        assert_eq!(bomb.fuse(28_224 + 1_008), Fuse::Passed { next_in_hours: Some(1_008) });
        let never = TimeBomb { repeats_every_hours: Some(0), ..bomb };
        assert_eq!(never.fuse(30_000), Fuse::Passed { next_in_hours: None });
    }

    #[test]
    fn a_threshold_has_one_side() {
        let threshold = Threshold { attribute: 22, field: Field::Value, at_least: None, below: Some(100) };
        assert!(threshold.is_crossed_by(99));
        assert!(!threshold.is_crossed_by(100));
        let threshold = Threshold { attribute: 197, field: Field::Raw, at_least: Some(1), below: None };
        assert!(threshold.is_crossed_by(1));
        assert!(!threshold.is_crossed_by(0));
    }
}
