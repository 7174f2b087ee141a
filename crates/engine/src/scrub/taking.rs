//! What the scrub has read, and what was found in it.

use imbrex_format::{ZoneContent, ZoneHeader};
use imbrex_zoned::{Buffer, DeviceError};

use super::Step;
use crate::location::Location;
use crate::request::DamageKind;
use crate::scrub_walk::Findings;
use crate::store::Store;

impl Store {
    /// A read that could not begin is tried again when the engine next turns.
    pub(crate) fn scrub_refused(&mut self, buffer: Option<Buffer>) {
        self.scrub.buffer = self.scrub.buffer.take().or(buffer);
        self.scrub.looked_us = self.now_us;
        match self.scrub.current.as_mut() {
            Some(current) => current.is_reading = false,
            None => self.slot_read_refused(),
        }
    }

    /// Takes a piece that was read.
    pub(crate) fn scrub_read(
        &mut self,
        location: Location,
        result: Result<(), DeviceError>,
        buffer: Option<Buffer>,
    ) {
        if result == Err(DeviceError::Gone) {
            // What a drive that is gone does not give is no damage.
            self.scrub.current = None;
            self.scrub.slots.leave();
            self.scrub.buffer = self.scrub.buffer.take().or(buffer);
            return self.stop_writing(&DeviceError::Gone);
        }
        let Some(current) = self.scrub.current.as_mut() else {
            return self.slots_read(location, &result, buffer);
        };
        current.is_reading = false;
        if let Err(DeviceError::ZoneCondition { zone, condition }) = &result {
            self.zone_changed(*zone, *condition);
        }
        if self.scrub.current.as_ref().is_some_and(|current| self.is_zone_gone(current)) {
            // The read had waited in its queue while the zone was reset.
            self.scrub.current = None;
            self.scrub.buffer = self.scrub.buffer.take().or(buffer);
            return;
        }
        let Some(current) = self.scrub.current.as_mut() else { return };
        match &mut current.step {
            Step::Header => {
                let header = buffer
                    .as_ref()
                    .and_then(|bytes| ZoneHeader::decode(bytes, &self.label, location.zone).ok());
                let is_right = result.is_ok()
                    && header.is_some_and(|header| {
                        header.content == ZoneContent::Records && header.incarnation == current.incarnation
                    });
                current.errors += u64::from(!is_right);
                current.step = Step::Table;
            }
            Step::Table => {
                let read = result.and_then(|()| buffer.ok_or(DeviceError::Gone));
                let entry = self.zones.get(location.zone);
                self.scrub.inventory.took(&self.label, entry, read.as_ref().map(|bytes| &**bytes));
            }
            Step::Walk(walk) => {
                let (index, zones) = (&self.index, &self.zones);
                let bytes = buffer.as_deref().filter(|_| result.is_ok());
                let entries = self.scrub.inventory.entries();
                let findings = walk.take(
                    entries,
                    |key, location| {
                        zones.is_acknowledged(location) && index.contains(index.hash(key), location)
                    },
                    location,
                    bytes,
                );
                self.scrub.buffer = self.scrub.buffer.take().or(buffer);
                self.scrub_found(findings);
            }
        }
    }

    fn scrub_found(&mut self, findings: Findings) {
        self.stats.scrubbed_records += findings.blocks;
        for (key, location, kind) in findings.damaged {
            if !self.index.contains(self.index.hash(&key), location) {
                // It has been deleted or moved meanwhile.
                continue;
            }
            if let Some(current) = self.scrub.current.as_mut() {
                current.errors += 1;
                current.damaged_blocks += 1;
            }
            if self.damage.lists(location) {
                // Known, and counted when it was found: each pass meets it again until it is stored anew.
                continue;
            }
            if !self.record_damaged(key, location, kind) {
                // One more than are listed: it may have been counted before.
                continue;
            }
            self.stats.scrub_errors += 1;
            match kind {
                DamageKind::Medium => self.stats.read_errors += 1,
                DamageKind::Checksum => self.stats.checksum_failures += 1,
            }
            tracing::warn!(%key, zone = location.zone, "the scrub found a damaged block");
        }
    }
}
