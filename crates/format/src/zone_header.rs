//! The header of a zone: whose the zone is, and which of its lives has begun.

use std::mem::offset_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::{checksum_without_field, first_unit, is_zero};
use crate::error::FormatError;
use crate::label::Label;
use crate::scope::zone_salt;
use crate::unit::{UNIT_BYTES, VERSION};

const MAGIC: [u8; 8] = *b"IMBREXZN";

/// A zone that holds records of the log: the only kind of zone in version 1.
const KIND_DATA: u16 = 1;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ZoneHeaderBytes {
    magic: [u8; 8],
    version: U32,
    checksum: U32,
    drive_id: [u8; 16],
    zone: U32,
    kind: U16,
    stream: U16,
    incarnation: U64,
    first_sequence: U64,
    opened_at_unix_s: U64,
    reserved: [u8; 4032],
}

const _: () = {
    assert!(size_of::<ZoneHeaderBytes>() == UNIT_BYTES);
    assert!(offset_of!(ZoneHeaderBytes, magic) == 0);
    assert!(offset_of!(ZoneHeaderBytes, version) == 8);
    assert!(offset_of!(ZoneHeaderBytes, checksum) == 12);
    assert!(offset_of!(ZoneHeaderBytes, drive_id) == 16);
    assert!(offset_of!(ZoneHeaderBytes, zone) == 32);
    assert!(offset_of!(ZoneHeaderBytes, kind) == 36);
    assert!(offset_of!(ZoneHeaderBytes, stream) == 38);
    assert!(offset_of!(ZoneHeaderBytes, incarnation) == 40);
    assert!(offset_of!(ZoneHeaderBytes, first_sequence) == 48);
    assert!(offset_of!(ZoneHeaderBytes, opened_at_unix_s) == 56);
    assert!(offset_of!(ZoneHeaderBytes, reserved) == 64);
};

/// The first unit of a zone that holds records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneHeader {
    /// The zone's number on the drive.
    pub zone: u32,
    /// Which kind of blocks go into the zone; 0 where no kinds are told apart.
    pub stream: u16,
    /// Which life of the zone has begun: a higher number than any life of the zone had before.
    pub incarnation: u64,
    /// The sequence that the next record of the log was to have when the zone was opened: zones sort by it.
    pub first_sequence: u64,
    /// When the zone was opened, in seconds since 1970. For people: nothing is decided by it.
    pub opened_at_unix_s: u64,
}

impl ZoneHeader {
    /// Writes the header into the first unit of `out`, for the drive that `label` describes.
    ///
    /// # Panics
    ///
    /// Where `out` is shorter than a unit.
    pub fn encode(&self, label: &Label, out: &mut [u8]) {
        let mut bytes = ZoneHeaderBytes::new_zeroed();
        bytes.magic = MAGIC;
        bytes.version = U32::new(VERSION);
        bytes.drive_id = label.drive_id.0;
        bytes.zone = U32::new(self.zone);
        bytes.kind = U16::new(KIND_DATA);
        bytes.stream = U16::new(self.stream);
        bytes.incarnation = U64::new(self.incarnation);
        bytes.first_sequence = U64::new(self.first_sequence);
        bytes.opened_at_unix_s = U64::new(self.opened_at_unix_s);
        bytes.checksum = U32::new(bytes.computed_checksum(&label.secret));
        first_unit(out).copy_from_slice(bytes.as_bytes());
    }

    /// Reads the header of `zone` from the first unit of `bytes`. The incarnation is the one that the header names,
    /// and the checksum covers it.
    ///
    /// # Errors
    ///
    /// Every [`FormatError`] but those of records and payloads.
    pub fn decode(bytes: &[u8], label: &Label, zone: u32) -> Result<Self, FormatError> {
        let (header, _) =
            ZoneHeaderBytes::ref_from_prefix(bytes).map_err(|_| FormatError::Short { needed: UNIT_BYTES })?;
        if header.magic != MAGIC {
            return Err(FormatError::Magic);
        }
        if header.version != VERSION {
            return Err(FormatError::Version { found: header.version.get(), supported: VERSION });
        }
        if header.drive_id != label.drive_id.0 {
            return Err(FormatError::WrongDrive);
        }
        if header.zone != zone {
            return Err(FormatError::WrongZone { found: header.zone.get(), expected: zone });
        }
        if header.checksum != header.computed_checksum(&label.secret) {
            return Err(FormatError::Checksum);
        }
        if header.kind != KIND_DATA {
            return Err(FormatError::Invalid { field: "kind" });
        }
        if !is_zero(&header.reserved) {
            return Err(FormatError::Invalid { field: "reserved" });
        }
        Ok(Self {
            zone,
            stream: header.stream.get(),
            incarnation: header.incarnation.get(),
            first_sequence: header.first_sequence.get(),
            opened_at_unix_s: header.opened_at_unix_s.get(),
        })
    }
}

impl ZoneHeaderBytes {
    fn computed_checksum(&self, secret: &[u8; 16]) -> u32 {
        let salt = zone_salt(secret, self.zone.get(), self.incarnation.get());
        checksum_without_field(salt, self.as_bytes(), offset_of!(Self, checksum))
    }
}
