//! The written data that the drive holds in memory and has not put on the medium.
//!
//! Invariants:
//!
//! * What is reserved and held is at most the size of the cache.
//! * A run is segments that follow one another on the medium, oldest first. The arm takes a run from its beginning.
//! * A segment is outstanding from its arrival until it is on the medium, and then no more.

use std::collections::{BTreeMap, VecDeque};

use crate::simulated::disk::platter::{Approach, Platter};

/// A write as the cache holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: u64,
    /// The order of arrival, from 1.
    pub(crate) number: u64,
    /// When it arrived, in nanoseconds.
    pub(crate) since_ns: u64,
    /// The command that waits until it is on the medium.
    pub(crate) waits: Option<u64>,
}

/// Segments that follow one another.
#[derive(Debug)]
struct Run {
    segments: VecDeque<Segment>,
    start_ns: f64,
    end_bytes: u64,
}

/// The drive's cache of writes.
pub(crate) struct Cache {
    bytes_max: u64,
    bytes_used: u64,
    arrived: u64,
    /// By the first byte, and the number of the first segment where two begin alike.
    runs: BTreeMap<(u64, u64), Run>,
    /// The number of each, and when it arrived.
    outstanding: BTreeMap<u64, u64>,
}

impl Cache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, bytes_used: 0, arrived: 0, runs: BTreeMap::new(), outstanding: BTreeMap::new() }
    }

    /// Keeps room for a write that is on its way. A write larger than the cache is let in when it is empty.
    pub(crate) fn reserve(&mut self, length_bytes: u64) -> bool {
        let fits = self.bytes_used + length_bytes <= self.bytes_max || self.bytes_used == 0;
        if fits {
            self.bytes_used += length_bytes;
        }
        fits
    }

    /// Takes in a write, whose room was reserved, and returns its segment's number.
    pub(crate) fn insert(&mut self, segment: Segment, platter: &Platter) -> u64 {
        self.arrived += 1;
        let segment = Segment { number: self.arrived, ..segment };
        self.outstanding.insert(segment.number, segment.since_ns);
        let end_bytes = segment.offset_bytes + segment.length_bytes;
        let before = self.runs.range_mut(..(segment.offset_bytes, 0)).next_back();
        if let Some((_, run)) = before.filter(|(_, run)| run.end_bytes == segment.offset_bytes) {
            run.end_bytes = end_bytes;
            run.segments.push_back(segment);
        } else {
            let start_ns = platter.stream_ns(segment.offset_bytes);
            let key = (segment.offset_bytes, segment.number);
            self.runs.insert(key, Run { segments: VecDeque::from([segment]), start_ns, end_bytes });
        }
        segment.number
    }

    /// The run that the arm reaches soonest, as its key and the approach. With `up_to` only runs whose first segment
    /// arrived no later count, where there is one.
    pub(crate) fn nearest(
        &self,
        platter: &Platter,
        now_ns: u64,
        from_ns: f64,
        up_to: Option<u64>,
    ) -> Option<((u64, u64), Approach)> {
        let wanted = up_to.filter(|&up_to| self.has_outstanding(up_to));
        let at_bytes = platter.byte_at(from_ns);
        let mut best: Option<((u64, u64), Approach)> = None;
        // Outwards on either side, until the seek alone takes longer than the best that was found.
        let mut look = |key: &(u64, u64), run: &Run| {
            let best_ns = best.map_or(f64::INFINITY, |(_, approach)| approach.total_ns());
            if platter.seek_ns(run.start_ns - from_ns, true) > best_ns {
                return false;
            }
            let first = run.segments.front().map_or(0, |segment| segment.number);
            if wanted.is_none_or(|up_to| first <= up_to) {
                let approach = platter.approach(now_ns, from_ns, run.start_ns, true);
                if approach.total_ns() < best_ns {
                    best = Some((*key, approach));
                }
            }
            true
        };
        _ = self.runs.range((at_bytes, 0)..).all(|(key, run)| look(key, run));
        _ = self.runs.range(..(at_bytes, 0)).rev().all(|(key, run)| look(key, run));
        best
    }

    /// Takes the first segment of a run for the arm; the rest stays a run.
    pub(crate) fn take(&mut self, key: (u64, u64), platter: &Platter) -> Option<Segment> {
        let mut run = self.runs.remove(&key)?;
        let taken = run.segments.pop_front();
        if let Some(next) = run.segments.front() {
            let key = (next.offset_bytes, next.number);
            let start_ns = platter.stream_ns(next.offset_bytes);
            self.runs.insert(key, Run { start_ns, ..run });
        }
        taken
    }

    /// Gives back the room of a segment that is on the medium now.
    pub(crate) fn written(&mut self, segment: &Segment) {
        self.bytes_used -= segment.length_bytes;
        self.outstanding.remove(&segment.number);
    }

    /// Drops what lies in a range, as a reset of its zone does, and returns it.
    pub(crate) fn discard(&mut self, start_bytes: u64, end_bytes: u64) -> Vec<Segment> {
        let keys: Vec<(u64, u64)> =
            self.runs.range((start_bytes, 0)..(end_bytes, 0)).map(|(key, _)| *key).collect();
        let dropped: Vec<Segment> =
            keys.iter().filter_map(|key| self.runs.remove(key)).flat_map(|run| run.segments).collect();
        for segment in &dropped {
            self.written(segment);
        }
        dropped
    }

    /// Whether a read of the range can be answered from a run that waits here.
    pub(crate) fn holds(&self, offset_bytes: u64, length_bytes: u64) -> bool {
        let before = self.runs.range(..=(offset_bytes, u64::MAX)).next_back();
        before.is_some_and(|(_, run)| run.end_bytes >= offset_bytes + length_bytes)
    }

    /// Whether a segment up to the number is not on the medium yet.
    pub(crate) fn has_outstanding(&self, up_to: u64) -> bool {
        self.outstanding.first_key_value().is_some_and(|(&first, _)| first <= up_to)
    }

    /// The number of the last segment that arrived.
    pub(crate) fn last_number(&self) -> u64 {
        self.arrived
    }

    /// Whether nothing waits for the arm.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The number of the oldest segment that is not on the medium, and when it arrived.
    pub(crate) fn oldest(&self) -> Option<(u64, u64)> {
        self.outstanding.first_key_value().map(|(&number, &since_ns)| (number, since_ns))
    }
}
