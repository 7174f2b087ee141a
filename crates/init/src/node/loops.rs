//! The event loop's descriptors: made, waited for, and read.

use super::{
    Backoff, Boot, Clock, CommandLine, Dirty, Ending, Event, Fetch, Helpers, Node, Random, Record, Source,
    cgroup, control, network, platform, power_button, uevent,
};
use crate::process::reap;
use crate::supervisor::Supervisor;
use imbrex_init::plan::{AGENT, Plan};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal, raise};
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
/// The most uevents, signals and dead children that one turn takes before it looks at everything else.
const TAKEN_MAX: usize = 1_024;
/// The most bytes that one turn reads from one process, so that none keeps the loop to itself.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// The most bytes among which a service says that it is ready.
const READY_BYTES_MAX: usize = 64;
/// The most datagrams of a service that one turn takes, and when it is heard again, in milliseconds.
const DATAGRAMS_MAX: usize = 64;
const NOTIFY_PAUSE_MS: u64 = 100;

impl Node {
    /// The node before its first turn.
    pub(super) fn new(command_line: CommandLine, filesystems: Record) -> io::Result<Self> {
        let signals = [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGPWR, Signal::SIGHUP];
        let mask = SigSet::from_iter(signals);
        mask.thread_block()?;
        // Ctrl-Alt-Del becomes a SIGINT, instead of a reboot that asks no drive.
        let _ = nix::sys::reboot::set_cad_enabled(false);
        let (seed, random) = (platform::seed(), Random::new(platform::seed()));
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
            fetch: Fetch { due_ms: None, backoff: Backoff::default(), random },
            address: None,
            api_line: None,
            dirty: Dirty::default(),
            ending: Ending::PowerOff,
            ordered_ms: 0,
            told_ms: 0,
            notify_ms: None,
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
        let mut died = false;
        for _ in 0..TAKEN_MAX {
            let Some(signal) = self.signals.read_signal()? else { break };
            match i32::try_from(signal.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                Some(Signal::SIGCHLD) => died = true,
                Some(Signal::SIGINT) => self.shut_down(Ending::Reboot),
                Some(Signal::SIGTERM | Signal::SIGPWR) => self.shut_down(Ending::PowerOff),
                _ => {}
            }
        }
        if died {
            self.reap_some();
        }
        Ok(())
    }

    fn reap_some(&mut self) {
        for _ in 0..TAKEN_MAX {
            let Ok(Some((pid, exit))) = reap() else { return };
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
        // There may be more: the next turn hears of them.
        let _ = raise(Signal::SIGCHLD);
    }

    fn take_uevents(&mut self) -> nix::Result<()> {
        for _ in 0..TAKEN_MAX {
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
                let (mut bytes, mut ready, mut alive) = ([0_u8; 4096], false, false);
                for _ in 0..DATAGRAMS_MAX {
                    let Ok(length) = socket.recv(&mut bytes) else { break };
                    for line in bytes[..length].split(|&byte| byte == b'\n') {
                        ready |= line == b"READY=1";
                        alive |= line == b"WATCHDOG=1";
                    }
                }
                // Whoever runs on the node can write to it: it is not to keep the loop to itself.
                let _ = self.epoll.delete(socket);
                let name = || service.clone();
                let ready = ready.then(|| Event::Ready { name: name() });
                let alive = alive.then(|| Event::Alive { name: name() });
                self.notify_ms.get_or_insert_with(|| platform::now_ms() + NOTIFY_PAUSE_MS);
                ready.into_iter().chain(alive).for_each(|event| self.give(event));
            }
            Some(Source::Button { file, .. }) => match power_button::pressed(file) {
                Some(true) => self.shut_down(Ending::PowerOff),
                Some(false) => {}
                None => drop(self.sources.remove(&token)),
            },
            Some(Source::Ready { service, pipe, said, .. }) => {
                let (ready, over) = read_ready(pipe, said);
                let service = service.clone();
                if over {
                    self.sources.remove(&token);
                }
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

    /// Hears the services again that were heard a while ago.
    pub(super) fn hear_again(&mut self, now_ms: u64) {
        if self.notify_ms.take_if(|due_ms| *due_ms <= now_ms).is_some() {
            for (token, source) in &self.sources {
                if let Source::Notify { socket, .. } = source {
                    let _ = self.epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, *token));
                }
            }
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

/// Reads on what a service says of being ready, into `said`: whether it is, and whether no more is to be heard.
fn read_ready(pipe: &mut impl Read, said: &mut Vec<u8>) -> (bool, bool) {
    let room = READY_BYTES_MAX.saturating_sub(said.len());
    // An error that nothing more is there yet keeps what was.
    let ended = pipe.take(u64::try_from(room).unwrap_or(0)).read_to_end(said).is_ok();
    let ready = said.starts_with(b"READY");
    (ready, ready || ended)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn ready_is_heard_in_however_many_writes_it_comes_and_nobody_is_heard_out_for_ever() {
        let heard = |pieces: &[&str], close: bool| {
            let (mut pipe, mut writer) = UnixStream::pair().unwrap();
            pipe.set_nonblocking(true).unwrap();
            let mut said = Vec::new();
            let mut heard = Vec::new();
            for piece in pieces {
                writer.write_all(piece.as_bytes()).unwrap();
                heard.push(read_ready(&mut pipe, &mut said));
            }
            drop(close.then_some(writer));
            if close {
                heard.push(read_ready(&mut pipe, &mut said));
            }
            heard
        };
        assert_eq!(heard(&["READY\n"], false), [(true, true)]);
        assert_eq!(heard(&["RE", "AD", "Y"], false), [(false, false), (false, false), (true, true)]);
        assert_eq!(heard(&["REA"], true), [(false, false), (false, true)]);
        assert_eq!(heard(&["x".repeat(READY_BYTES_MAX).as_str()], false), [(false, true)]);
    }
}
