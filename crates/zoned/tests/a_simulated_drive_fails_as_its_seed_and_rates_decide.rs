//! The rates of faults, their counts, and their seed.
#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

#[path = "a_simulated_drive_support/mod.rs"]
mod support;

use imbrex_zoned::simulated::{FaultCounts, FaultKind, FaultRates};
use imbrex_zoned::{Condition, Device, Token, ZoneOperation};
use support::{Dice, Rig, UNIT, ZONE, ZONES};

/// How many operations of each kind that a fault can strike a run made.
#[derive(Default)]
struct Made {
    reads: u64,
    writes: u64,
    /// Of more than one unit.
    long_writes: u64,
    opening: u64,
    flushes: u64,
    resets: u64,
}

/// What a run saw: each operation's end, and what was read.
type History = Vec<String>;

/// Writes, reads, flushes and resets, several at a time. What is refused or lost does not end the run.
fn run(rig: &mut Rig, seed: u64, rounds: u64) -> (History, Made) {
    let mut dice = Dice::new(seed);
    let (mut history, mut made) = (History::new(), Made::default());
    for round in 0..rounds {
        let zones = match rig.device.report_zones() {
            Ok(zones) => zones,
            Err(_) => {
                rig.reopen();
                rig.device.report_zones().unwrap()
            }
        };
        for zone in 2..ZONES {
            let report = &zones[zone as usize];
            let start = u64::from(zone) * ZONE;
            let room = |pointer: &u64| pointer + 4 * UNIT <= ZONE && (*pointer == 0 || dice.below(8) > 0);
            match report.write_pointer_bytes.filter(room) {
                Some(pointer) => {
                    let units = 1 + dice.below(4);
                    let buffer =
                        rig.filled(&vec![round.to_le_bytes()[0]; usize::try_from(units * UNIT).unwrap()]);
                    rig.device.submit_write(Token(u64::from(zone)), start + pointer, buffer).unwrap();
                    made.writes += 1;
                    made.long_writes += u64::from(units > 1);
                    made.opening += u64::from(!matches!(
                        report.condition,
                        Condition::ImplicitOpen | Condition::ExplicitOpen
                    ));
                }
                None => {
                    let reset = ZoneOperation::Reset;
                    rig.device.submit_zone(Token(u64::from(zone)), zone, reset).unwrap();
                    made.resets += 1;
                }
            }
            let place = start + dice.below(16) * UNIT;
            let buffer = rig.device.pool().try_allocate(4096).unwrap();
            rig.device.submit_read(Token(100), place, buffer, 4096).unwrap();
            made.reads += 1;
        }
        rig.device.submit_flush(Token(200)).unwrap();
        made.flushes += 1;
        let mut in_flight = 2 * (ZONES as usize - 2) + 1;
        while in_flight > 0 {
            for end in rig.wait() {
                in_flight -= 1;
                let byte = end.buffer.as_ref().map(|buffer| buffer[0]);
                history.push(format!("{:?} {:?} {byte:?}", end.token, end.result));
            }
        }
        let closed = u32::try_from(2 + dice.below(u64::from(ZONES) - 2)).unwrap();
        // Refused where the zone is not open.
        _ = rig.order(closed, ZoneOperation::Close);
    }
    (history, made)
}

/// Rates at which each kind strikes often, and the drive lasts.
fn all_kinds() -> FaultRates {
    FaultRates::every(50)
        .with(FaultKind::ZoneReadOnly, 1000)
        .with(FaultKind::ZoneOffline, 1000)
        .with(FaultKind::Vanish, 1000)
        .with_worn_zones_max(4)
}

#[test]
fn every_kind_strikes_and_is_counted_by_its_name() {
    let mut counts = FaultCounts::default();
    assert_eq!(counts.never().len(), FaultKind::ALL.len());
    for seed in 0..4 {
        let mut rig = Rig::new();
        rig.drive().set_faults(seed, all_kinds());
        run(&mut rig, seed, 1000);
        counts += &rig.drive().fault_counts();
    }
    println!("faults: {counts}");
    assert_eq!(counts.never(), Vec::<&str>::new());
    let line = counts.to_string();
    assert!(!line.contains('\n'));
    for (kind, (name, count)) in FaultKind::ALL.into_iter().zip(counts.iter()) {
        assert_eq!((kind.name(), counts.of(kind)), (name, count));
        assert!(line.contains(&format!("{name} {count}")), "{line}");
    }
}

#[test]
fn each_kind_strikes_at_about_its_rate() {
    const ONE_IN: u32 = 20;
    for kind in FaultKind::ALL {
        let mut rig = Rig::new();
        rig.drive().set_faults(11, FaultRates::none().with(kind, ONE_IN).with_worn_zones_max(0));
        let (_, made) = run(&mut rig, 4, 400);
        let struck = rig.drive().fault_counts().of(kind);
        let all = made.reads + made.writes + made.flushes + made.resets;
        let about = match kind {
            FaultKind::LatentSector | FaultKind::BitFlip | FaultKind::ReadErrorTransient => made.reads,
            FaultKind::LostWrite | FaultKind::MisdirectedWrite | FaultKind::WriteError => made.writes,
            FaultKind::TornWriteError => made.long_writes,
            FaultKind::LateFlushError => made.flushes,
            FaultKind::TooManyOpen => made.opening,
            FaultKind::ResetError | FaultKind::GarbageBeyondPointer => made.resets,
            FaultKind::Slow => all,
            // They end what they strike: see below.
            FaultKind::ZoneReadOnly | FaultKind::ZoneOffline | FaultKind::Vanish => continue,
        } / u64::from(ONE_IN);
        let others: u64 = rig.drive().fault_counts().iter().map(|(_, count)| count).sum::<u64>() - struck;
        assert_eq!(others, 0);
        let name = kind.name();
        assert!(struck >= about / 2 && struck <= about * 3 / 2 + 5, "{name}: {struck}, not about {about}");
        assert!(about >= 10, "{name}: {about} are too few to tell");
    }
}

#[test]
fn zones_wear_out_and_drives_vanish_at_about_their_rates() {
    for kind in [FaultKind::ZoneReadOnly, FaultKind::ZoneOffline, FaultKind::Vanish] {
        let mut counts = FaultCounts::default();
        for seed in 0..40 {
            let mut rig = Rig::new();
            rig.drive().set_faults(seed, FaultRates::none().with(kind, 20));
            for _ in 0..50 {
                if rig.flush().is_err() {
                    rig.reopen();
                }
            }
            counts += &rig.drive().fault_counts();
        }
        let struck = counts.of(kind);
        assert!((70..130).contains(&struck), "{}: {struck}, not about 100", kind.name());
    }
}

#[test]
fn the_same_seed_gives_the_same_history_and_another_seed_another() {
    let history = |seed, scheduled| {
        let mut rig = Rig::new();
        rig.drive().set_faults(seed, all_kinds());
        rig.drive().set_scheduling(scheduled);
        let (history, _) = run(&mut rig, 1, 300);
        (history, rig.drive().fault_counts(), rig.drive().damaged_ranges())
    };
    assert_eq!(history(1, None), history(1, None));
    assert_eq!(history(1, Some(5)), history(1, Some(5)));
    assert_ne!(history(1, None).0, history(2, None).0);
    assert_ne!(history(1, Some(5)).0, history(1, Some(6)).0);
}

#[test]
fn a_kind_that_is_switched_off_leaves_the_others_where_they_were() {
    let failed_reads = |rates: FaultRates| {
        let mut rig = Rig::new();
        rig.fill(3 * ZONE, 1, 1).unwrap();
        rig.drive().set_faults(8, rates);
        (0..300).filter(|_| rig.read(3 * ZONE, UNIT).is_err()).collect::<Vec<u32>>()
    };
    let alone = FaultRates::none().with(FaultKind::ReadErrorTransient, 10);
    assert_eq!(failed_reads(alone.clone()), failed_reads(alone.with(FaultKind::BitFlip, 3)));
}

#[test]
fn without_faults_nothing_strikes() {
    let ends = |prepare: fn(&Rig)| {
        let mut rig = Rig::new();
        prepare(&rig);
        let (history, _) = run(&mut rig, 1, 200);
        assert!(rig.drive().damaged_ranges().is_empty());
        assert_eq!(rig.drive().fault_counts(), FaultCounts::default());
        history
    };
    let plain = ends(|_| ());
    assert_eq!(plain, ends(|rig| rig.drive().set_faults(1, FaultRates::none())));
    assert_eq!(plain, ends(|rig| rig.drive().switch_faults(true)), "nothing was set");
    let switched_off = |rig: &Rig| {
        rig.drive().set_faults(1, FaultRates::every(2));
        rig.drive().switch_faults(false);
    };
    assert_eq!(plain, ends(switched_off));
}
