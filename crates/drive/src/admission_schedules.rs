//! Admission under many schedules: whoever waits for memory gets it when it comes back, from whichever thread.

#![expect(clippy::unwrap_used, reason = "a test ends by a panic")]

use std::sync::Arc;

use imbrex_format::{PAYLOAD_BYTES_MAX, UNIT_BYTES, record_units};
use imbrex_zoned::BufferPool;
use imbrex_zoned::schedules::explore;
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use super::{Admission, Admitted};
use crate::limits::Limits;

fn admission(units: usize) -> (BufferPool, Arc<Admission>) {
    let pool = BufferPool::new(units * UNIT_BYTES).unwrap();
    (pool.clone(), Arc::new(Admission::new(pool, &Limits::default())))
}

/// Takes in blocks of `payload_bytes`, one after another, each for a moment.
fn uploader(admission: &Arc<Admission>, payload_bytes: usize, count: usize) -> JoinHandle<()> {
    let admission = Arc::clone(admission);
    thread::spawn(move || {
        for _ in 0..count {
            let Ok(Admitted { buffer, right }) = block_on(admission.upload(payload_bytes)) else {
                panic!("the queue has room, and nothing times out");
            };
            assert_eq!(buffer.len(), record_units(payload_bytes) as usize * UNIT_BYTES);
            thread::yield_now();
            drop(buffer);
            thread::yield_now();
            drop(right);
        }
    })
}

#[test]
fn memory_that_others_give_back_goes_to_who_waits_for_it() {
    explore("uploads in a pool that is too small", 5000, || {
        let (pool, admission) = admission(3);
        // What a read of the engine holds, and gives back on its own thread.
        let read = pool.try_allocate(2 * UNIT_BYTES).unwrap();
        let uploaders = [0; 2].map(|_| uploader(&admission, 5000, 2));
        let reader = thread::spawn(move || drop(read));
        uploaders.into_iter().chain([reader]).for_each(|thread| thread.join().unwrap());
        assert_eq!(pool.bytes_free(), pool.bytes_total());
        assert_eq!(admission.waiting().0, 0);
    });
}

#[test]
fn a_right_that_comes_back_goes_to_who_waits_for_it() {
    explore("uploads of which one has room", 200, || {
        let (_, admission) = admission(record_units(PAYLOAD_BYTES_MAX) as usize);
        let uploaders = [0; 3].map(|_| uploader(&admission, PAYLOAD_BYTES_MAX, 1));
        uploaders.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(admission.waiting().0, 0);
    });
}
