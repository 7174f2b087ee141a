//! Whose bytes are expected: one life of one zone of one drive.

use crate::drive_id::DriveId;
use crate::label::Label;

/// One life of one zone of one drive. What stands in the zone is encoded for a scope, and is checked against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoneScope {
    /// The drive.
    pub drive_id: DriveId,
    /// The zone's number on the drive.
    pub zone: u32,
    /// Which life of the zone it is.
    pub incarnation: u64,
    /// The seed of its checksums. It follows from the drive's secret and is told to nobody.
    salt: u32,
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
        }
    }

    pub(crate) fn salt(&self) -> u32 {
        self.salt
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
