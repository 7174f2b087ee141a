//! The node's configuration: fetched by the agent's binary, read here, put in force once.

use super::{Configuration, Fetch, HelperKind, Node, boot, platform, services};
use crate::config::NodeConfiguration;
use crate::process::Exit;
use std::fs;

/// Where the fetched configuration lies.
const FILE: &str = "/run/imbrex/node.toml";
/// The program that fetches it, which has HTTP so that init needs none.
const PROGRAM: &str = "/usr/bin/imbrex-agent";
/// How long a fetch may take, in milliseconds.
const DEADLINE_MS: u64 = 60_000;
/// The longest file that is read, in bytes: the fetch holds it to this too.
const BYTES_MAX: u64 = 64 * 1024;

impl Node {
    /// What the boot is told of the configuration.
    pub(super) fn configuration_fact(&self) -> Configuration {
        match (&self.configuration, &self.command_line.config_url) {
            (Some(configuration), _) => {
                Configuration::Applied(configuration.name.clone().unwrap_or_default())
            }
            (None, Some(_)) => Configuration::Pending,
            (None, None) => Configuration::NotGiven,
        }
    }

    /// Starts a fetch where one is due.
    pub(super) fn fetch_configuration(&mut self, now_ms: u64) {
        let due = self.fetch.due_ms.is_some_and(|due_ms| due_ms <= now_ms);
        let Some(url) = self.command_line.config_url.clone().filter(|_| due && !self.supervisor.stopping())
        else {
            return;
        };
        self.fetch.due_ms = None;
        let arguments = ["fetch-config", "--url", &url, "--out", FILE].map(str::to_owned);
        if let Err(error) =
            self.start_helper(HelperKind::FetchConfiguration, PROGRAM, &arguments, DEADLINE_MS)
        {
            self.fetch_failed(format!("{PROGRAM} cannot be run: {error}"));
        }
    }

    /// A fetch has ended.
    pub(super) fn fetch_ended(&mut self, exit: Exit) {
        if exit != Exit::Status(0) {
            let said = self.logs.get(HelperKind::FetchConfiguration.log()).and_then(super::Ring::last);
            let reason = said.map_or_else(|| exit.to_string(), str::to_owned);
            return self.fetch_failed(reason);
        }
        match read() {
            Ok(configuration) => self.apply(configuration),
            Err(error) => self.fetch_failed(error),
        }
    }

    /// Notes why, says it once on the console, and tries again later.
    fn fetch_failed(&mut self, error: String) {
        let Fetch { backoff, random, .. } = &mut self.fetch;
        let delay_ms = backoff.delay_ms(random);
        self.fetch.due_ms = Some(platform::now_ms() + delay_ms);
        let line = format!("the configuration is not there yet: {error}");
        if self.fetch.error_last.as_ref() == Some(&error) {
            self.record(&line);
        } else {
            self.announce(&format!("{line} (tried again for ever)"));
        }
        self.boot.note(boot::Stage::Configuration, error.clone());
        self.fetch.error_last = Some(error);
    }

    fn apply(&mut self, configuration: NodeConfiguration) {
        if let Some(name) = &configuration.name
            && let Err(error) = nix::unistd::sethostname(name)
        {
            self.record(&format!("the host name cannot be set: {error}"));
        }
        self.modules.add_named(configuration.modules.load.iter().cloned());
        if !configuration.time.servers.is_empty() {
            match services::chrony::prepare(&configuration.time.servers) {
                Ok(()) => self.declare(services::CLOCK),
                Err(error) => self.announce(&format!("chronyd's configuration cannot be written: {error}")),
            }
        }
        self.drives.configure(configuration.drives.clone());
        self.configuration = Some(configuration);
    }
}

fn read() -> Result<NodeConfiguration, String> {
    let length = fs::metadata(FILE).map_err(|error| format!("{FILE} cannot be read: {error}"))?.len();
    if length > BYTES_MAX {
        return Err(format!("{FILE} has {length} bytes, more than {BYTES_MAX}"));
    }
    let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE} cannot be read: {error}"))?;
    NodeConfiguration::parse(&text)
}
