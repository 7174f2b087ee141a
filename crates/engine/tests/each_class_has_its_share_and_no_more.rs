//! Under overload the foreground comes first, and no class starves.

#![allow(clippy::unwrap_used, reason = "in a test, an error is a failure")]

mod support;

use imbrex_engine::manual::Ticket;
use imbrex_engine::{Block, Class, Options, PutOutcome, RangeRequest};
use support::by_hand::{Bench, key, small_drive};

/// Each block is one read of about a seek: what is shared is the disk's time.
const LENGTH: usize = 4000;

/// A drive that does a few things at once, in any order.
fn drive() -> Bench {
    let options = Options { rotational_depth_max: 4, ..Options::default() };
    let mut bench = Bench::formatted(small_drive(24, 2 << 20), options);
    for number in 0..20 {
        assert_eq!(bench.put(number, LENGTH), Ok(PutOutcome::Stored));
    }
    bench.drive.set_scheduling(Some(1));
    bench
}

/// Asks for blocks in a class, many times.
fn ask(bench: &mut Bench, class: Class, count: u32) -> Vec<Ticket<Block>> {
    (0..count).map(|number| bench.engine.get(key(number % 20), RangeRequest::Whole, class)).collect()
}

/// Takes the answers that have come.
fn take(tickets: &mut Vec<Ticket<Block>>) -> usize {
    let before = tickets.len();
    tickets.retain_mut(|ticket| ticket.try_take().map(Result::unwrap).is_none());
    before - tickets.len()
}

#[test]
fn the_foreground_does_not_wait_for_the_rest() {
    let mut bench = drive();
    let mut background = ask(&mut bench, Class::Background, 300);
    let mut repair = ask(&mut bench, Class::Repair, 300);
    bench.turns(10);
    let mut foreground = ask(&mut bench, Class::Foreground, 300);
    take(&mut background);
    take(&mut repair);
    let (mut of_background, mut of_repair) = (0, 0);
    while !foreground.is_empty() {
        bench.turn();
        take(&mut foreground);
        of_background += take(&mut background);
        of_repair += take(&mut repair);
    }
    // By their weights: 1024 to 256 to 32. What is in flight at either end comes on top.
    assert!((50..=90).contains(&of_repair), "{of_repair} of repair beside 300 of foreground");
    assert!((4..=20).contains(&of_background), "{of_background} of background beside 300 of foreground");
}

#[test]
fn what_is_left_over_goes_to_whoever_asks() {
    let mut bench = drive();
    let mut background = ask(&mut bench, Class::Background, 300);
    let mut answered = 0;
    bench.until(|_| {
        answered += take(&mut background);
        background.is_empty()
    });
    assert_eq!(answered, 300);
}
