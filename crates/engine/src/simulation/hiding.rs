//! What a run takes from a drive by order: what a mount cannot read, and zones that wear out.

use imbrex_format::UNIT_BYTES;
use imbrex_zoned::Condition;

use super::operation::{Concealed, Worn};
use super::setup::Faults;
use super::world::World;

impl World {
    /// Lets the next mount find less than there is.
    pub(super) fn conceal(&mut self, concealed: Concealed) {
        let Some(store) = self.engine.store().filter(|_| concealed != Concealed::Nothing) else { return };
        let unit_bytes = UNIT_BYTES as u64;
        let place = |zone: u32, unit: u32| {
            u64::from(zone) * store.label.zone_size_bytes + u64::from(unit) * unit_bytes
        };
        let hide = |zone: u32, unit: u32| self.drive.conceal(place(zone, unit), unit_bytes);
        let newest = store.checkpointing.newest_slot().unwrap_or(0);
        let slots = match concealed {
            Concealed::Newest => newest..newest + 1,
            Concealed::Both | Concealed::Footers => 0..2,
            Concealed::Nothing | Concealed::Label | Concealed::Labels => 0..0,
        };
        slots.flat_map(|slot| store.label.checkpoint_slot(slot)).for_each(|zone| hide(zone, 0));
        if concealed == Concealed::Footers {
            for (zone, entry) in store.zones.iter().filter(|(_, entry)| entry.capacity_units > 0) {
                hide(zone, entry.capacity_units - 1);
            }
        }
        let [_, newest] = store.checkpointing.labels.worst_first();
        for (nth, zone) in store.label.label_zones.into_iter().enumerate() {
            if concealed == Concealed::Labels || (concealed == Concealed::Label && nth == newest) {
                hide(zone, 0);
            }
        }
        let is_stale_left =
            concealed == Concealed::Label && !store.checkpointing.labels.generations_are_same();
        if is_stale_left {
            self.counts.add("mount that finds only an older label");
        }
        self.counts.add(match concealed {
            Concealed::Label => "mount that cannot read a label",
            Concealed::Labels => "mount that can read no label",
            _ => "mount that cannot read what is whole",
        });
        self.labels_are_concealed = concealed == Concealed::Labels;
    }

    /// Lets a zone turn read-only.
    pub(super) fn wear(&mut self, what: Worn) {
        let Some(store) = self.engine.store().filter(|_| self.setup.faults != Faults::None) else { return };
        let zone = match what {
            Worn::Label => Some(store.label.label_zones[1]),
            Worn::Checkpoint => {
                store.checkpointing.newest_slot().and_then(|slot| store.label.checkpoint_slot(slot).next())
            }
        };
        let Some(zone) = zone.filter(|_| !self.worn.contains(&what)) else { return };
        self.worn.push(what);
        self.counts.add(match what {
            Worn::Label => "label zone worn out",
            Worn::Checkpoint => "checkpoint zone worn out",
        });
        self.drive.wear_out(zone, Condition::ReadOnly).expect("a zone that wears out");
    }

    /// Lets faults destroy one label and spare the other: in turns, where both are whole. Both at once leave a drive on which
    /// nothing else is written without its secret; that is tried by concealing them.
    pub(super) fn spare_a_label(&mut self) {
        if self.setup.faults == Faults::None {
            return;
        }
        let Some(store) = self.engine.store() else { return };
        let labels = &store.checkpointing.labels;
        let [worst, best] = labels.worst_first();
        let is_turn = labels.are_whole() && self.counts.of("restart").is_multiple_of(2);
        let spared = if is_turn { worst } else { best };
        self.drive.spare_zones(&[labels.label.label_zones[spared]]);
    }
}
