//! The helper thread under many schedules: each job ends once, its end wakes who waits, and dropping waits for the rest.

use std::fs::File;
use std::sync::Arc;

use super::{Job, JobEnded, ZoneWorker};
use crate::schedules::{Bell, explore};
use crate::{Geometry, Token, ZoneOperation};

const GEOMETRY: Geometry = Geometry {
    logical_block_bytes: 4096,
    write_unit_bytes: 4096,
    zone_count: 4,
    zone_size_bytes: 1 << 20,
    zone_open_max: None,
    zone_active_max: None,
    device_bytes: 4 << 20,
    rotational: false,
};

/// A job that the kernel refuses at once, since the file is no drive: what is tested is who is told.
fn job(number: u32) -> Job<u32> {
    match number % 2 {
        0 => Job::Order { token: Token(number.into()), zone: number, operation: ZoneOperation::Finish },
        _ => Job::Look { zone: number, failed_write: number },
    }
}

fn number_of(ended: JobEnded<u32>) -> u32 {
    match ended {
        JobEnded::Ordered { token, zone, result, .. } => {
            assert!(result.is_err() && token == Token(zone.into()));
            zone
        }
        JobEnded::Looked { zone: None, failed_write } => failed_write,
        JobEnded::Looked { .. } => panic!("there is no zone to look at"),
    }
}

#[test]
fn every_job_ends_once_and_its_end_wakes_who_waits() {
    explore("the helper thread", 10_000, || {
        let file = Arc::new(File::open("/dev/null").unwrap());
        let bell = Arc::new(Bell::default());
        let mut worker = ZoneWorker::start(Arc::clone(&file), GEOMETRY, bell.waker()).unwrap();
        let mut ended = Vec::new();
        worker.submit(job(0));
        worker.submit(job(1));
        ended.push(number_of(bell.wait_for(|| worker.ended())));
        worker.submit(job(2));
        while worker.in_flight() > 0 {
            ended.push(number_of(bell.wait_for(|| worker.ended())));
        }
        assert_eq!(ended, [0, 1, 2]);
        worker.submit(job(3));
        drop(worker);
        assert_eq!(Arc::strong_count(&file), 1, "the thread has let go of the drive");
    });
}
