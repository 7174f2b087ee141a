//! What written bytes are made of: payloads that can be made again, zeros, and the rest.

use crate::simulated::regenerating::payload::{LINE_BYTES, RegeneratedPayload};

/// What a stretch of bytes is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Zeros,
    /// The bytes of a payload from a position on.
    Payload {
        payload: RegeneratedPayload,
        position_bytes: u64,
    },
    /// Bytes that are kept.
    Kept,
}

/// Cuts `bytes` into stretches: hands each one's content, start and end to `found`, in order and without a gap.
///
/// `before` is the payload that goes on here, if what stands before the bytes is one.
pub(crate) fn parse(
    bytes: &[u8],
    before: Option<(RegeneratedPayload, u64)>,
    mut found: impl FnMut(Content, usize, usize),
) {
    let mut at = 0;
    let mut kept_from = 0;
    let mut going_on = before;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (content, length) = match going_on.take() {
            Some((payload, position_bytes)) => {
                let content = Content::Payload { payload, position_bytes };
                (content, payload.common_bytes(position_bytes, rest))
            }
            None => match next_stretch(rest) {
                Ok(stretch) => stretch,
                Err(kept) => {
                    at += kept;
                    continue;
                }
            },
        };
        if length == 0 {
            continue;
        }
        if kept_from < at {
            found(Content::Kept, kept_from, at);
        }
        found(content, at, at + length);
        at += length;
        kept_from = at;
    }
    if kept_from < at {
        found(Content::Kept, kept_from, at);
    }
}

/// The stretch of zeros or of a payload at the start of `bytes`, and its length; or how many bytes to keep as they are
/// before there can be one.
fn next_stretch(bytes: &[u8]) -> Result<(Content, usize), usize> {
    let zeros = bytes.iter().take(LINE_BYTES).take_while(|&&byte| byte == 0).count();
    if zeros == LINE_BYTES || zeros == bytes.len() {
        return Ok((Content::Zeros, count_zeros(bytes)));
    }
    if let Some((payload, position_bytes)) = RegeneratedPayload::recognise(bytes) {
        let content = Content::Payload { payload, position_bytes };
        return Ok((content, payload.common_bytes(position_bytes, bytes)));
    }
    // A payload, or a line of zeros, can begin at any byte.
    let later = (1..LINE_BYTES.min(bytes.len()))
        .find(|&skip| RegeneratedPayload::recognise(&bytes[skip..]).is_some() || is_zeros(&bytes[skip..]));
    Err(later.unwrap_or(LINE_BYTES.min(bytes.len())))
}

/// Whether `bytes` begin with a line of zeros, or are all zeros.
fn is_zeros(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0) && bytes.iter().take(LINE_BYTES).all(|&byte| byte == 0)
}

fn count_zeros(bytes: &[u8]) -> usize {
    let lines = bytes.chunks_exact(LINE_BYTES).take_while(|line| **line == [0; LINE_BYTES]).count();
    let start = lines * LINE_BYTES;
    start + bytes[start..].iter().take_while(|&&byte| byte == 0).count()
}

#[cfg(test)]
mod tests {
    use super::{Content, parse};
    use crate::simulated::regenerating::payload::RegeneratedPayload;

    fn parsed(bytes: &[u8], before: Option<(RegeneratedPayload, u64)>) -> Vec<(Content, usize, usize)> {
        let mut found = Vec::new();
        parse(bytes, before, |content, start, end| found.push((content, start, end)));
        found
    }

    #[test]
    fn a_record_is_its_header_its_payload_and_zeros_at_any_shift() {
        let payload = RegeneratedPayload { seed: 5 };
        for header in [1, 63, 64, 65, 128, 129, 384, 700] {
            let mut bytes = vec![0xaa; 8192];
            payload.fill_from(0, &mut bytes[header..header + 5000]);
            bytes[header + 5000..].fill(0);
            let found = parsed(&bytes, None);
            let made = Content::Payload { payload, position_bytes: 0 };
            let expected = vec![
                (Content::Kept, 0, header),
                (made, header, header + 5000),
                (Content::Zeros, header + 5000, 8192),
            ];
            assert_eq!(found, expected, "a header of {header} bytes");
        }
    }

    #[test]
    fn a_payload_that_goes_on_needs_no_whole_line() {
        let payload = RegeneratedPayload { seed: 5 };
        let mut bytes = vec![1; 100];
        payload.fill_from(77, &mut bytes[..30]);
        let goes_on = Content::Payload { payload, position_bytes: 77 };
        let expected = vec![(goes_on, 0, 30), (Content::Kept, 30, 100)];
        assert_eq!(parsed(&bytes, Some((payload, 77))), expected);
        assert_eq!(parsed(&bytes, None), vec![(Content::Kept, 0, 100)]);
    }
}
