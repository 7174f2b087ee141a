//! Reading units of a zone, through a window, so that small neighbouring records cost one read.

use imbrex_zoned::DeviceError;
use imbrex_zoned::read_only::ReadOnlyDrive;

use crate::record::RecordHeader;
use crate::unit::UNIT_BYTES;
use crate::verify::findings::Halt;

/// How much the window holds: 1 MiB.
const WINDOW_UNITS: u32 = 256;
/// How much is read at once where records are large.
const LOOK_UNITS: u32 = 4;
/// The longest run that is read at once: a record of 16 MiB, or a table of contents of about as much.
const RUN_UNITS_MAX: u32 = 4100;

/// Why units were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// See the module.
pub(super) struct Reader<'a> {
    drive: &'a mut dyn ReadOnlyDrive,
    zone_size_bytes: u64,
    window: Vec<u8>,
    window_zone: u32,
    window_first: u32,
    window_units: u32,
    run: Vec<u8>,
    pub(super) read_bytes: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(drive: &'a mut dyn ReadOnlyDrive) -> Self {
        Self {
            zone_size_bytes: drive.geometry().zone_size_bytes,
            drive,
            window: vec![0; WINDOW_UNITS as usize * UNIT_BYTES],
            window_zone: 0,
            window_first: 0,
            window_units: 0,
            run: Vec::new(),
            read_bytes: 0,
        }
    }

    pub(super) fn drive(&self) -> &dyn ReadOnlyDrive {
        self.drive
    }

    /// Unit `unit` of `zone`, of which at most the units below `end` are read. `looks_far` where its neighbours will be
    /// wanted too. Where a stretch cannot be read, the one unit is tried alone.
    pub(super) fn unit(
        &mut self,
        zone: u32,
        unit: u32,
        end: u32,
        looks_far: bool,
    ) -> Result<Result<&[u8], Unreadable>, Halt> {
        let held = self.window_first..self.window_first + self.window_units;
        if self.window_zone != zone || !held.contains(&unit) {
            let wanted = if looks_far { WINDOW_UNITS } else { LOOK_UNITS };
            let wanted = wanted.min(end.saturating_sub(unit)).max(1);
            let is_read = self.fill_window(zone, unit, wanted)? || self.fill_window(zone, unit, 1)?;
            if !is_read {
                return Ok(Err(Unreadable));
            }
        }
        let begin = (unit - self.window_first) as usize * UNIT_BYTES;
        Ok(Ok(&self.window[begin..begin + UNIT_BYTES]))
    }

    /// Units `first` to `first + count - 1`, at most as many as a record or a table has.
    pub(super) fn run(
        &mut self,
        zone: u32,
        first: u32,
        count: u32,
    ) -> Result<Result<&[u8], Unreadable>, Halt> {
        if count == 0 || count > RUN_UNITS_MAX {
            return Ok(Err(Unreadable));
        }
        let length = count as usize * UNIT_BYTES;
        let mut run = std::mem::take(&mut self.run);
        run.resize(run.len().max(length), 0);
        let read = self.read(zone, first, &mut run[..length]);
        self.run = run;
        Ok(if read? { Ok(&self.run[..length]) } else { Err(Unreadable) })
    }

    /// A record whole, its payload verified; `Err` says why not.
    pub(super) fn record(&mut self, zone: u32, header: &RecordHeader) -> Result<Result<&[u8], String>, Halt> {
        let Ok(bytes) = self.run(zone, header.unit_offset, header.unit_count)? else {
            return Ok(Err("it cannot be read".into()));
        };
        Ok(match crate::check_payload(bytes, header, 0..header.payload_bytes as usize) {
            Ok(()) => Ok(crate::payload(bytes, header)),
            Err(error) => Err(error.to_string()),
        })
    }

    fn fill_window(&mut self, zone: u32, first: u32, count: u32) -> Result<bool, Halt> {
        self.window_units = 0;
        let mut window = std::mem::take(&mut self.window);
        let read = self.read(zone, first, &mut window[..count as usize * UNIT_BYTES]);
        self.window = window;
        let is_read = read?;
        if is_read {
            (self.window_zone, self.window_first, self.window_units) = (zone, first, count);
        }
        Ok(is_read)
    }

    /// Whether the medium gave the units; any other failure is the drive's and not theirs.
    fn read(&mut self, zone: u32, first: u32, bytes: &mut [u8]) -> Result<bool, Halt> {
        let offset = u64::from(zone) * self.zone_size_bytes + u64::from(first) * UNIT_BYTES as u64;
        match self.drive.read_at(offset, bytes) {
            Ok(()) => {
                self.read_bytes += bytes.len() as u64;
                Ok(true)
            }
            Err(
                DeviceError::MediumRead { .. }
                | DeviceError::ZoneCondition { .. }
                | DeviceError::OutOfBounds { .. },
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
