//! When a zone may be reset that was open not long ago: once the drive itself says that it was closed.
//!
//! A mount takes an empty zone for one that somebody else has reset, where the last thing that the drive says of it is that
//! it was open ([`crate::replay`]). A zone's own commits and footer go with it. So a commit in another zone, or a checkpoint,
//! must have been made since it was closed.
//!
//! Invariant: neither the newest commit, nor the newest checkpoint where no commit came behind it, calls a zone open that
//! the engine has reset. Where checkpoints fail or move to other zones it does not hold: nothing waits for them then.

use crate::store::Store;

impl Store {
    /// What is durable now tells of all zones that were closed before this place of the log.
    pub(crate) fn closings_are_told(&mut self, sequence: u64) {
        self.told_sequence = self.told_sequence.max(sequence);
    }

    /// Whether the zone that has rested longest, and long enough, waits for a checkpoint that says that it was closed. One
    /// is begun at once then.
    pub(crate) fn trash_awaits_checkpoint(&self) -> bool {
        let Some(resting) = self.trash.resting.front() else { return false };
        let has_rested = resting.since_us.saturating_add(self.trash_rest_us) <= self.now_us;
        let closed_sequence = self.zones.get(resting.zone).closed_sequence;
        // A zone of old slots was never one of the log's open ones.
        let is_told = closed_sequence < self.told_sequence || closed_sequence == u64::MAX;
        has_rested && !is_told && self.trash.under_way.is_none() && self.checkpointing.can_come()
    }
}
