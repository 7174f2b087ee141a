//! A group of records that become durable together, and who waits for it.

use std::collections::VecDeque;

use imbrex_format::{Key, TableEntry};
use imbrex_zoned::Buffer;

use crate::location::Location;
use crate::log::Stream;
use crate::mutation::{Mutation, is};
use crate::pending::{Kill, PendingDelete, PendingPut, PutOrigin};
use crate::reserve::Purpose;

/// One write of a group.
pub(crate) enum Write {
    /// Records, in buffers that are kept until they are durable.
    Records { zone: u32, unit: u32, buffer: Buffer },
    /// A buffer of the reserve.
    Reserved { zone: u32, unit: u32, purpose: Purpose, buffer: Buffer },
    /// Zeros.
    Zeros { zone: u32, unit: u32, unit_count: u32 },
    /// A flush between two writes, so that what a commit or a footer vouches for is durable before it: see
    /// [`Store::barrier`](crate::store::Store::barrier) and [`Group::replaces_a_copy`].
    Barrier { zone: u32 },
}

impl Write {
    /// The zone that it goes to.
    pub(crate) fn zone(&self) -> u32 {
        match self {
            Self::Records { zone, .. }
            | Self::Reserved { zone, .. }
            | Self::Zeros { zone, .. }
            | Self::Barrier { zone } => *zone,
        }
    }
}

/// Somebody who waits for a group.
pub(crate) enum Member {
    Put { key: Key, location: Location, payload_bytes: u32, birth: u64, kills: Vec<Kill>, origin: PutOrigin },
    Delete(PendingDelete),
}

/// Records that become durable together.
pub(crate) struct Group {
    pub(crate) stream: Stream,
    pub(crate) zone: u32,
    pub(crate) incarnation: u64,
    /// How far the zone is good once the group is durable.
    pub(crate) end_unit: u32,
    pub(crate) writes: VecDeque<Write>,
    pub(crate) in_flight: Option<InFlight>,
    /// Whether a barrier has ended and nothing was written since.
    pub(crate) is_behind_barrier: bool,
    pub(crate) members: Vec<Member>,
    /// What its commit lists.
    pub(crate) entries: Vec<TableEntry>,
    pub(crate) first_sequence: u64,
    pub(crate) record_count: u32,
    /// Buffers of records that are written and not yet durable, by their first unit.
    pub(crate) written: Vec<(u32, Buffer)>,
    /// The zone before this one, where the group seals it.
    pub(crate) sealed_zone: Option<u32>,
    /// Whether it is given up as soon as the device has let go of it.
    pub(crate) failed: bool,
}

/// What the device is doing for the group.
pub(crate) enum InFlight {
    Barrier,
    Write {
        /// Whose buffer it is, where it is one of the reserve.
        purpose: Option<Purpose>,
        zone: u32,
        unit: u32,
        /// How far the zone is written once it is done.
        end_unit: u32,
    },
}

impl Group {
    /// A group without members, which begins at `end_unit` of a zone with `writes` that come before its records.
    pub(crate) fn new(
        stream: Stream,
        zone: u32,
        incarnation: u64,
        end_unit: u32,
        first_sequence: u64,
        writes: VecDeque<Write>,
    ) -> Self {
        Self {
            stream,
            zone,
            incarnation,
            end_unit,
            writes,
            in_flight: None,
            is_behind_barrier: false,
            members: Vec::new(),
            entries: Vec::new(),
            first_sequence,
            record_count: 0,
            written: Vec::new(),
            sealed_zone: None,
            failed: false,
        }
    }

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

    /// Whether it holds a block and kills another copy of it, as a move does. Its commit must not stand where the new
    /// copy does not: a flush can fail and take the one, with the other written behind it, and the power can go before that
    /// is told. The old copy, which was acknowledged, would be dead then.
    pub(crate) fn replaces_a_copy(&self) -> bool {
        self.members.iter().any(|member| matches!(member, Member::Put { kills, .. } if !kills.is_empty()))
    }

    /// Whether what it writes next has to wait until no flush is in flight: a barrier begins then, and is past only then,
    /// for a failure is told once, by whichever flush comes first.
    pub(crate) fn awaits_flushes(&self) -> bool {
        self.is_behind_barrier || matches!(self.writes.front(), Some(Write::Barrier { .. }))
    }

    /// The zones that it has written to, or is writing to.
    pub(crate) fn zones(&self) -> impl Iterator<Item = u32> {
        self.sealed_zone.into_iter().chain([self.zone])
    }

    /// Takes the group apart: its members as they were before it was formed, with what they had become to be killed, and
    /// the writes that hold buffers of the reserve.
    pub(crate) fn dissolve(self) -> (Vec<Dissolved>, Vec<Write>) {
        let Self { stream, incarnation, writes, members, mut written, .. } = self;
        let mut reserved = Vec::new();
        for write in writes {
            match write {
                Write::Records { unit, buffer, .. } => written.push((unit, buffer)),
                write => reserved.push(write),
            }
        }
        let mut records = Records { runs: written };
        let dissolved = members.into_iter().map(|member| match member {
            Member::Put { key, location, payload_bytes, birth, mut kills, origin } => {
                let Some(buffer) = records.take(location) else {
                    return Dissolved::Lost { key, location, origin };
                };
                if !is(Mutation::ForgetAbandonedPlace) {
                    kills.push(Kill { location, incarnation, birth });
                }
                let put =
                    PendingPut { key, buffer, payload_bytes, birth: Some(birth), kills, stream, origin };
                Dissolved::Put(location, put)
            }
            Member::Delete(delete) => Dissolved::Delete(delete),
        });
        let dissolved = dissolved.collect();
        (dissolved, reserved)
    }
}

/// A member of a group that was given up.
pub(crate) enum Dissolved {
    /// A put, and the place that it had.
    Put(Location, PendingPut),
    Delete(PendingDelete),
    /// A put whose buffer the device has kept.
    Lost {
        key: Key,
        location: Location,
        origin: PutOrigin,
    },
}

/// Runs of records, each in one buffer, by their first unit.
struct Records {
    runs: Vec<(u32, Buffer)>,
}

impl Records {
    /// Cuts one record out of the run in which it lies.
    fn take(&mut self, location: Location) -> Option<Buffer> {
        let (first, count) = (location.unit_offset, location.unit_count);
        let units =
            |buffer: &Buffer| u32::try_from(buffer.len() / imbrex_format::UNIT_BYTES).unwrap_or(u32::MAX);
        let holds = |run: &(u32, Buffer)| run.0 <= first && first + count <= run.0 + units(&run.1);
        let place = self.runs.iter().position(holds)?;
        let (begin, mut buffer) = self.runs.swap_remove(place);
        let bytes = |units: u32| units as usize * imbrex_format::UNIT_BYTES;
        if begin < first {
            let rest = buffer.split_off(bytes(first - begin));
            self.runs.push((begin, buffer));
            buffer = rest;
        }
        if buffer.len() > bytes(count) {
            self.runs.push((first + count, buffer.split_off(bytes(count))));
        }
        Some(buffer)
    }
}
