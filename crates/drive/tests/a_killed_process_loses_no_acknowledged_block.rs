//! SIGKILL of the real program under concurrent puts and deletes, again and again.
//!
//! After each kill: what was acknowledged is there byte for byte, what was acknowledged as deleted is gone, and
//! what was under way is one or the other, but whole. The drive is small: zones are reclaimed, reset and written again,
//! and checkpoints are made, all the while. `IMBREX_KILL_SEED` replays a run's choices, and
//! `IMBREX_KILL_ROUNDS` sets how many there are; when exactly the kernel kills is not in anyone's hand.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may stop where something cannot be"
)]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use support::http::{Answer, Client};
use support::payload::{Random, bytes_of, path_of};
use support::process::start;

const ROUNDS: u64 = 200;
/// Threads that put and delete.
const CLIENTS: u64 = 4;
/// The longest time from the start of traffic to the kill.
const TRAFFIC_MS_MAX: u64 = 100;
/// The drive is written over and over. What lives at once is bounded by [`LIVE_BYTES_MAX`], well below its size.
const SHAPE: [&str; 10] = [
    "--size",
    "192MiB",
    "--zone-size",
    "4MiB",
    "--blocks-max",
    "40000",
    "--trash-rest",
    "0s",
    "--checkpoint-every",
    "8MiB",
];
/// What of one client's blocks may live at once, in bytes.
const LIVE_BYTES_MAX: u64 = 20 << 20;
/// The longest time from the last look at the process' figures to the kill.
const LAST_MS_MAX: u64 = 8;
/// Every so many rounds, everything is checked; otherwise the last rounds' blocks and a sample.
const FULL_CHECK_ROUNDS: u64 = 20;
const SAMPLE: usize = 24;

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Its put was acknowledged.
    Stored,
    /// Its deletion was acknowledged.
    Deleted,
    /// Its put was under way when the process died.
    PutUnderWay,
    /// Its deletion was under way when the process died.
    DeleteUnderWay,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    known: Known,
    length: usize,
    /// The last round in which something was done to it.
    round: u64,
}

/// The blocks, by their seed. A block is used by the client that made it, so that no two orders race.
type Model = BTreeMap<u64, Entry>;

#[derive(Default)]
struct Totals {
    puts: u64,
    deletes: u64,
    checks: u64,
    under_way: u64,
    bytes: u64,
    maintenance: Maintenance,
}

/// What the drive did for itself, as it said shortly before each kill.
#[derive(Default)]
struct Maintenance {
    reclaimed_zones: u64,
    reset_zones: u64,
    moved_blocks: u64,
    checkpoints: u64,
}

impl Maintenance {
    /// Adds what the process at `address` has done since it started.
    fn add(&mut self, address: SocketAddr) {
        let stats = Client::connect(address).unwrap().get("/v1/stats").unwrap().json();
        let figure =
            |name: &str| stats[name].as_u64().unwrap_or_else(|| panic!("{name} is missing in {stats}"));
        self.reclaimed_zones += figure("zones_reclaimed");
        self.reset_zones += figure("zones_reset");
        self.moved_blocks += figure("moved_blocks");
        self.checkpoints += figure("checkpoints");
        assert_eq!(figure("resets_refused"), 0, "the referee refused a reset");
    }
}

fn environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// One client's traffic until the process dies: a put of a new block, or a deletion of one that is there.
fn traffic(
    address: SocketAddr,
    client: u64,
    round: u64,
    seed: u64,
    mine: &mut Model,
    totals: &Mutex<Totals>,
) {
    let mut random = Random::new(seed);
    let mut next = round << 32 | client << 24;
    let Ok(mut connection) = Client::connect(address) else {
        return;
    };
    let is_stored = |(block, entry): (&u64, &Entry)| (entry.known == Known::Stored).then_some(*block);
    let mut stored: Vec<u64> = mine.iter().filter_map(is_stored).collect();
    let mut live_bytes: u64 = stored.iter().map(|block| mine[block].length as u64).sum();
    loop {
        let deletes = live_bytes > LIVE_BYTES_MAX || (random.below(4) == 0 && !stored.is_empty());
        let (block, entry, answer) = if deletes {
            let block = stored.swap_remove(random.below(stored.len() as u64) as usize);
            let entry = Entry { known: Known::DeleteUnderWay, round, ..mine[&block] };
            mine.insert(block, entry);
            (block, Entry { known: Known::Deleted, ..entry }, connection.delete(&path_of(block)))
        } else {
            next += 1;
            let length = match random.below(8) {
                0 => 200_000 + random.below(400_000),
                _ => random.below(20_000),
            } as usize;
            let entry = Entry { known: Known::PutUnderWay, length, round };
            mine.insert(next, entry);
            let answer = connection.put(&path_of(next), &bytes_of(next, length));
            (next, Entry { known: Known::Stored, ..entry }, answer)
        };
        match answer {
            Ok(Answer { status: 201 | 204, .. }) => {
                let mut totals = totals.lock().unwrap();
                let bytes = entry.length as u64;
                if entry.known == Known::Stored {
                    totals.puts += 1;
                    totals.bytes += bytes;
                    live_bytes += bytes;
                    stored.push(block);
                } else {
                    totals.deletes += 1;
                    live_bytes = live_bytes.saturating_sub(bytes);
                }
                mine.insert(block, entry);
            }
            Ok(answer) => {
                let (known, status, detail) = (entry.known, answer.status, answer.detail());
                let zones = text_at(address, "/v1/zones");
                panic!("{known:?} was answered {status}, with {live_bytes} bytes stored: {detail}; {zones}")
            }
            // Killed: what was under way stays so in the model.
            Err(_) => {
                totals.lock().unwrap().under_way += 1;
                return;
            }
        }
    }
}

/// What the process answers there, for a failure's report.
fn text_at(address: SocketAddr, path: &str) -> String {
    let answer = Client::connect(address).and_then(|mut client| client.get(path));
    answer.map_or_else(|error| error.to_string(), |answer| String::from_utf8_lossy(&answer.body).into_owned())
}

/// Asks for a block, and settles what was under way.
fn check(client: &mut Client, block: u64, entry: &mut Entry, context: &str) {
    let answer = client.get(&path_of(block)).unwrap();
    let whole = answer.status == 200 && answer.body == bytes_of(block, entry.length);
    let outcome = match answer.status {
        200 if whole => Known::Stored,
        404 => Known::Deleted,
        status => panic!("{context}: block {block} ({entry:?}) is {status} with {} bytes", answer.body.len()),
    };
    match (entry.known, outcome) {
        (Known::Stored, Known::Deleted) => {
            panic!("{context}: the acknowledged block {block} ({entry:?}) is lost")
        }
        (Known::Deleted, Known::Stored) => panic!("{context}: the deleted block {block} ({entry:?}) is back"),
        _ => entry.known = outcome,
    }
}

/// Checks the blocks of this round and of the one before, all that was under way, and a sample or all of the rest.
fn check_all(
    address: SocketAddr,
    models: &mut [Model],
    round: u64,
    random: &mut Random,
    context: &str,
) -> u64 {
    let mut checks = 0;
    let mut client = Client::connect(address).unwrap();
    let full = round.is_multiple_of(FULL_CHECK_ROUNDS);
    for model in models {
        let older = model.len().max(1);
        for (block, entry) in model.iter_mut() {
            let recent = entry.round + 1 >= round;
            let sampled = random.below(older as u64) < SAMPLE as u64;
            if full || recent || sampled {
                check(&mut client, *block, entry, context);
                checks += 1;
            }
        }
    }
    checks
}

#[test]
fn a_killed_process_loses_no_acknowledged_block_and_brings_back_no_acknowledged_deletion() {
    let seed = environment("IMBREX_KILL_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    let rounds = environment("IMBREX_KILL_ROUNDS").unwrap_or(ROUNDS);
    println!("IMBREX_KILL_SEED={seed} replays this run");
    let began = Instant::now();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    let mut random = Random::new(seed);
    let mut models = vec![Model::new(); CLIENTS as usize];
    let totals = Mutex::new(Totals::default());
    for round in 1..=rounds {
        let context = format!("seed {seed}, round {round}");
        let (mut child, address) = start(&file, &SHAPE, Stdio::null());
        // What the kill before left is checked before anything else is done.
        let checks = check_all(address, &mut models, round - 1, &mut random, &context);
        totals.lock().unwrap().checks += checks;
        let (traffic_ms, last_us) = (random.below(TRAFFIC_MS_MAX + 1), random.below(LAST_MS_MAX * 1000 + 1));
        let seeds: Vec<u64> = models.iter().map(|_| random.next()).collect();
        let before = acknowledged(&totals);
        thread::scope(|scope| {
            for ((client, model), seed) in (0..).zip(models.iter_mut()).zip(seeds) {
                let totals = &totals;
                scope.spawn(move || traffic(address, client, round, seed, model, totals));
            }
            // The clock starts when traffic flows.
            while acknowledged(&totals) == before {
                assert!(child.try_wait().unwrap().is_none(), "{context}: the process died by itself");
                thread::sleep(Duration::from_micros(200));
            }
            thread::sleep(Duration::from_millis(traffic_ms));
            totals.lock().unwrap().maintenance.add(address);
            thread::sleep(Duration::from_micros(last_us));
            child.kill().unwrap();
            child.wait().unwrap();
        });
    }
    let (mut child, address) = start(&file, &SHAPE, Stdio::null());
    let all = rounds - rounds % FULL_CHECK_ROUNDS;
    let checks = check_all(address, &mut models, all, &mut random, &format!("seed {seed}, at the end"));
    child.kill().unwrap();
    child.wait().unwrap();
    let totals = totals.into_inner().unwrap();
    println!(
        "{rounds} kills; {} puts ({} MiB) and {} deletions acknowledged, {} operations cut off; {} checks; {:.0} s",
        totals.puts,
        totals.bytes >> 20,
        totals.deletes,
        totals.under_way,
        totals.checks + checks,
        began.elapsed().as_secs_f32()
    );
    let Maintenance { reclaimed_zones, reset_zones, moved_blocks, checkpoints } = totals.maintenance;
    println!(
        "meanwhile {reclaimed_zones} zones reclaimed and {reset_zones} reset, {moved_blocks} blocks moved, {checkpoints} \
         checkpoints"
    );
    assert!(totals.puts > rounds && totals.deletes > 0 && totals.under_way > 0, "there was no load");
    if rounds >= ROUNDS {
        let all = [reclaimed_zones, reset_zones, moved_blocks, checkpoints];
        assert!(all.iter().all(|count| *count > 0), "the drive was too large for its load");
    }
}

fn acknowledged(totals: &Mutex<Totals>) -> u64 {
    let totals = totals.lock().unwrap();
    totals.puts + totals.deletes
}
