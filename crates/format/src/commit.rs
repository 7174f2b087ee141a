//! The payload of a commit record: the end of a group that has been flushed, and a list of what the group holds.
//!
//! The list names every block and every tombstone of the group with its key, so that a damaged record costs what it
//! holds and never the knowledge of what that was.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::is_zero;
use crate::error::FormatError;
use crate::table_entry::{TABLE_ENTRY_BYTES, TableEntry, TableEntryBytes};
use crate::unit::{record_units, to_u32};

/// How many open zones one commit can name.
pub const OPEN_ZONES_MAX: usize = 8;

/// How many blocks and tombstones one commit can list: its record then has 16 units.
pub const COMMIT_ENTRIES_MAX: usize = 1000;

const _: () = assert!(commit_units(COMMIT_ENTRIES_MAX) == 16);

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct CommitZoneBytes {
    zone: U32,
    good_units: U32,
    incarnation: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CommitBytes {
    group: U64,
    first_sequence: U64,
    record_count: U32,
    open_count: U32,
    open: [CommitZoneBytes; OPEN_ZONES_MAX],
}

const _: () = {
    assert!(size_of::<CommitZoneBytes>() == 16);
    assert!(std::mem::offset_of!(CommitZoneBytes, zone) == 0);
    assert!(std::mem::offset_of!(CommitZoneBytes, good_units) == 4);
    assert!(std::mem::offset_of!(CommitZoneBytes, incarnation) == 8);
    assert!(size_of::<CommitBytes>() == Commit::HEAD_BYTES);
    assert!(std::mem::offset_of!(CommitBytes, group) == 0);
    assert!(std::mem::offset_of!(CommitBytes, first_sequence) == 8);
    assert!(std::mem::offset_of!(CommitBytes, record_count) == 16);
    assert!(std::mem::offset_of!(CommitBytes, open_count) == 20);
    assert!(std::mem::offset_of!(CommitBytes, open) == 24);
};

/// How many units the commit of a group of `entry_count` blocks and tombstones has.
///
/// # Panics
///
/// Where `entry_count` is more than [`COMMIT_ENTRIES_MAX`].
#[must_use]
pub const fn commit_units(entry_count: usize) -> u32 {
    assert!(entry_count <= COMMIT_ENTRIES_MAX, "a commit lists at most 1000 entries");
    record_units(Commit::payload_bytes(entry_count))
}

/// How far an open zone is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitZone {
    /// The zone.
    pub zone: u32,
    /// How many of its units, from its first, are good up to this commit, and with it where it stands in the zone.
    pub good_units: u32,
    /// Which life of the zone is meant.
    pub incarnation: u64,
}

impl CommitZoneBytes {
    /// As many slots as a commit or a checkpoint has; those behind the zones are zero.
    ///
    /// # Panics
    ///
    /// Where there are more than [`OPEN_ZONES_MAX`] zones.
    pub(crate) fn slots(open: &[CommitZone]) -> [Self; OPEN_ZONES_MAX] {
        assert!(open.len() <= OPEN_ZONES_MAX, "at most 8 open zones are named, and not {}", open.len());
        let mut slots = <[Self; OPEN_ZONES_MAX]>::new_zeroed();
        for (slot, zone) in slots.iter_mut().zip(open) {
            slot.zone = U32::new(zone.zone);
            slot.good_units = U32::new(zone.good_units);
            slot.incarnation = U64::new(zone.incarnation);
        }
        slots
    }

    /// The first `open_count` zones, behind which nothing may stand.
    pub(crate) fn zones(
        slots: &[Self; OPEN_ZONES_MAX],
        open_count: u32,
    ) -> Result<Vec<CommitZone>, FormatError> {
        let (open, unused) = slots
            .split_at_checked(open_count as usize)
            .ok_or(FormatError::Invalid { field: "open_count" })?;
        if !is_zero(unused.as_bytes()) {
            return Err(FormatError::Invalid { field: "open" });
        }
        let zone = |zone: &Self| CommitZone {
            zone: zone.zone.get(),
            good_units: zone.good_units.get(),
            incarnation: zone.incarnation.get(),
        };
        Ok(open.iter().map(zone).collect())
    }
}

/// The end of a group: everything of the group lies before it, in the same zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The number of the group, one more than that of the group before it.
    pub group: u64,
    /// The sequence of the group's first record. No record with a lower one belongs to the group.
    pub first_sequence: u64,
    /// How many records the group has, without the commit itself.
    pub record_count: u32,
    /// The zones that are open, at most [`OPEN_ZONES_MAX`].
    pub open: Vec<CommitZone>,
    /// The blocks and the tombstones of the group in the order of the log, at most [`COMMIT_ENTRIES_MAX`].
    pub entries: Vec<TableEntry>,
}

impl Commit {
    /// The length of what stands before the list of entries, in bytes.
    pub const HEAD_BYTES: usize = 152;

    /// The length of the payload of a commit that lists `entry_count` blocks and tombstones, in bytes.
    #[must_use]
    pub const fn payload_bytes(entry_count: usize) -> usize {
        Self::HEAD_BYTES + entry_count * TABLE_ENTRY_BYTES
    }

    /// Appends the payload of a commit record to `out`: [`Commit::payload_bytes`] of its entries.
    ///
    /// # Panics
    ///
    /// Where more than [`OPEN_ZONES_MAX`] zones are open, where more than [`COMMIT_ENTRIES_MAX`] entries are listed, or
    /// where an entry names units that cannot be.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let entry_count = self.entries.len();
        assert!(
            entry_count <= COMMIT_ENTRIES_MAX,
            "a commit lists at most {COMMIT_ENTRIES_MAX} entries, and not {entry_count}"
        );
        let mut bytes = CommitBytes::new_zeroed();
        bytes.group = U64::new(self.group);
        bytes.first_sequence = U64::new(self.first_sequence);
        bytes.record_count = U32::new(self.record_count);
        bytes.open = CommitZoneBytes::slots(&self.open);
        bytes.open_count = U32::new(to_u32(self.open.len()));
        out.extend_from_slice(bytes.as_bytes());
        for entry in &self.entries {
            if let Err(error) = entry.check(u32::MAX) {
                panic!("a commit was to list an entry that nobody could read: {error}");
            }
            out.extend_from_slice(entry.to_bytes().as_bytes());
        }
    }

    /// Reads the payload of a commit record. How many entries it lists follows from its length.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where its length cannot be, where it names too many zones or entries, or where
    /// something stands in a place that it does not use.
    pub fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let invalid_length = FormatError::Invalid { field: "payload_bytes" };
        let (bytes, list) = CommitBytes::ref_from_prefix(payload).map_err(|_| invalid_length)?;
        let entries = <[TableEntryBytes]>::ref_from_bytes(list).map_err(|_| invalid_length)?;
        if entries.len() > COMMIT_ENTRIES_MAX {
            return Err(invalid_length);
        }
        Ok(Self {
            group: bytes.group.get(),
            first_sequence: bytes.first_sequence.get(),
            record_count: bytes.record_count.get(),
            open: CommitZoneBytes::zones(&bytes.open, bytes.open_count.get())?,
            entries: entries
                .iter()
                .map(|entry| TableEntry::from_bytes(entry, u32::MAX))
                .collect::<Result<_, _>>()?,
        })
    }
}
