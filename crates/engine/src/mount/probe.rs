//! What a zone of which nothing is known holds, as the zone itself tells.

use imbrex_format::{Trailer, ZoneContent, ZoneHeader, ZoneScope};
use imbrex_zoned::{Condition, DeviceError, Zone, ZoneKind};

use super::{Mount, finish_zone};
use crate::log::Stream;
use crate::replay::ZoneLog;
use crate::request::ZoneRole;
use crate::trash::FIRST_RECORD_UNIT;

impl Mount<'_, '_> {
    /// What a zone holds, of which nothing is known.
    pub(super) fn zone(&mut self, zone: &Zone) -> Result<Option<ZoneLog>, DeviceError> {
        let header = self.read_header(zone.index)?;
        let trailer = self.read_trailer(zone)?;
        let (incarnation, stream) = match (&header, &trailer) {
            (HeaderUnit::Header(header), _) if header.content == ZoneContent::Records => {
                (header.incarnation, header.stream)
            }
            (HeaderUnit::Header(_), None) => {
                // It held a checkpoint when the label named other zones for them: nothing in it is the log's.
                self.zones.get_mut(zone.index).role = ZoneRole::Lost;
                finish_zone(self.io, &mut self.zones, zone.index)?;
                return Ok(None);
            }
            (_, Some(trailer)) => (trailer.incarnation, 0),
            (HeaderUnit::Blank, None) if zone.kind == ZoneKind::Conventional => {
                self.end_reset_by_hand(zone.index)?;
                return Ok(None);
            }
            _ => match self.incarnation_of_first_record(zone.index)? {
                // An engine opens a zone with the log's next sequence as its incarnation.
                Some((incarnation, true)) => (incarnation, 0),
                // Its header would say that it held a checkpoint, and will where it can be read another time.
                Some((_, false)) => {
                    self.zones.get_mut(zone.index).role = ZoneRole::Lost;
                    finish_zone(self.io, &mut self.zones, zone.index)?;
                    return Ok(None);
                }
                None => {
                    self.lose_zone(zone.index)?;
                    return Ok(None);
                }
            },
        };
        let trailer = trailer.filter(|trailer| trailer.incarnation == incarnation);
        let stream = Stream::from_header(stream);
        let entry = self.zones.get_mut(zone.index);
        entry.incarnation = incarnation;
        entry.first_sequence = incarnation;
        entry.stream = stream;
        entry.role = if trailer.is_some() { ZoneRole::Sealed } else { ZoneRole::Fenced };
        Ok(Some(ZoneLog {
            zone: zone.index,
            first_sequence: incarnation,
            stream,
            trailer,
            begin: 1,
            floor_sequence: incarnation,
            listed: Vec::new(),
        }))
    }

    /// Overwrites the first record of a conventional zone whose life has ended, where one stands: a crash came before the
    /// reset did, or the drive was written by a version that left it. Where it cannot, the zone is not used.
    fn end_reset_by_hand(&mut self, zone: u32) -> Result<(), DeviceError> {
        if !self.zones.may_be_of_log(zone) || self.zones.get(zone).condition == Condition::ReadOnly {
            return Ok(());
        }
        let ended = match self.io.read(zone, FIRST_RECORD_UNIT, 1) {
            Ok(bytes) if imbrex_format::claimed_incarnation(bytes).is_none() => return Ok(()),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            _ => self.io.write_unit(zone, FIRST_RECORD_UNIT, |_| ()).and_then(|()| self.io.flush()),
        };
        match ended {
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(error) => {
                tracing::error!(zone, %error, "what is left of a zone's last life cannot be overwritten: it is not used");
                self.zones.get_mut(zone).role = ZoneRole::Lost;
            }
            Ok(()) => {}
        }
        Ok(())
    }

    /// The life of a zone whose header and footer are both damaged, as its first record tells it, and whether that is one of
    /// the log's.
    fn incarnation_of_first_record(&mut self, zone: u32) -> Result<Option<(u64, bool)>, DeviceError> {
        let label = &self.label;
        let bytes = match self.io.read(zone, 1, 1) {
            Ok(bytes) => bytes,
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => return Ok(None),
        };
        Ok(imbrex_format::claimed_incarnation(bytes).and_then(|incarnation| {
            let scope = ZoneScope::new(label, zone, incarnation);
            let header = imbrex_format::decode_record_header(bytes, &scope, 1).ok()?;
            Some((incarnation, header.kind.may_stand_in(ZoneContent::Records)))
        }))
    }

    /// Something is written that neither a header, nor a footer, nor a record explains: it is kept, and never written
    /// to. Where nothing but its first unit is written it has lost nothing: a crash tore its header, and no record can have
    /// followed. It may have been finished since.
    fn lose_zone(&mut self, zone: u32) -> Result<(), DeviceError> {
        let holds_records = !self.is_of_other_drive(zone)? && self.holds_more_than_header(zone)?;
        self.zones.get_mut(zone).role = ZoneRole::Lost;
        if holds_records {
            tracing::error!(zone, "a zone is written, and nothing in it can be read: what it held is lost");
            self.lost_records += 1;
        }
        finish_zone(self.io, &mut self.zones, zone)
    }

    /// Whether a zone's header is whole, and another drive's: it was written before the drive was formatted last, and could
    /// not be cleared then.
    fn is_of_other_drive(&mut self, zone: u32) -> Result<bool, DeviceError> {
        match self.io.read(zone, 0, 1) {
            Ok(bytes) => Ok(ZoneHeader::recover_label(bytes, zone)
                .is_some_and(|label| label.drive_id != self.label.drive_id)),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(_) => Ok(false),
        }
    }

    /// Whether anything but zeros stands behind the first unit of a zone, or something that cannot be read. A drive can lose
    /// the first of what was written and keep the rest, so all is looked at up to the pointer. Behind it, and in a zone
    /// that was finished, an older life may show: there the second unit speaks for all.
    fn holds_more_than_header(&mut self, zone: u32) -> Result<bool, DeviceError> {
        let entry = self.zones.get(zone);
        let end = match entry.condition {
            Condition::ImplicitOpen | Condition::ExplicitOpen | Condition::Closed => entry.written_units,
            _ => 2,
        };
        let mut unit = 1;
        while unit < end {
            let unit_count = self.io.window_units().min(end - unit);
            match self.io.read(zone, unit, unit_count) {
                Ok(bytes) if bytes.iter().all(|byte| *byte == 0) => unit += unit_count,
                Err(DeviceError::Gone) => return Err(DeviceError::Gone),
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    pub(super) fn read_header(&mut self, zone: u32) -> Result<HeaderUnit, DeviceError> {
        match self.io.read(zone, 0, 1) {
            Ok(bytes) => Ok(match ZoneHeader::decode(bytes, &self.label, zone) {
                Ok(header) => HeaderUnit::Header(header),
                Err(_) if bytes.iter().all(|byte| *byte == 0) => HeaderUnit::Blank,
                Err(_) => HeaderUnit::Damaged,
            }),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(_) => Ok(HeaderUnit::Damaged),
        }
    }

    /// The trailer of a zone that may be sealed: one that is written to its end, or whose end nobody knows.
    pub(super) fn read_trailer(&mut self, zone: &Zone) -> Result<Option<Trailer>, DeviceError> {
        let capacity_units = self.zones.get(zone.index).capacity_units;
        if zone.write_pointer_bytes.is_some_and(|pointer| pointer < zone.capacity_bytes)
            || capacity_units == 0
        {
            return Ok(None);
        }
        match self.io.read(zone.index, capacity_units - 1, 1) {
            Ok(bytes) => Ok(Trailer::decode(bytes, &self.label, zone.index).ok()),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(_) => Ok(None),
        }
    }
}

/// The first unit of a zone.
pub(super) enum HeaderUnit {
    Header(ZoneHeader),
    /// Nothing but zeros.
    Blank,
    Damaged,
}
