//! The verdicts as metrics.

use imbrex_api::health::Level;
use prometheus_client::registry::Registry;

use super::metrics::{gauges, set};
use crate::health::DriveLevels;

/// Adds the verdicts of all drives: for each axis, and for the drive as a whole under the axis `drive`.
pub(super) fn add_health(registry: &mut Registry, drives: &[DriveLevels]) {
    let level = gauges(
        registry,
        "health_level",
        "1 for the level that the axis of the drive is at, 0 for the others",
    );
    let age = gauges(registry, "health_data_age_seconds", "Time since the drive last told of itself");
    let asked = gauges(registry, "health_asked_timestamp_seconds", "When smartctl was last asked");
    for drive in drives {
        let whole = ("drive", drive.level);
        for (axis, at) in drive.axes.iter().map(|(axis, at)| (axis.as_str(), *at)).chain([whole]) {
            for each in Level::ALL {
                let labels = vec![
                    ("drive", drive.id.clone()),
                    ("axis", axis.to_owned()),
                    ("level", each.as_str().to_owned()),
                ];
                set(&level, &labels, Some(u64::from(*each == at)));
            }
        }
        set(&age, &vec![("drive", drive.id.clone())], drive.data_age_s);
        set(&asked, &vec![("drive", drive.id.clone())], drive.asked_at_unix_s);
    }
}
