//! `imbrexctl health`: the answer first, what it rests on below.

use std::time::{Duration, Instant};

use imbrex_api::health::{
    Action, DriveHealth, DriveInShort, Evidence, Level, NodeHealth, PollOrder, PollOutcome,
};

use crate::calendar::utc;
use crate::error::Error;
use crate::node_client::NodeClient;
use crate::options::Health;
use crate::output::complain;
use crate::session::Session;
use crate::table::Table;

/// The answer of a drive that is being asked is looked for this often.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Shows how the drives are, or how one is and how that is known; with `--ask` has that drive asked first.
///
/// # Errors
/// Where the node does not answer, does not know the drive, or refuses to ask it.
pub(crate) async fn run(session: &Session, options: &Health) -> Result<(), Error> {
    let (node, output) = (session.node()?, session.output);
    let Some(id) = &options.drive else {
        let health = node.health().await?;
        if output.is_json() {
            return output.json(&health);
        }
        node_answer(&health).iter().try_for_each(|line| output.line(line))?;
        if health.drives.is_empty() {
            return Ok(());
        }
        output.line("")?;
        return output.table(&drives(&health.drives));
    };
    let health = if options.ask || options.full {
        ask(&node, id, PollOrder { full: options.full }, session.deadline()).await?
    } else {
        node.drive_health(id).await?
    };
    if output.is_json() {
        return output.json(&health);
    }
    drive_answer(&health).iter().try_for_each(|line| output.line(line))?;
    output.line("")?;
    output.table(&axes(&health))?;
    if health.axes.iter().any(|axis| !axis.evidence.is_empty()) {
        output.line("")?;
        output.table(&evidence(&health))?;
    }
    footnotes(&health).iter().try_for_each(|line| output.line(line))
}

/// Has the drive asked, and waits for its answer.
async fn ask(
    node: &NodeClient,
    id: &str,
    order: PollOrder,
    deadline: Duration,
) -> Result<DriveHealth, Error> {
    node.ask(id, order).await?;
    let ends_at = Instant::now() + deadline;
    loop {
        let health = node.drive_health(id).await?;
        // The node says so from the moment at which it took the order.
        if !health.polling.asking {
            return Ok(health);
        }
        if Instant::now() >= ends_at {
            complain(&format!("{id} has not answered within {} s: this is as before", deadline.as_secs()));
            return Ok(health);
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// What is said of the node, in lines.
fn node_answer(health: &NodeHealth) -> Vec<String> {
    let counts = &health.counts;
    let mut lines = vec![format!(
        "{}: {} failing, {} degraded, {} unknown, {} healthy",
        health.level.as_str(),
        counts.failing,
        counts.degraded,
        counts.unknown,
        counts.healthy
    )];
    lines.extend(health.common_cause.clone());
    lines.extend(health.drain.as_ref().map(|id| format!("{id} may be drained now without further proof.")));
    lines.extend(
        health.guards.iter().map(|guard| format!("held back ({}): {}", guard.guard.as_str(), guard.why)),
    );
    if health.smartctl_left_behind > 0 {
        lines.push(format!(
            "{} smartctl processes hang on drives that do not answer the kernel.",
            health.smartctl_left_behind
        ));
    }
    lines.extend(
        health.kernel_log_reason.as_ref().map(|reason| format!("The kernel's log is not read: {reason}.")),
    );
    lines.extend(health.notes.path.as_ref().filter(|_| !health.notes.from_path.is_empty()).map(|path| {
        format!("{} firmware notes; of {path}: {}", health.notes.count, health.notes.from_path.join(", "))
    }));
    let refused =
        |note: &imbrex_api::health::RefusedNote| format!("note {} is refused: {}", note.name, note.reason);
    lines.extend(health.notes.refused.iter().map(refused));
    lines
}

/// The drives, those that need something first.
fn drives(drives: &[DriveInShort]) -> Table {
    let mut table = Table::new(&["ID", "SERIAL", "HEALTH", "DO", "BECAUSE", "SINCE", ">DATA AGE", "LIFE"]);
    let mut drives: Vec<_> = drives.iter().collect();
    drives.sort_by_key(|drive| (std::cmp::Reverse(urgency(drive.level)), &drive.id));
    for drive in drives {
        table.row([
            drive.id.clone(),
            drive.serial.clone().unwrap_or_default(),
            drive.level.as_str().to_owned(),
            if drive.action == Action::None { String::new() } else { drive.action.as_str().to_owned() },
            drive.because.clone().unwrap_or_default(),
            time(drive.since_unix_s),
            age(drive.data_age_s),
            drive.life.as_str().to_owned(),
        ]);
    }
    table
}

/// What is said of a drive, in lines.
fn drive_answer(health: &DriveHealth) -> Vec<String> {
    let name = match &health.serial {
        Some(serial) => format!("{} (serial {serial})", health.id),
        None => health.id.clone(),
    };
    let mut lines = vec![format!("{name} is {}.", health.level.as_str()), health.advice.clone()];
    lines.push(match health.data_age_s {
        Some(seconds) => format!("It told of itself {} ago.", duration(seconds)),
        None => "It has never told of itself.".to_owned(),
    });
    if health.drain_without_person {
        lines.push("The evidence would do to drain it without a person's word.".to_owned());
    }
    lines.retain(|line| !line.is_empty());
    lines
}

fn axes(health: &DriveHealth) -> Table {
    let mut table = Table::new(&["AXIS", "HEALTH"]);
    for axis in &health.axes {
        table.row([axis.axis.as_str().to_owned(), axis.level.as_str().to_owned()]);
    }
    table
}

/// All evidence, the worst first.
fn evidence(health: &DriveHealth) -> Table {
    let mut table = Table::new(&["EVIDENCE", "AXIS", "WHAT", "VALUE", "WAS", "SINCE", "SOURCE"]);
    let of_axis =
        health.axes.iter().flat_map(|axis| axis.evidence.iter().map(move |evidence| (axis.axis, evidence)));
    let mut all: Vec<(_, &Evidence)> = of_axis.collect();
    all.sort_by_key(|(_, evidence)| std::cmp::Reverse(urgency(evidence.level)));
    for (axis, evidence) in all {
        // What makes no drive worse is worth telling all the same.
        let level = if evidence.level == Level::Healthy { "note" } else { evidence.level.as_str() };
        table.row([
            level.to_owned(),
            axis.as_str().to_owned(),
            evidence.what.clone(),
            evidence.value.clone(),
            evidence.was.clone().unwrap_or_default(),
            since(evidence),
            evidence.source.as_str().to_owned(),
        ]);
    }
    table
}

/// What is known of the model, and what came of the last question.
fn footnotes(health: &DriveHealth) -> Vec<String> {
    let mut lines: Vec<String> = health
        .notes
        .iter()
        .map(|note| format!("note {}: {} {} ({})", note.id, note.title, note.advice, note.source))
        .collect();
    let polling = &health.polling;
    let reason = polling.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    lines.extend(match (polling.asking, polling.outcome) {
        (true, _) => Some("The drive is being asked now.".to_owned()),
        (false, Some(PollOutcome::Report) | None) => None,
        (false, Some(outcome)) => Some(format!("The last question: {}{reason}", outcome.as_str())),
    });
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

/// The worse, the greater: what is not known stands between well and ill.
const fn urgency(level: Level) -> u8 {
    match level {
        Level::Healthy => 0,
        Level::Unknown => 1,
        Level::Degraded => 2,
        Level::Failing => 3,
    }
}

fn since(evidence: &Evidence) -> String {
    let at_least = if evidence.since_at_least { "at least " } else { "" };
    evidence.since_unix_s.map(|_| format!("{at_least}{}", time(evidence.since_unix_s))).unwrap_or_default()
}

fn time(unix_s: Option<u64>) -> String {
    unix_s.map(|unix_s| utc(i64::try_from(unix_s).unwrap_or(i64::MAX))).unwrap_or_default()
}

fn age(seconds: Option<u64>) -> String {
    seconds.map(duration).unwrap_or_default()
}

/// A duration in the largest unit of which there are two at least.
fn duration(seconds: u64) -> String {
    let units = [("days", 86_400), ("hours", 3_600), ("min", 60)];
    let unit = units.into_iter().find(|(_, unit)| seconds >= 2 * unit);
    unit.map_or_else(|| format!("{seconds} s"), |(name, unit)| format!("{} {name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_shown_in_the_largest_unit_of_which_there_are_two() {
        assert_eq!(
            [0, 119, 120, 7_199, 7_200, 172_800].map(duration),
            ["0 s", "119 s", "2 min", "119 min", "2 hours", "2 days"]
        );
    }

    #[test]
    fn what_is_worst_stands_first() {
        let drive = |id: &str, level| DriveInShort { id: id.to_owned(), level, ..DriveInShort::default() };
        let listed = [
            drive("a", Level::Healthy),
            drive("b", Level::Failing),
            drive("c", Level::Unknown),
            drive("d", Level::Degraded),
        ];
        let lines = drives(&listed).lines();
        let first: Vec<_> = lines[1..].iter().filter_map(|line| line.chars().next()).collect();
        assert_eq!(first, ['b', 'd', 'c', 'a']);
    }

    #[test]
    fn what_may_be_older_than_all_that_is_recorded_says_so() {
        let told = |since_at_least| {
            since(&Evidence { since_unix_s: Some(1_700_000_000), since_at_least, ..Evidence::default() })
        };
        assert_eq!(told(true), "at least 2023-11-14 22:13:20");
        assert_eq!(told(false), "2023-11-14 22:13:20");
        assert_eq!(since(&Evidence { since_at_least: true, ..Evidence::default() }), "");
    }

    #[test]
    fn a_drive_that_never_told_says_so() {
        let lines = drive_answer(&DriveHealth { id: "d".to_owned(), ..DriveHealth::default() });
        assert_eq!(lines, ["d is unknown.", "It has never told of itself."]);
    }
}
