//! What a connection is in the middle of, and how long it may be.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::limits::Limits;

/// The phase of a connection, shared between its stream and its service: a number in the lowest two bits, and
/// above them how often it has changed.
#[derive(Clone, Default)]
pub(super) struct Phase(Arc<AtomicU64>);

const PHASE_BITS: u32 = 2;
const PHASE_MASK: u64 = (1 << PHASE_BITS) - 1;
/// Between two requests.
const IDLE: u64 = 0;
/// A head has begun and has not ended.
const HEAD: u64 = 1;
/// A request is being served.
const BUSY: u64 = 2;

impl Phase {
    /// Bytes came in: between two requests they begin a head.
    pub(super) fn bytes_came(&self) {
        if self.0.load(Ordering::Relaxed) & PHASE_MASK == IDLE {
            self.change(HEAD);
        }
    }

    /// A request's head is whole.
    pub(super) fn busy(&self) {
        self.change(BUSY);
    }

    /// Its answer is out.
    pub(super) fn idle(&self) {
        self.change(IDLE);
    }

    fn change(&self, phase: u64) {
        let changes = self.0.load(Ordering::Relaxed) >> PHASE_BITS;
        self.0.store((changes + 1) << PHASE_BITS | phase, Ordering::Relaxed);
    }
}

/// A timer that runs while one thing is waited for. Made when it is first needed, then set anew.
#[derive(Default)]
pub(super) struct Clock {
    sleep: Option<Pin<Box<Sleep>>>,
    /// What it runs for; `None` while it stands.
    running_for: Option<u64>,
}

impl Clock {
    /// Lets the clock stand.
    pub(super) fn stop(&mut self) {
        self.running_for = None;
    }

    /// Lets the clock run for `what`, and is ready once `time_max` has passed since it began to.
    pub(super) fn poll_expired(
        &mut self,
        context: &mut Context<'_>,
        what: u64,
        time_max: Duration,
    ) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(time_max)));
        if self.running_for != Some(what) {
            self.running_for = Some(what);
            sleep.as_mut().reset(Instant::now() + time_max);
        }
        sleep.as_mut().poll(context)
    }
}

/// Watches that no phase in which the client has to send lasts too long.
pub(super) struct PhaseWatch {
    phase: Phase,
    clock: Clock,
    head_time_max: Duration,
    idle_time_max: Duration,
}

impl PhaseWatch {
    pub(super) fn new(phase: Phase, limits: &Limits) -> Self {
        Self {
            phase,
            clock: Clock::default(),
            head_time_max: limits.head_time_max,
            idle_time_max: limits.idle_time_max,
        }
    }

    /// Is ready once the phase has lasted too long. To be asked each time that the connection has been polled,
    /// since that is when the phase changes.
    pub(super) fn poll_expired(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = self.phase.0.load(Ordering::Relaxed);
        let time_max = match now & PHASE_MASK {
            IDLE => self.idle_time_max,
            HEAD => self.head_time_max,
            _ => {
                self.clock.stop();
                return Poll::Pending;
            }
        };
        self.clock.poll_expired(context, now, time_max)
    }
}
