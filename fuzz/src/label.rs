//! The label.

use imbrex_format::{Label, LabelError, UNIT_BYTES};

use crate::samples::reseal;
use crate::unit::{choices, units_beginning_with};

/// The first choice: its checksum is right.
pub fn run(input: &[u8]) {
    // As it came, and so mostly too short.
    check(input);
    let (choices, bytes) = choices(input);
    let mut unit = units_beginning_with(bytes, 1);
    if choices.made(0) {
        reseal(&mut unit, 12, 0..UNIT_BYTES, 0);
    }
    check(&unit);
}

fn check(bytes: &[u8]) {
    let decoded = Label::decode(bytes);
    if Label::is_blank(bytes) {
        assert_eq!(decoded.clone().err(), Some(LabelError::NotALabel));
    }
    let Ok(label) = decoded else { return };
    let mut again = [0xff; UNIT_BYTES];
    label.encode(&mut again);
    assert_eq!(bytes[..UNIT_BYTES], again);
    assert!(label.is_of_device(&label.device_serial));
    let slots = [label.checkpoint_slot(0), label.checkpoint_slot(1)];
    assert!(slots[0].end == slots[1].start && slots[1].end <= label.zone_count);
    for zone in label.label_zones {
        assert!(zone < label.zone_count && !label.is_checkpoint_zone(zone));
    }
}
