//! What the end-to-end tests share: a node in QEMU, a load on its drives, and a ledger that knows what every
//! block must be afterwards.
//!
//! Each file in `tests/tests` is named as the sentence that it proves. One guest runs at a time, however the
//! tests are started: [`guest::Guest`] holds a lock.

#![forbid(unsafe_code)]

pub mod added_services;
pub mod collector;
pub mod dhcpv6;
pub mod guest;
pub mod kept;
pub mod ledger;
pub mod load;
pub mod nvme;
pub mod probe;
pub mod scsi;
pub mod stop;
pub mod zoned_guest;
