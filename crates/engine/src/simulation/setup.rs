//! The drive, the engine's options and the faults of a run: all of them from its seed.

use std::time::Duration;

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::simulated::{FaultKind, FaultRates, SimulatedGeometry};

use crate::options::Options;

use super::random::Random;

/// How many requests the engine takes at once.
pub(super) const REQUESTS_MAX: usize = 64;

/// Which faults a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Faults {
    /// None: whatever was acknowledged is there.
    None,
    /// The drive fails, and says so, and loses nothing that it had acknowledged as durable: no more may the engine.
    Told,
    /// What was acknowledged can become unreadable or wrong, and zones die.
    Destroying,
}

/// Everything about a run but its operations.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) geometry: SimulatedGeometry,
    pub(super) options: Options,
    pub(super) blocks_max: u64,
    /// How many keys there are: few, so that they meet again.
    pub(super) keys: u64,
    /// The length of the largest block in bytes, plus one.
    pub(super) length_max: u64,
    pub(super) faults: Faults,
    pub(super) rates: FaultRates,
    pub(super) is_scheduled: bool,
    /// Whether the verifier looks at the drive before each mount.
    pub(super) is_verified: bool,
    /// Whether the power fails behind flushes that do.
    pub(super) is_cut_where_flushes_fail: bool,
}

/// The faults that lose nothing.
const TOLD: [FaultKind; 9] = [
    FaultKind::TornWriteError,
    FaultKind::WriteError,
    FaultKind::LateFlushError,
    FaultKind::TooManyOpen,
    FaultKind::Slow,
    FaultKind::Vanish,
    FaultKind::ResetError,
    FaultKind::ReadErrorTransient,
    FaultKind::GarbageBeyondPointer,
];

impl Setup {
    pub(super) fn of_seed(seed: u64) -> Self {
        let faults = match seed % 8 {
            _ if std::env::var_os(FLUSHES_FAIL).is_some() => Faults::Told,
            0..4 => Faults::None,
            4 | 5 => Faults::Told,
            _ => Faults::Destroying,
        };
        Self::with_faults(seed, faults)
    }

    pub(super) fn with_faults(seed: u64, faults: Faults) -> Self {
        let mut random = Random::new(seed);
        let geometry = geometry(&mut random);
        let sequential = u64::from(geometry.zone_count - geometry.conventional_zones);
        let unit_bytes = UNIT_BYTES as u64;
        let capacity = geometry.zone_capacity_bytes / unit_bytes;
        // From half empty to more than it holds. What a zone has beside records, and the zones that are not the log's, count.
        let room = (sequential + u64::from(geometry.conventional_zones) - 4) * (capacity - 8) * 3 / 5;
        let keys = 20 + random.below(60);
        let fill_percent = 30 + random.below(100);
        // Of the keys some two thirds are there at a time, and a mean block has about a sixth of the largest.
        let mean_bytes = room * fill_percent / 100 * unit_bytes * 3 / 2 / keys;
        let length_max = (mean_bytes * 5).clamp(6_000, (capacity - 12) * unit_bytes);
        let blocks_max = random.one_of(&[keys * 2 + 20, keys * 2 + 20, keys / 2]);
        let do_flushes_fail = std::env::var_os(FLUSHES_FAIL).is_some();
        Self {
            seed,
            geometry,
            options: options(&mut random),
            blocks_max,
            keys,
            length_max,
            faults,
            rates: rates(&mut random, faults),
            // Where all is carried out at once, nothing is written behind a flush that fails before that is told.
            is_scheduled: do_flushes_fail || random.one_in(2),
            is_verified: false,
            is_cut_where_flushes_fail: do_flushes_fail,
        }
    }
}

impl Setup {
    /// Whether a power cut can tear the header of a zone of the log, and leave records behind it: a drive without checkpoints
    /// has its log in conventional zones too, and nothing tells such a zone from one that was damaged.
    pub(super) fn may_tear_headers(&self) -> bool {
        self.geometry.zone_count < 16 && self.geometry.conventional_zones > 0
    }

    /// Whether a read can fail though what it reads is whole.
    pub(super) fn may_fail_reads(&self) -> bool {
        self.rates.one_in(FaultKind::ReadErrorTransient) != 0
    }
}

/// Set where small drives are to be nearly all conventional: for a defect that shows nowhere else.
pub(super) const CONVENTIONAL: &str = "IMBREX_SIMULATION_CONVENTIONAL";

fn geometry(random: &mut Random) -> SimulatedGeometry {
    let zone_units = 32 * (2 + random.below(4));
    let zone_size_bytes = zone_units * UNIT_BYTES as u64;
    let open_max = random.one_of(&[Some(2), Some(3), Some(4), Some(4), Some(8), None]);
    let zone_count = random.one_of(&[14, 15, 16, 17, 20, 24]);
    SimulatedGeometry {
        zone_count,
        zone_size_bytes,
        zone_capacity_bytes: zone_size_bytes - random.below(6) * UNIT_BYTES as u64,
        conventional_zones: match std::env::var_os(CONVENTIONAL) {
            // With fewer than 16 zones there are no checkpoints, and the log goes to conventional zones too.
            Some(_) if zone_count < 16 => zone_count - 3,
            _ => random.below_u32(6),
        },
        zone_open_max: open_max,
        zone_active_max: open_max,
        rotational: random.one_in(2),
        ..SimulatedGeometry::default()
    }
}

/// Rest and periods are short, so that their ends are reached.
fn options(random: &mut Random) -> Options {
    Options {
        requests_max: REQUESTS_MAX,
        // On a drive that is nearly full reclaim can win nothing for long: what waits for it is refused then.
        deadline: Duration::from_millis(150),
        trash_rest: Duration::from_micros(random.one_of(&[0, 0, 100, 5_000])),
        scrub_period: Duration::from_secs(random.one_of(&[16, 160, 1 << 20])),
        checkpoint_bytes: random.one_of(&[64, 256, 1024, 1 << 20]) << 10,
        ..Options::default()
    }
}

/// Set where flushes are to fail often, and the power behind them, and nothing else: for a defect that shows nowhere else.
pub(super) const FLUSHES_FAIL: &str = "IMBREX_SIMULATION_FLUSHES_FAIL";

fn rates(random: &mut Random, faults: Faults) -> FaultRates {
    let mut rates = FaultRates::none().with_worn_zones_max(1 + random.below_u32(2));
    if std::env::var_os(FLUSHES_FAIL).is_some() {
        return rates.with(FaultKind::LateFlushError, 6 + random.below_u32(20));
    }
    if faults == Faults::None {
        return rates;
    }
    for kind in FaultKind::ALL {
        let is_told = TOLD.contains(&kind);
        if (is_told || faults == Faults::Destroying) && random.one_in(3) {
            rates = rates.with(kind, one_in(random, kind));
        }
    }
    rates
}

/// One in how many of its operations a kind strikes: so that most strike some times in a run, and the drive lives on.
fn one_in(random: &mut Random, kind: FaultKind) -> u32 {
    let (least, most) = match kind {
        FaultKind::ZoneReadOnly | FaultKind::ZoneOffline => (200, 2_000),
        FaultKind::Vanish => (300, 3_000),
        FaultKind::ResetError | FaultKind::GarbageBeyondPointer => (2, 20),
        FaultKind::TooManyOpen => (4, 40),
        FaultKind::LateFlushError => (20, 200),
        FaultKind::Slow => (3, 100),
        _ => (60, 600),
    };
    least + random.below_u32(most - least)
}
