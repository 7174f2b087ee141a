//! The file of a simulated drive: its header, and the entries of its zone table.

use imbrex_zoned::simulated::SimulatedGeometry;
use imbrex_zoned::simulated::fuzzing::{ENTRY_BYTES, HEADER_BYTES, decode_entry, decode_header};

use crate::samples::reseal;
use crate::unit::{choices, units_beginning_with};

/// The first choice: the input is a zone's entry, and not a header; the second: its checksum is right.
pub fn run(input: &[u8]) {
    let (choices, bytes) = choices(input);
    if choices.made(0) {
        run_entry(bytes, choices.made(1));
    } else {
        run_header(bytes, choices.made(1));
    }
}

fn run_header(bytes: &[u8], sealed: bool) {
    let mut header = units_beginning_with(bytes, 1);
    if sealed {
        reseal(&mut header, 12, 0..HEADER_BYTES, 0);
    }
    let header: &[u8; HEADER_BYTES] = header.as_slice().try_into().expect("a unit");
    let Ok((geometry, again)) = decode_header(header) else { return };
    geometry.check().expect("a geometry that was read was checked");
    assert_eq!(*header, again);
}

/// The entry of zone 0, which is conventional, or of zone 9, which is not: as the entry itself says.
fn run_entry(bytes: &[u8], sealed: bool) {
    let mut entry = [0; ENTRY_BYTES];
    let length = bytes.len().min(ENTRY_BYTES);
    entry[..length].copy_from_slice(&bytes[..length]);
    if sealed {
        reseal(&mut entry, 28, 0..28, 0);
    }
    let geometry = SimulatedGeometry::default();
    for zone in [0, 9] {
        if let Some(again) = decode_entry(&entry, zone, &geometry) {
            assert_eq!(entry, again);
        }
    }
}
