//! Every queue on a regular file opened for direct I/O: no zoned device is needed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;

use super::{Backend, Ended, Files, IN_FLIGHT_MAX, Queue};
use crate::kernel::operation::{Action, Failure, Operation};
use crate::{Buffer, BufferPool, Token};

const UNIT: usize = 4096;
const FILE_UNITS: usize = 2048;
const BACKENDS: &[Backend] = &[
    Backend::Ring,
    #[cfg(feature = "tokio-uring")]
    Backend::TokioUring,
];

/// A file of its own, opened twice: for direct I/O, and as usual.
fn files() -> (tempfile::TempDir, File, File) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("drive");
    let usual = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    usual.set_len((FILE_UNITS * UNIT) as u64).unwrap();
    let mut direct = OpenOptions::new();
    let direct = direct.read(true).write(true).custom_flags(libc::O_DIRECT).open(&path).unwrap();
    (directory, usual, direct)
}

fn transfer(token: u64, action: Action, unit: usize, buffer: Buffer, part: usize) -> Operation {
    let length = buffer.len();
    Operation::transfer(Token(token), action, (unit * UNIT) as u64, buffer, length, part)
}

fn queue_on(backend: Backend, drive: &File, pool: &BufferPool) -> Box<dyn Queue> {
    backend.queue(&Files { drive, table: None }, pool).unwrap()
}

fn one(queue: &mut dyn Queue) -> Ended {
    let mut ended = Vec::new();
    while ended.is_empty() {
        queue.wait(Some(Duration::from_secs(10)), &mut ended).unwrap();
    }
    assert_eq!(ended.len(), 1);
    ended.remove(0)
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

#[test]
fn waits_of_no_time_bring_what_the_ring_has_ended() {
    let (_directory, _usual, direct) = files();
    let pool = BufferPool::new(UNIT).unwrap();
    let mut queue = queue_on(Backend::Ring, &direct, &pool);
    let begun = Instant::now();
    let mut ended = Vec::new();
    for token in 0..50 {
        let buffer = pool.try_allocate(UNIT).unwrap();
        assert!(queue.submit(transfer(token, Action::Write, 1, buffer, UNIT)).is_ok());
        while ended.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(120), "write {token} never ended");
            queue.wait(Some(Duration::ZERO), &mut ended).unwrap();
            std::thread::yield_now();
        }
        assert_eq!(ended.drain(..).map(|ended| ended.result).collect::<Vec<_>>(), [Ok(())]);
    }
}

#[test]
fn random_operations_in_flight_together_do_what_the_same_do_one_by_one() {
    for &backend in BACKENDS {
        let (_directory, usual, direct) = files();
        let pool = BufferPool::new(24 << 20).unwrap();
        let mut queue = queue_on(backend, &direct, &pool);
        let mut model = vec![0_u8; FILE_UNITS * UNIT];
        // What is in flight over each unit: ranges in flight never overlap, so that the outcome is determined.
        let mut busy = vec![false; FILE_UNITS];
        let mut random = Random(11);
        let (mut submitted, mut completed, mut parts, mut silent) = (0_u64, 0_u64, 0, 0);
        let mut ended = Vec::new();
        while completed < 20_000 {
            let (unit, units) = (random.below(FILE_UNITS), random.below(16) + 1);
            let range = unit..(unit + units).min(FILE_UNITS);
            let free = submitted < 20_000
                && queue.in_flight() < IN_FLIGHT_MAX as usize
                && busy[range.clone()].iter().all(|&unit| !unit);
            if let Some(mut buffer) = free.then(|| pool.try_allocate(range.len() * UNIT)).flatten() {
                let part = (random.below(20) + 1) * UNIT;
                let bytes = range.start * UNIT..range.end * UNIT;
                let action = [Action::Read, Action::Write][random.below(2)];
                if action == Action::Write {
                    for byte in buffer.iter_mut() {
                        *byte = u8::try_from(random.below(256)).unwrap();
                    }
                    model[bytes].copy_from_slice(&buffer);
                }
                parts += usize::from(part < buffer.len());
                busy[range.clone()].fill(true);
                submitted += 1;
                assert!(queue.submit(transfer(submitted, action, range.start, buffer, part)).is_ok());
                if random.below(4) > 0 {
                    continue;
                }
            }
            queue.wait(Some(Duration::from_millis(20)), &mut ended).unwrap();
            silent = if ended.is_empty() { silent + 1 } else { 0 };
            assert!(silent < 1000, "{} operations never ended", queue.in_flight());
            for Ended { operation, result } in ended.drain(..) {
                assert_eq!(result, Ok(()));
                let start = usize::try_from(operation.offset_bytes).unwrap();
                let buffer = operation.buffer.unwrap();
                assert!(buffer[..] == model[start..start + buffer.len()], "operation {:?}", operation.token);
                busy[start / UNIT..(start + buffer.len()) / UNIT].fill(false);
                completed += 1;
            }
        }
        assert!(parts > 1000, "{parts} operations went in parts");
        let mut found = vec![0; FILE_UNITS * UNIT];
        usual.read_exact_at(&mut found, 0).unwrap();
        assert!(found == model);
        assert_eq!(pool.bytes_free(), pool.bytes_total());
    }
}

#[test]
fn a_queue_made_on_one_thread_is_used_by_another() {
    for &backend in BACKENDS {
        let (_directory, _usual, direct) = files();
        let pool = BufferPool::new(1 << 20).unwrap();
        let mut queue = queue_on(backend, &direct, &pool);
        let buffer = pool.try_allocate(UNIT).unwrap();
        let result = std::thread::spawn(move || {
            assert!(queue.submit(transfer(1, Action::Read, 0, buffer, UNIT)).is_ok());
            one(&mut *queue).result
        });
        assert_eq!(result.join().unwrap(), Ok(()));
    }
}

#[test]
fn a_queue_that_is_dropped_waits_for_what_is_in_flight_and_gives_its_buffers_back() {
    for &backend in BACKENDS {
        let (_directory, usual, direct) = files();
        let pool = BufferPool::new(16 << 20).unwrap();
        let mut queue = queue_on(backend, &direct, &pool);
        for n in 0..8 {
            let mut buffer = pool.try_allocate(256 * UNIT).unwrap();
            buffer.fill(u8::try_from(n).unwrap() + 1);
            assert!(queue.submit(transfer(n as u64, Action::Write, n * 256, buffer, 64 * UNIT)).is_ok());
        }
        drop(queue);
        assert_eq!(pool.bytes_free(), pool.bytes_total());
        let mut found = vec![0; FILE_UNITS * UNIT];
        usual.read_exact_at(&mut found, 0).unwrap();
        assert!(found.chunks(256 * UNIT).zip(1_u8..).all(|(chunk, n)| chunk.iter().all(|&byte| byte == n)));
    }
}

#[test]
fn a_queue_dropped_by_a_thread_that_may_not_wait_leaks_its_buffers_and_frees_none() {
    for &backend in BACKENDS {
        let (_directory, _usual, direct) = files();
        let pool = BufferPool::new(1 << 20).unwrap();
        let mut queue = queue_on(backend, &direct, &pool);
        let mut ended = Vec::new();
        queue.wait(Some(Duration::ZERO), &mut ended).unwrap();
        let buffer = pool.try_allocate(UNIT).unwrap();
        assert!(queue.submit(transfer(1, Action::Read, 0, buffer, UNIT)).is_ok());
        std::thread::spawn(move || drop(queue)).join().unwrap();
        assert_eq!(pool.bytes_free(), pool.bytes_total() - UNIT);
    }
}

#[test]
fn no_more_operations_are_taken_than_may_be_in_flight() {
    for &backend in BACKENDS {
        let (_directory, _usual, direct) = files();
        let pool = BufferPool::new(1 << 20).unwrap();
        let mut queue = queue_on(backend, &direct, &pool);
        for n in 0..u64::from(IN_FLIGHT_MAX) {
            let buffer = pool.try_allocate(UNIT).unwrap();
            assert!(queue.submit(transfer(n, Action::Read, 0, buffer, UNIT)).is_ok());
        }
        let refused = queue.submit(Operation::flush(Token(999))).unwrap_err();
        assert_eq!(refused.token, Token(999));
        let mut ended = Vec::new();
        while ended.len() < IN_FLIGHT_MAX as usize {
            queue.wait(Some(Duration::from_secs(10)), &mut ended).unwrap();
        }
        assert_eq!(queue.in_flight(), 0);
        assert!(queue.submit(Operation::flush(Token(999))).is_ok());
        assert_eq!(one(&mut *queue).result, Ok(()));
    }
}

#[test]
fn a_range_past_the_end_of_the_file_ends_without_a_loop() {
    for &backend in BACKENDS {
        let (_directory, _usual, direct) = files();
        let pool = BufferPool::new(1 << 20).unwrap();
        let mut queue = queue_on(backend, &direct, &pool);
        let buffer = pool.try_allocate(4 * UNIT).unwrap();
        assert!(queue.submit(transfer(1, Action::Read, FILE_UNITS - 2, buffer, 4 * UNIT)).is_ok());
        assert_eq!(one(&mut *queue).result, Err(Failure::PastEnd));
    }
}

#[test]
fn an_operation_that_the_kernel_refuses_ends_with_its_error_and_its_buffer_comes_back() {
    for &backend in BACKENDS {
        let (directory, _usual, _direct) = files();
        let read_only = File::open(directory.path().join("drive")).unwrap();
        let pool = BufferPool::new(1 << 20).unwrap();
        let mut queue = queue_on(backend, &read_only, &pool);
        let buffer = pool.try_allocate(UNIT).unwrap();
        assert!(queue.submit(transfer(1, Action::Write, 0, buffer, UNIT)).is_ok());
        let ended = one(&mut *queue);
        assert_eq!(ended.result, Err(Failure::Errno(Errno::EBADF)));
        assert!(ended.operation.buffer.is_some());
    }
}

#[test]
fn a_wake_from_another_thread_ends_a_wait_and_one_that_nobody_waited_for_is_kept() {
    for &backend in BACKENDS {
        let (_directory, _usual, direct) = files();
        let pool = BufferPool::new(1 << 20).unwrap();
        let mut queue = queue_on(backend, &direct, &pool);
        let waker = queue.waker();
        let mut ended = Vec::new();
        for _ in 0..3 {
            waker.wake();
            waker.wake();
            queue.wait(None, &mut ended).unwrap();
        }
        let begun = Instant::now();
        queue.wait(Some(Duration::from_millis(30)), &mut ended).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(30), "no wake was left over");
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            waker.wake();
        });
        queue.wait(None, &mut ended).unwrap();
        thread.join().unwrap();
        assert!(ended.is_empty());
    }
}
