//! What the zones say together: claims on one another, groups, tombstones, and keys that are live twice.

use crate::Key;
use crate::label::Label;
use crate::record::decode_record_header;
use crate::scope::ZoneScope;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::ledger::Place;
use crate::verify::life::End;
use crate::verify::survey::Survey;

pub(super) fn run(survey: &mut Survey<'_>, label: &Label) -> Result<(), Halt> {
    check_claims(survey)?;
    check_groups(survey)?;
    survey.ledger.blocks.sort_unstable_by_key(|block| block.place);
    survey.ledger.tombstones.sort_unstable_by_key(|tombstone| tombstone.place);
    apply_tombstones(survey)?;
    let ledger = &survey.ledger;
    let live = ledger.blocks.iter().filter(|block| !block.is_killed);
    survey.counts.blocks = ledger.blocks.len() as u64;
    survey.counts.tombstones = ledger.tombstones.len() as u64;
    survey.counts.live_blocks = live.clone().count() as u64;
    survey.counts.live_units = live.map(|block| u64::from(block.unit_count)).sum();
    find_keys_twice(survey, label)?;
    tell_limit(survey);
    Ok(())
}

/// What no drive tells: what was stored last, where nothing of it is left.
fn tell_limit(survey: &mut Survey<'_>) {
    let last = survey.ledger.groups.last().map_or(0, |group| group.group);
    survey.findings.cannot_tell.push(format!(
        "whether anything was stored after group {last}, the last that stands: nothing names what was stored last, were it cut \
         off or its zone reset"
    ));
}

/// How far each zone is good, by what others say of it.
pub(super) fn check_claims(survey: &mut Survey<'_>) -> Result<(), Halt> {
    for zone in 0..survey.zones.len() {
        let index = survey.zones[zone].index;
        let (Some(claim), Some(life)) = (survey.claims.of(index), survey.lives[zone]) else { continue };
        let at = At::unit(index, life.good_units);
        let (by_zone, by_unit) = claim.by.split();
        if claim.incarnation > life.incarnation {
            survey.findings.add(
                FindingKind::CommitContradictsZone,
                at,
                format!(
                    "it is in life {}, and unit {by_unit} of zone {by_zone} knows its life {}",
                    life.incarnation, claim.incarnation
                ),
            )?;
        } else if claim.incarnation == life.incarnation && claim.good_units > life.good_units {
            survey.incomplete = true;
            let kind = match life.end {
                End::Damaged => FindingKind::GroupDamaged,
                End::Clean => FindingKind::CommitContradictsZone,
            };
            survey.findings.add(kind, at, format!(
                "it is good up to unit {}, and unit {by_unit} of zone {by_zone} knows that it was good up to unit {}",
                life.good_units, claim.good_units
            ))?;
        }
    }
    Ok(())
}

/// No two groups share a sequence, and their numbers rise with them.
fn check_groups(survey: &mut Survey<'_>) -> Result<(), Halt> {
    survey.ledger.groups.sort_unstable_by_key(|group| (group.first_sequence, group.group));
    for index in 1..survey.ledger.groups.len() {
        let (before, after) = (survey.ledger.groups[index - 1], survey.ledger.groups[index]);
        let (zone, unit) = after.place.split();
        let (other_zone, other_unit) = before.place.split();
        let is_right = before.last_sequence < after.first_sequence && before.group < after.group;
        survey.findings.expect(is_right, FindingKind::GroupsOverlap, At::unit(zone, unit), || {
            format!(
                "group {} has sequences {} to {}, and group {} in unit {other_unit} of zone {other_zone} has {} to {}",
                after.group,
                after.first_sequence,
                after.last_sequence,
                before.group,
                before.first_sequence,
                before.last_sequence
            )
        })?;
    }
    Ok(())
}

fn apply_tombstones(survey: &mut Survey<'_>) -> Result<(), Halt> {
    for index in 0..survey.ledger.tombstones.len() {
        let tombstone = survey.ledger.tombstones[index];
        let (zone, unit) = tombstone.place.split();
        let (target_zone, target_unit) = tombstone.target.split();
        let at = At::unit(zone, unit);
        let present = survey.lives.get(target_zone as usize).copied().flatten();
        let present = present.map(|life| life.incarnation);
        if present != Some(tombstone.incarnation) {
            survey.counts.tombstones_ended += 1;
            let is_ended = present.is_none_or(|present| tombstone.incarnation < present);
            survey.findings.expect(is_ended, FindingKind::TombstoneContradicts, at, || {
                format!(
                    "a tombstone names life {} of zone {target_zone}, which has not begun",
                    tombstone.incarnation
                )
            })?;
            continue;
        }
        let Some(block) = survey.ledger.block_at(tombstone.target) else {
            survey.counts.tombstones_of_nothing += 1;
            continue;
        };
        let is_right = (block.hash, block.birth) == (tombstone.hash, tombstone.birth);
        block.is_killed |= is_right;
        let birth = block.birth;
        survey.findings.expect(is_right, FindingKind::TombstoneContradicts, at, || {
            format!(
                "a tombstone of birth {} names unit {target_unit} of zone {target_zone}, where another block of birth {birth} stands",
                tombstone.birth
            )
        })?;
    }
    Ok(())
}

/// No key has two live records.
fn find_keys_twice(survey: &mut Survey<'_>, label: &Label) -> Result<(), Halt> {
    let live = survey.ledger.blocks.iter().filter(|block| !block.is_killed);
    let row_bytes = size_of::<(u64, Place)>() as u64;
    let taken_bytes = survey.counts.live_blocks * row_bytes;
    survey.ledger.budget.take(taken_bytes)?;
    let mut rows = Vec::with_capacity(live.clone().count());
    rows.extend(live.map(|block| (block.hash, block.place)));
    rows.sort_unstable();
    for pair in rows.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let (first, second) = (pair[0].1, pair[1].1);
        // Two keys can share a hash: the records tell.
        let (Some(key), Some(other)) = (key_at(survey, label, first)?, key_at(survey, label, second)?) else {
            continue;
        };
        if key == other {
            let kind = if survey.incomplete { FindingKind::FollowsFromDamage } else { FindingKind::KeyTwice };
            let (zone, unit) = first.split();
            let (other_zone, other_unit) = second.split();
            let what = format!("block {key} is live here and in unit {other_unit} of zone {other_zone}");
            survey.findings.add(kind, At::unit(zone, unit).key(key), what)?;
        }
    }
    survey.ledger.budget.give_back(taken_bytes);
    Ok(())
}

/// The key of the record at a place; `None` where its header does not check out.
fn key_at(survey: &mut Survey<'_>, label: &Label, place: Place) -> Result<Option<Key>, Halt> {
    let (zone, unit) = place.split();
    let Some(life) = survey.lives[zone as usize] else { return Ok(None) };
    let scope = ZoneScope::new(label, zone, life.incarnation);
    let bytes = survey.reader.unit(zone, unit, unit + 1, false)?;
    Ok(bytes.ok().and_then(|bytes| decode_record_header(bytes, &scope, unit).ok()).map(|header| header.key))
}
