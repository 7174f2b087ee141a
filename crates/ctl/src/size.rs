//! Amounts for people.

use std::time::Duration;

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes with a binary unit and one decimal, cut off, not rounded: `1.9 MiB` is less than two.
pub(crate) fn human_bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let step = (bytes.ilog2() / 10).min(6);
    let unit_bytes = 1_u64 << (step * 10);
    let (whole, rest) = (bytes / unit_bytes, bytes % unit_bytes);
    let tenths = u128::from(rest) * 10 / u128::from(unit_bytes);
    let name = UNITS.get(step as usize - 1).copied().unwrap_or("EiB");
    format!("{whole}.{tenths} {name}")
}

/// Bytes a second, for people; `-` where there was nothing to time.
pub(crate) fn human_rate(bytes: u64, took: Duration) -> String {
    let rate = u128::from(bytes) * 1_000_000 / took.as_micros().max(1);
    match u64::try_from(rate) {
        Ok(rate) if bytes > 0 => format!("{}/s", human_bytes(rate)),
        _ => "-".to_owned(),
    }
}

/// Milliseconds as seconds with one decimal below a minute, as days, hours and minutes above.
pub(crate) fn human_ms(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}.{} s", ms % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_cut_off_at_one_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (2_097_151, "1.9 MiB"),
            (4 << 20, "4.0 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }

    #[test]
    fn a_rate_is_bytes_over_time() {
        assert_eq!(human_rate(10 << 20, Duration::from_secs(2)), "5.0 MiB/s");
        assert_eq!(human_rate(0, Duration::from_secs(2)), "-");
        assert_eq!(human_rate(5, Duration::ZERO), "4.7 MiB/s");
    }

    #[test]
    fn times_get_coarser_as_they_grow() {
        assert_eq!(human_ms(1_234), "1.2 s");
        assert_eq!(human_ms(61_000), "1 min 1 s");
        assert_eq!(human_ms(90_061_000), "1 d 1 h");
    }
}
