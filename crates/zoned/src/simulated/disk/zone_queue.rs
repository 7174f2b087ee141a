//! The host's side of zoned writes: one write in flight per zone, as the `mq-deadline` scheduler and zone write plugs keep
//! it. What waits for a zone and follows on is merged, where there is a scheduler.

use std::collections::{HashMap, VecDeque};

/// The largest request after merging, in bytes: the published sequential run made 4,096 writes of 256 KiB into 984
/// requests, so about 1 MiB.
const REQUEST_BYTES_MAX: u64 = 1 << 20;

/// A write as the drive gets it, and the operations that it is made of.
pub(crate) struct Request {
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: u64,
    pub(crate) operations: Vec<u64>,
}

/// The writes that wait for their zones: a zone has an entry here while a write to it is in flight.
pub(crate) struct ZoneQueue {
    merges: bool,
    zones: HashMap<u64, VecDeque<Request>>,
}

impl ZoneQueue {
    pub(crate) fn new(merges: bool) -> Self {
        Self { merges, zones: HashMap::new() }
    }

    /// Takes a write, and hands it back where it can be sent at once.
    pub(crate) fn submit(&mut self, zone: u64, request: Request) -> Option<Request> {
        let Some(waiting) = self.zones.get_mut(&zone) else {
            self.zones.insert(zone, VecDeque::new());
            return Some(request);
        };
        if self.merges
            && let Some(last) = waiting.back_mut()
            && last.offset_bytes + last.length_bytes == request.offset_bytes
            && last.length_bytes + request.length_bytes <= REQUEST_BYTES_MAX
        {
            last.length_bytes += request.length_bytes;
            last.operations.extend(request.operations);
        } else {
            waiting.push_back(request);
        }
        None
    }

    /// Notes the end of the write in flight to `zone`, and returns the next to send.
    pub(crate) fn ended(&mut self, zone: u64) -> Option<Request> {
        let next = self.zones.get_mut(&zone).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.zones.remove(&zone);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, ZoneQueue};

    fn request(block: u64) -> Request {
        Request { offset_bytes: block << 18, length_bytes: 1 << 18, operations: vec![block] }
    }

    #[test]
    fn one_write_is_in_flight_per_zone_and_what_follows_on_is_merged_up_to_a_mebibyte() {
        let mut queue = ZoneQueue::new(true);
        assert!(queue.submit(0, request(0)).is_some(), "the zone is free");
        assert!((1..=6).all(|block| queue.submit(0, request(block)).is_none()), "the zone is taken");
        assert!(queue.submit(1, request(1024)).is_some(), "another zone is free");
        let merged: Vec<Vec<u64>> =
            std::iter::from_fn(|| queue.ended(0)).map(|request| request.operations).collect();
        assert_eq!(merged, [vec![1, 2, 3, 4], vec![5, 6]]);
        assert!(queue.submit(0, request(7)).is_some(), "the zone is free again");
    }
}
