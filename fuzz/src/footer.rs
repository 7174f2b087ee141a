//! The footer of a sealed zone: its trailer, and its table.

use imbrex_format::{Footer, TableEntry, Trailer, UNIT_BYTES, footer_units};

use crate::samples::{ZONE, label, reseal, salt, scope};
use crate::unit::{choices, units_beginning_with};

const TRAILER_BYTES: usize = 128;

/// The trailer. The first choice: its checksum is right, for the life that the samples live.
pub fn run_trailer(input: &[u8]) {
    check(input);
    let (choices, bytes) = choices(input);
    let mut unit = vec![0; UNIT_BYTES];
    let trailer = &mut unit[UNIT_BYTES - TRAILER_BYTES..];
    let length = bytes.len().min(TRAILER_BYTES);
    trailer[..length].copy_from_slice(&bytes[..length]);
    if choices.made(0) {
        reseal(&mut unit, UNIT_BYTES - TRAILER_BYTES + 12, UNIT_BYTES - TRAILER_BYTES..UNIT_BYTES, salt());
    }
    check(&unit);
}

/// The table: the input is entries, behind the place of the table (4 bytes) and 24 bytes more of the trailer. The first
/// choice: the checksum of the table is wrong; the second: one byte too many stands behind the table.
pub fn run_table(input: &[u8]) {
    let (choices, bytes) = choices(input);
    let head = units_beginning_with(&bytes[..bytes.len().min(28)], 1);
    let entries = bytes.get(28..).unwrap_or_default();
    // Behind the last whole entry comes the gap.
    let entry_count = entries.len() / TableEntry::BYTES;
    let table_bytes = entry_count * TableEntry::BYTES;
    let unit_count = footer_units(entry_count) as usize;
    let mut units = units_beginning_with(&entries[..table_bytes], unit_count);
    if choices.made(1) && units.len() > table_bytes + TRAILER_BYTES {
        units[table_bytes] = 1;
    }
    let begin = units.len() - TRAILER_BYTES;
    let sample = crate::samples::encode_footer(&[]);
    units[begin..].copy_from_slice(&sample[UNIT_BYTES - TRAILER_BYTES..]);
    units[begin + 48..begin + 72].copy_from_slice(&head[4..28]);
    let count = u32::try_from(entry_count).expect("a count of 32 bits");
    units[begin + 72..begin + 76].copy_from_slice(&count.to_le_bytes());
    units[begin + 76..begin + 80].copy_from_slice(&head[..4]);
    let checksum = crc32c::crc32c_append(salt(), &units[..table_bytes]) ^ u32::from(choices.made(0));
    units[begin + 80..begin + 84].copy_from_slice(&checksum.to_le_bytes());
    reseal(&mut units, begin + 12, begin..begin + TRAILER_BYTES, salt());
    check(&units);
}

fn check(units: &[u8]) {
    let last_unit = &units[units.len().saturating_sub(UNIT_BYTES)..];
    let Ok(trailer) = Trailer::decode(last_unit, &label(), ZONE) else { return };
    let unit_count = footer_units(trailer.entry_count as usize);
    let capacity_units = trailer.table_first_unit.checked_add(unit_count).expect("a footer ends in its zone");
    assert!(trailer.table_first_unit > 0 && trailer.zone == ZONE);
    assert!(Footer::decode_table(&[], &trailer, &label()).is_err());
    let Ok(entries) = Footer::decode_table(units, &trailer, &label()) else { return };
    assert_eq!(entries.len(), trailer.entry_count as usize);
    let footer = Footer {
        first_sequence: trailer.first_sequence,
        last_sequence: trailer.last_sequence,
        last_group: trailer.last_group,
        entries: &entries,
    };
    let mut again = vec![0xff; units.len()];
    if trailer.incarnation == scope().incarnation {
        footer.encode(&scope(), capacity_units, &mut again);
        assert_eq!(again, units);
    }
}
