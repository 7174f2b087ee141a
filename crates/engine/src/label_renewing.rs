//! Renewing the drive's labels at a mount: the one that counts is to stand in both of its places before the drive serves.
//!
//! Where an older label is left standing, or a place that cannot be read, it is written anew, the worst place first, so that
//! the newest stands until another does. A label that was written nowhere is copied nowhere. A place that cannot be written
//! stays as it is: the drive is mounted all the same, and the next mount asks the zones' headers if the newest label has gone
//! then ([`crate::label_copies`]).

use imbrex_format::{ZoneContent, ZoneHeader};
use imbrex_zoned::{Condition, DeviceError, ZoneKind, ZoneOperation};

use crate::blocking::Blocking;
use crate::labels::Labels;
use crate::mount::finish_zone;
use crate::request::ZoneRole;
use crate::zone_table::{ZoneEntry, ZoneTable};

/// How often a label is written to a place before that place is given up: a flush can fail for what something else wrote.
pub(crate) const LABEL_ATTEMPTS_MAX: u32 = 3;

/// By how much the generation rises where no place holds the label that counts: a newer one of which nothing else tells may
/// stand where it cannot be read now.
const GENERATION_JUMP: u64 = 1 << 20;

/// Writes the label to each place that does not hold it. Sets what stands in them then, and tells how many were written.
///
/// # Errors
///
/// [`DeviceError::Gone`]; a place that fails is left.
pub(crate) fn renew_labels(
    io: &mut Blocking<'_>,
    zones: &mut ZoneTable,
    labels: &mut Labels,
) -> Result<u64, DeviceError> {
    if labels.are_whole() {
        return Ok(0);
    }
    let mut renewed = 0;
    let found = labels.label.generation;
    if !labels.generations.contains(&Some(found)) {
        labels.label.generation = found.saturating_add(GENERATION_JUMP);
        labels.generation_last = labels.label.generation;
    }
    for nth in labels.worst_first() {
        let generation = Some(labels.label.generation);
        let (zone, before) = (labels.label.label_zones[nth], labels.generations[nth]);
        if before == generation {
            continue;
        }
        if renew_label(io, zones, labels, nth)? {
            renewed += 1;
            tracing::warn!(zone, ?before, now = ?generation, "a label was renewed");
        } else {
            tracing::error!(zone, ?before, "a label is stale or cannot be read, and cannot be written anew");
        }
    }
    if renewed == 0 && labels.label.generation != found {
        // It stands nowhere, so it must not stand in headers: their copies would be newer than labels that come after it,
        // once what stands in the places can be read again.
        labels.label.generation = found;
    }
    Ok(renewed)
}

/// Writes the label to one place, several times if need be. Whether it stands there.
fn renew_label(
    io: &mut Blocking<'_>,
    zones: &mut ZoneTable,
    labels: &mut Labels,
    nth: usize,
) -> Result<bool, DeviceError> {
    let zone = labels.label.label_zones[nth];
    for _ in 0..LABEL_ATTEMPTS_MAX {
        if !zones.get(zone).can_be_reset() {
            return Ok(false);
        }
        match write_label(io, zones, labels, nth) {
            Ok(()) => {
                labels.generations[nth] = Some(labels.label.generation);
                finish_zone(io, zones, zone)?;
                return Ok(true);
            }
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(DeviceError::ZoneCondition { zone: changed, condition }) if changed == zone => {
                zones.get_mut(zone).condition = condition;
            }
            Err(error) => tracing::error!(zone, %error, "a label was not renewed"),
        }
    }
    Ok(false)
}

/// The zones that held checkpoints when another label counted, where that label stands no more: they can go to the log. So can
/// one that is empty now, and was lost to a slot once.
///
/// # Errors
///
/// [`DeviceError::Gone`]; a zone that cannot be read is left.
pub(crate) fn find_remains(
    io: &mut Blocking<'_>,
    zones: &mut ZoneTable,
    labels: &Labels,
) -> Result<Vec<u32>, DeviceError> {
    if !labels.are_whole() {
        return Ok(Vec::new());
    }
    let may_be_one = |entry: &ZoneEntry| {
        entry.role == ZoneRole::Lost
            && entry.kind == ZoneKind::SequentialWriteRequired
            && entry.can_be_reset()
            && !entry.has_failed_reset
    };
    let lost: Vec<u32> = zones.iter().filter(|(_, entry)| may_be_one(entry)).map(|(zone, _)| zone).collect();
    let mut remains = Vec::new();
    for zone in lost {
        let incarnation = match io.read(zone, 0, 1) {
            Ok(bytes) => ZoneHeader::decode(bytes, &labels.label, zone)
                .ok()
                .filter(|header| header.content == ZoneContent::Checkpoint)
                .map(|header| header.incarnation),
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => None,
        };
        let entry = zones.get_mut(zone);
        if incarnation.is_some() || entry.condition == Condition::Empty {
            entry.incarnation = entry.incarnation.max(incarnation.unwrap_or(0));
            remains.push(zone);
        }
    }
    Ok(remains)
}

fn write_label(
    io: &mut Blocking<'_>,
    zones: &mut ZoneTable,
    labels: &mut Labels,
    nth: usize,
) -> Result<(), DeviceError> {
    let Labels { label, generations, .. } = labels;
    let zone = label.label_zones[nth];
    let is_sequential = zones.get(zone).kind == ZoneKind::SequentialWriteRequired;
    if is_sequential {
        io.zone(zone, ZoneOperation::Reset)?;
        zones.get_mut(zone).condition = Condition::Empty;
    }
    generations[nth] = None;
    io.write_unit(zone, 0, |unit| label.encode(unit))?;
    zones.written(zone, 1);
    io.flush()
}
