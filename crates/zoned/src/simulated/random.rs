//! A small seeded generator (SplitMix64: Steele, Lea and Flood, 2014), so that a seed replays a crash.

/// A sequence of numbers that its seed determines.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `last`, both included. The bias of the remainder does not matter to a choice of faults.
    pub(crate) fn up_to(&mut self, last: u64) -> u64 {
        if last == u64::MAX { self.next() } else { self.next() % (last + 1) }
    }

    /// True once in `times`, on the average.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.next().is_multiple_of(times)
    }
}
