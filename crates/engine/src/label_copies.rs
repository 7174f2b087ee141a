//! The copies of the label that zone headers carry: what a drive has left where its labels are lost.
//!
//! A zone's header copies the label that counts when the zone is opened. So whatever was written by a label has a copy of
//! that label or of a newer one, in the header of its own zone, and the newest copy of all is as good as the label: if a
//! newer label has ever been, nothing was written by it. No zone may be left out, for any may be the last that was opened.

use imbrex_format::{Label, ZoneHeader};
use imbrex_zoned::{Condition, DeviceError, Zone, ZoneKind};

use crate::blocking::Blocking;

/// In how many written zones a first copy is looked for: a drive of which none of so many has one is none of ours, and the
/// others are not read to say so.
const FIRST_COPY_ZONES_MAX: usize = 64;

/// The newest copy of the label of this drive that is newer than `known`, or of any where none is known.
///
/// It reads a unit of every written zone: minutes on a large drive. A drive of which one label cannot be read is mounted so
/// once, for the mount renews it.
///
/// # Errors
///
/// [`DeviceError::Gone`]; a header that cannot be read has no copy.
pub(crate) fn newest_copy(
    io: &mut Blocking<'_>,
    zones: &[Zone],
    known: Option<&Label>,
) -> Result<Option<Label>, DeviceError> {
    let is_written = |zone: &&Zone| match zone.kind {
        // Nothing tells whether one is written: it is asked where the drive is known to be ours.
        ZoneKind::Conventional => known.is_some() && zone.condition != Condition::Offline,
        ZoneKind::SequentialWriteRequired => {
            !matches!(zone.condition, Condition::Empty | Condition::Offline | Condition::NotWritePointer)
        }
    };
    let mut newest: Option<Label> = None;
    for (asked, zone) in zones.iter().filter(is_written).enumerate() {
        if known.is_none() && newest.is_none() && asked == FIRST_COPY_ZONES_MAX {
            break;
        }
        let copy = match io.read(zone.index, 0, 1) {
            Ok(bytes) => ZoneHeader::recover_label(bytes, zone.index),
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => None,
        };
        let is_of_drive =
            |copy: &Label| known.is_none_or(|known| copy.drive_id == known.drive_id && is_newer(copy, known));
        newest = newest.into_iter().chain(copy.filter(is_of_drive)).max_by_key(age);
    }
    Ok(newest)
}

fn age(label: &Label) -> (u64, u64) {
    // Of two formats that knew nothing of each other, the later one.
    (label.generation, label.formatted_at_unix_s)
}

fn is_newer(copy: &Label, known: &Label) -> bool {
    copy.generation > known.generation
}
