//! When one drive is asked.
//!
//! - Lightly every 30 to 60 minutes, and for everything once a day, at random moments, so that drives do not fall into
//!   step.
//! - A question waits for a quiet time at most [`REFUSALS_MAX`] times: data never grow older than that allows.
//! - An operator's order to ask now is taken once in [`ORDER_INTERVAL`], and one at a time.
//! - A question holds one of its adapter's places for as long as that drive's questions take as a rule, and
//!   [`OVERDUE`] more. One that takes longer is not waited for by others: it may be the first that hangs. From then on its
//!   drive is slow, and its questions hold a place until they end (see `places.rs`).
//! - Nobody knows how long the first question takes: it holds its place for as long as any may. So that no other waits for
//!   it, first questions behind one adapter are put one after another, each [`FIRST_STEP`] after the one before: two of
//!   them fill the two places, and the third comes when the first has left its own.

use std::time::{Duration, Instant};

use smartctl_parser::Question;

/// Between two light questions, in seconds.
const LIGHT_S: std::ops::Range<u64> = 30 * 60..60 * 60;

/// Between two full questions, in seconds: a day, less up to an hour.
const FULL_S: std::ops::Range<u64> = 23 * 3600..24 * 3600;

/// A drive that has come is first asked within this, in milliseconds: the answer is wanted soon.
const FIRST_MS: std::ops::Range<u64> = 0..5_000;

/// And for everything within this, in seconds, when the node has come up.
const FIRST_FULL_S: std::ops::Range<u64> = 5 * 60..60 * 60;

/// After so many refusals of a quiet time a drive is asked all the same.
const REFUSALS_MAX: u32 = 5;

/// An engine that refuses is asked again after this at the earliest and latest.
const REFUSED_MIN: Duration = Duration::from_secs(1);
const REFUSED_MAX: Duration = Duration::from_secs(60);

/// A question that takes so much longer than its drive's last ones no longer holds a place. Two places, and a drive that
/// must not be asked 100 ms late because of the two that hang in them: less than half of that leaves room for a second
/// pair.
const OVERDUE: Duration = Duration::from_millis(40);

/// And no question holds a place for longer than this: most of a drive that answers take well under a second.
const USUAL_MAX: Duration = Duration::from_secs(1);

/// From one first question behind an adapter to the next: half of the time for which each holds its place.
pub(super) const FIRST_STEP: Duration = Duration::from_millis(520);

/// A drive takes an operator's order to ask now once in this time.
const ORDER_INTERVAL: Duration = Duration::from_secs(5);

/// When one drive is asked, and whether it is.
#[derive(Debug)]
pub(crate) struct Schedule {
    due: Instant,
    full_due: Instant,
    ordered: Option<Order>,
    is_ordered: bool,
    ordered_at: Option<Instant>,
    asking: Option<Asking>,
    is_slow: bool,
    /// How long its light and its full questions take as a rule; `None` before the first that was answered.
    usual: [Option<Duration>; 2],
    /// When its first question is due, or that after the clock was set; `None` for a drive that was asked lately.
    first_due: Option<Instant>,
    /// Whether that has its place among those of the adapter's other drives.
    first_is_placed: bool,
    quiet_refusals: u32,
    /// When it was last asked, and last for everything, in seconds since 1970.
    pub(crate) asked_unix_s: Option<u64>,
    pub(crate) asked_fully_unix_s: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    full: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asking {
    full: bool,
    began: Instant,
    place_until: Instant,
}

impl Schedule {
    /// The schedule of a drive that has just come; what was asked of it before counts.
    pub(crate) fn new(asked: [Option<u64>; 2], now: Instant, now_unix_s: u64) -> Self {
        let [asked_unix_s, asked_fully_unix_s] = asked;
        let left = |asked: Option<u64>, interval_s: u64| {
            let age_s = now_unix_s.checked_sub(asked?)?;
            interval_s.checked_sub(age_s).map(Duration::from_secs)
        };
        let first = || Duration::from_millis(random_in(FIRST_MS));
        let first_full = || Duration::from_secs(random_in(FIRST_FULL_S));
        let due = left(asked_unix_s, random_in(LIGHT_S));
        let first_due = due.is_none().then(|| now + first());
        Self {
            due: first_due.unwrap_or_else(|| now + due.unwrap_or_default()),
            full_due: now + left(asked_fully_unix_s, random_in(FULL_S)).unwrap_or_else(first_full),
            ordered: None,
            is_ordered: false,
            ordered_at: None,
            asking: None,
            is_slow: false,
            usual: [None; 2],
            first_due,
            first_is_placed: false,
            quiet_refusals: 0,
            asked_unix_s,
            asked_fully_unix_s,
        }
    }

    /// When it is to be asked next; `None` while it is being asked.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.asking.is_none().then_some(self.due.min(self.full_due))
    }

    /// When its first question is or was due, and whether that has its place among those of the adapter's other drives;
    /// `None` for a drive that was asked lately when it came.
    pub(super) fn first_due(&self) -> Option<(Instant, bool)> {
        self.first_due.map(|due| (due, self.first_is_placed))
    }

    /// Gives its first question its place.
    pub(super) fn place_first(&mut self, due: Instant) {
        (self.due, self.first_due, self.first_is_placed) = (due, Some(due), true);
    }

    /// Whether it is being asked.
    pub(crate) const fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Whether it is being asked, or an order to ask it waits for its turn.
    pub(crate) const fn is_asking_or_ordered(&self) -> bool {
        self.is_asking() || self.is_ordered
    }

    /// Until when others wait for its question; `None` where it is not being asked, or takes longer than its questions do.
    /// What a slow drive is asked is not timed.
    pub(crate) fn holds_place_until(&self, now: Instant) -> Option<Instant> {
        self.asking.map(|asking| asking.place_until).filter(|until| *until > now)
    }

    /// Whether its last question was cut off, or took longer than any may hold a place.
    pub(crate) const fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// How often a quiet time for the question that is due was refused.
    pub(crate) const fn quiet_refusals(&self) -> u32 {
        self.quiet_refusals
    }

    /// Makes the drive due now.
    ///
    /// # Errors
    ///
    /// How long to wait, where an order came a moment ago or still runs.
    pub(crate) fn order(&mut self, full: bool, now: Instant) -> Result<(), Duration> {
        let since = self.ordered_at.map(|at| now.saturating_duration_since(at));
        if let Some(since) = since.filter(|since| *since < ORDER_INTERVAL) {
            return Err(ORDER_INTERVAL - since);
        }
        if self.is_asking() {
            return Err(ORDER_INTERVAL);
        }
        self.ordered = Some(Order { full });
        self.is_ordered = true;
        self.ordered_at = Some(now);
        self.due = now;
        Ok(())
    }

    /// Makes the drive due soon.
    pub(crate) fn come_soon(&mut self, now: Instant) {
        self.due = now + Duration::from_millis(random_in(FIRST_MS));
        (self.first_due, self.first_is_placed) = (Some(self.due), self.is_asking());
    }

    /// The question begins: which one. `may_be_full` is false where a note forbids to ask for everything.
    pub(crate) fn start(&mut self, may_be_full: bool, now: Instant) -> Question {
        let ordered_full = self.ordered.take().is_some_and(|order| order.full);
        let full = may_be_full && (ordered_full || self.full_due <= now);
        if !may_be_full {
            self.full_due = now + Duration::from_secs(random_in(FULL_S));
        }
        // A full question takes as long as a light one at least.
        let [light, of_full] = self.usual;
        let known = if full { of_full.or(light) } else { light };
        let usual = known.unwrap_or(USUAL_MAX).min(USUAL_MAX);
        self.asking = Some(Asking { full, began: now, place_until: now + usual + OVERDUE });
        if full { Question::Heavy } else { Question::Light }
    }

    /// The engine refused a quiet time: the question waits for `wait`. False where it has waited often enough, and
    /// is to be asked all the same.
    pub(crate) fn postpone(&mut self, wait: Duration, now: Instant) -> bool {
        if self.quiet_refusals >= REFUSALS_MAX {
            return false;
        }
        self.quiet_refusals += 1;
        let was_full = self.asking.take().is_some_and(|asking| asking.full);
        self.due = now + wait.clamp(REFUSED_MIN, REFUSED_MAX);
        // Else it would be due at once, or forgotten.
        self.full_due = self.full_due.max(self.due);
        self.ordered = was_full.then_some(Order { full: true });
        true
    }

    /// Nothing may be asked of the drive: it is looked at again as though it had been asked for everything.
    pub(crate) fn pass_over(&mut self, now: Instant, now_unix_s: u64) {
        self.ordered = None;
        self.full_due = self.full_due.max(now + Duration::from_secs(random_in(FULL_S)));
        self.end(false, now, now_unix_s);
    }

    /// The question has ended. `hung` tells whether it was cut off.
    pub(crate) fn end(&mut self, hung: bool, now: Instant, now_unix_s: u64) {
        let asking = self.asking.take();
        let full = asking.is_some_and(|asking| asking.full);
        self.is_slow = hung;
        if let Some(asking) = asking.filter(|_| !hung) {
            // The longest of the last ones counts, and is forgotten bit by bit.
            let usual = &mut self.usual[usize::from(full)];
            let before = usual.unwrap_or_default() * 3 / 4;
            let took = now.saturating_duration_since(asking.began);
            *usual = Some(before.max(took).min(USUAL_MAX));
            self.is_slow = took > USUAL_MAX + OVERDUE;
        }
        self.is_ordered = false;
        self.quiet_refusals = 0;
        self.asked_unix_s = Some(now_unix_s);
        self.due = now + Duration::from_secs(random_in(LIGHT_S));
        if full {
            self.asked_fully_unix_s = Some(now_unix_s);
            self.full_due = now + Duration::from_secs(random_in(FULL_S));
        }
    }
}

/// A random number in a range. Where the kernel has none, the middle does: this spreads load and hides nothing.
fn random_in(range: std::ops::Range<u64>) -> u64 {
    let span = range.end - range.start;
    range.start + getrandom::u64().map_or(span / 2, |random| random % span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_UNIX_S: u64 = 1_700_000_000;

    fn fresh(now: Instant) -> Schedule {
        Schedule::new([None, None], now, NOW_UNIX_S)
    }

    #[test]
    fn a_drive_that_is_passed_over_does_not_stay_due() {
        let now = Instant::now();
        let mut schedule = fresh(now);
        for hours in 1..50 {
            let later = now + Duration::from_secs(hours * 3600);
            schedule.pass_over(later, NOW_UNIX_S + hours * 3600);
            assert!(schedule.due().unwrap() >= later + Duration::from_secs(30 * 60), "after {hours} hours");
        }
    }

    #[test]
    fn a_drive_that_came_is_asked_soon_and_then_every_30_to_60_minutes() {
        let now = Instant::now();
        let mut schedule = fresh(now);
        assert!(schedule.due().unwrap() < now + Duration::from_secs(5));
        assert_eq!(schedule.start(true, now), Question::Light);
        assert_eq!(schedule.due(), None, "it is asked once at a time");
        schedule.full_due = now + Duration::from_secs(24 * 3600);
        schedule.end(false, now, NOW_UNIX_S);
        let due = schedule.due().unwrap() - now;
        assert!((1800..3600).contains(&due.as_secs()), "{due:?}");
    }

    #[test]
    fn everything_is_asked_for_within_the_hour_and_then_once_a_day() {
        let now = Instant::now();
        let mut schedule = fresh(now);
        let later = now + Duration::from_secs(3600);
        assert_eq!(schedule.start(true, later), Question::Heavy);
        schedule.end(false, later, NOW_UNIX_S);
        assert_eq!(schedule.start(true, later + Duration::from_secs(22 * 3600)), Question::Light);
        schedule.end(false, later, NOW_UNIX_S);
        assert_eq!(schedule.start(true, later + Duration::from_secs(24 * 3600)), Question::Heavy);
    }

    #[test]
    fn where_a_note_forbids_it_nothing_but_the_light_question_is_put() {
        let now = Instant::now() + Duration::from_secs(3600);
        let mut schedule = fresh(now - Duration::from_secs(3600));
        schedule.order(true, now).unwrap();
        assert_eq!(schedule.start(false, now), Question::Light);
        schedule.end(false, now, NOW_UNIX_S);
        assert!(schedule.due().unwrap() > now + Duration::from_secs(60), "not due at once again");
    }

    #[test]
    fn what_was_asked_before_the_agent_started_counts() {
        let now = Instant::now();
        let schedule = Schedule::new([Some(NOW_UNIX_S - 60), Some(NOW_UNIX_S - 3600)], now, NOW_UNIX_S);
        assert!(schedule.due().unwrap() > now + Duration::from_secs(28 * 60));
        let schedule = Schedule::new([Some(NOW_UNIX_S + 60), None], now, NOW_UNIX_S);
        assert!(schedule.due().unwrap() < now + Duration::from_secs(5), "a time to come is no time");
    }

    #[test]
    fn a_question_that_is_refused_a_quiet_time_waits_five_times_and_is_then_put() {
        let now = Instant::now();
        let mut schedule = fresh(now);
        schedule.order(true, now).unwrap();
        for _ in 0..5 {
            assert_eq!(schedule.start(true, now), Question::Heavy, "it stays the question that it was");
            assert!(schedule.postpone(Duration::from_secs(7), now));
            assert_eq!(schedule.due(), Some(now + Duration::from_secs(7)));
        }
        schedule.start(true, now);
        assert!(!schedule.postpone(Duration::from_secs(7), now));
        assert!(schedule.is_asking());
    }

    #[test]
    fn a_question_holds_its_place_for_as_long_as_the_drives_last_ones_took_and_a_little_more() {
        let (now, took) = (Instant::now(), Duration::from_millis(300));
        let held = |schedule: &mut Schedule| {
            schedule.start(false, now);
            schedule.holds_place_until(now).unwrap() - now
        };
        let mut schedule = fresh(now);
        assert_eq!(held(&mut schedule), USUAL_MAX + OVERDUE, "nothing is known of it yet");
        assert_eq!(
            held(&mut schedule),
            2 * FIRST_STEP,
            "two first questions fill the places, and the third waits"
        );
        assert_eq!(schedule.holds_place_until(now + USUAL_MAX + OVERDUE), None);
        schedule.end(false, now + took, NOW_UNIX_S);
        assert_eq!(held(&mut schedule), took + OVERDUE);
        schedule.end(false, now + USUAL_MAX + OVERDUE, NOW_UNIX_S);
        assert_eq!(held(&mut schedule), USUAL_MAX + OVERDUE, "and no longer");
        assert!(!schedule.is_slow());
        schedule.end(false, now + 100 * took, NOW_UNIX_S);
        assert!(schedule.is_slow(), "it outlived its place");
        schedule.start(false, now);
        schedule.end(false, now + took, NOW_UNIX_S);
        assert!(!schedule.is_slow(), "the last one counts");
        schedule.start(false, now);
        schedule.end(true, now + took, NOW_UNIX_S);
        assert!(schedule.is_slow(), "it was cut off");
    }

    #[test]
    fn an_order_waits_or_runs_until_its_question_has_ended() {
        let now = Instant::now();
        let mut schedule = fresh(now);
        assert!(!schedule.is_asking_or_ordered());
        schedule.order(false, now).unwrap();
        assert!(schedule.is_asking_or_ordered() && !schedule.is_asking());
        schedule.start(true, now);
        assert!(schedule.postpone(Duration::from_secs(7), now), "the engine has no time for it");
        assert!(schedule.is_asking_or_ordered());
        schedule.start(true, now);
        schedule.end(false, now, NOW_UNIX_S);
        assert!(!schedule.is_asking_or_ordered());
    }

    #[test]
    fn orders_are_taken_once_in_a_while_and_not_while_the_drive_is_asked() {
        let now = Instant::now();
        let mut schedule = fresh(now);
        assert_eq!(schedule.order(false, now), Ok(()));
        assert_eq!(schedule.due(), Some(now));
        assert_eq!(schedule.order(false, now), Err(Duration::from_secs(5)));
        let later = now + Duration::from_secs(6);
        schedule.start(true, later);
        assert!(schedule.order(false, later).is_err());
    }
}
