//! The hands of the boot: does the work of each stage, and tells the boot how it stands.

use super::{Event, HelperKind, Node, console, network, platform, services};
use crate::boot::{DriveFacts, Facts, NO_CONFIGURATION, Outcome, Stage, Step};
use crate::drives::{Change, discovery};
use crate::modules;
use crate::supervisor::State;
use std::path::Path;

/// Where the agent writes the SHA-256 of its certificate.
const FINGERPRINT: &str = "/run/imbrex/agent.fingerprint";

impl Node {
    /// Takes the next steps of the boot; whether there were any.
    pub(super) fn advance_boot(&mut self) -> bool {
        if self.boot.finished() || self.supervisor.stopping() {
            return false;
        }
        let steps = self.boot.advance(&self.facts(), platform::now_ms());
        let moved = !steps.is_empty();
        for step in steps {
            match step {
                Step::Begin(stage) => self.begin_stage(stage),
                Step::Ended(record) => {
                    let word = if record.outcome == Outcome::Failed { "failed after" } else { "took" };
                    let took_ms = record.took_ms.unwrap_or(0);
                    let detail = record.detail.map_or_else(String::new, |detail| format!(": {detail}"));
                    self.announce(&format!("stage {} {word} {took_ms} ms{detail}", record.stage.name()));
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

    /// Hands a service without words of its own to the supervisor.
    pub(super) fn declare(&mut self, name: &str) {
        services::expand(name, &[]).into_iter().for_each(|service| self.give(Event::Declare(service)));
    }

    fn begin_stage(&mut self, stage: Stage) {
        match stage {
            Stage::Filesystems => {}
            Stage::Modules => {
                self.modules.add_named(self.command_line.modules.clone());
                self.modules.scan(Path::new(platform::SYSFS));
            }
            Stage::Agent => self.declare(services::AGENT),
            Stage::Network => {
                if let Err(error) = services::dhcpcd::prepare() {
                    self.announce(&format!("dhcpcd's configuration cannot be written: {error}"));
                }
                self.declare(services::NETWORK);
                self.dirty.address = true;
                self.dirty.drives = true;
            }
            Stage::Configuration => self.fetch.due_ms = self.command_line.config_url.as_ref().map(|_| 0),
            Stage::Drives => self.dirty.drives = true,
        }
    }

    fn begun(&self, stage: Stage) -> bool {
        self.boot.records().iter().any(|record| record.stage == stage)
    }

    fn facts(&self) -> Facts {
        let agent = self.supervisor.services().get(services::AGENT);
        Facts {
            modules_idle: self.modules.idle(),
            modules_detail: format!("{} device aliases", self.modules.count()),
            agent_tried: agent.is_some_and(|agent| agent.state != State::Waiting),
            agent_ready: agent.is_some_and(|agent| agent.state == State::Ready),
            address: self.address.as_ref().map(|found| format!("{} {}", found.interface, found.address)),
            configuration: self.configuration_fact(),
            drives: self.drive_facts(),
        }
    }

    fn drive_facts(&self) -> DriveFacts {
        let mut facts = DriveFacts { settled: self.drives.settled(), ..DriveFacts::default() };
        for drive in self.drives.drives().filter(|drive| drive.present) {
            facts.found += 1;
            match self.supervisor.services().get(&drive.service()).map(|service| service.state) {
                Some(State::Waiting | State::Starting) => facts.starting.push(drive.service()),
                Some(State::Ready) => {}
                _ => facts.failed.push(drive.service()),
            }
        }
        facts
    }

    /// Looks at the devices where there is a reason to.
    pub(super) fn look_at_devices(&mut self) {
        if self.supervisor.stopping() {
            return;
        }
        if std::mem::take(&mut self.dirty.devices) || self.modules.wants_scan() {
            self.modules.scan(Path::new(platform::SYSFS));
        }
        // No drive is looked at before the agent was started.
        if self.dirty.drives && self.begun(Stage::Network) {
            self.dirty.drives = false;
            let found = discovery::scan(Path::new(platform::SYSFS));
            let changes = self.drives.update(found, platform::now_ms());
            self.apply_changes(changes);
        }
        self.dirty.drives &= self.begun(Stage::Network);
    }

    /// Whether there is a reason to look at the devices, which a node that stops no longer has.
    pub(super) fn devices_changed(&self) -> bool {
        let changed = self.dirty.drives || self.dirty.devices || self.modules.wants_scan();
        changed && !self.supervisor.stopping()
    }

    /// Whether the drives of the boot wait only for the last of them to appear.
    pub(super) fn drives_wait(&self) -> bool {
        self.begun(Stage::Drives) && !self.drives.settled() && self.modules.idle()
    }

    /// Gives the drives of the boot their ports when they are all there.
    pub(super) fn settle_drives(&mut self, now_ms: u64) {
        if self.drives_wait() && self.drives.settle_ms() <= now_ms && !self.supervisor.stopping() {
            let changes = self.drives.settle();
            self.apply_changes(changes);
        }
    }

    fn apply_changes(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Start(specification) => self.give(Event::Declare(specification)),
                Change::Stop(name) => {
                    self.give(Event::Withdraw { name, reason: "its drive disappeared".to_owned() });
                }
                Change::Record(line) => self.record(&line),
            }
        }
    }

    /// Runs as many modprobes as may run.
    pub(super) fn run_modprobe(&mut self) {
        while !self.supervisor.stopping() {
            let Some(batch) = self.modules.next_batch() else { return };
            let arguments = batch.arguments();
            let started =
                self.start_helper(HelperKind::Modprobe, modules::MODPROBE, &arguments, modules::DEADLINE_MS);
            if let Err(error) = started {
                self.record(&format!("{} cannot be run: {error}", modules::MODPROBE));
                self.modules.batch_ended();
            }
        }
    }

    /// Looks at the node's address where it may have changed.
    pub(super) fn look_at_address(&mut self) {
        if std::mem::take(&mut self.dirty.address) {
            let address = network::address();
            if address != self.address {
                let text =
                    address.as_ref().map_or_else(|| "none".to_owned(), |found| found.address.to_string());
                self.record(&format!("address: {text}"));
                self.address = address;
                self.dirty.api = true;
            }
        }
    }

    /// Says on the console where the API is, once that is known and whenever it changes.
    pub(super) fn announce_api(&mut self) {
        if !std::mem::take(&mut self.dirty.api) {
            return;
        }
        let agent = self.supervisor.services().get(services::AGENT);
        let ready = agent.is_some_and(|agent| agent.state == State::Ready);
        let Some(address) = self.address.as_ref().filter(|_| ready) else { return };
        let Ok(text) = std::fs::read_to_string(FINGERPRINT) else {
            return self.record(&format!("{FINGERPRINT} cannot be read"));
        };
        let fingerprint = text.trim().trim_start_matches("SHA256:").to_owned();
        let host = address.host();
        let line = format!("api https://{host}:7400/ fingerprint SHA256:{fingerprint}");
        if self.api_line.as_ref() != Some(&line) {
            self.announce(&line);
            console::line(&next_command(&host, &fingerprint, self.command_line.config_url.is_some()));
            self.api_line = Some(line);
        }
    }
}

/// What a person who has just seen the address types next.
fn next_command(host: &str, fingerprint: &str, configured: bool) -> String {
    let what = if configured { "drives" } else { "node" };
    format!("next: imbrexctl --node https://{host}:7400 --fingerprint SHA256:{fingerprint} {what}")
}
