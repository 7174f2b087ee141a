//! The pool under many schedules: a unit has one owner, a waiter is woken, and nothing is lost on the way.

#![expect(clippy::unwrap_used, reason = "a test ends by a panic")]

use std::sync::Arc;

use imbrex_zoned::schedules::{Bell, explore};
use imbrex_zoned::{Buffer, BufferPool, UNIT_BYTES};
use shuttle::sync::mpsc;
use shuttle::thread;

/// Takes `units`, waiting for them.
fn take(pool: &BufferPool, bell: &Bell, units: usize) -> Buffer {
    bell.wait_for(|| pool.try_allocate(units * UNIT_BYTES))
}

/// Marks a buffer, lets others run, and finds its mark again.
fn use_alone(buffer: &mut Buffer, mark: u8) {
    for unit in buffer.chunks_mut(UNIT_BYTES) {
        unit[0] = mark;
    }
    thread::yield_now();
    assert!(buffer.chunks(UNIT_BYTES).all(|unit| unit[0] == mark), "two buffers had the same unit");
}

fn pool_with_bell(units: usize) -> (BufferPool, Arc<Bell>) {
    let pool = BufferPool::new(units * UNIT_BYTES).unwrap();
    let bell = Arc::new(Bell::default());
    pool.on_release(bell.waker());
    (pool, bell)
}

#[test]
fn three_threads_share_memory_for_one_and_a_half_of_them() {
    explore("a pool that is too small", 10_000, || {
        let (pool, bell) = pool_with_bell(3);
        let threads: Vec<_> = (1..=3)
            .map(|mark| {
                let (pool, bell) = (pool.clone(), Arc::clone(&bell));
                thread::spawn(move || {
                    for _ in 0..2 {
                        use_alone(&mut take(&pool, &bell, 2), mark);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(pool.bytes_free(), pool.bytes_total());
    });
}

#[test]
fn a_buffer_is_cut_joined_and_given_away_among_threads() {
    explore("buffers cut and joined", 10_000, || {
        let (pool, bell) = pool_with_bell(4);
        let (sender, cut) = mpsc::channel::<Buffer>();
        let joiner = thread::spawn({
            let (pool, bell) = (pool.clone(), Arc::clone(&bell));
            move || {
                let mut joined: Option<Buffer> = None;
                for mut part in cut {
                    use_alone(&mut part, 9);
                    // What does not follow goes back at once, and its release wakes the other two.
                    match joined.as_mut() {
                        Some(joined) => drop(joined.absorb(part)),
                        None => joined = Some(part),
                    }
                }
                drop(joined);
                use_alone(&mut take(&pool, &bell, 4), 8);
            }
        });
        let cutters: Vec<_> = (1..=2)
            .map(|mark| {
                let (pool, bell, sender) = (pool.clone(), Arc::clone(&bell), sender.clone());
                thread::spawn(move || {
                    let mut buffer = take(&pool, &bell, 2);
                    use_alone(&mut buffer, mark);
                    let rest = buffer.split_off(UNIT_BYTES);
                    // A closed channel hands the part back, and it is dropped here.
                    let _ = sender.send(buffer);
                    let _ = sender.send(rest);
                })
            })
            .collect();
        drop(sender);
        cutters.into_iter().for_each(|thread| thread.join().unwrap());
        joiner.join().unwrap();
        assert_eq!(pool.bytes_free(), pool.bytes_total());
    });
}
