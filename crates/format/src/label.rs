//! The label: what a drive says of itself.
//!
//! Invariants: magic, version and checksum stand at the same bytes in every version, so that each version can refuse
//! each other one by name. The secret leaves the drive in no other way than by the label's own bytes.

use std::fmt;
use std::mem::offset_of;
use std::ops::Range;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::{checksum_without_field, first_unit, is_zero};
use crate::drive_id::DriveId;
use crate::error::LabelError;
use crate::unit::{CHUNK_BYTES, PAYLOAD_BYTES_MAX, UNIT_BYTES, VERSION, to_u32};

const MAGIC: [u8; 8] = *b"IMBREXLB";
const SERIAL_BYTES: usize = 64;

/// How many bytes of a label each zone header copies: all its fields, and some of its reserved bytes.
pub(crate) const LABEL_COPY_BYTES: usize = 256;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct LabelBytes {
    magic: [u8; 8],
    version: U32,
    checksum: U32,
    drive_id: [u8; 16],
    secret: [u8; 16],
    generation: U64,
    formatted_at_unix_s: U64,
    unit_bytes: U32,
    zone_count: U32,
    zone_size_bytes: U64,
    checksum_chunk_bytes: U32,
    payload_bytes_max: U32,
    blocks_max: U64,
    label_zones: [U32; 2],
    device_serial: [u8; SERIAL_BYTES],
    checkpoint_first_zone: U32,
    checkpoint_slot_zones: U32,
    reserved: [u8; 3920],
}

const _: () = {
    assert!(size_of::<LabelBytes>() == UNIT_BYTES);
    assert!(offset_of!(LabelBytes, magic) == 0);
    assert!(offset_of!(LabelBytes, version) == 8);
    assert!(offset_of!(LabelBytes, checksum) == 12);
    assert!(offset_of!(LabelBytes, drive_id) == 16);
    assert!(offset_of!(LabelBytes, secret) == 32);
    assert!(offset_of!(LabelBytes, generation) == 48);
    assert!(offset_of!(LabelBytes, formatted_at_unix_s) == 56);
    assert!(offset_of!(LabelBytes, unit_bytes) == 64);
    assert!(offset_of!(LabelBytes, zone_count) == 68);
    assert!(offset_of!(LabelBytes, zone_size_bytes) == 72);
    assert!(offset_of!(LabelBytes, checksum_chunk_bytes) == 80);
    assert!(offset_of!(LabelBytes, payload_bytes_max) == 84);
    assert!(offset_of!(LabelBytes, blocks_max) == 88);
    assert!(offset_of!(LabelBytes, label_zones) == 96);
    assert!(offset_of!(LabelBytes, device_serial) == 104);
    assert!(offset_of!(LabelBytes, checkpoint_first_zone) == 168);
    assert!(offset_of!(LabelBytes, checkpoint_slot_zones) == 172);
    assert!(offset_of!(LabelBytes, reserved) == 176);
    assert!(offset_of!(LabelBytes, reserved) <= LABEL_COPY_BYTES);
};

/// How many slots a drive has for checkpoints: one is written while the other still counts.
pub const CHECKPOINT_SLOTS: u32 = 2;

/// What a drive says of itself. One unit on the drive, in each of two zones.
#[derive(Clone, PartialEq, Eq)]
pub struct Label {
    /// The drive's id, given when it was formatted.
    pub drive_id: DriveId,
    /// Random bytes that seed the checksums. No API tells them, and [`fmt::Debug`] does not show them.
    pub secret: [u8; 16],
    /// Rises with each label that is written; the newest counts.
    pub generation: u64,
    /// When the drive was formatted, in seconds since 1970.
    pub formatted_at_unix_s: u64,
    /// What the drive is written in, in bytes: [`UNIT_BYTES`].
    pub unit_bytes: u32,
    /// How many zones the drive has; at least two.
    pub zone_count: u32,
    /// How far apart zones begin, in bytes: a multiple of the unit, of at most 2^32 - 1 units.
    pub zone_size_bytes: u64,
    /// How many bytes of payload have one checksum: [`CHUNK_BYTES`].
    pub checksum_chunk_bytes: u32,
    /// The largest block on this drive, in bytes: at most [`PAYLOAD_BYTES_MAX`].
    pub payload_bytes_max: u32,
    /// For how many blocks the drive's index is made.
    pub blocks_max: u64,
    /// The two zones in which labels stand.
    pub label_zones: [u32; 2],
    /// The device's serial when it was formatted, or its id where it has none. The label has room for 64 bytes: compare
    /// it by [`Label::is_of_device`].
    pub device_serial: String,
    /// The first zone of the two checkpoint slots, which follow each other; 0 where the drive keeps no checkpoints.
    pub checkpoint_first_zone: u32,
    /// How many zones each of the two checkpoint slots has; 0 where the drive keeps no checkpoints.
    pub checkpoint_slot_zones: u32,
}

impl Label {
    /// Writes the label into the first unit of `out`.
    ///
    /// # Panics
    ///
    /// Where `out` is shorter than a unit, or where a field breaks the rule that stands with it.
    pub fn encode(&self, out: &mut [u8]) {
        if let Err(error) = self.check() {
            panic!("a label was to be written that nobody could read: {error}");
        }
        let mut bytes = LabelBytes::new_zeroed();
        bytes.magic = MAGIC;
        bytes.version = U32::new(VERSION);
        bytes.drive_id = self.drive_id.0;
        bytes.secret = self.secret;
        bytes.generation = U64::new(self.generation);
        bytes.formatted_at_unix_s = U64::new(self.formatted_at_unix_s);
        bytes.unit_bytes = U32::new(self.unit_bytes);
        bytes.zone_count = U32::new(self.zone_count);
        bytes.zone_size_bytes = U64::new(self.zone_size_bytes);
        bytes.checksum_chunk_bytes = U32::new(self.checksum_chunk_bytes);
        bytes.payload_bytes_max = U32::new(self.payload_bytes_max);
        bytes.blocks_max = U64::new(self.blocks_max);
        bytes.label_zones = self.label_zones.map(U32::new);
        let serial = stored_serial(&self.device_serial);
        bytes.device_serial[..serial.len()].copy_from_slice(serial.as_bytes());
        bytes.checkpoint_first_zone = U32::new(self.checkpoint_first_zone);
        bytes.checkpoint_slot_zones = U32::new(self.checkpoint_slot_zones);
        bytes.checksum = U32::new(bytes.computed_checksum());
        first_unit(out).copy_from_slice(bytes.as_bytes());
    }

    /// Reads a label from the first unit of `bytes`.
    ///
    /// # Errors
    ///
    /// See [`LabelError`]. The version is looked at before anything whose place another version may have changed.
    pub fn decode(bytes: &[u8]) -> Result<Self, LabelError> {
        if bytes.get(..MAGIC.len()) != Some(&MAGIC) {
            return Err(LabelError::NotALabel);
        }
        let Ok((label, _)) = LabelBytes::ref_from_prefix(bytes) else {
            return Err(LabelError::Short { needed: UNIT_BYTES });
        };
        if label.version != VERSION {
            return Err(LabelError::Version { found: label.version.get(), supported: VERSION });
        }
        if label.checksum != label.computed_checksum() {
            return Err(LabelError::Checksum);
        }
        if !is_zero(&label.reserved) {
            return Err(LabelError::Invalid { field: "reserved" });
        }
        let decoded = label.fields()?;
        decoded.check()?;
        Ok(decoded)
    }

    /// Whether the first unit of `bytes` holds nothing but zeros, as it does where nothing was ever written; `false`
    /// where there is less than a unit.
    #[must_use]
    pub fn is_blank(bytes: &[u8]) -> bool {
        bytes.get(..UNIT_BYTES).is_some_and(is_zero)
    }

    /// Whether the label was written for the device with this serial, or this id where it has none. Of a longer one the
    /// label has kept the first 64 bytes.
    #[must_use]
    pub fn is_of_device(&self, serial: &str) -> bool {
        stored_serial(&self.device_serial) == stored_serial(serial)
    }

    /// The zones of checkpoint slot 0 or 1; none where the drive keeps no checkpoints.
    ///
    /// # Panics
    ///
    /// Where `slot` is neither 0 nor 1, or where the label breaks the rules of its fields.
    #[must_use]
    pub fn checkpoint_slot(&self, slot: u32) -> Range<u32> {
        assert!(slot < CHECKPOINT_SLOTS, "a drive has two checkpoint slots, and no slot {slot}");
        let first = self.checkpoint_first_zone + slot * self.checkpoint_slot_zones;
        first..first + self.checkpoint_slot_zones
    }

    /// Whether `zone` is kept for checkpoints.
    #[must_use]
    pub fn is_checkpoint_zone(&self, zone: u32) -> bool {
        zone >= self.checkpoint_first_zone && u64::from(zone) < self.slots_end()
    }

    fn slots_end(&self) -> u64 {
        let zones = u64::from(CHECKPOINT_SLOTS) * u64::from(self.checkpoint_slot_zones);
        u64::from(self.checkpoint_first_zone) + zones
    }

    /// The bytes that each zone header copies.
    pub(crate) fn to_copy(&self) -> [u8; LABEL_COPY_BYTES] {
        let mut unit = [0; UNIT_BYTES];
        self.encode(&mut unit);
        std::array::from_fn(|index| unit[index])
    }

    /// Reads the copy in a zone header. The label's own checksum goes over a unit of which the rest is zero.
    pub(crate) fn from_copy(copy: &[u8; LABEL_COPY_BYTES]) -> Result<Self, LabelError> {
        let mut unit = [0; UNIT_BYTES];
        unit[..LABEL_COPY_BYTES].copy_from_slice(copy);
        Self::decode(&unit)
    }

    fn check(&self) -> Result<(), LabelError> {
        let [first, second] = self.label_zones;
        let zone_units = self.zone_size_bytes / UNIT_BYTES as u64;
        let whole_units = self.zone_size_bytes.is_multiple_of(UNIT_BYTES as u64);
        let rules = [
            (self.unit_bytes == to_u32(UNIT_BYTES), "unit_bytes"),
            (self.zone_count >= 2, "zone_count"),
            (whole_units && zone_units > 0 && zone_units <= u64::from(u32::MAX), "zone_size_bytes"),
            (self.checksum_chunk_bytes == to_u32(CHUNK_BYTES), "checksum_chunk_bytes"),
            (self.payload_bytes_max <= to_u32(PAYLOAD_BYTES_MAX), "payload_bytes_max"),
            (first < self.zone_count && second < self.zone_count && first != second, "label_zones"),
            (self.checkpoint_slot_zones > 0 || self.checkpoint_first_zone == 0, "checkpoint_first_zone"),
            (self.slots_end() <= u64::from(self.zone_count), "checkpoint_slot_zones"),
            (!self.is_checkpoint_zone(first) && !self.is_checkpoint_zone(second), "label_zones"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, field)) => Err(LabelError::Invalid { field }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Label")
            .field("drive_id", &self.drive_id)
            .field("generation", &self.generation)
            .field("formatted_at_unix_s", &self.formatted_at_unix_s)
            .field("zone_count", &self.zone_count)
            .field("zone_size_bytes", &self.zone_size_bytes)
            .field("payload_bytes_max", &self.payload_bytes_max)
            .field("blocks_max", &self.blocks_max)
            .field("label_zones", &self.label_zones)
            .field("device_serial", &self.device_serial)
            .field("checkpoint_first_zone", &self.checkpoint_first_zone)
            .field("checkpoint_slot_zones", &self.checkpoint_slot_zones)
            .finish_non_exhaustive()
    }
}

impl LabelBytes {
    fn computed_checksum(&self) -> u32 {
        checksum_without_field(0, self.as_bytes(), offset_of!(Self, checksum))
    }

    fn fields(&self) -> Result<Label, LabelError> {
        Ok(Label {
            drive_id: DriveId(self.drive_id),
            secret: self.secret,
            generation: self.generation.get(),
            formatted_at_unix_s: self.formatted_at_unix_s.get(),
            unit_bytes: self.unit_bytes.get(),
            zone_count: self.zone_count.get(),
            zone_size_bytes: self.zone_size_bytes.get(),
            checksum_chunk_bytes: self.checksum_chunk_bytes.get(),
            payload_bytes_max: self.payload_bytes_max.get(),
            blocks_max: self.blocks_max.get(),
            label_zones: self.label_zones.map(U32::get),
            device_serial: self.serial().ok_or(LabelError::Invalid { field: "device_serial" })?,
            checkpoint_first_zone: self.checkpoint_first_zone.get(),
            checkpoint_slot_zones: self.checkpoint_slot_zones.get(),
        })
    }

    /// The serial without its padding; `None` where it is no UTF-8.
    fn serial(&self) -> Option<String> {
        let serial = std::str::from_utf8(&self.device_serial).ok()?;
        Some(stored_serial(serial).to_owned())
    }
}

/// What a label keeps of a serial: what fits of it, and no zeros at its end, which are the label's padding.
fn stored_serial(serial: &str) -> &str {
    serial[..serial.floor_char_boundary(SERIAL_BYTES)].trim_end_matches('\0')
}
