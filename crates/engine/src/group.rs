//! A group of records that become durable together, and who waits for it.

use std::collections::VecDeque;

use imbrex_format::Key;
use imbrex_zoned::Buffer;

use crate::command::Reply;
use crate::location::Location;
use crate::request::PutOutcome;
use crate::reserve::Purpose;

/// A put whose key is free, or whose stored copy is damaged.
pub(crate) struct PendingPut {
    pub(crate) key: Key,
    pub(crate) buffer: Buffer,
    pub(crate) payload_bytes: u32,
    /// The damaged record that it replaces.
    pub(crate) replaced: Option<Location>,
    pub(crate) reply: Reply<PutOutcome>,
}

/// A deletion whose record has been found.
pub(crate) struct PendingDelete {
    pub(crate) key: Key,
    pub(crate) location: Location,
    pub(crate) birth: u64,
    pub(crate) reply: Reply<()>,
}

/// One write of a group.
pub(crate) enum Write {
    /// Records, in buffers of the pool that goes free afterwards.
    Records { zone: u32, unit: u32, buffer: Buffer },
    /// A buffer of the reserve.
    Reserved { zone: u32, unit: u32, purpose: Purpose, buffer: Buffer },
    /// Zeros.
    Zeros { zone: u32, unit: u32, unit_count: u32 },
    /// A flush between two writes. What a drive keeps of a sequential zone over a power cut is a beginning of what was
    /// written; of a conventional zone it may keep any part. So there, what a commit or a footer vouches for is made
    /// durable before it.
    Barrier,
}

/// Somebody who waits for a group.
pub(crate) enum Member {
    Put {
        key: Key,
        location: Location,
        payload_bytes: u32,
        replaced: Option<Location>,
        reply: Reply<PutOutcome>,
    },
    Delete {
        key: Key,
        location: Location,
        reply: Reply<()>,
    },
}

/// Records that become durable together.
pub(crate) struct Group {
    pub(crate) zone: u32,
    /// How far the zone is good once the group is durable.
    pub(crate) end_unit: u32,
    pub(crate) writes: VecDeque<Write>,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) members: Vec<Member>,
    pub(crate) first_sequence: u64,
    pub(crate) record_count: u32,
}

/// What the device is doing for the group.
pub(crate) enum InFlight {
    Barrier,
    Write {
        /// Whose buffer it is, where it is one of the reserve.
        purpose: Option<Purpose>,
        zone: u32,
        /// How far the zone is written once it is done.
        end_unit: u32,
    },
}

impl Group {
    /// Adds a block's record, to the write before it where their memory is adjacent.
    pub(crate) fn push_records(&mut self, location: Location, buffer: Buffer) {
        let buffer = match self.writes.back_mut() {
            Some(Write::Records { buffer: last, .. }) => match last.absorb(buffer) {
                Ok(()) => return,
                Err(buffer) => buffer,
            },
            _ => buffer,
        };
        self.writes.push_back(Write::Records { zone: location.zone, unit: location.unit_offset, buffer });
    }
}
