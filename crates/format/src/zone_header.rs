//! The header of a zone: whose the zone is, and which of its lives has begun.

use std::mem::offset_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::{checksum_without_field, first_unit, is_zero};
use crate::error::FormatError;
use crate::label::{LABEL_COPY_BYTES, Label};
use crate::scope::zone_salt;
use crate::unit::{UNIT_BYTES, VERSION};

const MAGIC: [u8; 8] = *b"IMBREXZN";

/// The highest number of a stream: blocks that reclaim has moved.
const STREAM_MAX: u16 = 2;

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
    reserved: [u8; 192],
    label_copy: [u8; LABEL_COPY_BYTES],
    reserved_after_label: [u8; 3584],
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
    assert!(offset_of!(ZoneHeaderBytes, label_copy) == 256);
    assert!(offset_of!(ZoneHeaderBytes, reserved_after_label) == 512);
};

/// What the zone holds in this life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneContent {
    /// Records of the log.
    Records,
    /// A part of a checkpoint.
    Checkpoint,
}

impl ZoneContent {
    const fn number(self) -> u16 {
        match self {
            Self::Records => 1,
            Self::Checkpoint => 2,
        }
    }

    fn from_number(number: u16) -> Option<Self> {
        [Self::Records, Self::Checkpoint].into_iter().find(|content| content.number() == number)
    }
}

/// The first unit of each life of a zone. It carries a copy of the label, so that a drive that has lost both of its
/// labels can still be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneHeader {
    /// The zone's number on the drive.
    pub zone: u32,
    /// What the zone holds.
    pub content: ZoneContent,
    /// Which blocks go into the zone: 0 as they come, 1 short-lived ones, 2 those that reclaim has moved. A hint. 0 in a
    /// checkpoint's zone.
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
    /// Where `out` is shorter than a unit, where the label breaks the rules of its fields, or where the stream is above 2,
    /// or not 0 in a checkpoint's zone.
    pub fn encode(&self, label: &Label, out: &mut [u8]) {
        assert!(self.is_stream_allowed(), "a zone header was to be written with stream {}", self.stream);
        let mut bytes = ZoneHeaderBytes::new_zeroed();
        bytes.magic = MAGIC;
        bytes.version = U32::new(VERSION);
        bytes.drive_id = label.drive_id.0;
        bytes.zone = U32::new(self.zone);
        bytes.kind = U16::new(self.content.number());
        bytes.stream = U16::new(self.stream);
        bytes.incarnation = U64::new(self.incarnation);
        bytes.first_sequence = U64::new(self.first_sequence);
        bytes.opened_at_unix_s = U64::new(self.opened_at_unix_s);
        bytes.label_copy = label.to_copy();
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
        let copy =
            Label::from_copy(&header.label_copy).map_err(|_| FormatError::Invalid { field: "label_copy" })?;
        let rules = [
            (copy.drive_id == label.drive_id && copy.secret == label.secret, "label_copy"),
            (is_zero(&header.reserved) && is_zero(&header.reserved_after_label), "reserved"),
        ];
        if let Some((_, field)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(FormatError::Invalid { field });
        }
        header.fields()
    }

    /// The label that the header of `zone` in the first unit of `bytes` carries, where the header proves it: it checks out
    /// with the very secret that the copy tells. For a drive whose labels are both lost; the newest copy of the zones,
    /// by its generation, is the label.
    #[must_use]
    pub fn recover_label(bytes: &[u8], zone: u32) -> Option<Label> {
        let (header, _) = ZoneHeaderBytes::ref_from_prefix(bytes).ok()?;
        let label = Label::from_copy(&header.label_copy).ok()?;
        let is_proved = zone < label.zone_count && Self::decode(bytes, &label, zone).is_ok();
        is_proved.then_some(label)
    }

    fn is_stream_allowed(&self) -> bool {
        match self.content {
            ZoneContent::Records => self.stream <= STREAM_MAX,
            ZoneContent::Checkpoint => self.stream == 0,
        }
    }
}

impl ZoneHeaderBytes {
    fn fields(&self) -> Result<ZoneHeader, FormatError> {
        let header = ZoneHeader {
            zone: self.zone.get(),
            content: ZoneContent::from_number(self.kind.get())
                .ok_or(FormatError::Invalid { field: "kind" })?,
            stream: self.stream.get(),
            incarnation: self.incarnation.get(),
            first_sequence: self.first_sequence.get(),
            opened_at_unix_s: self.opened_at_unix_s.get(),
        };
        match header.is_stream_allowed() {
            true => Ok(header),
            false => Err(FormatError::Invalid { field: "stream" }),
        }
    }

    fn computed_checksum(&self, secret: &[u8; 16]) -> u32 {
        let salt = zone_salt(secret, self.zone.get(), self.incarnation.get());
        checksum_without_field(salt, self.as_bytes(), offset_of!(Self, checksum))
    }
}
