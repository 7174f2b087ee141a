//! Whose bytes are expected: one life of one zone of one drive.

use std::fmt;

use siphasher::sip::SipHasher24;

use crate::drive_id::DriveId;
use crate::label::Label;

/// One life of one zone of one drive. What stands in the zone is encoded for a scope, and is checked against it.
/// Its [`fmt::Debug`] does not show the drive's secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ZoneScope {
    /// The drive.
    pub drive_id: DriveId,
    /// The zone's number on the drive.
    pub zone: u32,
    /// Which life of the zone it is.
    pub incarnation: u64,
    /// The seed of its checksums. It follows from the drive's secret and is told to nobody.
    salt: u32,
    secret: [u8; 16],
}

impl ZoneScope {
    /// The life `incarnation` of the zone `zone` of the drive that `label` describes.
    #[must_use]
    pub fn new(label: &Label, zone: u32, incarnation: u64) -> Self {
        Self {
            drive_id: label.drive_id,
            zone,
            incarnation,
            salt: zone_salt(&label.secret, zone, incarnation),
            secret: label.secret,
        }
    }

    pub(crate) fn salt(&self) -> u32 {
        self.salt
    }

    /// What proves that a record's header belongs to unit `unit_offset` of this life of the zone: SipHash-2-4, keyed with
    /// the drive's secret, of zone, incarnation and unit, each as a little-endian `u64`.
    pub(crate) fn place_seal(&self, unit_offset: u32) -> u64 {
        let mut place = [0; 24];
        place[..8].copy_from_slice(&u64::from(self.zone).to_le_bytes());
        place[8..16].copy_from_slice(&self.incarnation.to_le_bytes());
        place[16..].copy_from_slice(&u64::from(unit_offset).to_le_bytes());
        SipHasher24::new_with_key(&self.secret).hash(&place)
    }
}

impl fmt::Debug for ZoneScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoneScope")
            .field("drive_id", &self.drive_id)
            .field("zone", &self.zone)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

/// The seed of the checksums of zone header, record headers and footer in one life of one zone: the CRC-32C of the
/// drive's secret, the zone as a little-endian `u64`, and the incarnation likewise.
#[must_use]
pub fn zone_salt(secret: &[u8; 16], zone: u32, incarnation: u64) -> u32 {
    let salt = crc32c::crc32c(secret);
    let salt = crc32c::crc32c_append(salt, &u64::from(zone).to_le_bytes());
    crc32c::crc32c_append(salt, &incarnation.to_le_bytes())
}
