//! The node's configuration: fetched, checked and put in force by the helper, until that succeeds.

use super::{Configuration, Fetch, HelperKind, Node, boot, platform};
use crate::process::Exit;

/// How long one try may take, in milliseconds.
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

    /// Starts a try where one is due.
    pub(super) fn fetch_configuration(&mut self, now_ms: u64) {
        let due = self.fetch.due_ms.is_some_and(|due_ms| due_ms <= now_ms) && !self.supervisor.stopping();
        if let Some(url) = self.command_line.config_url.clone().filter(|_| due) {
            self.fetch.due_ms = None;
            self.start_own_helper(HelperKind::Configure, &["configure", &url], DEADLINE_MS);
        }
    }

    /// A try has ended.
    pub(super) fn configured(&mut self, exit: Exit) {
        if exit != Exit::Status(0) {
            return self
                .fetch_failed(self.last_line(&HelperKind::Configure).unwrap_or_else(|| exit.to_string()));
        }
        self.configuration = Some(self.last_line(&HelperKind::Configure).unwrap_or_default());
        // It may name modules, and services.
        self.dirty.devices = true;
        self.dirty.plan = true;
    }

    /// Notes why, says it once on the console, and tries again later.
    fn fetch_failed(&mut self, error: String) {
        let Fetch { backoff, random, .. } = &mut self.fetch;
        let delay_ms = backoff.delay_ms(random);
        self.fetch.due_ms = Some(platform::now_ms() + delay_ms);
        let line = format!("the configuration is not there yet: {error} (tried again for ever)");
        self.announce_change(&HelperKind::Configure, line);
        self.boot.note(boot::Stage::Configuration, error);
    }
}
