//! What a zone has become since the checkpoint (FORMAT.md, "Checkpoint", rules 3 and 4), and which zones are in doubt.

use imbrex_format::{TableEntry, ZoneCell, ZoneCellRole};
use imbrex_zoned::{Condition, DeviceError, Zone, ZoneKind};

use super::Mount;
use super::probe::HeaderUnit;
use crate::doubt::{is_unknown, may_have_been_written};
use crate::log::Stream;
use crate::replay::ZoneLog;
use crate::request::ZoneRole;
use crate::restoring::Base;

impl Mount<'_, '_> {
    /// What a zone has become since the checkpoint (FORMAT.md, "Checkpoint", rules 3 and 4).
    pub(super) fn zone_since(
        &mut self,
        zone: &Zone,
        cell: &ZoneCell,
        base: &Base,
    ) -> Result<Option<ZoneLog>, DeviceError> {
        let is_empty = self.is_empty_now(zone, cell)?;
        let freed_by = self.next_checkpoint + 1;
        let entry = self.zones.get_mut(zone.index);
        match cell.role {
            ZoneCellRole::Free if is_empty => {
                entry.incarnation = cell.incarnation;
                entry.freed_by = cell.closed_sequence;
                let is_free = cell.closed_sequence <= base.end.number;
                entry.role = if is_free { ZoneRole::Free } else { ZoneRole::Reset };
                Ok(None)
            }
            ZoneCellRole::Free if zone.condition == Condition::Offline => {
                entry.incarnation = cell.incarnation;
                entry.is_unknown = may_have_been_written(zone, cell, self.newest_checkpoint);
                Ok(None)
            }
            // On a drive with checkpoints the log does not go to conventional zones.
            ZoneCellRole::Free if zone.kind == ZoneKind::Conventional => {
                entry.incarnation = cell.incarnation;
                entry.role = ZoneRole::Free;
                Ok(None)
            }
            ZoneCellRole::Free => {
                let log = self.zone(zone)?.filter(|log| log.first_sequence > cell.incarnation);
                let entry = self.zones.get_mut(zone.index);
                if log.is_none() && entry.incarnation <= cell.incarnation {
                    // What stands there is of a life that has ended.
                    entry.incarnation = cell.incarnation;
                    entry.role = ZoneRole::Lost;
                }
                Ok(log)
            }
            // Where it was open, its life may have ended since like any other: this checkpoint, by which the drive may be
            // mounted once more, takes what is written there for that life. What lived in it is killed by the log since.
            ZoneCellRole::Open | ZoneCellRole::Sealed | ZoneCellRole::Fenced | ZoneCellRole::Trash
                if is_empty =>
            {
                entry.incarnation = cell.incarnation;
                entry.live_units = cell.live_units;
                entry.freed_by = freed_by;
                entry.role = ZoneRole::Reset;
                Ok(None)
            }
            ZoneCellRole::Open => {
                entry.take_cell(cell, ZoneRole::Fenced);
                entry.is_unknown |= may_have_been_written(zone, cell, self.newest_checkpoint);
                self.open_since(zone, cell, base).map(Some)
            }
            ZoneCellRole::Sealed | ZoneCellRole::Trash => {
                entry.take_cell(cell, ZoneRole::Sealed);
                entry.written_units = entry.capacity_units;
                Ok(None)
            }
            ZoneCellRole::Fenced => {
                entry.take_cell(cell, ZoneRole::Fenced);
                entry.written_units = cell.written_units;
                Ok(None)
            }
            ZoneCellRole::Lost | ZoneCellRole::Label | ZoneCellRole::Checkpoint => {
                // What stands in it may be read again one day: tombstones that name its life are kept.
                entry.incarnation = cell.incarnation;
                entry.first_sequence = cell.incarnation;
                entry.is_unknown = is_unknown(cell);
                entry.role = ZoneRole::Lost;
                Ok(None)
            }
        }
    }

    /// Gives the checkpoint up where a zone that it has in doubt can be read again: see [`crate::doubt`]. Others may be
    /// mounted by it later, so it counts as one that was not read.
    pub(super) fn leave_checkpoint_where_doubt_ends(&mut self, zones: &[Zone]) -> Result<(), DeviceError> {
        let Some(base) = self.base.take() else { return Ok(()) };
        for zone in zones.iter().filter(|zone| zone.condition != Condition::Offline) {
            let cell = &base.zones[zone.index as usize];
            if is_unknown(cell)
                && let HeaderUnit::Header(header) = self.read_header(zone.index)?
                && header.incarnation >= cell.incarnation
            {
                tracing::warn!(
                    zone = zone.index,
                    "a zone that was in doubt can be read: the logs are read whole"
                );
                self.index.clear();
                self.is_one_hidden = true;
                return Ok(());
            }
        }
        self.base = Some(base);
        Ok(())
    }

    /// Without a checkpoint nothing is known of zones that are offline: see [`crate::doubt`].
    pub(super) fn doubt_offline_zones(&mut self, logs: &[ZoneLog]) {
        if self.base.is_some() || (logs.is_empty() && self.newest_checkpoint == 0) {
            return;
        }
        for zone in 0..self.label.zone_count {
            let is_of_log = self.zones.may_be_of_log(zone);
            let entry = self.zones.get_mut(zone);
            entry.is_unknown |=
                is_of_log && entry.condition == Condition::Offline && entry.role == ZoneRole::Lost;
        }
    }

    /// Whether a zone holds nothing now. Of a conventional one that had a life only its header tells: a reset leaves zeros
    /// there.
    fn is_empty_now(&mut self, zone: &Zone, cell: &ZoneCell) -> Result<bool, DeviceError> {
        let had_life = matches!(
            cell.role,
            ZoneCellRole::Open | ZoneCellRole::Sealed | ZoneCellRole::Fenced | ZoneCellRole::Trash
        );
        if had_life && zone.kind == ZoneKind::Conventional && zone.condition != Condition::Offline {
            return Ok(matches!(self.read_header(zone.index)?, HeaderUnit::Blank));
        }
        Ok(zone.condition == Condition::Empty)
    }

    /// A zone that was open: what was written behind what the checkpoint knows.
    fn open_since(&mut self, zone: &Zone, cell: &ZoneCell, base: &Base) -> Result<ZoneLog, DeviceError> {
        let trailer = self.read_trailer(zone)?.filter(|trailer| trailer.incarnation == cell.incarnation);
        let listed: Vec<TableEntry> = base
            .tables
            .iter()
            .filter(|(listed, _)| *listed == zone.index)
            .flat_map(|(_, entries)| entries.iter().copied())
            .collect();
        if trailer.is_some() {
            self.zones.get_mut(zone.index).role = ZoneRole::Sealed;
        }
        Ok(ZoneLog {
            zone: zone.index,
            first_sequence: cell.incarnation,
            stream: Stream::from_header(u16::from(cell.stream)),
            trailer,
            begin: cell.good_units.max(1),
            floor_sequence: if cell.good_units > 1 { base.end.next_sequence } else { cell.incarnation },
            listed,
        })
    }
}
