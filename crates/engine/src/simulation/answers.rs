//! What an answer must be.

use imbrex_zoned::simulated::FaultKind;
use tokio::sync::oneshot::error::TryRecvError;

use super::model::Content;
use super::setup::Faults;
use super::world::{Answer, Pending, World};
use crate::request::{Block, BlockHead, EngineError, PutOutcome, RangeRequest};

/// Takes an answer, if it has come.
fn take<T>(answer: &mut Answer<T>, key: u64) -> Option<Result<T, EngineError>> {
    match answer.try_recv() {
        Ok(answer) => Some(answer),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Closed) => panic!("a request for key {key} was dropped"),
    }
}

impl World {
    /// Takes the answers that have come and holds them against the model.
    pub(super) fn collect(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain_mut(|pending| !self.is_answered(pending));
        // Nothing new is asked while answers are taken.
        self.pending = pending;
    }

    fn is_answered(&mut self, pending: &mut Pending) -> bool {
        let (key, is_answered) = match pending {
            Pending::Put { key, content, places, answer } => {
                let answer = take(answer, *key);
                let is_answered = answer.is_some();
                let may_replace = is_answered && self.may_replace(places);
                answer.into_iter().for_each(|answer| self.put_answered(*key, *content, may_replace, answer));
                (*key, is_answered)
            }
            Pending::Delete { key, answer } => {
                let answer = take(answer, *key);
                let is_answered = answer.is_some();
                answer.into_iter().for_each(|answer| self.delete_answered(*key, &answer));
                (*key, is_answered)
            }
            Pending::Get { key, range, answer } => {
                let answer = take(answer, *key);
                let is_answered = answer.is_some();
                answer.into_iter().for_each(|answer| self.get_answered(*key, *range, answer));
                (*key, is_answered)
            }
            Pending::Head { key, answer } => {
                let answer = take(answer, *key);
                let is_answered = answer.is_some();
                answer.into_iter().for_each(|answer| self.head_answered(*key, &answer));
                (*key, is_answered)
            }
        };
        if is_answered {
            self.busy.remove(&key);
        }
        is_answered
    }

    fn is_haunted(&self, key: u64) -> bool {
        self.haunted.contains(&key)
    }

    fn put_answered(
        &mut self,
        key: u64,
        content: Content,
        may_replace: bool,
        answer: Result<PutOutcome, EngineError>,
    ) {
        let possible = self.model.possible(key);
        match answer {
            Ok(PutOutcome::Stored) => {
                let allowed = self.model.may_be_absent(key) || may_replace || self.is_haunted(key);
                assert!(allowed, "key {key} was stored over {possible:?}");
                self.counts.add("put");
                self.model.acknowledged(key, Some(content));
            }
            Ok(PutOutcome::AlreadyStored) => {
                let allowed = possible.contains(&Some(content)) || self.is_haunted(key);
                assert!(allowed, "key {key} cannot hold these bytes: {possible:?}");
                self.counts.add("put: already stored");
                self.model.settle(key, Some(content));
            }
            Err(EngineError::Conflict) => {
                let is_other = |held: &&Option<Content>| held.is_some_and(|held| held != content);
                let others: Vec<_> = possible.iter().filter(is_other).copied().collect();
                assert!(
                    !others.is_empty() || self.is_haunted(key),
                    "key {key} conflicts with nothing: {possible:?}"
                );
                self.counts.add("put: conflict");
                if let [only] = others[..] {
                    self.model.settle(key, only);
                }
            }
            Err(EngineError::Full) => self.counts.add("put: full"),
            Err(EngineError::Overloaded { .. }) => self.counts.add("put: too late"),
            Err(EngineError::IndexFull) if self.setup.blocks_max < self.setup.keys => {
                self.counts.add("put: index full");
            }
            Err(error) => {
                self.assert_may_fail("a put", key, &error);
                self.counts.add("put: failed");
                if self.model.may_be_absent(key) || may_replace {
                    self.model.may_become_by_mount(key, Some(content));
                }
            }
        }
    }

    fn delete_answered(&mut self, key: u64, answer: &Result<(), EngineError>) {
        let possible = self.model.possible(key);
        match answer {
            Ok(()) => {
                let allowed = self.model.may_be_there(key) || self.is_haunted(key);
                assert!(allowed, "key {key} was deleted, and was not there");
                self.counts.add("deletion");
                self.model.acknowledged(key, None);
            }
            Err(EngineError::NotFound) => {
                let allowed = possible.contains(&None) || self.is_haunted(key);
                assert!(allowed, "key {key} was not found, and was acknowledged: {possible:?}");
                self.counts.add("deletion: absent");
                self.model.settle(key, None);
            }
            Err(EngineError::Full) => self.counts.add("deletion: full"),
            Err(EngineError::Overloaded { .. }) => self.counts.add("deletion: too late"),
            Err(error) => {
                self.assert_may_fail("a deletion", key, error);
                self.counts.add("deletion: failed");
                self.model.may_become_by_mount(key, None);
            }
        }
    }

    fn get_answered(&mut self, key: u64, range: RangeRequest, answer: Result<Block, EngineError>) {
        match answer {
            Ok(block) => {
                let is_it = |content: &Content| {
                    let first = usize::try_from(block.range.start).expect("a small block");
                    content.length == block.payload_bytes as usize
                        && content.has(first, block.as_ref())
                        && fits(range, content.length, &block)
                };
                let ghost = || self.model.history(key).iter().copied().find(|_| self.is_haunted(key));
                let possible = self.model.possible(key);
                let held = possible.iter().flatten().copied().find(is_it).or_else(|| ghost().filter(is_it));
                let held = held.or_else(|| {
                    self.model
                        .history(key)
                        .iter()
                        .copied()
                        .find(|content| self.is_haunted(key) && is_it(content))
                });
                assert!(held.is_some(), "key {key} gave bytes that it cannot have: {possible:?}");
                self.counts.add("get");
                // A part of a block may be that of several.
                if possible.iter().flatten().filter(|content| is_it(content)).count() == 1 {
                    self.model.settle(key, held);
                }
            }
            Err(EngineError::NotFound) => {
                self.assert_may_be_absent(key);
                self.counts.add("get: absent");
                self.model.settle(key, None);
            }
            Err(EngineError::RangeNotSatisfiable { payload_bytes }) => {
                let is_it = |content: &Content| content.length == payload_bytes as usize;
                let possible = self.model.possible(key);
                let allowed = possible.iter().flatten().any(is_it) || self.is_haunted(key);
                assert!(allowed, "key {key} has another length: {possible:?}");
                self.counts.add("get: range not satisfiable");
            }
            Err(error) => {
                self.assert_may_fail("a get", key, &error);
                self.counts.add("get: damaged");
            }
        }
    }

    fn head_answered(&mut self, key: u64, answer: &Result<BlockHead, EngineError>) {
        let possible = self.model.possible(key);
        match answer {
            Ok(head) => {
                let is_it = |content: &Content| content.length == head.payload_bytes as usize;
                let allowed = possible.iter().flatten().any(is_it) || self.is_haunted(key);
                assert!(allowed, "key {key} has another length: {possible:?}");
                self.counts.add("head");
            }
            Err(EngineError::NotFound) => self.assert_may_be_absent(key),
            Err(error) => {
                self.assert_may_fail("a head", key, error);
                self.counts.add("head: damaged");
            }
        }
    }

    fn assert_may_be_absent(&self, key: u64) {
        let possible = self.model.possible(key);
        let allowed = possible.contains(&None) || self.is_haunted(key);
        assert!(allowed, "key {key} is lost: {possible:?}; {}", self.engine.describe());
    }

    /// After a fault a request may fail; where there was none that explains it, it may not.
    fn assert_may_fail(&self, what: &str, key: u64, error: &EngineError) {
        let possible = self.model.possible(key);
        // A flush that fails can take a group's records though the commit that was written next stays. Where the power fails
        // before that is told, nobody was told of the group either: its blocks may be there, absent, or damaged.
        let is_unacknowledged = possible.contains(&None)
            && possible.len() > 1
            && self.drive.fault_counts().of(FaultKind::LateFlushError) > 0;
        let is_explained = match error {
            EngineError::Unavailable { .. } => self.setup.faults != Faults::None || self.power_fails,
            EngineError::Overloaded { .. } => true,
            EngineError::Medium { .. } => {
                self.setup.may_fail_reads() || self.has_destroyed() || is_unacknowledged
            }
            // A zone that cannot be read leaves all absent keys in doubt.
            EngineError::Unknown { .. } => self.has_destroyed(),
            // What is read was destroyed; its zone may be another by the time of the answer.
            EngineError::Corrupt { .. } => self.has_destroyed() || is_unacknowledged,
            _ => false,
        };
        assert!(
            is_explained,
            "{what} of key {key}, which may hold {possible:?}, failed: {error}; {}",
            self.engine.describe()
        );
    }
}

/// Whether a block is the part of one of `length` bytes that was asked for.
fn fits(range: RangeRequest, length: usize, block: &Block) -> bool {
    let length = length as u64;
    let wanted = match range {
        RangeRequest::Whole => 0..length,
        RangeRequest::From { first, last } => first..last.map_or(length, |last| length.min(last + 1)),
        RangeRequest::Suffix { length_bytes } => length.saturating_sub(length_bytes)..length,
    };
    block.range == wanted && block.as_ref().len() as u64 == wanted.end - wanted.start
}
