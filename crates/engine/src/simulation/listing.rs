//! Listings, a page at a time while other things go on.

use std::collections::BTreeSet;

use tokio::sync::oneshot::error::TryRecvError;

use super::model::number;
use super::setup::Faults;
use super::world::{Answer, World};
use crate::command::{Command, ListRequest, Reply};
use crate::request::{Class, Cursor, EngineError, Page, Stats};

/// A listing under way.
pub(super) struct Listing {
    limit: usize,
    cursor: Cursor,
    answer: Answer<Page>,
    /// Keys that are there from the first page to the last, as far as is known: each must be listed.
    must_be_listed: BTreeSet<u64>,
    /// Keys that can be there at some time.
    may_be_listed: BTreeSet<u64>,
    listed: BTreeSet<u64>,
    /// How many were listed again.
    again: u64,
    /// What can have a block listed again, as often as it had happened when the listing began.
    changes: u64,
}

impl Listing {
    /// A request for the key begins.
    pub(super) fn key_used(&mut self, key: u64) {
        self.must_be_listed.remove(&key);
        self.may_be_listed.insert(key);
    }
}

impl World {
    pub(super) fn begin_listing(&mut self, limit: usize) {
        if self.listing.is_some() {
            return;
        }
        let is_used = |key: &u64| self.busy.contains(key) || self.left.contains(key);
        let must = self.model.keys().filter(|key| !is_used(key) && !self.model.may_be_absent(*key));
        let may = self
            .model
            .keys()
            .filter(|key| is_used(key) || self.model.may_be_there(*key) || self.haunted.contains(key));
        let (must_be_listed, may_be_listed) = (must.collect(), may.collect());
        let cursor = Cursor::default();
        // Before the turn that takes the request: it may close a zone behind the first page.
        let changes = changes(&self.engine.stats());
        let answer = self.ask_page(cursor, limit);
        self.listing = Some(Listing {
            limit,
            cursor,
            answer,
            must_be_listed,
            may_be_listed,
            listed: BTreeSet::new(),
            again: 0,
            changes,
        });
    }

    fn ask_page(&mut self, cursor: Cursor, limit: usize) -> Answer<Page> {
        let (reply, answer) = Reply::new(None);
        self.turn(Some(Command::List(
            ListRequest { cursor, zone: None, limit, class: Class::Foreground },
            reply,
        )));
        answer
    }

    /// Takes a page, if it has come, and asks for the next one.
    pub(super) fn continue_listing(&mut self) {
        let Some(mut listing) = self.listing.take() else { return };
        let page = match listing.answer.try_recv() {
            Ok(page) => page,
            Err(TryRecvError::Empty) => {
                self.listing = Some(listing);
                return;
            }
            Err(TryRecvError::Closed) => panic!("a listing was dropped"),
        };
        let page = match page {
            Ok(page) => page,
            Err(EngineError::Overloaded { .. }) => {
                self.counts.add("listing: too late");
                listing.answer = self.ask_page(listing.cursor, listing.limit);
                self.listing = Some(listing);
                return;
            }
            Err(error) => {
                assert!(self.setup.faults != Faults::None || self.power_fails, "a listing failed: {error}");
                self.counts.add("listing: failed");
                return;
            }
        };
        assert!(page.entries.len() <= listing.limit, "a page is longer than was asked");
        let stands = page.next == Some(listing.cursor) && page.entries.is_empty();
        assert!(!stands, "a listing stands still at {:?}", listing.cursor);
        for entry in &page.entries {
            listing.again += u64::from(!listing.listed.insert(number(&entry.key)));
        }
        match page.next {
            Some(cursor) => {
                listing.cursor = cursor;
                listing.answer = self.ask_page(cursor, listing.limit);
                self.listing = Some(listing);
            }
            None => self.end_listing(&listing),
        }
    }

    fn end_listing(&mut self, listing: &Listing) {
        self.counts.add("listing");
        // An engine that has mounted its drive anew counts from nothing.
        let has_changed = changes(&self.engine.stats()) != listing.changes;
        let ghosts = listing.listed.difference(&listing.may_be_listed);
        let ghosts: Vec<_> = ghosts.filter(|key| !self.haunted.contains(key)).collect();
        assert!(ghosts.is_empty() || self.has_destroyed(), "{ghosts:?} are listed, and cannot be there");
        let missing: Vec<_> = listing.must_be_listed.difference(&listing.listed).collect();
        // What a listing cannot read it cannot list: those are counted as damage, and told by other means.
        let is_whole = self.setup.faults == Faults::None
            || !(self.setup.may_fail_reads() || self.setup.faults == Faults::Destroying);
        // Known: while zones fail, a listing can pass over a block in a zone that is closed before its last group is
        // durable. It is counted.
        let is_known = self.setup.faults != Faults::None;
        if is_whole && is_known && !missing.is_empty() {
            self.counts.add("listing that passed over a block while zones failed");
        }
        assert!(
            missing.is_empty() || !is_whole || is_known,
            "{missing:?} are not listed; {}",
            self.engine.describe()
        );
        let is_quiet = self.setup.faults == Faults::None
            && !has_changed
            && listing.must_be_listed.len() == listing.may_be_listed.len();
        assert!(
            listing.again == 0 || !is_quiet || !self.haunted.is_empty(),
            "{} keys are listed again, and nothing was moved",
            listing.again
        );
    }
}

/// Blocks that reclaim, or a write that failed, has moved; and zones that were closed, for one that was listed while it was
/// open comes again among the closed ones.
fn changes(stats: &Stats) -> u64 {
    stats.moved_blocks + stats.rewritten_blocks + stats.zones_sealed + stats.zones_fenced
}
