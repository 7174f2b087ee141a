//! The helpers under way: children of init's that are no services. Numbers and the time go in; no process is touched.
//!
//! Invariant: of each kind there is one at most, and one that not even SIGKILL has ended counts. So an errand that
//! hangs in the kernel costs one process and two descriptors, however often it falls due.

use std::collections::BTreeMap;

/// What a helper is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HelperKind {
    Plan,
    Coldplug,
    Configure,
    PrepareNetwork,
    Pstore,
    Health { service: String },
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

    /// The control group whose processes end when the helper does. None for the search for drivers: a driver that takes
    /// its time goes on without it.
    pub(super) fn group(&self) -> Option<String> {
        match self {
            Self::Coldplug => None,
            Self::Health { service } => Some(format!("health:{service}")),
            _ => Some(format!("helper:{}", self.log())),
        }
    }
}

/// A helper that was not reaped yet.
#[derive(Debug)]
struct Helper {
    kind: HelperKind,
    /// When it is killed, in milliseconds since boot; none once it was.
    deadline_ms: Option<u64>,
}

/// The helpers that were not reaped yet, by their processes.
#[derive(Debug, Default)]
pub(super) struct Helpers(BTreeMap<i32, Helper>);

impl Helpers {
    /// One was started, and is killed at this time, in milliseconds since boot.
    pub(super) fn begin(&mut self, pid: i32, kind: HelperKind, deadline_ms: u64) {
        self.0.insert(pid, Helper { kind, deadline_ms: Some(deadline_ms) });
    }

    /// Whether there is one of this kind: no second one is to be started then.
    pub(super) fn has(&self, kind: &HelperKind) -> bool {
        self.0.values().any(|helper| helper.kind == *kind)
    }

    /// When the next is to be killed, in milliseconds since boot.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.0.values().filter_map(|helper| helper.deadline_ms).min()
    }

    /// Those that are to be killed now, each told once.
    pub(super) fn late(&mut self, now_ms: u64) -> Vec<(i32, HelperKind)> {
        let late = |(pid, helper): (&i32, &mut Helper)| {
            helper.deadline_ms.take_if(|deadline_ms| *deadline_ms <= now_ms)?;
            Some((*pid, helper.kind.clone()))
        };
        self.0.iter_mut().filter_map(late).collect()
    }

    /// A process was reaped: what it was for, where it was a helper.
    pub(super) fn end(&mut self, pid: i32) -> Option<HelperKind> {
        self.0.remove(&pid).map(|helper| helper.kind)
    }

    /// How many were killed and have not died: they are stuck in the kernel.
    pub(super) fn stuck(&self) -> usize {
        self.0.values().filter(|helper| helper.deadline_ms.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_stuck_in_the_kernel_is_killed_once_counted_and_not_started_again_before_it_has_died() {
        let mut helpers = Helpers::default();
        let health = |service: &str| HelperKind::Health { service: service.to_owned() };
        let (mut pid, mut starts) = (100, 0);
        // A retry every five seconds for a day, of a plan that never ends.
        for now_ms in (0..86_400_000).step_by(5_000) {
            if !helpers.has(&HelperKind::Plan) {
                (pid, starts) = (pid + 1, starts + 1);
                helpers.begin(pid, HelperKind::Plan, now_ms + 30_000);
                assert_eq!((helpers.deadline_ms(), helpers.stuck()), (Some(now_ms + 30_000), 0));
            }
            let expected = if now_ms == 30_000 { vec![(101, HelperKind::Plan)] } else { Vec::new() };
            assert_eq!(helpers.late(now_ms), expected);
        }
        assert_eq!((starts, helpers.stuck(), helpers.deadline_ms()), (1, 1, None));
        // It costs no other, not even one of the same check for another service.
        helpers.begin(7, health("a"), 10);
        assert!(
            helpers.has(&health("a")) && !helpers.has(&health("b")) && !helpers.has(&HelperKind::Coldplug)
        );
        assert_eq!(helpers.end(101), Some(HelperKind::Plan));
        assert!(!helpers.has(&HelperKind::Plan) && helpers.stuck() == 0 && helpers.end(101).is_none());
    }

    #[test]
    fn each_helper_has_a_group_of_its_own_but_the_one_whose_drivers_go_on() {
        let health = |service: &str| HelperKind::Health { service: service.to_owned() };
        let kinds =
            [HelperKind::Plan, HelperKind::Configure, HelperKind::PrepareNetwork, health("a"), health("b")];
        let groups: std::collections::BTreeSet<_> = kinds.iter().filter_map(HelperKind::group).collect();
        assert_eq!((groups.len(), HelperKind::Coldplug.group()), (kinds.len(), None));
    }
}
