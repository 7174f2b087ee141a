//! The kinds of faults, and their names.

/// The number of kinds.
pub(crate) const KINDS: usize = 15;

/// A kind of fault. Each says which operations it strikes: a rate is one in so many of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Strikes reads: a unit can no longer be read, until it is written anew or its zone is reset. Half the time it
    /// is one of those that are read, otherwise any that holds data.
    LatentSector,
    /// Strikes reads: one stored bit has changed. The place is chosen as for [`FaultKind::LatentSector`].
    BitFlip,
    /// Strikes writes: the write is acknowledged, the write pointer moves, and the medium keeps what it held.
    LostWrite,
    /// Strikes writes, where another place holds data: the bytes land there, and are missing at their own.
    MisdirectedWrite,
    /// Strikes writes of more than one unit: a part is written, from the start on, and the write fails.
    TornWriteError,
    /// Strikes writes: nothing is written, and the write fails.
    WriteError,
    /// Strikes flushes that cover a write: the flush fails, and in one zone all that no flush had covered is gone from
    /// some place on. The write pointer falls there, or stays over units that read as fill or not at all.
    LateFlushError,
    /// Strikes every operation: a zone turns read-only. Half the time it is the operation's own, and a write to it ends
    /// half way.
    ZoneReadOnly,
    /// Strikes every operation: a zone turns offline, as for [`FaultKind::ZoneReadOnly`].
    ZoneOffline,
    /// Strikes what would open a zone: the drive refuses it below its limit.
    TooManyOpen,
    /// Strikes every operation: it is held back for some calls of [`crate::Device::wait`], while others pass it.
    Slow,
    /// Strikes every operation: the drive is gone until it is opened again. That operation may have been carried out.
    Vanish,
    /// Strikes resets: the reset fails, and the zone keeps its data.
    ResetError,
    /// Strikes reads: the read fails, and the next succeeds.
    ReadErrorTransient,
    /// Strikes resets of zones that hold data: until the next reset, reads beyond the pointer return the old bytes.
    GarbageBeyondPointer,
}

impl FaultKind {
    /// All kinds, in the order in which they are printed.
    pub const ALL: [Self; KINDS] = [
        Self::LatentSector,
        Self::BitFlip,
        Self::LostWrite,
        Self::MisdirectedWrite,
        Self::TornWriteError,
        Self::WriteError,
        Self::LateFlushError,
        Self::ZoneReadOnly,
        Self::ZoneOffline,
        Self::TooManyOpen,
        Self::Slow,
        Self::Vanish,
        Self::ResetError,
        Self::ReadErrorTransient,
        Self::GarbageBeyondPointer,
    ];

    /// The kind's name, as counts are printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LatentSector => "latent_sector",
            Self::BitFlip => "bit_flip",
            Self::LostWrite => "lost_write",
            Self::MisdirectedWrite => "misdirected_write",
            Self::TornWriteError => "torn_write_error",
            Self::WriteError => "write_error",
            Self::LateFlushError => "late_flush_error",
            Self::ZoneReadOnly => "zone_read_only",
            Self::ZoneOffline => "zone_offline",
            Self::TooManyOpen => "too_many_open",
            Self::Slow => "slow",
            Self::Vanish => "vanish",
            Self::ResetError => "reset_error",
            Self::ReadErrorTransient => "read_error_transient",
            Self::GarbageBeyondPointer => "garbage_beyond_pointer",
        }
    }
}
