//! What has gone: blocks that the checkpoint names in a life that is not there any more, and groups whose numbers are missing.
//!
//! A life may have ended since the checkpoint. All that was live in it then was killed or moved first, and the tombstones
//! that say so stand in what was written since; save that they may be dropped once the life has ended, so that the zone in
//! which they stood may have ended too. The groups of such a zone are missing from the log then. So an entry without a
//! tombstone is one that was lost, unless groups are missing: then nothing tells.

use imbrex_zoned::Condition;

use crate::checkpoint::ZoneCellRole;
use crate::label::{CHECKPOINT_SLOTS, Label};
use crate::verify::claims::Claim;
use crate::verify::compare::{Comparison, KnownZone};
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::ledger::{GroupRow, Place, TombstoneRow};
use crate::verify::pending::CLOSE;
use crate::verify::survey::Survey;

/// The number of the first group after a format.
const GROUP_FIRST: u64 = 1;

/// How many groups a crash can leave behind one that it has torn, in other zones: twice what this writer has on its way.
const GROUPS_BEHIND_TORN_MAX: usize = 8;

/// What of the index has gone with one zone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone {
    pub(super) blocks: u64,
    pub(super) units: u64,
}

/// The places that tombstones name which were written since the checkpoint, in lives that are not present.
#[derive(Default)]
pub(super) struct Killed {
    places: Vec<(Place, u64)>,
}

impl Killed {
    pub(super) fn names(&self, place: Place, incarnation: u64) -> bool {
        self.places.binary_search(&(place, incarnation)).is_ok()
    }
}

/// Whether any number from `next_group` on is missing below the highest, whatever the reason.
fn is_any_missing(groups: &[GroupRow], next_group: u64) -> bool {
    let first = groups.partition_point(|group| group.group < next_group);
    (next_group..).zip(&groups[first..]).any(|(expected, group)| group.group != expected)
}

/// Whether numbers are missing between groups which follow one another, from `next_group` on, that no crash explains.
///
/// A group that a crash has torn may leave its number unused, where groups behind it stand in other zones. The sequence
/// jumps soon after them, or nothing was written after the crash.
fn is_missing(groups: &[GroupRow], next_group: u64) -> bool {
    let first = groups.partition_point(|group| group.group < next_group);
    let since = &groups[first..];
    let mut expected = next_group;
    for (index, group) in since.iter().enumerate() {
        let jumps_before = index > 0 && jumps(&since[index - 1], group);
        if group.group != expected && !jumps_before {
            let soon = &since[index..since.len().min(index + GROUPS_BEHIND_TORN_MAX + 1)];
            let ends = index + soon.len() == since.len() && soon.len() <= GROUPS_BEHIND_TORN_MAX;
            if !ends && !soon.windows(2).any(|pair| jumps(&pair[0], &pair[1])) {
                return true;
            }
        }
        expected = group.group + 1;
    }
    false
}

fn jumps(before: &GroupRow, after: &GroupRow) -> bool {
    after.first_sequence >= before.last_sequence.saturating_add(CLOSE)
}

/// Without a checkpoint only the numbers of the groups and what commits say of other zones tell: no group is missing, unless a
/// life has ended that may have held it. And a zone that has had one life at most, of which others know, is none that was
/// only begun.
pub(super) fn check_without_checkpoint(survey: &mut Survey<'_>, label: &Label) -> Result<(), Halt> {
    let is_new = label.generation == 1
        && label.checkpoint_slot_zones > 0
        && (0..CHECKPOINT_SLOTS).all(|slot| {
            survey.zones[label.checkpoint_slot(slot).start as usize].write_pointer_bytes == Some(0)
        });
    let is_missing = is_missing(&survey.ledger.groups, GROUP_FIRST);
    for index in 0..survey.begun.len() {
        let zone = survey.begun[index];
        let names = |tombstone: &TombstoneRow| tombstone.target.split().0 == zone;
        let is_known = survey.ledger.tombstones.iter().any(names)
            || survey.claims.of(zone).is_some_and(|claim| claim.good_units > 1);
        if is_new && (is_known || is_missing) {
            survey.incomplete = true;
            let kind = if is_known { FindingKind::ZoneLost } else { FindingKind::MayBeGone };
            let what = "it is written, and nothing of it stands; by the log it may have held records";
            survey.findings.add(kind, At::zone(zone), what)?;
        }
    }
    survey.check_ended(label, |_, _| false)?;
    if is_missing {
        survey.report_missing(label, "the format", survey.counts.tombstones_ended > 0)?;
    }
    Ok(())
}

impl Comparison<'_, '_> {
    /// Gathers what tombstones have killed since in lives that are not present.
    pub(super) fn know_killed(&mut self) -> Result<(), Halt> {
        for index in 0..self.survey.ledger.tombstones.len() {
            let tombstone = self.survey.ledger.tombstones[index];
            let zone = tombstone.target.split().0 as usize;
            let is_gone = self.zones.get(zone).is_some_and(|known| !known.is_same_life);
            if is_gone && self.is_since(tombstone.place) {
                let row = (tombstone.target, tombstone.incarnation);
                self.survey.ledger.budget.push(&mut self.killed.places, row)?;
            }
        }
        self.killed.places.sort_unstable();
        Ok(())
    }

    /// Whether the checkpoint, or a tombstone or a commit that was written since, knows of records in a zone in which none is
    /// found now, though it is written. It was not opened twice since.
    fn held_records(&self, zone: u32) -> bool {
        let cell = self.zones[zone as usize].cell;
        let is_used = matches!(cell.role, ZoneCellRole::Open | ZoneCellRole::Sealed | ZoneCellRole::Fenced);
        let is_named = || {
            let from = self.killed.places.partition_point(|(place, _)| *place < Place::new(zone, 0));
            let mut of_zone =
                self.killed.places[from..].iter().take_while(|(place, _)| place.split().0 == zone);
            of_zone.any(|(_, incarnation)| *incarnation > cell.incarnation)
        };
        let is_claimed = || {
            let claim = self.survey.claims.of(zone);
            claim.is_some_and(|claim| claim.incarnation > cell.incarnation && claim.good_units > 1)
        };
        match cell.role {
            ZoneCellRole::Free => is_named() || is_claimed(),
            _ => is_used && cell.good_units > 1,
        }
    }

    /// Zones of which only a header seems to have been begun have held no records.
    pub(super) fn check_begun(&mut self) -> Result<(), Halt> {
        for index in 0..self.survey.begun.len() {
            let zone = self.survey.begun[index];
            if self.held_records(zone) {
                self.survey.incomplete = true;
                let number = self.loaded.end.number;
                let what = format!(
                    "it is written, and nothing of it stands; by checkpoint {number} and the log it held records"
                );
                self.survey.findings.add(FindingKind::ZoneLost, At::zone(zone), what)?;
            }
        }
        Ok(())
    }

    /// What has gone with lives that have ended was killed first; and no group is missing but those that went with a life.
    pub(super) fn check_gone(&mut self) -> Result<(), Halt> {
        let next_group = self.loaded.end.next_group;
        let is_any_missing = is_any_missing(&self.survey.ledger.groups, next_group);
        let mut is_anything_gone = false;
        for zone in 0..self.label.zone_count {
            let KnownZone { cell, gone: Gone { blocks, units }, .. } = self.zones[zone as usize];
            let is_told = self.survey.lives[zone as usize].is_some()
                || self.survey.zones[zone as usize].condition == Condition::Offline;
            if blocks == 0 || is_told {
                continue;
            }
            // What said why may have stood in a zone that was emptied too, or in this one where more was written to it since.
            let may_have_ended = self.survey.is_emptied(self.label, zone)
                && (is_any_missing || cell.role == ZoneCellRole::Open);
            let (kind, why) = match (self.survey.incomplete, may_have_ended) {
                (true, _) => (FindingKind::FollowsFromDamage, "no tombstone says why"),
                (false, true) => (FindingKind::MayBeGone, "tombstones that may have said why have gone too"),
                (false, false) => (FindingKind::Gone, "no tombstone says why"),
            };
            let what = format!(
                "{blocks} blocks in {units} units that checkpoint {} names have gone, and {why}",
                self.loaded.end.number
            );
            self.survey.findings.add(kind, At::zone(zone), what)?;
            is_anything_gone = true;
        }
        // Tombstones may have gone with them, and what these named seems to live again.
        self.survey.incomplete |= is_anything_gone;
        let (zones, next_sequence) = (&self.zones, self.loaded.end.next_sequence);
        self.survey.check_ended(self.label, |zone, Claim { incarnation, good_units, .. }| {
            let known = &zones[zone as usize];
            // What it called dead is; what it named has been told above; and to these zones nothing was written since.
            let is_same = known.cell.incarnation == incarnation;
            let is_older = known.cell.role == ZoneCellRole::Free && incarnation < next_sequence;
            let is_no_longer = is_older
                || known.cell.incarnation > incarnation
                || (is_same && known.cell.role != ZoneCellRole::Open)
                || (is_same && good_units <= known.cell.good_units);
            is_no_longer || known.gone.blocks > 0
        })?;
        if is_missing(&self.survey.ledger.groups, next_group) {
            let since = format!("checkpoint {}", self.loaded.end.number);
            let has_ended = self.has_ended_since();
            self.survey.report_missing(self.label, &since, has_ended)?;
        }
        Ok(())
    }

    /// Whether a life has ended since that may have held groups which were written since: one that was open, or one that
    /// was begun since and that tombstones name.
    fn has_ended_since(&self) -> bool {
        let was_open = self.zones.iter().any(|known| {
            known.cell.role == ZoneCellRole::Open && !known.is_same_life && known.gone.blocks == 0
        });
        was_open
            || self.killed.places.iter().any(|(place, incarnation)| {
                let zone = place.split().0;
                *incarnation > self.zones[zone as usize].cell.incarnation
                    && self.survey.is_emptied(self.label, zone)
            })
    }
}
