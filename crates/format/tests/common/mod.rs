//! One of each structure, as the fixtures of version 2 hold it.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, reason = "samples that cannot be made fail their test")]

use imbrex_format::{
    CELL_BYTES, CheckpointBegin, CheckpointCells, CheckpointEnd, CheckpointPatch, CheckpointPatches,
    CheckpointTable, Commit, CommitZone, DriveId, Footer, IndexEntry, Key, Label, PayloadWriter,
    RecordHeader, RecordKind, TableEntry, TombstoneEntry, UNIT_BYTES, VoidRange, ZoneCell, ZoneCellRole,
    ZoneContent, ZoneHeader, ZoneScope, footer_units, record_units, seal_record,
};

/// The zone in which the samples stand, its life, and its capacity in units.
pub(crate) const ZONE: u32 = 5;
pub(crate) const INCARNATION: u64 = 42;
pub(crate) const CAPACITY_UNITS: u32 = 65_536;

pub(crate) fn label() -> Label {
    Label {
        drive_id: DriveId(std::array::from_fn(|index| u8::try_from(index).unwrap())),
        secret: std::array::from_fn(|index| 0xa0 + u8::try_from(index).unwrap()),
        generation: 7,
        formatted_at_unix_s: 1_793_000_000,
        unit_bytes: 4096,
        zone_count: 1000,
        zone_size_bytes: 256 << 20,
        checksum_chunk_bytes: 65_536,
        payload_bytes_max: 16 << 20,
        blocks_max: 1_000_000,
        label_zones: [0, 1],
        device_serial: "ZTA0IMBREX".into(),
        checkpoint_first_zone: 2,
        checkpoint_slot_zones: 1,
    }
}

pub(crate) fn scope() -> ZoneScope {
    ZoneScope::new(&label(), ZONE, INCARNATION)
}

pub(crate) fn zone_header() -> ZoneHeader {
    ZoneHeader {
        zone: ZONE,
        content: ZoneContent::Records,
        stream: 2,
        incarnation: INCARNATION,
        first_sequence: 42,
        opened_at_unix_s: 1_793_000_100,
    }
}

pub(crate) fn key() -> Key {
    Key(std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

pub(crate) fn encoded_label() -> Vec<u8> {
    let mut unit = vec![0xff; UNIT_BYTES];
    label().encode(&mut unit);
    unit
}

pub(crate) fn encoded_zone_header() -> Vec<u8> {
    let mut unit = vec![0xff; UNIT_BYTES];
    zone_header().encode(&label(), &mut unit);
    unit
}

/// A header that fits a payload of `payload_bytes` bytes.
pub(crate) fn header(
    kind: RecordKind,
    unit_offset: u32,
    sequence: u64,
    payload_bytes: usize,
) -> RecordHeader {
    RecordHeader {
        kind,
        payload_bytes: u32::try_from(payload_bytes).unwrap(),
        unit_offset,
        unit_count: record_units(payload_bytes),
        sequence,
        birth: sequence,
        key: Key([0; 32]),
    }
}

/// A record in a buffer that held something else before.
pub(crate) fn encode_record(header: &RecordHeader, payload: &[u8], scope: &ZoneScope) -> Vec<u8> {
    let mut buffer = vec![0xff; record_units(payload.len()) as usize * UNIT_BYTES];
    let mut writer = PayloadWriter::new(payload.len());
    writer.write(&mut buffer, payload).unwrap();
    writer.finish(&mut buffer).unwrap();
    seal_record(&mut buffer, header, scope);
    buffer
}

/// One record of each kind, and a second block: name, header, payload.
pub(crate) fn records() -> Vec<(&'static str, RecordHeader, Vec<u8>)> {
    let small: Vec<u8> = (0..100u32).map(|index| u8::try_from((index * 7) & 0xff).unwrap()).collect();
    let mut two_chunks = vec![0; 65_537];
    two_chunks[65_536] = 1;
    let tombstones = tombstones().iter().flat_map(TombstoneEntry::encode).collect();
    let block = RecordHeader { birth: 900, key: key(), ..header(RecordKind::Block, 9, 1000, 100) };
    let large = RecordHeader { key: Key([0xee; 32]), ..header(RecordKind::Block, 10, 1001, 65_537) };
    let padding = RecordHeader { unit_count: 7, ..header(RecordKind::Padding, 29, 1004, 0) };
    vec![
        ("block_of_100_bytes", block, small),
        ("block_of_two_chunks", large, two_chunks),
        ("tombstones", header(RecordKind::Tombstones, 27, 1002, 2 * TombstoneEntry::BYTES), tombstones),
        ("commit", header(RecordKind::Commit, 28, 1003, commit_payload().len()), commit_payload()),
        ("padding", padding, Vec::new()),
        ("void", header(RecordKind::Void, 36, 1005, VoidRange::BYTES), void().encode().to_vec()),
        (
            "checkpoint_begin",
            header(RecordKind::CheckpointBegin, 1, 1, CheckpointBegin::BYTES),
            begin_payload(),
        ),
        (
            "checkpoint_cells",
            header(RecordKind::CheckpointCells, 2, 2, cells_payload().len()),
            cells_payload(),
        ),
        (
            "checkpoint_patches",
            header(RecordKind::CheckpointPatches, 3, 3, patches_payload().len()),
            patches_payload(),
        ),
        (
            "checkpoint_table",
            header(RecordKind::CheckpointTable, 5, 5, table_payload().len()),
            table_payload(),
        ),
        ("checkpoint_end", header(RecordKind::CheckpointEnd, 4, 4, CheckpointEnd::BYTES), end_payload()),
    ]
}

pub(crate) fn tombstones() -> Vec<TombstoneEntry> {
    vec![
        TombstoneEntry { key: Key([0xdd; 32]), zone: 3, unit_offset: 8, incarnation: 20, birth: 30 },
        TombstoneEntry { key: key(), zone: 5, unit_offset: 9, incarnation: 42, birth: 900 },
    ]
}

pub(crate) fn commit() -> Commit {
    let open = vec![
        CommitZone { zone: 5, good_units: 33, incarnation: 42 },
        CommitZone { zone: 6, good_units: 1, incarnation: 50 },
    ];
    Commit { group: 77, first_sequence: 1000, record_count: 4, open, entries: entries() }
}

pub(crate) fn commit_payload() -> Vec<u8> {
    let mut payload = Vec::new();
    commit().encode(&mut payload);
    payload
}

pub(crate) fn checkpoint_begin() -> CheckpointBegin {
    CheckpointBegin { number: 4, bucket_count: 181_162, zone_count: 1000, begun_at_unix_s: 1_793_000_200 }
}

fn begin_payload() -> Vec<u8> {
    checkpoint_begin().encode().to_vec()
}

pub(crate) fn index_entry() -> IndexEntry {
    IndexEntry { place_units: 5 * 65_536 + 9, unit_count: 17, tag: 0x7654_3210 }
}

/// A bucket with one entry in its slot 1.
pub(crate) fn bucket() -> [u8; CELL_BYTES] {
    let mut bucket = [0; CELL_BYTES];
    index_entry().put_into_slot(&mut bucket, 1);
    bucket
}

pub(crate) fn zone_cell() -> ZoneCell {
    ZoneCell {
        role: ZoneCellRole::Sealed,
        stream: 2,
        evacuate: true,
        capacity_units: 65_536,
        written_units: 65_535,
        good_units: 65_534,
        live_units: 60_000,
        table_entries: 240,
        tombstones: 3,
        incarnation: 42,
        closed_sequence: 43,
        scrubbed_at_unix_s: 1_793_000_300,
        sealed_at_unix_s: 1_793_000_250,
    }
}

pub(crate) const FIRST_CELL: u64 = 181_161;

/// The last bucket, and the cell of zone 0.
pub(crate) fn cells() -> [[u8; CELL_BYTES]; 2] {
    [bucket(), zone_cell().encode()]
}

fn cells_payload() -> Vec<u8> {
    [CheckpointCells::head(4, FIRST_CELL, 2).as_slice(), cells().as_flattened()].concat()
}

pub(crate) fn patches() -> Vec<CheckpointPatch> {
    vec![
        CheckpointPatch { cell: 7, bytes: bucket() },
        CheckpointPatch { cell: 181_162 + 999, bytes: zone_cell().encode() },
    ]
}

fn patches_payload() -> Vec<u8> {
    let mut payload = CheckpointPatches::head(4, 2).to_vec();
    patches().iter().for_each(|patch| payload.extend(patch.encode()));
    payload
}

pub(crate) fn checkpoint_end() -> CheckpointEnd {
    CheckpointEnd {
        number: 4,
        next_sequence: 1006,
        next_group: 78,
        blocks: 900_000,
        live_units: 15_300_000,
        dead_units: 200_000,
        record_count: 3,
        patch_count: 2,
        taken_at_unix_s: 1_793_000_260,
        open: commit().open,
    }
}

pub(crate) fn checkpoint_table() -> CheckpointTable {
    CheckpointTable { number: 4, zone: ZONE, entries: entries() }
}

fn table_payload() -> Vec<u8> {
    let mut payload = CheckpointTable::head(4, ZONE, 3).to_vec();
    entries().into_iter().for_each(|entry| payload.extend(CheckpointTable::entry(entry)));
    payload
}

fn end_payload() -> Vec<u8> {
    checkpoint_end().encode().to_vec()
}

pub(crate) fn void() -> VoidRange {
    VoidRange { first_unit: 29, unit_count: 7 }
}

pub(crate) fn block_entry(unit_offset: u32, payload_bytes: usize, sequence: u64, key: Key) -> TableEntry {
    TableEntry::Block {
        key,
        unit_offset,
        unit_count: record_units(payload_bytes),
        payload_bytes: u32::try_from(payload_bytes).unwrap(),
        sequence,
        birth: if sequence == 1000 { 900 } else { sequence },
    }
}

pub(crate) fn tombstone_entry(unit_offset: u32, number: u64, key: Key) -> TableEntry {
    TableEntry::Tombstone {
        key,
        unit_offset,
        target_zone: 7,
        target_unit_offset: unit_offset,
        target_incarnation: number,
        birth: number / 2,
    }
}

pub(crate) fn entries() -> Vec<TableEntry> {
    vec![
        block_entry(9, 100, 1000, key()),
        block_entry(10, 65_537, 1001, Key([0xee; 32])),
        TableEntry::Tombstone {
            key: Key([0xdd; 32]),
            unit_offset: 27,
            target_zone: 3,
            target_unit_offset: 8,
            target_incarnation: 20,
            birth: 30,
        },
    ]
}

pub(crate) fn encode_footer(entries: &[TableEntry]) -> Vec<u8> {
    let mut units = vec![0xff; footer_units(entries.len()) as usize * UNIT_BYTES];
    let footer = Footer { first_sequence: 42, last_sequence: 1010, last_group: 77, entries };
    footer.encode(&scope(), CAPACITY_UNITS, &mut units);
    units
}

/// Puts the right checksum into bytes that a test has changed: into the four bytes at `at`, over `bytes[covered]`.
pub(crate) fn reseal(bytes: &mut [u8], at: usize, covered: std::ops::Range<usize>, salt: u32) {
    bytes[at..at + 4].fill(0);
    let checksum = crc32c::crc32c_append(salt, &bytes[covered]);
    bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
}

/// The salt of the samples' zone.
pub(crate) fn salt() -> u32 {
    imbrex_format::zone_salt(&label().secret, ZONE, INCARNATION)
}
