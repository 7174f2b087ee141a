//! Fixed numbers of bytes, written as hexadecimal digits.

use std::fmt;

use crate::error::KeyError;

/// Writes `bytes` as lower-case digits.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads exactly `N` bytes; either case of the letters is taken.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let found = text.chars().count();
    if found != 2 * N {
        return Err(KeyError::Length { found, expected: 2 * N });
    }
    let mut bytes = [0; N];
    for (index, character) in text.chars().enumerate() {
        let digit = character
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or(KeyError::Character { position: index + 1, found: character })?;
        bytes[index / 2] = bytes[index / 2] << 4 | digit;
    }
    Ok(bytes)
}
