//! A stream that is cut off where its client stands still.
//!
//! Between requests a connection may lie idle for a while; from the first byte of a head the rest has to come
//! soon; while a request is served, reading is the upload's concern; and what is being written has to be taken.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::Limits;

/// What a connection is in the middle of. Shared between its stream and its service.
#[derive(Clone, Default)]
pub(super) struct Phase(Arc<AtomicU8>);

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

impl Phase {
    /// A request's head is whole.
    pub(super) fn busy(&self) {
        self.0.store(BUSY, Ordering::Relaxed);
    }

    /// Its answer is out.
    pub(super) fn idle(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The stream and its two clocks.
pub(super) struct Guarded<S> {
    stream: S,
    phase: Phase,
    reading: Clock,
    writing: Clock,
    head_time_max: Duration,
    idle_time_max: Duration,
    stall_time_max: Duration,
}

/// A timer that runs while something is waited for. Made when it is first needed, then set anew.
#[derive(Default)]
struct Clock {
    sleep: Option<Pin<Box<Sleep>>>,
    /// For what it runs: a phase, or `None` while it stands.
    running: Option<u8>,
}

impl Clock {
    fn stop(&mut self) {
        self.running = None;
    }

    /// Lets the clock run for `what`, and says whether `time_max` has passed since it began to.
    fn poll_expired(&mut self, context: &mut Context<'_>, what: u8, time_max: Duration) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(time_max)));
        if self.running != Some(what) {
            self.running = Some(what);
            sleep.as_mut().reset(Instant::now() + time_max);
        }
        sleep.as_mut().poll(context)
    }
}

impl<S> Guarded<S> {
    pub(super) fn new(stream: S, phase: Phase, limits: &Limits) -> Self {
        Self {
            stream,
            phase,
            reading: Clock::default(),
            writing: Clock::default(),
            head_time_max: limits.head_time_max,
            idle_time_max: limits.idle_time_max,
            stall_time_max: limits.stall_time_max,
        }
    }

    /// The stream without its guard.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Weighs the outcome of a write: progress stops the clock, waiting lets it run out.
    fn written<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing.stop();
            return outcome;
        }
        ready!(self.writing.poll_expired(context, BUSY, self.stall_time_max));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.stream).poll_read(context, buffer);
        let phase = this.phase.get();
        if outcome.is_ready() {
            if phase == IDLE && buffer.filled().len() > before {
                this.phase.0.store(HEAD, Ordering::Relaxed);
            }
            if phase != HEAD {
                this.reading.stop();
            }
            return outcome;
        }
        let time_max = match phase {
            IDLE => this.idle_time_max,
            HEAD => this.head_time_max,
            _ => {
                this.reading.stop();
                return Poll::Pending;
            }
        };
        ready!(this.reading.poll_expired(context, phase, time_max));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client sends nothing")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.written(context, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.written(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
