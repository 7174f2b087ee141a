//! The wakes of a device's callers under many schedules: none is lost, whoever wakes and whenever.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shuttle::sync::atomic::AtomicU32;

use super::Wakes;
use crate::Waker;
use crate::schedules::explore;
use crate::sync::{Condvar, Mutex, thread};

const CALLERS: u32 = 2;
const WAKES_EACH: u32 = 2;

/// What the kernel's queue does for us: it is woken until somebody looks, and who waits for it sleeps.
#[derive(Default)]
struct Queue {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Queue {
    fn waker(self: &Arc<Self>) -> Waker {
        let queue = Arc::clone(self);
        Waker::new(move || {
            *queue.is_woken.lock().expect("nobody panics") = true;
            queue.woken.notify_one();
        })
    }

    /// A turn, which waits for as long as it takes where no time is given.
    fn turn(&self, remaining: Option<Duration>) {
        let mut is_woken = self.is_woken.lock().expect("nobody panics");
        while remaining.is_none() && !*is_woken {
            is_woken = self.woken.wait(is_woken).expect("nobody panics");
        }
        *is_woken = false;
    }
}

#[test]
fn what_a_caller_has_brought_before_it_wakes_is_seen() {
    explore("the wakes of a device's callers", 10_000, || {
        let (wakes, queue) = (Wakes::default(), Arc::new(Queue::default()));
        let brought = Arc::new(AtomicU32::new(0));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (waker, brought) = (wakes.waker(queue.waker()), Arc::clone(&brought));
                thread::spawn(move || {
                    for _ in 0..WAKES_EACH {
                        brought.fetch_add(1, Ordering::AcqRel);
                        waker.wake();
                    }
                })
            })
            .collect();
        // A wake that is lost is a wait without an end.
        while brought.load(Ordering::Acquire) < CALLERS * WAKES_EACH {
            let turn = |remaining, _: &mut Vec<_>| {
                queue.turn(remaining);
                Ok(())
            };
            wakes.wait(None, false, &mut Vec::new(), turn).unwrap();
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
}
