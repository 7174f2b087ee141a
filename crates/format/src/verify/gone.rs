//! What has gone: blocks that the checkpoint names in a life that is not there any more, and groups whose numbers are missing.
//!
//! A life may have ended since the checkpoint. All that was live in it then was killed or moved first, and the tombstones
//! that say so stand in what was written since; save that they may be dropped once the life has ended, so that the zone in
//! which they stood may have ended too. The groups of such a zone are missing from the log then. So an entry without a
//! tombstone is one that was lost, unless groups are missing.

use imbrex_zoned::{Condition, ZoneKind};

use crate::checkpoint::ZoneCellRole;
use crate::label::{CHECKPOINT_SLOTS, Label};
use crate::verify::compare::Comparison;
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

/// Without a checkpoint only the numbers of the groups tell: no group is missing, unless a life has ended that may have held
/// it. And a zone that has had one life at most, of which others know, is none that was only begun.
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
        let is_named = survey.ledger.tombstones.iter().any(names);
        let is_claimed = survey.claims.of(zone).is_some_and(|claim| claim.good_units > 1);
        if is_new && (is_named || is_claimed || is_missing) {
            survey.incomplete = true;
            let what = "it is written, and nothing of it stands; by the log it held records";
            survey.findings.add(FindingKind::ZoneLost, At::zone(zone), what)?;
        }
    }
    check_open_at_last(survey)?;
    if is_missing && survey.counts.tombstones_ended == 0 {
        let kind = if survey.incomplete { FindingKind::FollowsFromDamage } else { FindingKind::Gone };
        let what = "groups are missing, and no zone has been emptied that held them";
        survey.findings.add(kind, At::default(), what)?;
    }
    Ok(())
}

/// A zone that was open when the last commit was made is still there: were it empty in order, tombstones would name its life.
fn check_open_at_last(survey: &mut Survey<'_>) -> Result<(), Halt> {
    for open in survey.claims.open_at_last().to_vec() {
        let is_gone = survey.lives.get(open.zone as usize).is_some_and(Option::is_none)
            && survey.zones[open.zone as usize].condition != Condition::Offline;
        let names = |tombstone: &TombstoneRow| {
            tombstone.target.split().0 == open.zone && tombstone.incarnation == open.incarnation
        };
        if is_gone && open.good_units > 1 && !survey.ledger.tombstones.iter().any(names) {
            let what = format!(
                "the last commit knows that it was good up to unit {}, and nothing of it stands",
                open.good_units
            );
            survey.findings.add(FindingKind::Gone, At::zone(open.zone), what)?;
        }
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
        check_open_at_last(self.survey)?;
        let next_group = self.loaded.end.next_group;
        let is_any_missing = is_any_missing(&self.survey.ledger.groups, next_group);
        let is_missing = is_missing(&self.survey.ledger.groups, next_group);
        for zone in 0..self.label.zone_count {
            let Gone { blocks, units } = self.zones[zone as usize].gone;
            let is_told = self.survey.lives[zone as usize].is_some()
                || self.survey.zones[zone as usize].condition == Condition::Offline;
            if blocks == 0 || is_told {
                continue;
            }
            let what = format!(
                "{blocks} blocks in {units} units that checkpoint {} names have gone, and no tombstone says why",
                self.loaded.end.number
            );
            if is_any_missing && self.is_end_explained(zone) && !self.was_open_at_last(zone) {
                self.survey
                    .findings
                    .note(format!("zone {zone}: {what}; groups that may have said so have gone too"));
                continue;
            }
            let kind =
                if self.survey.incomplete { FindingKind::FollowsFromDamage } else { FindingKind::Gone };
            self.survey.findings.add(kind, At::zone(zone), what)?;
        }
        if is_missing && !self.has_ended_since() {
            let what = format!(
                "groups from number {next_group} on are missing, and no zone has been emptied since that held them"
            );
            let kind =
                if self.survey.incomplete { FindingKind::FollowsFromDamage } else { FindingKind::Gone };
            self.survey.findings.add(kind, At::default(), what)?;
        }
        Ok(())
    }

    /// Whether the last commit knows the life that the checkpoint does: until then every tombstone that named it was kept.
    fn was_open_at_last(&self, zone: u32) -> bool {
        let incarnation = self.zones[zone as usize].cell.incarnation;
        let open = self.survey.claims.open_at_last();
        open.iter().any(|open| (open.zone, open.incarnation) == (zone, incarnation))
    }

    /// Whether a zone is empty, as after a reset.
    fn is_end_explained(&self, zone: u32) -> bool {
        let state = &self.survey.zones[zone as usize];
        state.kind == ZoneKind::Conventional || state.condition == Condition::Empty
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
                *incarnation > self.zones[zone as usize].cell.incarnation && self.is_end_explained(zone)
            })
    }
}
