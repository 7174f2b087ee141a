//! Which zone is reclaimed next.
//!
//! The order: zones in which nothing is alive, since they cost nothing; zones that must be evacuated because the drive
//! has failed to read in them; then the zone of the highest benefit: the space that it frees times its age, by the work
//! that it costs (Rosenblum and Ousterhout, "The Design and Implementation of a Log-Structured File System", ACM TOCS
//! 1992: (1 - u) * age / (1 + u), for a zone that is alive to the share u). Where space is very short, the zone that
//! frees most.
//!
//! What to expect at 80 % full (the simulation beside this file prints it): where blocks die at random, some 2.6 bytes
//! are written for each byte stored, and no policy does better than the one that frees most; where blocks die in
//! about the order in which they came, hardly more than one. Under random deaths the best is known: with records small
//! against a zone, a victim's live share u solves (u - 1) / ln u = 0.8 (Desnoyers, "Analytic Modeling of SSD Write
//! Performance", SYSTOR 2012), and 1 / (1 - u) is 2.69. Equal ages are best there, since what a zone gives up grows
//! ever more slowly with its age. So the target of 1.8 is met up to 68 % full.

/// A zone that is complete, as its choice needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its number.
    pub(crate) zone: u32,
    /// How many units it has.
    pub(crate) capacity_units: u32,
    /// Units of records that are alive, damaged ones included.
    pub(crate) live_units: u32,
    /// Units of live records that cannot be read, and so cannot be moved.
    pub(crate) damaged_units: u32,
    /// Units of tombstones that name a life which has not ended, and so must be moved too.
    pub(crate) tombstone_units: u32,
    /// How far the log's sequence has come since the zone's life began. The age of its own records is no better: it
    /// was tried in the simulation, and picks zones of old records before they have died.
    pub(crate) age: u64,
    /// Whether the drive has failed to read in it.
    pub(crate) must_evacuate: bool,
}

/// A zone of which less than this part would be freed is left alone: its headers, commits and footer are as much.
/// A drive whose zones are all fuller than that is full.
const GAIN_PART_MIN: u32 = 16;

/// From this pressure on, of 1000, the zone that frees most is chosen whatever its age.
pub(crate) const GREEDY_PRESSURE: u32 = 900;

impl Candidate {
    /// Units that must be written elsewhere before the zone can be reset.
    pub(crate) fn cost_units(&self) -> u32 {
        self.live_units.saturating_sub(self.damaged_units).saturating_add(self.tombstone_units)
    }

    /// Units that reclaiming it frees; 0 where that is too few to be worth it, or where damaged records hold the zone.
    pub(crate) fn gain_units(&self) -> u32 {
        let gain = self.capacity_units.saturating_sub(self.cost_units());
        let is_worth_it = self.damaged_units == 0 && gain >= (self.capacity_units / GAIN_PART_MIN).max(1);
        if is_worth_it { gain } else { 0 }
    }

    /// How good a victim it is: first by kind, then by benefit. `None` where it is none.
    pub(crate) fn score(&self, pressure: u32) -> Option<Score> {
        let (gain, cost) = (self.gain_units(), self.cost_units());
        if gain > 0 && cost == 0 {
            return Some(Score { kind: Kind::Dead, benefit: 0 });
        }
        if self.must_evacuate && cost > 0 {
            return Some(Score { kind: Kind::Evacuated, benefit: u128::from(cost) });
        }
        let benefit = match gain {
            0 => return None,
            gain if pressure >= GREEDY_PRESSURE => u128::from(gain),
            gain => {
                // The quotient keeps 16 bits below the point. 32 + 64 + 16 bits fit.
                let numerator = (u128::from(gain) * u128::from(self.age.max(1))) << 16;
                numerator / (u128::from(self.capacity_units) + u128::from(cost))
            }
        };
        Some(Score { kind: Kind::Benefit, benefit })
    }
}

/// How good a victim is; the greatest is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    kind: Kind,
    benefit: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Benefit,
    Evacuated,
    Dead,
}

/// The best victim of all, the first of equals; `None` where no zone is worth it. `pressure` is 0 to 1000.
pub(crate) fn choose(candidates: impl IntoIterator<Item = Candidate>, pressure: u32) -> Option<u32> {
    let mut best: Option<(Score, u32)> = None;
    for candidate in candidates {
        let Some(score) = candidate.score(pressure) else { continue };
        if best.is_none_or(|(of_best, _)| score > of_best) {
            best = Some((score, candidate.zone));
        }
    }
    best.map(|(_, zone)| zone)
}

#[cfg(test)]
#[path = "victim_tests.rs"]
mod tests;
