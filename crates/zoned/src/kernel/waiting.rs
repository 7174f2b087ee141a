//! How a device waits: for completions, for its callers' wakes, or for a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::sync::AtomicBool;
use crate::{Completion, DeviceError, Waker};

#[cfg(all(test, feature = "shuttle"))]
#[path = "waiting_schedules.rs"]
mod schedules;

/// The wakes of a device's callers. A queue is woken by others too, which bring the caller nothing yet.
#[derive(Clone, Default)]
pub(crate) struct Wakes(Arc<AtomicBool>);

impl Wakes {
    /// A waker for a caller, by way of the queue's own. Where a wake is noted that the device has not yet seen, whoever
    /// noted it wakes the queue: a second one would tell it nothing.
    pub(crate) fn waker(&self, queue: Waker) -> Waker {
        let woken = Arc::clone(&self.0);
        Waker::new(move || {
            if !woken.swap(true, Ordering::AcqRel) {
                queue.wake();
            }
        })
    }

    /// Takes turns at the queue until a completion has come, a caller has woken us, or `timeout` has passed. A turn is
    /// given how long it may wait; the first waits for nothing where the device `is_ready` with a completion.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        is_ready: bool,
        completions: &mut Vec<Completion>,
        mut turn: impl FnMut(Option<Duration>, &mut Vec<Completion>) -> io::Result<()>,
    ) -> Result<(), DeviceError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let before = completions.len();
        let mut woken = self.take();
        loop {
            let remaining = if woken || is_ready {
                Some(Duration::ZERO)
            } else {
                deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
            };
            turn(remaining, completions).map_err(|error| DeviceError::System {
                operation: "waiting for the drive",
                errno: error.raw_os_error().unwrap_or(Errno::EIO as i32),
            })?;
            // The caller is to look at once, without another turn.
            woken |= self.take();
            if woken || completions.len() > before || remaining.is_some_and(|remaining| remaining.is_zero()) {
                return Ok(());
            }
        }
    }

    /// Whether a caller has woken us since this was last asked.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::Token;

    /// A queue's waker that counts, and its count.
    fn counting() -> (Waker, Arc<AtomicU32>) {
        let count = Arc::new(AtomicU32::new(0));
        let own = Arc::clone(&count);
        (Waker::new(move || _ = own.fetch_add(1, Ordering::Relaxed)), count)
    }

    #[test]
    fn the_queue_is_woken_once_for_all_wakes_that_the_device_has_not_seen() {
        let wakes = Wakes::default();
        let (queue, count) = counting();
        let (waker, other) = (wakes.waker(queue.clone()), wakes.waker(queue));
        for round in 1..4 {
            waker.wake();
            other.wake();
            waker.wake();
            assert_eq!(count.load(Ordering::Relaxed), round);
            let mut turns = Vec::new();
            let turn = |remaining, _: &mut Vec<Completion>| {
                turns.push(remaining);
                Ok(())
            };
            wakes.wait(None, false, &mut Vec::new(), turn).unwrap();
            assert_eq!(turns, [Some(Duration::ZERO)]);
        }
    }

    #[test]
    fn a_wake_ends_the_turn_in_which_it_comes_and_a_queue_that_wakes_itself_does_not() {
        let wakes = Wakes::default();
        let waker = wakes.waker(counting().0);
        let mut turns = 0;
        let turn = |remaining, _: &mut Vec<Completion>| {
            assert_eq!(remaining, None);
            turns += 1;
            if turns == 3 {
                waker.wake();
            }
            Ok(())
        };
        wakes.wait(None, false, &mut Vec::new(), turn).unwrap();
        assert_eq!(turns, 3);
        // It was seen: nothing is left of it for the next wait, which a completion ends.
        let mut completions = Vec::new();
        let turn = |remaining, completions: &mut Vec<Completion>| {
            assert_eq!(remaining, None);
            completions.push(Completion { token: Token(1), result: Ok(()), buffer: None });
            Ok(())
        };
        wakes.wait(None, false, &mut completions, turn).unwrap();
        assert_eq!(completions.len(), 1);
    }
}
