//! Imbrex's engine over a drive kept in a file.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use imbrex_engine::{
    Class, EngineError, FormatOrder, Handle, Lifetime, Options, PutRequest, RangeRequest, Replace, State,
    Stats,
};
use imbrex_format::{PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::{Buffer, Device};

use crate::contender::{Contender, Key};
use crate::drive_file::{Backend, Shape};

/// How long a put waits before it asks again for memory, or for a place in the engine.
const RETRY: Duration = Duration::from_micros(200);
/// How long a dead zone rests before its reset. By default that is minutes, which is longer than a run here.
const TRASH_REST: Duration = Duration::from_millis(200);
/// How long a put is tried at most.
const TRY_MAX: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Imbrex {
    handle: Handle,
    backend: Backend,
    capacity_bytes: u64,
}

impl Imbrex {
    /// Starts an engine on an empty drive and formats it for `blocks_max` blocks.
    pub(crate) fn create(device: Box<dyn Device>, backend: Backend, blocks_max: u64) -> Result<Self> {
        let serial = device.identity().serial.clone().context("the drive file has no serial")?;
        let options = Options { trash_rest: TRASH_REST, ..Options::default() };
        let handle = Handle::start(device, &options)?;
        let began = Instant::now();
        while handle.status().state == State::Mounting {
            if began.elapsed() > TRY_MAX {
                bail!("the engine did not mount the empty drive in {} s", TRY_MAX.as_secs());
            }
            thread::sleep(RETRY);
        }
        let order = FormatOrder { serial, replace: Replace::Nothing, blocks_max: Some(blocks_max) };
        let status = block_on(handle.format(order))?;
        if status.state != State::Serving {
            bail!("the drive is {} after its format", status.state.name());
        }
        Ok(Self { handle, backend, capacity_bytes: status.free_bytes })
    }

    /// The engine's handle, for those who keep several requests under way.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// What the engine has done; it publishes its figures every 50 ms.
    pub(crate) fn stats(&self) -> Stats {
        thread::sleep(Duration::from_millis(120));
        self.handle.stats()
    }

    /// Stops the engine in order.
    pub(crate) fn stop(self) {
        block_on(self.handle.stop());
    }
}

/// A request to store `payload`, checksums made; `None` where the pool has no room at the moment.
///
/// # Errors
///
/// Where the payload does not fit a record.
pub(crate) fn put_request(handle: &Handle, key: &Key, payload: &[u8]) -> Result<Option<PutRequest>> {
    let Some(mut buffer) = buffer_for(handle, payload.len()) else { return Ok(None) };
    let mut writer = PayloadWriter::new(payload.len());
    writer.write(&mut buffer, payload)?;
    writer.finish(&mut buffer)?;
    let payload_bytes = u32::try_from(payload.len())?;
    Ok(Some(new_request(key, buffer, payload_bytes)))
}

fn buffer_for(handle: &Handle, payload_bytes: usize) -> Option<Buffer> {
    handle.pool().try_allocate(record_units(payload_bytes) as usize * UNIT_BYTES)
}

fn new_request(key: &Key, buffer: Buffer, payload_bytes: u32) -> PutRequest {
    PutRequest {
        key: imbrex_format::Key(*key),
        buffer,
        payload_bytes,
        class: Class::Foreground,
        lifetime: Lifetime::Unknown,
    }
}

impl Contender for Imbrex {
    fn describe(&self) -> String {
        format!(
            "Imbrex: its engine over a drive file ({}), zones of {} MiB, {} MiB of buffers, dead zones rest {} ms; checksums of \
             every byte",
            self.backend.name(),
            self.handle.geometry().zone_size_bytes >> 20,
            self.handle.pool().bytes_total() >> 20,
            TRASH_REST.as_millis()
        )
    }

    /// Every put is durable: the engine knows no other.
    fn put(&self, key: &Key, payload: &[u8], _durable: bool) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < TRY_MAX {
            let Some(request) = put_request(&self.handle, key, payload)? else {
                thread::sleep(RETRY);
                continue;
            };
            match block_on(self.handle.put(request)) {
                Ok(_) => return Ok(()),
                Err(EngineError::Overloaded { .. }) => thread::sleep(RETRY),
                Err(error) => return Err(error.into()),
            }
        }
        bail!("the engine was overloaded for {} s", TRY_MAX.as_secs())
    }

    fn get(&self, key: &Key, look: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let began = Instant::now();
        while began.elapsed() < TRY_MAX {
            match block_on(self.handle.get(imbrex_format::Key(*key), RangeRequest::Whole, Class::Foreground))
            {
                Ok(block) => {
                    look(block.as_ref());
                    return Ok(true);
                }
                Err(EngineError::NotFound) => return Ok(false),
                Err(EngineError::Overloaded { .. }) => thread::sleep(RETRY),
                Err(error) => return Err(error.into()),
            }
        }
        bail!("the engine was overloaded for {} s", TRY_MAX.as_secs())
    }

    fn delete(&self, key: &Key, _durable: bool) -> Result<()> {
        Ok(block_on(self.handle.delete(imbrex_format::Key(*key), Class::Foreground))?)
    }

    /// Reclaim has its own pace: waits until the engine has written nothing for half a second.
    fn settle(&self, seconds_max: u64) -> Result<()> {
        let began = Instant::now();
        let mut written_bytes = self.handle.stats().device_written_bytes;
        while began.elapsed() < Duration::from_secs(seconds_max) {
            thread::sleep(Duration::from_millis(500));
            let now_bytes = self.handle.stats().device_written_bytes;
            if now_bytes == written_bytes {
                break;
            }
            written_bytes = now_bytes;
        }
        Ok(())
    }

    fn capacity_bytes(&self) -> Option<u64> {
        Some(self.capacity_bytes)
    }

    fn used_bytes(&self) -> Option<u64> {
        let status = self.handle.status();
        Some(status.live_bytes + status.dead_bytes)
    }
}

/// Wakes the thread that waits in [`block_on`].
struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for `future` on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unparker(thread::current())));
    let mut context = TaskContext::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Makes an empty drive file and opens it.
///
/// # Errors
///
/// Where it cannot be made.
pub(crate) fn create(path: &Path, backend: Backend, shape: &Shape) -> Result<Imbrex> {
    Imbrex::create(backend.create(path, shape)?, backend, shape.blocks_max)
}
