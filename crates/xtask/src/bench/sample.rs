//! Repeated runs: their median, and how far they lie apart.

/// Figures of the same thing from several runs.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    figures: Vec<f64>,
}

impl Sample {
    /// Notes one run.
    pub fn note(&mut self, figure: f64) {
        self.figures.push(figure);
    }

    /// The middle one, or the mean of the two in the middle; not a number where there is none.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.figures.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        }
    }

    /// The least.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.figures.iter().copied().fold(f64::NAN, f64::min)
    }

    /// The greatest.
    #[must_use]
    pub fn greatest(&self) -> f64 {
        self.figures.iter().copied().fold(f64::NAN, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        let mut sample = Sample::default();
        assert!(sample.median().is_nan());
        [3.0, 1.0, 100.0].into_iter().for_each(|figure| sample.note(figure));
        assert_eq!((sample.median(), sample.least(), sample.greatest()), (3.0, 1.0, 100.0));
        sample.note(5.0);
        assert_eq!(sample.median(), 4.0);
    }
}
