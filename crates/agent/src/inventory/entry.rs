//! One drive's entry, out of everything that is remembered of it.

use std::time::Instant;

use imbrex_api::drive::DriveStatus;
use imbrex_api::node::{Bus, Drive, DriveState, NodeState, Service, ServiceState, Zones};

use super::SurveyedDrive;
use super::memory::{IdentityState, Remembered};
use crate::drive_client::DriveCallError;
use crate::health::{Book, never_asked};
use crate::init_client::InitStatus;
use crate::sysfs::Identity;

/// Why a drive's process did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    /// Something listens, but no usable answer came.
    pub(super) listens: bool,
    /// The sentence.
    pub(super) reason: String,
}

impl From<&DriveCallError> for Silence {
    fn from(error: &DriveCallError) -> Self {
        Self { listens: !matches!(error, DriveCallError::NotListening { .. }), reason: error.to_string() }
    }
}

/// The entry of `drive`. What its process says goes first, then sysfs, then init.
pub(super) fn merge(
    drive: &Remembered,
    init: Option<&InitStatus>,
    book: &Book,
    now: Instant,
) -> SurveyedDrive {
    let service = service_of(drive, init);
    let (state, state_reason) = judge(drive, init, service, now);
    let status = drive.status.as_ref().map(|(status, _)| status);
    let blank = Identity::default();
    let identity = match &drive.identity {
        IdentityState::Known(identity) => identity,
        IdentityState::Wanted | IdentityState::Stuck => &blank,
    };
    let told = &drive.told;
    let of_status = |field: fn(&DriveStatus) -> Option<String>| status.and_then(field);
    let device = told.device.clone().or_else(|| of_status(|status| Some(status.path.clone())));
    let entry = Drive {
        id: told.id.clone(),
        wwn: of_status(|status| status.wwn.clone()).or_else(|| identity.wwn.clone()),
        serial: of_status(|status| status.serial.clone())
            .or_else(|| identity.serial.clone())
            .or_else(|| not_empty(&told.serial)),
        model: of_status(|status| status.model.clone())
            .or_else(|| identity.model.clone())
            .or_else(|| not_empty(&told.model)),
        firmware: of_status(|status| status.firmware.clone()).or_else(|| identity.firmware.clone()),
        bus: status.map_or(identity.bus, |status| bus_named(&status.bus)),
        capacity_bytes: status.map(|status| status.capacity_bytes).or(identity.capacity_bytes),
        logical_block_bytes: status
            .map(|status| u64::from(status.geometry.logical_block_bytes))
            .or(identity.logical_block_bytes),
        physical_block_bytes: status
            .map(|status| u64::from(status.geometry.write_unit_bytes))
            .or(identity.physical_block_bytes),
        zones: zones(status, identity),
        state,
        state_reason,
        drive_id: of_status(|status| status.drive_id.clone()),
        data_port: status.and_then(|status| status.data_port).or(told.port),
        blocks_stored: status.and_then(|status| status.blocks),
        bytes_live: status.and_then(|status| status.live_bytes),
        bytes_free: status.and_then(|status| status.free_bytes),
        blocks_damaged: status.map(|status| status.damaged_blocks),
        unknown_zones: status.map(|status| u64::from(status.unknown_zones)),
        slow_since_unix_s: status.and_then(|status| status.slow_since_unix_s),
        without_checkpoints: of_status(|status| status.without_checkpoints.clone()),
        scrub: book.scrub(&told.id),
        refused_by: book.refusing_note(&told.id),
        answered_ms_ago: drive.status.as_ref().map(|(_, answered)| milliseconds(*answered, now)),
        service: told.service.clone(),
        service_state: service.map(|service| service.state),
        smart: book.smart(&told.id).unwrap_or_else(|| never_asked(no_smart_reason(state, device.as_deref()))),
        device,
    };
    SurveyedDrive { entry, socket: told.socket.clone(), whereabouts: identity.whereabouts.clone() }
}

fn service_of<'a>(drive: &Remembered, init: Option<&'a InitStatus>) -> Option<&'a Service> {
    let name = drive.told.service.as_deref()?;
    init?.services.iter().find(|service| service.name == name)
}

/// The state and, where it needs one, the reason.
fn judge(
    drive: &Remembered,
    init: Option<&InitStatus>,
    service: Option<&Service>,
    now: Instant,
) -> (DriveState, Option<String>) {
    if !drive.present {
        let when = match drive.seen {
            Some(seen) => format!("the node saw it last {} s ago", milliseconds(seen, now) / 1000),
            None => "the node has seen it since it booted".to_owned(),
        };
        let reason = format!("{when}: see whether it was pulled or lost its power");
        return (DriveState::Missing, Some(reason));
    }
    match (&drive.silence, &drive.status) {
        (None, Some((status, _))) => (status.state.into(), status.state_reason.clone()),
        (None, None) => (DriveState::Unknown, Some("its process was not asked yet".to_owned())),
        (Some(silence), _) => silent(drive, silence, init, service, now),
    }
}

/// The state of a drive whose process did not answer.
fn silent(
    drive: &Remembered,
    silence: &Silence,
    init: Option<&InitStatus>,
    service: Option<&Service>,
    now: Instant,
) -> (DriveState, Option<String>) {
    if let Some(why) = &drive.told.refused {
        return (DriveState::Stopped, Some(format!("its process is not started: {why}")));
    }
    let restart = format!("POST /v1/drives/{}/restart", drive.told.id);
    let last_exit = service
        .and_then(|service| service.reason.as_deref().or(service.last_exit.as_deref()))
        .unwrap_or("no reason is known");
    let (state, reason) = match service.map(|service| service.state) {
        Some(ServiceState::Starting) => (DriveState::Starting, "its process is starting".to_owned()),
        Some(ServiceState::Stopping) => (DriveState::Draining, "its process is stopping".to_owned()),
        Some(ServiceState::Backoff) => {
            (DriveState::Stopped, format!("its process ended ({last_exit}) and will be started again"))
        }
        Some(ServiceState::Maintenance) => {
            let reason = format!("its process ended too often ({last_exit}) and stays down until {restart}");
            (DriveState::Stopped, reason)
        }
        Some(ServiceState::Stopped) => {
            (DriveState::Stopped, format!("its process was stopped; {restart} starts it"))
        }
        Some(ServiceState::Ready | ServiceState::Unknown) | None if silence.listens => {
            let age = match &drive.status {
                Some((_, answered)) => {
                    format!("what is told of it is {} s old", milliseconds(*answered, now) / 1000)
                }
                None => "it never answered".to_owned(),
            };
            (DriveState::Unresponsive, format!("{}; {age}", silence.reason))
        }
        Some(ServiceState::Ready | ServiceState::Unknown) => {
            (DriveState::Unresponsive, silence.reason.clone())
        }
        None => (DriveState::Stopped, not_started(init).unwrap_or_else(|| silence.reason.clone())),
    };
    (state, Some(reason))
}

/// Why init starts no drive, where it starts none.
fn not_started(init: Option<&InitStatus>) -> Option<String> {
    let node = &init?.node;
    let reason = node.reason.as_deref();
    match node.state {
        NodeState::Maintenance => Some(format!(
            "the node is in maintenance and starts no drive: {}",
            reason.unwrap_or("init gave no reason")
        )),
        NodeState::Booting => Some("the node is still booting".to_owned()),
        NodeState::Stopping => Some("the node is stopping".to_owned()),
        NodeState::Running | NodeState::Unknown => None,
    }
}

fn zones(status: Option<&DriveStatus>, identity: &Identity) -> Zones {
    let Some(status) = status else { return identity.zones };
    let geometry = &status.geometry;
    Zones {
        count: Some(u64::from(geometry.zone_count)),
        size_bytes: Some(geometry.zone_size_bytes),
        // The drive's process tells a limit that does not exist as null, the API as 0.
        open_max: Some(geometry.zone_open_max.map_or(0, u64::from)),
        active_max: Some(geometry.zone_active_max.map_or(0, u64::from)),
        conventional: status.zones.map(|conditions| conditions.conventional),
        conditions: status.zones,
        capacity_bytes: None,
    }
}

/// Init tells what it does not know as an empty text.
fn not_empty(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn bus_named(name: &str) -> Bus {
    match name {
        "nvme" => Bus::Nvme,
        "scsi" => Bus::Scsi,
        "null_blk" => Bus::NullBlock,
        "simulated" => Bus::Simulated,
        _ => Bus::Unknown,
    }
}

fn no_smart_reason(state: DriveState, device: Option<&str>) -> &'static str {
    match device {
        _ if state == DriveState::Missing => "the drive is missing",
        Some(device) if device.starts_with("/dev/") => "smartctl was not asked yet",
        Some(_) => "a simulated drive has no SMART",
        None => "the device file is not known",
    }
}

fn milliseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}
