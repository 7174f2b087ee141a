//! The plan: asked for whenever what it depends on may have changed, and then what runs is made equal to it.

use super::{Event, HelperKind, Node, platform};
use crate::boot::Stage;
use crate::process::Exit;
use crate::supervisor::{Next, State};
use imbrex_init::plan::{self, Plan, Specification, Start};
use std::fs;

/// How long the helper may take for a plan, in milliseconds.
const DEADLINE_MS: u64 = 30_000;
/// A plan that failed is made again after so long, in milliseconds.
const RETRY_MS: u64 = 5_000;

impl Node {
    /// Has a plan made where there is a reason to, by one helper at a time.
    pub(super) fn make_plan(&mut self, now_ms: u64) {
        self.dirty.plan |= self.plan.again_ms.take_if(|again_ms| *again_ms <= now_ms).is_some();
        if self.plan_ms().is_some_and(|due_ms| due_ms <= now_ms) && std::mem::take(&mut self.dirty.plan) {
            // No drive is looked at before the agent is ready or late, and none gets a port before every driver has had
            // its chance; while one is at it still, the first drive is waited for as long as the stage is.
            let (begun, over) = (self.begun(Stage::Drives), self.boot.ended(Stage::Drives));
            let extent = match () {
                () if !self.boot.ended(Stage::Agent) => "services",
                () if begun && (self.modules_idle() || over) => "settle",
                () if begun && self.boot.late(Stage::Modules) => "settle-found",
                () => "drives",
            };
            self.start_own_helper(HelperKind::Plan, &["plan", extent], DEADLINE_MS);
        }
    }

    /// When the next plan is due, in milliseconds since boot.
    pub(super) fn plan_ms(&self) -> Option<u64> {
        let due_ms = if self.dirty.plan { Some(self.plan_retry_ms) } else { self.plan.again_ms };
        due_ms.filter(|_| !self.helpers.has(&HelperKind::Plan) && !self.supervisor.stopping())
    }

    /// The helper has ended.
    pub(super) fn planned(&mut self, exit: Exit) {
        let text = match exit {
            Exit::Status(0) => fs::read(plan::FILE).map_err(|error| error.to_string()),
            _ => Err(self.last_line(&HelperKind::Plan).unwrap_or_else(|| exit.to_string())),
        };
        match text.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string())) {
            Ok(plan) => self.apply_plan(plan),
            Err(error) => {
                let line = format!("there is no new plan of what is to run: {error}; the last one holds");
                self.announce_change(&HelperKind::Plan, line);
                self.plan_retry_ms = platform::now_ms() + RETRY_MS;
                self.dirty.plan = true;
            }
        }
    }

    fn apply_plan(&mut self, mut plan: Plan) {
        std::mem::take(&mut plan.record).iter().for_each(|line| self.record(line));
        std::mem::take(&mut plan.announce).iter().for_each(|line| self.announce(line));
        self.plan = plan;
        self.complaints.remove(HelperKind::Plan.log());
        let planned = |name: &String| self.plan.services.iter().any(|service| service.name == *name);
        let down = |state| matches!(state, State::Stopped | State::Stopping { next: Next::Stop, .. });
        let services = self.supervisor.services().iter();
        let gone = services.filter(|(name, service)| !planned(name) && !down(service.state));
        for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let reason =
                if name.starts_with(plan::DRIVE) { "its drive disappeared" } else { "it is wanted no more" };
            self.give(Event::Withdraw { name, reason: reason.to_owned() });
        }
        self.declare_due();
    }

    /// Hands every service to the supervisor whose time has come.
    pub(super) fn declare_due(&mut self) {
        let due = |service: &&Specification| match service.start {
            Start::Boot => self.begun(Stage::Agent),
            Start::Network => self.network_prepared,
            Start::Configuration | Start::Drive => true,
        };
        for service in self.plan.services.iter().filter(due).cloned().collect::<Vec<_>>() {
            self.give(Event::Declare(Box::new(service)));
        }
    }

    /// The network's files are written, or never will be.
    pub(super) fn network_prepared(&mut self) {
        self.network_prepared = true;
        self.declare_due();
    }
}
