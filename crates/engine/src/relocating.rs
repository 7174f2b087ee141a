//! Moving the checkpoints' slots away from zones that can no longer be written.
//!
//! Zones that were reset are free once two checkpoints know it. Where a zone of a slot fails, no checkpoint can be written
//! any more, and what an old one says of zones would go stale. So new labels name other zones, or none, before anything is
//! freed: what stands in the old slots is no checkpoint from then on, and the drive is mounted by its footers once.

use imbrex_format::Label;
use imbrex_zoned::{Condition, DeviceError, Zone, ZoneKind, ZoneOperation};

use crate::blocking::Blocking;
use crate::formatting::{checkpoint_slots, finish_label_zone};

/// Writes new labels where a zone of a slot cannot be written, or is one of `bad_zones`; gives the label that counts.
///
/// # Errors
///
/// The drive's own. One of the two labels always stands.
pub(crate) fn relocate_checkpoints(
    io: &mut Blocking<'_>,
    zones: &[Zone],
    label: Label,
    bad_zones: &[u32],
) -> Result<Label, DeviceError> {
    let is_bad = |zone: &Zone| {
        matches!(zone.condition, Condition::ReadOnly | Condition::Offline) || bad_zones.contains(&zone.index)
    };
    if !zones.iter().any(|zone| label.is_checkpoint_zone(zone.index) && is_bad(zone)) {
        return Ok(label);
    }
    // Only zones in which nothing is written: a report tells that of sequential ones.
    let empty: Vec<Zone> = zones
        .iter()
        .map(|zone| {
            let is_empty = zone.condition == Condition::Empty && !is_bad(zone);
            let condition = if is_empty { Condition::Empty } else { Condition::Offline };
            Zone { condition, ..*zone }
        })
        .collect();
    let slots = checkpoint_slots(&empty, label.label_zones, label.blocks_max);
    let (checkpoint_first_zone, checkpoint_slot_zones) = slots.unwrap_or((0, 0));
    tracing::error!(
        checkpoint_first_zone,
        checkpoint_slot_zones,
        "a zone that was kept for checkpoints has failed: others are used, and the drive is mounted without one"
    );
    let generation = label.generation + 1;
    let label = Label { generation, checkpoint_first_zone, checkpoint_slot_zones, ..label };
    for index in label.label_zones {
        let zone = zones.iter().find(|zone| zone.index == index);
        if let Some(zone) = zone.filter(|zone| !is_bad(zone)) {
            rewrite_label(io, zone, &label)?;
        }
    }
    Ok(label)
}

fn rewrite_label(io: &mut Blocking<'_>, zone: &Zone, label: &Label) -> Result<(), DeviceError> {
    if zone.kind == ZoneKind::SequentialWriteRequired {
        io.zone(zone.index, ZoneOperation::Reset)?;
    }
    io.write_unit(zone.index, 0, |unit| label.encode(unit))?;
    io.flush()?;
    finish_label_zone(io, zone)
}
