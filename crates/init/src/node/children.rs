//! Processes: services are started and their ends reported, helpers have their deadlines.

use super::{Event, Helper, HelperKind, Node, Source, platform, process};
use crate::cgroup::{self, OutOfMemory};
use crate::process::{Child, Exit, PROGRAM};
use std::io;

impl Node {
    /// Starts a process of a service and says how that went.
    pub(super) fn spawn(&mut self, name: String) -> Event {
        let Some(service) = self.supervisor.services().get(&name) else {
            return Event::SpawnFailed { name, reason: "it is not known".to_owned() };
        };
        let specification = service.specification.clone();
        match process::start(&specification) {
            Ok(child) => {
                let pid = child.pid;
                for complaint in &child.complaints {
                    self.record(&format!("{name}: {complaint}"));
                }
                self.processes.insert(pid, name.clone());
                self.watch_child(child, &name, Some(&name));
                self.record(&format!("{name} started as process {pid}"));
                Event::Started { name, pid }
            }
            Err(error) => Event::SpawnFailed {
                name,
                reason: format!("{} could not be started: {error}", specification.command.join(" ")),
            },
        }
    }

    fn watch_child(&mut self, child: Child, log: &str, service: Option<&str>) {
        let Child { pid, output, ready, notify, .. } = child;
        let output = Source::Output { log: log.to_owned(), pid, pipe: output };
        let named = |service: &str| service.to_owned();
        let ready =
            service.zip(ready).map(|(service, pipe)| Source::Ready { service: named(service), pid, pipe });
        let notify = service.zip(notify).map(|(service, socket)| Source::Notify {
            service: named(service),
            pid,
            socket,
        });
        for source in [Some(output), ready, notify].into_iter().flatten() {
            if let Err(error) = self.watch(source) {
                self.record(&format!("the pipe of process {pid} cannot be watched: {error}"));
            }
        }
    }

    /// A service's process was reaped.
    pub(super) fn service_ended(&mut self, name: String, pid: i32, exit: Exit) {
        // What it has left behind. By its group: its number may be another process's by now.
        let _ = cgroup::kill(&name);
        self.close_pipes(pid);
        let memory = OutOfMemory::of(&name);
        let before = self.out_of_memory.insert(name.clone(), memory).unwrap_or_default();
        let exit = memory.since(before).map_or_else(|| exit.to_string(), |why| format!("{exit}: {why}"));
        if self.supervisor.stopping() {
            self.announce(&format!("{name} stopped: {exit}"));
        } else {
            self.record(&format!("{name}: process {pid} {exit}"));
        }
        self.give(Event::Exited { name, exit });
    }

    /// Runs the health checks that are due: one of a service at a time.
    pub(super) fn check_health(&mut self, now_ms: u64) {
        let mut due = Vec::new();
        for (name, service) in self.supervisor.services() {
            let Some(health) =
                service.specification.health.as_ref().filter(|health| !health.command.is_empty())
            else {
                continue;
            };
            let every_ms = health.every_s.saturating_mul(1_000);
            let next_ms = self.checks_ms.get(name).copied().unwrap_or(0);
            if service.state == crate::supervisor::State::Ready && next_ms <= now_ms {
                due.push((name.clone(), health.command.clone(), every_ms));
            }
        }
        for (name, command, every_ms) in due {
            self.checks_ms.insert(name.clone(), now_ms.saturating_add(every_ms));
            let kind = HelperKind::Health { service: name };
            if let Err(error) = self.start_helper(kind, &command[0], &command[1..], every_ms) {
                self.record(&format!("{} cannot be run: {error}", command[0]));
            }
        }
    }

    /// When the next health check is due, in milliseconds since boot.
    pub(super) fn health_ms(&self) -> Option<u64> {
        let ready = |name: &&String| {
            let service = self.supervisor.services().get(*name);
            service.is_some_and(|service| service.state == crate::supervisor::State::Ready)
        };
        self.checks_ms.iter().filter(|(name, _)| ready(name)).map(|(_, next_ms)| *next_ms).min()
    }

    /// Starts our own helper for one of its verbs.
    pub(super) fn start_own_helper(&mut self, kind: HelperKind, words: &[&str], deadline_ms: u64) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if let Err(error) = self.start_helper(kind.clone(), PROGRAM, &words, deadline_ms) {
            self.announce(&format!("{PROGRAM} cannot be run: {error}"));
            self.helper_ended(kind, Exit::Status(127));
        }
    }

    /// Starts a helper, whose output lands in a log of its own name.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub(super) fn start_helper(
        &mut self,
        kind: HelperKind,
        program: &str,
        arguments: &[String],
        deadline_ms: u64,
    ) -> io::Result<()> {
        let child = process::start_helper(program, arguments)?;
        let deadline_ms = platform::now_ms().saturating_add(deadline_ms);
        let log = kind.log();
        self.helpers.insert(child.pid, Helper { kind, deadline_ms });
        self.watch_child(child, log, None);
        Ok(())
    }

    /// Kills helpers whose time is over, and no longer waits for them: one that is stuck in the
    /// kernel never ends.
    pub(super) fn kill_late_helpers(&mut self, now_ms: u64) {
        let late: Vec<i32> = self
            .helpers
            .iter()
            .filter(|(_, helper)| helper.deadline_ms <= now_ms)
            .map(|(pid, _)| *pid)
            .collect();
        for pid in late {
            process::kill_helper(pid);
            let Some(helper) = self.helpers.remove(&pid) else { continue };
            self.record(&format!("{} (process {pid}) took too long and was killed", helper.kind.log()));
            self.helper_ended(helper.kind, Exit::Signal(9));
        }
    }

    /// What a helper said last.
    pub(super) fn last_line(&self, kind: &HelperKind) -> Option<String> {
        self.logs.get(kind.log()).and_then(|ring| ring.last(1).pop())
    }

    /// A helper has ended, or was given up.
    pub(super) fn helper_ended(&mut self, kind: HelperKind, exit: Exit) {
        match kind {
            HelperKind::Plan => self.planned(exit),
            HelperKind::Coldplug => self.coldplug_ended(),
            HelperKind::Configure => self.configured(exit),
            HelperKind::PrepareNetwork => self.network_prepared(),
            HelperKind::Pstore => self.pstore_collected(),
            HelperKind::Health { service } if exit == Exit::Status(0) => {
                self.give(Event::Alive { name: service });
            }
            HelperKind::Health { .. } => {}
        }
    }
}

impl HelperKind {
    /// The log in which its output lands.
    pub(super) const fn log(&self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Coldplug => "coldplug",
            Self::Configure => "configure",
            Self::PrepareNetwork => "network-prepare",
            Self::Pstore => "pstore",
            Self::Health { .. } => "health",
        }
    }
}
