//! When an engine has to turn though nothing comes: for whom time alone is what is waited for.
//!
//! Invariant: what is due now is begun by the next turn, or is not named here. Else the engine turns without a pause.

use crate::store::Store;
use crate::writing::WRITERS_LOOK_US;

impl Store {
    /// When something has to be begun though nothing comes: `None` where nothing waits for time alone.
    pub(crate) fn next_due_us(&self) -> Option<u64> {
        if self.fault.is_some() {
            return self.reads.waiting.next_deadline_us();
        }
        // At the end nothing of these is begun, and who waited for them would wait for ever without a pause.
        let is_freeing = !self.is_stopping || self.waits_for_zone;
        let at_once = (is_freeing && self.trash.is_sweeping()).then_some(self.now_us);
        let writers = (!self.pending.is_empty()).then_some(self.now_us.saturating_add(WRITERS_LOOK_US));
        [
            at_once,
            writers,
            self.reads.waiting.next_deadline_us(),
            self.deferred_due_us(),
            self.trash.due_us(self.trash_rest_us).filter(|_| is_freeing && !self.trash_awaits_checkpoint()),
            self.scrub_due_us().filter(|_| !self.is_stopping),
            self.level_due_us(),
            self.spent_zone_due_us(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
