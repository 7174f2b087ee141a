//! A timed device answers as the device behind it, at the times of the model, and never sleeps. All times are simulated.
#![expect(clippy::unwrap_used, reason = "a test stops where a step that prepares it fails")]

mod conformance;

use std::time::{Duration, Instant};

use imbrex_zoned::simulated::disk::DiskParameters;
use imbrex_zoned::simulated::{
    RegeneratedDrive, RegeneratedPayload, SimulatedDevice, SimulatedGeometry, TimedDevice, VirtualClock,
    regenerating,
};
use imbrex_zoned::{BufferPool, Completion, Device, DeviceError, Token, ZoneOperation};

const MEBIBYTE: usize = 1 << 20;

fn shape() -> SimulatedGeometry {
    SimulatedGeometry { conventional_zones: 1, ..SimulatedGeometry::default() }
}

fn timed(parameters: DiskParameters) -> (TimedDevice, BufferPool, VirtualClock) {
    let pool = BufferPool::new(64 << 20).unwrap();
    let clock = VirtualClock::new();
    let device = SimulatedDevice::in_memory(shape(), pool.clone()).unwrap();
    (TimedDevice::new(device, parameters, clock.clone()).unwrap(), pool, clock)
}

fn write(device: &mut TimedDevice, token: u64, offset_bytes: u64, mebibytes: usize) {
    let buffer = device.pool().try_allocate(mebibytes * MEBIBYTE).unwrap();
    device.submit_write(Token(token), offset_bytes, buffer).unwrap();
}

fn next(device: &mut TimedDevice) -> Vec<Completion> {
    let mut completions = Vec::new();
    device.wait(None, &mut completions).unwrap();
    completions
}

fn tokens(completions: &[Completion]) -> Vec<u64> {
    completions.iter().map(|completion| completion.token.0).collect()
}

#[test]
fn it_conforms() {
    for write_cache in [true, false] {
        for small in
            [shape(), SimulatedGeometry { zone_open_max: Some(3), zone_active_max: Some(5), ..shape() }]
        {
            let small = SimulatedGeometry {
                zone_count: 24,
                zone_size_bytes: 1 << 20,
                zone_capacity_bytes: 3 << 18,
                ..small
            };
            let parameters = DiskParameters { write_cache, ..DiskParameters::derived_20_tb() };
            let pool = BufferPool::new(32 << 20).unwrap();
            let clock = VirtualClock::new();
            let device = regenerating(small, pool.clone()).unwrap();
            let mut device = TimedDevice::new(device, parameters, clock.clone()).unwrap();
            let summary = conformance::run(&mut device, &mut |_| {}).unwrap();
            assert!(summary.checks >= 17, "{summary:?}");
            assert!(clock.now_us() > 100_000, "its operations took time");
            assert_eq!(pool.bytes_free(), pool.bytes_total());
        }
    }
}

#[test]
fn it_can_be_dropped_with_operations_in_flight() {
    for waits in [false, true] {
        let (device, _pool, _clock) = timed(DiskParameters::published_15_tb());
        conformance::drop_in_flight(Box::new(device), waits).unwrap();
    }
}

#[test]
fn a_wait_moves_the_clock_to_the_next_end_or_by_the_timeout() {
    let (mut device, _pool, clock) = timed(DiskParameters::published_15_tb());
    let mut completions = Vec::new();
    device.wait(Some(Duration::from_millis(7)), &mut completions).unwrap();
    assert_eq!((completions.len(), clock.now_us()), (0, 7000), "nothing is in flight");
    write(&mut device, 1, 64 << 20, 1);
    device.wait(Some(Duration::from_micros(100)), &mut completions).unwrap();
    assert_eq!((completions.len(), clock.now_us()), (0, 7100), "the write is on the cable");
    device.wait(Some(Duration::from_secs(9)), &mut completions).unwrap();
    // 39 us for the command, and 1 MiB at 550 MB/s.
    assert_eq!((tokens(&completions), clock.now_us()), (vec![1], 7000 + 39 + 1906));
}

#[test]
fn time_in_which_a_client_thinks_passes_for_the_disk_too() {
    let (mut device, _pool, clock) = timed(DiskParameters::published_15_tb());
    write(&mut device, 1, 64 << 20, 16);
    clock.advance(Duration::from_secs(1));
    assert_eq!(tokens(&next(&mut device)), [1]);
    assert_eq!(clock.now_us(), 1_000_000, "it had ended long before");
    device.submit_flush(Token(2)).unwrap();
    next(&mut device);
    assert!(clock.now_us() < 1_000_100, "and was on the medium");
    assert!(device.breakdown().idle_ns > 900_000_000);
}

#[test]
fn a_flush_waits_for_the_medium_and_what_comes_behind_it_waits_for_the_flush() {
    let (mut device, _pool, clock) = timed(DiskParameters::published_15_tb());
    write(&mut device, 1, 64 << 20, 16);
    next(&mut device);
    let cached_us = clock.now_us();
    device.submit_flush(Token(2)).unwrap();
    write(&mut device, 3, 80 << 20, 1);
    assert_eq!(tokens(&next(&mut device)), [2]);
    let transfer_ms = device.breakdown().transfer_ns / 1_000_000;
    assert!((65..69).contains(&transfer_ms), "16 MiB at 249 MB/s: {transfer_ms} ms");
    assert!(clock.now_us() > cached_us + 25_000, "half of it was in the cache");
    assert_eq!(tokens(&next(&mut device)), [3]);
}

#[test]
fn reads_end_in_the_order_of_the_medium_with_what_stood_there_then() {
    let (mut device, pool, clock) = timed(DiskParameters::published_15_tb());
    let mut buffer = pool.try_allocate(32 * MEBIBYTE).unwrap();
    for (page, bytes) in buffer.chunks_mut(4096).enumerate() {
        bytes.fill(u8::try_from(page % 251).unwrap());
    }
    device.submit_write(Token(0), 64 << 20, buffer).unwrap();
    next(&mut device);
    device.submit_flush(Token(0)).unwrap();
    next(&mut device);
    let begun_us = clock.now_us();
    for page in [3000_u64, 1000, 2000, 8000] {
        let read = pool.try_allocate(4096).unwrap();
        // The last lies beyond the write pointer: it crosses the cable at once.
        device
            .submit_read(Token(page), (64 << 20) + page * 4096 + ((page / 8000) << 24), read, 4096)
            .unwrap();
    }
    let mut ended = Vec::new();
    while ended.len() < 4 {
        ended.extend(next(&mut device));
    }
    assert_eq!(tokens(&ended)[0], 8000);
    for completion in &ended {
        let page = completion.token.0;
        let expected = if page == 8000 { 0 } else { u8::try_from(page % 251).unwrap() };
        assert_eq!(completion.buffer.as_ref().unwrap()[..4096], [expected; 4096], "page {page}");
    }
    let took_us = clock.now_us() - begun_us;
    assert!((1000..27_000).contains(&took_us), "three accesses near by: {took_us} us");
}

#[test]
fn a_second_write_to_a_zone_is_refused_while_the_first_is_in_flight() {
    let (mut device, _pool, _clock) = timed(DiskParameters::published_15_tb());
    write(&mut device, 1, 64 << 20, 1);
    write(&mut device, 2, 65 << 20, 1);
    let mut ended = next(&mut device);
    ended.extend(next(&mut device));
    let result = |token: u64| ended.iter().find(|end| end.token.0 == token).unwrap().result.clone();
    assert_eq!(result(1), Ok(()));
    assert!(matches!(result(2), Err(DeviceError::NotAtWritePointer { zone: 1, .. })), "{:?}", result(2));
}

#[test]
fn what_lies_beyond_the_drive_is_refused_without_the_disk() {
    let (mut device, pool, clock) = timed(DiskParameters::published_15_tb());
    let end_bytes = device.geometry().device_bytes;
    for offset_bytes in [end_bytes - 4096, end_bytes, u64::MAX - 4095] {
        let read = pool.try_allocate(8192).unwrap();
        device.submit_read(Token(1), offset_bytes, read, 8192).unwrap();
        device.submit_write(Token(2), offset_bytes, pool.try_allocate(8192).unwrap()).unwrap();
        let ended = next(&mut device);
        assert_eq!(ended.len(), 2);
        for end in ended {
            assert!(matches!(end.result, Err(DeviceError::OutOfBounds { .. })), "{:?}", end.result);
        }
    }
    assert_eq!(clock.now_us(), 0);
}

#[test]
fn orders_and_a_report_take_their_time() {
    let (mut device, _pool, clock) = timed(DiskParameters::published_15_tb());
    write(&mut device, 1, 64 << 20, 1);
    next(&mut device);
    let begun_us = clock.now_us();
    device.submit_zone(Token(2), 1, ZoneOperation::Reset).unwrap();
    next(&mut device);
    assert_eq!(clock.now_us() - begun_us, 1039);
    let accesses = device.breakdown().accesses;
    let read = device.pool().try_allocate(4096).unwrap();
    device.submit_read(Token(3), 64 << 20, read, 4096).unwrap();
    next(&mut device);
    assert_eq!(device.breakdown().accesses, accesses, "nothing is there any more");
    let begun_us = clock.now_us();
    let zones = device.report_zones().unwrap();
    assert_eq!(zones[1].write_pointer_bytes, Some(0));
    assert!(clock.now_us() - begun_us >= 64 * 24, "64 zones of 24.2 us");
}

#[test]
fn a_wake_ends_a_wait_before_any_time_has_passed() {
    let (mut device, _pool, clock) = timed(DiskParameters::published_15_tb());
    let mut completions = Vec::new();
    device.waker().wake();
    device.wait(Some(Duration::from_secs(5)), &mut completions).unwrap();
    assert_eq!(clock.now_us(), 0);
    device.wait(Some(Duration::from_secs(5)), &mut completions).unwrap();
    assert_eq!(clock.now_us(), 5_000_000, "a wake counts once");
    device.waker().wake();
    device.wait(None, &mut completions).unwrap();
}

/// How fast time is simulated: `cargo test --release -p imbrex-zoned --test the_seek_model_gives_a_device_its_time
/// -- --ignored --nocapture`.
#[test]
#[ignore = "it measures this machine"]
fn speed() {
    let geometry = SimulatedGeometry {
        zone_count: 74_508,
        zone_size_bytes: 256 << 20,
        zone_capacity_bytes: 256 << 20,
        conventional_zones: 745,
        zone_open_max: Some(128),
        zone_active_max: None,
        ..SimulatedGeometry::default()
    };
    let payload = RegeneratedPayload { seed: 1 };
    let begun = Instant::now();
    let mut drive = RegeneratedDrive::new(geometry).unwrap();
    for zone in 745..74_508_u64 {
        for record in 0..63 {
            let offset_bytes = zone * (256 << 20) + record * ((4 << 20) + 4096);
            drive.write(offset_bytes, &[7; 384]).unwrap();
            drive.write_payload(offset_bytes + 384, payload, 0, 4 << 20).unwrap();
            drive.pad(u32::try_from(zone).unwrap()).unwrap();
        }
    }
    let memory = drive.memory_bytes() >> 20;
    println!("4.6 M records of 4 MiB laid down in {:?}, {memory} MiB", begun.elapsed());
    let pool = BufferPool::new(64 << 20).unwrap();
    let clock = VirtualClock::new();
    let mut device =
        TimedDevice::new(drive.open(pool.clone()), DiskParameters::derived_20_tb(), clock.clone()).unwrap();
    let begun = Instant::now();
    let mut state = 1_u64;
    let mut completions = Vec::new();
    let reads = 300_000;
    for token in 0..reads {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let offset_bytes = (745 + (state >> 33) % 73_000) * (256 << 20) + ((state >> 20) % 60_000) * 4096;
        let buffer = pool.try_allocate(4096).unwrap();
        device.submit_read(Token(token), offset_bytes, buffer, 4096).unwrap();
        if token >= 31 {
            device.wait(None, &mut completions).unwrap();
            completions.clear();
        }
    }
    let took = begun.elapsed();
    println!("{reads} random reads in {took:?}: {} s simulated", clock.now_us() / 1_000_000);
    println!("{:?}", device.breakdown());
}
