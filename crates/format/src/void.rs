//! The payload of a void record: units that hold nothing.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::FormatError;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct VoidRangeBytes {
    first_unit: U32,
    unit_count: U32,
}

const _: () = {
    assert!(size_of::<VoidRangeBytes>() == VoidRange::BYTES);
    assert!(std::mem::offset_of!(VoidRangeBytes, first_unit) == 0);
    assert!(std::mem::offset_of!(VoidRangeBytes, unit_count) == 4);
};

/// Units of a zone between its last commit and the void record that names them: a crash tore their group, and nothing
/// in them counts, however sound it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoidRange {
    /// The first of them, within the zone.
    pub first_unit: u32,
    /// How many there are; at least one.
    pub unit_count: u32,
}

impl VoidRange {
    /// The length of the payload of a void record, in bytes.
    pub const BYTES: usize = 8;

    /// The payload of a void record.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let bytes =
            VoidRangeBytes { first_unit: U32::new(self.first_unit), unit_count: U32::new(self.unit_count) };
        zerocopy::transmute!(bytes)
    }

    /// Reads the payload of a void record.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where its length is another, or where it names no units or more than a zone can have.
    pub fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let bytes = VoidRangeBytes::ref_from_bytes(payload)
            .map_err(|_| FormatError::Invalid { field: "payload_bytes" })?;
        let (first_unit, unit_count) = (bytes.first_unit.get(), bytes.unit_count.get());
        if first_unit == 0 {
            return Err(FormatError::Invalid { field: "first_unit" });
        }
        if unit_count == 0 || first_unit.checked_add(unit_count).is_none() {
            return Err(FormatError::Invalid { field: "unit_count" });
        }
        Ok(Self { first_unit, unit_count })
    }
}
