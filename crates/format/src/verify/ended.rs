//! Lives that have ended: commits say that records stood in a zone, and the zone is empty now.
//!
//! A writer ends a life when nothing in it is live. The tombstones that say so stand in other zones as a rule, and until the
//! life has ended all of them are kept; but those of its last blocks may have stood in the zone itself, and have gone with it.
//! So of a life that no tombstone names, and of one that was open when the last commit was made, nothing tells whether a
//! writer has ended it or somebody else.

use std::collections::HashMap;

use imbrex_zoned::{Condition, ZoneKind};

use crate::label::Label;
use crate::verify::claims::Claim;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::survey::Survey;

impl Survey<'_> {
    /// Whether a zone of the log is empty, as after a reset.
    pub(super) fn is_emptied(&self, label: &Label, zone: u32) -> bool {
        let state = &self.zones[zone as usize];
        let is_empty = state.kind == ZoneKind::Conventional || state.condition == Condition::Empty;
        let is_log = !label.label_zones.contains(&zone) && !label.is_checkpoint_zone(zone);
        is_empty && is_log && self.lives[zone as usize].is_none()
    }

    /// Asks of each life that commits know and that has ended what tells that it was ended in order, save those that
    /// `is_explained` knows.
    pub(super) fn check_ended(
        &mut self,
        label: &Label,
        is_explained: impl Fn(u32, Claim) -> bool,
    ) -> Result<(), Halt> {
        let named = self.lives_named();
        for zone in 0..label.zone_count {
            let Some(claim) = self.claims.of(zone) else { continue };
            if claim.good_units <= 1 || !self.is_emptied(label, zone) || is_explained(zone, claim) {
                continue;
            }
            let known = (zone, claim.incarnation);
            let was_open =
                self.claims.open_at_last().iter().any(|open| (open.zone, open.incarnation) == known);
            let is_named = named.get(&zone).is_some_and(|incarnation| *incarnation >= claim.incarnation);
            let why = match (was_open, is_named) {
                (true, _) => "it was open when the last commit was made",
                (false, false) => "no tombstone names what stood in it",
                (false, true) => continue,
            };
            let what = format!(
                "by a commit it was good up to unit {}, and it is empty now; {why}: nothing tells whether all in it was dead",
                claim.good_units
            );
            self.findings.add(FindingKind::MayBeGone, At::zone(zone), what)?;
            // Tombstones may have gone with it.
            self.incomplete = true;
        }
        Ok(())
    }

    /// The latest life of each zone that tombstones name: no more than there are zones.
    fn lives_named(&self) -> HashMap<u32, u64> {
        let mut named = HashMap::new();
        for tombstone in &self.ledger.tombstones {
            let latest = named.entry(tombstone.target.split().0).or_insert(0);
            *latest = tombstone.incarnation.max(*latest);
        }
        named
    }

    /// Groups are missing since `since`. `has_ended` where a life has ended that may have held them.
    pub(super) fn report_missing(&mut self, label: &Label, since: &str, has_ended: bool) -> Result<(), Halt> {
        if has_ended {
            self.findings.cannot_tell.push(format!(
                "whether all was dead in zones that were emptied since {since}: groups are missing that stood in some"
            ));
            return Ok(());
        }
        if self.findings.unsure > 0 {
            // They stood in what has been told.
            return Ok(());
        }
        let is_any_empty = (0..label.zone_count).any(|zone| self.is_emptied(label, zone));
        let (kind, why) = match (self.incomplete, is_any_empty) {
            (true, _) => (FindingKind::FollowsFromDamage, "what is damaged may have held them"),
            (false, true) => {
                (FindingKind::MayBeGone, "nothing tells whether all was dead in the zones that held them")
            }
            (false, false) => (FindingKind::Gone, "no zone is empty that may have held them"),
        };
        let what = format!("groups are missing since {since}, and {why}");
        self.findings.add(kind, At::default(), what)
    }
}
