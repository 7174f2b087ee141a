//! The drive behind its lock: its zones, its store, its cache and what is wrong with it.
//!
//! Invariants:
//!
//! * A change to a zone is kept before it counts, and data is written before the change that covers it.
//! * What ends in `_truly` does what a whole drive does; the others ask the source of faults first, if there is one.

use std::io;
use std::ops::Range;

use nix::libc::EIO;

use crate::simulated::faults::{Damage, FaultSource, RangeSet};
use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::queue::SharedQueue;
use crate::simulated::random::Random;
use crate::simulated::store::Store;
use crate::simulated::unflushed::Unflushed;
use crate::simulated::zone_table::{Change, ZoneState, ZoneTable};
use crate::{Condition, DeviceError, Geometry, Identity, Zone, ZoneKind, ZoneOperation};

/// The drive behind its lock.
pub(crate) struct DriveState {
    pub(crate) identity: Identity,
    pub(crate) geometry: Geometry,
    pub(crate) table: ZoneTable,
    pub(crate) store: Box<dyn Store>,
    pub(crate) unflushed: Unflushed,
    /// Whether the bytes under a write to a conventional zone are kept, so that a crash can bring them back.
    keeps_overwritten: bool,
    /// The number of the connection that is alive.
    pub(crate) connection: u64,
    /// What is in flight on that connection.
    pub(crate) queue: SharedQueue,
    /// The source of faults, once there is one.
    pub(crate) faults: Option<Box<FaultSource>>,
    pub(crate) damage: Damage,
    /// What cannot be read for now, and is whole.
    pub(crate) concealed: RangeSet,
    /// What was written in conventional zones since the drive was made or its file opened.
    pub(crate) conventional_written: RangeSet,
    /// The zones that kept their old bytes when they were reset: ranges of whole zones.
    pub(crate) kept_old: RangeSet,
    /// What decides the order in which operations complete. `None`: all, in the order in which they were submitted.
    pub(crate) scheduling: Option<Random>,
}

impl DriveState {
    pub(crate) fn new(
        identity: Identity,
        shape: &SimulatedGeometry,
        zones: Vec<ZoneState>,
        store: Box<dyn Store>,
        keeps_overwritten: bool,
    ) -> Self {
        let geometry = shape.geometry();
        let table = ZoneTable::new(geometry.clone(), zones);
        Self {
            identity,
            geometry,
            table,
            store,
            unflushed: Unflushed::default(),
            keeps_overwritten,
            connection: 0,
            queue: SharedQueue::default(),
            faults: None,
            damage: Damage::default(),
            concealed: RangeSet::default(),
            conventional_written: RangeSet::default(),
            kept_old: RangeSet::default(),
            scheduling: None,
        }
    }

    pub(crate) fn report(&self) -> Vec<Zone> {
        self.table.report()
    }

    /// The error of a write that overtakes one in flight in the same sequential zone; `None` in other zones.
    pub(crate) fn overtaking(&self, offset_bytes: u64) -> Option<DeviceError> {
        let zone = u32::try_from(offset_bytes / self.geometry.zone_size_bytes).ok()?;
        let sequential = zone < self.geometry.zone_count
            && self.table.state(zone).kind == ZoneKind::SequentialWriteRequired;
        let at = offset_bytes % self.geometry.zone_size_bytes;
        sequential.then(|| self.table.not_at_write_pointer(zone, at))
    }

    pub(crate) fn read(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        match self.faults.take() {
            None => self.read_truly(offset_bytes, bytes),
            Some(mut faults) => {
                let read = self.read_among_faults(&mut faults, offset_bytes, bytes);
                self.faults = Some(faults);
                read
            }
        }
    }

    pub(crate) fn write(&mut self, offset_bytes: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        match self.faults.take() {
            None => self.write_truly(offset_bytes, bytes),
            Some(mut faults) => {
                let written = self.write_among_faults(&mut faults, offset_bytes, bytes);
                self.faults = Some(faults);
                written
            }
        }
    }

    /// Counts a flush as submitted, and returns the number by which it is carried out.
    pub(crate) fn submit_flush(&mut self) -> u64 {
        self.unflushed.submit_flush()
    }

    pub(crate) fn flush(&mut self, flush: u64) -> Result<(), DeviceError> {
        match self.faults.take() {
            None => self.flush_truly(flush),
            Some(mut faults) => {
                let flushed = self.flush_among_faults(&mut faults, flush);
                self.faults = Some(faults);
                flushed
            }
        }
    }

    pub(crate) fn order(&mut self, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        match self.faults.take() {
            None => self.order_truly(zone, operation),
            Some(mut faults) => {
                let done = self.order_among_faults(&mut faults, zone, operation);
                self.faults = Some(faults);
                done
            }
        }
    }

    /// Reads what stands on the medium. Where it cannot be read, it fails.
    pub(crate) fn read_truly(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let length_bytes = bytes.len() as u64;
        let (_, mut stored_bytes) = self.table.read(offset_bytes, length_bytes)?;
        let failed = DeviceError::MediumRead { offset_bytes, length_bytes };
        let range = offset_bytes..offset_bytes + length_bytes;
        if self.damage.unreadable.touches(&range) || self.concealed.touches(&range) {
            return Err(failed);
        }
        if !self.kept_old.is_empty() && self.kept_old.touches(&range) {
            stored_bytes = length_bytes;
        }
        let stored = usize::try_from(stored_bytes).unwrap_or(bytes.len()).min(bytes.len());
        let (stored, fill) = bytes.split_at_mut(stored);
        fill.fill(0);
        self.store.read(offset_bytes, stored).map_err(|_| failed)
    }

    /// Writes all of `bytes` where they belong.
    pub(crate) fn write_truly(&mut self, offset_bytes: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let length_bytes = bytes.len() as u64;
        let (zone, changes) = self.table.write(offset_bytes, length_bytes)?;
        let range = offset_bytes..offset_bytes + length_bytes;
        self.remember_overwritten(zone, &range)?;
        self.store.write(offset_bytes, bytes).map_err(|error| match error.raw_os_error() {
            Some(EIO) => DeviceError::MediumWrite { offset_bytes, length_bytes },
            _ => system("writing the simulated drive", &error),
        })?;
        if !self.damage.is_none() {
            self.damage.heal(range.clone());
        }
        self.advance(zone, &range, &changes)
    }

    /// Keeps what a write to `range` of `zone` is about to overwrite, where a crash could bring it back.
    pub(crate) fn remember_overwritten(&mut self, zone: u32, range: &Range<u64>) -> Result<(), DeviceError> {
        if self.table.state(zone).kind != ZoneKind::Conventional {
            return Ok(());
        }
        self.conventional_written.insert(range.clone());
        if self.keeps_overwritten {
            let mut before = vec![0; usize::try_from(range.end - range.start).unwrap_or_default()];
            let read = self.store.read(range.start, &mut before);
            read.map_err(|error| system("reading what a write overwrites", &error))?;
            let wrong_before = self.damage.wrong.within(range.clone()).collect();
            let at = range.start % self.geometry.zone_size_bytes;
            self.unflushed.wrote_conventional(zone, at, before, wrong_before);
        }
        Ok(())
    }

    /// Moves the write pointer of `zone` over `range`, which was written.
    pub(crate) fn advance(
        &mut self,
        zone: u32,
        range: &Range<u64>,
        changes: &[Change],
    ) -> Result<(), DeviceError> {
        self.change(changes)?;
        if self.table.state(zone).kind == ZoneKind::SequentialWriteRequired {
            let start = self.geometry.zone_start_bytes(zone);
            self.unflushed.wrote_sequential(zone, range.start - start, range.end - start);
        }
        Ok(())
    }

    /// Makes durable what flush `flush` covers.
    pub(crate) fn flush_truly(&mut self, flush: u64) -> Result<(), DeviceError> {
        self.store.sync().map_err(|_| DeviceError::Flush)?;
        self.unflushed.flushed(flush);
        Ok(())
    }

    /// Carries out an order to a zone.
    pub(crate) fn order_truly(&mut self, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        let changes = self.table.order(zone, operation)?;
        self.change(&changes)?;
        if operation == ZoneOperation::Reset {
            let range = self.forget(zone);
            self.kept_old.remove(range.clone());
            // The zone is empty already: what is left there can no longer be read.
            let discarded = self.store.discard(range.start, range.end - range.start);
            discarded.map_err(|error| system("giving back the room of a zone", &error))?;
        }
        Ok(())
    }

    /// Forgets what is known of the data in a zone that was reset, and returns the zone's range.
    pub(crate) fn forget(&mut self, zone: u32) -> Range<u64> {
        self.unflushed.reset(zone);
        let range = self.zone_range(zone);
        if !self.damage.is_none() {
            self.damage.heal(range.clone());
        }
        range
    }

    /// The bytes of a zone.
    pub(crate) fn zone_range(&self, zone: u32) -> Range<u64> {
        let start = self.geometry.zone_start_bytes(zone);
        start..start + self.geometry.zone_size_bytes
    }

    /// Keeps each change before it counts.
    pub(crate) fn change(&mut self, changes: &[Change]) -> Result<(), DeviceError> {
        for &change in changes {
            let saved = self.store.save_zone(change.zone, change.state);
            saved.map_err(|error| system("writing the simulated drive's zone table", &error))?;
            self.table.apply(change);
        }
        Ok(())
    }

    /// Sets a zone read-only or offline.
    pub(crate) fn wear(&mut self, zone: u32, condition: Condition) -> Result<(), DeviceError> {
        let worn = ZoneState { condition, ..self.table.state(zone) };
        self.change(&[Change { zone, state: worn }])
    }

    pub(crate) fn close_open_zones(&mut self) -> Result<(), DeviceError> {
        let changes: Vec<Change> = (0..self.geometry.zone_count)
            .map(|zone| Change { zone, state: self.table.state(zone) })
            .filter(|change| change.state.is_open())
            .map(|change| Change { state: change.state.closed(), ..change })
            .collect();
        self.change(&changes)
    }
}

pub(crate) fn system(operation: &'static str, error: &io::Error) -> DeviceError {
    DeviceError::System { operation, errno: error.raw_os_error().unwrap_or(EIO) }
}
