//! Deliberate defects, for the test that counts which of them the other tests notice.
//!
//! Each stands at one place of the engine, as `if is(Mutation::..)`. Outside this crate's own tests [`is`] is always
//! false, and nothing is left of them. In a test one is switched on by its name in `IMBREX_MUTATION`.

/// A deliberate defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A group is acknowledged without a flush.
    SkipFlush,
    /// A deletion is acknowledged as soon as its record is found.
    AcknowledgeDeletionEarly,
    /// Reclaim carries no tombstone on.
    DropTombstones,
    /// The inspector says that it has found nothing, and reclaim empties a zone but for one block.
    ResetWithLiveBlock,
    /// The same, and the referee allows everything.
    ResetWithLiveBlockAllowed,
    /// A read-only zone is taken to be written as far as its pointer says, which is nowhere.
    TrustReadOnlyPointer,
    /// What a failed write may have left behind is not killed.
    ForgetAbandonedPlace,
    /// A checkpoint has no patches.
    ForgetPatches,
    /// A zone that was reset is free at once.
    ReuseAtOnce,
    /// The sequence goes on after a mount where it was.
    NoSequenceJump,
    /// No flush comes before a commit in a conventional zone.
    SkipBarrier,
    /// No flush comes before the commit of a group that kills another copy of a block which it holds.
    SkipMoveBarrier,
    /// A moved block does not kill the copy that it leaves.
    ForgetMovedCopy,
    /// The tag of the index is taken for the key.
    TagIsKey,
    /// The payload's checksums are not looked at.
    SkipPayloadChecksum,
    /// Zones of old slots go to the log while a label that can be read still names them, and a mount believes that label.
    FreeSlotsOfStaleLabel,
    /// A mount that could not read the newest checkpoint uses free zones at once.
    ForgetHiddenCheckpoint,
    /// A mount goes on in a zone of which a tombstone names what a crash has taken.
    ReuseAbandonedPlace,
}

#[cfg(test)]
impl Mutation {
    pub(crate) const ALL: [Self; 18] = [
        Self::SkipFlush,
        Self::AcknowledgeDeletionEarly,
        Self::DropTombstones,
        Self::ResetWithLiveBlock,
        Self::ResetWithLiveBlockAllowed,
        Self::TrustReadOnlyPointer,
        Self::ForgetAbandonedPlace,
        Self::ForgetPatches,
        Self::ReuseAtOnce,
        Self::NoSequenceJump,
        Self::SkipBarrier,
        Self::SkipMoveBarrier,
        Self::ForgetMovedCopy,
        Self::TagIsKey,
        Self::SkipPayloadChecksum,
        Self::FreeSlotsOfStaleLabel,
        Self::ForgetHiddenCheckpoint,
        Self::ReuseAbandonedPlace,
    ];

    /// The one that is switched on.
    pub(crate) fn active() -> Option<Self> {
        static ACTIVE: std::sync::OnceLock<Option<Mutation>> = std::sync::OnceLock::new();
        *ACTIVE.get_or_init(|| {
            let name = std::env::var("IMBREX_MUTATION").ok()?;
            Self::ALL.into_iter().find(|mutation| format!("{mutation:?}") == name)
        })
    }
}

/// Whether a defect is switched on.
#[cfg(test)]
pub(crate) fn is(mutation: Mutation) -> bool {
    Mutation::active() == Some(mutation)
}

/// None is, outside of tests.
#[cfg(not(test))]
#[expect(clippy::inline_always, reason = "nothing is to be left of it")]
#[inline(always)]
pub(crate) const fn is(_: Mutation) -> bool {
    false
}
