//! Processes: services are started and their ends reported, helpers have their deadlines.

use super::{Event, Helper, HelperKind, Node, Source, cgroup, platform, process};
use crate::process::{Child, Exit};
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
                self.processes.insert(pid, name.clone());
                self.watch_child(child, &name, Some(&name));
                self.record(&format!("{name} started as process {pid}"));
                Event::Started { name, pid }
            }
            Err(error) => Event::SpawnFailed {
                name,
                reason: format!("{} could not be started: {error}", specification.command),
            },
        }
    }

    fn watch_child(&mut self, child: Child, log: &str, service: Option<&str>) {
        let Child { pid, output, ready } = child;
        let output = Source::Output { log: log.to_owned(), pid, pipe: output };
        let ready = service.zip(ready).map(|(service, pipe)| Source::Ready {
            service: service.to_owned(),
            pid,
            pipe,
        });
        for source in [Some(output), ready].into_iter().flatten() {
            if let Err(error) = self.watch(source) {
                self.record(&format!("the pipe of process {pid} cannot be watched: {error}"));
            }
        }
    }

    /// A service's process was reaped.
    pub(super) fn service_ended(&mut self, name: String, pid: i32, exit: Exit) {
        process::kill_rest(&name, pid);
        self.close_pipes(pid);
        let oom_kills = cgroup::oom_kills(&name);
        let before = self.oom_kills.insert(name.clone(), oom_kills).unwrap_or(0);
        let exit = if oom_kills > before {
            format!("{exit}: it was over its memory limit")
        } else {
            exit.to_string()
        };
        if self.supervisor.stopping() {
            self.announce(&format!("{name} stopped: {exit}"));
        } else {
            self.record(&format!("{name}: process {pid} {exit}"));
        }
        self.give(Event::Exited { name, exit });
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
        self.helpers.insert(child.pid, Helper { kind, deadline_ms });
        self.watch_child(child, kind.log(), None);
        Ok(())
    }

    /// Kills helpers whose time is over, and no longer waits for them: one that is stuck in the
    /// kernel never ends.
    pub(super) fn kill_late_helpers(&mut self, now_ms: u64) {
        let late: Vec<(i32, HelperKind)> = self
            .helpers
            .iter()
            .filter(|(_, helper)| helper.deadline_ms <= now_ms)
            .map(|(pid, helper)| (*pid, helper.kind))
            .collect();
        for (pid, kind) in late {
            process::kill_helper(pid);
            self.helpers.remove(&pid);
            self.announce(&format!("{} (process {pid}) took too long and was killed", kind.log()));
            self.helper_ended(kind, Exit::Signal(9));
        }
    }

    /// A helper has ended, or was given up.
    pub(super) fn helper_ended(&mut self, kind: HelperKind, exit: Exit) {
        match kind {
            HelperKind::Modprobe => {
                self.modules.batch_ended();
                self.dirty.drives = true;
            }
            HelperKind::FetchConfiguration => self.fetch_ended(exit),
        }
    }
}

impl HelperKind {
    /// The log in which its output lands.
    pub(super) const fn log(self) -> &'static str {
        match self {
            Self::Modprobe => "modprobe",
            Self::FetchConfiguration => "fetch-config",
        }
    }
}
