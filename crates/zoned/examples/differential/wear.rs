//! Wears out single zones of both drives: the real one's by `null_blk`'s configfs attributes `zone_readonly` and
//! `zone_offline`, which take a sector (the kernel's `Documentation/block/null_blk.rst`).

use std::fs;
use std::path::PathBuf;

use imbrex_zoned::Condition;
use imbrex_zoned::simulated::SimulatedDrive;

/// The unit of the attributes in bytes.
const SECTOR_BYTES: u64 = 512;

/// How many zones of a run wear out: the others are to go on.
const ZONES_MAX: usize = 6;

/// The means to wear out zones.
pub(crate) struct Wear {
    folder: PathBuf,
    simulated: SimulatedDrive,
    /// The zones that have worn out: a second time would make such a zone of `null_blk` empty again.
    zones: Vec<u32>,
}

impl Wear {
    pub(crate) fn new(folder: PathBuf, simulated: SimulatedDrive) -> Self {
        Self { folder, simulated, zones: Vec::new() }
    }

    /// Whether `zone` may wear out.
    pub(crate) fn allows(&self, zone: u32) -> bool {
        self.zones.len() < ZONES_MAX && !self.zones.contains(&zone)
    }

    /// Sets `zone`, which begins at byte `start_bytes`, to `condition`.
    pub(crate) fn wear_out(
        &mut self,
        zone: u32,
        start_bytes: u64,
        condition: Condition,
    ) -> Result<(), String> {
        self.zones.push(zone);
        let name = if condition == Condition::Offline { "zone_offline" } else { "zone_readonly" };
        let path = self.folder.join(name);
        let sector = start_bytes / SECTOR_BYTES;
        fs::write(&path, sector.to_string())
            .map_err(|error| format!("writing {sector} to {}: {error}", path.display()))?;
        self.simulated.wear_out(zone, condition).map_err(|error| error.to_string())
    }
}
