//! A device that takes as long as a disk would.
//!
//! Invariants:
//!
//! * An operation reaches the device behind when the model has ended it, not before: what it reads is what stood there
//!   then, and a drive that crashes has seen only what had ended.
//! * Nothing ever sleeps, save a wait without a timeout while nothing is in flight, which waits for another thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::simulated::SimulatedDevice;
use crate::simulated::disk::{Breakdown, Command, Disk, DiskParameters};
use crate::simulated::timed::clock::VirtualClock;
use crate::simulated::timed::pending::{Pending, Work};
use crate::simulated::timed::zone_view::ZoneView;
use crate::simulated::wakeup::Wakeup;
use crate::{
    Buffer, BufferPool, Completion, Condition, Device, DeviceError, Geometry, Identity, Token, Waker, Zone,
    ZoneOperation,
};

/// A device in virtual time over one without.
///
/// [`Device::wait`] moves the clock to the next completion, or by the timeout, and comes back at once. Several devices
/// may share a clock; one that waits for longer than the next event of another makes that one late.
///
/// ```
/// use std::time::Duration;
/// use imbrex_zoned::simulated::disk::DiskParameters;
/// use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry, TimedDevice, VirtualClock};
/// use imbrex_zoned::{BufferPool, Device, Token};
///
/// let pool = BufferPool::new(1 << 20).unwrap();
/// let geometry = SimulatedGeometry { conventional_zones: 0, ..SimulatedGeometry::default() };
/// let parameters = DiskParameters { device_bytes: geometry.device_bytes(), ..DiskParameters::derived_20_tb() };
/// let clock = VirtualClock::new();
/// let device = SimulatedDevice::in_memory(geometry, pool.clone()).unwrap();
/// let mut device = TimedDevice::new(device, parameters, clock.clone()).unwrap();
/// let mut completions = Vec::new();
/// device.submit_write(Token(1), 0, pool.try_allocate(1 << 20).unwrap()).unwrap();
/// device.wait(Some(Duration::from_secs(1)), &mut completions).unwrap();
/// assert_eq!(completions.len(), 1);
/// assert!((1900..2100).contains(&clock.now_us()), "a MiB crosses the cable in 1.9 ms");
/// device.submit_flush(Token(2)).unwrap();
/// device.wait(Some(Duration::from_secs(1)), &mut completions).unwrap();
/// assert!(device.breakdown().transfer_ns > 3_500_000, "it is on the medium");
/// ```
pub struct TimedDevice<D = SimulatedDevice> {
    behind: D,
    /// What the device behind has and has not completed: only a drive with faults holds operations back.
    behind_count: usize,
    geometry: Geometry,
    disk: Disk,
    clock: VirtualClock,
    pending: Pending,
    ready: VecDeque<Completion>,
    zones: Vec<ZoneView>,
    /// Why nothing more can be expected of the device behind.
    failed: Option<DeviceError>,
    woken: Arc<AtomicBool>,
    wakeup: Arc<Wakeup>,
}

impl<D: Device> TimedDevice<D> {
    /// Puts `behind` into the time of `clock`, on a disk of `parameters` at rest.
    ///
    /// # Errors
    ///
    /// Where the device behind does not report its zones.
    ///
    /// # Panics
    ///
    /// Where the disk is smaller than the device.
    pub fn new(behind: D, parameters: DiskParameters, clock: VirtualClock) -> Result<Self, DeviceError> {
        let mut behind = behind;
        let geometry = behind.geometry().clone();
        assert!(geometry.device_bytes <= parameters.device_bytes, "the disk is smaller than the device");
        let zones = behind.report_zones()?.iter().map(ZoneView::of).collect();
        let mut disk = Disk::new(parameters);
        disk.advance(clock.now_ns());
        Ok(Self {
            behind,
            behind_count: 0,
            geometry,
            disk,
            clock,
            pending: Pending::default(),
            ready: VecDeque::new(),
            zones,
            failed: None,
            woken: Arc::default(),
            wakeup: Arc::default(),
        })
    }

    /// The clock.
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// What the disk's arm has done since the device was made, up to the last wait.
    pub fn breakdown(&self) -> Breakdown {
        self.disk.breakdown()
    }

    /// The device behind.
    pub fn behind(&self) -> &D {
        &self.behind
    }

    /// The device behind, for whoever works on it out of time. What is written there is not seen by the model.
    pub fn behind_mut(&mut self) -> &mut D {
        &mut self.behind
    }

    /// The device behind alone. What is in flight is dropped.
    pub fn into_behind(self) -> D {
        self.behind
    }

    fn is_full(&self) -> bool {
        self.pending.len() + self.behind_count + self.ready.len() >= self.in_flight_max()
    }

    /// Whether an operation goes beyond the drive's end: the device behind refuses it, and the disk never sees it.
    fn ends_beyond(&self, offset_bytes: u64, length_bytes: u64) -> bool {
        offset_bytes.checked_add(length_bytes).is_none_or(|end_bytes| end_bytes > self.geometry.device_bytes)
    }

    fn zone_of(&self, offset_bytes: u64) -> Option<(u32, ZoneView)> {
        let zone = u32::try_from(offset_bytes / self.geometry.zone_size_bytes).ok()?;
        self.zones.get(zone as usize).map(|view| (zone, *view))
    }

    /// How many bytes of a read the disk has to fetch; the device behind tells what is wrong with a wrong one.
    fn stored_bytes(&self, offset_bytes: u64, length_bytes: u64) -> u64 {
        let at = offset_bytes % self.geometry.zone_size_bytes;
        match self.zone_of(offset_bytes) {
            Some((_, view)) if view.sequential => view.written_bytes.saturating_sub(at).min(length_bytes),
            Some(_) => length_bytes,
            None => 0,
        }
    }

    /// The error of a write that overtakes one in flight in the same sequential zone.
    fn overtaking(&self, offset_bytes: u64) -> Option<DeviceError> {
        let (zone, view) = self.zone_of(offset_bytes).filter(|(_, view)| view.sequential)?;
        let start_bytes = self.geometry.zone_start_bytes(zone);
        let end_bytes = start_bytes + self.geometry.zone_size_bytes;
        let write_pointer_bytes = view.written_bytes;
        let offset_bytes = offset_bytes - start_bytes;
        let error = DeviceError::NotAtWritePointer { zone, write_pointer_bytes, offset_bytes };
        self.pending.writes_within(start_bytes, end_bytes).then_some(error)
    }

    /// Lets the disk work until the clock's time, and carries out what has ended.
    fn catch_up(&mut self) {
        let now_ns = self.clock.now_ns();
        // A write's next part begins when the one before has ended, so that events are taken one by one.
        while let Some(event_ns) = self.disk.next_event_ns().filter(|&event_ns| event_ns <= now_ns) {
            self.disk.advance(event_ns);
            self.carry_out_ended(None);
        }
        self.disk.advance(now_ns);
    }

    /// Carries out the operations that the disk has ended. Whether `command`, which belongs to none, is among what ended.
    fn carry_out_ended(&mut self, command: Option<u64>) -> bool {
        let ended: Vec<(u64, u64)> = self.disk.take_done().collect();
        for &(ended, _) in &ended {
            if let Some((token, work)) = self.pending.ended(&mut self.disk, ended) {
                self.carry_out(token, work);
            }
        }
        ended.iter().any(|(ended, _)| Some(*ended) == command)
    }

    /// Hands an operation to the device behind, and takes what that completes.
    fn carry_out(&mut self, token: Token, work: Work) {
        let refused = match work {
            Work::Read { offset_bytes, buffer, length_bytes } => self
                .behind
                .submit_read(token, offset_bytes, buffer, length_bytes)
                .map_err(|(error, buffer)| (error, Some(buffer))),
            Work::Write { offset_bytes, buffer } => {
                self.wrote(offset_bytes, buffer.len() as u64);
                let submitted = self.behind.submit_write(token, offset_bytes, buffer);
                submitted.map_err(|(error, buffer)| (error, Some(buffer)))
            }
            Work::Flush => self.behind.submit_flush(token).map_err(|error| (error, None)),
            Work::Order { zone, operation } => {
                if let Some(view) = self.zones.get_mut(zone as usize)
                    && operation == ZoneOperation::Reset
                {
                    view.written_bytes = 0;
                }
                self.behind.submit_zone(token, zone, operation).map_err(|error| (error, None))
            }
        };
        match refused {
            Ok(()) => self.behind_count += 1,
            Err((error, buffer)) => {
                self.ready.push_back(Completion { token, result: Err(error), buffer });
            }
        }
        self.poll_behind(Some(Duration::ZERO));
    }

    fn wrote(&mut self, offset_bytes: u64, length_bytes: u64) {
        let zone = offset_bytes / self.geometry.zone_size_bytes;
        let at = offset_bytes % self.geometry.zone_size_bytes;
        let view = usize::try_from(zone).ok().and_then(|zone| self.zones.get_mut(zone));
        if let Some(view) = view.filter(|view| view.sequential && view.written_bytes == at) {
            view.written_bytes += length_bytes;
        }
    }

    fn poll_behind(&mut self, timeout: Option<Duration>) {
        if self.behind_count > 0 {
            let mut completions = Vec::new();
            self.failed = self.behind.wait(timeout, &mut completions).err();
            self.behind_count -= completions.len();
            self.ready.extend(completions);
        }
    }

    fn take_wake(&self) -> bool {
        let woken = self.woken.swap(false, Ordering::AcqRel);
        if woken {
            self.wakeup.wait(Some(Duration::ZERO));
        }
        woken
    }
}

impl<D: Device> Device for TimedDevice<D> {
    fn identity(&self) -> &Identity {
        self.behind.identity()
    }

    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn pool(&self) -> &BufferPool {
        self.behind.pool()
    }

    /// Takes the time of a report, during which the disk goes on with what is in flight.
    fn report_zones(&mut self) -> Result<Vec<Zone>, DeviceError> {
        self.catch_up();
        let number = self.pending.next_number();
        self.disk.submit(number, Command::ReportZones { zone_count: self.geometry.zone_count });
        while let Some(next_ns) = self.disk.next_event_ns() {
            self.disk.advance(next_ns);
            self.clock.advance_to_ns(next_ns);
            if self.carry_out_ended(Some(number)) {
                break;
            }
        }
        let zones = self.behind.report_zones()?;
        for (view, zone) in self.zones.iter_mut().zip(&zones) {
            // A full zone may hold less than its capacity: how much is known from what was written.
            if zone.condition != Condition::Full {
                *view = ZoneView::of(zone);
            }
        }
        Ok(zones)
    }

    fn in_flight_max(&self) -> usize {
        self.behind.in_flight_max()
    }

    fn submit_read(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
        length_bytes: usize,
    ) -> Result<(), (DeviceError, Buffer)> {
        if self.is_full() {
            return Err((DeviceError::QueueFull, buffer));
        }
        let stored_bytes = self.stored_bytes(offset_bytes, length_bytes as u64);
        let work = Work::Read { offset_bytes, buffer, length_bytes };
        self.catch_up();
        if self.ends_beyond(offset_bytes, length_bytes as u64) {
            self.carry_out(token, work);
            return Ok(());
        }
        self.pending.send_read(&mut self.disk, token, work, stored_bytes);
        Ok(())
    }

    fn submit_write(
        &mut self,
        token: Token,
        offset_bytes: u64,
        buffer: Buffer,
    ) -> Result<(), (DeviceError, Buffer)> {
        if self.is_full() {
            return Err((DeviceError::QueueFull, buffer));
        }
        if let Some(error) = self.overtaking(offset_bytes) {
            self.ready.push_back(Completion { token, result: Err(error), buffer: Some(buffer) });
            return Ok(());
        }
        let length_bytes = buffer.len() as u64;
        let work = Work::Write { offset_bytes, buffer };
        self.catch_up();
        if self.ends_beyond(offset_bytes, length_bytes) {
            self.carry_out(token, work);
        } else {
            self.pending.send(&mut self.disk, token, work, Command::Write { offset_bytes, length_bytes });
        }
        Ok(())
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        if self.is_full() {
            return Err(DeviceError::QueueFull);
        }
        self.catch_up();
        self.pending.send(&mut self.disk, token, Work::Flush, Command::Flush);
        Ok(())
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        if self.is_full() {
            return Err(DeviceError::QueueFull);
        }
        let start_bytes = self.geometry.zone_start_bytes(zone);
        let end_bytes = match operation {
            ZoneOperation::Reset => start_bytes + self.geometry.zone_size_bytes,
            _ => start_bytes,
        };
        let command = Command::ZoneOrder { dropped_bytes: (start_bytes, end_bytes) };
        self.catch_up();
        self.pending.send(&mut self.disk, token, Work::Order { zone, operation }, command);
        Ok(())
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        let until_ns = timeout.map(|timeout| {
            let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX / 2);
            self.clock.now_ns().saturating_add(timeout_ns)
        });
        loop {
            self.catch_up();
            self.poll_behind(Some(Duration::ZERO));
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.take_wake() || !self.ready.is_empty() {
                completions.extend(self.ready.drain(..));
                return Ok(());
            }
            match (self.disk.next_event_ns(), until_ns) {
                (Some(next_ns), _) if until_ns.is_none_or(|until_ns| next_ns <= until_ns) => {
                    self.clock.advance_to_ns(next_ns);
                }
                (_, Some(until_ns)) => {
                    self.clock.advance_to_ns(until_ns);
                    self.disk.advance(self.clock.now_ns());
                    return Ok(());
                }
                (_, None) if self.behind_count > 0 => self.poll_behind(None),
                (_, None) => {
                    self.wakeup.wait(None);
                    self.woken.store(false, Ordering::Release);
                    return Ok(());
                }
            }
        }
    }

    fn waker(&self) -> Waker {
        let (woken, waker) = (Arc::clone(&self.woken), self.wakeup.waker());
        Waker::new(move || {
            woken.store(true, Ordering::Release);
            waker.wake();
        })
    }
}
