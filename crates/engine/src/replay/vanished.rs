//! Lives that began after the checkpoint, and of which nothing is left: only commits in other zones tell of them.
//!
//! A zone that the checkpoint calls free, and of which a later commit says that it is good behind its header, held what was
//! acknowledged. It is lost where somebody else has overwritten it, or has reset it.
//!
//! Invariants:
//!
//! * A zone that is written is in the life that a commit since the checkpoint tells, whatever stands in it: it is opened
//!   again only once two checkpoints have counted that were taken after its reset, and this one was taken before. It is in
//!   doubt from then on ([`crate::doubt`]).
//! * One that is empty may have been reset by the engine, which does so only once a newer commit calls it open no more
//!   ([`crate::trash`]). So it counts as lost where the newest commit calls it open, and no newer checkpoint can tell.

use imbrex_format::{CommitZone, ZoneCellRole};
use imbrex_zoned::{Condition, ZoneKind};

use super::Replay;
use crate::request::ZoneRole;
use crate::restoring::Base;
use crate::trash::FIRST_RECORD_UNIT;

impl Replay<'_, '_> {
    /// Tells of the lives that are lost whole, before it is asked what else the log may have said.
    pub(super) fn tell_vanished_lives(&mut self, base: &Base) {
        let vouched = std::mem::take(&mut self.vouched);
        for (&(zone, incarnation), &good_units) in &vouched {
            let is_newest_word = base.is_newest && self.is_open_by_newest_commit(zone, incarnation);
            let Some(cell) = base.zones.get(zone as usize) else { continue };
            let Some(entry) = self.zones.find(zone) else { continue };
            let began_since = cell.role == ZoneCellRole::Free
                && cell.incarnation < incarnation
                && incarnation >= base.end.next_sequence;
            let has_held_records =
                good_units > FIRST_RECORD_UNIT && entry.kind == ZoneKind::SequentialWriteRequired;
            if !began_since || !has_held_records || entry.incarnation >= incarnation {
                continue;
            }
            match entry.role {
                // One that is read-only has no pointer, and may have been empty when it turned so.
                ZoneRole::Lost
                    if entry.condition != Condition::Offline
                        && (entry.condition != Condition::ReadOnly || is_newest_word) =>
                {
                    tracing::error!(
                        zone,
                        "nothing is left of what was written to a zone: what it held is unknown"
                    );
                    let entry = self.zones.get_mut(zone);
                    // Tombstones that name this life are kept, and it is looked for at the next mounts.
                    entry.incarnation = incarnation;
                    entry.first_sequence = incarnation;
                    entry.is_unknown = true;
                }
                ZoneRole::Free | ZoneRole::Reset => {
                    if is_newest_word {
                        tracing::error!(
                            zone,
                            "a zone is empty that the newest commit calls open: what it held is lost"
                        );
                        self.lost_records += 1;
                    }
                    // What is written there next must not be taken for this life by a mount that goes by this checkpoint too.
                    let entry = self.zones.get_mut(zone);
                    entry.role = ZoneRole::Reset;
                    entry.freed_by = entry.freed_by.max(self.freed_by);
                }
                _ => {}
            }
        }
        self.vouched = vouched;
    }

    /// Whether the newest commit of all calls this life open. It may stand in the last zone alone that was written.
    pub(super) fn is_open_by_newest_commit(&self, zone: u32, incarnation: u64) -> bool {
        let is_it = |(group, named): &(u64, CommitZone)| {
            *group >= self.last_group && named.zone == zone && named.incarnation == incarnation
        };
        self.named.iter().any(is_it)
    }
}
