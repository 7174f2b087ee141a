//! The newest checkpoint, held against the log: what it says of each zone and each block, and whether it gives, with what
//! was written since, the index that the log gives.

use imbrex_zoned::ZoneKind;

use crate::checkpoint::{ZoneCell, ZoneCellRole};
use crate::index_cell::{BUCKET_SLOTS, IndexEntry, other_bucket};
use crate::label::Label;
use crate::table_entry::TableEntry;
use crate::unit::UNIT_BYTES;
use crate::verify::checkpoint::Loaded;
use crate::verify::finding::FindingKind;
use crate::verify::findings::{At, Halt};
use crate::verify::gone::{Gone, Killed};
use crate::verify::ledger::Place;
use crate::verify::life::{End, Life};
use crate::verify::survey::Survey;

/// Which part of a zone was written after the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Nothing,
    /// From this unit on.
    From(u32),
    /// Its life began after it.
    Everything,
}

/// A zone as the checkpoint knows it.
#[derive(Clone, Copy)]
pub(super) struct KnownZone {
    pub(super) cell: ZoneCell,
    since: Since,
    /// The life that the checkpoint knows is present.
    pub(super) is_same_life: bool,
    /// The units of its records that the index names.
    live_units: u64,
    /// What the index names of a life that is not present, and no tombstone does.
    pub(super) gone: Gone,
}

pub(super) struct Comparison<'a, 'd> {
    pub(super) survey: &'a mut Survey<'d>,
    pub(super) label: &'a Label,
    pub(super) loaded: &'a Loaded,
    pub(super) zones: Vec<KnownZone>,
    pub(super) killed: Killed,
}

pub(super) fn run(survey: &mut Survey<'_>, label: &Label, loaded: &Loaded) -> Result<(), Halt> {
    let mut comparison = Comparison { survey, label, loaded, zones: Vec::new(), killed: Killed::default() };
    if !comparison.know_zones()? {
        return Ok(());
    }
    comparison.know_killed()?;
    comparison.check_begun()?;
    comparison.check_open()?;
    comparison.check_tables()?;
    comparison.check_index()?;
    comparison.check_gone()?;
    comparison.check_zone_sums()?;
    comparison.check_result()
}

impl Comparison<'_, '_> {
    /// A contradiction, or what follows from damage where that may explain it.
    fn expect(&mut self, holds: bool, at: At, what: impl FnOnce() -> String) -> Result<(), Halt> {
        let kind = match self.survey.incomplete {
            true => FindingKind::FollowsFromDamage,
            false => FindingKind::CheckpointContradictsLog,
        };
        self.survey
            .findings
            .expect(holds, kind, at, || format!("checkpoint {}: {}", self.loaded.end.number, what()))
    }

    /// Takes the cells of the zones; tells whether all of them can be.
    fn know_zones(&mut self) -> Result<bool, Halt> {
        let first = usize::try_from(self.loaded.begin.bucket_count).unwrap_or(usize::MAX);
        let cells = self.loaded.cells.iter().skip(first);
        for (zone, bytes) in (0..self.label.zone_count).zip(cells) {
            let at = At::zone(zone);
            let cell = match ZoneCell::decode(bytes) {
                Ok(cell) => cell,
                Err(error) => {
                    let what =
                        format!("checkpoint {}: its cell of this zone: {error}", self.loaded.end.number);
                    self.survey.findings.add(FindingKind::CheckpointContradicts, at, what)?;
                    return Ok(false);
                }
            };
            let is_label = self.label.label_zones.contains(&zone);
            let is_slot = self.label.is_checkpoint_zone(zone);
            let is_right = (cell.role == ZoneCellRole::Label) == is_label
                && (cell.role == ZoneCellRole::Checkpoint) == is_slot;
            self.expect(is_right, at, || format!("it calls it {:?}", cell.role))?;
            let life = self.survey.lives[zone as usize];
            let is_same_life = life.is_some_and(|life| life.incarnation == cell.incarnation)
                && !matches!(cell.role, ZoneCellRole::Free);
            let since = match (life, cell.role) {
                (None, _) => Since::Nothing,
                (Some(_), ZoneCellRole::Open) if is_same_life => Since::From(cell.good_units),
                (Some(_), _) if is_same_life => Since::Nothing,
                _ => Since::Everything,
            };
            let is_sequential = self.survey.zones[zone as usize].kind == ZoneKind::SequentialWriteRequired;
            let is_old = life.is_some_and(|life| life.incarnation <= cell.incarnation);
            let is_right = cell.role != ZoneCellRole::Free || !is_sequential || !is_old;
            self.expect(is_right, at, || format!("it knows that its life {} has ended", cell.incarnation))?;
            // Where the other slot holds none that counts, it may have held a newer one, which a mount could not read.
            let freed_by = self.loaded.end.number + u64::from(!self.loaded.is_other_whole);
            let is_free = cell.role == ZoneCellRole::Free && cell.closed_sequence <= freed_by;
            let is_right = since != Since::Everything || is_free;
            self.expect(is_right, at, || {
                format!(
                    "it calls it {:?} in life {}, and it was opened again before two more",
                    cell.role, cell.incarnation
                )
            })?;
            if let Some(life) = life.filter(|_| is_same_life) {
                self.survey.incomplete |= lacks_what_was_known(&cell, &life);
            }
            self.zones.push(KnownZone { cell, since, is_same_life, live_units: 0, gone: Gone::default() });
        }
        Ok(true)
    }

    /// What the end says of the open zones is what the cells say, and no more than what the zones hold.
    fn check_open(&mut self) -> Result<(), Halt> {
        for open in &self.loaded.end.open {
            let cell = self.zones.get(open.zone as usize).map(|known| known.cell);
            let is_right = cell.is_some_and(|cell| {
                cell.role == ZoneCellRole::Open
                    && (cell.incarnation, cell.good_units) == (open.incarnation, open.good_units)
            });
            self.expect(is_right, At::zone(open.zone), || {
                format!("its end says {open:?}, and its cell {cell:?}")
            })?;
            let life = self.survey.lives.get(open.zone as usize).copied().flatten();
            let life = life.filter(|life| life.incarnation == open.incarnation);
            // Where a commit knows it too, it has been told.
            let is_told = self.survey.claims.of(open.zone).is_some_and(|claim| {
                claim.incarnation == open.incarnation && claim.good_units >= open.good_units
            });
            let is_right = life.is_none_or(|life| life.good_units >= open.good_units) || is_told;
            if let Some(life) = life.filter(|life| !is_right && life.end == End::Damaged) {
                self.survey.incomplete = true;
                let (found, known, number) = (life.good_units, open.good_units, self.loaded.end.number);
                self.report_shorter(open.zone, found, known, number)?;
                continue;
            }
            self.expect(is_right, At::zone(open.zone), || {
                format!("its end knows that the zone was good up to unit {}, and it is not", open.good_units)
            })?;
        }
        Ok(())
    }

    /// What the tables list is what the open zones hold, up to where the checkpoint knows them.
    fn check_tables(&mut self) -> Result<(), Halt> {
        for zone in 0..self.label.zone_count {
            let known = &self.zones[zone as usize];
            let tables = self.loaded.tables.iter().filter(|table| table.zone == zone);
            let listed: Vec<TableEntry> = tables.flat_map(|table| table.entries.iter().copied()).collect();
            if known.cell.role != ZoneCellRole::Open {
                let count = listed.len();
                self.expect(count == 0, At::zone(zone), || {
                    format!("it lists {count} entries of a zone that is not open")
                })?;
                continue;
            }
            if !known.is_same_life {
                continue;
            }
            let good_units = known.cell.good_units;
            let wrong = self.survey.ledger.difference(zone, good_units, &listed);
            self.expect(wrong.is_none(), At::zone(zone), || {
                format!(
                    "its table is not what the zone lists up to unit {good_units}: {}",
                    wrong.unwrap_or_default()
                )
            })?;
        }
        Ok(())
    }

    fn check_index(&mut self) -> Result<(), Halt> {
        let (mut blocks, mut live_units) = (0, 0);
        let loaded = self.loaded;
        for (bucket, cell) in (0..loaded.begin.bucket_count).zip(&loaded.cells) {
            let mut is_clean = cell[BUCKET_SLOTS * crate::INDEX_ENTRY_BYTES..].iter().all(|byte| *byte == 0);
            for slot in 0..BUCKET_SLOTS {
                let entry = IndexEntry::of_slot(cell, slot);
                if entry.is_empty() {
                    is_clean &= entry == IndexEntry::EMPTY;
                    continue;
                }
                blocks += 1;
                live_units += u64::from(entry.unit_count);
                self.check_entry(bucket, entry)?;
            }
            self.expect(is_clean, At::default(), || {
                format!("bucket {bucket} has bytes that belong to no entry")
            })?;
        }
        let end = &loaded.end;
        let is_right = (end.blocks, end.live_units) == (blocks, live_units);
        self.expect(is_right, loaded.end_at, || {
            format!(
                "its end counts {} blocks in {} units, and its index holds {blocks} in {live_units}",
                end.blocks, end.live_units
            )
        })
    }

    fn check_entry(&mut self, bucket: u64, entry: IndexEntry) -> Result<(), Halt> {
        let zone_units = self.label.zone_size_bytes / UNIT_BYTES as u64;
        let zone = u32::try_from(entry.place_units / zone_units).unwrap_or(u32::MAX);
        let unit = u32::try_from(entry.place_units % zone_units).unwrap_or(u32::MAX);
        let at = At::unit(zone, unit);
        let Some(known) = self.zones.get_mut(zone as usize) else {
            return self.expect(false, at, || format!("bucket {bucket} names a zone that the drive lacks"));
        };
        known.live_units += u64::from(entry.unit_count);
        let (cell, since, is_same_life) = (known.cell, known.since, known.is_same_life);
        let may_hold = matches!(
            cell.role,
            ZoneCellRole::Open | ZoneCellRole::Sealed | ZoneCellRole::Fenced | ZoneCellRole::Lost
        );
        let is_older =
            !is_same_life || since == Since::Nothing || matches!(since, Since::From(first) if unit < first);
        self.expect(may_hold && is_older, at, || {
            format!(
                "bucket {bucket} names a record in a zone that is {:?}, good up to unit {}",
                cell.role, cell.good_units
            )
        })?;
        if !is_same_life {
            // The zone was reset since: what was live in it has been killed.
            let (incarnation, place) = (cell.incarnation, Place::new(zone, unit));
            if may_hold && !self.killed.names(place, incarnation) {
                let gone = &mut self.zones[zone as usize].gone;
                gone.blocks += 1;
                gone.units += u64::from(entry.unit_count);
            }
            return Ok(());
        }
        let bucket_count = self.loaded.begin.bucket_count;
        let Some(block) = self.survey.ledger.block_at(Place::new(zone, unit)) else {
            return self.expect(false, at, || format!("bucket {bucket} names a record that no group holds"));
        };
        let (first, tag) = bucket_and_tag(block.hash, bucket_count);
        let is_right = u32::from(block.unit_count) == entry.unit_count
            && tag == entry.tag
            && (bucket == first || bucket == other_bucket(first, tag, bucket_count))
            && !block.is_indexed;
        block.is_indexed = true;
        self.expect(is_right, at, || {
            format!("bucket {bucket} names its record by another key or length, or a second time: {entry:?}")
        })
    }

    fn check_zone_sums(&mut self) -> Result<(), Halt> {
        for zone in 0..self.label.zone_count {
            let known = &self.zones[zone as usize];
            let (cell, counted, is_same_life) = (known.cell, known.live_units, known.is_same_life);
            self.expect(u64::from(cell.live_units) == counted, At::zone(zone), || {
                format!("its cell counts {} live units, and its index {counted}", cell.live_units)
            })?;
            self.check_end(zone)?;
            let life = self.survey.lives[zone as usize];
            if let Some(life) =
                life.filter(|life| is_same_life && life.is_sealed && cell.role == ZoneCellRole::Sealed)
            {
                let found = (life.entries, life.tombstones);
                // A writer that could not read the table did not count what it lists.
                let is_right = found == (cell.table_entries, cell.tombstones)
                    || (cell.table_entries, cell.tombstones) == (0, found.1);
                self.expect(is_right, At::zone(zone), || {
                    format!(
                        "its cell counts {} entries, {} of them tombstones, and the zone's table {} and {}",
                        cell.table_entries, cell.tombstones, found.0, found.1
                    )
                })?;
            }
        }
        Ok(())
    }

    /// A zone that was sealed ends with a footer, and one that was fenced is as good as it was.
    fn check_end(&mut self, zone: u32) -> Result<(), Halt> {
        let KnownZone { cell, is_same_life, .. } = self.zones[zone as usize];
        let Some(life) = self.survey.lives[zone as usize].filter(|_| is_same_life) else { return Ok(()) };
        let number = self.loaded.end.number;
        // One without a table was fenced, or its writer could not read its footer.
        if cell.role == ZoneCellRole::Sealed && cell.table_entries > 0 && !life.is_sealed {
            let what = format!("checkpoint {number} calls it sealed, and it does not end with a footer");
            self.survey.findings.add(FindingKind::FooterDamaged, At::zone(zone), what)?;
        } else if cell.role == ZoneCellRole::Fenced && life.good_units < cell.good_units {
            self.report_shorter(zone, life.good_units, cell.good_units, number)?;
        }
        Ok(())
    }

    fn report_shorter(&mut self, zone: u32, found: u32, known: u32, number: u64) -> Result<(), Halt> {
        let what = format!(
            "it is good up to unit {found}, and checkpoint {number} knows that it was up to unit {known}"
        );
        self.survey.findings.add(FindingKind::GroupDamaged, At::unit(zone, found), what)
    }

    pub(super) fn is_since(&self, place: Place) -> bool {
        let (zone, unit) = place.split();
        match self.zones[zone as usize].since {
            Since::Nothing => false,
            Since::From(first) => unit >= first,
            Since::Everything => true,
        }
    }

    /// The cells, with the blocks that were stored since, less those that tombstones named since, are what the log holds.
    fn check_result(&mut self) -> Result<(), Halt> {
        let mut tombstones_since = 0;
        for index in 0..self.survey.ledger.tombstones.len() {
            let tombstone = self.survey.ledger.tombstones[index];
            if !self.is_since(tombstone.place) {
                continue;
            }
            tombstones_since += 1;
            let zone = tombstone.target.split().0 as usize;
            let present = self.survey.lives.get(zone).copied().flatten().map(|life| life.incarnation);
            if present == Some(tombstone.incarnation)
                && let Some(block) = self.survey.ledger.block_at(tombstone.target)
            {
                block.is_killed_since = true;
            }
        }
        let mut blocks_since = 0;
        for index in 0..self.survey.ledger.blocks.len() {
            let block = self.survey.ledger.blocks[index];
            let is_since = self.is_since(block.place);
            blocks_since += u64::from(is_since);
            let is_held = (is_since || block.is_indexed) && !block.is_killed_since;
            let (zone, unit) = block.place.split();
            self.expect(is_held != block.is_killed, At::unit(zone, unit), || match is_held {
                true => "it gives a block that a tombstone of the log names".into(),
                false => "it lacks a block that the log holds".into(),
            })?;
        }
        if let Some(facts) = &mut self.survey.checkpoint {
            (facts.blocks_since, facts.tombstones_since, facts.is_compared) =
                (blocks_since, tombstones_since, true);
        }
        Ok(())
    }
}

/// Whether damage has taken groups from a zone that a checkpoint knows to be sealed or fenced.
fn lacks_what_was_known(cell: &ZoneCell, life: &Life) -> bool {
    match cell.role {
        ZoneCellRole::Sealed => !life.is_sealed && life.entries < cell.table_entries,
        ZoneCellRole::Fenced => life.good_units < cell.good_units,
        _ => false,
    }
}

/// A key's first bucket and its tag, from its hash.
fn bucket_and_tag(hash: u64, bucket_count: u64) -> (u64, u32) {
    let bucket = (u128::from(hash) * u128::from(bucket_count)) >> 64;
    let tag = hash & u64::from(IndexEntry::TAG_MAX);
    (u64::try_from(bucket).unwrap_or(u64::MAX), u32::try_from(tag).unwrap_or(u32::MAX))
}
