//! The last groups of a zone whose own commits are damaged, and which a commit in another zone vouches for (FORMAT.md,
//! "The log", rule 7).
//!
//! What such a commit calls good was acknowledged when it was written. So the records that still stand there, behind the
//! zone's last sound commit, are no torn group: they count, as far as their own headers tell of them.

use imbrex_format::TableEntry;
use imbrex_zoned::DeviceError;

use super::Replay;
use crate::log::SEQUENCE_JUMP;

impl Replay<'_, '_> {
    /// Takes what is vouched for, once all commits are known. Its zone takes no more records.
    pub(super) fn take_vouched(&mut self) -> Result<(), DeviceError> {
        // A tombstone that is taken may name what is still to be taken of another zone.
        while let Some((zone, records)) = self.uncommitted.pop_first() {
            let entry = self.zones.get(zone);
            let begin = entry.good_units;
            let vouched_units = self.vouched.get(&(zone, entry.incarnation)).copied().unwrap_or(0);
            if vouched_units <= begin {
                continue;
            }
            let entries = vouched_for(&records, vouched_units);
            tracing::error!(
                zone,
                entries = entries.len(),
                "the last commit of a zone is damaged: of its groups what the records themselves tell is taken"
            );
            // What else the commit listed is not known.
            self.lost_records += 1;
            self.apply_all(zone, begin, &entries);
            let entry = self.zones.get_mut(zone);
            entry.good_units = vouched_units.min(entry.capacity_units);
            entry.written_units = entry.written_units.max(entry.good_units);
            if let Some(at) = self.resumable.iter().position(|open| open.zone.zone == zone) {
                let open = self.resumable.remove(at);
                self.open.give_back(open.zone.entries);
                self.fence(zone)?;
            }
        }
        Ok(())
    }
}

/// The records before unit `vouched_units` that no mount has come behind: what is so much older than the newest of them may
/// be what a crash has torn before that.
fn vouched_for(records: &[(u64, TableEntry)], vouched_units: u32) -> Vec<TableEntry> {
    let end = |entry: &TableEntry| match entry {
        TableEntry::Block { unit_offset, unit_count, .. } => unit_offset.saturating_add(*unit_count),
        TableEntry::Tombstone { unit_offset, .. } => unit_offset.saturating_add(1),
    };
    let vouched = || records.iter().filter(|(_, entry)| end(entry) <= vouched_units);
    let newest = vouched().map(|(sequence, _)| *sequence).max().unwrap_or(0);
    vouched().filter(|(sequence, _)| newest - sequence < SEQUENCE_JUMP / 2).map(|(_, entry)| *entry).collect()
}
