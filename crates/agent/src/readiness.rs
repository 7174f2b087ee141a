//! Tells init that the agent serves.

use std::fs::OpenOptions;
use std::io::{self, Write};

/// The environment variable that names the descriptor to write to.
const VARIABLE: &str = "IMBREX_READY_FD";

/// Writes `READY` to the descriptor that init gave. Without one, there is nobody to tell.
///
/// # Errors
///
/// The variable is not a number, or the descriptor cannot be written.
pub(crate) fn announce() -> io::Result<()> {
    let Some(value) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let descriptor: u32 = value.to_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{VARIABLE} is not a descriptor's number"))
    })?;
    // By its path in procfs: that needs no unsafe code to adopt a descriptor.
    OpenOptions::new().write(true).open(format!("/proc/self/fd/{descriptor}"))?.write_all(b"READY\n")
}
