//! Durations as people write them: `5m`, `30d`, `250ms`.

use std::time::Duration;

/// The units, each with its milliseconds. Months and years are left out: they have no fixed length.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: a whole number with its unit.
///
/// # Errors
///
/// One sentence that says what is wrong and what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let count: u64 = digits.parse().map_err(|_| {
        format!("`{text}` is no duration: write a whole number with its unit, such as 5m or 30d")
    })?;
    let unit = unit.trim_start();
    let unit_ms = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms).ok_or_else(|| {
        if unit.is_empty() {
            format!("`{text}` has no unit: write {text}s for seconds, or use ms, m, h or d")
        } else {
            format!("`{unit}` is no unit of time: use ms, s, m, h or d")
        }
    })?;
    let ms = count.checked_mul(unit_ms).ok_or_else(|| format!("`{text}` is longer than any drive lives"))?;
    Ok(Duration::from_millis(ms))
}

/// A duration as [`parse_duration`] reads it, in the largest unit that divides it; less than a millisecond is left out.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let whole = UNITS.iter().find(|(_, unit_ms)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms));
    match whole {
        Some((name, unit_ms)) => format!("{}{name}", ms / unit_ms),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown_in_the_largest_unit_that_divides_them() {
        for (text, ms, shown) in [
            ("0s", 0, "0s"),
            ("0d", 0, "0s"),
            ("250ms", 250, "250ms"),
            ("90s", 90_000, "90s"),
            ("60s", 60_000, "1m"),
            ("5 m", 300_000, "5m"),
            ("36h", 129_600_000, "36h"),
            ("30d", 2_592_000_000, "30d"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!((duration, duration_text(duration).as_str()), (Duration::from_millis(ms), shown));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_sentence() {
        for text in ["", "5", "m", "1.5h", "-1s", "5 weeks", "5M", "5m extra", "999999999999999d"] {
            let sentence = parse_duration(text).unwrap_err();
            assert!(sentence.contains(' '), "{text}: {sentence}");
        }
    }
}
