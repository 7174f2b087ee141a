use imbrex_format::{DriveId, Key, PayloadWriter, record_units, seal_record};
use imbrex_zoned::{Condition, Zone, ZoneKind};

use super::*;
use crate::scrub_walk::Walk;
use crate::writing::record;

const ZONE: u32 = 3;
const INCARNATION: u64 = 7;

/// Where everything ends that the tests write.
const END: u32 = 15;

fn label() -> Label {
    Label {
        drive_id: DriveId([1; 16]),
        secret: [2; 16],
        generation: 1,
        formatted_at_unix_s: 0,
        unit_bytes: 4096,
        zone_count: 8,
        zone_size_bytes: 1 << 20,
        checksum_chunk_bytes: 65_536,
        payload_bytes_max: 16 << 20,
        blocks_max: 100,
        label_zones: [0, 1],
        device_serial: "TEST".into(),
        checkpoint_first_zone: 0,
        checkpoint_slot_zones: 0,
    }
}

/// A zone that was fenced and is good up to [`END`].
fn entry() -> ZoneEntry {
    let mut entry = ZoneEntry::from_report(&Zone {
        index: ZONE,
        kind: ZoneKind::SequentialWriteRequired,
        condition: Condition::Full,
        capacity_bytes: 1 << 20,
        write_pointer_bytes: None,
    });
    entry.incarnation = INCARNATION;
    entry.good_units = END;
    entry
}

/// Writes a record over what stands in the zone; what does not fit before `end` is not written.
fn write(
    zone: &mut [u8],
    kind: RecordKind,
    unit: u32,
    end: u32,
    sequence: u64,
    content: &[u8],
) -> TableEntry {
    let unit_count = record_units(content.len());
    let payload_bytes = u32::try_from(content.len()).unwrap();
    let mut buffer = vec![0; unit_count as usize * UNIT_BYTES];
    let mut writer = PayloadWriter::new(content.len());
    writer.write(&mut buffer, content).unwrap();
    writer.finish(&mut buffer).unwrap();
    let key = if kind == RecordKind::Block {
        Key([u8::try_from(sequence % 251).unwrap(); 32])
    } else {
        Key([0; 32])
    };
    let header = RecordHeader { key, ..record(kind, unit, unit_count, payload_bytes, sequence) };
    seal_record(&mut buffer, &header, &ZoneScope::new(&label(), ZONE, INCARNATION));
    let written = unit_count.min(end - unit) as usize * UNIT_BYTES;
    let begin = unit as usize * UNIT_BYTES;
    zone[begin..begin + written].copy_from_slice(&buffer[..written]);
    TableEntry::Block { key, unit_offset: unit, unit_count, payload_bytes, sequence, birth: sequence }
}

/// A zone in which a crash tore a block of 13 units that begins at `first_unit`, at unit 9, and a group stands behind it,
/// which begins with a void record.
fn torn_zone(first_unit: u32) -> (Vec<u8>, TableEntry, TableEntry) {
    let mut zone = vec![0; END as usize * UNIT_BYTES];
    let torn = write(&mut zone, RecordKind::Block, first_unit, 9, 10, &[5; 50_000]);
    let void = VoidRange { first_unit, unit_count: 9 - first_unit };
    write(&mut zone, RecordKind::Void, 9, END, 2000, &void.encode());
    let good = write(&mut zone, RecordKind::Block, 10, END, 2001, &[6; 14_000]);
    let commit =
        Commit { group: 1, first_sequence: 2000, record_count: 2, open: Vec::new(), entries: vec![good] };
    let mut payload = Vec::new();
    commit.encode(&mut payload);
    write(&mut zone, RecordKind::Commit, 14, END, 2002, &payload);
    (zone, torn, good)
}

fn inventory_of(zone: &[u8]) -> Inventory {
    let entry = entry();
    let mut inventory = Inventory::new(100);
    inventory.begin(ZONE, &entry, entry.has_footer());
    while let Some(read) = inventory.next_read(&entry) {
        let begin = read.unit_offset as usize * UNIT_BYTES;
        let bytes = &zone[begin..begin + read.unit_count as usize * UNIT_BYTES];
        inventory.took(&label(), &entry, Ok(bytes));
    }
    inventory
}

#[test]
fn what_a_void_record_names_is_not_listed_and_no_damage_to_the_scrub() {
    let (zone, _, good) = torn_zone(1);
    let inventory = inventory_of(&zone);
    assert_eq!(inventory.entries(), [good]);

    let mut walk = Walk::new(ZoneScope::new(&label(), ZONE, INCARNATION), END);
    let lives = |_: &Key, location: Location| location.unit_offset == 10;
    let mut blocks = 0;
    while let Some(piece) = walk.next_piece(inventory.entries(), lives) {
        let begin = piece.unit_offset as usize * UNIT_BYTES;
        let bytes = &zone[begin..begin + piece.unit_count as usize * UNIT_BYTES];
        let findings = walk.take(inventory.entries(), lives, piece, Some(bytes));
        assert!(findings.damaged.is_empty());
        blocks += findings.blocks;
    }
    assert_eq!((blocks, walk.damaged_stretches(inventory.entries())), (1, 0));
}

#[test]
fn a_void_record_behind_what_may_be_a_damaged_commit_hides_no_block() {
    let (zone, torn, good) = torn_zone(2);
    assert_eq!(inventory_of(&zone).entries(), [torn, good]);
}
