//! The writes that no flush has covered: what a loss of power puts at risk.
//!
//! A flush covers the writes that had completed when it was submitted. So each write bears the number of the flush
//! that will cover it: one more than the flushes submitted before the write completed.

use std::ops::Range;

use crate::ZoneKind;

/// A write, or several that followed one another in a sequential zone, in the drive's cache.
pub(crate) struct UnflushedWrite {
    /// The number of the first flush that makes it durable.
    pub(crate) flush: u64,
    pub(crate) zone: u32,
    pub(crate) kind: ZoneKind,
    /// Where it begins, in bytes from the start of the zone.
    pub(crate) start_bytes: u64,
    /// Where it ends, likewise.
    pub(crate) end_bytes: u64,
    /// What stood there before: only of conventional zones, and only where the drive keeps it.
    pub(crate) before: Vec<u8>,
    /// Which of those bytes, counted from the start of the drive, were not what had been acknowledged.
    pub(crate) wrong_before: Vec<Range<u64>>,
}

/// The writes in the drive's cache, oldest first.
#[derive(Default)]
pub(crate) struct Unflushed {
    flushes_submitted: u64,
    writes: Vec<UnflushedWrite>,
}

impl Unflushed {
    /// Counts a flush as submitted, and returns its number.
    pub(crate) fn submit_flush(&mut self) -> u64 {
        self.flushes_submitted += 1;
        self.flushes_submitted
    }

    /// Forgets the writes that flush `flush` has made durable.
    pub(crate) fn flushed(&mut self, flush: u64) {
        self.writes.retain(|write| write.flush > flush);
    }

    /// Takes note of a write to a sequential zone. Writes that follow one another become one entry, so that the
    /// list is bounded by the zones and the flushes in flight.
    pub(crate) fn wrote_sequential(&mut self, zone: u32, start_bytes: u64, end_bytes: u64) {
        let flush = self.flushes_submitted + 1;
        let last = self.writes.iter_mut().rev().take_while(|write| write.flush == flush);
        let last = last.into_iter().find(|write| write.zone == zone && write.end_bytes == start_bytes);
        if let Some(last) = last.filter(|last| last.kind == ZoneKind::SequentialWriteRequired) {
            last.end_bytes = end_bytes;
            return;
        }
        let kind = ZoneKind::SequentialWriteRequired;
        let (before, wrong_before) = (Vec::new(), Vec::new());
        self.writes.push(UnflushedWrite { flush, zone, kind, start_bytes, end_bytes, before, wrong_before });
    }

    /// Takes note of a write to a conventional zone over the bytes `before`.
    pub(crate) fn wrote_conventional(
        &mut self,
        zone: u32,
        start_bytes: u64,
        before: Vec<u8>,
        wrong_before: Vec<Range<u64>>,
    ) {
        let flush = self.flushes_submitted + 1;
        let end_bytes = start_bytes + before.len() as u64;
        let kind = ZoneKind::Conventional;
        self.writes.push(UnflushedWrite { flush, zone, kind, start_bytes, end_bytes, before, wrong_before });
    }

    /// Forgets the writes to a zone that was reset.
    pub(crate) fn reset(&mut self, zone: u32) {
        self.writes.retain(|write| write.zone != zone);
    }

    /// The writes that flush `flush` would make durable, oldest first.
    pub(crate) fn covered(&self, flush: u64) -> impl Iterator<Item = &UnflushedWrite> {
        self.writes.iter().filter(move |write| write.flush <= flush)
    }

    /// The last write to a zone.
    pub(crate) fn last(&self, zone: u32) -> Option<&UnflushedWrite> {
        self.writes.iter().rev().find(|write| write.zone == zone)
    }

    /// Forgets what was written to a sequential zone from byte `end_bytes` of it on.
    pub(crate) fn truncate(&mut self, zone: u32, end_bytes: u64) {
        self.writes.retain(|write| write.zone != zone || write.start_bytes < end_bytes);
        for write in self.writes.iter_mut().filter(|write| write.zone == zone) {
            write.end_bytes = write.end_bytes.min(end_bytes);
        }
    }

    /// Takes all writes at risk, oldest first.
    pub(crate) fn take(&mut self) -> Vec<UnflushedWrite> {
        std::mem::take(&mut self.writes)
    }
}
