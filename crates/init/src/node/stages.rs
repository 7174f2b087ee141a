//! The hands of the boot: does the work of each stage, and tells the boot how it stands.

use super::machine::PSTORE_DEADLINE_MS;
use super::{HelperKind, Node, console, network, platform};
use crate::boot::{DriveFacts, Facts, NO_CONFIGURATION, Outcome, Stage, Step};
use crate::supervisor::State;
use imbrex_init::plan::AGENT;
use std::net::SocketAddr;

/// The agent's port, and where it writes the SHA-256 of its certificate.
const AGENT_PORT: u16 = 7400;
const FINGERPRINT: &str = "/run/imbrex/agent.fingerprint";
/// How long the search for drivers may take, in milliseconds: it ends with the slowest of them.
const COLDPLUG_DEADLINE_MS: u64 = 120_000;
/// How long the network's files may take, in milliseconds.
const NETWORK_DEADLINE_MS: u64 = 10_000;

impl Node {
    /// Takes the next steps of the boot; whether there were any.
    pub(super) fn advance_boot(&mut self) -> bool {
        if !self.boot.waits() || self.supervisor.stopping() {
            return false;
        }
        let steps = self.boot.advance(&self.facts(), platform::now_ms());
        let moved = !steps.is_empty();
        for step in steps {
            match step {
                Step::Begin(stage) => self.begin_stage(stage),
                Step::Ended(record) => {
                    // The agent's end is what the first look at drives waits for.
                    self.dirty.plan |= record.stage == Stage::Agent;
                    let word = if record.outcome == Outcome::Failed { "failed after" } else { "took" };
                    let took_ms = record.took_ms.unwrap_or(0);
                    let detail = record.detail.map_or_else(String::new, |detail| format!(": {detail}"));
                    let stage = format!("{:?}", record.stage).to_lowercase();
                    self.announce(&format!("stage {stage} {word} {took_ms} ms{detail}"));
                }
                Step::Finished => self.boot_finished(),
            }
        }
        moved
    }

    fn boot_finished(&mut self) {
        if self.configuration.is_none() {
            self.announce(&format!("maintenance: {NO_CONFIGURATION}"));
        }
        self.announce(&format!("ready in {} ms", platform::now_ms()));
    }

    fn begin_stage(&mut self, stage: Stage) {
        match stage {
            Stage::Filesystems => {}
            Stage::Modules => {
                self.dirty.devices = true;
                self.seek_drivers();
            }
            Stage::Agent => self.dirty.plan = true,
            Stage::Network => {
                self.start_own_helper(HelperKind::PrepareNetwork, &["network-prepare"], NETWORK_DEADLINE_MS);
                self.dirty.address = true;
                self.dirty.plan = true;
            }
            Stage::Configuration => self.fetch.due_ms = self.command_line.config_url.as_ref().map(|_| 0),
            Stage::Drives => self.dirty.plan = true,
        }
    }

    /// Whether a stage has begun.
    pub(super) fn begun(&self, stage: Stage) -> bool {
        self.boot.records().iter().any(|record| record.stage == stage)
    }

    fn facts(&self) -> Facts {
        let agent = self.supervisor.services().get(AGENT);
        Facts {
            modules_idle: self.modules_idle(),
            modules_detail: self.last_line(&HelperKind::Coldplug).unwrap_or_default(),
            agent_tried: agent.is_some_and(|agent| agent.state != State::Waiting),
            agent_ready: agent.is_some_and(|agent| agent.state == State::Ready),
            address: self.address.as_ref().map(|found| format!("{} {}", found.interface, found.address)),
            configuration: self.configuration_fact(),
            drives: self.drive_facts(),
        }
    }

    fn drive_facts(&self) -> DriveFacts {
        let mut facts = DriveFacts { settled: self.plan.settled, ..DriveFacts::default() };
        for drive in self.plan.drives.iter().filter(|drive| drive.present) {
            facts.found += 1;
            match self.supervisor.services().get(&drive.service).map(|service| service.state) {
                Some(State::Waiting | State::Starting) => facts.starting.push(drive.service.clone()),
                Some(State::Ready) => {}
                _ => facts.failed.push(drive.service.clone()),
            }
        }
        facts
    }

    /// Whether every device has been offered its driver.
    pub(super) fn modules_idle(&self) -> bool {
        !self.drivers_sought && !self.dirty.devices
    }

    /// Has drivers looked for where there is a reason to, by one helper at a time.
    pub(super) fn seek_drivers(&mut self) {
        let free = !self.helpers.has(&HelperKind::Coldplug);
        let ready = free && self.begun(Stage::Modules) && !self.supervisor.stopping();
        if ready && std::mem::take(&mut self.dirty.devices) {
            self.drivers_sought = true;
            self.start_own_helper(HelperKind::Coldplug, &["coldplug"], COLDPLUG_DEADLINE_MS);
        }
    }

    /// The search for drivers has ended.
    pub(super) fn coldplug_ended(&mut self) {
        self.drivers_sought = false;
        // Without ERST the store is UEFI's, which has a driver.
        let boots = !self.boot.ended(Stage::Modules) || self.boot.late(Stage::Modules);
        if boots && !self.helpers.has(&HelperKind::Pstore) {
            self.start_own_helper(HelperKind::Pstore, &["pstore"], PSTORE_DEADLINE_MS);
        }
        self.dirty.plan = true;
        self.dirty.machine = true;
    }

    /// Looks at the node's address where it may have changed.
    pub(super) fn look_at_address(&mut self) {
        if !std::mem::take(&mut self.dirty.address) {
            return;
        }
        let address = network::address();
        if address != self.address {
            let text = address.as_ref().map(|found| found.address.to_string());
            self.record(&format!("address: {}", text.as_deref().unwrap_or("none")));
            self.address = address;
            self.dirty.api = true;
        }
    }

    /// Says on the console where the API is, once that is known and whenever it changes.
    pub(super) fn announce_api(&mut self) {
        if !std::mem::take(&mut self.dirty.api) {
            return;
        }
        let agent = self.supervisor.services().get(AGENT);
        let ready = agent.is_some_and(|agent| agent.state == State::Ready);
        let Some(address) = self.address.as_ref().filter(|_| ready) else { return };
        let Ok(text) = std::fs::read_to_string(FINGERPRINT) else {
            return self.record(&format!("{FINGERPRINT} cannot be read"));
        };
        let fingerprint = text.trim().trim_start_matches("SHA256:").to_owned();
        let place = SocketAddr::new(address.address, AGENT_PORT);
        let line = format!("api https://{place}/ fingerprint SHA256:{fingerprint}");
        if self.api_line.as_ref() != Some(&line) {
            self.announce(&line);
            console::line(&next_command(place, &fingerprint, self.command_line.config_url.is_some()));
            self.api_line = Some(line);
        }
    }
}

/// What a person who has just seen the address types next.
fn next_command(place: SocketAddr, fingerprint: &str, configured: bool) -> String {
    let what = if configured { "drives" } else { "node" };
    format!("next: imbrexctl --node https://{place} --fingerprint SHA256:{fingerprint} {what}")
}
