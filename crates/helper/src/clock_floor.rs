//! The clock's floor: never before the day on which the image's kernel was built, for machines whose own clock has
//! stopped. A certificate that is made before that day would be valid for nobody.

use nix::sys::time::TimeSpec;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sets a clock that is before the image's time to it. Says by how much, where it was.
///
/// # Errors
/// Where the kernel does not let us.
pub(crate) fn raise_to_floor() -> nix::Result<Option<String>> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/version").unwrap_or_default();
    let Some(floor) = build_day(kernel.trim()) else { return Ok(None) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if now >= floor {
        return Ok(None);
    }
    let seconds = i64::try_from(floor.as_secs()).unwrap_or(0);
    nix::time::clock_settime(nix::time::ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0))?;
    Ok(Some(format!(
        "the clock was {} days before the image's kernel and was set to its day",
        (floor - now).as_secs() / 86_400
    )))
}

/// The last `(YYYY-MM-DD)` of what `uname -v` and `/proc/sys/kernel/version` say, since 1970.
fn build_day(version: &str) -> Option<Duration> {
    let (_, rest) = version.rsplit_once('(')?;
    let mut numbers = rest.split_once(')')?.0.split('-').map(str::parse::<u64>);
    let (year, month, day) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    if !(1970..3000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let before_month =
        [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][usize::try_from(month - 1).ok()?];
    let leap_day =
        month > 2 && year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days =
        (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + before_month + u64::from(leap_day) + day - 1;
    Some(Duration::from_secs(days * 86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_on_which_the_kernel_was_built_is_read_out_of_its_version() {
        let day = |text: &str| build_day(text).map(|time| time.as_secs());
        assert_eq!(day("#1 SMP PREEMPT_DYNAMIC Debian 6.12.57-1 (2025-11-05)"), Some(1_762_300_800));
        assert_eq!(day("#1 (2000-03-01)"), Some(951_868_800));
        assert_eq!(day("#1 (1970-01-01)"), Some(0));
        for text in ["", "#1 SMP", "(2025-13-01)", "(2025-11)", "(x-y-z)"] {
            assert_eq!(day(text), None);
        }
    }
}
