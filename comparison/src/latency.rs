//! How long single operations took.

/// Microseconds of each operation of a phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    all_us: Vec<u32>,
    sorted: bool,
}

impl Latencies {
    /// Notes one operation.
    pub(crate) fn note(&mut self, took: std::time::Duration) {
        self.all_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        self.sorted = false;
    }

    /// Takes over all of `other`.
    pub(crate) fn extend(&mut self, other: Self) {
        self.all_us.extend(other.all_us);
        self.sorted = false;
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all_us.len()
    }

    /// The time in microseconds within which `per_mille` of 1,000 operations ended; 0 where there was none.
    pub(crate) fn quantile_us(&mut self, per_mille: usize) -> u32 {
        if !self.sorted {
            self.all_us.sort_unstable();
            self.sorted = true;
        }
        let rank = (self.all_us.len() * per_mille).div_ceil(1000).max(1) - 1;
        self.all_us.get(rank).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Latencies;

    #[test]
    fn a_quantile_is_the_least_time_within_which_that_share_ended() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile_us(990), 0);
        for us in (1..=200).rev() {
            latencies.note(Duration::from_micros(us));
        }
        assert_eq!((latencies.quantile_us(500), latencies.quantile_us(990)), (100, 198));
    }
}
