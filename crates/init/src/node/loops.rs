//! The event loop's descriptors: made, waited for, and read.

use super::{
    Backoff, Boot, Clock, CommandLine, Dirty, Ending, Event, Fetch, Helpers, Node, Random, Record, Source,
    cgroup, control, network, platform, power_button, uevent,
};
use crate::process::reap;
use crate::supervisor::Supervisor;
use imbrex_init::plan::{AGENT, Plan};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::AsFd;

const SIGNALS: u64 = 0;
const UEVENTS: u64 = 1;
const ADDRESSES: u64 = 2;
const CONTROL: u64 = 3;
const CLOCK: u64 = 4;
const TOKEN_FIRST: u64 = 5;

/// The most events that one turn takes.
const EVENTS_MAX: usize = 64;
/// The most uevents that one turn reads before it looks at everything else.
const UEVENTS_MAX: usize = 1_024;
/// The most bytes that one turn reads from one process, so that none keeps the loop to itself.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

impl Node {
    /// The node before its first turn.
    pub(super) fn new(command_line: CommandLine, filesystems: Record) -> io::Result<Self> {
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGPWR, Signal::SIGHUP] {
            mask.add(signal);
        }
        mask.thread_block()?;
        // Ctrl-Alt-Del becomes a SIGINT, instead of a reboot that asks no drive.
        let _ = nix::sys::reboot::set_cad_enabled(false);
        let seed = platform::seed();
        let node = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            signals: SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            uevents: uevent::listen()?,
            addresses: network::listen()?,
            control: control::listen()?,
            sources: BTreeMap::new(),
            token_next: TOKEN_FIRST,
            supervisor: Supervisor::new(seed),
            boot: Boot::new(filesystems),
            plan: Plan::default(),
            plan_retry_ms: 0,
            complaints: BTreeMap::new(),
            network_prepared: false,
            drivers_sought: false,
            clock: Clock::new(platform::now_ms())?,
            watchdog: None,
            last_crash: Vec::new(),
            countdown_ms: None,
            checks_ms: BTreeMap::new(),
            logs: BTreeMap::new(),
            handles: BTreeMap::new(),
            processes: BTreeMap::new(),
            helpers: Helpers::default(),
            out_of_memory: BTreeMap::new(),
            command_line,
            configuration: None,
            fetch: Fetch {
                due_ms: None,
                backoff: Backoff::default(),
                random: Random::new(seed.rotate_left(32)),
            },
            address: None,
            api_line: None,
            dirty: Dirty::default(),
            ending: Ending::PowerOff,
            ordered_ms: 0,
        };
        let readable = |token| EpollEvent::new(EpollFlags::EPOLLIN, token);
        node.epoll.add(&node.signals, readable(SIGNALS))?;
        node.epoll.add(&node.uevents, readable(UEVENTS))?;
        node.epoll.add(&node.addresses, readable(ADDRESSES))?;
        node.epoll.add(&node.control, readable(CONTROL))?;
        node.epoll.add(&node.clock.timer, readable(CLOCK))?;
        Ok(node)
    }

    /// Waits until this time at the latest, in milliseconds since boot, and takes what has come.
    pub(super) fn take_events(&mut self, deadline_ms: Option<u64>) -> nix::Result<()> {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        // Not in one piece where the number has no room for it: an early turn does no harm.
        let wait_ms = deadline_ms.map(|deadline_ms| deadline_ms.saturating_sub(platform::now_ms()));
        let wait =
            wait_ms.map_or(EpollTimeout::NONE, |ms| EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX));
        let count = match self.epoll.wait(&mut events, wait) {
            Err(nix::errno::Errno::EINTR) => 0,
            other => other?,
        };
        for event in &events[..count] {
            match event.data() {
                SIGNALS => self.take_signals()?,
                UEVENTS => self.take_uevents()?,
                ADDRESSES => {
                    network::drain(&self.addresses);
                    self.dirty.address = true;
                }
                CONTROL => self.accept(),
                CLOCK => self.clock_was_set(),
                token => self.take(token),
            }
        }
        Ok(())
    }

    fn take_signals(&mut self) -> nix::Result<()> {
        while let Some(signal) = self.signals.read_signal()? {
            match i32::try_from(signal.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                Some(Signal::SIGCHLD) => self.reap_all(),
                Some(Signal::SIGINT) => self.shut_down(Ending::Reboot),
                Some(Signal::SIGTERM | Signal::SIGPWR) => self.shut_down(Ending::PowerOff),
                _ => {}
            }
        }
        Ok(())
    }

    fn reap_all(&mut self) {
        while let Ok(Some((pid, exit))) = reap() {
            self.handles.remove(&pid);
            if let Some(service) = self.processes.remove(&pid) {
                self.service_ended(service, pid, exit);
            } else if let Some(kind) = self.helpers.end(pid) {
                // What it has left behind, as of a service.
                kind.group().map(|group| cgroup::kill(&group));
                self.close_pipes(pid);
                self.helper_ended(kind, exit);
            }
            // Anything else is an orphan that somebody left: there is nobody to tell.
        }
    }

    fn take_uevents(&mut self) -> nix::Result<()> {
        for _ in 0..UEVENTS_MAX {
            let Some(event) = uevent::receive(&self.uevents)? else { break };
            if event.lost {
                self.record("the kernel had more uevents than fit: all devices are looked at again");
            }
            self.dirty.plan |= event.lost || event.subsystem == "block";
            self.dirty.machine |= event.lost || event.subsystem == "input" || event.subsystem == "watchdog";
            self.dirty.devices |= event.lost || (event.modalias && event.action == "add");
        }
        Ok(())
    }

    /// Takes what a descriptor that comes and goes has to give. It may be gone by now.
    fn take(&mut self, token: u64) {
        match self.sources.get_mut(&token) {
            Some(Source::Connection(_)) => self.serve(token),
            Some(Source::Output { log, pipe, .. }) => {
                let ring = self.logs.entry(log.clone()).or_default();
                if copy_output(pipe, ring, OUTPUT_BYTES_MAX, platform::now_ms()) {
                    ring.finish();
                    self.sources.remove(&token);
                }
            }
            Some(Source::Notify { service, socket, .. }) => {
                let mut bytes = [0_u8; 4096];
                let length = socket.recv(&mut bytes).unwrap_or(0);
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                let service = service.clone();
                for line in text.lines() {
                    let name = service.clone();
                    match line {
                        "READY=1" => self.give(Event::Ready { name }),
                        "WATCHDOG=1" => self.give(Event::Alive { name }),
                        _ => {}
                    }
                }
            }
            Some(Source::Button { file, .. }) => match power_button::pressed(file) {
                Some(true) => self.shut_down(Ending::PowerOff),
                Some(false) => {}
                None => drop(self.sources.remove(&token)),
            },
            Some(Source::Ready { service, pipe, .. }) => {
                let mut bytes = [0_u8; 64];
                let length = pipe.read(&mut bytes).unwrap_or(0);
                let ready = bytes[..length].starts_with(b"READY");
                let service = service.clone();
                self.sources.remove(&token);
                if ready {
                    self.dirty.api |= service == AGENT;
                    self.give(Event::Ready { name: service });
                }
            }
            None => {}
        }
    }

    /// Watches one more descriptor.
    pub(super) fn watch(&mut self, source: Source) {
        let token = self.token_next;
        self.token_next += 1;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, token);
        let descriptor = match &source {
            Source::Connection(connection) => connection.stream.as_fd(),
            Source::Output { pipe: file, .. }
            | Source::Ready { pipe: file, .. }
            | Source::Button { file, .. } => file.as_fd(),
            Source::Notify { socket, .. } => socket.as_fd(),
        };
        match self.epoll.add(descriptor, event) {
            Ok(()) => drop(self.sources.insert(token, source)),
            Err(error) => self.record(&format!("{source:?} cannot be watched: {error}")),
        }
    }

    /// A process has ended: takes what is left in its pipes and closes them, even where a child of
    /// it still holds the other end.
    pub(super) fn close_pipes(&mut self, ended: i32) {
        let logs = &mut self.logs;
        self.sources.retain(|_, source| match source {
            Source::Output { log, pid, pipe } if *pid == ended => {
                let ring = logs.entry(log.clone()).or_default();
                copy_output(pipe, ring, OUTPUT_BYTES_MAX * 16, platform::now_ms());
                ring.finish();
                false
            }
            Source::Ready { pid, .. } | Source::Notify { pid, .. } => *pid != ended,
            _ => true,
        });
    }
}

/// Moves at most so many bytes from a pipe into a log; whether the pipe is at its end.
fn copy_output(pipe: &mut impl Read, ring: &mut super::Ring, bytes_max: usize, now_ms: u64) -> bool {
    let mut buffer = [0_u8; 16 * 1024];
    let mut copied = 0;
    while copied < bytes_max {
        match pipe.read(&mut buffer) {
            Ok(0) => return true,
            Ok(length) => {
                ring.write(&buffer[..length], now_ms);
                copied += length;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
    false
}
