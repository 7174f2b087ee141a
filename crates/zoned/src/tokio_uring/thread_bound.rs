//! A value that may travel between threads, and is touched by the one that made it alone.

#![expect(unsafe_code, reason = "it moves what is bound to a thread, and touches it nowhere else")]

use std::mem::ManuallyDrop;
use std::thread::{self, ThreadId};

/// A value of the thread that made it. Another thread that drops it leaks it.
pub(crate) struct ThreadBound<T> {
    value: ManuallyDrop<T>,
    owner: ThreadId,
}

// SAFETY: no other thread reaches the value: `get` checks the thread, and so does `drop`, which leaks it elsewhere.
// Moving the place in which it stands touches nothing that it refers to.
unsafe impl<T> Send for ThreadBound<T> {}

impl<T> ThreadBound<T> {
    /// Binds `value` to this thread.
    pub(crate) fn new(value: T) -> Self {
        Self { value: ManuallyDrop::new(value), owner: thread::current().id() }
    }

    /// The value, for its own thread.
    pub(crate) fn get(&self) -> Option<&T> {
        (thread::current().id() == self.owner).then_some(&*self.value)
    }
}

impl<T> Drop for ThreadBound<T> {
    fn drop(&mut self) {
        if thread::current().id() == self.owner {
            // SAFETY: it is dropped once, here, and nobody can reach it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}
