//! Sizes as people write them: `4GiB`, `64MiB`, `1TB`, or plain bytes.

/// The units, each with its bytes. Binary and decimal ones are both written out: a bare `G` is either.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Reads a size in bytes. The unit's case does not matter.
///
/// # Errors
///
/// One sentence that says what is wrong and what would be right.
pub fn parse_size_bytes(text: &str) -> Result<u64, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    let count: u64 = digits.parse().map_err(|_| {
        format!(
            "`{text}` is no size: write a whole number of bytes or one with a unit, such as 4GiB or 64MiB"
        )
    })?;
    let unit = unit.trim_start();
    let unit_bytes = if unit.is_empty() {
        1
    } else {
        UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, bytes)| *bytes).ok_or_else(
            || format!("`{unit}` is no unit of size: use B, KiB, MiB, GiB, TiB (powers of 1,024) or kB, MB, GB, TB"),
        )?
    };
    count.checked_mul(unit_bytes).ok_or_else(|| format!("`{text}` is larger than any drive"))
}

/// A size for people: the largest binary unit that divides it, else bytes.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let whole = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .find(|(_, shift)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift));
    match whole {
        Some((unit, shift)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units_and_without() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("4GiB", 4 << 30),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1TB", 1_000_000_000_000),
            ("12kB", 12_000),
            ("7B", 7),
        ] {
            assert_eq!(parse_size_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_a_sentence() {
        for text in ["", "GiB", "4G", "4.5GiB", "-1", "4 GiB extra", "99999999TiB", "1e9"] {
            let sentence = parse_size_bytes(text).unwrap_err();
            assert!(sentence.contains(' '), "{text}: {sentence}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_divides_them() {
        assert_eq!(size_text(4 << 30), "4 GiB");
        assert_eq!(size_text(96 << 20), "96 MiB");
        assert_eq!(size_text(1_000_000_001), "1000000001 bytes");
        assert_eq!(size_text(0), "0 bytes");
    }
}
