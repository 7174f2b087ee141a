//! What the log holds, as compactly as it can be compared: one row a block, one a tombstone, one a group.
//!
//! A block is told by its place and by 64 bits of its key's hash, which is what an index entry follows from too.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use crate::key::Key;
use crate::table_entry::TableEntry;
use crate::verify::VerifyError;
use crate::verify::findings::Halt;

/// A place on the drive: the zone in the high half, the unit in the low one, so that places sort by zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) u64);

impl Place {
    pub(super) fn new(zone: u32, unit: u32) -> Self {
        Self(u64::from(zone) << 32 | u64::from(unit))
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half is taken by itself")]
    pub(super) fn split(self) -> (u32, u32) {
        ((self.0 >> 32) as u32, self.0 as u32)
    }
}

/// A block.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockRow {
    pub(super) place: Place,
    pub(super) hash: u64,
    pub(super) birth: u64,
    pub(super) unit_count: u16,
    /// A tombstone names it.
    pub(super) is_killed: bool,
    /// A tombstone that was written after the checkpoint names it.
    pub(super) is_killed_since: bool,
    /// The checkpoint's index names it.
    pub(super) is_indexed: bool,
}

/// A tombstone.
#[derive(Clone, Copy, Debug)]
pub(super) struct TombstoneRow {
    pub(super) place: Place,
    pub(super) target: Place,
    pub(super) incarnation: u64,
    pub(super) hash: u64,
    pub(super) birth: u64,
}

/// A group.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupRow {
    pub(super) first_sequence: u64,
    pub(super) last_sequence: u64,
    pub(super) group: u64,
    pub(super) place: Place,
}

const _: () = assert!(size_of::<BlockRow>() == 32 && size_of::<TombstoneRow>() == 40);
const _: () = assert!(size_of::<GroupRow>() == 32);

/// How much memory may be taken, and was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    max_bytes: u64,
    taken_bytes: u64,
    pub(super) most_bytes: u64,
}

impl Budget {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, taken_bytes: 0, most_bytes: 0 }
    }

    /// Takes memory, or refuses it.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Halt> {
        if self.taken_bytes.saturating_add(bytes) > self.max_bytes {
            let memory_bytes_max = self.max_bytes;
            return Err(Halt::Refused(VerifyError::Memory { memory_bytes_max }));
        }
        self.taken_bytes += bytes;
        self.most_bytes = self.most_bytes.max(self.taken_bytes);
        Ok(())
    }

    /// Gives memory back.
    pub(super) fn give_back(&mut self, bytes: u64) {
        self.taken_bytes -= bytes;
    }

    /// Appends to a list whose growth the budget allows. A list grows by half.
    pub(super) fn push<T>(&mut self, list: &mut Vec<T>, item: T) -> Result<(), Halt> {
        if list.len() == list.capacity() {
            let more = (list.capacity() / 2).max(1024);
            self.take((more * size_of::<T>()) as u64)?;
            list.reserve_exact(more);
        }
        list.push(item);
        Ok(())
    }
}

/// See the module.
pub(super) struct Ledger {
    pub(super) blocks: Vec<BlockRow>,
    pub(super) tombstones: Vec<TombstoneRow>,
    pub(super) groups: Vec<GroupRow>,
    pub(super) budget: Budget,
    secret: [u8; 16],
}

impl Ledger {
    pub(super) fn new(budget: Budget) -> Self {
        Self { blocks: Vec::new(), tombstones: Vec::new(), groups: Vec::new(), budget, secret: [0; 16] }
    }

    /// Gives the secret with which keys are hashed, once the drive's label is known.
    pub(super) fn set_secret(&mut self, secret: [u8; 16]) {
        self.secret = secret;
    }

    /// SipHash-1-3 of the key, keyed with the drive's secret.
    pub(super) fn hash(&self, key: &Key) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write(&key.0);
        hasher.finish()
    }

    /// Adds an entry of a zone.
    pub(super) fn add(&mut self, zone: u32, entry: &TableEntry) -> Result<(), Halt> {
        match *entry {
            TableEntry::Block { key, unit_offset, unit_count, birth, .. } => {
                let row = BlockRow {
                    place: Place::new(zone, unit_offset),
                    hash: self.hash(&key),
                    birth,
                    unit_count: u16::try_from(unit_count).unwrap_or(u16::MAX),
                    is_killed: false,
                    is_killed_since: false,
                    is_indexed: false,
                };
                self.budget.push(&mut self.blocks, row)
            }
            TableEntry::Tombstone {
                key,
                unit_offset,
                target_zone,
                target_unit_offset,
                target_incarnation,
                birth,
            } => {
                let row = TombstoneRow {
                    place: Place::new(zone, unit_offset),
                    target: Place::new(target_zone, target_unit_offset),
                    incarnation: target_incarnation,
                    hash: self.hash(&key),
                    birth,
                };
                self.budget.push(&mut self.tombstones, row)
            }
        }
    }

    /// How `listed` differs from what a zone holds below `end`, once blocks and tombstones are sorted by place.
    pub(super) fn difference(&self, zone: u32, end: u32, listed: &[TableEntry]) -> Option<String> {
        let (from, to) = (Place::new(zone, 0), Place::new(zone, end));
        let first = self.blocks.partition_point(|block| block.place < from);
        let blocks = &self.blocks[first..self.blocks.partition_point(|block| block.place < to)];
        let first = self.tombstones.partition_point(|tombstone| tombstone.place < from);
        let after = self.tombstones.partition_point(|tombstone| tombstone.place < to);
        let tombstones = &self.tombstones[first..after];
        let is_held = |entry: &TableEntry| match *entry {
            TableEntry::Block { key, unit_offset, unit_count, birth, .. } => {
                let place = Place::new(zone, unit_offset);
                let held = blocks.binary_search_by_key(&place, |block| block.place);
                held.is_ok_and(|index| {
                    let block = blocks[index];
                    (block.hash, block.birth, u32::from(block.unit_count))
                        == (self.hash(&key), birth, unit_count)
                })
            }
            TableEntry::Tombstone {
                key,
                unit_offset,
                target_zone,
                target_unit_offset,
                target_incarnation,
                birth,
            } => {
                let place = Place::new(zone, unit_offset);
                let hash = self.hash(&key);
                let target = Place::new(target_zone, target_unit_offset);
                let first = tombstones.partition_point(|tombstone| tombstone.place < place);
                tombstones[first..].iter().take_while(|row| row.place == place).any(|row| {
                    (row.hash, row.target, row.incarnation, row.birth)
                        == (hash, target, target_incarnation, birth)
                })
            }
        };
        let held = blocks.len() + tombstones.len();
        if let Some(entry) = listed.iter().find(|entry| !is_held(entry)) {
            return Some(format!("it does not hold {entry:?}"));
        }
        (held != listed.len()).then(|| format!("it holds {held}, and {} are listed", listed.len()))
    }

    /// The block that stands at `place`, once the blocks are sorted by place.
    pub(super) fn block_at(&mut self, place: Place) -> Option<&mut BlockRow> {
        let index = self.blocks.binary_search_by_key(&place, |block| block.place).ok()?;
        self.blocks.get_mut(index)
    }
}
