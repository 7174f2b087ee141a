//! What stands in the headers of a request: the range, the digests, the conditions, the class. Each input is given to each
//! of their decoders.

use http::{HeaderMap, HeaderName, HeaderValue};
use imbrex_drive::digest::{Expected, Running};
use imbrex_drive::fuzzing::{class_of, put_only_if_absent, unmet_status};
use imbrex_drive::range::{RangeHeader, parse_range};
use imbrex_engine::RangeRequest;

const TAG: &str = "\"1a-40\"";

/// The input is a header's value, or several, one a line.
pub fn run(input: &[u8]) {
    let values: Vec<HeaderValue> =
        input.split(|byte| *byte == b'\n').filter_map(|value| HeaderValue::from_bytes(value).ok()).collect();
    for text in values.iter().filter_map(|value| value.to_str().ok()) {
        range(text);
    }
    digests(&headers("content-digest", &values));
    let (if_match, if_none_match) = (headers("if-match", &values), headers("if-none-match", &values));
    assert!(matches!(unmet_status(&if_match, TAG), None | Some(412)));
    assert!(matches!(unmet_status(&if_none_match, TAG), None | Some(304)));
    assert_eq!(put_only_if_absent(&if_match), values.is_empty().then_some(false));
    if put_only_if_absent(&if_none_match) == Some(true) {
        assert!(values.iter().all(|value| value == "*"));
        assert_eq!(unmet_status(&if_none_match, TAG), Some(304));
    }
    let _ = class_of(&headers("imbrex-class", &values));
}

fn headers(name: &'static str, values: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(HeaderName::from_static(name), value.clone());
    }
    headers
}

fn range(text: &str) {
    let RangeHeader::One(range) = parse_range(text) else { return };
    let again = match range {
        RangeRequest::Whole => panic!("a Range header asks for a part"),
        RangeRequest::From { first, last: None } => format!("bytes={first}-"),
        RangeRequest::From { first, last: Some(last) } => {
            assert!(first <= last);
            format!("bytes={first}-{last}")
        }
        RangeRequest::Suffix { length_bytes } => format!("bytes=-{length_bytes}"),
    };
    assert_eq!(parse_range(&again), RangeHeader::One(range));
}

/// What was read is what the digests of a body have to be: those of an empty one are known.
fn digests(headers: &HeaderMap) {
    let Ok(expected) = Expected::from_headers(headers) else { return };
    let told = Running::new(expected.clone()).finish();
    if expected.crc32c.is_some_and(|crc32c| crc32c != 0) {
        assert!(told.is_err());
    }
    if expected == Expected::default() {
        assert_eq!(told, Ok(()));
    }
}
