//! What is read is what was written, whatever was written: the store is held against the one that keeps every byte.

use proptest::prelude::*;

use super::RegeneratingStore;
use crate::simulated::memory_store::MemoryStore;
use crate::simulated::regenerating::payload::RegeneratedPayload;
use crate::simulated::regenerating::piece::PIECE_BYTES;
use crate::simulated::store::Store;

/// The range that is written: two pieces meet in its middle.
const START_BYTES: u64 = PIECE_BYTES as u64 - SPAN_BYTES as u64 / 2;
const SPAN_BYTES: usize = 64 << 10;

#[derive(Clone, Debug)]
enum Step {
    Write { at: usize, bytes: Vec<u8> },
    Discard { at: usize, length: usize },
    Declare { at: usize, length: usize, seed: u64, position_bytes: u64 },
}

/// A part of what is written: payloads of few seeds that go on or do not, some damaged, zeros, and bytes like any other.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![1..200_usize, 1..9000_usize, Just(4096), Just(64)];
    let position = prop_oneof![Just(0), (0..200_u64).prop_map(|line| line * 64), 0..20_000_u64];
    let payload = (0..3_u64, position, length).prop_map(|(seed, position_bytes, length)| {
        let mut bytes = vec![0; length];
        RegeneratedPayload { seed }.fill_from(position_bytes, &mut bytes);
        bytes
    });
    let damaged =
        (payload.clone(), any::<prop::sample::Index>(), 1..=255_u8).prop_map(|(bytes, place, turn)| {
            let mut bytes = bytes;
            *place.get_mut(&mut bytes) ^= turn;
            bytes
        });
    prop_oneof![
        4 => payload,
        1 => damaged,
        2 => (1..6000_usize).prop_map(|length| vec![0; length]),
        2 => prop::collection::vec(any::<u8>(), 1..500),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let at =
        prop_oneof![0..SPAN_BYTES, Just(SPAN_BYTES / 2), (0..SPAN_BYTES / 4096).prop_map(|unit| unit * 4096)];
    let bytes = prop::collection::vec(part(), 1..5).prop_map(|parts| parts.concat());
    prop_oneof![
        6 => (at.clone(), bytes).prop_map(|(at, bytes)| Step::Write { at, bytes }),
        1 => (at.clone(), 1..SPAN_BYTES).prop_map(|(at, length)| Step::Discard { at, length }),
        1 => (at, 1..SPAN_BYTES, 0..3_u64, 0..9000_u64).prop_map(|(at, length, seed, position_bytes)| {
            Step::Declare { at, length, seed, position_bytes }
        }),
    ]
}

fn apply(step: &Step, regenerating: &mut RegeneratingStore, keeping: &mut MemoryStore) {
    match step {
        Step::Write { at, bytes } => {
            let bytes = &bytes[..bytes.len().min(SPAN_BYTES - at)];
            regenerating.write(START_BYTES + *at as u64, bytes).unwrap();
            keeping.write(START_BYTES + *at as u64, bytes).unwrap();
        }
        Step::Discard { at, length } => {
            let length = *length.min(&(SPAN_BYTES - at));
            regenerating.discard(START_BYTES + *at as u64, length as u64).unwrap();
            // What is discarded may read as zeros or as before: here it reads as zeros.
            keeping.write(START_BYTES + *at as u64, &vec![0; length]).unwrap();
        }
        Step::Declare { at, length, seed, position_bytes } => {
            let length = *length.min(&(SPAN_BYTES - at));
            let payload = RegeneratedPayload { seed: *seed };
            regenerating.declare(START_BYTES + *at as u64, length as u64, payload, *position_bytes);
            let mut bytes = vec![0; length];
            payload.fill_from(*position_bytes, &mut bytes);
            keeping.write(START_BYTES + *at as u64, &bytes).unwrap();
        }
    }
}

fn read(store: &mut dyn Store, at: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; length];
    store.read(START_BYTES + at as u64, &mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_read_is_what_was_written(
        steps in prop::collection::vec(step(), 1..40),
        at in 0..SPAN_BYTES,
        length in 1..SPAN_BYTES,
    ) {
        let (mut regenerating, mut keeping) = (RegeneratingStore::default(), MemoryStore::default());
        for step in &steps {
            apply(step, &mut regenerating, &mut keeping);
            let whole = read(&mut regenerating, 0, SPAN_BYTES);
            prop_assert!(whole == read(&mut keeping, 0, SPAN_BYTES), "the stores differ after {:?}", step);
        }
        let length = length.min(SPAN_BYTES - at);
        prop_assert_eq!(read(&mut regenerating, at, length), read(&mut keeping, at, length));
    }
}

#[test]
fn a_zone_of_records_costs_their_headers_and_some_tens_of_bytes() {
    let mut store = RegeneratingStore::default();
    let (header_bytes, payload_bytes, record_bytes) = (384, 4 << 20, (4 << 20) + 4096);
    let mut record = vec![0_u8; record_bytes];
    for index in 0..32_u8 {
        record.fill(0);
        record[..header_bytes].fill(index | 1);
        RegeneratedPayload::fill(u64::from(index), &mut record[header_bytes..header_bytes + payload_bytes]);
        // In parts, as a device writes them.
        for (part, bytes) in record.chunks(1 << 20).enumerate() {
            let offset = usize::from(index) * record_bytes + (part << 20);
            store.write(offset as u64, bytes).unwrap();
        }
        let mut back = vec![0xee; record_bytes];
        store.read((usize::from(index) * record_bytes) as u64, &mut back).unwrap();
        assert!(back == record, "record {index}");
    }
    let per_record = store.memory_bytes() / 32;
    assert!(per_record < header_bytes * 2 + 100, "{per_record} bytes a record");
}

#[test]
fn a_zone_that_is_written_and_reset_again_and_again_keeps_no_dead_bytes() {
    let mut store = RegeneratingStore::default();
    for round in 0..100_u32 {
        let bytes: Vec<u8> =
            (0..64_u32 << 10).map(|byte| (byte.wrapping_mul(round | 1) >> 3).to_le_bytes()[0] | 1).collect();
        store.write(4096, &bytes).unwrap();
        store.write(4096, &bytes).unwrap();
        assert!(store.memory_bytes() < 700 << 10, "round {round}: {} bytes", store.memory_bytes());
        if round % 10 == 9 {
            store.discard(0, PIECE_BYTES as u64).unwrap();
            assert_eq!(store.memory_bytes(), 0, "nothing is left of a zone that was reset");
        }
    }
}

/// How fast payloads pass through: `cargo test --release -p imbrex-zoned regenerated_speed -- --ignored --nocapture`.
#[test]
#[ignore = "it measures this machine"]
fn regenerated_speed() {
    let mut bytes = vec![0; 64 << 20];
    let begun = std::time::Instant::now();
    RegeneratedPayload::fill(1, &mut bytes);
    let filled = begun.elapsed();
    let mut store = RegeneratingStore::default();
    let begun = std::time::Instant::now();
    store.write(0, &bytes).unwrap();
    let written = begun.elapsed();
    let begun = std::time::Instant::now();
    store.read(0, &mut bytes).unwrap();
    println!("64 MiB: made in {filled:?}, recognised in {written:?}, read back in {:?}", begun.elapsed());
}
