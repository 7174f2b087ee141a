//! The verdicts as metrics.

use imbrex_api::health::Level;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use super::metrics::{gauges, set};
use crate::health::{Book, DriveLevels};

/// What is known of the drives' health.
pub(super) struct Health {
    drives: Vec<DriveLevels>,
    questions_beyond: u64,
}

impl Health {
    /// What is known now.
    pub(super) fn of(book: &Book) -> Self {
        Self { drives: book.levels(), questions_beyond: book.questions_beyond() }
    }
}

/// Adds the verdicts of all drives: for each axis, and for the drive as a whole under the axis `drive`.
pub(super) fn add_health(registry: &mut Registry, health: &Health) {
    registry.register(
        "health_questions_beyond_two",
        "Times that a drive was asked by smartctl while two others of its adapter were, one of which took longer than its drive's last questions",
        ConstCounter::new(health.questions_beyond),
    );
    let level = gauges(
        registry,
        "health_level",
        "1 for the level that the axis of the drive is at, 0 for the others",
    );
    let age = gauges(registry, "health_data_age_seconds", "Time since the drive last told of itself");
    let asked = gauges(registry, "health_asked_timestamp_seconds", "When smartctl was last asked");
    for drive in &health.drives {
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
