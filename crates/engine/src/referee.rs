//! The referee: the last to be asked before a zone is reset, and the one that says no.
//!
//! It keeps books of its own: the engine tells it of every record that becomes visible and of every one that ceases
//! to be, and it counts them by zone. It shares no code with the zone table, with reclaim or with the inspector, so
//! that a mistake of theirs is not its own. It sees every reset order once the drive serves.
//!
//! Invariants:
//!
//! * A zone of the log is reset only in the life that is meant, with no live record by the referee's own count, after
//!   it has rested in the trash, and after an inspection, made since it went there, found nothing alive in it.
//! * A zone of the label or of a checkpoint is reset only where it was declared as such, and is not needed: by what it was
//!   told of what stands on the drive ([`crate::referee_reserved`]).
//! * Books that contradict themselves are never used to allow anything again: the zone keeps what it holds.
//!
//! A refusal is a defect of ours, not a state of the drive. The engine then never resets the zone in this run: it
//! counts the event, logs it as an error with the refusal's sentence, and leaves the zone as it is.

use std::fmt;

use crate::referee_reserved::Reserved;

/// Why a zone is not reset. The names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The drive has no such zone.
    Unknown,
    /// It belongs to the label or to a checkpoint, and the order was for a zone of the log.
    Reserved,
    /// The order was for a zone of the label or of a checkpoint, and it was never declared as one.
    NotReserved,
    /// A mount would need it now: it holds the newest label or the newest good checkpoint.
    Needed,
    /// The order names another life of the zone than the one it is in.
    OtherLife {
        /// The life that it is in.
        incarnation: u64,
    },
    /// What was told of the zone cannot all be true.
    Contradiction,
    /// It holds live records by the referee's own count.
    Live {
        /// How many.
        records: u32,
    },
    /// It was not put into the trash.
    NotInTrash,
    /// It was not inspected since it was put into the trash, or since a record was last committed into it.
    NotInspected,
    /// The inspection found something alive in it.
    FoundLive,
    /// It has not rested in the trash for long enough.
    NotRested {
        /// How long it has still to rest, in microseconds.
        left_us: u64,
    },
}

impl Refusal {
    /// The refusal's stable name for programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown-zone",
            Self::Reserved => "reserved",
            Self::NotReserved => "not-reserved",
            Self::Needed => "needed",
            Self::OtherLife { .. } => "other-life",
            Self::Contradiction => "contradiction",
            Self::Live { .. } => "live-records",
            Self::NotInTrash => "not-in-trash",
            Self::NotInspected => "not-inspected",
            Self::FoundLive => "found-live",
            Self::NotRested { .. } => "not-rested",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => write!(f, "the drive has no such zone"),
            Self::Reserved => write!(f, "the zone belongs to the label or to a checkpoint"),
            Self::NotReserved => {
                write!(f, "the zone was not declared as one of the label or of a checkpoint")
            }
            Self::Needed => write!(f, "a mount would need the label or the checkpoint in this zone"),
            Self::OtherLife { incarnation } => {
                write!(f, "the zone is in another life, {incarnation}, than the one that is to end")
            }
            Self::Contradiction => write!(f, "what was told of the zone cannot all be true"),
            Self::Live { records } => write!(f, "the zone holds {records} live records"),
            Self::NotInTrash => write!(f, "the zone was not put into the trash"),
            Self::NotInspected => write!(f, "the zone was not inspected since it was last changed"),
            Self::FoundLive => write!(f, "the inspection found something alive in the zone"),
            Self::NotRested { left_us } => {
                write!(f, "the zone has still to rest in the trash for {left_us} microseconds")
            }
        }
    }
}

/// How far a zone has come in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has not begun.
    Empty,
    /// Records are being written.
    Open,
    /// It takes no more.
    Closed,
    /// It waits for its reset.
    Trashed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inspection {
    None,
    FoundNothing,
    FoundLive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    Log,
    /// Label or checkpoint.
    Reserved,
}

/// The books of one zone.
#[derive(Clone, Copy, Debug)]
struct Books {
    incarnation: u64,
    trashed_us: u64,
    live_records: u32,
    stage: Stage,
    inspection: Inspection,
    area: Area,
    /// Whether they contradict themselves.
    is_contradictory: bool,
}

const _: () = assert!(size_of::<Books>() == 24);

impl Books {
    const NONE: Self = Self {
        incarnation: 0,
        trashed_us: 0,
        live_records: 0,
        stage: Stage::Empty,
        inspection: Inspection::None,
        area: Area::Log,
        is_contradictory: false,
    };

    fn judge(&self, incarnation: u64, now_us: u64, rest_us: u64) -> Result<(), Refusal> {
        if self.is_contradictory {
            return Err(Refusal::Contradiction);
        }
        if self.area != Area::Log {
            return Err(Refusal::Reserved);
        }
        if self.incarnation != incarnation {
            return Err(Refusal::OtherLife { incarnation: self.incarnation });
        }
        if self.live_records > 0 {
            return Err(Refusal::Live { records: self.live_records });
        }
        if self.stage != Stage::Trashed {
            return Err(Refusal::NotInTrash);
        }
        match self.inspection {
            Inspection::None => return Err(Refusal::NotInspected),
            Inspection::FoundLive => return Err(Refusal::FoundLive),
            Inspection::FoundNothing => {}
        }
        // A clock that has fallen counts as no rest at all.
        let left_us = rest_us.saturating_sub(now_us.saturating_sub(self.trashed_us));
        if left_us > 0 { Err(Refusal::NotRested { left_us }) } else { Ok(()) }
    }
}

/// See the module.
pub(crate) struct Referee {
    books: Box<[Books]>,
    rest_us: u64,
    /// The zone whose reset was allowed last and has not been done yet.
    allowed: Option<u32>,
    contradictions: u64,
    /// What stands of labels and checkpoints.
    pub(crate) reserved: Reserved,
}

impl Referee {
    /// A referee of a drive of `zone_count` zones, where trash rests for `rest_us`. It takes all its memory now. After a
    /// mount it is told of every zone's life and of every live record, as if they had just been written.
    pub(crate) fn new(zone_count: u32, rest_us: u64) -> Self {
        let books = vec![Books::NONE; zone_count as usize].into_boxed_slice();
        Self { books, rest_us, allowed: None, contradictions: 0, reserved: Reserved::default() }
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        size_of_val(&*self.books) as u64
    }

    /// How often it was told what contradicts what it knew. Each is a defect of ours.
    #[cfg(test)]
    pub(crate) fn contradictions(&self) -> u64 {
        self.contradictions
    }

    /// How many live records a zone holds by its own count.
    #[cfg(test)]
    pub(crate) fn live_records(&self, zone: u32) -> u32 {
        self.books.get(zone as usize).map_or(0, |books| books.live_records)
    }

    /// Changes the books of a zone; `change` tells whether what it was told can be true. Whatever was allowed is no
    /// longer, if it was this zone.
    fn told(&mut self, zone: u32, change: impl FnOnce(&mut Books) -> bool) {
        self.allowed = self.allowed.filter(|allowed| *allowed != zone);
        let Some(books) = self.books.get_mut(zone as usize) else {
            self.contradictions += 1;
            return;
        };
        if !change(books) {
            tracing::error!(zone, known = ?books, "what the referee was told of a zone cannot all be true");
            books.is_contradictory = true;
            self.contradictions += 1;
        }
    }

    /// A zone of the log begins a life.
    pub(crate) fn opened(&mut self, zone: u32, incarnation: u64) {
        self.told(zone, |books| {
            let is_possible =
                books.stage == Stage::Empty && books.area == Area::Log && books.live_records == 0;
            books.incarnation = incarnation;
            books.stage = Stage::Open;
            books.inspection = Inspection::None;
            is_possible
        });
    }

    /// A zone takes no more records: it was sealed, or fenced. It may be told of both.
    pub(crate) fn closed(&mut self, zone: u32, incarnation: u64) {
        self.told(zone, |books| {
            let is_possible = matches!(books.stage, Stage::Open | Stage::Closed);
            books.stage = Stage::Closed;
            is_possible && books.incarnation == incarnation
        });
    }

    /// A record in this zone has become visible.
    pub(crate) fn committed(&mut self, zone: u32, incarnation: u64) {
        self.told(zone, |books| {
            books.live_records = books.live_records.saturating_add(1);
            books.inspection = Inspection::None;
            books.incarnation == incarnation && matches!(books.stage, Stage::Open | Stage::Closed)
        });
    }

    /// A visible record in this zone has been deleted, moved or replaced.
    pub(crate) fn killed(&mut self, zone: u32, incarnation: u64) {
        self.told(zone, |books| {
            let is_possible = books.incarnation == incarnation && books.live_records > 0;
            books.live_records = books.live_records.saturating_sub(u32::from(is_possible));
            is_possible
        });
    }

    /// A zone was put into the trash.
    pub(crate) fn trashed(&mut self, zone: u32, incarnation: u64, now_us: u64) {
        self.told(zone, |books| {
            let is_possible = books.stage == Stage::Closed && books.incarnation == incarnation;
            books.stage = Stage::Trashed;
            books.trashed_us = now_us;
            books.inspection = Inspection::None;
            is_possible
        });
    }

    /// The inspector has looked at a zone in the trash: `live_found` records of its own table or headers that are not
    /// dead, `index_entries_found` entries of the index that name it.
    pub(crate) fn inspected(
        &mut self,
        zone: u32,
        incarnation: u64,
        live_found: u64,
        index_entries_found: u64,
    ) {
        self.told(zone, |books| {
            let found_nothing = live_found == 0 && index_entries_found == 0;
            // Having been found alive once is not forgotten in the same life.
            if !found_nothing {
                books.inspection = Inspection::FoundLive;
            } else if books.inspection == Inspection::None && books.stage == Stage::Trashed {
                books.inspection = Inspection::FoundNothing;
            }
            books.incarnation == incarnation
        });
    }

    /// Declares a zone as one of the label or of a checkpoint, before anything else is told of it.
    pub(crate) fn reserve(&mut self, zone: u32) {
        self.told(zone, |books| {
            let is_possible = books.stage == Stage::Empty && books.live_records == 0;
            books.area = Area::Reserved;
            is_possible
        });
    }

    /// Declares a reserved zone as one of the log: it holds nothing, and nothing names it as a label's or a checkpoint's.
    pub(crate) fn release(&mut self, zone: u32) {
        self.told(zone, |books| {
            let is_possible = books.area != Area::Log && books.stage == Stage::Empty;
            books.area = Area::Log;
            is_possible
        });
    }

    /// Whether the life `incarnation` of a zone of the log may end now.
    ///
    /// # Errors
    ///
    /// The first reason against it.
    pub(crate) fn judge_reset(&mut self, zone: u32, incarnation: u64, now_us: u64) -> Result<(), Refusal> {
        self.allowed = None;
        let books = self.books.get(zone as usize).ok_or(Refusal::Unknown)?;
        books.judge(incarnation, now_us, self.rest_us)?;
        self.allowed = Some(zone);
        Ok(())
    }

    /// Whether a zone of the label or of a checkpoint may be reset now.
    ///
    /// # Errors
    ///
    /// The first reason against it.
    pub(crate) fn judge_reserved_reset(&mut self, zone: u32) -> Result<(), Refusal> {
        self.allowed = None;
        let books = self.books.get(zone as usize).ok_or(Refusal::Unknown)?;
        match books.area {
            _ if books.is_contradictory => return Err(Refusal::Contradiction),
            Area::Log => return Err(Refusal::NotReserved),
            Area::Reserved if self.reserved.needs(zone) => return Err(Refusal::Needed),
            Area::Reserved => {}
        }
        self.allowed = Some(zone);
        Ok(())
    }

    /// A zone was reset, and the drive has confirmed it. A reset that was not allowed just before is counted as a
    /// contradiction, and the zone is not trusted again.
    pub(crate) fn reset_done(&mut self, zone: u32) {
        let was_allowed = self.allowed == Some(zone);
        self.told(zone, |books| {
            *books = Books { area: books.area, is_contradictory: books.is_contradictory, ..Books::NONE };
            was_allowed
        });
    }
}

#[cfg(test)]
#[path = "referee_tests.rs"]
mod tests;
