//! Memory that reclaim has to itself, so that a full pool never keeps a full drive from being emptied: one piece of the
//! pool, taken at mount, from which runs are cut and to which they return.

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::{Buffer, BufferPool};

/// See the module.
pub(crate) struct Arena {
    /// What is free, by its place in the pool.
    free: Vec<Buffer>,
    first_byte: usize,
    bytes: usize,
}

impl Arena {
    /// Takes `units` of `pool`; `None` where it has no such piece.
    pub(crate) fn new(pool: &BufferPool, units: usize) -> Option<Self> {
        let buffer = pool.try_allocate(units * UNIT_BYTES)?;
        let (first_byte, bytes) = (buffer.offset_in_pool_bytes(), buffer.len());
        Some(Self { free: vec![buffer], first_byte, bytes })
    }

    /// The longest run that can be cut, in units.
    pub(crate) fn longest_units(&self) -> u32 {
        let longest = self.free.iter().map(Buffer::len).max().unwrap_or(0) / UNIT_BYTES;
        u32::try_from(longest).unwrap_or(u32::MAX)
    }

    /// Cuts a run of `units`.
    pub(crate) fn take(&mut self, units: u32) -> Option<Buffer> {
        let bytes = units as usize * UNIT_BYTES;
        let place = self.free.iter().position(|buffer| buffer.len() >= bytes)?;
        let mut buffer = self.free.remove(place);
        if buffer.len() > bytes {
            let rest = buffer.split_off(bytes);
            self.free.insert(place, rest);
        }
        Some(buffer)
    }

    /// Takes back what of `buffer` is the arena's. The rest, which neighbours of it in the pool may be, is dropped.
    pub(crate) fn give_back(&mut self, mut buffer: Buffer) {
        let begin = buffer.offset_in_pool_bytes();
        let (first, end) = (self.first_byte, self.first_byte + self.bytes);
        if begin >= end || begin + buffer.len() <= first {
            return;
        }
        if begin < first {
            buffer = buffer.split_off(first - begin);
        }
        let begin = buffer.offset_in_pool_bytes();
        if begin + buffer.len() > end {
            drop(buffer.split_off(end - begin));
        }
        let place = self.free.partition_point(|free| free.offset_in_pool_bytes() < begin);
        self.free.insert(place, buffer);
        self.join();
    }

    fn join(&mut self) {
        let mut joined: Vec<Buffer> = Vec::with_capacity(self.free.len());
        for buffer in self.free.drain(..) {
            let apart = match joined.last_mut() {
                Some(last) => last.absorb(buffer).err(),
                None => Some(buffer),
            };
            joined.extend(apart);
        }
        self.free = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_joined_again_and_strangers_are_not_kept() {
        let pool = BufferPool::new(64 * UNIT_BYTES).unwrap();
        let mut stranger = pool.try_allocate(4 * UNIT_BYTES).unwrap();
        let mut arena = Arena::new(&pool, 16).unwrap();
        assert_eq!(arena.longest_units(), 16);
        let (a, b, c) = (arena.take(3).unwrap(), arena.take(5).unwrap(), arena.take(8).unwrap());
        assert!(arena.take(1).is_none());
        stranger.absorb(a).unwrap();
        arena.give_back(c);
        arena.give_back(stranger);
        assert_eq!(arena.longest_units(), 8);
        arena.give_back(b);
        assert_eq!(arena.longest_units(), 16);
        drop(arena);
        assert_eq!(pool.bytes_free(), 64 * UNIT_BYTES);
    }
}
