//! The payload of a commit record: the end of a group that has been flushed.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::is_zero;
use crate::error::FormatError;

/// How many open zones one commit can name.
pub const OPEN_ZONES_MAX: usize = 8;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CommitZoneBytes {
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
    assert!(size_of::<CommitBytes>() == Commit::BYTES);
    assert!(std::mem::offset_of!(CommitBytes, group) == 0);
    assert!(std::mem::offset_of!(CommitBytes, first_sequence) == 8);
    assert!(std::mem::offset_of!(CommitBytes, record_count) == 16);
    assert!(std::mem::offset_of!(CommitBytes, open_count) == 20);
    assert!(std::mem::offset_of!(CommitBytes, open) == 24);
};

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

/// The end of a group: everything of the group lies before it.
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
}

impl Commit {
    /// The length of the payload of a commit record, in bytes.
    pub const BYTES: usize = 152;

    /// The payload of a commit record.
    ///
    /// # Panics
    ///
    /// Where more than [`OPEN_ZONES_MAX`] zones are open.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let open_count = u32::try_from(self.open.len()).unwrap_or(u32::MAX);
        assert!(
            self.open.len() <= OPEN_ZONES_MAX,
            "a commit names at most 8 open zones, and not {open_count}"
        );
        let mut bytes = CommitBytes::new_zeroed();
        bytes.group = U64::new(self.group);
        bytes.first_sequence = U64::new(self.first_sequence);
        bytes.record_count = U32::new(self.record_count);
        bytes.open_count = U32::new(open_count);
        for (slot, zone) in bytes.open.iter_mut().zip(&self.open) {
            slot.zone = U32::new(zone.zone);
            slot.good_units = U32::new(zone.good_units);
            slot.incarnation = U64::new(zone.incarnation);
        }
        zerocopy::transmute!(bytes)
    }

    /// Reads the payload of a commit record.
    ///
    /// # Errors
    ///
    /// [`FormatError::Invalid`] where its length is another, where it names too many zones, or where something stands
    /// in a place that it does not use.
    pub fn decode(payload: &[u8]) -> Result<Self, FormatError> {
        let bytes = CommitBytes::ref_from_bytes(payload)
            .map_err(|_| FormatError::Invalid { field: "payload_bytes" })?;
        let open_count = bytes.open_count.get() as usize;
        let (open, unused) =
            bytes.open.split_at_checked(open_count).ok_or(FormatError::Invalid { field: "open_count" })?;
        if !is_zero(unused.as_bytes()) {
            return Err(FormatError::Invalid { field: "open" });
        }
        let zone = |zone: &CommitZoneBytes| CommitZone {
            zone: zone.zone.get(),
            good_units: zone.good_units.get(),
            incarnation: zone.incarnation.get(),
        };
        Ok(Self {
            group: bytes.group.get(),
            first_sequence: bytes.first_sequence.get(),
            record_count: bytes.record_count.get(),
            open: open.iter().map(zone).collect(),
        })
    }
}
