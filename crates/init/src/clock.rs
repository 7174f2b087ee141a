//! The clock: its steps are noticed.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::time::{SystemTime, UNIX_EPOCH};

/// Steps smaller than this are chronyd's slewing seen through a slow turn of the loop, in milliseconds.
const STEP_MS_MIN: i64 = 500;
/// When the timer is set to, in seconds since 1970: it never comes.
const NEVER_S: i64 = 32_503_680_000;

/// Watches the clock.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Readable when somebody has set the clock.
    pub(crate) timer: TimerFd,
    /// What the clock said, less the time since boot, in milliseconds.
    offset_ms: i64,
    /// How often it was stepped.
    pub(crate) steps: u64,
}

impl Clock {
    /// Watches from now on.
    pub(crate) fn new(now_ms: u64) -> nix::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
        let clock = Self { timer, offset_ms: offset_ms(now_ms), steps: 0 };
        clock.arm()?;
        Ok(clock)
    }

    fn arm(&self) -> nix::Result<()> {
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        self.timer.set(Expiration::OneShot(TimeSpec::new(NEVER_S, 0)), flags)
    }

    /// The clock was set: by how much, in milliseconds, where that is a step.
    pub(crate) fn stepped(&mut self, now_ms: u64) -> Option<i64> {
        // It reads as cancelled, and must be armed anew to notice the next one.
        let _ = nix::unistd::read(&self.timer, &mut [0; 8]);
        let _ = self.arm();
        let before_ms = std::mem::replace(&mut self.offset_ms, offset_ms(now_ms));
        let step_ms = self.offset_ms - before_ms;
        let stepped = step_ms.abs() >= STEP_MS_MIN;
        self.steps += u64::from(stepped);
        stepped.then_some(step_ms)
    }
}

fn offset_ms(now_ms: u64) -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_sub_unsigned(now_ms)
}
