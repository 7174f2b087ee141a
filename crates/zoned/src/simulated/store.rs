//! Where a simulated drive keeps its bytes and the states of its zones.

use std::io;

use crate::simulated::zone_table::ZoneState;

/// Keeps the bytes of a drive, and the state of each zone. It knows no rule of the zones.
pub(crate) trait Store: Send {
    /// Fills `bytes` from byte `offset_bytes` of the drive on. What was never written is zero.
    fn read(&mut self, offset_bytes: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes`, or fails with any part of them written.
    fn write(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()>;

    /// Forgets a range, which may read as zeros or as before.
    fn discard(&mut self, offset_bytes: u64, length_bytes: u64) -> io::Result<()>;

    /// Keeps the state of one zone, whole or not at all.
    fn save_zone(&mut self, zone: u32, state: ZoneState) -> io::Result<()>;

    /// Makes durable all that was written and saved.
    fn sync(&mut self) -> io::Result<()>;
}
