//! The running node: one thread, one event loop, and the hands of the state machines.
//!
//! A turn of the loop does everything that is due ([`Node::settle`]), waits for what is due next,
//! and takes what has come. Nothing in a turn waits for anybody.

mod children;
mod configuration;
mod helpers;
mod loops;
mod machine;
mod orders;
mod planning;
mod stages;
mod status;

use crate::boot::{self, Boot, Configuration, Outcome, Record, Stage};
use crate::clock::Clock;
use crate::command_line::CommandLine;
use crate::control::Connection;
use crate::logs::Ring;
use crate::network::Address;
use crate::process::Handle;
use crate::shutdown::{self, Ending};
use crate::supervisor::backoff::{Backoff, Random};
use crate::supervisor::{Action, Event, Supervisor};
use crate::watchdog::{self, Watchdog};
use crate::{cgroup, console, control, network, platform, power_button, process, uevent};
use helpers::{HelperKind, Helpers};
use imbrex_init::plan::{self, Plan};
use nix::sys::epoll::Epoll;
use nix::sys::signalfd::SignalFd;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};

/// The name under which init's own log and its entry in the status are found.
const INIT: &str = "init";

/// The most rounds in which one turn of the loop does what is due.
const ROUNDS_MAX: usize = 64;
/// With something still due after so many rounds, the next turn comes after this, in milliseconds.
const AGAIN_MS: u64 = 10;

/// A descriptor that comes and goes.
#[derive(Debug)]
enum Source {
    /// A client of the control socket.
    Connection(Connection),
    /// What a process writes, and the log in which it lands.
    Output { log: String, pid: i32, pipe: File },
    /// Where a service says that it is ready, and what it has said so far.
    Ready { service: String, pid: i32, pipe: File, said: Vec<u8> },
    /// Where a service says anything: sd_notify(3).
    Notify { service: String, pid: i32, socket: UnixDatagram },
    /// The machine's power button, by its name in `/dev/input`.
    Button { name: String, file: File },
}

/// The fetch of the configuration, repeated until it succeeds.
#[derive(Debug)]
struct Fetch {
    /// When to try again, in milliseconds since boot; none while one runs or none is wanted.
    due_ms: Option<u64>,
    backoff: Backoff,
    random: Random,
}

/// What must be looked at in the next turn.
#[derive(Debug, Default)]
struct Dirty {
    /// What the plan depends on.
    plan: bool,
    /// There may be devices without a driver.
    devices: bool,
    /// There may be a watchdog or a power button.
    machine: bool,
    address: bool,
    api: bool,
}

/// Everything that init knows.
#[derive(Debug)]
struct Node {
    epoll: Epoll,
    signals: SignalFd,
    uevents: OwnedFd,
    addresses: OwnedFd,
    control: UnixListener,
    sources: BTreeMap<u64, Source>,
    token_next: u64,
    supervisor: Supervisor,
    boot: Boot,
    plan: Plan,
    /// When the helper may make a new one at the earliest.
    plan_retry_ms: u64,
    /// What was last said of an errand that fails again and again, by its log.
    complaints: BTreeMap<&'static str, String>,
    network_prepared: bool,
    /// Whether a helper looks for drivers.
    drivers_sought: bool,
    clock: Clock,
    watchdog: Option<Watchdog>,
    /// What pstore told of the machine's last end.
    last_crash: Vec<String>,
    /// When the countdown of a shutdown says its next line, in milliseconds since boot.
    countdown_ms: Option<u64>,
    /// When each service's health is asked for next, in milliseconds since boot.
    checks_ms: BTreeMap<String, u64>,
    logs: BTreeMap<String, Ring>,
    /// The way to signal each child that was not reaped: no signal takes another.
    handles: BTreeMap<i32, Handle>,
    /// Living processes of services.
    processes: BTreeMap<i32, String>,
    helpers: Helpers,
    /// What the kernel did to each service for want of memory, as last seen.
    out_of_memory: BTreeMap<String, cgroup::OutOfMemory>,
    command_line: CommandLine,
    /// The node's name, once it has a configuration.
    configuration: Option<String>,
    fetch: Fetch,
    address: Option<Address>,
    api_line: Option<String>,
    dirty: Dirty,
    ending: Ending,
    /// When the node was told to stop, in milliseconds since boot.
    ordered_ms: u64,
    /// When it was last told so.
    told_ms: u64,
    /// When services that speak sd_notify(3) are heard again, in milliseconds since boot.
    notify_ms: Option<u64>,
}

/// Boots the node and runs it until it is told to stop. Comes back only with the reason why it
/// cannot go on.
pub(crate) fn run() -> String {
    match begin().and_then(|mut node| node.run().map_err(|error| format!("the event loop failed: {error}"))) {
        Ok(never) => match never {},
        Err(reason) => reason,
    }
}

/// The first stage, and everything that the event loop needs.
fn begin() -> Result<Node, String> {
    let started_ms = platform::now_ms();
    let left_out = platform::mount_filesystems()?;
    let text = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let command_line = CommandLine::parse(&text);
    platform::raise_limits();
    cgroup::prepare();
    console::line(&format!("Imbrex {} boots", env!("CARGO_PKG_VERSION")));
    let filesystems = Record {
        took_ms: Some(platform::now_ms().saturating_sub(started_ms)),
        outcome: Outcome::Done,
        detail: (!left_out.is_empty()).then(|| left_out.join("; ")),
        ..Record::begun(Stage::Filesystems, started_ms)
    };
    let mut node = Node::new(command_line, filesystems)
        .map_err(|error| format!("the event loop cannot be made: {error}"))?;
    node.start_own_helper(HelperKind::Pstore, &["pstore"], machine::PSTORE_DEADLINE_MS);
    for word in std::mem::take(&mut node.command_line.unknown) {
        let means = "means nothing: see the README of init for those that do";
        node.announce(&format!("{word} on the kernel command line {means}"));
    }
    Ok(node)
}

impl Node {
    fn run(&mut self) -> nix::Result<Infallible> {
        loop {
            let deadline_ms = self.settle();
            self.take_events(deadline_ms)?;
        }
    }

    /// Does everything that is due, until nothing is. When something is due again, in milliseconds since boot.
    fn settle(&mut self) -> Option<u64> {
        let mut again = true;
        // Bounded, so that not even a mistake in here keeps signals from being heard.
        for _ in 0..ROUNDS_MAX {
            let now_ms = platform::now_ms();
            self.look_at_address();
            self.look_at_machine(now_ms);
            self.seek_drivers();
            self.make_plan(now_ms);
            self.fetch_configuration(now_ms);
            self.kill_late_helpers(now_ms);
            self.check_health(now_ms);
            self.feed_watchdog(now_ms);
            self.count_down(now_ms);
            self.hear_again(now_ms);
            self.give(Event::Tick);
            self.announce_api();
            again = self.advance_boot();
            if !again {
                break;
            }
        }
        if again { Some(platform::now_ms() + AGAIN_MS) } else { self.deadline_ms() }
    }

    fn deadline_ms(&self) -> Option<u64> {
        let (boot, helpers) = (self.boot.deadline_ms(), self.helpers.deadline_ms());
        let watchdog = self.watchdog.as_ref().and_then(Watchdog::deadline_ms);
        let machines = [self.supervisor.deadline_ms(), boot, helpers, watchdog, self.notify_ms];
        let own = [self.plan_ms(), self.fetch.due_ms, self.countdown_ms, self.health_ms()];
        machines.into_iter().chain(own).flatten().min()
    }

    /// Hands an event to the supervisor and does what it says.
    fn give(&mut self, event: Event) {
        let actions = self.supervisor.handle(event, platform::now_ms());
        self.carry_out(actions);
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            match action {
                Action::Spawn { name } => {
                    let event = self.spawn(name);
                    queue.extend(self.supervisor.handle(event, platform::now_ms()));
                }
                Action::Terminate { pid, .. } => {
                    self.handles.get(&pid).into_iter().for_each(Handle::terminate);
                }
                Action::Kill { name, pid } => {
                    self.handles.get(&pid).into_iter().for_each(|one| one.kill_all(Some(&name)));
                }
                Action::Record(line) => self.record(&line),
                Action::Announce(line) => self.announce(&line),
                Action::GiveUp { name, reason } => {
                    let said = self.logs.get(&name).map(|ring| ring.last(3).join(" | ")).unwrap_or_default();
                    self.announce(&format!("{name} is in maintenance: {reason}; it said last: {said}"));
                }
                Action::Finish => {
                    if self.watchdog.as_ref().is_some_and(|watchdog| watchdog.starved.is_none()) {
                        watchdog::feed_last(shutdown::kernel_s_max());
                    }
                    let stuck = self.supervisor.services().values().any(|service| service.stuck);
                    shutdown::end(self.ending, self.ordered_ms, stuck)
                }
            }
        }
    }

    /// Stops the node in order; told again, at once.
    fn shut_down(&mut self, ending: Ending) {
        self.ending = ending;
        let (now_ms, stopping) = (platform::now_ms(), self.supervisor.stopping());
        let before_ms = std::mem::replace(&mut self.told_ms, now_ms);
        if stopping && now_ms.saturating_sub(before_ms) < shutdown::SAME_ORDER_MS {
            return self.record(&format!("told to {} once more", ending.verb()));
        }
        if stopping {
            self.announce(&format!("told again to {}: everything is killed now", ending.verb()));
        } else {
            let drives = self.processes.values().filter(|name| name.starts_with(plan::DRIVE)).count();
            self.announce(&format!("stopping to {}: {drives} drives are asked to flush", ending.verb()));
            self.ordered_ms = now_ms;
            self.countdown_ms = Some(self.ordered_ms + machine::COUNTDOWN_MS);
        }
        self.give(Event::Shutdown);
    }

    /// Writes a line into init's own log.
    fn record(&mut self, line: &str) {
        let now_ms = platform::now_ms();
        self.logs.entry(INIT.to_owned()).or_default().push(&format!("{now_ms} ms: {line}"), now_ms);
    }

    /// Writes a line into init's own log and on the console.
    fn announce(&mut self, line: &str) {
        self.record(line);
        console::line(line);
    }

    /// The same where it is another line than the last one of this errand; else into the log alone.
    fn announce_change(&mut self, errand: &HelperKind, line: String) {
        if self.complaints.get(errand.log()) == Some(&line) {
            return self.record(&line);
        }
        self.announce(&line);
        self.complaints.insert(errand.log(), line);
    }
}
