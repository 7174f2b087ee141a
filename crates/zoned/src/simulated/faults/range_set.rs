//! A set of bytes, kept as ranges.
//!
//! Invariant: the ranges are not empty, lie apart, and do not touch.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of bytes of a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    /// The end of each range, by its start.
    ends: BTreeMap<u64, u64>,
}

impl RangeSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds `range`.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        // From the last that begins at or before the end, back to the first that touches.
        while let Some((&first, &last)) =
            self.ends.range(..=end).next_back().filter(|&(_, &last)| last >= start)
        {
            self.ends.remove(&first);
            start = start.min(first);
            end = end.max(last);
        }
        self.ends.insert(start, end);
    }

    /// Takes `range` out.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        while let Some(found) = self.last_within(&range) {
            self.ends.remove(&found.start);
            if found.start < range.start {
                self.ends.insert(found.start, range.start);
            }
            if found.end > range.end {
                self.ends.insert(range.end, found.end);
            }
        }
    }

    /// Whether a byte of `range` is in the set.
    pub(crate) fn touches(&self, range: &Range<u64>) -> bool {
        self.last_within(range).is_some()
    }

    /// The parts of the set that lie in `range`, in order.
    pub(crate) fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let before = self.ends.range(..range.start).next_back();
        let inside = before.into_iter().chain(self.ends.range(range.start..range.end.max(range.start)));
        inside
            .map(move |(&start, &end)| start.max(range.start)..end.min(range.end))
            .filter(|part| !part.is_empty())
    }

    /// The last range that has a byte in `range`.
    fn last_within(&self, range: &Range<u64>) -> Option<Range<u64>> {
        if range.is_empty() {
            return None;
        }
        let (&start, &end) = self.ends.range(..range.end).next_back()?;
        (end > range.start).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::RangeSet;
    use crate::simulated::random::Random;

    #[test]
    fn a_set_of_ranges_holds_what_a_set_of_bytes_would() {
        const BYTES: u64 = 64;
        let mut random = Random::new(5);
        let mut set = RangeSet::default();
        let mut bytes = BTreeSet::new();
        for _ in 0..20_000 {
            let start = random.up_to(BYTES);
            let range = start..start + random.up_to(BYTES - start);
            if random.one_in(2) {
                set.insert(range.clone());
                bytes.extend(range);
            } else {
                set.remove(range.clone());
                bytes.retain(|byte| !range.contains(byte));
            }
            let asked = random.up_to(BYTES / 2)..BYTES / 2 + random.up_to(BYTES / 2);
            let held: Vec<u64> = set.within(asked.clone()).flatten().collect();
            let wanted: Vec<u64> = bytes.range(asked.clone()).copied().collect();
            assert_eq!(held, wanted);
            assert_eq!(set.touches(&asked), !wanted.is_empty());
            let ranges: Vec<_> = set.within(0..BYTES).collect();
            assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "{ranges:?}");
            assert_eq!(set.is_empty(), ranges.is_empty());
        }
    }
}
