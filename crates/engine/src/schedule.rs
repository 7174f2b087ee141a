//! Who goes to the disk next.
//!
//! Five kinds of work wait in queues of their own, and share the disk by weights: start-time fair queueing with many
//! operations in flight, SFQ(D) (Jin, Chase and Kaur, "Interposed Proportional Sharing for a Storage Service Utility",
//! SIGMETRICS 2004). The order under overload is that of the weights: foreground, repair, reclaim, background, scrub.
//! Where space is short, [`Schedule::set_urgency`] raises reclaim until it outweighs the foreground.
//!
//! Invariants:
//!
//! * Within a kind, first come, first served. Nothing starts whose deadline has passed.
//! * No queue is longer than its bound; no kind has more in flight than its cap, in operations and in units, save that
//!   one operation may start however large it is. All kinds together keep to the depth of the device.
//! * While the engine's own work is held ([`Schedule::hold`]), no scrub starts, nor reclaim that is not urgent.
//! * Reclaim, background and scrub start where clients have been quiet for a while. Where clients never are, each still
//!   gets the share that its weight gives it, and no more. So none starves: while two kinds wait, what each was given
//!   divided by its weight differs by at most twice the sum of the largest operation of each divided by its weight.

use std::collections::VecDeque;

use crate::request::Class;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Clients for whom a user waits.
    Foreground,
    /// Clients that restore lost redundancy.
    Repair,
    /// Clients that can wait.
    Background,
    /// Moving live records out of zones that are mostly dead.
    Reclaim,
    /// Reading everything again before it rots.
    Scrub,
}

impl From<Class> for Work {
    fn from(class: Class) -> Self {
        match class {
            Class::Foreground => Self::Foreground,
            Class::Repair => Self::Repair,
            Class::Background => Self::Background,
        }
    }
}

const KINDS: usize = 5;

/// Every kind, the first under overload first.
const ORDER: [Work; KINDS] = [Work::Foreground, Work::Repair, Work::Reclaim, Work::Background, Work::Scrub];

impl Work {
    /// Whether it also starts while clients are busy, by its weight alone.
    fn is_urgent_by_nature(self) -> bool {
        matches!(self, Self::Foreground | Self::Repair)
    }
}

/// The bounds and the weight of one kind of work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// How many may wait.
    pub(crate) queue_max: usize,
    /// How many may be in flight.
    pub(crate) in_flight_max: usize,
    /// How many units those in flight may cost together.
    pub(crate) in_flight_units_max: u64,
    /// Its weight in calm times, at least 1.
    pub(crate) weight: u32,
    /// Its weight at the highest urgency.
    pub(crate) weight_urgent: u32,
}

/// The bounds of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How many operations the device takes at once: 32 for a disk, the depth of native command queueing (ATA/ATAPI
    /// Command Set, ACS-4, "NCQ feature set").
    pub(crate) in_flight_max: usize,
    /// How many operations of foreground and repair may be in flight while clients still count as quiet.
    pub(crate) quiet_in_flight_max: usize,
    /// For how long they must have been quiet before other work starts. A client that asks for one block after another
    /// is quiet for an instant between two; the kernel's BFQ scheduler waits 8 ms for it (`slice_idle`).
    pub(crate) quiet_us: u64,
    /// One for each kind, by `Work as usize`.
    pub(crate) shares: [Share; KINDS],
}

impl Limits {
    /// The engine's limits, for a device of the given depth and an engine that takes `requests_max` requests. Under
    /// full load of all kinds the disk's time is shared 71 % foreground, 18 % repair, 9 % reclaim, 2 % background,
    /// 0.3 % scrub: so small that of a hundred reads fewer than one meets it.
    pub(crate) fn new(in_flight_max: usize, requests_max: usize) -> Self {
        let client = |weight, part: usize| Share {
            queue_max: requests_max,
            in_flight_max: (in_flight_max / part).max(1),
            in_flight_units_max: u64::MAX,
            weight,
            weight_urgent: weight,
        };
        let own = |weight, weight_urgent, in_flight_max| Share {
            queue_max: OWN_QUEUE_MAX,
            in_flight_max,
            in_flight_units_max: OWN_UNITS_MAX,
            weight,
            weight_urgent,
        };
        let shares = [
            client(1024, 1),
            client(256, 2),
            client(32, 8),
            own(128, 2048, 4),
            // A scrub that is late gets as much as background, never more.
            own(4, 32, 1),
        ];
        Self { in_flight_max, quiet_in_flight_max: 0, quiet_us: 8_000, shares }
    }
}

/// How many operations of reclaim or of scrub wait at most.
const OWN_QUEUE_MAX: usize = 64;

/// How many units reclaim or scrub has in flight at most: 16 MiB, some 70 ms of a disk.
const OWN_UNITS_MAX: u64 = 4096;

/// What a unit costs at weight 1, in virtual time.
const SCALE: u64 = 1 << 16;

struct Waiting<T> {
    cost_units: u32,
    deadline_us: u64,
    item: T,
}

struct Lane<T> {
    share: Share,
    queue: VecDeque<Waiting<T>>,
    in_flight: usize,
    in_flight_units: u64,
    urgency_percent: u32,
    /// The virtual time at which its next operation is due.
    due: u64,
    /// No deadline of the queue is earlier.
    deadline_us: u64,
}

impl<T> Lane<T> {
    fn new(share: Share) -> Self {
        Self {
            share,
            queue: VecDeque::with_capacity(share.queue_max),
            in_flight: 0,
            in_flight_units: 0,
            urgency_percent: 0,
            due: 0,
            deadline_us: u64::MAX,
        }
    }

    fn weight(&self) -> u64 {
        let (calm, urgent) = (u64::from(self.share.weight), u64::from(self.share.weight_urgent));
        let more = urgent.saturating_sub(calm) * u64::from(self.urgency_percent) / 100;
        (calm + more).max(1)
    }

    /// The first whose deadline has not passed.
    fn first(&self, now_us: u64) -> Option<usize> {
        self.queue.iter().position(|waiting| waiting.deadline_us > now_us)
    }

    fn is_at_cap(&self, cost_units: u64) -> bool {
        self.in_flight >= self.share.in_flight_max
            || (self.in_flight > 0 && self.in_flight_units + cost_units > self.share.in_flight_units_max)
    }
}

/// See the module. All memory is taken when it is made.
pub(crate) struct Schedule<T> {
    lanes: [Lane<T>; KINDS],
    in_flight_max: usize,
    in_flight: usize,
    quiet_in_flight_max: usize,
    quiet_us: u64,
    /// The virtual time at which the last operation that was started had been due.
    virtual_now: u64,
    /// When clients were last seen busy.
    busy_us: u64,
    /// Whether they were since [`Self::pop`] was last asked.
    was_busy: bool,
    /// Until then the engine's own work does not start.
    held_until_us: u64,
}

impl<T> Schedule<T> {
    /// An empty schedule.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            lanes: limits.shares.map(Lane::new),
            in_flight_max: limits.in_flight_max.max(1),
            in_flight: 0,
            quiet_in_flight_max: limits.quiet_in_flight_max,
            quiet_us: limits.quiet_us,
            virtual_now: 0,
            busy_us: 0,
            was_busy: false,
            held_until_us: 0,
        }
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let places: usize = self.lanes.iter().map(|lane| lane.queue.capacity()).sum();
        (places * size_of::<Waiting<T>>()) as u64
    }

    fn lane(&mut self, work: Work) -> &mut Lane<T> {
        &mut self.lanes[work as usize]
    }

    /// Queues an operation. `cost_units` is the disk's time, in units of transfer; an operation that has to seek
    /// costs [`SEEK_UNITS`] more. `deadline_us` is when it need not start any more, `u64::MAX` for never.
    ///
    /// # Errors
    ///
    /// Gives the item back where the queue of its kind is full.
    pub(crate) fn push(&mut self, work: Work, cost_units: u32, deadline_us: u64, item: T) -> Result<(), T> {
        let virtual_now = self.virtual_now;
        let lane = self.lane(work);
        if lane.queue.len() >= lane.share.queue_max {
            return Err(item);
        }
        if lane.queue.is_empty() {
            // What it did not use while it had nothing to do is not saved up.
            lane.due = lane.due.max(virtual_now);
            lane.deadline_us = u64::MAX;
        }
        lane.deadline_us = lane.deadline_us.min(deadline_us);
        lane.queue.push_back(Waiting { cost_units, deadline_us, item });
        self.was_busy |= work.is_urgent_by_nature();
        Ok(())
    }

    /// Takes the operation that is to start now, if any may. The caller tells [`Self::finished`] of its end.
    pub(crate) fn pop(&mut self, now_us: u64) -> Option<(Work, T)> {
        let clients_wait = self.waiting(Work::Foreground) + self.waiting(Work::Repair) > 0;
        let clients_fly =
            self.lanes[Work::Foreground as usize].in_flight + self.lanes[Work::Repair as usize].in_flight;
        if clients_wait || clients_fly > self.quiet_in_flight_max || std::mem::take(&mut self.was_busy) {
            self.busy_us = now_us;
        }
        if self.in_flight >= self.in_flight_max {
            return None;
        }
        let quiet = now_us.saturating_sub(self.busy_us) >= self.quiet_us
            && !clients_wait
            && clients_fly <= self.quiet_in_flight_max;
        let held = now_us < self.held_until_us;
        let (work, place) = ORDER
            .into_iter()
            .filter(|work| !(held && self.can_be_held(*work)))
            .filter_map(|work| {
                let lane = &self.lanes[work as usize];
                let place = lane.first(now_us)?;
                let may_start = work.is_urgent_by_nature()
                    || quiet
                    || lane.due <= self.virtual_now
                    || (lane.urgency_percent > 0 && !clients_wait);
                let at_cap = lane.is_at_cap(u64::from(lane.queue[place].cost_units));
                (may_start && !at_cap).then_some((work, place))
            })
            // Of equals the first in order: `min_by_key` keeps the first.
            .min_by_key(|(work, _)| self.lanes[*work as usize].due)?;
        self.start(work, place)
    }

    fn start(&mut self, work: Work, place: usize) -> Option<(Work, T)> {
        let lane = &mut self.lanes[work as usize];
        let Waiting { cost_units, item, .. } = lane.queue.remove(place)?;
        self.virtual_now = self.virtual_now.max(lane.due);
        lane.due = lane.due.saturating_add(u64::from(cost_units.max(1)) * SCALE / lane.weight());
        lane.in_flight += 1;
        lane.in_flight_units += u64::from(cost_units);
        self.in_flight += 1;
        Some((work, item))
    }

    /// Notes that an operation which [`Self::pop`] gave out has ended, with the cost at which it was queued.
    pub(crate) fn finished(&mut self, work: Work, cost_units: u32) {
        let virtual_now = self.virtual_now;
        let lane = self.lane(work);
        if lane.is_at_cap(1) {
            // What its cap kept it from using is not saved up either.
            lane.due = lane.due.max(virtual_now);
        }
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.in_flight_units = lane.in_flight_units.saturating_sub(u64::from(cost_units));
        self.in_flight = self.in_flight.saturating_sub(1);
        self.was_busy |= work.is_urgent_by_nature();
    }

    /// Takes an operation whose deadline has passed before it was started. The caller asks until there is none.
    pub(crate) fn take_expired(&mut self, now_us: u64) -> Option<T> {
        self.lanes.iter_mut().filter(|lane| lane.deadline_us <= now_us).find_map(|lane| {
            let place = lane.queue.iter().position(|waiting| waiting.deadline_us <= now_us);
            if place.is_none() {
                lane.deadline_us =
                    lane.queue.iter().map(|waiting| waiting.deadline_us).min().unwrap_or(u64::MAX);
            }
            lane.queue.remove(place?).map(|waiting| waiting.item)
        })
    }

    /// Holds the engine's own work back until `until_us`: the drive is to be left in peace by all but clients. Reclaim
    /// that is urgent goes on, since clients wait for it.
    pub(crate) fn hold(&mut self, until_us: u64) {
        self.held_until_us = until_us;
    }

    /// The same, without ending what was ordered before.
    pub(crate) fn hold_at_least(&mut self, until_us: u64) {
        self.held_until_us = self.held_until_us.max(until_us);
    }

    fn can_be_held(&self, work: Work) -> bool {
        match work {
            Work::Scrub => true,
            Work::Reclaim => self.lanes[work as usize].urgency_percent == 0,
            Work::Foreground | Work::Repair | Work::Background => false,
        }
    }

    /// When to ask [`Self::pop`] and [`Self::take_expired`] again though nothing has come or finished: at the earliest
    /// deadline, or when clients will have been quiet for long enough. It may be early, and is never late.
    pub(crate) fn next_deadline_us(&self) -> Option<u64> {
        let waiting = || self.lanes.iter().filter(|lane| !lane.queue.is_empty());
        let deadline = waiting().map(|lane| lane.deadline_us).filter(|deadline| *deadline < u64::MAX).min();
        // Where something is in flight, its end comes first.
        let only_held = ORDER.into_iter().all(|work| self.waiting(work) == 0 || self.can_be_held(work));
        let held_until_us = if only_held { self.held_until_us } else { 0 };
        let quiet = (self.in_flight == 0 && !self.is_empty())
            .then(|| self.busy_us.saturating_add(self.quiet_us).max(held_until_us));
        [deadline, quiet].into_iter().flatten().min()
    }

    /// How eager a kind of work is, 0 to 100 %: its weight rises in proportion to its urgent weight, and above 0 it
    /// no longer waits until clients have been quiet for a while, only until none of them waits.
    pub(crate) fn set_urgency(&mut self, work: Work, percent: u32) {
        self.lane(work).urgency_percent = percent.min(100);
    }

    /// How many operations wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.queue.len()).sum()
    }

    /// Whether none waits. Some may be in flight.
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.queue.is_empty())
    }

    /// How many operations of one kind wait.
    pub(crate) fn waiting(&self, work: Work) -> usize {
        self.lanes[work as usize].queue.len()
    }

    /// How many operations of one kind are in flight.
    #[cfg(test)]
    pub(crate) fn in_flight(&self, work: Work) -> usize {
        self.lanes[work as usize].in_flight
    }
}

/// What a seek costs, in units of transfer: a random read costs about 8 ms (DESIGN.md, section 2), in which a disk
/// of 235 MiB/s transfers 481 units of 4 KiB.
pub(crate) const SEEK_UNITS: u32 = 480;

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
