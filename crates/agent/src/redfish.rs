//! Drives in the words of Redfish (DMTF DSP0268, schemas `Chassis`, `DriveCollection` and `Drive`), read-only.
//!
//! - What is not known is `null` or left out, and never OK: Redfish has no word for "unknown", so that a drive of which
//!   nobody knows has a state and no health.
//! - Evidence and action, for which Redfish has no place, are a link away, under `Oem`.

use imbrex_api::health::{DriveHealth, Level};
use imbrex_api::node::{Bus, Drive, DriveState};
use serde_json::{Value, json};

/// Where the drives are.
pub(crate) const DRIVES: &str = "/redfish/v1/Chassis/node/Drives";

/// The chassis that they are in: this node.
const CHASSIS: &str = "/redfish/v1/Chassis/node";

/// The versions of Redfish.
pub(crate) fn versions() -> Value {
    json!({ "v1": "/redfish/v1/" })
}

/// The root: what there is.
pub(crate) fn root() -> Value {
    json!({
        "@odata.id": "/redfish/v1/", "@odata.type": "#ServiceRoot.v1_5_0.ServiceRoot",
        "Id": "RootService", "Name": "Imbrex node", "RedfishVersion": "1.6.0",
        "Chassis": { "@odata.id": "/redfish/v1/Chassis" },
        // The schema wants this link; there are no sessions.
        "Links": { "Sessions": { "@odata.id": "/redfish/v1/SessionService/Sessions" } },
    })
}

/// The one chassis, as a collection.
pub(crate) fn chassis_collection() -> Value {
    collection("/redfish/v1/Chassis", "Chassis", &[CHASSIS.to_owned()])
}

/// The chassis. Its health is the worst of its drives', as far as that is known.
pub(crate) fn chassis(level: Level) -> Value {
    json!({
        "@odata.id": CHASSIS, "@odata.type": "#Chassis.v1_14_0.Chassis",
        "Id": "node", "Name": "This node", "ChassisType": "StorageEnclosure",
        "Status": { "State": "Enabled", "HealthRollup": health(level) },
        "Drives": { "@odata.id": DRIVES },
    })
}

/// The drives, as a collection.
pub(crate) fn drives<'a>(ids: impl Iterator<Item = &'a str>) -> Value {
    collection(DRIVES, "Drive", &ids.map(|id| format!("{DRIVES}/{id}")).collect::<Vec<_>>())
}

fn collection(path: &str, kind: &str, members: &[String]) -> Value {
    let members: Vec<Value> = members.iter().map(|path| json!({ "@odata.id": path })).collect();
    json!({
        "@odata.id": path, "@odata.type": format!("#{kind}Collection.{kind}Collection"),
        "Name": format!("{kind} collection"), "Members@odata.count": members.len(), "Members": members,
    })
}

/// One drive. `life_used_percent` is what a drive of flash has used of its promised life.
pub(crate) fn drive(
    drive: &Drive,
    verdict: &DriveHealth,
    life_used_percent: Option<u64>,
    rpm: Option<u32>,
) -> Value {
    let is_missing = drive.state == DriveState::Missing;
    let mut resource = json!({
        "@odata.id": format!("{DRIVES}/{}", drive.id), "@odata.type": "#Drive.v1_14_0.Drive",
        "Id": drive.id, "Name": drive.device.as_ref().unwrap_or(&drive.id),
        "Model": drive.model, "SerialNumber": drive.serial, "Revision": drive.firmware,
        "CapacityBytes": drive.capacity_bytes, "BlockSizeBytes": drive.logical_block_bytes,
        "Status": {
            "State": state(drive.state),
            "Health": if is_missing { Value::Null } else { health(verdict.level) },
        },
        "FailurePredicted": if is_missing { Value::Null } else { failure_predicted(verdict.level) },
        "Oem": { "Imbrex": {
            "Level": verdict.level.as_str(), "Action": verdict.action.as_str(), "Advice": verdict.advice,
            "DataAgeSeconds": verdict.data_age_s, "Health": format!("/v1/drives/{}/health", drive.id),
        } },
    });
    // A property that does not apply is left out (DSP0266, "Null and missing properties").
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            resource[name] = value;
        }
    };
    put("Identifiers", drive.wwn.as_deref().and_then(identifier).map(|identifier| json!([identifier])));
    put("Protocol", (drive.bus == Bus::Nvme).then(|| json!("NVMe")));
    put("RotationSpeedRPM", rpm.filter(|rpm| *rpm > 0).map(|rpm| json!(rpm)));
    put("MediaType", rpm.map(|rpm| json!(if rpm > 0 { "SMR" } else { "SSD" })));
    let left = life_used_percent.map(|used| json!(100_u64.saturating_sub(used)));
    put("PredictedMediaLifeLeftPercent", left);
    resource
}

/// `Status.Health` knows OK, Warning and Critical.
fn health(level: Level) -> Value {
    match level {
        Level::Healthy => json!("OK"),
        Level::Degraded => json!("Warning"),
        Level::Failing => json!("Critical"),
        Level::Unknown => Value::Null,
    }
}

fn failure_predicted(level: Level) -> Value {
    match level {
        Level::Healthy | Level::Degraded => json!(false),
        Level::Failing => json!(true),
        Level::Unknown => Value::Null,
    }
}

const fn state(state: DriveState) -> &'static str {
    match state {
        DriveState::Missing => "Absent",
        DriveState::Starting | DriveState::Mounting => "Starting",
        DriveState::Failed | DriveState::Unresponsive | DriveState::Stopped => "UnavailableOffline",
        DriveState::Draining => "Quiesced",
        DriveState::Unformatted
        | DriveState::Foreign
        | DriveState::Incompatible
        | DriveState::Formatting
        | DriveState::Serving
        | DriveState::ReadOnly
        | DriveState::Unknown => "Enabled",
    }
}

/// A WWN as a durable name, as Redfish writes it: hex digits, in upper case.
fn identifier(wwn: &str) -> Option<Value> {
    let (kind, digits) = wwn.split_once('.')?;
    let format = match kind {
        "naa" => "NAA",
        "eui" => "EUI",
        "uuid" => "UUID",
        _ => return None,
    };
    Some(json!({ "DurableName": digits.to_ascii_uppercase(), "DurableNameFormat": format }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(state: DriveState, level: Level) -> Value {
        let entry = Drive {
            id: "d".to_owned(),
            state,
            wwn: Some("naa.5000c500a1b2c3d4".to_owned()),
            ..Drive::default()
        };
        let verdict = DriveHealth { level, ..DriveHealth::default() };
        drive(&entry, &verdict, Some(104), Some(0))
    }

    #[test]
    fn each_level_has_its_word_and_unknown_is_never_ok() {
        for (level, health, predicted) in [
            (Level::Healthy, json!("OK"), json!(false)),
            (Level::Degraded, json!("Warning"), json!(false)),
            (Level::Failing, json!("Critical"), json!(true)),
            (Level::Unknown, Value::Null, Value::Null),
        ] {
            let drive = mapped(DriveState::Serving, level);
            assert_eq!(
                (&drive["Status"]["Health"], &drive["FailurePredicted"]),
                (&health, &predicted),
                "{drive:#}"
            );
            assert_eq!(chassis(level)["Status"]["HealthRollup"], health);
        }
    }

    #[test]
    fn a_missing_drive_is_absent_and_has_no_health_whatever_was_said_of_it() {
        for level in Level::ALL {
            let drive = mapped(DriveState::Missing, *level);
            assert_eq!(drive["Status"], json!({ "State": "Absent", "Health": null }));
            assert_eq!(drive["FailurePredicted"], Value::Null);
        }
    }

    #[test]
    fn what_is_used_up_has_nothing_left_and_no_less() {
        let drive = mapped(DriveState::Serving, Level::Degraded);
        assert_eq!(drive["PredictedMediaLifeLeftPercent"], 0);
        assert_eq!(
            drive["Identifiers"],
            json!([{ "DurableName": "5000C500A1B2C3D4", "DurableNameFormat": "NAA" }])
        );
        assert_eq!(drive["MediaType"], "SSD");
    }

    #[test]
    fn what_does_not_apply_is_left_out() {
        let drive = drive(&Drive::default(), &DriveHealth::default(), None, None);
        for name in
            ["PredictedMediaLifeLeftPercent", "RotationSpeedRPM", "MediaType", "Identifiers", "Protocol"]
        {
            assert!(drive.get(name).is_none(), "{name}");
        }
    }
}
