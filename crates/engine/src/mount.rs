//! Mounting: from a drive of which nothing is known to one that serves.
//!
//! The label says whose the drive is. A checkpoint says what stood on it at one moment, and the report of zones which
//! zones have been written since: only those are read. Without a checkpoint every zone is asked what it holds. Then the
//! zones' logs are replayed ([`crate::replay`]). Nothing is written to the drive, save that zones which will take no more
//! records are finished, so that they do not count against the drive's limit of open zones, and that a label is written anew
//! where it is stale or cannot be read.

use imbrex_format::{
    Label, TableEntry, Trailer, UNIT_BYTES, ZoneCell, ZoneCellRole, ZoneContent, ZoneHeader, ZoneScope,
};
use imbrex_zoned::{Condition, Device, DeviceError, Zone, ZoneKind, ZoneOperation};

use crate::blocking::Blocking;
use crate::index::Index;
use crate::label_renewing::{find_remains, renew_labels};
use crate::labels::{FoundLabels, Labels, find_labels};
use crate::location::{Location, PLACE_BITS};
use crate::log::{ENTRIES_MAX, OpenZones, SEQUENCE_JUMP, Stream, streams_max};
use crate::mutation::{Mutation, is};
use crate::replay::{Replay, ZoneLog};
use crate::request::{State, ZoneRole};
use crate::restoring::{Base, find_checkpoint};
use crate::slots::slot_zones_wanted;
use crate::zone_table::ZoneTable;

/// A drive that has been read.
pub(crate) struct Mounted {
    pub(crate) labels: Labels,
    pub(crate) index: Index,
    pub(crate) zones: ZoneTable,
    /// The zones to which the log goes on, where some were left open.
    pub(crate) open: OpenZones,
    pub(crate) next_sequence: u64,
    pub(crate) next_group: u64,
    /// Records that were committed and of which nothing is known: their keys are not.
    pub(crate) lost_records: u64,
    /// Blocks that are known to be damaged.
    pub(crate) damaged: Vec<(imbrex_format::Key, Location)>,
    /// The checkpoint by which it was mounted.
    pub(crate) checkpoint: Option<MountedCheckpoint>,
    pub(crate) next_checkpoint: u64,
    /// Zones of slots that the label names no more: nothing in them is needed.
    pub(crate) remains: Vec<u32>,
    /// How many labels were written anew.
    pub(crate) labels_renewed: u64,
}

/// By which checkpoint a drive was mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountedCheckpoint {
    pub(crate) slot: u32,
    pub(crate) number: u64,
}

/// What a drive turned out to be.
pub(crate) enum MountOutcome {
    Mounted(Box<Mounted>),
    /// It is not mounted, for the reason that the state gives.
    Refused(State),
}

/// Reads the drive.
///
/// # Errors
///
/// The drive's own; what stands on the drive is an outcome and no error.
pub(crate) fn mount(device: &mut dyn Device) -> Result<MountOutcome, DeviceError> {
    if let Err(reason) = check_geometry(device) {
        return Ok(MountOutcome::Refused(State::Incompatible { reason }));
    }
    settle_cache(device)?;
    let zones = device.report_zones()?;
    let streams_max = streams_max(device.geometry());
    let mut io = Blocking::new(device)?;
    let mut labels = match find_labels(&mut io, &zones)? {
        FoundLabels::Found(labels) => *labels,
        FoundLabels::Refused(state) => return Ok(MountOutcome::Refused(state)),
    };
    let mut mount = match Mount::new(&mut io, labels.label.clone(), &zones) {
        Ok(mount) => mount,
        Err(state) => return Ok(MountOutcome::Refused(state)),
    };
    let logs = mount.zones(&zones)?;
    let mut mounted = mount.finish(logs, streams_max)?;
    mounted.labels_renewed = renew_labels(&mut io, &mut mounted.zones, &mut labels)?;
    mounted.remains = find_remains(&mut io, &mut mounted.zones, &labels)?;
    mounted.labels = labels;
    Ok(MountOutcome::Mounted(Box::new(mounted)))
}

/// How often a flush is tried before a mount. A drive tells a failure once, and what it lost by it is then gone.
const FLUSHES_MAX: u32 = 4;

/// Makes durable what the drive has in its cache. An engine before this one may have ended without a power cut, and left
/// groups there that nobody was told of: what a mount finds it gives out, so it must stay.
fn settle_cache(device: &mut dyn Device) -> Result<(), DeviceError> {
    let mut io = Blocking::new(device)?;
    let mut last = Ok(());
    for _ in 0..FLUSHES_MAX {
        last = io.flush();
        match &last {
            Ok(()) | Err(DeviceError::Gone) => return last,
            Err(error) => tracing::error!(%error, "a flush before the mount failed"),
        }
    }
    last
}

fn check_geometry(device: &dyn Device) -> Result<(), String> {
    let geometry = device.geometry();
    let zone_units = geometry.zone_size_bytes / UNIT_BYTES as u64;
    let unit_bytes = UNIT_BYTES as u64;
    let units = [geometry.write_unit_bytes, geometry.logical_block_bytes];
    if !units.iter().all(|unit| unit_bytes.is_multiple_of(u64::from(*unit))) {
        return Err(format!(
            "it is written in units of {} bytes, and this version writes units of {UNIT_BYTES}",
            geometry.write_unit_bytes
        ));
    }
    if zone_units > u64::from(u32::MAX) || u64::from(geometry.zone_count) * zone_units > 1 << PLACE_BITS {
        return Err("it is larger than the 256 TiB that this version's index can address".into());
    }
    Ok(())
}

struct Mount<'a, 'b> {
    io: &'a mut Blocking<'b>,
    label: Label,
    index: Index,
    zones: ZoneTable,
    lost_records: u64,
    next_checkpoint: u64,
    base: Option<Base>,
    /// See [`crate::restoring`]: a checkpoint may stand that was not read now.
    is_one_hidden: bool,
}

impl<'a, 'b> Mount<'a, 'b> {
    fn new(io: &'a mut Blocking<'b>, label: Label, zones: &[Zone]) -> Result<Self, State> {
        let zone_units = u32::try_from(label.zone_size_bytes / UNIT_BYTES as u64).unwrap_or(u32::MAX);
        let index =
            Index::new(label.blocks_max, zone_units, label.secret).map_err(|_| State::Incompatible {
                reason: format!(
                    "its index of {} blocks needs {} bytes of memory, and the machine does not give them",
                    label.blocks_max,
                    Index::memory_bytes(label.blocks_max)
                ),
            })?;
        let mut zones = ZoneTable::new(zones);
        if label.checkpoint_slot_zones > 0 || slot_zones_wanted(&zones, label.blocks_max) > 0 {
            zones.keep_out_of_conventional();
        }
        Ok(Self {
            io,
            index,
            zones,
            lost_records: 0,
            next_checkpoint: 1,
            base: None,
            is_one_hidden: false,
            label,
        })
    }

    /// Finds what each zone holds; gives the logs that are to be replayed, oldest first.
    fn zones(&mut self, zones: &[Zone]) -> Result<Vec<ZoneLog>, DeviceError> {
        let found = find_checkpoint(self.io, &self.label, &self.zones, &mut self.index)?;
        self.next_checkpoint = found.next_number;
        self.base = found.base;
        self.is_one_hidden = found.is_one_hidden;
        let mut logs = Vec::new();
        for zone in zones {
            if self.label.label_zones.contains(&zone.index) {
                self.zones.get_mut(zone.index).role = ZoneRole::Label;
            } else if self.label.is_checkpoint_zone(zone.index) {
                self.zones.get_mut(zone.index).role = ZoneRole::Checkpoint;
            } else if let Some(base) = self.base.take() {
                let cell = base.zones[zone.index as usize];
                let log = self.zone_since(zone, &cell, &base)?;
                logs.extend(log);
                self.base = Some(base);
            } else if zone.condition != Condition::Offline && zone.condition != Condition::Empty {
                logs.extend(self.zone(zone)?);
            }
        }
        self.drop_ended_lives();
        logs.sort_by_key(|log| log.first_sequence);
        Ok(logs)
    }

    /// What a zone has become since the checkpoint (FORMAT.md, "Checkpoint", rules 3 and 4).
    fn zone_since(
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
            ZoneCellRole::Free if zone.condition == Condition::Offline => Ok(None),
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
            // mounted once more, takes what is written there for that life.
            ZoneCellRole::Open | ZoneCellRole::Sealed | ZoneCellRole::Fenced | ZoneCellRole::Trash
                if is_empty =>
            {
                entry.incarnation = cell.incarnation;
                entry.freed_by = freed_by;
                entry.role = ZoneRole::Reset;
                Ok(None)
            }
            ZoneCellRole::Open => {
                entry.take_cell(cell, ZoneRole::Fenced);
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
                entry.role = ZoneRole::Lost;
                Ok(None)
            }
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

    /// Entries of the index in lives that have ended since the checkpoint: what they named was killed or moved.
    fn drop_ended_lives(&mut self) {
        if self.base.is_some() {
            let zones = &self.zones;
            self.index.retain(|location| {
                !matches!(zones.get(location.zone).role, ZoneRole::Reset | ZoneRole::Free)
            });
        }
    }

    /// What a zone holds, of which nothing is known.
    fn zone(&mut self, zone: &Zone) -> Result<Option<ZoneLog>, DeviceError> {
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
            (HeaderUnit::Blank, None) if zone.kind == ZoneKind::Conventional => return Ok(None),
            _ => match self.incarnation_of_first_record(zone.index)? {
                // An engine opens a zone with the log's next sequence as its incarnation.
                Some(incarnation) => (incarnation, 0),
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

    /// The life of a zone whose header and footer are both damaged, as its first record tells it.
    fn incarnation_of_first_record(&mut self, zone: u32) -> Result<Option<u64>, DeviceError> {
        let label = &self.label;
        let bytes = match self.io.read(zone, 1, 1) {
            Ok(bytes) => bytes,
            Err(DeviceError::Gone) => return Err(DeviceError::Gone),
            Err(_) => return Ok(None),
        };
        Ok(imbrex_format::claimed_incarnation(bytes).filter(|incarnation| {
            let scope = ZoneScope::new(label, zone, *incarnation);
            imbrex_format::decode_record_header(bytes, &scope, 1).is_ok()
        }))
    }

    /// Something is written that neither a header, nor a footer, nor a record explains: it is kept, and never written
    /// to. A zone of one unit has lost nothing: a crash tore its header, and no record can have followed. It may have been
    /// finished since.
    fn lose_zone(&mut self, zone: u32) -> Result<(), DeviceError> {
        let written_units = self.zones.get(zone).written_units;
        let holds_records = written_units != 1 && !self.is_blank(zone, 1)?;
        self.zones.get_mut(zone).role = ZoneRole::Lost;
        if holds_records {
            tracing::error!(zone, "a zone is written, and nothing in it can be read: what it held is lost");
            self.lost_records += 1;
        }
        finish_zone(self.io, &mut self.zones, zone)
    }

    /// Whether a unit reads as one to which nothing was written.
    fn is_blank(&mut self, zone: u32, unit: u32) -> Result<bool, DeviceError> {
        match self.io.read(zone, unit, 1) {
            Ok(bytes) => Ok(bytes.iter().all(|byte| *byte == 0)),
            Err(DeviceError::Gone) => Err(DeviceError::Gone),
            Err(_) => Ok(false),
        }
    }

    fn read_header(&mut self, zone: u32) -> Result<HeaderUnit, DeviceError> {
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
    fn read_trailer(&mut self, zone: &Zone) -> Result<Option<Trailer>, DeviceError> {
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

    fn finish(self, logs: Vec<ZoneLog>, streams_max: usize) -> Result<Mounted, DeviceError> {
        let Self { io, label, index, zones, lost_records, mut next_checkpoint, base, is_one_hidden } = self;
        let capacity_units = zones.iter().map(|(_, zone)| zone.capacity_units).max().unwrap_or(0);
        let entries_max = ENTRIES_MAX.min(capacity_units as usize);
        let open = OpenZones::new(streams_max, entries_max);
        let mut replay = Replay::new(io, &label, index, zones, open, lost_records);
        // One that is read another time knows nothing of what is written from now on in zones that it calls closed.
        let is_one_hidden = is_one_hidden && !is(Mutation::ForgetHiddenCheckpoint);
        replay.may_resume = !is_one_hidden;
        if let Some(base) = &base {
            replay.last_sequence = base.end.next_sequence;
            replay.last_group = base.end.next_group.saturating_sub(1);
        }
        replay.run(logs)?;
        let Replay { index, mut zones, open, last_sequence, last_group, lost_records, damaged, .. } = replay;
        let next_sequence =
            last_sequence.max(1) + if is(Mutation::NoSequenceJump) { 1 } else { SEQUENCE_JUMP };
        if is_one_hidden {
            if base.is_none() {
                // Higher than the number of any before: each of them has taken a sequence at least.
                next_checkpoint = next_checkpoint.max(next_sequence);
            }
            // It may call used what is empty now, and take a new life for the one that it knows.
            zones.keep_free_until(next_checkpoint + 1);
        }
        zones.count_free();
        // The newest as when it was completed, for a crash may have come between; others may be torn, or whole and not read.
        for zone in label.checkpoint_slot(0).chain(label.checkpoint_slot(1)) {
            finish_zone(io, &mut zones, zone)?;
        }
        Ok(Mounted {
            index,
            zones,
            open,
            next_sequence,
            next_group: last_group + 1,
            lost_records,
            damaged,
            checkpoint: base.map(|base| MountedCheckpoint { slot: base.slot, number: base.end.number }),
            next_checkpoint,
            labels: Labels { label, generations: [None; 2] },
            remains: Vec::new(),
            labels_renewed: 0,
        })
    }
}

/// Finishes a zone that takes no more records, so that it is not active. A drive that refuses loses nothing by it.
pub(crate) fn finish_zone(
    io: &mut Blocking<'_>,
    zones: &mut ZoneTable,
    zone: u32,
) -> Result<(), DeviceError> {
    let entry = zones.get_mut(zone);
    let active =
        matches!(entry.condition, Condition::ImplicitOpen | Condition::ExplicitOpen | Condition::Closed);
    if !active {
        return Ok(());
    }
    match io.zone(zone, ZoneOperation::Finish) {
        Ok(()) => {
            entry.condition = Condition::Full;
            Ok(())
        }
        Err(DeviceError::Gone) => Err(DeviceError::Gone),
        Err(error) => {
            tracing::warn!(zone, %error, "a zone that takes no more records was not finished");
            Ok(())
        }
    }
}

enum HeaderUnit {
    Header(ZoneHeader),
    /// Nothing but zeros.
    Blank,
    Damaged,
}
