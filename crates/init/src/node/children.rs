//! Processes: services are started and their ends reported, helpers have their deadlines.

use super::{Event, HelperKind, Node, Source, platform, process};
use crate::cgroup::{self, OutOfMemory};
use crate::process::{Child, Exit, PROGRAM};
use crate::supervisor::{Service, State};
use imbrex_init::plan::{Health, Specification};
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
                child.complaints.iter().for_each(|complaint| self.record(&format!("{name}: {complaint}")));
                self.processes.insert(pid, name.clone());
                self.watch_child(child, &name);
                self.record(&format!("{name} started as process {pid}"));
                Event::Started { name, pid }
            }
            Err(error) => Event::SpawnFailed {
                name,
                reason: format!("{} could not be started: {error}", specification.command.join(" ")),
            },
        }
    }

    /// Watches what leads to a child. A service has the log of its name.
    fn watch_child(&mut self, child: Child, log: &str) {
        let Child { pid, handle, output, ready, notify, .. } = child;
        self.handles.insert(pid, handle);
        let name = || log.to_owned();
        let output = Source::Output { log: name(), pid, pipe: output };
        let ready = ready.map(|pipe| Source::Ready { service: name(), pid, pipe, said: Vec::new() });
        let notify = notify.map(|socket| Source::Notify { service: name(), pid, socket });
        [Some(output), ready, notify].into_iter().flatten().for_each(|source| self.watch(source));
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
        let due = |name: &String| {
            self.may_check(name) && self.checks_ms.get(name).is_none_or(|due_ms| *due_ms <= now_ms)
        };
        let ready = self.supervisor.services().values().filter(|service| service.state == State::Ready);
        let asked =
            ready.filter_map(|Service { specification: Specification { name, health, .. }, .. }| {
                let health = health.as_ref().filter(|health| !health.command.is_empty() && due(name))?;
                Some((name.clone(), health.clone()))
            });
        for (name, Health { command, every_s, .. }) in asked.collect::<Vec<_>>() {
            let every_ms = every_s.saturating_mul(1_000);
            self.checks_ms.insert(name.clone(), now_ms.saturating_add(every_ms));
            let kind = HelperKind::Health { service: name };
            if let Err(error) = self.start_helper(kind, &command[0], &command[1..], every_ms) {
                self.record(&format!("{} cannot be run: {error}", command[0]));
            }
        }
    }

    /// When the next health check is due, in milliseconds since boot.
    pub(super) fn health_ms(&self) -> Option<u64> {
        let services = self.supervisor.services();
        let ready = |name: &String| services.get(name).is_some_and(|one| one.state == State::Ready);
        let next = self.checks_ms.iter().filter(|(name, _)| ready(name) && self.may_check(name));
        next.map(|(_, next_ms)| *next_ms).min()
    }

    /// Whether no check of this service is under way; the next one begins when it has ended.
    fn may_check(&self, name: &str) -> bool {
        !self.helpers.has(&HelperKind::Health { service: name.to_owned() })
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
        let child = process::start_helper(program, arguments, kind.group().as_deref())?;
        let (pid, log) = (child.pid, kind.log());
        self.helpers.begin(pid, kind, platform::now_ms().saturating_add(deadline_ms));
        self.watch_child(child, log);
        Ok(())
    }

    /// Kills helpers whose time is over. One that does not die of it, stuck in the kernel, is not started again before
    /// it has; what the boot waits for goes on without it.
    pub(super) fn kill_late_helpers(&mut self, now_ms: u64) {
        for (pid, kind) in self.helpers.late(now_ms) {
            self.handles.get(&pid).into_iter().for_each(|one| one.kill_all(kind.group().as_deref()));
            self.record(&format!("{} (process {pid}) took too long and was killed", kind.log()));
            match kind {
                HelperKind::PrepareNetwork => self.network_prepared(),
                HelperKind::Coldplug => self.coldplug_ended(),
                _ => {}
            }
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
            HelperKind::Health { service: name } if exit == Exit::Status(0) => {
                self.give(Event::Alive { name });
            }
            HelperKind::Health { .. } => {}
        }
    }
}
