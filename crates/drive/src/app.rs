//! What every request reaches: the engine, the memory's keeper, the figures, and whether the process stops.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use imbrex_api::drive::{DriveStatus, Geometry, Load, State as ApiState};
use imbrex_api::node::ZoneConditions;
use imbrex_engine::{Handle, State, Status};
use imbrex_zoned::Condition;

use crate::admission::Admission;
use crate::limits::Limits;
use crate::lists::Lists;
use crate::metrics::Figures;

/// One drive, as its server sees it.
pub(crate) struct App {
    pub(crate) engine: Handle,
    pub(crate) admission: Admission,
    pub(crate) lists: Lists,
    pub(crate) limits: Limits,
    pub(crate) figures: Figures,
    pub(crate) started: Instant,
    /// The drive's name on its node.
    pub(crate) id: String,
    /// The blocks that a format order asks for where it does not say.
    pub(crate) blocks_max: Option<u64>,
    data_address: OnceLock<SocketAddr>,
    draining: AtomicBool,
}

impl App {
    /// The app over a running engine.
    pub(crate) fn new(engine: Handle, limits: Limits, id: String, blocks_max: Option<u64>) -> Arc<Self> {
        let admission = Admission::new(engine.pool().clone(), &limits);
        Arc::new(Self {
            admission,
            lists: Lists::new(engine.geometry().zone_count, &limits),
            figures: Figures::default(),
            started: Instant::now(),
            id,
            blocks_max,
            data_address: OnceLock::new(),
            draining: AtomicBool::new(false),
            engine,
            limits,
        })
    }

    /// Says where the data API listens, once.
    pub(crate) fn set_data_address(&self, address: SocketAddr) {
        // A second listener changes nothing: the first is the drive's address.
        let _ = self.data_address.set(address);
    }

    /// From now on new work is refused.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether new work is refused because the process stops.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// What the drive does: the engine's state, unless the process stops.
    pub(crate) fn state(&self) -> State {
        if self.is_draining() { State::Draining } else { self.engine.status().state.clone() }
    }

    /// What goes on at this moment.
    pub(crate) fn load(&self) -> Load {
        let (waiting, waiting_max) = self.admission.waiting();
        let (free_bytes, pool_bytes) = self.admission.pool_bytes();
        Load {
            connections: self.figures.connections_open(),
            connections_max: u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX),
            uploads_waiting: waiting,
            uploads_waiting_max: waiting_max,
            buffers_free_bytes: free_bytes as u64,
            buffers_bytes: pool_bytes as u64,
        }
    }

    /// The drive's status as the API gives it.
    pub(crate) fn drive_status(&self) -> DriveStatus {
        let (identity, geometry) = (self.engine.identity(), self.engine.geometry());
        let status = self.engine.status();
        let state = self.state();
        let mounted = status.drive_id.is_some() && is_mounted(&status.state);
        let address = self.data_address.get();
        DriveStatus {
            id: self.id.clone(),
            drive_id: status.drive_id.as_ref().map(ToString::to_string),
            wwn: identity.wwn.clone(),
            serial: identity.serial.clone(),
            model: identity.model.clone(),
            firmware: identity.firmware.clone(),
            bus: identity.bus.clone(),
            path: identity.path.display().to_string(),
            capacity_bytes: geometry.device_bytes,
            geometry: Geometry {
                zone_count: geometry.zone_count,
                zone_size_bytes: geometry.zone_size_bytes,
                zone_open_max: geometry.zone_open_max,
                zone_active_max: geometry.zone_active_max,
                write_unit_bytes: geometry.write_unit_bytes,
                logical_block_bytes: geometry.logical_block_bytes,
                rotational: geometry.rotational,
            },
            zones: zone_conditions(&status),
            state: api_state(&state),
            state_reason: state.reason().map(str::to_owned),
            data_address: address.map(ToString::to_string),
            data_port: address.map(SocketAddr::port),
            blocks: mounted.then_some(status.blocks),
            blocks_max: mounted.then_some(status.blocks_max),
            live_bytes: mounted.then_some(status.live_bytes),
            dead_bytes: mounted.then_some(status.dead_bytes),
            free_bytes: mounted.then_some(status.free_bytes),
            damaged_blocks: status.damaged_blocks,
            without_checkpoints: status.without_checkpoints.map(str::to_owned),
            unknown_zones: status.unknown_zones,
            slow_since_unix_s: status.slow_since_unix_s,
            memory_bytes: status.memory_bytes,
            mount_us: mounted.then_some(status.mount_us),
            formatted_at_unix_s: status.formatted_at_unix_s,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// Whether a drive in this state has been mounted: only then do its figures mean anything.
pub(crate) fn is_mounted(state: &State) -> bool {
    match state {
        State::Serving | State::ReadOnly { .. } | State::Failed { .. } | State::Draining => true,
        State::Mounting
        | State::Unformatted
        | State::Foreign { .. }
        | State::Incompatible { .. }
        | State::Formatting => false,
    }
}

/// The state as the API names it.
pub(crate) fn api_state(state: &State) -> ApiState {
    match state {
        State::Mounting => ApiState::Mounting,
        State::Unformatted => ApiState::Unformatted,
        State::Foreign { .. } => ApiState::Foreign,
        State::Incompatible { .. } => ApiState::Incompatible,
        State::Formatting => ApiState::Formatting,
        State::Serving => ApiState::Serving,
        State::ReadOnly { .. } => ApiState::ReadOnly,
        State::Failed { .. } => ApiState::Failed,
        State::Draining => ApiState::Draining,
    }
}

/// The zones by condition; `None` before the engine has counted them.
fn zone_conditions(status: &Status) -> Option<ZoneConditions> {
    if status.zones_by_condition.is_empty() {
        return None;
    }
    let mut zones = ZoneConditions::default();
    for &(condition, count) in &status.zones_by_condition {
        let counted = match condition {
            Condition::NotWritePointer => &mut zones.conventional,
            Condition::Empty => &mut zones.empty,
            Condition::ImplicitOpen | Condition::ExplicitOpen => &mut zones.open,
            Condition::Closed => &mut zones.closed,
            Condition::Full => &mut zones.full,
            Condition::ReadOnly => &mut zones.read_only,
            Condition::Offline => &mut zones.offline,
        };
        *counted += u64::from(count);
    }
    Some(zones)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_the_engine_has_the_same_name_in_the_api() {
        let reason = String::new;
        for state in [
            State::Mounting,
            State::Unformatted,
            State::Foreign { reason: reason() },
            State::Incompatible { reason: reason() },
            State::Formatting,
            State::Serving,
            State::ReadOnly { reason: reason() },
            State::Failed { reason: reason() },
            State::Draining,
        ] {
            assert_eq!(api_state(&state).as_str(), state.name());
        }
    }
}
