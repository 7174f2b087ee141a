use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

const ZONE: Candidate = Candidate {
    zone: 0,
    capacity_units: 1600,
    live_units: 800,
    damaged_units: 0,
    tombstone_units: 0,
    age: 100,
    must_evacuate: false,
};

#[test]
fn a_dead_zone_comes_before_one_to_evacuate_and_that_before_all_others() {
    let benefit = Candidate { zone: 1, live_units: 10, age: u64::MAX, ..ZONE };
    let evacuated = Candidate { zone: 2, live_units: 1600, must_evacuate: true, ..ZONE };
    let dead = Candidate { zone: 3, live_units: 0, age: 0, ..ZONE };
    for pressure in [0, 1000] {
        assert_eq!(choose([benefit, evacuated, dead], pressure), Some(3));
        assert_eq!(choose([benefit, evacuated], pressure), Some(2));
        assert_eq!(choose([benefit], pressure), Some(1));
    }
}

#[test]
fn what_frees_too_little_or_holds_damaged_records_is_not_chosen() {
    assert_eq!(choose([Candidate { live_units: 1501, ..ZONE }], 1000), None);
    assert_eq!(choose([Candidate { live_units: 1500, tombstone_units: 1, ..ZONE }], 1000), None);
    assert_eq!(choose([Candidate { live_units: 1500, ..ZONE }], 1000), Some(0));
    let damaged = Candidate { damaged_units: 1, ..ZONE };
    assert_eq!((choose([damaged], 1000), damaged.gain_units()), (None, 0));
    // What still reads is moved; what remains then is all damaged, and the zone is left alone.
    assert_eq!(choose([Candidate { must_evacuate: true, ..damaged }], 0), Some(0));
    let remains = Candidate { live_units: 1, damaged_units: 1, must_evacuate: true, ..ZONE };
    assert_eq!(choose([remains], 0), None);
    assert_eq!(choose([], 0), None);
}

#[test]
fn age_counts_until_space_is_short() {
    let young = Candidate { zone: 1, live_units: 400, age: 10, ..ZONE };
    let old = Candidate { zone: 2, live_units: 1200, age: 1000, ..ZONE };
    assert_eq!(choose([young, old], 0), Some(2));
    assert_eq!(choose([young, old], GREEDY_PRESSURE), Some(1));
}

#[test]
fn tombstones_that_are_needed_count_as_alive() {
    let dead_but_for_tombstones = Candidate { zone: 1, live_units: 0, tombstone_units: 100, ..ZONE };
    let dead = Candidate { zone: 2, live_units: 0, age: 0, ..ZONE };
    assert_eq!(choose([dead_but_for_tombstones, dead], 0), Some(2));
    assert_eq!(dead_but_for_tombstones.gain_units(), 1500);
}

#[test]
fn no_value_overflows() {
    let largest = Candidate { capacity_units: u32::MAX, live_units: 0, age: u64::MAX, ..ZONE };
    let alive = Candidate { zone: 1, live_units: u32::MAX / 2, tombstone_units: 1, ..largest };
    assert_eq!(choose([alive], 0), Some(1));
    assert_eq!(choose([Candidate { live_units: u32::MAX, tombstone_units: u32::MAX, ..largest }], 0), None);
}

/// Zones and records as numbers: each step a record dies and another is written. Simulated; no device.
struct Drive {
    zones: Vec<SimulatedZone>,
    free: Vec<usize>,
    /// The zone being written, for new records and for moved ones.
    open: [usize; 2],
    /// Where each record stands.
    places: Vec<usize>,
    steps: u64,
    written: u64,
    pressure: u32,
    moved_apart: bool,
}

#[derive(Clone, Default)]
struct SimulatedZone {
    records: Vec<usize>,
    live: u32,
    begun: u64,
    is_sealed: bool,
}

const ZONES: usize = 400;
const RECORDS_PER_ZONE: usize = 64;
const LIVE: usize = ZONES * RECORDS_PER_ZONE * 80 / 100;
const NOWHERE: usize = usize::MAX;

impl Drive {
    fn new(pressure: u32, moved_apart: bool) -> Self {
        Self {
            zones: vec![SimulatedZone::default(); ZONES],
            free: (2..ZONES).collect(),
            open: [0, 1],
            places: vec![NOWHERE; LIVE + 1],
            steps: 0,
            written: 0,
            pressure,
            moved_apart,
        }
    }

    fn write(&mut self, record: usize, stream: usize) {
        if self.zones[self.open[stream]].records.len() == RECORDS_PER_ZONE {
            self.zones[self.open[stream]].is_sealed = true;
            self.open[stream] = self.free.pop().expect("reclaim keeps zones free");
            self.zones[self.open[stream]].begun = self.steps;
        }
        let zone = &mut self.zones[self.open[stream]];
        zone.records.push(record);
        zone.live += 1;
        self.places[record] = self.open[stream];
        self.written += 1;
    }

    /// A new record. Reclaim waits until it must: every zone that is free earlier is space that the dead do not get.
    fn put(&mut self, record: usize) {
        self.write(record, 0);
        self.steps += 1;
        while self.free.len() < 3 {
            self.reclaim();
        }
    }

    fn die(&mut self, record: usize) {
        self.zones[self.places[record]].live -= 1;
        self.places[record] = NOWHERE;
    }

    fn reclaim(&mut self) {
        let candidates = (0..ZONES).filter(|zone| self.zones[*zone].is_sealed).map(|zone| Candidate {
            zone: u32::try_from(zone).unwrap(),
            capacity_units: 64,
            live_units: self.zones[zone].live,
            damaged_units: 0,
            tombstone_units: 0,
            age: self.steps - self.zones[zone].begun,
            must_evacuate: false,
        });
        let victim = choose(candidates, self.pressure).expect("a victim") as usize;
        let SimulatedZone { records, .. } = std::mem::take(&mut self.zones[victim]);
        for record in records {
            if self.places[record] == victim {
                self.write(record, usize::from(self.moved_apart));
            }
        }
        self.free.push(victim);
    }
}

/// When a record that is written at `now` dies; `None`: whenever chance says so.
type Death = fn(random: &mut dyn FnMut(u64) -> u64, now: u64) -> Option<u64>;

/// Hundredths of a record written for each that was stored, once the drive has been churned ten times over.
fn write_amplification_percent(death: Death, pressure: u32, moved_apart: bool) -> u64 {
    const WARM: u64 = 10 * LIVE as u64;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    let mut drive = Drive::new(pressure, moved_apart);
    let mut deaths = BinaryHeap::new();
    let mut spare = LIVE;
    for record in 0..LIVE {
        drive.put(record);
        deaths.extend(death(&mut random, record as u64).map(|at| Reverse((at, record))));
    }
    let mut before = 0;
    for step in 0..2 * WARM {
        if step == WARM {
            before = drive.written;
        }
        let dying = match deaths.pop() {
            Some(Reverse((_, record))) => record,
            None => loop {
                let record = usize::try_from(random(LIVE as u64 + 1)).unwrap();
                if record != spare {
                    break record;
                }
            },
        };
        drive.die(dying);
        drive.put(spare);
        deaths.extend(death(&mut random, step + LIVE as u64).map(|at| Reverse((at, spare))));
        spare = dying;
    }
    (drive.written - before) * 100 / WARM
}

const MEAN: u64 = LIVE as u64;

#[test]
fn write_amplification_at_80_percent_is_what_theory_says() {
    let loads: [(&str, Death); 4] = [
        ("uniformly random", |_, _| None),
        ("oldest first, +-20 %", |random, now| Some(now + MEAN * 8 / 10 + random(MEAN * 4 / 10))),
        ("oldest first, +-50 %", |random, now| Some(now + MEAN / 2 + random(MEAN))),
        ("9 of 10 short, 1 of 10 long", |random, now| {
            Some(now + 1 + if random(10) > 0 { random(MEAN * 4 / 10) } else { random(MEAN * 16) })
        }),
    ];
    println!(
        "records written per record stored, simulated, {ZONES} zones of {RECORDS_PER_ZONE} records, 80 % full"
    );
    println!("{:<30}{:>14}{:>14}{:>22}", "deaths", "cost-benefit", "greedy", "moved not set apart");
    let figures = loads.map(|(name, death)| {
        let figures = [(0, true), (1000, true), (0, false)]
            .map(|(pressure, apart)| write_amplification_percent(death, pressure, apart));
        let [benefit, greedy, together] =
            figures.map(|percent| format!("{}.{:02}", percent / 100, percent % 100));
        println!("{name:<30}{benefit:>14}{greedy:>14}{together:>22}");
        figures
    });
    let [uniform, ordered, spread, mixed] = figures;
    // The fluid limit is 2.69 (see the module). Three of 400 zones are kept free and two half empty.
    assert!((255..=280).contains(&uniform[0]) && (255..=280).contains(&uniform[1]));
    assert!(ordered[0] <= 120);
    assert!(spread[0] < spread[2] && mixed[0] < mixed[2], "setting moved records apart helps");
    assert!(mixed[0] < mixed[1], "age helps where lifetimes are mixed");
}
