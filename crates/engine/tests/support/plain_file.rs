//! A zoned drive in a sparse file that keeps nothing in memory but a few bytes a zone, so that the memory of an engine
//! over it is the engine's own. It has no faults and no time: an operation is done when it is submitted.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use imbrex_zoned::{
    Buffer, BufferPool, Completion, Condition, Device, DeviceError, Geometry, Identity, Token, Waker, Zone,
    ZoneKind, ZoneOperation,
};

const IN_FLIGHT_MAX: usize = 64;

pub struct PlainFile {
    file: File,
    identity: Identity,
    geometry: Geometry,
    pool: BufferPool,
    /// The write pointers, in bytes from the start of each zone.
    pointers: Vec<u64>,
    done: Vec<Completion>,
}

impl PlainFile {
    /// A new drive with the serial `TEST`.
    pub fn new(zone_count: u32, zone_size_bytes: u64, pool: BufferPool) -> Self {
        let identity = Identity { serial: Some("TEST".into()), bus: "file".into(), ..Identity::default() };
        let geometry = Geometry {
            logical_block_bytes: 4096,
            write_unit_bytes: 4096,
            zone_count,
            zone_size_bytes,
            zone_open_max: Some(128),
            zone_active_max: None,
            device_bytes: u64::from(zone_count) * zone_size_bytes,
            rotational: true,
        };
        // Of the machine's memory, and none of the process's.
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.set_len(geometry.device_bytes).unwrap();
        let pointers = vec![0; zone_count as usize];
        Self { file, identity, geometry, pool, pointers, done: Vec::with_capacity(IN_FLIGHT_MAX) }
    }

    fn finish(&mut self, token: Token, result: Result<(), DeviceError>, buffer: Option<Buffer>) {
        self.done.push(Completion { token, result, buffer });
    }

    fn is_full(&self) -> bool {
        self.done.len() >= IN_FLIGHT_MAX
    }
}

impl Device for PlainFile {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn pool(&self) -> &BufferPool {
        &self.pool
    }

    fn report_zones(&mut self) -> Result<Vec<Zone>, DeviceError> {
        let capacity_bytes = self.geometry.zone_size_bytes;
        let zone = |(index, pointer): (u32, &u64)| Zone {
            index,
            kind: ZoneKind::SequentialWriteRequired,
            condition: match *pointer {
                0 => Condition::Empty,
                pointer if pointer == capacity_bytes => Condition::Full,
                _ => Condition::Closed,
            },
            capacity_bytes,
            write_pointer_bytes: (*pointer < capacity_bytes).then_some(*pointer),
        };
        Ok((0..).zip(&self.pointers).map(zone).collect())
    }

    fn in_flight_max(&self) -> usize {
        IN_FLIGHT_MAX
    }

    fn submit_read(
        &mut self,
        token: Token,
        offset_bytes: u64,
        mut buffer: Buffer,
        length_bytes: usize,
    ) -> Result<(), (DeviceError, Buffer)> {
        if self.is_full() {
            return Err((DeviceError::QueueFull, buffer));
        }
        self.file.read_exact_at(&mut buffer[..length_bytes], offset_bytes).unwrap();
        self.finish(token, Ok(()), Some(buffer));
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
        let zone = usize::try_from(offset_bytes / self.geometry.zone_size_bytes).unwrap();
        assert_eq!(offset_bytes % self.geometry.zone_size_bytes, self.pointers[zone], "at the write pointer");
        self.file.write_all_at(&buffer, offset_bytes).unwrap();
        self.pointers[zone] += buffer.len() as u64;
        assert!(self.pointers[zone] <= self.geometry.zone_size_bytes, "within the zone");
        self.finish(token, Ok(()), Some(buffer));
        Ok(())
    }

    fn submit_flush(&mut self, token: Token) -> Result<(), DeviceError> {
        if self.is_full() {
            return Err(DeviceError::QueueFull);
        }
        self.finish(token, Ok(()), None);
        Ok(())
    }

    fn submit_zone(&mut self, token: Token, zone: u32, operation: ZoneOperation) -> Result<(), DeviceError> {
        if self.is_full() {
            return Err(DeviceError::QueueFull);
        }
        match operation {
            ZoneOperation::Reset => self.pointers[zone as usize] = 0,
            ZoneOperation::Finish => self.pointers[zone as usize] = self.geometry.zone_size_bytes,
            ZoneOperation::Open | ZoneOperation::Close => {}
        }
        self.finish(token, Ok(()), None);
        Ok(())
    }

    fn wait(
        &mut self,
        _timeout: Option<Duration>,
        completions: &mut Vec<Completion>,
    ) -> Result<(), DeviceError> {
        completions.append(&mut self.done);
        Ok(())
    }

    fn waker(&self) -> Waker {
        Waker::new(|| {})
    }
}
