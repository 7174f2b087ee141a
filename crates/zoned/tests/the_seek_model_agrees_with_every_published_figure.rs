//! Each published run of a real drive, run on the model in simulated time, comes out within 5 percent.

use imbrex_zoned::simulated::disk::{DiskParameters, Measured, NOT_FITTED, PUBLISHED};

/// Over how many seeds a figure is averaged: what is random in a run moves it by 2 percent.
const SEEDS: u32 = 8;

#[test]
fn within_5_percent() {
    let parameters = DiskParameters::published_15_tb();
    for row in &PUBLISHED {
        let runs = (0..SEEDS).map(|seed| row.workload(u64::from(seed)).run(&parameters));
        let mean = runs.map(|run| run.mebibytes_per_s()).sum::<f64>() / f64::from(SEEDS);
        let differs = (mean / row.mebibytes_per_s - 1.0) * 100.0;
        println!("{}: {mean:.1} MiB/s, published {}: {differs:+.1} %", row.what, row.mebibytes_per_s);
        assert!(differs.abs() <= 5.0, "{}: {mean:.1} MiB/s, published {}", row.what, row.mebibytes_per_s);
    }
}

#[test]
fn a_seed_replays_a_run() {
    let parameters = DiskParameters::published_15_tb();
    let figures = |run: &Measured| (run.operations, run.breakdown, run.latency_ms(99.0).to_bits());
    let random_reads = &PUBLISHED[5];
    let (first, again) =
        (random_reads.workload(7).run(&parameters), random_reads.workload(7).run(&parameters));
    assert_eq!(figures(&first), figures(&again));
    assert_ne!(figures(&first), figures(&random_reads.workload(8).run(&parameters)));
}

#[test]
fn what_was_not_fitted_agrees_within_15_percent() {
    let parameters = DiskParameters::published_15_tb();
    for row in &NOT_FITTED {
        let rate = row.workload(0).run(&parameters).mebibytes_per_s();
        let differs = (rate / row.mebibytes_per_s - 1.0) * 100.0;
        println!("{}: {rate:.1} MiB/s, published {}: {differs:+.1} %", row.what, row.mebibytes_per_s);
        assert!(differs.abs() <= 15.0, "{}: {rate:.1} MiB/s, published {}", row.what, row.mebibytes_per_s);
    }
}

#[test]
fn small_writes_in_4_zones_wait_as_long_as_published_ones() {
    let run = NOT_FITTED[1].workload(0).run(&DiskParameters::published_15_tb());
    let (percent, published_ms) = NOT_FITTED[1].latencies_ms[0];
    let differs = run.latency_ms(percent) / published_ms - 1.0;
    assert!(differs.abs() <= 0.15, "p{percent} {} ms, published {published_ms}", run.latency_ms(percent));
}
