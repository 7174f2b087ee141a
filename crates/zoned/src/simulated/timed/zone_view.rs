//! A zone as the model of time sees it.

use crate::{Condition, Zone, ZoneKind};

/// What the model has to know of a zone.
#[derive(Clone, Copy)]
pub(super) struct ZoneView {
    pub(super) sequential: bool,
    /// How far it holds data.
    pub(super) written_bytes: u64,
}

impl ZoneView {
    pub(super) fn of(zone: &Zone) -> Self {
        let written_bytes = match zone.condition {
            Condition::Full => zone.capacity_bytes,
            _ => zone.write_pointer_bytes.unwrap_or(zone.capacity_bytes),
        };
        Self { sequential: zone.kind == ZoneKind::SequentialWriteRequired, written_bytes }
    }
}
