//! What a run does, as data: a run that fails can be run again with a part of its operations.

use crate::request::{Class, Lifetime, RangeRequest};

use super::random::Random;
use super::setup::Setup;

/// One operation. Where its key is in use by another that has not been answered, it does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Put {
        key: u64,
        /// From which the bytes are made; where the key has a block, `same` takes that block's bytes.
        seed: u64,
        length: usize,
        same: bool,
        class: Class,
        lifetime: Lifetime,
    },
    /// A put of which nobody awaits the answer.
    PutAndLeave {
        key: u64,
        seed: u64,
        length: usize,
    },
    Get {
        key: u64,
        range: RangeRequest,
        class: Class,
    },
    Head {
        key: u64,
    },
    Delete {
        key: u64,
        class: Class,
    },
    /// Begins a listing, if none is under way; its pages come while other things go on.
    List {
        limit: usize,
    },
    /// Orders a pass of the scrub.
    Scrub,
    /// Time passes.
    Wait {
        us: u64,
    },
    Turn,
    /// Everything is answered, then the engine is dropped and another is started. With `stop`, it is told to end.
    Restart {
        stop: bool,
    },
    /// The power fails; where `in_mount` is given, once more after so many waits of the mount that follows. What `concealed`
    /// names cannot be read by that mount, and can be by the next.
    Crash {
        seed: u64,
        in_mount: Option<u32>,
        concealed: Concealed,
    },
    /// A zone in which a label stands, or the newest checkpoint, turns read-only: what it holds can still be read. It happens
    /// where faults do, and once in a run to each.
    Wear {
        what: Worn,
    },
    /// Everything is answered, read and counted.
    Check,
}

/// What wears out by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worn {
    /// The second of the label's places.
    Label,
    /// The first zone of the newest checkpoint.
    Checkpoint,
}

/// What a mount cannot read, though it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concealed {
    Nothing,
    /// The newest checkpoint.
    Newest,
    /// Both checkpoints: the drive is mounted by its footers.
    Both,
    /// Both checkpoints and the footers: the drive is mounted record by record.
    Footers,
    /// The newest label; of two that are the same, the first.
    Label,
    /// Both labels: the drive is mounted by a copy in a zone's header.
    Labels,
}

/// How many operations one run has.
pub(super) const RUN_OPERATIONS: usize = 600;

/// The operations of the run with this seed.
pub(super) fn operations(seed: u64, setup: &Setup) -> Vec<Operation> {
    let mut random = Random::new(seed ^ 0x4F50_4552_4154_494F);
    (0..RUN_OPERATIONS).map(|_| operation(&mut random, setup)).collect()
}

fn operation(random: &mut Random, setup: &Setup) -> Operation {
    let key = random.below(setup.keys);
    let class = random.one_of(&[Class::Foreground, Class::Foreground, Class::Repair, Class::Background]);
    match random.below(1000) {
        0..400 => Operation::Put {
            key,
            seed: random.next(),
            length: length(random, setup),
            same: random.one_in(6),
            class,
            lifetime: random.one_of(&[Lifetime::Unknown, Lifetime::Unknown, Lifetime::Short, Lifetime::Long]),
        },
        400..405 => Operation::PutAndLeave { key, seed: random.next(), length: length(random, setup) },
        405..530 => Operation::Get { key, range: range(random), class },
        530..560 => Operation::Head { key },
        560..800 => Operation::Delete { key, class },
        800..810 => Operation::List { limit: 1 + usize::try_from(random.below(20)).expect("small") },
        810..813 => Operation::Scrub,
        813..840 => {
            let us = random.one_of(&[100, 1_000, 20_000, 1_000_000, 5_000_000]);
            Operation::Wait { us: 1 + random.below(us) }
        }
        840..846 => Operation::Restart { stop: random.one_in(2) },
        846..858 => {
            let in_mount = random.one_in(4).then(|| random.below_u32(30));
            let concealed = match random.below(10) {
                0 => Concealed::Newest,
                1 => Concealed::Both,
                2 => Concealed::Footers,
                3 => Concealed::Label,
                4 => Concealed::Labels,
                _ => Concealed::Nothing,
            };
            Operation::Crash { seed: random.next(), in_mount, concealed }
        }
        858..862 => Operation::Check,
        862 => Operation::Wear { what: Worn::Label },
        863..865 => Operation::Wear { what: Worn::Checkpoint },
        _ => Operation::Turn,
    }
}

/// Mostly small blocks, some of none or many bytes.
fn length(random: &mut Random, setup: &Setup) -> usize {
    let length = match random.below(12) {
        0 => random.below(2),
        1..8 => random.below(setup.length_max / 6),
        8..11 => random.below(setup.length_max / 2),
        _ => random.below(setup.length_max),
    };
    usize::try_from(length).expect("a small number")
}

fn range(random: &mut Random) -> RangeRequest {
    let first = random.below(20_000);
    match random.below(6) {
        0 => RangeRequest::From { first, last: Some(first + random.below(20_000)) },
        1 => RangeRequest::From { first, last: None },
        2 => RangeRequest::Suffix { length_bytes: random.below(20_000) },
        _ => RangeRequest::Whole,
    }
}
