//! The footer of a sealed zone: its table of contents, and a trailer in the last bytes that says where the table is.
//!
//! Invariants: a footer ends exactly at the zone's capacity, and everything that it lists was committed before its first
//! unit was written. Its trailer is found without any knowledge of the zone; its table is believed only whole.

use std::mem::offset_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::{checksum_without_field, is_zero};
use crate::error::FormatError;
use crate::label::Label;
use crate::scope::{ZoneScope, zone_salt};
use crate::table_entry::{TABLE_ENTRY_BYTES, TableEntry, TableEntryBytes};
use crate::unit::{UNIT_BYTES, VERSION, to_u32};

const MAGIC: [u8; 8] = *b"IMBREXFT";

/// The length of a trailer, in bytes. It ends with the last byte of the zone.
pub(crate) const TRAILER_BYTES: usize = 128;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct TrailerBytes {
    magic: [u8; 8],
    version: U32,
    checksum: U32,
    drive_id: [u8; 16],
    zone: U32,
    reserved_after_zone: [u8; 4],
    incarnation: U64,
    first_sequence: U64,
    last_sequence: U64,
    last_group: U64,
    entry_count: U32,
    table_first_unit: U32,
    table_checksum: U32,
    reserved: [u8; 44],
}

const _: () = {
    assert!(size_of::<TrailerBytes>() == TRAILER_BYTES);
    assert!(offset_of!(TrailerBytes, magic) == 0);
    assert!(offset_of!(TrailerBytes, version) == 8);
    assert!(offset_of!(TrailerBytes, checksum) == 12);
    assert!(offset_of!(TrailerBytes, drive_id) == 16);
    assert!(offset_of!(TrailerBytes, zone) == 32);
    assert!(offset_of!(TrailerBytes, reserved_after_zone) == 36);
    assert!(offset_of!(TrailerBytes, incarnation) == 40);
    assert!(offset_of!(TrailerBytes, first_sequence) == 48);
    assert!(offset_of!(TrailerBytes, last_sequence) == 56);
    assert!(offset_of!(TrailerBytes, last_group) == 64);
    assert!(offset_of!(TrailerBytes, entry_count) == 72);
    assert!(offset_of!(TrailerBytes, table_first_unit) == 76);
    assert!(offset_of!(TrailerBytes, table_checksum) == 80);
    assert!(offset_of!(TrailerBytes, reserved) == 84);
};

/// How many units the footer of a zone with `entry_count` entries has.
///
/// # Panics
///
/// Where the footer would have more than 2^32 bytes: no more than 67 million entries.
#[must_use]
pub const fn footer_units(entry_count: usize) -> u32 {
    to_u32(entry_count * TABLE_ENTRY_BYTES + TRAILER_BYTES).div_ceil(to_u32(UNIT_BYTES))
}

/// What a footer says of its zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer<'a> {
    /// As in the zone's header.
    pub first_sequence: u64,
    /// The highest sequence of any record in the zone, commits and padding included.
    pub last_sequence: u64,
    /// The group that the zone's last commit closed; 0 where it has none.
    pub last_group: u64,
    /// The table of contents, in the order of the log.
    pub entries: &'a [TableEntry],
}

/// The last bytes of a sealed zone, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The zone's number on the drive.
    pub zone: u32,
    /// Which life of the zone was sealed.
    pub incarnation: u64,
    /// As in the zone's header.
    pub first_sequence: u64,
    /// The highest sequence of any record in the zone.
    pub last_sequence: u64,
    /// The group that the zone's last commit closed; 0 where it has none.
    pub last_group: u64,
    /// How many entries the table has.
    pub entry_count: u32,
    /// The unit of the zone in which the table, and with it the footer, begins.
    pub table_first_unit: u32,
    table_checksum: u32,
}

impl Footer<'_> {
    /// Writes the footer of a zone of `capacity_units` units into `out`, which has to have exactly
    /// [`footer_units`] units and is to be written to the zone's last ones.
    ///
    /// # Panics
    ///
    /// Where `out` has another length, where the footer leaves no unit of the zone to its header, or where an entry
    /// names units that do not lie between header and footer.
    pub fn encode(&self, scope: &ZoneScope, capacity_units: u32, out: &mut [u8]) {
        let entries = self.entries;
        let unit_count = footer_units(entries.len());
        assert_eq!(out.len(), unit_count as usize * UNIT_BYTES, "a footer has to fill its buffer");
        assert!(unit_count < capacity_units, "a footer leaves room for the zone's header");
        let table_first_unit = capacity_units - unit_count;
        let (table_bytes, rest) = out.split_at_mut(entries.len() * TABLE_ENTRY_BYTES);
        for (slot, entry) in table_bytes.chunks_exact_mut(TABLE_ENTRY_BYTES).zip(entries) {
            if let Err(error) = entry.check(table_first_unit) {
                panic!("a table entry was to be written that nobody could read: {error}");
            }
            slot.copy_from_slice(entry.to_bytes().as_bytes());
        }
        let mut trailer = TrailerBytes::new_zeroed();
        trailer.magic = MAGIC;
        trailer.version = U32::new(VERSION);
        trailer.drive_id = scope.drive_id.0;
        trailer.zone = U32::new(scope.zone);
        trailer.incarnation = U64::new(scope.incarnation);
        trailer.first_sequence = U64::new(self.first_sequence);
        trailer.last_sequence = U64::new(self.last_sequence);
        trailer.last_group = U64::new(self.last_group);
        trailer.entry_count = U32::new(to_u32(entries.len()));
        trailer.table_first_unit = U32::new(table_first_unit);
        trailer.table_checksum = U32::new(crc32c::crc32c_append(scope.salt(), table_bytes));
        trailer.checksum = U32::new(trailer.computed_checksum(scope.salt()));
        let (gap, trailer_bytes) = rest.split_at_mut(rest.len() - TRAILER_BYTES);
        gap.fill(0);
        trailer_bytes.copy_from_slice(trailer.as_bytes());
    }

    /// Reads the table of the footer whose trailer is `trailer`. `bytes` are all units of the zone from
    /// `trailer.table_first_unit` to its capacity.
    ///
    /// # Errors
    ///
    /// [`FormatError::Short`] or [`FormatError::Invalid`] where `bytes` has another length than the footer, so that it
    /// does not end at the zone's capacity; [`FormatError::Checksum`]; [`FormatError::Invalid`] where an entry cannot
    /// be.
    pub fn decode_table(
        bytes: &[u8],
        trailer: &Trailer,
        label: &Label,
    ) -> Result<Vec<TableEntry>, FormatError> {
        let table_bytes = trailer.entry_count as usize * TABLE_ENTRY_BYTES;
        let needed = (table_bytes + TRAILER_BYTES).next_multiple_of(UNIT_BYTES);
        if bytes.len() < needed {
            return Err(FormatError::Short { needed });
        }
        if bytes.len() > needed {
            return Err(FormatError::Invalid { field: "table_first_unit" });
        }
        let (table, rest) = bytes.split_at(table_bytes);
        let salt = zone_salt(&label.secret, trailer.zone, trailer.incarnation);
        if trailer.table_checksum != crc32c::crc32c_append(salt, table) {
            return Err(FormatError::Checksum);
        }
        if !is_zero(&rest[..rest.len() - TRAILER_BYTES]) {
            return Err(FormatError::Invalid { field: "gap" });
        }
        let entries = <[TableEntryBytes]>::ref_from_bytes(table)
            .map_err(|_| FormatError::Invalid { field: "entry_count" })?;
        entries.iter().map(|entry| TableEntry::from_bytes(entry, trailer.table_first_unit)).collect()
    }
}

impl Trailer {
    /// Reads the trailer of `zone` from `last_unit`, the last unit of the zone's capacity. The incarnation is the one
    /// that the trailer names, once its checksum has shown that it was meant: whether that life is the present one is
    /// for the zone's header to say.
    ///
    /// # Errors
    ///
    /// Every [`FormatError`] but those of records and payloads.
    pub fn decode(last_unit: &[u8], label: &Label, zone: u32) -> Result<Self, FormatError> {
        let bytes = last_unit.get(UNIT_BYTES - TRAILER_BYTES..UNIT_BYTES);
        let trailer = bytes
            .and_then(|bytes| TrailerBytes::ref_from_bytes(bytes).ok())
            .ok_or(FormatError::Short { needed: UNIT_BYTES })?;
        if trailer.magic != MAGIC {
            return Err(FormatError::Magic);
        }
        if trailer.version != VERSION {
            return Err(FormatError::Version { found: trailer.version.get(), supported: VERSION });
        }
        if trailer.drive_id != label.drive_id.0 {
            return Err(FormatError::WrongDrive);
        }
        if trailer.zone != zone {
            return Err(FormatError::WrongZone { found: trailer.zone.get(), expected: zone });
        }
        let salt = zone_salt(&label.secret, zone, trailer.incarnation.get());
        if trailer.checksum != trailer.computed_checksum(salt) {
            return Err(FormatError::Checksum);
        }
        trailer.fields()
    }
}

impl TrailerBytes {
    fn computed_checksum(&self, salt: u32) -> u32 {
        checksum_without_field(salt, self.as_bytes(), offset_of!(Self, checksum))
    }

    fn fields(&self) -> Result<Trailer, FormatError> {
        let table_bytes = u64::from(self.entry_count.get()) * TABLE_ENTRY_BYTES as u64;
        let unit_count = (table_bytes + TRAILER_BYTES as u64).div_ceil(UNIT_BYTES as u64);
        let end = u64::from(self.table_first_unit.get()) + unit_count;
        let rules = [
            (is_zero(&self.reserved_after_zone) && is_zero(&self.reserved), "reserved"),
            (self.table_first_unit > 0, "table_first_unit"),
            (end <= u64::from(u32::MAX), "entry_count"),
            // As `footer_units` promises to its callers.
            (table_bytes + TRAILER_BYTES as u64 <= u64::from(u32::MAX), "entry_count"),
        ];
        if let Some((_, field)) = rules.iter().find(|(holds, _)| !holds) {
            return Err(FormatError::Invalid { field });
        }
        Ok(Trailer {
            zone: self.zone.get(),
            incarnation: self.incarnation.get(),
            first_sequence: self.first_sequence.get(),
            last_sequence: self.last_sequence.get(),
            last_group: self.last_group.get(),
            entry_count: self.entry_count.get(),
            table_first_unit: self.table_first_unit.get(),
            table_checksum: self.table_checksum.get(),
        })
    }
}
