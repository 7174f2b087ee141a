//! Mounting: from a drive of which nothing is known to one that serves.
//!
//! The label says whose the drive is. A checkpoint says what stood on it at one moment, and the report of zones which
//! zones have been written since: only those are read. Without a checkpoint every zone is asked what it holds. Then the
//! zones' logs are replayed ([`crate::replay`]). Nothing is written to the drive, save that zones which will take no more
//! records are finished, so that they do not count against the drive's limit of open zones, that first records of
//! conventional zones whose life has ended are overwritten, and that a label is written anew where it is stale or cannot be
//! read.

use imbrex_format::{Label, UNIT_BYTES};
use imbrex_zoned::{Condition, Device, DeviceError, Zone, ZoneOperation};

use crate::blocking::Blocking;
use crate::index::Index;
use crate::label_renewing::{find_remains, renew_labels};
use crate::labels::{FoundLabels, Labels, find_labels};
use crate::location::{Location, PLACE_BITS};
use crate::log::{ENTRIES_MAX, OpenZones, SEQUENCE_JUMP, streams_max};
use crate::mutation::{Mutation, is};
use crate::replay::{Replay, ZoneLog};
use crate::request::{State, ZoneRole};
use crate::restoring::{Base, find_checkpoint};
use crate::slots::slot_zones_wanted;
use crate::zone_table::ZoneTable;

mod probe;
mod since;

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
    /// The highest number of a checkpoint that may have counted.
    newest_checkpoint: u64,
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
            newest_checkpoint: 0,
            is_one_hidden: false,
            label,
        })
    }

    /// Finds what each zone holds; gives the logs that are to be replayed, oldest first.
    fn zones(&mut self, zones: &[Zone]) -> Result<Vec<ZoneLog>, DeviceError> {
        let found = find_checkpoint(self.io, &self.label, &self.zones, &mut self.index)?;
        self.next_checkpoint = found.next_number;
        self.base = found.base;
        self.newest_checkpoint = found.newest_number;
        self.is_one_hidden = found.is_one_hidden;
        self.leave_checkpoint_where_doubt_ends(zones)?;
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
        self.doubt_offline_zones(&logs);
        logs.sort_by_key(|log| log.first_sequence);
        Ok(logs)
    }

    fn finish(self, logs: Vec<ZoneLog>, streams_max: usize) -> Result<Mounted, DeviceError> {
        let Self { io, label, index, zones, lost_records, mut next_checkpoint, base, is_one_hidden, .. } =
            self;
        let capacity_units = zones.iter().map(|(_, zone)| zone.capacity_units).max().unwrap_or(0);
        let entries_max = ENTRIES_MAX.min(capacity_units as usize);
        let open = OpenZones::new(streams_max, entries_max);
        let mut replay = Replay::new(io, &label, index, zones, open, lost_records);
        // One that is read another time knows nothing of what is written from now on in zones that it calls closed.
        let is_one_hidden = is_one_hidden && !is(Mutation::ForgetHiddenCheckpoint);
        replay.may_resume = !is_one_hidden;
        replay.freed_by = next_checkpoint + 1;
        if let Some(base) = &base {
            replay.last_sequence = base.end.next_sequence;
            replay.last_group = base.end.next_group.saturating_sub(1);
        }
        replay.run(logs, base.as_ref())?;
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
            labels: Labels { generation_last: label.generation, label, generations: [None; 2] },
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
