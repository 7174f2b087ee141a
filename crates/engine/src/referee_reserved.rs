//! What the referee knows of labels and checkpoints: which of their zones a mount would need.
//!
//! It is told what stands on the drive, never what may be reset, and judges by itself:
//!
//! * The newest checkpoint that counts is needed whole, as long as the newest label names its zones.
//! * The newest label is needed where the other place holds none as new, unless a checkpoint stands that carries its copy.
//! * A zone that an older label names as one of a slot is needed while that label stands: it could be taken for one again.

use std::ops::Range;

/// A label that stands in one of its places.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    zone: u32,
    generation: u64,
    /// The zones that it names for checkpoints.
    slots: Range<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    labels: [Option<Standing>; 2],
    /// The zones of the newest checkpoint; none where none counts.
    newest: Range<u32>,
}

impl Reserved {
    /// A label stands in this zone and names the zones `slots` for checkpoints.
    pub(crate) fn label_stands(&mut self, zone: u32, generation: u64, slots: Range<u32>) {
        self.label_is_gone(zone);
        let place = usize::from(self.labels[0].is_some());
        self.labels[place] = Some(Standing { zone, generation, slots });
    }

    /// No label of this drive can be read in this zone.
    pub(crate) fn label_is_gone(&mut self, zone: u32) {
        for place in &mut self.labels {
            place.take_if(|label| label.zone == zone);
        }
    }

    /// The newest checkpoint that counts stands in these zones.
    pub(crate) fn checkpoint_stands(&mut self, zones: Range<u32>) {
        self.newest = zones;
    }

    /// Whether a mount would need what stands in this zone.
    pub(crate) fn needs(&self, zone: u32) -> bool {
        let standing = || self.labels.iter().flatten();
        let Some(highest) = standing().map(|label| label.generation).max() else {
            return self.newest.contains(&zone);
        };
        let is_newest = |label: &&Standing| label.generation == highest;
        let has_checkpoint = !self.newest.is_empty()
            && standing()
                .filter(is_newest)
                .all(|label| label.slots.contains(&self.newest.start) && self.newest.end <= label.slots.end);
        let is_only_label = standing().filter(is_newest).count() == 1
            && standing().find(is_newest).is_some_and(|label| label.zone == zone);
        let is_named_by_older =
            standing().any(|label| label.generation < highest && label.slots.contains(&zone));
        let is_named_by_newest = standing().filter(is_newest).any(|label| label.slots.contains(&zone));
        (has_checkpoint && self.newest.contains(&zone))
            || (is_only_label && !has_checkpoint)
            || (is_named_by_older && !is_named_by_newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both labels name zones 2 and 3, and the newest checkpoint stands in zone 3.
    fn whole() -> Reserved {
        let mut reserved = Reserved::default();
        reserved.label_stands(0, 5, 2..4);
        reserved.label_stands(1, 5, 2..4);
        reserved.checkpoint_stands(3..4);
        reserved
    }

    #[test]
    fn the_newest_checkpoint_is_needed_and_the_other_slot_is_not() {
        assert!(whole().needs(3) && !whole().needs(2));
    }

    #[test]
    fn one_of_two_labels_may_go_and_the_last_one_only_while_a_checkpoint_carries_it() {
        let mut reserved = whole();
        assert!(!reserved.needs(0) && !reserved.needs(1));
        reserved.label_is_gone(1);
        assert!(!reserved.needs(0), "the checkpoint's header has its copy");
        reserved.checkpoint_stands(0..0);
        assert!(reserved.needs(0) && !reserved.needs(1));
        reserved.label_stands(1, 4, 2..4);
        assert!(reserved.needs(0) && !reserved.needs(1), "the older one is no substitute");
        reserved.label_stands(1, 5, 2..4);
        assert!(!reserved.needs(0) && !reserved.needs(1));
    }

    #[test]
    fn old_slots_are_needed_until_no_label_names_them() {
        let mut reserved = whole();
        reserved.label_stands(0, 6, 8..10);
        assert!(reserved.needs(2) && reserved.needs(3), "the older label still names them");
        assert!(reserved.needs(0), "no checkpoint counts by the newer label");
        assert!(!reserved.needs(8));
        reserved.label_stands(1, 6, 8..10);
        assert!(!reserved.needs(2) && !reserved.needs(3));
        reserved.checkpoint_stands(8..9);
        assert!(reserved.needs(8) && !reserved.needs(9));
    }
}
