//! The boot as named stages. A pure function: facts and the time go in, the steps to take come out.
//!
//! Invariants: the agent is started before the network and the drives are touched; no stage waits
//! for a drive for ever; the stages' times are recorded; each step comes once.

use serde::Serialize;

/// How long the drives of the boot may take to become ready before the boot is over without them.
const DRIVES_DEADLINE_MS: u64 = 60_000;
/// The most drives that one line names.
const NAMES_MAX: usize = 8;

/// The stages, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// proc, sys, dev, run and the control groups are mounted.
    Filesystems,
    /// Every device has been offered its driver.
    Modules,
    /// The management API answers.
    Agent,
    /// An interface has an address.
    Network,
    /// `node.toml` was fetched and understood.
    Configuration,
    /// The drives that are there have their processes.
    Drives,
}

/// Every stage.
pub(crate) const STAGES: [Stage; 6] =
    [Stage::Filesystems, Stage::Modules, Stage::Agent, Stage::Network, Stage::Configuration, Stage::Drives];

impl Stage {
    /// Its name, as the status and the console write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Filesystems => "filesystems",
            Self::Modules => "modules",
            Self::Agent => "agent",
            Self::Network => "network",
            Self::Configuration => "configuration",
            Self::Drives => "drives",
        }
    }
}

/// How a stage ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It did what it is for.
    Done,
    /// It did not.
    Failed,
    /// It is under way.
    Running,
}

/// One stage that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    /// Which.
    pub(crate) stage: Stage,
    /// When it began, in milliseconds since the kernel started.
    pub(crate) started_ms: u64,
    /// How long it took, in milliseconds.
    pub(crate) took_ms: Option<u64>,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// More about it.
    pub(crate) detail: Option<String>,
}

/// What the node knows of its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Configuration {
    /// It was named on the command line, and is not there yet.
    #[default]
    Pending,
    /// None was named.
    NotGiven,
    /// It is in force; this is the node's name.
    Applied(String),
}

/// How it stands with the drives of the boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DriveFacts {
    /// How many are there.
    pub(crate) found: usize,
    /// They have their ports and their services, or never will for want of a configuration.
    pub(crate) settled: bool,
    /// Services that still start.
    pub(crate) starting: Vec<String>,
    /// Services that failed.
    pub(crate) failed: Vec<String>,
}

/// Everything that the boot depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) modules_idle: bool,
    pub(crate) modules_detail: String,
    pub(crate) agent_tried: bool,
    pub(crate) agent_ready: bool,
    pub(crate) address: Option<String>,
    pub(crate) configuration: Configuration,
    pub(crate) drives: DriveFacts,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A stage begins: do its work.
    Begin(Stage),
    /// A stage is over: say so.
    Ended(Record),
    /// All stages are over.
    Finished,
}

/// The boot so far.
#[derive(Debug, Default)]
pub(crate) struct Boot {
    records: Vec<Record>,
    finished: bool,
}

/// Why a node without a configuration serves no drives.
pub(crate) const NO_CONFIGURATION: &str =
    "no configuration was given: boot with imbrex.config=URL on the kernel command line";

impl Boot {
    /// A boot whose first stage, which had to come before everything, is over.
    pub(crate) fn new(filesystems: Record) -> Self {
        Self { records: vec![filesystems], finished: false }
    }

    /// The stages that have begun, in the order in which they began.
    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether all stages are over.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// Says how it stands with a stage that is under way.
    pub(crate) fn note(&mut self, stage: Stage, detail: String) {
        let running = |record: &&mut Record| record.stage == stage && record.took_ms.is_none();
        if let Some(record) = self.records.iter_mut().find(running) {
            record.detail = Some(detail);
        }
    }

    /// When time alone may end a stage, in milliseconds since boot.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.find(Stage::Drives).filter(|r| r.took_ms.is_none()).map(|r| r.started_ms + DRIVES_DEADLINE_MS)
    }

    /// Says what to do next. To be called until it has nothing to say.
    pub(crate) fn advance(&mut self, facts: &Facts, now_ms: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        for stage in STAGES {
            if self.find(stage).is_none() && self.may_begin(stage, facts) {
                let record = Record {
                    stage,
                    started_ms: now_ms,
                    took_ms: None,
                    outcome: Outcome::Running,
                    detail: None,
                };
                self.records.push(record);
                steps.push(Step::Begin(stage));
            }
        }
        // What has just begun ends at the next call at the earliest, when its facts are known.
        if !steps.is_empty() {
            return steps;
        }
        for record in self.records.iter_mut().filter(|record| record.took_ms.is_none()) {
            if let Some((outcome, detail)) = ending(record, facts, now_ms) {
                record.outcome = outcome;
                record.detail = detail;
                record.took_ms = Some(now_ms.saturating_sub(record.started_ms));
                steps.push(Step::Ended(record.clone()));
            }
        }
        let all = self.records.len() == STAGES.len() && self.records.iter().all(|r| r.took_ms.is_some());
        if all && !self.finished {
            self.finished = true;
            steps.push(Step::Finished);
        }
        steps
    }

    fn find(&self, stage: Stage) -> Option<&Record> {
        self.records.iter().find(|record| record.stage == stage)
    }

    fn ended(&self, stage: Stage) -> bool {
        self.find(stage).is_some_and(|record| record.took_ms.is_some())
    }

    fn may_begin(&self, stage: Stage, facts: &Facts) -> bool {
        match stage {
            Stage::Filesystems => true,
            Stage::Modules | Stage::Agent => self.ended(Stage::Filesystems),
            Stage::Network => facts.agent_tried,
            Stage::Configuration => {
                facts.configuration == Configuration::NotGiven || self.ended(Stage::Network)
            }
            // Ports are given by ID, so that every driver should have had its chance.
            Stage::Drives => {
                self.ended(Stage::Configuration) && self.ended(Stage::Modules) && facts.agent_tried
            }
        }
    }
}

/// How a running stage ends, if it does.
fn ending(record: &Record, facts: &Facts, now_ms: u64) -> Option<(Outcome, Option<String>)> {
    match record.stage {
        Stage::Filesystems => None,
        Stage::Modules => facts.modules_idle.then(|| (Outcome::Done, Some(facts.modules_detail.clone()))),
        Stage::Agent => facts.agent_ready.then_some((Outcome::Done, None)),
        Stage::Network => facts.address.clone().map(|address| (Outcome::Done, Some(address))),
        Stage::Configuration => match &facts.configuration {
            Configuration::Pending => None,
            Configuration::NotGiven => Some((Outcome::Failed, Some(NO_CONFIGURATION.to_owned()))),
            Configuration::Applied(name) => Some((Outcome::Done, Some(name.clone()))),
        },
        Stage::Drives => drives_ending(record, facts, now_ms),
    }
}

fn drives_ending(record: &Record, facts: &Facts, now_ms: u64) -> Option<(Outcome, Option<String>)> {
    let DriveFacts { found, settled, starting, failed } = &facts.drives;
    if facts.configuration == Configuration::NotGiven {
        return settled
            .then(|| (Outcome::Done, Some(format!("{found} found, none started: no configuration"))));
    }
    let late = now_ms >= record.started_ms + DRIVES_DEADLINE_MS;
    if !(settled & facts.modules_idle & starting.is_empty() | late) {
        return None;
    }
    let mut missing: Vec<&str> = starting.iter().chain(failed).map(String::as_str).collect();
    missing.sort_unstable();
    let ready = found.saturating_sub(missing.len());
    if missing.is_empty() {
        Some((Outcome::Done, Some(format!("{ready} of {found} ready"))))
    } else {
        let more = missing.len().saturating_sub(NAMES_MAX);
        missing.truncate(NAMES_MAX);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let detail = format!("{ready} of {found} ready; not: {}{more}", missing.join(", "));
        Some((Outcome::Failed, Some(detail)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filesystems() -> Record {
        let (stage, outcome) = (Stage::Filesystems, Outcome::Done);
        Record { stage, started_ms: 100, took_ms: Some(5), outcome, detail: None }
    }

    fn begun(steps: &[Step]) -> Vec<Stage> {
        steps
            .iter()
            .filter_map(|step| if let Step::Begin(stage) = step { Some(*stage) } else { None })
            .collect()
    }

    #[test]
    fn the_agent_starts_before_the_network_and_the_drives_whatever_else_is_known() {
        let mut boot = Boot::new(filesystems());
        let mut facts = Facts {
            modules_idle: true,
            address: Some("eth0 10.0.2.15".to_owned()),
            configuration: Configuration::Applied("demo".to_owned()),
            ..Facts::default()
        };
        assert_eq!(begun(&boot.advance(&facts, 105)), [Stage::Modules, Stage::Agent]);
        for now_ms in 106..200 {
            assert_eq!(begun(&boot.advance(&facts, now_ms)), []);
        }
        facts.agent_tried = true;
        assert_eq!(begun(&boot.advance(&facts, 200)), [Stage::Network]);
    }

    #[test]
    fn a_boot_goes_through_its_stages_and_each_step_comes_once() {
        let mut boot = Boot::new(filesystems());
        let mut facts = Facts::default();
        let (mut begun_all, mut finished, mut now_ms) = (Vec::new(), 0, 110);
        for round in 0..60 {
            match round {
                3 => facts.agent_tried = true,
                9 => facts.modules_idle = true,
                12 => facts.address = Some("eth0 10.0.2.15".to_owned()),
                20 => facts.configuration = Configuration::Applied("demo".to_owned()),
                30 => facts.agent_ready = true,
                40 => facts.drives = DriveFacts { found: 4, settled: true, ..DriveFacts::default() },
                _ => {}
            }
            now_ms += 10;
            let steps = boot.advance(&facts, now_ms);
            begun_all.extend(begun(&steps));
            finished += steps.iter().filter(|step| **step == Step::Finished).count();
        }
        assert_eq!(begun_all, STAGES[1..]);
        assert_eq!(finished, 1);
        assert!(
            boot.records().iter().all(|record| record.outcome == Outcome::Done && record.took_ms.is_some())
        );
        assert_eq!(boot.find(Stage::Drives).unwrap().detail.as_deref(), Some("4 of 4 ready"));
    }

    #[test]
    fn a_dead_or_slow_drive_ends_the_boot_by_name_and_in_bounded_time() {
        let mut boot = Boot::new(filesystems());
        let facts = Facts {
            modules_idle: true,
            agent_tried: true,
            agent_ready: true,
            address: Some("eth0 10.0.2.15".to_owned()),
            configuration: Configuration::Applied("demo".to_owned()),
            drives: DriveFacts {
                found: 3,
                settled: true,
                starting: vec!["drive@b".to_owned()],
                failed: vec!["drive@a".to_owned()],
            },
            ..Facts::default()
        };
        for now_ms in 1_000..1_010 {
            boot.advance(&facts, now_ms);
        }
        assert!(!boot.finished());
        let deadline_ms = boot.deadline_ms().unwrap();
        assert!(deadline_ms <= 1_010 + DRIVES_DEADLINE_MS);
        assert!(boot.advance(&facts, deadline_ms).contains(&Step::Finished));
        let drives = boot.find(Stage::Drives).unwrap();
        assert_eq!(drives.outcome, Outcome::Failed);
        assert_eq!(drives.detail.as_deref(), Some("1 of 3 ready; not: drive@a, drive@b"));
    }

    #[test]
    fn without_a_configuration_the_boot_ends_with_the_drives_listed_and_the_reason() {
        let mut boot = Boot::new(filesystems());
        let facts = Facts {
            modules_idle: true,
            agent_tried: true,
            agent_ready: true,
            address: Some("eth0 10.0.2.15".to_owned()),
            configuration: Configuration::NotGiven,
            drives: DriveFacts {
                found: 2,
                settled: true,
                starting: vec![],
                failed: vec!["drive@a".to_owned(), "drive@b".to_owned()],
            },
            ..Facts::default()
        };
        for now_ms in 1_000..1_010 {
            boot.advance(&facts, now_ms);
        }
        assert!(boot.finished());
        assert_eq!(boot.find(Stage::Configuration).unwrap().detail.as_deref(), Some(NO_CONFIGURATION));
        let drives = boot.find(Stage::Drives).unwrap();
        assert_eq!(drives.outcome, Outcome::Done);
        assert_eq!(drives.detail.as_deref(), Some("2 found, none started: no configuration"));
    }
}
