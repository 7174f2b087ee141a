//! A drive that was written long ago: laid down zone by zone as the engine would have left it, without passing 20 TB
//! through memory.
//!
//! The label is the engine's own, taken from a drive of the same shape that it has just formatted. Zones get what
//! `FORMAT.md` says: a header, records, a footer that lists them. No checkpoint is laid down.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use imbrex_engine::Options;
use imbrex_format::{
    Commit, Footer, Key, Label, PayloadWriter, RecordHeader, RecordKind, TableEntry, UNIT_BYTES, ZoneContent,
    ZoneHeader, ZoneScope, footer_units, record_units, seal_record,
};
use imbrex_zoned::simulated::{
    RegeneratedDrive, RegeneratedPayload, SimulatedDevice, SimulatedGeometry, VirtualClock, regenerating,
};
use imbrex_zoned::{BufferPool, Device, Token};

use crate::bench::simulated::bed::{Bed, key};
use crate::bench::simulated::ingest::ZONE_BYTES;

/// The payload of every block in bytes.
pub const BLOCK_BYTES: usize = 4 << 20;
/// Zones that are left empty on a full drive, in 1 of so many: about what the engine keeps free for reclaim.
const FREE_ZONE_EVERY: u32 = 64;
/// Of the drive's zones, conventional ones in 1 of so many: about 1 %.
const CONVENTIONAL_EVERY: u32 = 100;
/// The sequences that one zone's records take: more than it has records and commits.
const SEQUENCES_PER_ZONE: u64 = 128;
/// The units of a zone.
const ZONE_UNITS: u32 = 65_536;
const _: () = assert!(ZONE_UNITS as u64 * UNIT_BYTES as u64 == ZONE_BYTES);

/// What is laid down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Every zone but a few is full. Between header and footer stand the bytes of some payload and no records: for runs
    /// that read no block.
    Footers,
    /// One zone of so many is full of whole records; the others are empty.
    RecordsInOneOf(u32),
}

/// A drive that was laid down.
pub struct Forged {
    /// It, open.
    pub device: SimulatedDevice,
    /// How many blocks stand on it: numbers 0 to this.
    pub blocks: u64,
    /// For how many blocks its index is made.
    pub blocks_max: u64,
    /// How many zones it has, and how many of them are written.
    pub zones: u32,
    /// See `zones`.
    pub written_zones: u32,
}

/// The shape of a drive of `device_bytes`.
#[must_use]
pub fn geometry(device_bytes: u64) -> SimulatedGeometry {
    let zone_count = u32::try_from(device_bytes / ZONE_BYTES).unwrap_or(u32::MAX);
    SimulatedGeometry {
        zone_count,
        zone_size_bytes: ZONE_BYTES,
        zone_capacity_bytes: ZONE_BYTES,
        conventional_zones: zone_count / CONVENTIONAL_EVERY,
        zone_open_max: Some(128),
        zone_active_max: None,
        serial: Some("SIMULATED".to_owned()),
        ..SimulatedGeometry::default()
    }
}

/// Lays down a drive of `device_bytes` with buffers of `pool_bytes`.
///
/// # Errors
/// Where the engine does not format a drive of that shape.
pub fn forge(device_bytes: u64, contents: Contents, pool_bytes: usize) -> Result<Forged> {
    let geometry = geometry(device_bytes);
    let blocks_max = device_bytes / BLOCK_BYTES as u64;
    let label = label_of(&geometry, blocks_max)?;
    let conventional_zones = geometry.conventional_zones;
    let mut forge = Forge {
        drive: RegeneratedDrive::new(geometry.clone())?,
        record: record()?,
        label,
        contents,
        blocks: 0,
        written_zones: 0,
    };
    let mut unit = vec![0; UNIT_BYTES];
    forge.label.encode(&mut unit);
    for zone in forge.label.label_zones {
        forge.drive.write(u64::from(zone) * ZONE_BYTES, &unit)?;
    }
    for zone in 0..geometry.zone_count {
        let is_written = match contents {
            Contents::Footers => !zone.is_multiple_of(FREE_ZONE_EVERY),
            Contents::RecordsInOneOf(part) => zone.is_multiple_of(part),
        };
        // On a drive with checkpoints the log does not go to conventional zones.
        if is_written
            && zone >= conventional_zones
            && !forge.label.label_zones.contains(&zone)
            && !forge.label.is_checkpoint_zone(zone)
        {
            forge.zone(zone)?;
        }
    }
    let Forge { drive, blocks, written_zones, .. } = forge;
    let pool = BufferPool::new(pool_bytes).context("cannot take the engine's buffers")?;
    Ok(Forged { device: drive.open(pool), blocks, blocks_max, zones: geometry.zone_count, written_zones })
}

/// The label that the engine writes on a drive of that shape.
fn label_of(geometry: &SimulatedGeometry, blocks_max: u64) -> Result<Label> {
    let pool = || BufferPool::new(64 << 20).context("cannot take buffers");
    let device = regenerating(geometry.clone(), pool()?)?;
    let drive = device.drive();
    let mut bed = Bed::over(Box::new(device), &VirtualClock::new(), &Options::default());
    bed.format(blocks_max)?;
    drop(bed);
    let mut device = drive.open(pool()?);
    for zone in 0..8 {
        if let Ok(label) = Label::decode(&first_unit(&mut device, zone)?) {
            return Ok(label);
        }
    }
    bail!("the engine's label was not found")
}

fn first_unit(device: &mut SimulatedDevice, zone: u64) -> Result<Vec<u8>> {
    let buffer = device.pool().try_allocate(UNIT_BYTES).context("no buffer is free")?;
    let submitted = device.submit_read(Token(0), zone * ZONE_BYTES, buffer, UNIT_BYTES);
    submitted.map_err(|(error, _)| error)?;
    let mut completions = Vec::new();
    device.wait(Some(Duration::from_secs(1)), &mut completions)?;
    let completion = completions.pop().context("the drive did not answer")?;
    completion.result?;
    Ok(completion.buffer.context("a read brings its buffer back")?.to_vec())
}

/// A record with its payload, not sealed yet.
fn record() -> Result<Vec<u8>> {
    let mut payload = vec![0; BLOCK_BYTES];
    RegeneratedPayload::fill(PAYLOAD.seed, &mut payload);
    let mut record = vec![0; record_units(BLOCK_BYTES) as usize * UNIT_BYTES];
    let mut writer = PayloadWriter::new(BLOCK_BYTES);
    writer.write(&mut record, &payload)?;
    writer.finish(&mut record)?;
    Ok(record)
}

/// The payload of every block.
const PAYLOAD: RegeneratedPayload = RegeneratedPayload { seed: 7 };

struct Forge {
    drive: RegeneratedDrive,
    record: Vec<u8>,
    label: Label,
    contents: Contents,
    blocks: u64,
    written_zones: u32,
}

impl Forge {
    /// Lays down one full zone.
    fn zone(&mut self, zone: u32) -> Result<()> {
        let first_sequence = 1 + u64::from(zone) * SEQUENCES_PER_ZONE;
        let scope = ZoneScope::new(&self.label, zone, 1);
        let header = ZoneHeader {
            zone,
            content: ZoneContent::Records,
            stream: 0,
            incarnation: 1,
            first_sequence,
            opened_at_unix_s: 1_600_000_000,
        };
        let mut unit = vec![0; UNIT_BYTES];
        header.encode(&self.label, &mut unit);
        self.write(zone, 0, &unit)?;
        let entries = self.entries(first_sequence);
        if self.contents != Contents::Footers {
            for entry in &entries {
                self.record(zone, entry, &scope)?;
            }
            self.commit(zone, &entries, &scope)?;
        }
        let footer_first = ZONE_UNITS - footer_units(entries.len());
        self.fill_to(zone, footer_first)?;
        let mut footer = vec![0; footer_units(entries.len()) as usize * UNIT_BYTES];
        // Behind the records' come the commit's and the padding's.
        let last_sequence = first_sequence + entries.len() as u64 + 1;
        let last_group = 1 + u64::from(zone);
        Footer { first_sequence, last_sequence, last_group, entries: &entries }.encode(
            &scope,
            ZONE_UNITS,
            &mut footer,
        );
        self.write(zone, u64::from(footer_first) * UNIT_BYTES as u64, &footer)?;
        self.blocks += entries.len() as u64;
        self.written_zones += 1;
        Ok(())
    }

    /// As many blocks as a zone holds, one behind the other.
    fn entries(&self, first_sequence: u64) -> Vec<TableEntry> {
        let unit_count = record_units(BLOCK_BYTES);
        let count = (ZONE_UNITS - 1 - footer_units(64)) / unit_count;
        (0..count)
            .map(|place| {
                let sequence = first_sequence + u64::from(place);
                TableEntry::Block {
                    key: key(self.blocks + u64::from(place)),
                    unit_offset: 1 + place * unit_count,
                    unit_count,
                    payload_bytes: u32::try_from(BLOCK_BYTES).unwrap_or(u32::MAX),
                    sequence,
                    birth: sequence,
                }
            })
            .collect()
    }

    fn record(&mut self, zone: u32, entry: &TableEntry, scope: &ZoneScope) -> Result<()> {
        let &TableEntry::Block { key, unit_offset, unit_count, payload_bytes, sequence, birth } = entry
        else {
            return Ok(());
        };
        let header = RecordHeader {
            kind: RecordKind::Block,
            payload_bytes,
            unit_offset,
            unit_count,
            sequence,
            birth,
            key,
        };
        seal_record(&mut self.record, &header, scope);
        // A payload begins at a multiple of 64 bytes within its record, behind header and checksums: FORMAT.md.
        let begin = (128 + 4 * BLOCK_BYTES / (64 << 10)).next_multiple_of(64);
        let at = u64::from(unit_offset) * UNIT_BYTES as u64;
        let head = self.record[..begin].to_vec();
        self.write(zone, at, &head)?;
        let offset = u64::from(zone) * ZONE_BYTES + at + begin as u64;
        self.drive.write_payload(offset, PAYLOAD, 0, BLOCK_BYTES as u64)?;
        Ok(self.drive.pad(zone)?)
    }

    /// The commit of all records, as of one group, and the padding up to the footer.
    fn commit(&mut self, zone: u32, entries: &[TableEntry], scope: &ZoneScope) -> Result<()> {
        let unit = end_of_records(entries);
        let first_sequence = 1 + u64::from(zone) * SEQUENCES_PER_ZONE;
        let commit = Commit {
            group: 1 + u64::from(zone),
            first_sequence,
            record_count: u32::try_from(entries.len())?,
            open: Vec::new(),
            entries: entries.to_vec(),
        };
        let mut payload = Vec::new();
        commit.encode(&mut payload);
        let unit_count = record_units(payload.len());
        let mut record = vec![0; unit_count as usize * UNIT_BYTES];
        let mut writer = PayloadWriter::new(payload.len());
        writer.write(&mut record, &payload)?;
        writer.finish(&mut record)?;
        let header = |kind, payload_bytes, unit_offset, unit_count, number: u64| RecordHeader {
            kind,
            payload_bytes,
            unit_offset,
            unit_count,
            sequence: first_sequence + entries.len() as u64 + number,
            birth: 0,
            key: Key([0; 32]),
        };
        let payload_bytes = u32::try_from(payload.len())?;
        seal_record(&mut record, &header(RecordKind::Commit, payload_bytes, unit, unit_count, 0), scope);
        self.write(zone, u64::from(unit) * UNIT_BYTES as u64, &record)?;
        let padding = unit + unit_count;
        let left = ZONE_UNITS - footer_units(entries.len()) - padding;
        let mut first = vec![0; UNIT_BYTES];
        seal_record(&mut first, &header(RecordKind::Padding, 0, padding, left, 1), scope);
        self.write(zone, u64::from(padding) * UNIT_BYTES as u64, &first)
    }

    /// Fills the zone up to `unit` with what no run reads.
    fn fill_to(&mut self, zone: u32, unit: u32) -> Result<()> {
        let units = match self.contents {
            Contents::Footers => 1,
            Contents::RecordsInOneOf(_) => {
                let entries = self.entries(0);
                // The commit, and the first unit of the padding.
                end_of_records(&entries) + record_units(Commit::payload_bytes(entries.len())) + 1
            }
        };
        let (from, to) = (u64::from(units) * UNIT_BYTES as u64, u64::from(unit) * UNIT_BYTES as u64);
        Ok(self.drive.write_payload(u64::from(zone) * ZONE_BYTES + from, PAYLOAD, 0, to - from)?)
    }

    fn write(&mut self, zone: u32, at: u64, bytes: &[u8]) -> Result<()> {
        Ok(self.drive.write(u64::from(zone) * ZONE_BYTES + at, bytes)?)
    }
}

/// The first unit behind the records of a zone.
fn end_of_records(entries: &[TableEntry]) -> u32 {
    1 + u32::try_from(entries.len()).unwrap_or(0) * record_units(BLOCK_BYTES)
}
