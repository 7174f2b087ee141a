use super::*;

/// Numbers from a seed (xorshift64, Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn limits(in_flight_max: usize) -> Limits {
    Limits { quiet_us: 100, ..Limits::new(in_flight_max, 64) }
}

fn schedule(in_flight_max: usize) -> Schedule<u64> {
    Schedule::new(&limits(in_flight_max))
}

const FOREVER: u64 = u64::MAX;

#[test]
fn a_class_is_its_kind_of_work() {
    assert_eq!(Work::from(Class::Foreground), Work::Foreground);
    assert_eq!(Work::from(Class::Repair), Work::Repair);
    assert_eq!(Work::from(Class::Background), Work::Background);
}

#[test]
fn the_first_of_a_kind_goes_first_and_a_full_queue_gives_the_item_back() {
    let mut schedule = schedule(64);
    for item in 0..64 {
        schedule.push(Work::Foreground, 1, FOREVER, item).unwrap();
    }
    assert_eq!(schedule.push(Work::Foreground, 1, FOREVER, 64), Err(64));
    assert_eq!(schedule.len(), 64);
    for item in 0..64 {
        assert_eq!(schedule.pop(0), Some((Work::Foreground, item)));
    }
    assert!(schedule.is_empty() && schedule.pop(0).is_none());
}

#[test]
fn what_has_expired_never_starts() {
    let mut schedule = schedule(4);
    schedule.push(Work::Foreground, 1, 10, 1).unwrap();
    schedule.push(Work::Foreground, 1, 30, 2).unwrap();
    schedule.push(Work::Scrub, 1, 20, 3).unwrap();
    assert_eq!(schedule.next_deadline_us(), Some(10));
    assert_eq!(schedule.take_expired(9), None);
    assert_eq!(schedule.pop(10), Some((Work::Foreground, 2)));
    assert_eq!(schedule.take_expired(10), Some(1));
    assert_eq!(schedule.take_expired(10), None);
    assert_eq!(schedule.next_deadline_us(), Some(20));
    assert_eq!(schedule.take_expired(25), Some(3));
    assert_eq!(schedule.take_expired(25), None);
    assert!(schedule.is_empty());
}

#[test]
fn work_of_the_engines_own_that_is_held_starts_when_that_time_is_over_and_clients_start_at_once() {
    let mut schedule = schedule(4);
    schedule.push(Work::Scrub, 1, FOREVER, 1).unwrap();
    schedule.push(Work::Reclaim, 1, FOREVER, 2).unwrap();
    schedule.hold(50_000);
    assert_eq!(schedule.pop(10_000), None);
    assert_eq!(schedule.next_deadline_us(), Some(50_000), "nobody looks in vain until then");
    schedule.push(Work::Background, 1, FOREVER, 3).unwrap();
    assert!(schedule.next_deadline_us().unwrap() < 50_000);
    assert_eq!(schedule.pop(10_000), Some((Work::Background, 3)));
    schedule.push(Work::Foreground, 1, FOREVER, 4).unwrap();
    assert_eq!(schedule.pop(10_000), Some((Work::Foreground, 4)));
    schedule.finished(Work::Background, 1);
    schedule.finished(Work::Foreground, 1);
    assert_eq!(schedule.pop(49_999), None);
    assert_eq!(schedule.pop(50_000), Some((Work::Reclaim, 2)));
    assert_eq!(schedule.pop(50_000), Some((Work::Scrub, 1)));
}

#[test]
fn reclaim_for_which_clients_wait_is_not_held() {
    let mut schedule = schedule(4);
    schedule.push(Work::Reclaim, 1, FOREVER, 1).unwrap();
    schedule.push(Work::Scrub, 1, FOREVER, 2).unwrap();
    schedule.hold(50_000);
    schedule.set_urgency(Work::Reclaim, 1);
    assert_eq!(schedule.pop(10_000), Some((Work::Reclaim, 1)));
    assert_eq!(schedule.pop(10_000), None);
    schedule.hold(0);
    assert_eq!(schedule.pop(10_000), Some((Work::Scrub, 2)), "what is held can be let go before its time");
}

#[test]
fn other_work_waits_until_clients_have_been_quiet() {
    let mut schedule = schedule(4);
    // It has had its share of the time so far.
    schedule.push(Work::Scrub, 1000, FOREVER, 0).unwrap();
    assert_eq!(schedule.pop(1000), Some((Work::Scrub, 0)));
    schedule.finished(Work::Scrub, 1000);
    schedule.push(Work::Foreground, 1, FOREVER, 1).unwrap();
    schedule.push(Work::Scrub, 1000, FOREVER, 2).unwrap();
    assert_eq!(schedule.pop(1000), Some((Work::Foreground, 1)));
    assert_eq!(schedule.pop(5000), None, "a client's read is in flight");
    schedule.finished(Work::Foreground, 1);
    assert_eq!(schedule.pop(6000), None, "a client's read has just ended");
    assert_eq!(schedule.next_deadline_us(), Some(6100));
    assert_eq!(schedule.pop(6099), None);
    assert_eq!(schedule.pop(6100), Some((Work::Scrub, 2)));
}

#[test]
fn urgent_reclaim_does_not_wait_for_quiet_and_outweighs_clients() {
    let mut schedule = schedule(64);
    schedule.set_urgency(Work::Reclaim, 100);
    let mut started = [0_u32; KINDS];
    for round in 0..3000 {
        let _ = schedule.push(Work::Foreground, 10, FOREVER, round);
        let _ = schedule.push(Work::Reclaim, 10, FOREVER, round);
        if let Some((work, _)) = schedule.pop(round) {
            started[work as usize] += 1;
            schedule.finished(work, 10);
        }
    }
    let [foreground, .., reclaim, _] = started;
    assert!(reclaim.abs_diff(2 * foreground) <= 4, "{reclaim} of reclaim, {foreground} of clients");
}

#[test]
fn reclaim_that_is_urgent_at_all_starts_beside_a_client_in_flight() {
    for (urgency, expected) in [(0, None), (1, Some((Work::Reclaim, 2)))] {
        let mut schedule = schedule(4);
        schedule.push(Work::Reclaim, 1000, FOREVER, 0).unwrap();
        schedule.pop(1000).unwrap();
        schedule.finished(Work::Reclaim, 1000);
        schedule.push(Work::Foreground, 1, FOREVER, 1).unwrap();
        schedule.push(Work::Reclaim, 1000, FOREVER, 2).unwrap();
        schedule.set_urgency(Work::Reclaim, urgency);
        assert_eq!(schedule.pop(1000), Some((Work::Foreground, 1)));
        assert_eq!(schedule.pop(1000), expected);
    }
}

/// All kinds wait all the time: over every span, what each gets is in proportion to its weight.
#[test]
fn no_kind_starves_and_none_gets_more_than_its_share() {
    const COST_MAX: u64 = 500;
    for seed in 1..=20 {
        let mut random = Random(seed);
        let mut schedule = schedule(1);
        for work in ORDER {
            schedule.lane(work).share.in_flight_units_max = u64::MAX;
        }
        let mut given = [0_u64; KINDS];
        let costs: Vec<u32> = (0..256).map(|_| u32::try_from(1 + random.below(COST_MAX)).unwrap()).collect();
        for now_us in 0..50_000 {
            for work in ORDER {
                while schedule.waiting(work) < 4 {
                    let place = random.below(256);
                    schedule.push(work, costs[usize::try_from(place).unwrap()], FOREVER, place).unwrap();
                }
            }
            let (work, place) = schedule.pop(now_us).unwrap();
            let cost_units = costs[usize::try_from(place).unwrap()];
            given[work as usize] += u64::from(cost_units);
            schedule.finished(work, cost_units);
            assert_fair(&given, COST_MAX);
        }
        assert!(given.iter().all(|given| *given > 0));
    }
}

fn assert_fair(given: &[u64; KINDS], cost_max: u64) {
    let weights = limits(1).shares.map(|share| u64::from(share.weight));
    for one in 0..KINDS {
        for other in 0..KINDS {
            // given[one] / weight[one] - given[other] / weight[other], times both weights.
            let difference = (given[one] * weights[other]).abs_diff(given[other] * weights[one]);
            let bound = 2 * cost_max * (weights[one] + weights[other]);
            // A start is rounded down to a part of a unit.
            assert!(difference <= bound + weights[one] * weights[other], "{given:?}");
        }
    }
}

/// A client that always has reads in flight, and never one waiting, does not shut the others out.
#[test]
fn scrub_gets_its_share_beside_a_client_that_is_never_quiet() {
    let mut schedule = schedule(32);
    let (mut reads, mut scrubs) = (0_u64, 0_u64);
    schedule.push(Work::Scrub, 256, FOREVER, 0).unwrap();
    for now_us in 0..100_000 {
        schedule.push(Work::Foreground, 256, FOREVER, now_us).unwrap();
        while let Some((work, _)) = schedule.pop(now_us) {
            if work == Work::Scrub {
                scrubs += 1;
                schedule.finished(Work::Scrub, 256);
                schedule.push(Work::Scrub, 256, FOREVER, 0).unwrap();
            } else {
                reads += 1;
            }
        }
        if schedule.in_flight(Work::Foreground) > 4 {
            schedule.finished(Work::Foreground, 256);
        }
    }
    assert_eq!(reads, 100_000);
    assert!(scrubs.abs_diff(reads * 4 / 1024) <= 2, "{scrubs} of scrub beside {reads} reads");
}

/// Random loads: the caps hold at every instant, within a kind the order of arrival does, and nothing is lost.
#[test]
fn caps_hold_and_nothing_is_lost_under_random_loads() {
    for seed in 1..=50 {
        let mut random = Random(seed);
        let depth = usize::try_from(1 + random.below(32)).unwrap();
        let mut schedule: Schedule<(u64, u32)> = Schedule::new(&limits(depth));
        let mut in_flight: Vec<(Work, u32)> = Vec::new();
        let mut last = [0_u64; KINDS];
        let (mut pushed, mut taken) = (0_u64, 0_u64);
        for now_us in 0..20_000_u64 {
            let work = ORDER[usize::try_from(random.below(5)).unwrap()];
            let cost_units = u32::try_from(1 + random.below(6000)).unwrap();
            let deadline_us = if random.below(4) == 0 { now_us + random.below(300) } else { FOREVER };
            pushed +=
                u64::from(schedule.push(work, cost_units, deadline_us, (now_us + 1, cost_units)).is_ok());
            if random.below(50) == 0 {
                schedule.set_urgency(Work::Reclaim, u32::try_from(random.below(150)).unwrap());
            }
            while schedule.take_expired(now_us).is_some() {
                taken += 1;
            }
            while let Some((work, (arrival, cost_units))) = schedule.pop(now_us) {
                assert!(arrival > last[work as usize], "first come, first served");
                last[work as usize] = arrival;
                in_flight.push((work, cost_units));
                taken += 1;
                assert_caps(&in_flight, &schedule, depth);
            }
            if !in_flight.is_empty() && random.below(3) > 0 {
                let place = usize::try_from(random.below(in_flight.len() as u64)).unwrap();
                let (work, cost_units) = in_flight.swap_remove(place);
                schedule.finished(work, cost_units);
            }
        }
        assert_eq!(pushed, taken + schedule.len() as u64);
    }
}

fn assert_caps(in_flight: &[(Work, u32)], schedule: &Schedule<(u64, u32)>, depth: usize) {
    assert!(in_flight.len() <= depth);
    for work in ORDER {
        let share = limits(depth).shares[work as usize];
        let of_kind = || in_flight.iter().filter(|(kind, _)| *kind == work);
        let units: u64 = of_kind().map(|(_, cost_units)| u64::from(*cost_units)).sum();
        assert_eq!(of_kind().count(), schedule.in_flight(work));
        assert!(of_kind().count() <= share.in_flight_max);
        assert!(units <= share.in_flight_units_max || of_kind().count() == 1);
    }
}
