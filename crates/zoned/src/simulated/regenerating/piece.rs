//! A piece of a drive's address space, as what its bytes are made of.
//!
//! Invariants:
//!
//! * Extents lie in order, the first begins at 0, and each reaches to the beginning of the next, the last to the end of
//!   the piece. Two neighbours are never one stretch of zeros or of a payload.
//! * The kept bytes of an extent lie in the arena from its place on. What no extent points to is dead, and at most
//!   as much as lives and a little more.

use crate::simulated::regenerating::parse::{Content, parse};
use crate::simulated::regenerating::payload::{PAYLOAD_BYTES_MAX, RegeneratedPayload};

/// The size of a piece in bytes: that of a zone, mostly.
pub(crate) const PIECE_BYTES: usize = 256 << 20;
/// So many dead bytes are suffered in any case.
const DEAD_BYTES: usize = 64 << 10;

/// Two bits of an extent's start tell its kind.
const KIND_SHIFT: u32 = 30;
const _: () = assert!(PIECE_BYTES <= 1 << KIND_SHIFT);
const _: () = assert!(PAYLOAD_BYTES_MAX <= u32::MAX as u64);

/// A stretch of one content, in 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Extent {
    /// Where it begins in the piece, and its kind in the highest bits: 0 zeros, 1 payload, 2 kept.
    start_and_kind: u32,
    /// The position in the payload, or the place in the arena.
    at: u32,
    seed: u64,
}

/// A piece.
pub(crate) struct Piece {
    extents: Vec<Extent>,
    arena: Vec<u8>,
    dead_bytes: usize,
}

impl Extent {
    fn new(start: usize, content: Content, place: usize) -> Self {
        let (kind, at, seed) = match content {
            Content::Zeros => (0, 0, 0),
            Content::Payload { payload, position_bytes } => {
                (1, u32::try_from(position_bytes).expect("a payload is at most 1 GiB"), payload.seed)
            }
            Content::Kept => (2, narrow(place), 0),
        };
        Self { start_and_kind: narrow(start) | kind << KIND_SHIFT, at, seed }
    }

    fn start(self) -> usize {
        (self.start_and_kind & ((1 << KIND_SHIFT) - 1)) as usize
    }

    fn content(self) -> Content {
        match self.start_and_kind >> KIND_SHIFT {
            0 => Content::Zeros,
            1 => Content::Payload {
                payload: RegeneratedPayload { seed: self.seed },
                position_bytes: u64::from(self.at),
            },
            _ => Content::Kept,
        }
    }

    /// The extent without its first bytes, up to `start`.
    fn cut_to(self, start: usize) -> Self {
        let cut = start - self.start();
        match self.content() {
            Content::Zeros => Self::new(start, Content::Zeros, 0),
            Content::Kept => Self::new(start, Content::Kept, self.at as usize + cut),
            Content::Payload { payload, position_bytes } => {
                let position_bytes = position_bytes + cut as u64;
                Self::new(start, Content::Payload { payload, position_bytes }, 0)
            }
        }
    }

    /// Whether `next`, which begins where this extent ends, is the same stretch of zeros or of a payload.
    fn goes_on_as(self, next: Self) -> bool {
        self.content() != Content::Kept && self.cut_to(next.start()) == next
    }
}

impl Piece {
    /// A piece of zeros.
    pub(crate) fn new() -> Self {
        Self { extents: vec![Extent::new(0, Content::Zeros, 0)], arena: Vec::new(), dead_bytes: 0 }
    }

    /// Writes `bytes` at `start`.
    pub(crate) fn write(&mut self, start: usize, bytes: &[u8]) {
        let before = self.payload_before(start);
        let mut fresh = Vec::new();
        let arena = &mut self.arena;
        parse(bytes, before, |content, from, to| {
            fresh.push(Extent::new(start + from, content, arena.len()));
            if content == Content::Kept {
                arena.extend_from_slice(&bytes[from..to]);
            }
        });
        self.replace(start, start + bytes.len(), fresh);
    }

    /// Makes `length` bytes from `start` on those of a payload, or zeros.
    pub(crate) fn declare(&mut self, start: usize, length: usize, content: Content) {
        debug_assert!(content != Content::Kept, "kept bytes are written");
        self.replace(start, start + length, vec![Extent::new(start, content, 0)]);
    }

    /// Fills `bytes` from `start` on.
    pub(crate) fn read(&self, start: usize, bytes: &mut [u8]) {
        let mut index = self.index_of(start);
        let (mut at, mut rest) = (start, bytes);
        while !rest.is_empty() {
            let extent = self.extents[index].cut_to(at);
            let (part, after) = rest.split_at_mut((self.end_of(index) - at).min(rest.len()));
            match extent.content() {
                Content::Zeros => part.fill(0),
                Content::Payload { payload, position_bytes } => payload.fill_from(position_bytes, part),
                Content::Kept => {
                    let place = extent.at as usize;
                    part.copy_from_slice(&self.arena[place..place + part.len()]);
                }
            }
            at += part.len();
            rest = after;
            index += 1;
        }
    }

    /// Whether the piece is nothing but zeros.
    pub(crate) fn is_zeros(&self) -> bool {
        self.extents.len() == 1 && self.extents[0].content() == Content::Zeros
    }

    /// The memory that the piece takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.extents.capacity() * size_of::<Extent>() + self.arena.capacity()
    }

    /// The extent in which byte `at` lies.
    fn index_of(&self, at: usize) -> usize {
        self.extents.partition_point(|extent| extent.start() <= at) - 1
    }

    fn end_of(&self, index: usize) -> usize {
        self.extents.get(index + 1).map_or(PIECE_BYTES, |next| next.start())
    }

    /// The payload that goes on at `at`, where a payload ends there.
    fn payload_before(&self, at: usize) -> Option<(RegeneratedPayload, u64)> {
        let index = self.index_of(at.checked_sub(1)?);
        if self.end_of(index) < at {
            return None;
        }
        match self.extents[index].cut_to(at).content() {
            Content::Payload { payload, position_bytes } if position_bytes < PAYLOAD_BYTES_MAX => {
                Some((payload, position_bytes))
            }
            _ => None,
        }
    }

    /// Puts `fresh` in the place of whatever lies from `start` to `end`.
    fn replace(&mut self, start: usize, end: usize, fresh: Vec<Extent>) {
        if start == end {
            return;
        }
        let first = self.index_of(start);
        let last = self.index_of(end - 1);
        self.dead_bytes += (first..=last)
            .filter(|&index| self.extents[index].content() == Content::Kept)
            .map(|index| self.end_of(index).min(end) - self.extents[index].start().max(start))
            .sum::<usize>();
        let head = Some(self.extents[first]).filter(|head| head.start() < start);
        let tail = Some(self.extents[last]).filter(|_| self.end_of(last) > end).map(|tail| tail.cut_to(end));
        let mut joined: Vec<Extent> = Vec::with_capacity(fresh.len() + 3);
        // One neighbour on either side, since the new extents may go on from it or into it.
        let left = first.checked_sub(1).filter(|_| head.is_none());
        let right = Some(last + 1).filter(|&right| tail.is_none() && right < self.extents.len());
        let neighbour = |index: Option<usize>| index.map(|index| self.extents[index]);
        let all = neighbour(left).into_iter().chain(head).chain(fresh).chain(tail).chain(neighbour(right));
        for extent in all {
            if !joined.last().is_some_and(|before| before.goes_on_as(extent)) {
                joined.push(extent);
            }
        }
        let replaced = left.unwrap_or(first)..=right.unwrap_or(last);
        self.extents.splice(replaced, joined);
        if end == PIECE_BYTES {
            // Mostly a zone that is full: nothing more is added.
            self.extents.shrink_to_fit();
            self.arena.shrink_to_fit();
        }
        if self.dead_bytes > self.arena.len() / 2 + DEAD_BYTES {
            self.bury_the_dead();
        }
    }

    /// Makes an arena of the living bytes alone.
    fn bury_the_dead(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len().saturating_sub(self.dead_bytes));
        for index in 0..self.extents.len() {
            let extent = self.extents[index];
            if extent.content() == Content::Kept {
                let place = extent.at as usize;
                let length = self.end_of(index) - extent.start();
                self.extents[index] = Extent::new(extent.start(), Content::Kept, arena.len());
                arena.extend_from_slice(&self.arena[place..place + length]);
            }
        }
        self.arena = arena;
        self.dead_bytes = 0;
    }
}

fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("a piece and its arena are smaller than 4 GiB")
}
