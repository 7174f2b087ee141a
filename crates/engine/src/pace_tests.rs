use super::*;

const RECORDS: usize = 64;
const RESERVE: u32 = 2;

/// A drive of numbers: zones of 64 records of one unit, churned at random at a constant fill. Simulated; no device.
struct Drive {
    pace: Pace,
    zones: Vec<SimulatedZone>,
    free: Vec<usize>,
    /// Zones that rest, with the step at which each is free.
    trash: std::collections::VecDeque<(u64, usize)>,
    open: [usize; 2],
    /// Where each record stands: its zone, and which of the zone's it is.
    places: Vec<(usize, usize)>,
    /// The zone being cleared, and how far.
    victim: Option<(usize, usize)>,
    /// What is dead in the zones of which it is worth it.
    reclaimable_units: u64,
    steps: u64,
    rest_steps: u64,
    /// Reclaim's share so far that it has not used, in thousandths of a step.
    share: u32,
    random: u64,
    moved_since_write: usize,
    moved_since_write_max: usize,
    /// The least and the most that was free since it was last forgotten.
    free_range: (u64, u64),
}

#[derive(Clone, Default)]
struct SimulatedZone {
    records: Vec<usize>,
    live: usize,
    is_sealed: bool,
}

impl Drive {
    fn new(zone_count: usize, fill_percent: usize, rest_steps: u64) -> Self {
        let usable = zone_count - RESERVE as usize - 2;
        let live = usable * RECORDS * fill_percent / 100;
        let mut drive = Self {
            pace: Pace::new(u32::try_from(zone_count).unwrap(), RESERVE, 64),
            zones: vec![SimulatedZone::default(); zone_count],
            free: (2..zone_count).collect(),
            trash: std::collections::VecDeque::new(),
            open: [0, 1],
            places: vec![(0, 0); live],
            victim: None,
            reclaimable_units: 0,
            steps: 0,
            rest_steps,
            share: 0,
            random: 88_172_645_463_325_252,
            moved_since_write: 0,
            moved_since_write_max: 0,
            free_range: (u64::MAX, 0),
        };
        (0..live).for_each(|record| drive.write(record, 0));
        drive
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % bound as u64).unwrap()
    }

    fn write(&mut self, record: usize, stream: usize) {
        if self.zones[self.open[stream]].records.len() == RECORDS {
            let sealed = self.open[stream];
            self.zones[sealed].is_sealed = true;
            self.reclaimable_units += self.gain_units(sealed);
            self.open[stream] = self.free.pop().expect("free zones never reach 0");
        }
        let zone = &mut self.zones[self.open[stream]];
        zone.records.push(record);
        zone.live += 1;
        self.places[record] = (self.open[stream], zone.records.len() - 1);
    }

    fn level(&self) -> Level {
        let room = RECORDS - self.zones[self.open[0]].records.len();
        let resting_units = (self.trash.len() * RECORDS) as u64;
        Level {
            free_units: (self.free.len() * RECORDS + room) as u64,
            resting_units,
            reclaimable_units: self.reclaimable_units,
            is_short: self.free.len() <= 1 + SHORT_ZONES as usize,
        }
    }

    /// One step of the drive's time: a client writes if it may, and reclaim has its share; else reclaim has it all. Tells
    /// whether a client wrote.
    fn step(&mut self) -> bool {
        self.steps += 1;
        while let Some((_, zone)) = self.trash.front().copied().filter(|(until, _)| *until <= self.steps) {
            self.trash.pop_front();
            self.free.push(zone);
        }
        self.pace.observe(self.level());
        let free = self.level().free_units;
        self.free_range = (self.free_range.0.min(free), self.free_range.1.max(free));
        let may_write = self.pace.may_client_write();
        if may_write {
            self.replace_one();
            self.pace.client_wrote(1);
            self.moved_since_write = 0;
            self.share += self.pace.pressure();
        } else {
            self.share += 1000;
        }
        while self.share >= 1000 {
            self.share -= 1000;
            self.pace.observe(self.level());
            if self.pace.may_reclaim() {
                self.reclaim();
            }
        }
        may_write
    }

    /// A record dies, and another is written under its number.
    fn replace_one(&mut self) {
        let record = self.below(self.places.len());
        let zone = self.places[record].0;
        self.reclaimable_units -= self.gain_units(zone);
        self.zones[zone].live -= 1;
        self.reclaimable_units += self.gain_units(zone);
        self.write(record, 0);
    }

    /// What reclaiming a zone would free, if that is a 16th of it at least.
    fn gain_units(&self, zone: usize) -> u64 {
        let SimulatedZone { records, live, is_sealed } = &self.zones[zone];
        let is_worth_it = *is_sealed && *live <= RECORDS - RECORDS / 16;
        if is_worth_it { (records.len() - live) as u64 } else { 0 }
    }

    /// Passes over dead records to the next live one of the victim, and moves it.
    fn reclaim(&mut self) {
        let Some((zone, mut next)) = self.victim.take().or_else(|| self.choose().map(|zone| (zone, 0)))
        else {
            return;
        };
        while next < RECORDS {
            let record = self.zones[zone].records[next];
            next += 1;
            if self.places[record] == (zone, next - 1) {
                self.write(record, 1);
                self.moved_since_write += 1;
                self.moved_since_write_max = self.moved_since_write_max.max(self.moved_since_write);
                self.victim = Some((zone, next));
                return;
            }
            self.pace.reclaimed(1);
        }
        self.reclaimable_units -= self.gain_units(zone);
        self.zones[zone] = SimulatedZone::default();
        self.trash.push_back((self.steps + self.rest_steps, zone));
    }

    /// The zone of the fewest live records among some, as a large drive cannot be looked through each time here.
    fn choose(&mut self) -> Option<usize> {
        let count = self.zones.len();
        let looked_at: Vec<usize> = match count {
            0..=1000 => (0..count).collect(),
            _ => (0..64).map(|_| self.below(count)).collect(),
        };
        looked_at
            .into_iter()
            .filter(|zone| self.gain_units(*zone) > 0)
            .min_by_key(|zone| self.zones[*zone].live)
    }
}

/// Writes so many records, and then half as many with the range of what is free, and the longest wait, noted.
fn churned(zone_count: usize, fill_percent: usize, rest_steps: u64, writes: usize) -> Drive {
    let mut drive = Drive::new(zone_count, fill_percent, rest_steps);
    for writes in [writes, writes / 2] {
        drive.free_range = (u64::MAX, 0);
        drive.moved_since_write_max = 0;
        let (mut written, mut steps) = (0, 0);
        while written < writes {
            written += usize::from(drive.step());
            steps += 1;
            assert!(steps < writes * 30, "writers are not stopped for good");
        }
    }
    drive
}

/// Zones, how full, how long trash rests in steps, and writes: 6 of a record's lives, or a third of one where the
/// drive is as large as a real one.
fn cases() -> impl Iterator<Item = (usize, usize, u64, usize)> {
    let small = [(8, 50), (8, 80), (32, 50), (32, 80), (32, 90), (32, 95), (300, 80), (300, 95)];
    let large = [(1000, 50), (1000, 80), (1000, 90), (1000, 95)];
    let rests = |(zones, full): (usize, usize)| {
        let rests = [0, 64, 500].into_iter().filter(move |rest| *rest <= zones as u64 * 2);
        rests.map(move |rest| (zones, full, rest, zones * RECORDS * 6))
    };
    let whole = (75_000, 80, 5000, 75_000 * RECORDS / 3);
    small.into_iter().chain(large).flat_map(rests).chain([whole])
}

#[test]
fn steady_churn_never_runs_out_and_holds_writers_back_evenly() {
    println!(
        "simulated, 64 records a zone, {RESERVE} zones in reserve; rest and waits in records written or moved"
    );
    println!(
        "{:>7}{:>6}{:>7}{:>28}{:>14}",
        "zones", "full", "rest", "free zones, least to most", "longest wait"
    );
    for (zone_count, fill_percent, rest_steps, writes) in cases() {
        let drive = churned(zone_count, fill_percent, rest_steps, writes);
        let (least, most) = drive.free_range;
        let waited = drive.moved_since_write_max;
        let tenths = |units: u64| format!("{}.{}", units / 64, units % 64 * 10 / 64);
        println!(
            "{zone_count:>7}{fill_percent:>5}%{rest_steps:>7}{:>18} to{:>6}{waited:>14}",
            tenths(least),
            tenths(most)
        );
        assert!(least >= 64, "there is always a zone to move records to");
        // One zone's worth of work; at 95 % a zone gives hardly more than a group takes, and it is two.
        assert!(waited <= if fill_percent > 90 { 2 * RECORDS } else { RECORDS });
        // In zones: with trash that rests, up to a quarter of what does.
        let swing = if rest_steps == 0 { 3 } else { (rest_steps / 256).max(6) };
        assert!(most - least <= swing * 64, "the level is steady");
    }
}

fn level(free_units: u64, resting_units: u64, reclaimable_units: u64) -> Level {
    Level { free_units, resting_units, reclaimable_units, is_short: false }
}

#[test]
fn where_nothing_is_worth_reclaiming_the_drive_fills_up() {
    let mut pace = Pace::new(100, 1, 64);
    for free_units in (0..100 * 64).rev() {
        pace.observe(level(free_units, 0, 0));
        pace.client_wrote(1);
        assert!(pace.may_client_write() && pace.pressure() == 0 && !pace.may_reclaim());
    }
}

#[test]
fn the_reserve_is_for_reclaim_and_resting_trash_is_waited_for() {
    let mut pace = Pace::new(100, 1, 64);
    pace.observe(level(64, 0, 500));
    assert!(!pace.may_client_write() && pace.may_reclaim());
    assert_eq!(pace.pressure(), PRESSURE_MAX);
    pace.observe(level(65, 0, 500));
    assert!(pace.may_client_write());
    // Nothing to reclaim, and a zone that comes back: the client waits for it. It is not told that the drive is full.
    pace.observe(level(64, 64, 0));
    assert!(!pace.may_client_write() && !pace.may_reclaim());
    // The last free zone is not moved into while trash rests.
    pace.observe(level(100, 40, 500));
    assert!(pace.pressure() > 0 && !pace.may_reclaim());
}

#[test]
fn pressure_rises_smoothly_from_start_to_low_and_so_does_what_a_write_owes() {
    let mut pace = Pace::new(10_000, 1, 64);
    let (low, start) = (64 + 32, pace.start_units);
    assert!(start > low + 1000);
    let mut before = 0;
    for free_units in (low..=start).rev() {
        pace.observe(level(free_units, 0, 500));
        assert!(pace.pressure() >= before && pace.pressure() - before <= 1);
        before = pace.pressure();
    }
    assert_eq!(before, PRESSURE_MAX);
    pace.observe(level(low + (start - low) / 2, 0, 500));
    (0..4).for_each(|_| pace.client_wrote(1));
    assert!(pace.may_client_write());
    pace.client_wrote(1);
    assert!(!pace.may_client_write(), "five written, five owed, four allowed");
    pace.reclaimed(1);
    assert!(pace.may_client_write());
    // However much a group owes, it is paid with a zone.
    pace.client_wrote(1000);
    pace.reclaimed(59);
    assert!(!pace.may_client_write());
    pace.reclaimed(1);
    assert!(pace.may_client_write());
    // Where there is enough again, debts are forgotten.
    pace.client_wrote(1000);
    pace.observe(level(pace.start_units, 0, 500));
    assert!(pace.may_client_write());
}

#[test]
fn the_start_rises_where_space_runs_short_and_sinks_again_within_bounds() {
    let mut pace = Pace::new(1000, 1, 64);
    let first = pace.start_units;
    let mut write_a_zone = |free_units| {
        pace.observe(level(free_units, 0, 500));
        pace.client_wrote(64);
        pace.start_units
    };
    assert!(write_a_zone(70) > first);
    (0..1000).for_each(|_| _ = write_a_zone(70));
    let highest = write_a_zone(70);
    assert_eq!(highest, 64 + 32 + 1000 * 64 * START_PART_MAX / 1024);
    write_a_zone(5000);
    assert!(write_a_zone(5000) < highest);
    (0..10_000).for_each(|_| _ = write_a_zone(5000));
    assert_eq!(write_a_zone(5000), first);
}
