//! Which units of a pool are taken: a bitmap, searched from where the last search ended.

/// A bitmap of units, one bit each, set where the unit is taken.
///
/// Runs are found next-fit and circularly, so that runs taken one after another tend to lie side by side.
#[derive(Debug)]
pub(crate) struct Occupancy {
    words: Vec<u64>,
    unit_count: usize,
    units_free: usize,
    /// Where the next search begins.
    cursor: usize,
}

impl Occupancy {
    /// All of `unit_count` units free.
    pub(crate) fn new(unit_count: usize) -> Self {
        let words = vec![0; unit_count.div_ceil(64)];
        Self { words, unit_count, units_free: unit_count, cursor: 0 }
    }

    /// The number of free units.
    pub(crate) fn units_free(&self) -> usize {
        self.units_free
    }

    /// Takes `run` units side by side, and returns the first.
    pub(crate) fn take(&mut self, run: usize) -> Option<usize> {
        if run == 0 || run > self.units_free {
            return None;
        }
        let wrapped_end = self.cursor.saturating_add(run - 1).min(self.unit_count);
        let first =
            self.find(run, self.cursor, self.unit_count).or_else(|| self.find(run, 0, wrapped_end))?;
        for unit in first..first + run {
            self.words[unit / 64] |= 1 << (unit % 64);
        }
        self.units_free -= run;
        self.cursor = if first + run == self.unit_count { 0 } else { first + run };
        Some(first)
    }

    /// Gives `run` units from `first` on back.
    ///
    /// # Panics
    ///
    /// Where one of them is free already: two owners had the same memory.
    pub(crate) fn give_back(&mut self, first: usize, run: usize) {
        for unit in first..first + run {
            let bit = 1 << (unit % 64);
            assert!(self.words[unit / 64] & bit != 0, "unit {unit} of the pool is given back twice");
            self.words[unit / 64] &= !bit;
        }
        self.units_free += run;
    }

    /// The first of `run` free units side by side within `from..end`.
    fn find(&self, run: usize, from: usize, end: usize) -> Option<usize> {
        let mut first = self.next(false, from, end);
        while first + run <= end {
            let taken = self.next(true, first, first + run);
            if taken == first + run {
                return Some(first);
            }
            first = self.next(false, taken, end);
        }
        None
    }

    /// The first unit of `from..end` that is taken, or free where `taken` is false; `end` where there is none.
    fn next(&self, taken: bool, from: usize, end: usize) -> usize {
        let mut unit = from;
        while unit < end {
            let word = self.words[unit / 64];
            let wanted = if taken { word } else { !word } >> (unit % 64);
            if wanted != 0 {
                return (unit + wanted.trailing_zeros() as usize).min(end);
            }
            unit = (unit / 64 + 1) * 64;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::Occupancy;

    #[test]
    fn runs_taken_one_after_another_lie_side_by_side() {
        let mut occupancy = Occupancy::new(200);
        assert_eq!(occupancy.take(70), Some(0));
        assert_eq!(occupancy.take(70), Some(70));
        assert_eq!(occupancy.take(70), None);
        assert_eq!(occupancy.take(60), Some(140));
        assert_eq!(occupancy.units_free(), 0);
    }

    #[test]
    fn a_search_goes_on_from_the_last_one_and_then_from_the_start() {
        let mut occupancy = Occupancy::new(130);
        assert_eq!(occupancy.take(65), Some(0));
        occupancy.give_back(0, 65);
        assert_eq!(occupancy.take(60), Some(65), "not at once what has just been given back");
        assert_eq!(occupancy.take(60), Some(0));
        assert_eq!(occupancy.take(5), Some(60), "the gap between the two");
        assert_eq!(occupancy.take(5), Some(125));
    }

    #[test]
    fn a_run_across_the_old_cursor_is_found() {
        let mut occupancy = Occupancy::new(100);
        assert_eq!(occupancy.take(50), Some(0));
        assert_eq!(occupancy.take(40), Some(50));
        occupancy.give_back(0, 50);
        occupancy.give_back(50, 30);
        assert_eq!(occupancy.take(80), Some(0));
    }

    #[test]
    fn random_runs_never_overlap() {
        let mut occupancy = Occupancy::new(1000);
        let mut owner = vec![0_u32; 1000];
        let mut held: Vec<(usize, usize, u32)> = Vec::new();
        let mut state = 7_u64;
        for round in 1..20_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = usize::try_from(state >> 33).unwrap();
            if random % 3 == 0 && !held.is_empty() {
                let (first, run, name) = held.swap_remove(random % held.len());
                assert!(owner[first..first + run].iter().all(|&unit| unit == name));
                owner[first..first + run].fill(0);
                occupancy.give_back(first, run);
            } else if let Some(first) = occupancy.take(random % 90 + 1) {
                let run = random % 90 + 1;
                assert!(owner[first..first + run].iter().all(|&unit| unit == 0));
                owner[first..first + run].fill(round);
                held.push((first, run, round));
            }
            assert_eq!(occupancy.units_free(), owner.iter().filter(|&&unit| unit == 0).count());
        }
    }
}
