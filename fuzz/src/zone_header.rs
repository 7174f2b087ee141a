//! The header of a zone, and the label that it carries.

use imbrex_format::{UNIT_BYTES, ZoneHeader, zone_salt};

use crate::samples::{ZONE, label, reseal};
use crate::unit::{choices, u64_at, units_beginning_with};

/// Where the copy of the label stands.
const COPY_AT: usize = 256;
const COPY_BYTES: usize = 256;

/// The first choice: the checksum of the header is right; the second: that of the label in it.
pub fn run(input: &[u8]) {
    check(input);
    let (choices, bytes) = choices(input);
    let mut unit = units_beginning_with(bytes, 1);
    if choices.made(1) {
        let mut copy = units_beginning_with(&unit[COPY_AT..COPY_AT + COPY_BYTES], 1);
        reseal(&mut copy, 12, 0..UNIT_BYTES, 0);
        unit[COPY_AT..COPY_AT + COPY_BYTES].copy_from_slice(&copy[..COPY_BYTES]);
    }
    if choices.made(0) {
        // With the secret that the copy tells, as whoever has lost both labels finds it.
        let secret = unit[COPY_AT + 32..COPY_AT + 48].try_into().expect("sixteen bytes");
        let salt = zone_salt(&secret, ZONE, u64_at(&unit, 40));
        reseal(&mut unit, 12, 0..UNIT_BYTES, salt);
    }
    check(&unit);
}

fn check(bytes: &[u8]) {
    let recovered = ZoneHeader::recover_label(bytes, ZONE);
    if let Some(label) = &recovered {
        let header = ZoneHeader::decode(bytes, label, ZONE).expect("the label was proved by the header");
        let mut again = [0xff; UNIT_BYTES];
        header.encode(label, &mut again);
        assert_eq!(bytes[..UNIT_BYTES], again);
        assert!(ZONE < label.zone_count);
    }
    if let Ok(header) = ZoneHeader::decode(bytes, &label(), ZONE) {
        assert_eq!(header.zone, ZONE);
        // Another drive's size may stand in the copy, and then this zone may not be one of its zones.
        if let Some(recovered) = recovered {
            assert!(recovered.drive_id == label().drive_id && recovered.secret == label().secret);
        }
    }
}
