//! A small drive in memory, written by the format's encoders alone, for the verifier to read.
//!
//! Zones of 64 units: 0 and 1 hold the labels and 2 a part of the log, all conventional; 3 and 4 are the checkpoint slots;
//! 5 to 11 are sequential zones of the log.

#![allow(dead_code, reason = "each test file takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a drive that cannot be built fails its test")]

pub(crate) mod checkpoint;
pub(crate) mod file;
pub(crate) mod memory;
pub(crate) mod states;

use imbrex_format::verify::{Report, VerifyOptions, verify};
use imbrex_format::{
    Commit, CommitZone, DriveId, Footer, Key, Label, PayloadWriter, RecordHeader, RecordKind, TableEntry,
    TombstoneEntry, UNIT_BYTES, VoidRange, ZoneContent, ZoneHeader, ZoneScope, footer_units, record_units,
    seal_record,
};
use imbrex_zoned::{Condition, ZoneKind};
use memory::MemoryDrive;

pub(crate) const ZONES: u32 = 12;
pub(crate) const ZONE_UNITS: u32 = 64;
pub(crate) const CONVENTIONAL: u32 = 3;
pub(crate) const SLOTS: u32 = 3;

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) key: Key,
    pub(crate) zone: u32,
    pub(crate) unit: u32,
    pub(crate) units: u32,
    pub(crate) incarnation: u64,
    pub(crate) birth: u64,
}

/// One member of a group.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A new block of this length.
    Put(u8, usize),
    /// A block written anew, with a tombstone for the place that it had.
    Move(Block),
    /// The same without the tombstone.
    MoveSilently(Block),
    Delete(Block),
    Void(VoidRange),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct OpenZone {
    pub(crate) incarnation: u64,
    pub(crate) next_unit: u32,
    pub(crate) good_units: u32,
    pub(crate) entries: Vec<TableEntry>,
    pub(crate) is_open: bool,
    pub(crate) is_sealed: bool,
}

pub(crate) struct TestDrive {
    pub(crate) memory: MemoryDrive,
    pub(crate) label: Label,
    pub(crate) sequence: u64,
    pub(crate) group: u64,
    pub(crate) zones: Vec<OpenZone>,
    pub(crate) live: Vec<Block>,
    /// What tombstones have named.
    pub(crate) dead: Vec<Block>,
    /// Changes the next commit.
    pub(crate) alter_commit: Option<fn(&mut Commit)>,
    /// Every unit in which a structure begins.
    pub(crate) structures: Vec<(u32, u32)>,
}

pub(crate) fn key(number: u8) -> Key {
    Key([number; 32])
}

impl TestDrive {
    pub(crate) fn new() -> Self {
        let label = Label {
            drive_id: DriveId([1; 16]),
            secret: [2; 16],
            generation: 1,
            formatted_at_unix_s: 3,
            unit_bytes: 4096,
            zone_count: ZONES,
            zone_size_bytes: u64::from(ZONE_UNITS) * UNIT_BYTES as u64,
            checksum_chunk_bytes: 65_536,
            payload_bytes_max: 1 << 17,
            blocks_max: 100,
            label_zones: [0, 1],
            device_serial: "TEST".into(),
            checkpoint_first_zone: SLOTS,
            checkpoint_slot_zones: 1,
        };
        let mut unit = vec![0; UNIT_BYTES];
        label.encode(&mut unit);
        let mut drive = Self {
            memory: MemoryDrive::new(),
            label,
            sequence: 100,
            group: 1,
            zones: vec![OpenZone::default(); ZONES as usize],
            live: Vec::new(),
            dead: Vec::new(),
            alter_commit: None,
            structures: Vec::new(),
        };
        drive.write(0, 0, &unit);
        drive.write(1, 0, &unit);
        drive
    }

    pub(crate) fn verify(&mut self, options: &VerifyOptions) -> Report {
        verify(&mut self.memory, options).unwrap()
    }

    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }

    pub(crate) fn scope(&self, zone: u32) -> ZoneScope {
        ZoneScope::new(&self.label, zone, self.zones[zone as usize].incarnation)
    }

    /// Writes bytes, and moves the write pointer behind them.
    pub(crate) fn write(&mut self, zone: u32, unit: u32, bytes: &[u8]) {
        self.memory.put(zone, unit, bytes);
        self.structures.push((zone, unit));
        let end = u64::from(unit) * UNIT_BYTES as u64 + bytes.len() as u64;
        let state = &mut self.memory.zones[zone as usize];
        if state.kind == ZoneKind::SequentialWriteRequired {
            let is_full = end == state.capacity_bytes;
            state.write_pointer_bytes = (!is_full).then_some(end);
            state.condition = if is_full { Condition::Full } else { Condition::ImplicitOpen };
        }
    }

    pub(crate) fn open_zone(&mut self, zone: u32, content: ZoneContent, stream: u16) {
        let incarnation = self.next_sequence();
        let header = ZoneHeader {
            zone,
            content,
            stream,
            incarnation,
            first_sequence: incarnation,
            opened_at_unix_s: 4,
        };
        let mut unit = vec![0; UNIT_BYTES];
        header.encode(&self.label, &mut unit);
        self.write(zone, 0, &unit);
        self.zones[zone as usize] = OpenZone {
            incarnation,
            next_unit: 1,
            good_units: 1,
            is_open: content == ZoneContent::Records,
            ..OpenZone::default()
        };
    }

    /// Writes a record at the zone's end; gives its unit and sequence.
    pub(crate) fn record(&mut self, zone: u32, kind: RecordKind, payload: &[u8]) -> (u32, u64) {
        let sequence = self.next_sequence();
        (self.record_as(zone, kind, payload, sequence, sequence, Key([0; 32])), sequence)
    }

    pub(crate) fn record_as(
        &mut self,
        zone: u32,
        kind: RecordKind,
        payload: &[u8],
        sequence: u64,
        birth: u64,
        key: Key,
    ) -> u32 {
        let unit_offset = self.zones[zone as usize].next_unit;
        let unit_count = record_units(payload.len());
        let header = RecordHeader {
            kind,
            payload_bytes: u32::try_from(payload.len()).unwrap(),
            unit_offset,
            unit_count,
            sequence,
            birth,
            key,
        };
        let mut buffer = vec![0; unit_count as usize * UNIT_BYTES];
        let mut writer = PayloadWriter::new(payload.len());
        writer.write(&mut buffer, payload).unwrap();
        writer.finish(&mut buffer).unwrap();
        seal_record(&mut buffer, &header, &self.scope(zone));
        self.write(zone, unit_offset, &buffer);
        self.zones[zone as usize].next_unit += unit_count;
        unit_offset
    }

    fn block(
        &mut self,
        zone: u32,
        key: Key,
        payload_bytes: usize,
        birth: Option<u64>,
    ) -> (Block, TableEntry) {
        let sequence = self.next_sequence();
        let birth = birth.unwrap_or(sequence);
        let payload = vec![key.0[0]; payload_bytes];
        let unit = self.record_as(zone, RecordKind::Block, &payload, sequence, birth, key);
        let (units, payload_bytes) = (record_units(payload_bytes), u32::try_from(payload_bytes).unwrap());
        let incarnation = self.zones[zone as usize].incarnation;
        let entry =
            TableEntry::Block { key, unit_offset: unit, unit_count: units, payload_bytes, sequence, birth };
        (Block { key, zone, unit, units, incarnation, birth }, entry)
    }

    /// A group without its commit: what a crash leaves, or a fence.
    pub(crate) fn torn(&mut self, zone: u32, ops: &[Op]) -> (Vec<Block>, Vec<TableEntry>, u64, u32) {
        let first_sequence = self.sequence;
        let (mut blocks, mut entries, mut kills, mut records) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for op in ops {
            let (key, length, birth) = match op {
                Op::Put(number, length) => (key(*number), *length, None),
                Op::Move(block) | Op::MoveSilently(block) => (block.key, 100, Some(block.birth)),
                Op::Delete(_) => continue,
                Op::Void(range) => {
                    self.record(zone, RecordKind::Void, &range.encode());
                    records += 1;
                    continue;
                }
            };
            let (block, entry) = self.block(zone, key, length, birth);
            blocks.push(block);
            entries.push(entry);
            records += 1;
        }
        kills.extend(ops.iter().filter_map(|op| match op {
            Op::Move(block) | Op::Delete(block) => Some(*block),
            _ => None,
        }));
        if !kills.is_empty() {
            let payload: Vec<u8> = kills.iter().flat_map(|kill| tombstone(kill).encode()).collect();
            let (unit_offset, _) = self.record(zone, RecordKind::Tombstones, &payload);
            records += 1;
            entries.extend(kills.iter().map(|kill| TableEntry::Tombstone {
                key: kill.key,
                unit_offset,
                target_zone: kill.zone,
                target_unit_offset: kill.unit,
                target_incarnation: kill.incarnation,
                birth: kill.birth,
            }));
        }
        (blocks, entries, first_sequence, records)
    }

    /// A group, written and closed; gives its blocks.
    pub(crate) fn group(&mut self, zone: u32, ops: &[Op]) -> Vec<Block> {
        let (blocks, entries, first_sequence, record_count) = self.torn(zone, ops);
        let units = imbrex_format::commit_units(entries.len());
        let end = self.zones[zone as usize].next_unit + units;
        let open = (0..ZONES).filter(|other| self.zones[*other as usize].is_open);
        let open = open.map(|other| CommitZone {
            zone: other,
            good_units: if other == zone { end } else { self.zones[other as usize].good_units },
            incarnation: self.zones[other as usize].incarnation,
        });
        let mut commit =
            Commit { group: self.group, first_sequence, record_count, open: open.collect(), entries };
        self.group += 1;
        if let Some(alter) = self.alter_commit.take() {
            alter(&mut commit);
        }
        let mut payload = Vec::new();
        commit.encode(&mut payload);
        self.record(zone, RecordKind::Commit, &payload);
        let state = &mut self.zones[zone as usize];
        state.good_units = state.next_unit;
        state.entries.extend(commit.entries);
        for op in ops {
            if let Op::Move(block) | Op::Delete(block) = op {
                self.live.retain(|live| live != block);
                self.dead.push(*block);
            }
        }
        self.live.extend(&blocks);
        blocks
    }

    pub(crate) fn seal(&mut self, zone: u32) {
        self.seal_with(zone, |footer| footer);
    }

    /// Ends a zone with padding and a footer that `alter` has changed.
    pub(crate) fn seal_with(&mut self, zone: u32, alter: impl for<'a> Fn(Footer<'a>) -> Footer<'a>) {
        let state = self.zones[zone as usize].clone();
        let units = footer_units(state.entries.len());
        let padding = ZONE_UNITS - units - state.next_unit;
        let sequence = self.next_sequence();
        if padding > 0 {
            let header = RecordHeader {
                kind: RecordKind::Padding,
                payload_bytes: 0,
                unit_offset: state.next_unit,
                unit_count: padding,
                sequence,
                birth: sequence,
                key: Key([0; 32]),
            };
            let mut buffer = vec![0; padding as usize * UNIT_BYTES];
            seal_record(&mut buffer, &header, &self.scope(zone));
            self.write(zone, state.next_unit, &buffer);
        }
        let footer = alter(Footer {
            first_sequence: state.incarnation,
            last_sequence: sequence,
            last_group: self.group - 1,
            entries: &state.entries,
        });
        let mut bytes = vec![0; footer_units(footer.entries.len()) as usize * UNIT_BYTES];
        footer.encode(&self.scope(zone), ZONE_UNITS, &mut bytes);
        let first = ZONE_UNITS - u32::try_from(bytes.len() / UNIT_BYTES).unwrap();
        self.write(zone, first, &bytes);
        let state = &mut self.zones[zone as usize];
        (state.is_open, state.is_sealed, state.next_unit) = (false, true, ZONE_UNITS);
        state.good_units = ZONE_UNITS;
    }

    /// Ends the life of a sequential zone.
    pub(crate) fn reset(&mut self, zone: u32) {
        self.memory.erase(zone);
        self.structures.retain(|(other, _)| *other != zone);
        let state = &mut self.memory.zones[zone as usize];
        (state.condition, state.write_pointer_bytes) = (Condition::Empty, Some(0));
        self.zones[zone as usize] = OpenZone::default();
        self.live.retain(|block| block.zone != zone);
    }
}

pub(crate) fn tombstone(block: &Block) -> TombstoneEntry {
    TombstoneEntry {
        key: block.key,
        zone: block.zone,
        unit_offset: block.unit,
        incarnation: block.incarnation,
        birth: block.birth,
    }
}

/// A drive with a sealed zone and three open ones, one of them conventional, and with moved and deleted blocks.
pub(crate) fn busy() -> TestDrive {
    let mut drive = TestDrive::new();
    drive.open_zone(5, ZoneContent::Records, 0);
    drive.open_zone(2, ZoneContent::Records, 1);
    let first = drive.group(5, &[Op::Put(1, 100), Op::Put(2, 70_000), Op::Put(3, 0)]);
    let second = drive.group(2, &[Op::Put(4, 5000), Op::Put(5, 1)]);
    drive.group(5, &[Op::Delete(second[0]), Op::Put(6, 3000)]);
    drive.seal(5);
    drive.open_zone(6, ZoneContent::Records, 0);
    drive.group(6, &[Op::Put(7, 100), Op::Delete(first[2])]);
    drive.open_zone(7, ZoneContent::Records, 2);
    drive.group(7, &[Op::Move(first[0]), Op::Move(second[1])]);
    drive.group(6, &[Op::Put(8, 9000)]);
    drive
}
