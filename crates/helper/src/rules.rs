//! What a manifest must hold, beyond what its keys are: a rule a line, told as it stands.

use crate::node_toml::WANTED;
use imbrex_init::plan::{DRIVE, Readiness, Specification, Start};
use std::ops::RangeInclusive;

/// Nothing stops before the drives: the time that it took would be theirs.
const STOP_ORDER_MIN: u8 = 10;

/// The weights that the kernel takes (`CGROUP_WEIGHT_MIN`, `CGROUP_WEIGHT_MAX` of linux/cgroup.h).
const WEIGHTS: RangeInclusive<u64> = 1..=10_000;

/// What init's own lines and those of its helpers stand under in the logs: a service of such a name would share them.
const RESERVED: [&str; 7] = ["init", "plan", "coldplug", "configure", "network-prepare", "pstore", "health"];

/// Refuses a name that is init's own.
///
/// # Errors
/// One sentence.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if RESERVED.contains(&name) {
        return Err(format!("{name} is the name of init's own lines: call it otherwise"));
    }
    Ok(())
}

/// Refuses what nothing would ever start.
///
/// # Errors
/// One sentence: what does start a service.
pub(crate) fn check_started(name: &str, start: Start) -> Result<(), String> {
    let (template, wanted) = (name.ends_with('@'), WANTED.contains(&name));
    match start {
        _ if template && name != DRIVE => Err(format!("nothing starts it: {DRIVE} is the only template")),
        Start::Drive if !template => Err(format!("nothing starts it: what a drive starts is {DRIVE}")),
        Start::Configuration if !wanted => {
            Err(format!("nothing starts it: all that node.toml can want is {}", WANTED.join(" and ")))
        }
        Start::Boot | Start::Network | Start::Configuration if template => {
            Err("nothing starts it: a template has start = \"drive\"".to_owned())
        }
        _ => Ok(()),
    }
}

/// Refuses what no service may be.
///
/// # Errors
/// The first rule that it breaks.
pub(crate) fn check(service: &Specification) -> Result<(), String> {
    let (health, limits) = (service.health.as_ref(), &service.limits);
    let weightless = |weight: Option<u64>| weight.is_some_and(|weight| !WEIGHTS.contains(&weight));
    let checks = [
        (
            !service.command.first().is_some_and(|program| program.starts_with('/')),
            "command begins with an absolute path",
        ),
        (service.stop.deadline_s > 60, "stop.deadline_s is at most 60"),
        (service.stop.order < STOP_ORDER_MIN, "stop.order is at least 10, that of the drives"),
        (service.ready_within_s == Some(0), "ready_within_s is at least 1"),
        (health.is_some_and(|health| health.within_s == 0), "health.within_s is at least 1"),
        (
            health.is_some_and(|health| !health.command.is_empty() && health.every_s == 0),
            "health.every_s is at least 1",
        ),
        (
            health.is_some_and(|health| !health.command.is_empty() && health.every_s >= health.within_s),
            "health.every_s is less than health.within_s",
        ),
        (
            health.is_some_and(|health| health.command.is_empty())
                && service.readiness != Readiness::SdNotify,
            "health has a command, or the service has readiness = \"sd_notify\"",
        ),
        (weightless(limits.cpu_weight), "limits.cpu_weight is from 1 to 10000"),
        (weightless(limits.io_weight), "limits.io_weight is from 1 to 10000"),
        (!(-1000..=1000).contains(&limits.oom_score), "limits.oom_score is from -1000 to 1000"),
    ];
    checks.into_iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, rule)| Err(rule.to_owned()))
}
