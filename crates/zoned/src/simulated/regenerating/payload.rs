//! Test payloads that can be made again from a seed and a position.
//!
//! A payload is a sequence of lines of 64 bytes, little-endian:
//!
//! ```text
//!  0        8        16       24       32       40       48       56      64
//!  | seed   | line   | mixed  | the third word, turned by 11, 22 ... bits |
//! ```
//!
//! So every line says of which payload it is and which line of it, wherever it stands, and the third word tells a line
//! from other bytes.

/// The length of a line in bytes.
pub(crate) const LINE_BYTES: usize = 64;
/// The lines of a payload: 1 GiB. What claims to be a later line is none.
const LINES_MAX: u64 = 1 << 24;
/// The longest payload in bytes.
pub(crate) const PAYLOAD_BYTES_MAX: u64 = LINES_MAX * LINE_BYTES as u64;

/// The payload of a test block: bytes that follow from a seed, and differ from seed to seed and from line to line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegeneratedPayload {
    /// What the bytes follow from.
    pub seed: u64,
}

impl RegeneratedPayload {
    /// Fills `bytes` with the beginning of the payload of `seed`.
    ///
    /// # Panics
    ///
    /// Where more than 1 GiB is asked for.
    pub fn fill(seed: u64, bytes: &mut [u8]) {
        Self { seed }.fill_from(0, bytes);
    }

    /// Fills `bytes` with the payload from byte `position_bytes` on.
    ///
    /// # Panics
    ///
    /// Where the end lies beyond 1 GiB.
    pub fn fill_from(self, position_bytes: u64, bytes: &mut [u8]) {
        let end = position_bytes + bytes.len() as u64;
        assert!(end <= PAYLOAD_BYTES_MAX, "a payload has at most {PAYLOAD_BYTES_MAX} bytes");
        let mut line = position_bytes / LINE_BYTES as u64;
        let within = Self::within(position_bytes);
        let (head, rest) = bytes.split_at_mut((LINE_BYTES - within).min(bytes.len()) % LINE_BYTES);
        if !head.is_empty() {
            head.copy_from_slice(&self.line(line)[within..within + head.len()]);
            line += 1;
        }
        for part in rest.chunks_mut(LINE_BYTES) {
            part.copy_from_slice(&self.line(line)[..part.len()]);
            line += 1;
        }
    }

    /// How many of `bytes` are those of the payload from `position_bytes` on, up to the first that is not.
    pub(crate) fn common_bytes(self, position_bytes: u64, bytes: &[u8]) -> usize {
        let mut line = position_bytes / LINE_BYTES as u64;
        let mut within = Self::within(position_bytes);
        let mut at = 0;
        while at < bytes.len() && line < LINES_MAX {
            let rest = &bytes[at..];
            let expected = &self.line(line)[within..];
            let length = expected.len().min(rest.len());
            if expected[..length] != rest[..length] {
                let differs = |(ours, theirs): (&u8, &u8)| ours != theirs;
                let same = expected.iter().zip(rest).position(differs);
                return at + same.unwrap_or(length);
            }
            at += length;
            line += 1;
            within = 0;
        }
        at
    }

    /// The payload and the position in it at which `bytes` begin with a whole line.
    pub(crate) fn recognise(bytes: &[u8]) -> Option<(Self, u64)> {
        let (line, _) = bytes.split_first_chunk::<LINE_BYTES>()?;
        let word = |index: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&line[index * 8..index * 8 + 8]);
            u64::from_le_bytes(word)
        };
        let number = word(1);
        if number >= LINES_MAX {
            return None;
        }
        let payload = Self { seed: word(0) };
        let is_line = word(2) == payload.mixed(number) && payload.line(number) == *line;
        is_line.then_some((payload, number * LINE_BYTES as u64))
    }

    fn within(position_bytes: u64) -> usize {
        usize::try_from(position_bytes % LINE_BYTES as u64).unwrap_or_default()
    }

    /// The third word of a line: SplitMix64 of the seed and the number.
    fn mixed(self, number: u64) -> u64 {
        let mut mixed = self.seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn line(self, number: u64) -> [u8; LINE_BYTES] {
        let mixed = self.mixed(number);
        let turned = |bits: u32| mixed.rotate_left(bits) ^ self.seed;
        let words = [self.seed, number, mixed, turned(11), turned(22), turned(33), turned(44), turned(55)];
        let mut line = [0; LINE_BYTES];
        for (bytes, word) in line.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES, RegeneratedPayload};

    #[test]
    fn any_part_of_a_payload_is_the_same_part_of_the_whole() {
        let mut whole = vec![0; 1000];
        RegeneratedPayload::fill(7, &mut whole);
        for start in 0..200 {
            for length in [0, 1, 63, 64, 65, 300] {
                let mut part = vec![0xff; length];
                RegeneratedPayload { seed: 7 }.fill_from(start as u64, &mut part);
                assert_eq!(part, whole[start..start + length], "{length} bytes at {start}");
            }
        }
    }

    #[test]
    fn a_line_is_recognised_and_a_line_with_any_bit_turned_is_not() {
        let mut bytes = vec![0; 4096];
        RegeneratedPayload { seed: 0 }.fill_from(4096, &mut bytes);
        assert_eq!(
            RegeneratedPayload::recognise(&bytes[LINE_BYTES..]),
            Some((RegeneratedPayload { seed: 0 }, 4160))
        );
        for bit in 0..LINE_BYTES * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RegeneratedPayload::recognise(&turned), None, "bit {bit}");
        }
        assert_eq!(RegeneratedPayload::recognise(&bytes[..LINE_BYTES - 1]), None, "not a whole line");
        assert_eq!(RegeneratedPayload::recognise(&[0; LINE_BYTES]), None, "zeros");
    }

    #[test]
    fn what_differs_from_a_payload_is_found_to_the_byte() {
        let payload = RegeneratedPayload { seed: 99 };
        let mut bytes = vec![0; 777];
        payload.fill_from(13, &mut bytes);
        assert_eq!(payload.common_bytes(13, &bytes), 777);
        for place in [0, 1, 50, 51, 52, 700, 776] {
            let mut other = bytes.clone();
            other[place] ^= 1;
            assert_eq!(payload.common_bytes(13, &other), place);
        }
    }
}
