//! The supervisor in situations that once were, or could be, a mistake; and against a model, in [`model`].

mod model;

use super::orders::Order;
use super::*;
use imbrex_init::plan::{AGENT, DRIVE, Health, Stop};
use std::collections::VecDeque;

/// Services as the image has them, in what the supervisor looks at.
fn service(name: &str) -> Specification {
    let agent = || vec![AGENT.to_owned()];
    let drive = Specification {
        start: Start::Drive,
        readiness: Readiness::Pipe,
        ready_within_s: Some(300),
        needs: agent(),
        ..Specification::default()
    };
    let plain = Specification { needs: agent(), ..Specification::default() };
    let stop = |order, deadline_s| Stop { order, deadline_s };
    let health = Health { command: vec!["/bin/check".to_owned()], every_s: 20, within_s: 120 };
    let specification = match name {
        AGENT => Specification {
            readiness: Readiness::Pipe,
            ready_within_s: Some(60),
            crash_loop: CrashLoop::RetryForEver,
            health: Some(health),
            watchdog_s: Some(900),
            stop: stop(30, 10),
            ..Specification::default()
        },
        NETWORK => Specification { crash_loop: CrashLoop::RetryForEver, stop: stop(40, 5), ..plain },
        CLOCK => plain,
        FOLLOWER => Specification { binds_to: vec![CLOCK.to_owned()], ..plain },
        drive_name => {
            assert!(drive_name.starts_with(DRIVE));
            Specification { stop: stop(10, 30), ..drive }
        }
    };
    Specification { name: name.to_owned(), ..specification }
}

const NETWORK: &str = "dhcpcd";
const CLOCK: &str = "chronyd";
/// A service that is bound to the clock.
const FOLLOWER: &str = "follower";
const NAMES: [&str; 7] = [AGENT, NETWORK, CLOCK, FOLLOWER, "drive@one", "drive@two", "drive@three"];

fn started(supervisor: &mut Supervisor, name: &str, pid: i32, now_ms: u64) {
    let actions = supervisor.handle(Event::Declare(Box::new(service(name))), now_ms);
    assert_eq!(actions, [Action::Spawn { name: name.to_owned() }]);
    supervisor.handle(Event::Started { name: name.to_owned(), pid }, now_ms);
    supervisor.handle(Event::Ready { name: name.to_owned() }, now_ms);
}

#[test]
fn shutdown_stops_all_drives_at_once_and_the_agent_only_after_the_last_of_them() {
    let mut supervisor = Supervisor::new(1);
    for (pid, name) in (10..).zip([AGENT, NETWORK, "drive@one", "drive@two"]) {
        started(&mut supervisor, name, pid, 0);
    }
    let terminate = |name: &str, pid| Action::Terminate { name: name.to_owned(), pid };
    let exit = |name: &str| Event::Exited { name: name.to_owned(), exit: "exited with status 0".to_owned() };
    assert_eq!(
        supervisor.handle(Event::Shutdown, 5),
        [terminate("drive@one", 12), terminate("drive@two", 13)]
    );
    assert_eq!(supervisor.handle(exit("drive@two"), 6), []);
    assert_eq!(supervisor.handle(exit("drive@one"), 7), [terminate("agent", 10)]);
    assert_eq!(supervisor.handle(exit("agent"), 8), [terminate("dhcpcd", 11)]);
    assert_eq!(supervisor.handle(exit("dhcpcd"), 9), [Action::Finish]);
}

#[test]
fn a_shutdown_waits_24_s_for_whoever_does_not_stop_where_the_drives_are_well() {
    let mut supervisor = Supervisor::new(1);
    for (pid, name) in (10..).zip([AGENT, NETWORK, "drive@one", "drive@two"]) {
        started(&mut supervisor, name, pid, 0);
    }
    let exit = |name: &str| Event::Exited { name: name.to_owned(), exit: "exited with status 0".to_owned() };
    supervisor.handle(Event::Shutdown, 1_000);
    supervisor.handle(exit("drive@one"), 2_000);
    supervisor.handle(exit("drive@two"), 20_000);
    // The agent has not stopped, and had until 30 s by itself.
    assert_eq!(supervisor.deadline_ms(), Some(1_000 + WELL_MS));
    let kill = |name: &str, pid| Action::Kill { name: name.to_owned(), pid };
    let actions = supervisor.handle(Event::Tick, 1_000 + WELL_MS);
    assert_eq!(actions[1..], [kill(AGENT, 10), kill(NETWORK, 11)]);
    supervisor.handle(exit(AGENT), 25_001);
    assert_eq!(supervisor.handle(exit(NETWORK), 25_002), [Action::Finish]);
}

#[test]
fn a_shutdown_gives_the_others_time_where_a_drive_does_not_answer_and_ends_all_the_same() {
    let mut supervisor = Supervisor::new(1);
    for (pid, name) in (10..).zip([AGENT, NETWORK, "drive@one"]) {
        started(&mut supervisor, name, pid, 0);
    }
    supervisor.handle(Event::Shutdown, 0);
    assert_eq!(supervisor.handle(Event::Tick, WELL_MS), []);
    let actions = supervisor.handle(Event::Tick, 30_000);
    assert!(actions.contains(&Action::Kill { name: "drive@one".to_owned(), pid: 12 }), "{actions:?}");
    let actions = supervisor.handle(Event::Tick, 35_000);
    assert!(actions.contains(&Action::Terminate { name: AGENT.to_owned(), pid: 10 }), "{actions:?}");
    assert_eq!(supervisor.deadline_ms(), Some(ILL_MS));
    // Nobody waits for the agent's own kill, nor for the network's turn.
    let actions = supervisor.handle(Event::Tick, ILL_MS);
    assert!(actions.contains(&Action::Kill { name: NETWORK.to_owned(), pid: 11 }), "{actions:?}");
    let actions = supervisor.handle(Event::Tick, ILL_MS + KILL_DEADLINE_FORCED_MS);
    assert_eq!(actions.last(), Some(&Action::Finish), "{actions:?}");
    assert_eq!(supervisor.handle(Event::Tick, 10 * ILL_MS), []);
}

#[test]
fn a_drive_in_a_crash_loop_stays_down_until_a_person_clears_it() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    started(&mut supervisor, "drive@one", 11, 0);
    let mut now_ms = 0;
    let name = || "drive@one".to_owned();
    for pid in 12..16 {
        supervisor.handle(Event::Exited { name: name(), exit: "killed by signal 11".to_owned() }, now_ms);
        now_ms = supervisor.deadline_ms().unwrap();
        assert_eq!(supervisor.handle(Event::Tick, now_ms), [Action::Spawn { name: name() }]);
        supervisor.handle(Event::Started { name: name(), pid }, now_ms);
    }
    supervisor.handle(Event::Exited { name: name(), exit: "killed by signal 11".to_owned() }, now_ms);
    let drive = &supervisor.services()["drive@one"];
    assert_eq!(drive.state, State::Maintenance);
    assert_eq!(drive.reason(), Some("it failed 5 times within 10 minutes; the last: killed by signal 11"));
    // The agent's next sign of life is due, and nothing else.
    assert_eq!(supervisor.deadline_ms(), Some(120_000));
    assert_eq!(supervisor.order("drive@one", Order::Start, now_ms), Ok(vec![Action::Spawn { name: name() }]));
}

#[test]
fn a_drive_that_comes_back_while_its_process_is_stuck_gets_no_second_process() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    started(&mut supervisor, "drive@one", 11, 0);
    let name = || "drive@one".to_owned();
    supervisor.handle(Event::Withdraw { name: name(), reason: "the drive disappeared".to_owned() }, 0);
    supervisor.handle(Event::Tick, 30_000);
    supervisor.handle(Event::Tick, 35_000);
    assert!(supervisor.services()["drive@one"].stuck);
    assert_eq!(supervisor.handle(Event::Declare(Box::new(service("drive@one"))), 40_000), []);
    let exited = Event::Exited { name: name(), exit: "killed by signal 9".to_owned() };
    assert_eq!(supervisor.handle(exited, 50_000), [Action::Spawn { name: name() }]);
}

#[test]
fn a_service_that_is_in_maintenance_or_withdrawn_says_why_it_is_down() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    started(&mut supervisor, "drive@one", 11, 0);
    supervisor.handle(
        Event::Withdraw { name: "drive@one".to_owned(), reason: "the drive disappeared".to_owned() },
        0,
    );
    let refusal = supervisor.order("drive@one", Order::Start, 0).unwrap_err();
    assert_eq!(refusal, "drive@one cannot be started: the drive disappeared");
    assert!(supervisor.order("drive@none", Order::Start, 0).unwrap_err().contains("drive@none"));
}

#[test]
fn a_service_that_gives_no_sign_of_life_is_killed_and_the_watchdog_told_if_that_does_not_help() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    let name = || AGENT.to_owned();
    supervisor.handle(Event::Alive { name: name() }, 100_000);
    assert_eq!(supervisor.handle(Event::Tick, 219_999), []);
    let actions = supervisor.handle(Event::Tick, 220_000);
    assert!(actions.contains(&Action::Kill { name: name(), pid: 10 }), "{actions:?}");
    let actions =
        supervisor.handle(Event::Exited { name: name(), exit: "killed by signal 9".to_owned() }, 220_001);
    let [Action::Record(line)] = &actions[..] else { panic!("{actions:?}") };
    assert!(line.starts_with("agent: it gave no sign of life for 120 s (killed by signal 9)"), "{line}");
    assert_eq!(supervisor.overdue(1_000_000), None);
    assert_eq!(supervisor.overdue(1_000_001).as_deref(), Some("agent has not been well for 900 s"));
}

#[test]
fn what_is_bound_to_another_service_stops_with_it_and_comes_back_with_it() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    started(&mut supervisor, CLOCK, 11, 0);
    started(&mut supervisor, FOLLOWER, 12, 0);
    let exit = |name: &str| Event::Exited { name: name.to_owned(), exit: "killed by signal 11".to_owned() };
    let actions = supervisor.handle(exit(CLOCK), 5);
    assert!(actions.contains(&Action::Terminate { name: FOLLOWER.to_owned(), pid: 12 }), "{actions:?}");
    assert_eq!(supervisor.handle(exit(FOLLOWER), 6), []);
    let now_ms = supervisor.deadline_ms().unwrap();
    assert_eq!(supervisor.handle(Event::Tick, now_ms), [Action::Spawn { name: CLOCK.to_owned() }]);
    let actions = supervisor.handle(Event::Started { name: CLOCK.to_owned(), pid: 13 }, now_ms);
    assert_eq!(actions, [Action::Spawn { name: FOLLOWER.to_owned() }]);
}

#[test]
fn a_service_that_starts_again_and_again_and_never_passes_its_check_is_told_to_the_watchdog() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    let name = || AGENT.to_owned();
    let (mut now_ms, mut pid) = (0, 10);
    while supervisor.overdue(now_ms).is_none() {
        now_ms = supervisor.deadline_ms().unwrap();
        assert!(now_ms < 1_200_000, "the watchdog is fed for ever");
        let actions = supervisor.handle(Event::Tick, now_ms);
        if actions.contains(&Action::Kill { name: name(), pid }) {
            supervisor.handle(Event::Exited { name: name(), exit: "killed by signal 9".to_owned() }, now_ms);
        } else {
            pid += 1;
            supervisor.handle(Event::Started { name: name(), pid }, now_ms);
            supervisor.handle(Event::Ready { name: name() }, now_ms);
        }
    }
    assert!(now_ms > 900_000, "{now_ms}");
}

#[test]
fn a_service_without_a_check_that_was_ready_for_a_week_is_not_overdue_the_moment_it_fails() {
    let mut supervisor = Supervisor::new(1);
    let specification = Specification { health: None, ..service(AGENT) };
    supervisor.handle(Event::Declare(Box::new(specification)), 0);
    supervisor.handle(Event::Started { name: AGENT.to_owned(), pid: 10 }, 0);
    supervisor.handle(Event::Ready { name: AGENT.to_owned() }, 0);
    let week_ms = 7 * 86_400_000;
    assert_eq!(supervisor.overdue(week_ms), None);
    supervisor
        .handle(Event::Exited { name: AGENT.to_owned(), exit: "exited with status 1".to_owned() }, week_ms);
    assert_eq!(supervisor.overdue(week_ms + 900_000), None);
    assert!(supervisor.overdue(week_ms + 900_001).is_some());
}

#[test]
fn sixty_four_drives_start_a_few_at_a_turn_and_the_next_turn_is_due_at_once() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    let (mut pid, mut waiting) = (100, VecDeque::new());
    for number in 0..64 {
        let drive = Specification { name: format!("{DRIVE}{number}"), ..service("drive@one") };
        waiting.extend(supervisor.handle(Event::Declare(Box::new(drive)), 5));
    }
    // The agent was one of the first turn's.
    assert_eq!(waiting.len(), SPAWNS_MAX - 1);
    for turn in 0..64 {
        let mut count = 0;
        while let Some(action) = waiting.pop_front() {
            let Action::Spawn { name } = action else { panic!("{action:?}") };
            (pid, count) = (pid + 1, count + 1);
            waiting.extend(supervisor.handle(Event::Started { name, pid }, 5));
        }
        assert!(count <= SPAWNS_MAX, "{count} in turn {turn}");
        if supervisor.deadline_ms() != Some(0) {
            break;
        }
        waiting.extend(supervisor.handle(Event::Tick, 5));
    }
    assert_eq!(pid, 164);
}

#[test]
fn a_service_that_does_not_become_ready_in_its_time_is_killed_and_that_is_a_failure() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    let name = || "drive@one".to_owned();
    supervisor.handle(Event::Declare(Box::new(service("drive@one"))), 0);
    supervisor.handle(Event::Started { name: name(), pid: 11 }, 1_000);
    supervisor.handle(Event::Alive { name: AGENT.to_owned() }, 290_000);
    assert_eq!(supervisor.deadline_ms(), Some(301_000));
    assert_eq!(supervisor.handle(Event::Tick, 300_999), []);
    let actions = supervisor.handle(Event::Tick, 301_000);
    assert!(actions.contains(&Action::Kill { name: name(), pid: 11 }), "{actions:?}");
    let exited = Event::Exited { name: name(), exit: "killed by signal 9".to_owned() };
    let actions = supervisor.handle(exited, 301_001);
    let [Action::Record(line)] = &actions[..] else { panic!("{actions:?}") };
    assert!(line.starts_with("drive@one: it was not ready within 300 s (killed by signal 9)"), "{line}");
}

#[test]
fn a_service_that_runs_again_no_longer_says_why_it_was_down() {
    let mut supervisor = Supervisor::new(1);
    started(&mut supervisor, AGENT, 10, 0);
    started(&mut supervisor, "drive@one", 11, 0);
    let name = || "drive@one".to_owned();
    supervisor.handle(Event::Withdraw { name: name(), reason: "the drive disappeared".to_owned() }, 0);
    supervisor.handle(Event::Declare(Box::new(service("drive@one"))), 10);
    for now_ms in [30_000, 35_000] {
        supervisor.handle(Event::Tick, now_ms);
    }
    let reason = |supervisor: &Supervisor| supervisor.services()["drive@one"].reason().map(str::to_owned);
    assert!(reason(&supervisor).unwrap().contains("stuck in the kernel"));
    supervisor.handle(Event::Exited { name: name(), exit: "killed by signal 9".to_owned() }, 40_000);
    supervisor.handle(Event::Started { name: name(), pid: 12 }, 40_000);
    assert_eq!(reason(&supervisor), None);
}

#[test]
fn a_long_run_without_ever_being_ready_is_no_good_one() {
    let wait_ms = |ready: bool| {
        let mut supervisor = Supervisor::new(1);
        started(&mut supervisor, AGENT, 10, 0);
        supervisor.handle(Event::Declare(Box::new(service("drive@one"))), 0);
        let (name, exit) = (|| "drive@one".to_owned(), "exited with status 1");
        let mut now_ms = 0;
        for (pid, run_ms) in [(11, 10), (12, 10), (13, 10), (14, 120_000)] {
            supervisor.handle(Event::Started { name: name(), pid }, now_ms);
            if ready {
                supervisor.handle(Event::Ready { name: name() }, now_ms);
            }
            now_ms += run_ms;
            supervisor.handle(Event::Exited { name: name(), exit: exit.to_owned() }, now_ms);
            let State::Backoff { until_ms } = supervisor.services()["drive@one"].state else {
                panic!("{pid}")
            };
            if pid == 14 {
                return until_ms - now_ms;
            }
            now_ms = until_ms;
            supervisor.handle(Event::Tick, now_ms);
        }
        unreachable!("it has returned")
    };
    // A tenth of a second again, or eight times that, both with a quarter of jitter.
    assert!(wait_ms(true) <= 125 && wait_ms(false) >= 600, "{} and {}", wait_ms(true), wait_ms(false));
}
