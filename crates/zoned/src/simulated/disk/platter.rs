//! Where bytes lie on the platters, and how long the arm takes to get there.
//!
//! Blocks are numbered from the outermost track inwards. The linear density is constant, so that a track's length is
//! proportional to its radius, and every track takes one turn. So the time to stream from the drive's first byte to
//! byte `b` (its *stream time*) grows with the radius that has been crossed: it serves as the radius, for seeks, and,
//! modulo one turn, as the angle, for the wait behind them. Changes of track are within the rate: the skew of the
//! tracks is taken as perfect.

use crate::simulated::disk::parameters::{DiskParameters, as_float, as_whole};

/// How much too late, in nanoseconds, the head may be where it goes straight on: rounding, no more.
const ROUNDING_NS: f64 = 1000.0;
/// How many places the mean of all seeks is taken over.
const MEAN_PLACES: u32 = 512;

/// A disk's surface and its arm.
#[derive(Clone, Debug)]
pub(crate) struct Platter {
    device_bytes: f64,
    turn_ns: f64,
    inner_to_outer: f64,
    /// The stream time of the whole drive.
    whole_ns: f64,
    /// The seek over the share x of the full stroke: `short + root sqrt(x) + linear x`.
    seek_short_ns: f64,
    seek_root_ns: f64,
    seek_linear_ns: f64,
    write_settle_ns: f64,
}

/// An access of the arm: how it gets to a place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Approach {
    /// The arm moves and settles.
    pub(crate) seek_ns: f64,
    /// The head waits for the place to come round.
    pub(crate) wait_ns: f64,
}

impl Approach {
    pub(crate) fn total_ns(self) -> f64 {
        self.seek_ns + self.wait_ns
    }

    /// Whether the head is there already.
    pub(crate) fn goes_straight_on(self) -> bool {
        self.total_ns() < 1.0
    }
}

impl Platter {
    pub(crate) fn new(parameters: &DiskParameters) -> Self {
        let device_bytes = as_float(parameters.device_bytes);
        let ratio = parameters.inner_to_outer;
        // The mean rate is that of the mean radius.
        let whole_s = device_bytes / parameters.outer_bytes_per_s / f64::midpoint(1.0, ratio);
        let mut platter = Self {
            device_bytes,
            turn_ns: 60.0e9 / f64::from(parameters.turns_per_minute),
            inner_to_outer: ratio,
            whole_ns: whole_s * 1.0e9,
            seek_short_ns: parameters.seek_short_us * 1000.0,
            seek_root_ns: 0.0,
            seek_linear_ns: 0.0,
            write_settle_ns: parameters.write_settle_us * 1000.0,
        };
        platter.bend_seek_curve(parameters);
        platter
    }

    /// Finds the curve that has the given mean and the given end.
    fn bend_seek_curve(&mut self, parameters: &DiskParameters) {
        let places: Vec<f64> = (0..MEAN_PLACES)
            .map(|place| self.radius((f64::from(place) + 0.5) / f64::from(MEAN_PLACES)))
            .collect();
        let (mut mean_root, mut mean_linear) = (0.0, 0.0);
        for from in &places {
            for to in &places {
                mean_root += (from - to).abs().sqrt();
                mean_linear += (from - to).abs();
            }
        }
        let pairs = f64::from(MEAN_PLACES) * f64::from(MEAN_PLACES);
        (mean_root, mean_linear) = (mean_root / pairs, mean_linear / pairs);
        let full = (parameters.seek_full_us - parameters.seek_short_us) * 1000.0;
        let mean = (parameters.seek_mean_us - parameters.seek_short_us) * 1000.0;
        self.seek_root_ns = (mean - full * mean_linear) / (mean_root - mean_linear);
        self.seek_linear_ns = full - self.seek_root_ns;
    }

    /// How far inwards the share `share` of the drive's bytes reaches: 0 outermost, 1 innermost.
    fn radius(&self, share: f64) -> f64 {
        let bent = 1.0 - self.inner_to_outer * self.inner_to_outer;
        (1.0 - (1.0 - bent * share).sqrt()) / (1.0 - self.inner_to_outer)
    }

    /// The stream time of byte `offset_bytes`, in nanoseconds.
    pub(crate) fn stream_ns(&self, offset_bytes: u64) -> f64 {
        self.whole_ns * self.radius(as_float(offset_bytes) / self.device_bytes)
    }

    /// The byte at stream time `stream_ns`.
    pub(crate) fn byte_at(&self, stream_ns: f64) -> u64 {
        let left = 1.0 - stream_ns / self.whole_ns * (1.0 - self.inner_to_outer);
        let bent = 1.0 - self.inner_to_outer * self.inner_to_outer;
        as_whole((1.0 - left * left) / bent * self.device_bytes)
    }

    /// One turn, in nanoseconds.
    pub(crate) fn turn_ns(&self) -> f64 {
        self.turn_ns
    }

    /// The time to move over a stretch of stream time, in nanoseconds: the shortest that an access so far away can
    /// take.
    pub(crate) fn seek_ns(&self, stretch_ns: f64, is_write: bool) -> f64 {
        let stretch_ns = stretch_ns.abs();
        if stretch_ns < self.turn_ns {
            return 0.0;
        }
        let share = stretch_ns / self.whole_ns;
        let settle_ns = if is_write { self.write_settle_ns } else { 0.0 };
        self.seek_short_ns + self.seek_root_ns * share.sqrt() + self.seek_linear_ns * share + settle_ns
    }

    /// How the head gets at time `now_ns` from stream time `from_ns` to `to_ns`.
    pub(crate) fn approach(&self, now_ns: u64, from_ns: f64, to_ns: f64, is_write: bool) -> Approach {
        let seek_ns = self.seek_ns(to_ns - from_ns, is_write);
        let ahead_ns = to_ns - as_float(now_ns) - seek_ns;
        // As `rem_euclid`, but for rounding, and several times as fast.
        let wait_ns = (ahead_ns - (ahead_ns / self.turn_ns).floor() * self.turn_ns).max(0.0);
        let wait_ns = if self.turn_ns - wait_ns < ROUNDING_NS { 0.0 } else { wait_ns };
        Approach { seek_ns, wait_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::Platter;
    use crate::simulated::disk::parameters::{DiskParameters, as_float};

    #[test]
    fn the_innermost_tracks_are_half_as_fast_as_the_outermost() {
        let parameters = DiskParameters::published_15_tb();
        let platter = Platter::new(&parameters);
        let mebibyte = 1 << 20;
        let last = parameters.device_bytes - mebibyte;
        let outer_ns = platter.stream_ns(mebibyte);
        let inner_ns = platter.stream_ns(parameters.device_bytes) - platter.stream_ns(last);
        assert!((inner_ns / outer_ns - 2.0).abs() < 0.001, "{inner_ns} against {outer_ns}");
        let rate = as_float(mebibyte) / outer_ns * 1.0e9;
        assert!((rate / parameters.outer_bytes_per_s - 1.0).abs() < 0.001, "{rate}");
    }

    #[test]
    fn a_place_and_its_stream_time_are_two_names_of_one_thing() {
        let parameters = DiskParameters::published_15_tb();
        let platter = Platter::new(&parameters);
        for offset in [0, 4096, 1 << 40, parameters.device_bytes - 4096] {
            assert!(platter.byte_at(platter.stream_ns(offset)).abs_diff(offset) < 512);
        }
    }

    #[test]
    fn the_seek_curve_rises_from_a_track_to_the_full_stroke() {
        let parameters = DiskParameters::published_15_tb();
        let platter = Platter::new(&parameters);
        let whole_ns = platter.stream_ns(parameters.device_bytes);
        let seeks: Vec<f64> =
            (1..=1000).map(|step| platter.seek_ns(whole_ns * f64::from(step) / 1000.0, false)).collect();
        assert!(seeks.is_sorted(), "a longer way takes longer");
        assert!(
            seeks[0] > parameters.seek_short_us * 1000.0
                && (seeks[999] - parameters.seek_full_us * 1000.0).abs() < 1.0
        );
    }

    #[test]
    fn who_goes_straight_on_waits_for_nothing_and_who_is_late_for_a_turn() {
        let platter = Platter::new(&DiskParameters::published_15_tb());
        let place_ns = platter.stream_ns(1 << 40);
        let on_time = super::as_whole(place_ns);
        assert!(platter.approach(on_time, place_ns, place_ns, true).total_ns() < 1.0);
        let late = platter.approach(on_time + 100_000, place_ns, place_ns, true).total_ns();
        assert!((late - (platter.turn_ns() - 100_000.0)).abs() < 2.0, "{late}");
    }
}
