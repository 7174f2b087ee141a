//! Zones that may hold blocks of which nothing tells that can be read.
//!
//! A zone that is offline gives nothing. Where a checkpoint lists it as closed, all its blocks are in the index: each is
//! answered as a medium error. Where it can have been opened, or written, since the checkpoint, or where there is no
//! checkpoint, blocks can stand in it that no index knows. It is *in doubt*: as long as there is one such zone, a key that
//! is not found may have been lost with it, and is answered as unknown, never as absent. So is a zone that is written, and in
//! which nothing is left of a life that began since the checkpoint and that commits in other zones tell ([`crate::replay`]).
//!
//! Invariants:
//!
//! * Doubt does not end with a restart: checkpoints carry it, in a form that no other zone has (FORMAT.md, "Zone cell").
//! * Tombstones that name a life of a zone in doubt are carried on: it may be read again one day.
//! * Doubt ends where the zone can be read again, in the life that is in doubt or a later one: then the drive is mounted by
//!   its zones' logs, for what the zone holds may have been killed by tombstones that the checkpoint does not repeat.
//!
//! A drive that was just formatted has nothing to lose: where no zone holds a log and no checkpoint was begun, an offline
//! zone is in no doubt. A first checkpoint is then taken at once, so that zones which were dead from the start stay out of
//! it.

use imbrex_format::{ZoneCell, ZoneCellRole};
use imbrex_zoned::{Condition, Zone, ZoneKind};

/// Whether a checkpoint calls the zone one in doubt.
pub(crate) fn is_unknown(cell: &ZoneCell) -> bool {
    match cell.role {
        ZoneCellRole::Lost => cell.closed_sequence == 0,
        ZoneCellRole::Open | ZoneCellRole::Sealed | ZoneCellRole::Fenced | ZoneCellRole::Trash => {
            cell.written_units < cell.good_units
        }
        ZoneCellRole::Free | ZoneCellRole::Label | ZoneCellRole::Checkpoint => false,
    }
}

/// Whether a zone that is offline can have been written since the checkpoint that holds `cell`. `newest` is the highest
/// number of a checkpoint that may have counted since.
///
/// A zone that was closed is not written again. One that is free is opened only once the checkpoint counts that frees it.
/// The log goes to no conventional zone of a drive with checkpoints.
pub(crate) fn may_have_been_written(zone: &Zone, cell: &ZoneCell, newest: u64) -> bool {
    if zone.condition != Condition::Offline || zone.kind == ZoneKind::Conventional {
        return false;
    }
    match cell.role {
        ZoneCellRole::Open => true,
        ZoneCellRole::Free => cell.closed_sequence <= newest,
        ZoneCellRole::Sealed
        | ZoneCellRole::Fenced
        | ZoneCellRole::Trash
        | ZoneCellRole::Lost
        | ZoneCellRole::Label
        | ZoneCellRole::Checkpoint => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offline(kind: ZoneKind) -> Zone {
        Zone {
            index: 3,
            kind,
            condition: Condition::Offline,
            capacity_bytes: 1 << 20,
            write_pointer_bytes: None,
        }
    }

    fn cell(role: ZoneCellRole, closed_sequence: u64) -> ZoneCell {
        ZoneCell {
            role,
            stream: 0,
            evacuate: false,
            capacity_units: 256,
            written_units: 20,
            good_units: 20,
            live_units: 10,
            table_entries: 2,
            tombstones: 0,
            incarnation: 7,
            closed_sequence,
            scrubbed_at_unix_s: 0,
            sealed_at_unix_s: 0,
        }
    }

    #[test]
    fn only_what_can_have_been_written_since_the_checkpoint_is_in_doubt() {
        let sequential = offline(ZoneKind::SequentialWriteRequired);
        let newest = 9;
        for (role, closed_sequence, is_doubtful) in [
            (ZoneCellRole::Free, 0, true),
            (ZoneCellRole::Free, 9, true),
            // It was still waiting for the tenth checkpoint, which never counted.
            (ZoneCellRole::Free, 10, false),
            (ZoneCellRole::Open, u64::MAX, true),
            (ZoneCellRole::Sealed, 500, false),
            (ZoneCellRole::Fenced, 500, false),
            (ZoneCellRole::Trash, 500, false),
            (ZoneCellRole::Lost, u64::MAX, false),
        ] {
            let cell = cell(role, closed_sequence);
            assert_eq!(may_have_been_written(&sequential, &cell, newest), is_doubtful, "{cell:?}");
            assert!(!is_unknown(&cell), "{cell:?}");
        }
        let free = cell(ZoneCellRole::Free, 0);
        assert!(!may_have_been_written(&offline(ZoneKind::Conventional), &free, newest));
        let full = Zone { condition: Condition::Full, ..sequential };
        assert!(!may_have_been_written(&full, &free, newest));
    }
}
