//! The memory of an operation, as tokio-uring wants to be given it.

#![expect(unsafe_code, reason = "it gives the address of memory that another owns")]

use ::tokio_uring::buf::{IoBuf, IoBufMut};

/// A part of the memory of an operation in flight. It owns nothing: dropping it frees nothing, so that it does not
/// matter when tokio-uring does.
pub(crate) struct Lent {
    start: *mut u8,
    length_bytes: usize,
}

impl Lent {
    /// Lends `length_bytes` from `start` on.
    ///
    /// # Safety
    ///
    /// They are initialised, and stay where they are, untouched by others, until the kernel has answered the operation
    /// that this is given to.
    pub(crate) unsafe fn new(start: *mut u8, length_bytes: usize) -> Self {
        Self { start, length_bytes }
    }
}

// SAFETY: by the contract of `Lent::new` the memory is initialised and stays where it is, wherever this value moves.
unsafe impl IoBuf for Lent {
    fn stable_ptr(&self) -> *const u8 {
        self.start
    }

    fn bytes_init(&self) -> usize {
        self.length_bytes
    }

    fn bytes_total(&self) -> usize {
        self.length_bytes
    }
}

// SAFETY: as above; nobody else touches the memory meanwhile.
unsafe impl IoBufMut for Lent {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.start
    }

    unsafe fn set_init(&mut self, _pos: usize) {
        // All of it is initialised from the start.
    }
}
