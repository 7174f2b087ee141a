//! What nobody has to publish, since it follows from how a disk works, holds for the model. All times are simulated.

use imbrex_zoned::simulated::disk::{Command, Disk, DiskParameters, Measured, Pattern, Region, Workload};

const ZONE_BYTES: u64 = 256 << 20;
const TURN_MS: f64 = 60_000.0 / 7200.0;

fn disk() -> DiskParameters {
    DiskParameters::published_15_tb()
}

/// Random reads of 4 KiB over the whole drive, one at a time, for 20 s.
fn workload() -> Workload {
    Workload {
        pattern: Pattern::Random,
        region: Region { start_bytes: 0, zone_bytes: ZONE_BYTES, zone_count: 55_880 },
        block_bytes: 4096,
        jobs: 1,
        depth: 1,
        write_percent: 0,
        reads_beyond_pointer: false,
        merges: true,
        resets: false,
        flush_every_bytes: None,
        job_bytes_max: u64::MAX,
        seconds_max: 20.0,
        seed: 3,
    }
}

/// Sequential operations of 1 MiB in 200 zones, for 5 s.
fn sequential(first_zone: u64, write_percent: u64) -> Workload {
    Workload {
        pattern: Pattern::Sequential,
        region: Region { start_bytes: first_zone * ZONE_BYTES, zone_bytes: ZONE_BYTES, zone_count: 200 },
        block_bytes: 1 << 20,
        depth: 4,
        write_percent,
        seconds_max: 5.0,
        ..workload()
    }
}

fn rate(workload: &Workload) -> f64 {
    workload.run(&disk()).mebibytes_per_s()
}

#[test]
fn a_random_read_takes_a_mean_seek_and_half_a_turn() {
    let run = workload().run(&disk());
    let mean_ms = 1000.0 / run.operations_per_s();
    let expected_ms = disk().seek_mean_us / 1000.0 + TURN_MS / 2.0;
    assert!((mean_ms / expected_ms - 1.0).abs() < 0.03, "{mean_ms} ms, not {expected_ms}");
    assert_eq!(run.breakdown.accesses, run.operations, "one access of the medium for one read");
}

#[test]
fn a_deeper_queue_is_faster_up_to_what_the_drive_holds() {
    let at_depth = |depth| Workload { depth, ..workload() }.run(&disk()).operations_per_s();
    let rates: Vec<f64> = [2, 4, 8, 16, 32].into_iter().map(at_depth).collect();
    assert!(rates.is_sorted(), "{rates:?}");
    assert!(rates[4] > 1.8 * rates[0], "{rates:?}");
    assert!((at_depth(128) / rates[4] - 1.0).abs() < 0.02, "the drive does not see what the host holds back");
}

#[test]
fn a_short_stroke_is_faster_than_a_full_one() {
    let whole = workload().run(&disk()).operations_per_s();
    let region = Region { zone_count: 500, ..workload().region };
    let part = Workload { region, ..workload() }.run(&disk()).operations_per_s();
    assert!(part > 1.4 * whole, "{part} against {whole}");
}

#[test]
fn the_inner_zones_are_half_as_fast_as_the_outer_ones() {
    for write_percent in [0, 100] {
        // So long that what the cache takes in beside does not count.
        let rate_at =
            |first_zone| rate(&Workload { seconds_max: 20.0, ..sequential(first_zone, write_percent) });
        let (outer, inner) = (rate_at(0), rate_at(55_600));
        assert!((outer / inner - 2.0).abs() < 0.05, "{outer} and {inner} MiB/s");
    }
}

#[test]
fn one_small_sequential_read_at_a_time_is_as_fast_as_many() {
    let deep = rate(&sequential(0, 0));
    let one = rate(&Workload { block_bytes: 64 << 10, depth: 1, ..sequential(0, 0) });
    assert!((one / deep - 1.0).abs() < 0.02, "the drive reads ahead: {one} against {deep} MiB/s");
}

#[test]
fn without_the_cache_a_small_sequential_write_costs_a_turn() {
    let parameters = DiskParameters { write_cache: false, ..disk() };
    let run = Workload { block_bytes: 4096, depth: 1, ..sequential(0, 100) }.run(&parameters);
    let milliseconds = 1000.0 / run.operations_per_s();
    assert!((milliseconds / TURN_MS - 1.0).abs() < 0.02, "{milliseconds} ms");
}

#[test]
fn the_more_zones_are_written_in_turn_the_slower() {
    let in_turn = |zones| {
        let pattern = Pattern::Turns { zones, stride: 1 };
        let region = Region { zone_count: 20_000, ..workload().region };
        rate(&Workload { pattern, region, block_bytes: 1 << 20, depth: 32, write_percent: 100, ..workload() })
    };
    let rates: Vec<f64> = [1, 4, 16, 64, 128].into_iter().map(in_turn).collect();
    assert!(rates.is_sorted_by(|more, less| more > less), "{rates:?}");
    assert!(rates[4] < 0.7 * rates[0], "{rates:?}");
}

#[test]
fn a_flush_costs_what_the_cache_holds_and_a_missed_turn() {
    let flushing = |flush_every_bytes, parameters: &DiskParameters| {
        Workload { flush_every_bytes, seconds_max: 20.0, ..sequential(0, 100) }
            .run(parameters)
            .mebibytes_per_s()
    };
    let never = flushing(None, &disk());
    let every = flushing(Some(16 << 20), &disk());
    let expected = 16.0 / (16.0 / never + TURN_MS / 1000.0);
    println!("{never} MiB/s without flushes, {every} with, expected {expected}");
    assert!((every / expected - 1.0).abs() < 0.05, "{every} MiB/s, expected about {expected}");
    let among_others = DiskParameters { flush_alone: false, ..disk() };
    assert!(flushing(Some(16 << 20), &among_others) > 0.98 * never, "others keep the arm busy meanwhile");
}

#[test]
fn in_a_mix_neither_reads_nor_writes_starve() {
    for write_percent in [10, 50, 90] {
        let run: Measured =
            Workload { write_percent, block_bytes: 256 << 10, depth: 16, ..workload() }.run(&disk());
        assert!(run.latency_ms(100.0) < 4000.0, "{} ms at most", run.latency_ms(100.0));
        assert!(run.operations_per_s() > 70.0, "{} operations/s", run.operations_per_s());
    }
}

/// Keeps 8 reads waiting for the arm, spread over the drive, until command 0 has ended or 1,000 reads have. Returns when
/// that was, and how many reads had ended.
fn read_until_0_ends(disk: &mut Disk) -> (u64, u64) {
    let (mut number, mut reads_ended) = (100, 0);
    let mut read = |disk: &mut Disk| {
        number += 1;
        let offset_bytes = number * 7_919 % 55_000 * ZONE_BYTES;
        disk.submit(number, Command::Read { offset_bytes, length_bytes: 4096, stored_bytes: 4096 });
    };
    (0..8).for_each(|_| read(disk));
    while let Some(next_ns) = disk.next_event_ns().filter(|_| reads_ended < 1000) {
        disk.advance(next_ns);
        let ended: Vec<(u64, u64)> = disk.take_done().collect();
        if ended.iter().any(|(number, _)| *number == 0) {
            break;
        }
        for _ in ended.iter().filter(|(number, _)| *number > 100) {
            reads_ended += 1;
            read(disk);
        }
    }
    (disk.now_ns(), reads_ended)
}

#[test]
fn reads_that_never_cease_hold_up_neither_a_flush_nor_a_write_for_ever() {
    let written = |parameters: DiskParameters| {
        let mut disk = Disk::new(parameters);
        for write in 1..=8 {
            let offset_bytes = write * 5000 * ZONE_BYTES;
            disk.submit(write, Command::Write { offset_bytes, length_bytes: 1 << 20 });
        }
        disk
    };
    let mut disk_with_flush = written(DiskParameters { flush_alone: false, ..disk() });
    disk_with_flush.advance(16_000_000);
    disk_with_flush.submit(0, Command::Flush);
    let (ended_ns, _) = read_until_0_ends(&mut disk_with_flush);
    assert!(ended_ns < 500_000_000, "the flush ended after {ended_ns} ns");

    let mut disk_without_cache = written(DiskParameters { write_cache: false, ..disk() });
    disk_without_cache.submit(0, Command::Write { offset_bytes: 0, length_bytes: 4096 });
    let (ended_ns, _) = read_until_0_ends(&mut disk_without_cache);
    assert!(ended_ns < 500_000_000, "the write ended after {ended_ns} ns");

    let mut disk_with_cache = written(disk());
    let (_, reads_ended) = read_until_0_ends(&mut disk_with_cache);
    let writes = disk_with_cache.breakdown().accesses - reads_ended;
    assert!((8..=9).contains(&writes), "{writes} of 8 writes are on the medium");
}

/// Keeps 8 commands of a stream of 1 MiB each in the drive, and one command far away, number 0. Returns how many of the stream
/// had ended when that had, or 500.
fn stream_until_0_ends(parameters: DiskParameters, command: fn(u64, u64) -> Command) -> u64 {
    let mut disk = Disk::new(parameters);
    let mut number = 0;
    let mut stream_on = |disk: &mut Disk| {
        number += 1;
        disk.submit(number, command(number << 20, 1 << 20));
    };
    (0..8).for_each(|_| stream_on(&mut disk));
    disk.submit(0, command(40_000 * ZONE_BYTES, 1 << 20));
    let mut ended_count = 0;
    while let Some(next_ns) = disk.next_event_ns().filter(|_| ended_count < 500) {
        disk.advance(next_ns);
        let ended: Vec<(u64, u64)> = disk.take_done().collect();
        if ended.iter().any(|(number, _)| *number == 0) {
            break;
        }
        ended_count += ended.len() as u64;
        ended.iter().for_each(|_| stream_on(&mut disk));
    }
    ended_count
}

#[test]
fn a_stream_lets_the_arm_go_to_what_waits_elsewhere() {
    let read =
        |offset_bytes, length_bytes| Command::Read { offset_bytes, length_bytes, stored_bytes: length_bytes };
    let ended_count = stream_until_0_ends(disk(), read);
    assert!(ended_count <= 8, "{ended_count} reads of the stream came before the one far away");
    let write = |offset_bytes, length_bytes| Command::Write { offset_bytes, length_bytes };
    let ended_count = stream_until_0_ends(DiskParameters { write_cache: false, ..disk() }, write);
    // The longest wait of 1.5 s at 237 MiB/s makes 356.
    assert!(ended_count < 400, "{ended_count} writes of the stream came before the one far away");
}

#[test]
fn no_stream_of_several_keeps_the_arm() {
    let arm = Workload { jobs: 4, block_bytes: 512 << 10, ..sequential(0, 0) }.run(&disk()).breakdown;
    assert!(arm.accesses < 8 * arm.approaches, "{} reads, {} seeks", arm.accesses, arm.approaches);
}

#[test]
fn a_sequential_reader_that_begins_again_waits_no_longer_than_for_a_few_seeks() {
    let region = Region { zone_count: 2, ..workload().region };
    let run = Workload { region, ..sequential(0, 0) }.run(&disk());
    assert!(run.latency_ms(100.0) < 100.0, "{} ms", run.latency_ms(100.0));
}

#[test]
fn a_small_write_that_follows_on_is_taken_sooner_than_one_elsewhere() {
    let small = Workload { block_bytes: 4096, depth: 1, seconds_max: 0.5, ..sequential(0, 100) };
    assert!(small.run(&disk()).latency_ms(50.0) < 0.1);
    let elsewhere = Workload { pattern: Pattern::Turns { zones: 2, stride: 1 }, ..small };
    let milliseconds = elsewhere.run(&disk()).latency_ms(50.0);
    assert!((milliseconds - disk().write_elsewhere_us / 1000.0).abs() < 0.01, "{milliseconds} ms");
}

#[test]
fn the_derived_drive_lies_between_its_neighbours() {
    let derived = DiskParameters::derived_20_tb();
    let run = sequential(0, 0).run(&derived);
    assert!((242.0..246.0).contains(&run.mebibytes_per_s()), "{} MiB/s", run.mebibytes_per_s());
}

#[test]
fn a_workload_that_makes_no_sense_is_refused_in_a_sentence() {
    let region = workload().region;
    let wrong = [
        Workload { block_bytes: 0, ..workload() },
        Workload { block_bytes: 5000, ..workload() },
        Workload { jobs: 0, ..workload() },
        Workload { depth: 0, ..workload() },
        Workload { write_percent: 101, ..workload() },
        Workload { seconds_max: f64::INFINITY, ..workload() },
        Workload { region: Region { zone_count: 0, ..region }, ..workload() },
        Workload { pattern: Pattern::Turns { zones: 9, stride: 9000 }, ..workload() },
    ];
    for workload in wrong {
        let sentence = workload.check().unwrap_err();
        assert!(sentence.split(' ').count() > 4, "{sentence}");
    }
}
