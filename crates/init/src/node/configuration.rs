//! The node's configuration: fetched by the agent's binary, checked and put in force by the helper.

use super::{Configuration, Fetch, HelperKind, Node, boot, platform};
use crate::process::Exit;
use imbrex_init::plan::NODE_TOML;

/// The program that fetches it, which has HTTP so that init needs none.
const PROGRAM: &str = "/usr/bin/imbrex-agent";
/// How long a fetch and a check may take, in milliseconds each.
const DEADLINE_MS: u64 = 60_000;

impl Node {
    /// What the boot is told of the configuration.
    pub(super) fn configuration_fact(&self) -> Configuration {
        match (&self.configuration, &self.command_line.config_url) {
            (Some(name), _) => Configuration::Applied(name.clone()),
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
        let arguments = ["fetch-config", "--url", &url, "--out", NODE_TOML].map(str::to_owned);
        if let Err(error) =
            self.start_helper(HelperKind::FetchConfiguration, PROGRAM, &arguments, DEADLINE_MS)
        {
            self.fetch_failed(format!("{PROGRAM} cannot be run: {error}"));
        }
    }

    /// A fetch has ended.
    pub(super) fn fetch_ended(&mut self, exit: Exit) {
        if exit == Exit::Status(0) {
            self.start_own_helper(HelperKind::Configure, &["configure"], DEADLINE_MS);
        } else {
            self.fetch_failed(self.reason(&HelperKind::FetchConfiguration, exit));
        }
    }

    /// The check has ended.
    pub(super) fn configured(&mut self, exit: Exit) {
        if exit != Exit::Status(0) {
            return self.fetch_failed(self.reason(&HelperKind::Configure, exit));
        }
        self.configuration = Some(self.last_line(&HelperKind::Configure).unwrap_or_default());
        // It may name modules, and services.
        self.dirty.devices = true;
        self.dirty.plan = true;
    }

    /// What a helper that failed said last.
    fn reason(&self, kind: &HelperKind, exit: Exit) -> String {
        self.last_line(kind).unwrap_or_else(|| exit.to_string())
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
}
