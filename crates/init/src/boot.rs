//! The boot as named stages. A pure function: facts and the time go in, the steps to take come out.
//!
//! Invariants: the agent is started before the network, and ready before the drives are touched; each stage has a
//! deadline, after which the boot goes on without it; the stages' times are recorded; each step comes
//! once, and the end of a stage once more where what it is for comes after its deadline.

#[cfg(test)]
mod tests;

use serde::Serialize;

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
    /// After so long, in milliseconds, it is told as failed and the boot goes on without it. Less for the drivers: a
    /// drive waits for them.
    const fn deadline_ms(self) -> u64 {
        if matches!(self, Self::Modules) { 30_000 } else { 60_000 }
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
    /// Its deadline has passed; what it is for may still come, and is told then.
    #[serde(skip)]
    pub(crate) late: bool,
}

impl Record {
    /// A stage that has just begun.
    pub(crate) const fn begun(stage: Stage, started_ms: u64) -> Self {
        Self { stage, started_ms, took_ms: None, outcome: Outcome::Running, detail: None, late: false }
    }
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

    /// Whether anything may still come, a stage that is over without it included.
    pub(crate) fn waits(&self) -> bool {
        !self.finished || self.records.iter().any(|record| record.late)
    }

    /// Says how it stands with a stage that is under way.
    pub(crate) fn note(&mut self, stage: Stage, detail: String) {
        let running =
            |record: &&mut Record| record.stage == stage && (record.took_ms.is_none() || record.late);
        if let Some(record) = self.records.iter_mut().find(running) {
            record.detail = Some(detail);
        }
    }

    /// When time alone may end a stage, in milliseconds since boot.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        let running = self.records.iter().filter(|record| record.took_ms.is_none());
        running.map(|record| record.started_ms + record.stage.deadline_ms()).min()
    }

    /// Whether a stage's deadline has passed, and what it is for has not come since.
    pub(crate) fn late(&self, stage: Stage) -> bool {
        self.find(stage).is_some_and(|record| record.late)
    }

    /// Says what to do next. To be called until it has nothing to say.
    pub(crate) fn advance(&mut self, facts: &Facts, now_ms: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        if !facts.modules_detail.is_empty() && !self.late(Stage::Modules) {
            self.note(Stage::Modules, facts.modules_detail.clone());
        }
        for stage in STAGES {
            if self.find(stage).is_none() && self.may_begin(stage, facts) {
                self.records.push(Record::begun(stage, now_ms));
                steps.push(Step::Begin(stage));
            }
        }
        // What has just begun ends at the next call at the earliest, when its facts are known.
        if !steps.is_empty() {
            return steps;
        }
        let drivers_late = self.late(Stage::Modules);
        for record in self.records.iter_mut().filter(|record| record.took_ms.is_none() || record.late) {
            let due = now_ms >= record.started_ms + record.stage.deadline_ms();
            let end = ending(record.stage, facts, due, drivers_late);
            let was_late = std::mem::replace(&mut record.late, due && end.is_none());
            let overdue = (record.late && !was_late).then(|| (Outcome::Failed, Some(overdue(record))));
            let Some((outcome, detail)) = end.or(overdue) else { continue };
            record.outcome = outcome;
            record.detail = detail;
            record.took_ms = Some(now_ms.saturating_sub(record.started_ms));
            steps.push(Step::Ended(record.clone()));
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

    /// Whether a stage is over, or its deadline has passed.
    pub(crate) fn ended(&self, stage: Stage) -> bool {
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
                let before = [Stage::Configuration, Stage::Modules, Stage::Agent];
                facts.configuration != Configuration::Pending && before.iter().all(|stage| self.ended(*stage))
            }
        }
    }
}

/// What is said of a stage that has not ended in its time.
fn overdue(record: &Record) -> String {
    let why = record.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
    format!("not within {} s, and still waited for{why}", record.stage.deadline_ms() / 1_000)
}

/// How a stage ends, if it does. `due`: its deadline has passed; `drivers_late`: so has that of the drivers.
fn ending(stage: Stage, facts: &Facts, due: bool, drivers_late: bool) -> Option<(Outcome, Option<String>)> {
    match stage {
        Stage::Filesystems => None,
        Stage::Modules => facts.modules_idle.then(|| (Outcome::Done, Some(facts.modules_detail.clone()))),
        Stage::Agent => facts.agent_ready.then_some((Outcome::Done, None)),
        Stage::Network => facts.address.clone().map(|address| (Outcome::Done, Some(address))),
        Stage::Configuration => match &facts.configuration {
            Configuration::Pending => None,
            Configuration::NotGiven => Some((Outcome::Failed, Some(NO_CONFIGURATION.to_owned()))),
            Configuration::Applied(name) => Some((Outcome::Done, Some(name.clone()))),
        },
        Stage::Drives => drives_ending(facts, due, drivers_late),
    }
}

fn drives_ending(facts: &Facts, due: bool, drivers_late: bool) -> Option<(Outcome, Option<String>)> {
    let DriveFacts { found, settled, starting, failed } = &facts.drives;
    if facts.configuration == Configuration::NotGiven {
        return settled
            .then(|| (Outcome::Done, Some(format!("{found} found, none started: no configuration"))));
    }
    let drivers_over = facts.modules_idle || drivers_late;
    if !(*settled && drivers_over && starting.is_empty() || due) {
        return None;
    }
    if *found == 0 {
        // A driver that is still at it may find some.
        let outcome = if facts.modules_idle { Outcome::Done } else { Outcome::Failed };
        return Some((outcome, Some(format!("none found; {}", facts.modules_detail))));
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
