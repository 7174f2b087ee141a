//! What the notes about one drive come to, as the rules ask for it.

use super::Note;
use super::effect::{Effect, Fuse, MaskedCommand, ParserHint, Threshold};

/// The notes about one drive.
#[derive(Clone, Debug, Default)]
pub struct Effective<'a> {
    notes: Vec<&'a Note>,
}

impl<'a> Effective<'a> {
    /// The sum of `notes`.
    pub(super) const fn new(notes: Vec<&'a Note>) -> Self {
        Self { notes }
    }

    /// The notes themselves, in the order of their names.
    #[must_use]
    pub fn notes(&self) -> &[&'a Note] {
        &self.notes
    }

    fn effects(&self) -> impl Iterator<Item = (&'a Note, Effect)> {
        self.notes.iter().flat_map(|note| note.effects.iter().map(|effect| (*note, *effect)))
    }

    fn hint(&self, wanted: ParserHint) -> Option<&'a Note> {
        self.effects().find(|(_, effect)| *effect == Effect::Parser(wanted)).map(|(note, _)| note)
    }

    /// The note by which the raw value of this ATA attribute says nothing.
    #[must_use]
    pub fn ignores_raw(&self, attribute: u8) -> Option<&'a Note> {
        self.hint(ParserHint::IgnoreRaw { attribute })
    }

    /// The count that the raw value `raw` of this ATA attribute stands for: its lowest 16 bits where a note says
    /// that it holds three counters.
    #[must_use]
    pub fn count_in(&self, attribute: u8, raw: u64) -> u64 {
        if self.hint(ParserHint::LowWord { attribute }).is_some() { raw & 0xffff } else { raw }
    }

    /// The note by which this ATA attribute tells of helium, whatever smartctl calls it.
    #[must_use]
    pub fn is_helium(&self, attribute: u8) -> Option<&'a Note> {
        self.hint(ParserHint::Helium { attribute })
    }

    /// The note by which the drive's wear and spare blocks are told wrongly.
    #[must_use]
    pub fn ignores_wear(&self) -> Option<&'a Note> {
        self.hint(ParserHint::IgnoreWear {})
    }

    /// The thresholds of this drive's attributes beyond the general ones.
    pub fn thresholds(&self) -> impl Iterator<Item = (&'a Note, Threshold)> {
        self.effects().filter_map(|(note, effect)| match effect {
            Effect::Threshold(threshold) => Some((note, threshold)),
            _ => None,
        })
    }

    /// The hours at which the firmware of a drive of this age fails, unless they are far.
    pub fn burning_fuses(&self, power_on_hours: u64) -> impl Iterator<Item = (&'a Note, Fuse)> {
        self.effects().filter_map(move |(note, effect)| match effect {
            Effect::TimeBomb(bomb) => {
                Some((note, bomb.fuse(power_on_hours))).filter(|(_, fuse)| *fuse != Fuse::Far)
            }
            _ => None,
        })
    }

    /// The note by which this question must not be put to the drive. Where nothing may be asked, this may not either.
    #[must_use]
    pub fn masks(&self, command: MaskedCommand) -> Option<&'a Note> {
        let masks = |effect: &Effect| match effect {
            Effect::Mask(mask) => mask.command == command || mask.command == MaskedCommand::Smartctl,
            _ => false,
        };
        self.effects().find(|(_, effect)| masks(effect)).map(|(note, _)| note)
    }

    /// The note by which the drive must not hold data.
    #[must_use]
    pub fn refuses(&self) -> Option<&'a Note> {
        self.effects().find(|(_, effect)| matches!(effect, Effect::Refuse(_))).map(|(note, _)| note)
    }
}
