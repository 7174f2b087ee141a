//! The faults of a simulated drive: what a drive does that breaks its word.
//!
//! Invariants:
//!
//! * What a whole drive would refuse is refused before chance is asked: no fault hides a mistake of the caller's.
//! * At most one fault strikes an operation itself. It is counted under its name when it has struck, never before.
//! * All that is decided follows from the seed, the rates and the operations in their order.
//! * Acknowledged bytes that a fault has changed or made unreadable are in [`Damage`], and no others are.
//! * Faults come between the zones' rules and the store, and know neither clocks nor threads. A drive without them asks
//!   one question per operation.

mod control;
mod counts;
mod damage;
mod kind;
mod on_flush;
mod on_order;
mod on_read;
mod on_write;
mod place;
mod range_set;
mod rates;
mod source;
mod zones;

pub use counts::FaultCounts;
pub(crate) use damage::Damage;
pub use kind::FaultKind;
pub(crate) use range_set::RangeSet;
pub use rates::FaultRates;
pub(crate) use source::FaultSource;
