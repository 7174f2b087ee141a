//! What the two drives may say differently, and why. Everything else is a failure.
//!
//! The simulated drive takes the stricter reading where the standards differ (`DESIGN.md` of this crate), so that most
//! rows are a real drive that permits more. "ZBC" is the SCSI command set for zones, "ZNS" that of NVMe.

use imbrex_zoned::{Condition, DeviceError, Zone, ZoneOperation};

use crate::operation::Operation;

/// What was found to differ at one place.
pub(crate) enum Seen<'a> {
    /// The answers to one operation.
    Answers {
        operation: &'a Operation,
        /// The operation's zone as it was before; `None` where there is no such zone.
        before: Option<Zone>,
        room: Room,
        kernel: &'a Result<(), DeviceError>,
        simulated: &'a Result<(), DeviceError>,
    },
    /// The entries of one zone in the reports.
    Zones { kernel: Zone, simulated: Zone, room: Room },
    /// Bytes that nobody has written.
    Fill,
}

/// Which limits were reached before the step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// As many zones were open as may be.
    pub(crate) open_limit: bool,
    /// As many zones were open or closed as may be.
    pub(crate) active_limit: bool,
    /// One of the open zones was opened by a write: the drive may close it to open another.
    pub(crate) implicitly_open: bool,
}

/// What makes both drives equal again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Nothing: they are.
    Nothing,
    /// The zone is reset on both.
    Reset,
    /// The zone is closed on both.
    Close,
}

/// A row of the table.
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    /// For people who read this table; no run prints it.
    #[expect(dead_code, reason = "it is there to be read here")]
    pub(crate) reason: &'static str,
    pub(crate) remedy: Remedy,
    is: fn(&Seen<'_>) -> bool,
}

/// The largest write that no device here cuts, in bytes: null_blk names no limit of its own, and the kernel then takes 255
/// sectors (`BLK_SAFE_MAX_SECTORS`), of which 31 blocks of 4096 bytes are whole.
const REQUEST_BYTES_MIN: usize = 31 * 4096;

/// The number of rows.
pub(crate) const COUNT: usize = 8;

/// All differences that are no failure.
pub(crate) const ALLOWED: [Difference; COUNT] = [
    Difference {
        name: "fill beyond the write pointer",
        reason: "ZBC and ZNS leave open what an unwritten block reads as: null_blk gives ones, others zeros",
        remedy: Remedy::Nothing,
        is: |seen| matches!(seen, Seen::Fill),
    },
    Difference {
        name: "an empty zone is closed",
        reason: "ZBC: CLOSE ZONE of an empty zone does nothing; ZNS: an invalid transition",
        remedy: Remedy::Nothing,
        is: |seen| {
            let Seen::Answers { operation, before: Some(zone), kernel, simulated, .. } = seen else {
                return false;
            };
            let refused = DeviceError::ZoneCondition { zone: zone.index, condition: Condition::Empty };
            orders(operation, ZoneOperation::Close)
                && zone.condition == Condition::Empty
                && kernel.is_ok()
                && **simulated == Err(refused)
        },
    },
    Difference {
        name: "an open zone in which nothing is written is closed",
        reason: "ZBC: it becomes empty; ZNS: it becomes closed, with its pointer at the start, and stays active",
        remedy: Remedy::Reset,
        is: |seen| {
            let Seen::Zones { kernel, simulated, .. } = seen else { return false };
            let both = (kernel.condition, simulated.condition);
            both == (Condition::Closed, Condition::Empty) && kernel.write_pointer_bytes == Some(0)
        },
    },
    Difference {
        name: "which zone the drive closes to open another",
        reason: "ZBC and ZNS: the drive closes any one of those that were opened implicitly, or, where the operation \
                 is refused for another limit, may have closed one already",
        remedy: Remedy::Close,
        is: |seen| {
            let Seen::Zones { kernel, simulated, room } = seen else { return false };
            let either = |one, other| kernel.condition == one && simulated.condition == other;
            let (open, closed) = (Condition::ImplicitOpen, Condition::Closed);
            room.open_limit
                && (either(open, closed) || either(closed, open))
                && kernel.write_pointer_bytes == simulated.write_pointer_bytes
        },
    },
    Difference {
        name: "a zone that is not open is finished at the limit",
        reason: "null_blk opens such a zone to finish it, and needs the room for that; the others do not",
        remedy: Remedy::Reset,
        is: |seen| {
            let Seen::Answers { operation, before: Some(zone), room, kernel, simulated } = seen else {
                return false;
            };
            orders(operation, ZoneOperation::Finish)
                && (room.open_limit || room.active_limit)
                && matches!(zone.condition, Condition::Empty | Condition::Closed)
                && matches!(kernel, Err(DeviceError::TooManyOpenZones { .. } | DeviceError::System { .. }))
                && simulated.is_ok()
        },
    },
    Difference {
        name: "a closed zone is opened with both limits reached",
        reason: "ZBC and ZNS let the drive close a zone that was opened implicitly; null_blk does so only while \
                 another zone could become active",
        remedy: Remedy::Reset,
        is: |seen| {
            let Seen::Answers { operation, before: Some(zone), room, kernel, simulated } = seen else {
                return false;
            };
            let opens = orders(operation, ZoneOperation::Open) || operation.writes().is_some();
            opens
                && zone.condition == Condition::Closed
                && room.open_limit
                && room.active_limit
                && room.implicitly_open
                && refused_for_limit(operation, zone, kernel)
                && simulated.is_ok()
        },
    },
    Difference {
        name: "a large write is refused at a limit as if it had failed",
        reason: "the block layer cuts it into several requests, and the plain error of those that come after the \
                 refused one hides the reason; nothing is written either way",
        remedy: Remedy::Nothing,
        is: |seen| {
            let Seen::Answers { operation, before: Some(zone), room, kernel, simulated } = seen else {
                return false;
            };
            matches!(zone.condition, Condition::Empty | Condition::Closed)
                && (room.open_limit || room.active_limit)
                && matches!(kernel, Err(DeviceError::MediumWrite { .. }))
                && refused_for_limit(operation, zone, kernel)
                && **simulated == Err(DeviceError::TooManyOpenZones { zone: zone.index })
        },
    },
    Difference {
        name: "a zone has worn out unseen",
        reason: "until somebody has looked at the zone, a read of it fails as that of a bad sector does, and an order is \
                 refused for the condition that the zone was known to be in",
        remedy: Remedy::Nothing,
        is: |seen| {
            let Seen::Answers { operation, before: Some(zone), kernel, simulated, .. } = seen else {
                return false;
            };
            let Err(DeviceError::ZoneCondition { condition, .. }) = simulated else { return false };
            let worn = matches!(condition, Condition::ReadOnly | Condition::Offline);
            let known = DeviceError::ZoneCondition { zone: zone.index, condition: zone.condition };
            let reads = matches!(operation, Operation::Read { .. });
            let answered_so = match kernel {
                Err(DeviceError::MediumRead { .. }) => reads,
                Err(error) => *error == known,
                Ok(()) => false,
            };
            worn && zone.condition != *condition && answered_so
        },
    },
];

/// The row that allows what was seen, by its number.
pub(crate) fn allowing(seen: &Seen<'_>) -> Option<usize> {
    ALLOWED.iter().position(|difference| (difference.is)(seen))
}

/// Whether a kernel's answer is what it says at a limit: that, or the plain error of a large write.
fn refused_for_limit(operation: &Operation, zone: &Zone, answer: &Result<(), DeviceError>) -> bool {
    let large =
        matches!(operation, Operation::Write { length_bytes, .. } if *length_bytes > REQUEST_BYTES_MIN);
    *answer == Err(DeviceError::TooManyOpenZones { zone: zone.index })
        || (large && matches!(answer, Err(DeviceError::MediumWrite { .. })))
}

fn orders(operation: &Operation, wanted: ZoneOperation) -> bool {
    matches!(operation, Operation::Order { operation, .. } if *operation == wanted)
}
