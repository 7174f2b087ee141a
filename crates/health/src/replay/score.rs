//! How often the rules were right, beside the rules that people use.

use serde::Serialize;

use super::fleet::{Fleet, Outcome};
use crate::level::Level;

/// So many samples are drawn for an interval.
const SAMPLES: usize = 1000;

/// A share or a rate, and the middle 95 % of what it is when the drives are drawn again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The share or rate.
    pub value: f64,
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// One rule's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The rule.
    pub rule: String,
    /// Of the drives that failed, how many it found; `None` where none failed.
    pub recall: Option<Share>,
    /// Of the drives that did not fail, how many it named; `None` where all failed.
    pub false_positive_rate: Option<Share>,
    /// Of the drives that it named, how many failed; `None` where it named none.
    pub precision: Option<Share>,
    /// Drives that it named: those that failed, and those that did not.
    pub found: [u64; 2],
    /// All drives: those that failed, and those that did not.
    pub drives: [u64; 2],
    /// New alerts for 1,000 drives in 30 days; `None` for rules that have no days.
    pub alerts_per_1000_drives_30_days: Option<Share>,
}

/// A rule's name, and whether it names a drive.
type Named = (&'static str, fn(&Outcome) -> bool);

const RULES: [Named; 5] = [
    ("degraded or worse", |drive| drive.worst >= Level::Degraded),
    ("failing", |drive| drive.worst >= Level::Failing),
    ("5 > 0 or 197 > 0", |drive| drive.remapped_max > 0 || drive.pending_max > 0),
    ("5 > 16 or 197 > 1", |drive| drive.remapped_max > 16 || drive.pending_max > 1),
    ("5 >= 1100", |drive| drive.remapped_max >= 1100),
];

/// The rows of a fleet: this project's rules, and those that people use. The same seed draws the same samples.
#[must_use]
pub fn score(fleet: &Fleet, seed: u64) -> Vec<Row> {
    RULES.iter().map(|rule| row(fleet, rule, seed)).collect()
}

fn row(fleet: &Fleet, (name, names): &Named, seed: u64) -> Row {
    let count = |failed: bool, named: bool| {
        fleet.drives.iter().filter(|drive| drive.failed == failed && (names(drive) || !named)).count() as u64
    };
    let (found, drives) =
        ([count(true, true), count(false, true)], [count(true, false), count(false, false)]);
    let mut random = Random(seed);
    // The two kinds of drives are drawn apart, so that each sample has as many failures as there were.
    let samples: Vec<[u64; 2]> = (0..SAMPLES)
        .map(|_| [draw(found[0], drives[0], &mut random), draw(found[1], drives[1], &mut random)])
        .collect();
    // Of nothing there is no share, and 0 would be a statement.
    let share = |whole: u64, of: &dyn Fn(&[u64; 2]) -> f64| {
        (whole > 0).then(|| share_of(of(&found), samples.iter().map(of).collect()))
    };
    Row {
        rule: (*name).to_owned(),
        recall: share(drives[0], &|found| ratio(found[0], drives[0])),
        false_positive_rate: share(drives[1], &|found| ratio(found[1], drives[1])),
        precision: share(found[0] + found[1], &|found| ratio(found[0], found[0] + found[1])),
        found,
        drives,
        alerts_per_1000_drives_30_days: (*name == RULES[0].0).then(|| alerts(fleet, &mut random)),
    }
}

/// New alerts for 1,000 drives in 30 days. Whole drives are drawn: the days of one drive are not independent.
fn alerts(fleet: &Fleet, random: &mut Random) -> Share {
    let rate = |drives: &mut dyn Iterator<Item = &Outcome>| {
        let sum = |[alerts, days]: [u64; 2], drive: &Outcome| {
            [alerts + u64::from(drive.alerts), days + u64::from(drive.days)]
        };
        let [alerts, days] = drives.fold([0, 0], sum);
        ratio(alerts * 30_000, days)
    };
    let count = fleet.drives.len();
    let mut draw = || {
        let drawn = usize::try_from(random.below(count as u64)).unwrap_or(0);
        &fleet.drives[drawn]
    };
    let samples = (0..SAMPLES).map(|_| rate(&mut (0..count).map(|_| draw()))).collect();
    share_of(rate(&mut fleet.drives.iter()), samples)
}

fn share_of(value: f64, mut samples: Vec<f64>) -> Share {
    samples.sort_by(f64::total_cmp);
    Share { value, low: samples[SAMPLES / 40], high: samples[SAMPLES - 1 - SAMPLES / 40] }
}

/// How many of `drives` draws, each of which hits one time in `drives / found`, hit.
fn draw(found: u64, drives: u64, random: &mut Random) -> u64 {
    (0..drives).map(|_| u64::from(random.below(drives) < found)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of drives and of their days are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_an_interval_about_their_rate() {
        let drive = |alerts| Outcome { alerts, days: 30, ..Outcome::default() };
        let fleet = Fleet { drives: (0..1000).map(|number| drive(u32::from(number < 20))).collect() };
        let alerts = score(&fleet, 1)[0].alerts_per_1000_drives_30_days.unwrap();
        // Of 20 in 1,000 the binomial's middle 95 % is 12 to 29.
        assert!((alerts.value - 20.0).abs() < 1e-9, "{alerts:?}");
        assert!((10.0..15.0).contains(&alerts.low) && (26.0..32.0).contains(&alerts.high), "{alerts:?}");
        let empty = score(&Fleet::default(), 1)[0].alerts_per_1000_drives_30_days.unwrap();
        assert_eq!((empty.value, empty.low, empty.high), (0.0, 0.0, 0.0));
    }
}
