//! What the engine knows of one zone.

use imbrex_format::{UNIT_BYTES, ZoneCell, ZoneCellRole};
use imbrex_zoned::{Condition, Zone, ZoneKind};

use crate::doubt::is_unknown;
use crate::log::Stream;
use crate::request::ZoneRole;

/// One zone.
#[derive(Clone, Debug)]
pub(crate) struct ZoneEntry {
    pub(crate) kind: ZoneKind,
    pub(crate) condition: Condition,
    pub(crate) role: ZoneRole,
    /// How many units can be written.
    pub(crate) capacity_units: u32,
    /// Where the next write goes.
    pub(crate) written_units: u32,
    /// How far the zone is acknowledged: what lies beyond is no one's.
    pub(crate) good_units: u32,
    /// Units of records that the index names.
    pub(crate) live_units: u32,
    /// Which life of the zone this is.
    pub(crate) incarnation: u64,
    /// The sequence that the log had when this life began: zones sort by it.
    pub(crate) first_sequence: u64,
    /// The number of entries in the footer's table, in a sealed zone.
    pub(crate) table_entries: u32,
    /// Which stream's records it holds.
    pub(crate) stream: Stream,
    /// How many tombstones it holds: reclaim has to carry them on as long as what they name has not gone.
    pub(crate) tombstones: u32,
    /// Whether it is to be emptied: it has failed, or a sector in it cannot be read.
    pub(crate) evacuate: bool,
    /// Whether reclaim has left what it cannot move: it is left alone until something else in it dies.
    pub(crate) is_stuck: bool,
    /// Whether the referee has refused its reset, or what lived in it is lost: it is read as it is, and left alone until the
    /// next mount.
    pub(crate) is_kept: bool,
    /// Whether it is empty, though the index names blocks in it: somebody else has reset it.
    pub(crate) is_lost_life: bool,
    /// Whether it is lost only because a reset has failed: the next mount looks at it anew.
    pub(crate) has_failed_reset: bool,
    /// Whether it may hold blocks of which nothing tells that can be read: see [`crate::doubt`].
    pub(crate) is_unknown: bool,
    /// Reads of it that are in flight: it is not reset meanwhile.
    pub(crate) readers: u16,
    /// The checkpoint that makes it free, where it was reset: by then no checkpoint that could be mounted knows its old life.
    pub(crate) freed_by: u64,
    /// Its place in the order in which zones were closed: the log's next sequence then; [`u64::MAX`] while it is open.
    pub(crate) closed_sequence: u64,
    /// When it was opened, then when it was sealed, fenced or put into the trash.
    pub(crate) closed_at_unix_s: u64,
    /// When every record in it was last read and checked; 0: never.
    pub(crate) scrubbed_at_unix_s: u64,
}

impl ZoneEntry {
    /// The zone as a report describes it, with no role yet.
    pub(crate) fn from_report(zone: &Zone) -> Self {
        let usable = !matches!(zone.condition, Condition::ReadOnly | Condition::Offline);
        Self {
            kind: zone.kind,
            condition: zone.condition,
            role: if usable { ZoneRole::Free } else { ZoneRole::Lost },
            capacity_units: units(zone.capacity_bytes),
            written_units: written_units(zone),
            good_units: 0,
            live_units: 0,
            incarnation: 0,
            first_sequence: 0,
            table_entries: 0,
            stream: Stream::Hot,
            tombstones: 0,
            evacuate: false,
            is_stuck: false,
            is_kept: false,
            is_lost_life: false,
            has_failed_reset: false,
            is_unknown: false,
            readers: 0,
            freed_by: 0,
            closed_sequence: u64::MAX,
            closed_at_unix_s: 0,
            scrubbed_at_unix_s: 0,
        }
    }

    /// As a checkpoint says it. A zone that waits for checkpoints to be free is called free, with the one that frees it.
    pub(crate) fn to_cell(&self) -> ZoneCell {
        ZoneCell {
            role: match self.role {
                ZoneRole::Label => ZoneCellRole::Label,
                ZoneRole::Free | ZoneRole::Reset => ZoneCellRole::Free,
                ZoneRole::Open => ZoneCellRole::Open,
                ZoneRole::Sealed => ZoneCellRole::Sealed,
                ZoneRole::Fenced => ZoneCellRole::Fenced,
                ZoneRole::Trash => ZoneCellRole::Trash,
                ZoneRole::Checkpoint => ZoneCellRole::Checkpoint,
                ZoneRole::Lost if self.has_failed_reset => ZoneCellRole::Trash,
                ZoneRole::Lost => ZoneCellRole::Lost,
            },
            stream: self.stream as u8,
            evacuate: self.evacuate,
            capacity_units: self.capacity_units,
            written_units: if self.is_unknown { 0 } else { self.written_units },
            good_units: self.good_units,
            live_units: self.live_units,
            table_entries: self.table_entries,
            tombstones: self.tombstones,
            incarnation: self.incarnation,
            closed_sequence: match self.role {
                ZoneRole::Free | ZoneRole::Reset => self.freed_by,
                ZoneRole::Lost if self.is_unknown => 0,
                _ => self.closed_sequence,
            },
            scrubbed_at_unix_s: self.scrubbed_at_unix_s,
            sealed_at_unix_s: self.closed_at_unix_s,
        }
    }

    /// Takes over what a checkpoint says of a zone whose life has not ended since.
    pub(crate) fn take_cell(&mut self, cell: &ZoneCell, role: ZoneRole) {
        self.role = role;
        self.stream = Stream::from_header(u16::from(cell.stream));
        self.evacuate = cell.evacuate;
        self.is_unknown = is_unknown(cell);
        self.good_units = cell.good_units;
        self.live_units = cell.live_units;
        self.table_entries = cell.table_entries;
        self.tombstones = cell.tombstones;
        self.incarnation = cell.incarnation;
        self.first_sequence = cell.incarnation;
        self.closed_sequence = cell.closed_sequence;
        self.scrubbed_at_unix_s = cell.scrubbed_at_unix_s;
        self.closed_at_unix_s = cell.sealed_at_unix_s;
    }

    /// Whether its log can be read.
    pub(crate) fn is_readable_log(&self) -> bool {
        matches!(self.role, ZoneRole::Open | ZoneRole::Sealed | ZoneRole::Fenced)
    }

    /// Whether a footer stands at its end. A mount calls sealed what a checkpoint calls trash, though it may have been fenced
    /// before: that has no footer, and no list of entries.
    pub(crate) fn has_footer(&self) -> bool {
        self.role == ZoneRole::Sealed && self.table_entries > 0
    }

    /// Whether the scrub reads it: something in it lives, or says what does not.
    pub(crate) fn is_to_be_scrubbed(&self) -> bool {
        self.condition != Condition::Offline
            && self.is_readable_log()
            && !self.is_lost_life
            && self.good_units > 1
            && (self.live_units > 0 || self.tombstones > 0)
    }

    /// Whether nothing stands in it any more but tombstones, and it takes no more records.
    pub(crate) fn holds_only_tombstones(&self) -> bool {
        self.role == ZoneRole::Sealed && self.live_units == 0 && self.tombstones > 0 && !self.is_stuck
    }

    /// Whether it can be reset and written again.
    pub(crate) fn can_be_reset(&self) -> bool {
        !matches!(self.condition, Condition::ReadOnly | Condition::Offline)
    }
}

/// How far the drive says that the zone is written. A full zone is written to its end; a conventional one says nothing.
fn written_units(zone: &Zone) -> u32 {
    match zone.condition {
        Condition::Full => units(zone.capacity_bytes),
        _ => units(zone.write_pointer_bytes.unwrap_or(0)),
    }
}

/// Whole units in `bytes`. A zone has fewer than 2^32 of them: the geometry is refused otherwise.
fn units(bytes: u64) -> u32 {
    u32::try_from(bytes / UNIT_BYTES as u64).unwrap_or(u32::MAX)
}
