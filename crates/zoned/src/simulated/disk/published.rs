//! The published runs of a real drive, each with its conditions, as workloads.
//!
//! Source: zonedstorage.io documentation, "fio Examples for SMR hard-disks": a 15 TB SATA drive, fio 3.13 with
//! `zonemode=zbd`, a kernel of 2019 with `mq-deadline`. Both keep one write in flight per zone. One further run is from the
//! page on libzbc there, of a drive of the same size.

use crate::simulated::disk::workload::{Pattern, Region, Workload};

/// The first sequential zone of the drive, in bytes.
const FIRST_BYTES: u64 = 140_660_178_944;
/// The size of its zones, in bytes.
const ZONE_BYTES: u64 = 256 << 20;
/// The number of its sequential zones.
const ZONES: u64 = 55_880 - 524;

/// A published run.
pub struct Published {
    /// What was done, in a few words.
    pub what: &'static str,
    /// How it was run.
    pub how: &'static str,
    /// What was published, in MiB per second.
    pub mebibytes_per_s: f64,
    /// Latencies that were published with it: percent of the operations, and milliseconds.
    pub latencies_ms: &'static [(f64, f64)],
    workload: fn() -> Workload,
}

impl Published {
    /// The run as a workload. What is random in it follows from `seed`.
    #[must_use]
    pub fn workload(&self, seed: u64) -> Workload {
        Workload { seed, ..(self.workload)() }
    }
}

/// The runs that the model was calibrated on.
pub const PUBLISHED: [Published; 7] = [
    Published {
        what: "sequential write",
        how: "4 zones from the first, 1 GiB, 256 KiB, libaio, depth 8",
        mebibytes_per_s: 235.0,
        latencies_ms: &[(50.0, 8.2), (99.0, 30.5)],
        workload: || sequential(100),
    },
    Published {
        what: "sequential write, resets before",
        how: "the same zones, each reset when it is reached",
        mebibytes_per_s: 237.0,
        latencies_ms: &[(50.0, 8.2), (99.0, 10.2)],
        workload: || Workload { resets: true, ..sequential(100) },
    },
    Published {
        what: "sequential read",
        how: "the same zones, 1 GiB, 256 KiB, libaio, depth 8",
        mebibytes_per_s: 238.0,
        latencies_ms: &[(50.0, 8.4), (99.0, 14.6)],
        workload: || sequential(0),
    },
    Published {
        what: "4 write streams",
        how: "a quarter of the drive each, random zones filled, 512 KiB, psync, depth 1, 2 GiB each",
        mebibytes_per_s: 143.0,
        latencies_ms: &[(50.0, 3.9), (90.0, 5.3), (99.0, 196.0), (99.9, 877.0)],
        workload: || Workload {
            pattern: Pattern::Streams,
            region: Region { start_bytes: FIRST_BYTES, zone_bytes: ZONE_BYTES, zone_count: ZONES },
            block_bytes: 512 << 10,
            jobs: 4,
            depth: 1,
            job_bytes_max: 2 << 30,
            ..sequential(100)
        },
    },
    Published {
        what: "random writes",
        how: "at the pointers of random zones, 256 KiB, libaio, 4 jobs of depth 4, 30 s",
        mebibytes_per_s: 40.2,
        latencies_ms: &[(50.0, 99.0), (99.0, 194.0)],
        workload: || random(100),
    },
    Published {
        what: "random reads",
        how: "all sequential zones, 256 KiB, libaio, 4 jobs of depth 4, 30 s",
        mebibytes_per_s: 29.7,
        latencies_ms: &[(50.0, 96.0), (90.0, 296.0), (99.0, 558.0)],
        workload: || random(0),
    },
    Published {
        what: "reads beyond the pointer",
        how: "4 empty zones, 1 GiB, 256 KiB, libaio, depth 8",
        mebibytes_per_s: 353.0,
        latencies_ms: &[(50.0, 5.7), (99.0, 5.7)],
        workload: || Workload { reads_beyond_pointer: true, ..sequential(0) },
    },
];

/// More runs from the same source, which nothing was fitted to.
pub const NOT_FITTED: [Published; 3] = [
    Published {
        what: "random reads, short stroke",
        how: "the 524 conventional zones, 256 KiB, libaio, 4 jobs of depth 4, 30 s",
        mebibytes_per_s: 53.8,
        latencies_ms: &[(50.0, 47.0), (90.0, 174.0), (99.0, 409.0)],
        workload: || Workload {
            region: Region { start_bytes: 0, zone_bytes: ZONE_BYTES, zone_count: 524 },
            ..random(0)
        },
    },
    Published {
        what: "random writes in 4 zones",
        how: "64 KiB, sg (no scheduler, nothing merged), 8 jobs, 1 GiB each",
        mebibytes_per_s: 125.0,
        latencies_ms: &[(50.0, 1.4), (90.0, 2.2), (99.0, 3.1)],
        workload: || Workload {
            pattern: Pattern::Random,
            block_bytes: 64 << 10,
            jobs: 8,
            depth: 1,
            merges: false,
            ..sequential(100)
        },
    },
    Published {
        what: "one zone written through",
        how: "the first one, 512 KiB, zbc_write_zone, one write at a time, to the last byte in the cache",
        mebibytes_per_s: 236.5,
        latencies_ms: &[],
        workload: || Workload {
            region: Region { start_bytes: FIRST_BYTES, zone_bytes: ZONE_BYTES, zone_count: 1 },
            block_bytes: 512 << 10,
            depth: 1,
            merges: false,
            job_bytes_max: ZONE_BYTES,
            ..sequential(100)
        },
    },
];

fn sequential(write_percent: u64) -> Workload {
    Workload {
        pattern: Pattern::Sequential,
        region: Region { start_bytes: FIRST_BYTES, zone_bytes: ZONE_BYTES, zone_count: 4 },
        block_bytes: 256 << 10,
        jobs: 1,
        depth: 8,
        write_percent,
        reads_beyond_pointer: false,
        merges: true,
        resets: false,
        flush_every_bytes: None,
        job_bytes_max: 1 << 30,
        seconds_max: f64::INFINITY,
        seed: 0,
    }
}

fn random(write_percent: u64) -> Workload {
    Workload {
        pattern: Pattern::Random,
        region: Region { start_bytes: FIRST_BYTES, zone_bytes: ZONE_BYTES, zone_count: ZONES },
        jobs: 4,
        depth: 4,
        job_bytes_max: u64::MAX,
        seconds_max: 30.0,
        ..sequential(write_percent)
    }
}
