//! The simulated device's wake under many schedules: whatever was done before it is seen after the wait, and no wake
//! falls between a look and a wait.

use std::sync::Arc;

use imbrex_zoned::schedules::explore;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};
use imbrex_zoned::{BufferPool, Device, UNIT_BYTES};
use shuttle::sync::Mutex;
use shuttle::thread;

#[test]
fn work_that_two_threads_announce_is_found_by_the_one_that_waits() {
    explore("a device's wake", 20_000, || {
        let pool = BufferPool::new(UNIT_BYTES).unwrap();
        let mut device = SimulatedDevice::in_memory(SimulatedGeometry::default(), pool).unwrap();
        let work = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (work, waker) = (Arc::clone(&work), device.waker());
                thread::spawn(move || {
                    for _ in 0..2 {
                        *work.lock().unwrap() += 1;
                        waker.wake();
                    }
                })
            })
            .collect();
        let mut done = 0;
        while done < 4 {
            done += std::mem::take(&mut *work.lock().unwrap());
            if done < 4 {
                device.wait(None, &mut Vec::new()).unwrap();
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
