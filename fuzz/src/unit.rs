//! An input as a unit of a drive.

use imbrex_format::UNIT_BYTES;

/// The choices that an input begins with, and the rest of it.
pub(crate) fn choices(input: &[u8]) -> (Choices, &[u8]) {
    input.split_first().map_or((Choices(0), input), |(choices, rest)| (Choices(*choices), rest))
}

/// The first byte of an input: eight choices.
#[derive(Clone, Copy)]
pub(crate) struct Choices(u8);

impl Choices {
    /// Whether the choice `number` (0 to 7) is to be made.
    pub(crate) fn made(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }
}

/// Units that begin with `bytes`, of which as many as fit are taken, and are zero from there on.
pub(crate) fn units_beginning_with(bytes: &[u8], unit_count: usize) -> Vec<u8> {
    let mut units = vec![0; unit_count * UNIT_BYTES];
    let length = bytes.len().min(units.len());
    units[..length].copy_from_slice(&bytes[..length]);
    units
}

/// The number at byte `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The number at byte `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
