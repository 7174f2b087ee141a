//! Memory that the log can always have, so that a full pool never keeps what is in it from being written.
//!
//! One group is written at a time, so one buffer of each kind is enough. A buffer goes out whole or cut to a length;
//! what is cut off stays here and is joined again when the rest comes back.

use imbrex_format::{COMMIT_ENTRIES_MAX, UNIT_BYTES, commit_units, footer_units};
use imbrex_zoned::{Buffer, BufferPool};

use crate::log::{ENTRIES_MAX, TOMBSTONE_UNITS, ZERO_UNITS};

/// What a buffer of the reserve is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    ZoneHeader,
    Void,
    Tombstones,
    Commit,
    Padding,
    /// Zeros between a padding record's header and a footer.
    Zeros,
    Footer,
}

const PURPOSES: usize = 7;

#[derive(Default)]
struct Slot {
    buffer: Option<Buffer>,
    cut_off: Option<Buffer>,
}

/// See the module.
pub(crate) struct Reserve {
    slots: [Slot; PURPOSES],
    failed: bool,
}

impl Reserve {
    /// Takes the reserve of a drive whose zones have at most `capacity_units` from `pool`; `None` where it has no room.
    pub(crate) fn new(pool: &BufferPool, capacity_units: u32) -> Option<Self> {
        let entries_max = ENTRIES_MAX.min(capacity_units as usize * 64);
        let footer = footer_units(entries_max).min(capacity_units) as usize;
        let commit = commit_units(COMMIT_ENTRIES_MAX) as usize;
        let units = [1, 1, TOMBSTONE_UNITS, commit, 1, ZERO_UNITS as usize, footer];
        let mut slots: [Slot; PURPOSES] = Default::default();
        for (slot, units) in slots.iter_mut().zip(units) {
            let mut buffer = pool.try_allocate(units * UNIT_BYTES)?;
            buffer.fill(0);
            slot.buffer = Some(buffer);
        }
        Some(Self { slots, failed: false })
    }

    /// Takes the first `unit_count` units of the buffer for `purpose`. `None` where it is out already or too small: the
    /// log counts on neither, so what is written without it must not go out ([`Self::has_failed`]).
    pub(crate) fn take(&mut self, purpose: Purpose, unit_count: usize) -> Option<Buffer> {
        let taken = self.take_if_there(purpose, unit_count);
        self.failed |= taken.is_none();
        taken
    }

    /// Whether a buffer was not there when it was needed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    fn take_if_there(&mut self, purpose: Purpose, unit_count: usize) -> Option<Buffer> {
        let slot = &mut self.slots[purpose as usize];
        let mut buffer = slot.buffer.take()?;
        let bytes = unit_count * UNIT_BYTES;
        if bytes > buffer.len() {
            slot.buffer = Some(buffer);
            return None;
        }
        if bytes < buffer.len() {
            slot.cut_off = Some(buffer.split_off(bytes));
        }
        Some(buffer)
    }

    /// Takes a buffer back.
    pub(crate) fn give_back(&mut self, purpose: Purpose, mut buffer: Buffer) {
        let slot = &mut self.slots[purpose as usize];
        slot.cut_off = slot.cut_off.take().and_then(|cut_off| buffer.absorb(cut_off).err());
        slot.buffer = Some(buffer);
    }
}
