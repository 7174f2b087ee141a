//! The `Range` header (RFC 9110, section 14): one range of bytes of a block.

use imbrex_engine::RangeRequest;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeHeader {
    /// One range.
    One(RangeRequest),
    /// Several ranges, or a unit other than bytes: both may be answered with the whole block, and are.
    Ignored,
    /// It cannot be read; one sentence says why.
    Malformed(String),
}

/// Reads the value of a `Range` header.
#[must_use]
pub fn parse_range(value: &str) -> RangeHeader {
    let Some((unit, set)) = value.split_once('=') else {
        return RangeHeader::Malformed(format!("the Range `{value}` has no unit: write bytes=FIRST-LAST"));
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return RangeHeader::Ignored;
    }
    let parts: Vec<&str> = set.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => RangeHeader::Malformed("the Range names no bytes: write bytes=FIRST-LAST".to_owned()),
        [one] => one_range(one).map_or_else(RangeHeader::Malformed, RangeHeader::One),
        several => several
            .iter()
            .find_map(|part| one_range(part).err())
            .map_or(RangeHeader::Ignored, RangeHeader::Malformed),
    }
}

/// Reads `FIRST-LAST`, `FIRST-` or `-LENGTH`.
fn one_range(text: &str) -> Result<RangeRequest, String> {
    let malformed = || format!("the range `{text}` is none: write FIRST-LAST, FIRST- or -LENGTH");
    let (first, last) = text.split_once('-').ok_or_else(malformed)?;
    let number = |digits: &str| -> Result<u64, String> {
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        // A number too large for 64 bits lies beyond the end of every block, as does the largest.
        Ok(digits.parse().unwrap_or(u64::MAX))
    };
    if first.is_empty() {
        return Ok(RangeRequest::Suffix { length_bytes: number(last)? });
    }
    let first = number(first)?;
    if last.is_empty() {
        return Ok(RangeRequest::From { first, last: None });
    }
    let last = number(last)?;
    if last < first {
        return Err(format!("the range `{text}` ends before it begins"));
    }
    Ok(RangeRequest::From { first, last: Some(last) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_in_its_three_forms() {
        for (text, range) in [
            ("bytes=0-0", RangeRequest::From { first: 0, last: Some(0) }),
            ("bytes=5-9", RangeRequest::From { first: 5, last: Some(9) }),
            ("Bytes = 5-", RangeRequest::From { first: 5, last: None }),
            ("bytes=-7", RangeRequest::Suffix { length_bytes: 7 }),
            ("bytes=, 1-2", RangeRequest::From { first: 1, last: Some(2) }),
            ("bytes=99999999999999999999-", RangeRequest::From { first: u64::MAX, last: None }),
        ] {
            assert_eq!(parse_range(text), RangeHeader::One(range), "{text}");
        }
    }

    #[test]
    fn several_ranges_and_other_units_are_ignored() {
        assert_eq!(parse_range("bytes=0-1,5-6"), RangeHeader::Ignored);
        assert_eq!(parse_range("lines=0-1"), RangeHeader::Ignored);
    }

    #[test]
    fn what_is_no_range_is_malformed() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=9-5",
            "bytes=a-b",
            "bytes=0-1,x",
            "bytes=+1-2",
        ] {
            assert!(matches!(parse_range(text), RangeHeader::Malformed(_)), "{text}");
        }
    }
}
