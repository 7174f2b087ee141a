//! What threads meet at: locks, flags, channels and threads of the standard library; with the feature `shuttle` those of the
//! library of that name, by which a test runs under thousands of schedules and a failing one can be run again.
//!
//! Under shuttle no wait ever times out, so that a wake that is lost shows as a deadlock.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool, mpsc},
    thread,
};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, atomic::AtomicBool, mpsc},
    thread,
};
