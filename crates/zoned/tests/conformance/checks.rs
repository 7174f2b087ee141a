//! The checks, each one sentence that it proves.

mod in_flight;
mod transfers;
mod zones;

use std::fmt::Debug;

use imbrex_zoned::DeviceError;

use super::{Check, Outcome};

type Checked = Result<Outcome, String>;

/// All checks.
pub(crate) const ALL: [Check; 22] = [
    ("the report describes every zone in order", zones::report_is_whole),
    ("a write at the pointer moves it and comes back", transfers::write_moves_pointer),
    ("a write of many MiB comes back whole and in pieces", transfers::large_write),
    ("a read beyond the write pointer succeeds", transfers::read_beyond_pointer),
    ("a range that is not made of whole units is refused", transfers::unaligned_is_refused),
    (
        "a write elsewhere than at the pointer is refused and moves nothing",
        transfers::misplaced_write_is_refused,
    ),
    ("nothing goes beyond a zone's capacity or the drive's end", transfers::bounds_are_kept),
    ("a zone written to its capacity is full", zones::written_full),
    ("a finished zone keeps its data and takes no more", zones::finished),
    ("a reset zone is empty and can be written anew", zones::reset),
    ("a zone is opened and closed by order", zones::open_and_close),
    ("one zone more than may be open is refused", zones::open_limit),
    ("writes to one zone more than may be active are refused", zones::active_limit),
    ("a conventional zone is written anywhere and takes no orders", zones::conventional),
    ("an order to a zone that is not there is refused", zones::order_out_of_bounds),
    ("a second write in flight in a zone is refused", in_flight::one_write_in_flight),
    ("as many operations as promised are in flight, and no more", in_flight::queue_bound),
    ("a flush succeeds with and without writes before it", transfers::flush),
    ("flushes beside a write and beside each other all succeed", in_flight::flushes_together),
    ("many reads beside a write in flight return what was there before it", in_flight::reads_beside_write),
    ("writes to several zones in flight together all come back", in_flight::zones_written_together),
    ("a wake ends a wait, is kept for the next, and a timeout ends one too", in_flight::wakes),
];

#[expect(clippy::needless_pass_by_value, reason = "a check compares values that it makes for the purpose")]
fn expect<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: found {found:?} instead of {wanted:?}")) }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn text(error: DeviceError) -> String {
    error.to_string()
}
