//! Puts and deletions that wait for a group.

use std::collections::VecDeque;

use imbrex_format::{Key, TombstoneEntry, record_units};
use imbrex_zoned::Buffer;

use crate::command::Reply;
use crate::location::Location;
use crate::log::{STREAMS, Stream};
use crate::request::{Class, PutOutcome};

/// A record that a tombstone is to kill, by its place and the life of its zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kill {
    pub(crate) location: Location,
    pub(crate) incarnation: u64,
    pub(crate) birth: u64,
}

impl Kill {
    /// As the log says it.
    pub(crate) fn tombstone(&self, key: Key) -> TombstoneEntry {
        let Location { zone, unit_offset, .. } = self.location;
        TombstoneEntry { key, zone, unit_offset, incarnation: self.incarnation, birth: self.birth }
    }
}

/// Who wants a block written.
pub(crate) enum PutOrigin {
    Client {
        reply: Reply<PutOutcome>,
        class: Class,
        deadline_us: u64,
    },
    /// Reclaim moves it from a zone that is to be reset.
    Moved,
}

impl PutOrigin {
    /// Whether nobody awaits it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        matches!(self, Self::Client { reply, .. } if reply.is_abandoned())
    }
}

/// A block that waits for a place in the log. Its key is busy.
pub(crate) struct PendingPut {
    pub(crate) key: Key,
    pub(crate) buffer: Buffer,
    pub(crate) payload_bytes: u32,
    /// The sequence under which the block was first stored; `None` where this is the first time.
    pub(crate) birth: Option<u64>,
    /// The records that it replaces: the damaged or moved copy, and places that a failed write has left behind.
    pub(crate) kills: Vec<Kill>,
    pub(crate) stream: Stream,
    pub(crate) origin: PutOrigin,
}

impl PendingPut {
    /// How many units its record has.
    pub(crate) fn units(&self) -> u32 {
        record_units(self.payload_bytes as usize)
    }

    /// How many entries it adds to a table.
    pub(crate) fn entries(&self) -> usize {
        1 + self.kills.len()
    }

    /// Whether it may be dropped: a failed write that may have left it on the disk must be made good.
    pub(crate) fn may_be_dropped(&self) -> bool {
        matches!(self.origin, PutOrigin::Client { .. }) && self.birth.is_none()
    }

    /// Whether a failed write may have left it where it stands no more: then it must be made good.
    pub(crate) fn is_owed(&self) -> bool {
        match self.origin {
            PutOrigin::Client { .. } => self.birth.is_some(),
            // One copy is killed by every move.
            PutOrigin::Moved => self.kills.len() > 1,
        }
    }

    /// The queue in which it waits: what reclaim moves has one of its own.
    fn queue(&self) -> usize {
        match self.origin {
            PutOrigin::Moved => MOVED,
            PutOrigin::Client { class: Class::Foreground, .. } => 1,
            PutOrigin::Client { class: Class::Repair, .. } => 2,
            PutOrigin::Client { class: Class::Background, .. } => 3,
        }
    }
}

/// A tombstone that waits for a place in the log.
pub(crate) struct PendingDelete {
    pub(crate) key: Key,
    pub(crate) kill: Kill,
    /// `None` where reclaim carries on a tombstone that is still needed.
    pub(crate) reply: Option<Reply<()>>,
    /// Whether a failed group may have left the tombstone on the disk: then it must be made good, whoever has gone.
    pub(crate) is_owed: bool,
    /// When it need not be written any more.
    pub(crate) deadline_us: u64,
}

impl PendingDelete {
    /// Whether it may be dropped, when nobody waits for it or when it has waited too long.
    pub(crate) fn may_be_dropped(&self) -> bool {
        self.reply.is_some() && !self.is_owed
    }

    /// Whether nobody awaits it any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(Reply::is_abandoned)
    }
}

/// How often the class that waits longest behind others has its turn: once in so many.
const TURNS_OF_OTHERS: u64 = 8;

/// The queue of what reclaim moves, among those of a stream.
const MOVED: usize = 0;

/// Puts of one stream: foreground before repair before background, but each has its turns. What reclaim moves comes
/// first, and no client's put ever stands before it: on a full drive clients wait for the room that it makes. It is never
/// more than reclaim's own memory holds.
#[derive(Default)]
struct PutQueue {
    classes: [VecDeque<PendingPut>; 4],
    turn: u64,
}

impl PutQueue {
    fn next_class(&self) -> Option<usize> {
        if !self.classes[MOVED].is_empty() {
            return Some(MOVED);
        }
        let mut waiting = (1..4).filter(|class| !self.classes[*class].is_empty());
        if self.turn % TURNS_OF_OTHERS == TURNS_OF_OTHERS - 1 { waiting.next_back() } else { waiting.next() }
    }
}

/// What waits for a group, by stream. Bounded by the requests that the engine takes, and by reclaim's own bound.
pub(crate) struct Pending {
    puts: [PutQueue; STREAMS],
    deletes: [VecDeque<PendingDelete>; STREAMS],
}

impl Pending {
    /// Room for `requests_max` requests.
    pub(crate) fn new(requests_max: usize) -> Self {
        let mut pending = Self { puts: Default::default(), deletes: Default::default() };
        pending.puts[Stream::Hot as usize].classes[1].reserve_exact(requests_max);
        pending.deletes[Stream::Hot as usize].reserve_exact(requests_max);
        pending
    }

    pub(crate) fn push_put(&mut self, put: PendingPut) {
        self.puts[put.stream as usize].classes[put.queue()].push_back(put);
    }

    /// Puts one back before all others of its class.
    pub(crate) fn return_put(&mut self, put: PendingPut) {
        self.puts[put.stream as usize].classes[put.queue()].push_front(put);
    }

    pub(crate) fn push_delete(&mut self, stream: Stream, delete: PendingDelete) {
        self.deletes[stream as usize].push_back(delete);
    }

    pub(crate) fn return_delete(&mut self, stream: Stream, delete: PendingDelete) {
        self.deletes[stream as usize].push_front(delete);
    }

    /// The put that the stream writes next.
    pub(crate) fn first_put(&self, stream: Stream) -> Option<&PendingPut> {
        let queue = &self.puts[stream as usize];
        queue.classes[queue.next_class()?].front()
    }

    pub(crate) fn take_put(&mut self, stream: Stream) -> Option<PendingPut> {
        let queue = &mut self.puts[stream as usize];
        let class = queue.next_class()?;
        queue.turn += 1;
        queue.classes[class].pop_front()
    }

    pub(crate) fn take_delete(&mut self, stream: Stream) -> Option<PendingDelete> {
        self.deletes[stream as usize].pop_front()
    }

    pub(crate) fn has_put(&self, stream: Stream) -> bool {
        self.first_put(stream).is_some()
    }

    pub(crate) fn has_delete(&self, stream: Stream) -> bool {
        !self.deletes[stream as usize].is_empty()
    }

    /// Whether one waits that has to be written: reclaim's, or one that a failed group has left behind.
    pub(crate) fn has_own_delete(&self, stream: Stream) -> bool {
        self.deletes[stream as usize].iter().any(|delete| !delete.may_be_dropped())
    }

    /// Whether a deletion waits that must be made good.
    pub(crate) fn has_owed_delete(&self) -> bool {
        self.deletes.iter().flatten().any(|delete| delete.is_owed)
    }

    /// Lets the deletions of one stream wait in another.
    pub(crate) fn let_deletes_wait_in(&mut self, from: Stream, to: Stream) {
        // Each queue keeps the memory that was taken for it at start.
        for _ in 0..self.deletes[from as usize].len() {
            let delete = self.deletes[from as usize].pop_front();
            self.deletes[to as usize].extend(delete);
        }
    }

    /// Lets what reclaim moves to one stream wait in another.
    pub(crate) fn let_moves_wait_in(&mut self, from: Stream, to: Stream) {
        for _ in 0..self.puts[from as usize].classes[MOVED].len() {
            let moved = self.puts[from as usize].classes[MOVED].pop_front();
            self.puts[to as usize].classes[MOVED].extend(moved.map(|put| PendingPut { stream: to, ..put }));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        Stream::ALL.into_iter().all(|stream| !self.has_put(stream) && !self.has_delete(stream))
    }

    /// Takes the puts for which `test` is true.
    pub(crate) fn extract_puts(&mut self, mut test: impl FnMut(&PendingPut) -> bool) -> Vec<PendingPut> {
        let mut taken = Vec::new();
        for queue in self.puts.iter_mut().flat_map(|queue| &mut queue.classes) {
            for _ in 0..queue.len() {
                match queue.pop_front() {
                    Some(put) if test(&put) => taken.push(put),
                    Some(put) => queue.push_back(put),
                    None => break,
                }
            }
        }
        taken
    }

    /// Takes the deletions for which `test` is true.
    pub(crate) fn extract_deletes(
        &mut self,
        mut test: impl FnMut(&PendingDelete) -> bool,
    ) -> Vec<PendingDelete> {
        let mut taken = Vec::new();
        for queue in &mut self.deletes {
            for _ in 0..queue.len() {
                match queue.pop_front() {
                    Some(delete) if test(&delete) => taken.push(delete),
                    Some(delete) => queue.push_back(delete),
                    None => break,
                }
            }
        }
        taken
    }
}

#[cfg(test)]
impl Pending {
    pub(crate) fn describe(&self) -> Vec<(Stream, usize, usize)> {
        let of = |stream: Stream| {
            let puts = self.puts[stream as usize].classes.iter().map(VecDeque::len).sum();
            (stream, puts, self.deletes[stream as usize].len())
        };
        Stream::ALL.into_iter().map(of).collect()
    }
}
