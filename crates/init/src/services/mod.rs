//! The services of a node, as data.
//!
//! A service is a [`Template`] in [`TABLE`]: what to run, how to know that it is ready, what it may
//! use, and when it stops. Nothing about one service stands anywhere else, so that the table can
//! one day be read from a file. Words in braces are filled in by [`expand`].

pub(crate) mod chrony;
pub(crate) mod dhcpcd;

use std::fmt::Write as _;

/// Bytes in a mebibyte.
const MEBIBYTE_BYTES: u64 = 1024 * 1024;

/// How a service tells that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It writes `READY` to the descriptor that `IMBREX_READY_FD` names.
    Descriptor,
    /// It is taken to be ready as soon as it runs.
    Started,
}

/// What becomes of a service that fails again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CrashLoop {
    /// It stays down, says why, and waits for a person.
    Maintenance,
    /// It is started again for ever. Only for services without which no person could reach the
    /// node to clear a maintenance: the management API and the network.
    RetryForEver,
}

/// One row of the table of services.
#[derive(Debug)]
pub(crate) struct Template {
    name: &'static str,
    command: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    needs: &'static [&'static str],
    readiness: Readiness,
    crash_loop: CrashLoop,
    stop_order: u8,
    stop_deadline_ms: u64,
    oom_score_adjustment: i16,
    /// Backstop against a leak, in mebibytes: fixed part, and part for each mebibyte of `{memory}`.
    memory_max_mib: Option<(u64, u64)>,
}

/// A service with every word filled in: what the supervisor keeps running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Specification {
    /// Its name, for example `drive@naa.5000c500a1b2c3d4`; unique.
    pub(crate) name: String,
    /// Absolute path of the program.
    pub(crate) command: String,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its whole environment, save `IMBREX_READY_FD`.
    pub(crate) environment: Vec<(String, String)>,
    /// Services whose first start must have been tried before this one starts: an order, not a
    /// condition on their health, so that none that fails takes another down.
    pub(crate) needs: Vec<String>,
    /// How it tells that it is ready.
    pub(crate) readiness: Readiness,
    /// What becomes of it when it fails again and again.
    pub(crate) crash_loop: CrashLoop,
    /// At shutdown lower numbers stop first, equal ones at the same time.
    pub(crate) stop_order: u8,
    /// From SIGTERM to SIGKILL, in milliseconds.
    pub(crate) stop_deadline_ms: u64,
    /// Added to its badness when memory runs out, -1000 to 1000.
    pub(crate) oom_score_adjustment: i16,
    /// Its control group's `memory.max`, in bytes.
    pub(crate) memory_max_bytes: Option<u64>,
}

/// Name of the management API's service.
pub(crate) const AGENT: &str = "agent";
/// Name of the DHCP client's service.
pub(crate) const NETWORK: &str = "dhcpcd";
/// Name of the clock's service.
pub(crate) const CLOCK: &str = "chronyd";
/// Name of a drive's service, before its ID is filled in.
pub(crate) const DRIVE: &str = "drive@{id}";

/// Every service of a node.
const TABLE: &[Template] = &[
    Template {
        name: AGENT,
        command: "/usr/bin/imbrex-agent",
        arguments: &[],
        environment: &[],
        needs: &[],
        readiness: Readiness::Descriptor,
        crash_loop: CrashLoop::RetryForEver,
        stop_order: 30,
        stop_deadline_ms: 10_000,
        oom_score_adjustment: -900,
        memory_max_mib: Some((256, 0)),
    },
    Template {
        name: NETWORK,
        command: "/usr/sbin/dhcpcd",
        arguments: &["--config", dhcpcd::CONFIGURATION, "--nobackground", "--script", dhcpcd::HOOK],
        environment: &[],
        needs: &[AGENT],
        readiness: Readiness::Started,
        crash_loop: CrashLoop::RetryForEver,
        stop_order: 40,
        stop_deadline_ms: 5_000,
        oom_score_adjustment: -900,
        memory_max_mib: Some((64, 0)),
    },
    Template {
        name: CLOCK,
        command: "/usr/sbin/chronyd",
        // In the foreground, its log on stderr.
        arguments: &["-d", "-u", "root", "-f", chrony::CONFIGURATION],
        environment: &[],
        needs: &[AGENT],
        readiness: Readiness::Started,
        crash_loop: CrashLoop::Maintenance,
        stop_order: 20,
        stop_deadline_ms: 5_000,
        oom_score_adjustment: 0,
        memory_max_mib: Some((64, 0)),
    },
    Template {
        name: DRIVE,
        command: "/usr/bin/imbrex-drive",
        arguments: &[
            "--device",
            "{device}",
            "--id",
            "{id}",
            "--listen",
            "0.0.0.0:{port}",
            "--socket",
            "{socket}",
            "--memory",
            "{memory}MiB",
        ],
        environment: &[],
        needs: &[AGENT],
        readiness: Readiness::Descriptor,
        crash_loop: CrashLoop::Maintenance,
        stop_order: 10,
        stop_deadline_ms: 30_000,
        // A drive that takes too much goes before the agent that reports it.
        oom_score_adjustment: 200,
        // The engine keeps to its own budget, of which the buffers are a part; this is the wall
        // behind it, so that a leak costs one process and not the node.
        memory_max_mib: Some((256, 2)),
    },
];

/// Words to fill in, each with its value.
pub(crate) type Words<'a> = [(&'a str, String)];

/// The service of this name in the table, with `words` filled in.
pub(crate) fn expand(name: &str, words: &Words<'_>) -> Option<Specification> {
    TABLE.iter().find(|template| template.name == name).map(|template| template.expand(words))
}

impl Template {
    fn expand(&self, words: &Words<'_>) -> Specification {
        let memory_mib =
            words.iter().find(|(word, _)| *word == "memory").and_then(|(_, value)| value.parse().ok());
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), fill(value, words));
        Specification {
            name: fill(self.name, words),
            command: self.command.to_owned(),
            arguments: self.arguments.iter().map(|argument| fill(argument, words)).collect(),
            environment: self.environment.iter().map(owned).collect(),
            needs: self.needs.iter().map(|need| fill(need, words)).collect(),
            readiness: self.readiness,
            crash_loop: self.crash_loop,
            stop_order: self.stop_order,
            stop_deadline_ms: self.stop_deadline_ms,
            oom_score_adjustment: self.oom_score_adjustment,
            memory_max_bytes: self.memory_max_mib.map(|(fixed_mib, factor)| {
                let scaled_mib = factor.saturating_mul(memory_mib.unwrap_or(0));
                fixed_mib.saturating_add(scaled_mib).saturating_mul(MEBIBYTE_BYTES)
            }),
        }
    }
}

/// `text` with each `{word}` replaced by its value. Values are not looked at again, so that a
/// drive's ID with braces in it stays what it is.
fn fill(text: &str, words: &Words<'_>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((word, after)) = after.split_once('}') else {
            let _ = write!(filled, "{{{after}");
            return filled;
        };
        if let Some((_, value)) = words.iter().find(|(known, _)| *known == word) {
            filled.push_str(value);
        } else {
            let _ = write!(filled, "{{{word}}}");
        }
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_gets_the_command_line_of_the_contract() {
        let words = [
            ("id", "naa.5000c500a1b2c3d4".to_owned()),
            ("device", "/dev/sda".to_owned()),
            ("port", "7500".to_owned()),
            ("socket", "/run/imbrex/drive-naa.5000c500a1b2c3d4.sock".to_owned()),
            ("memory", "128".to_owned()),
        ];
        let drive = expand(DRIVE, &words).unwrap();
        assert_eq!(drive.name, "drive@naa.5000c500a1b2c3d4");
        assert_eq!(
            drive.arguments.join(" "),
            "--device /dev/sda --id naa.5000c500a1b2c3d4 --listen 0.0.0.0:7500 \
             --socket /run/imbrex/drive-naa.5000c500a1b2c3d4.sock --memory 128MiB"
        );
        assert_eq!(drive.memory_max_bytes, Some(512 * MEBIBYTE_BYTES));
    }

    #[test]
    fn a_value_with_braces_in_it_is_not_filled_in_again() {
        let words = [("id", "{device}".to_owned()), ("device", "wrong".to_owned())];
        assert_eq!(fill("drive@{id} {other} {", &words), "drive@{device} {other} {");
    }

    #[test]
    fn every_need_in_the_table_names_a_service_of_the_table() {
        for template in TABLE {
            for need in template.needs {
                assert!(TABLE.iter().any(|other| other.name == *need), "{} needs {need}", template.name);
            }
        }
    }

    #[test]
    fn drives_stop_before_everything_else() {
        for template in TABLE.iter().filter(|template| template.name != DRIVE) {
            assert!(template.stop_order > expand(DRIVE, &[]).unwrap().stop_order, "{}", template.name);
        }
    }
}
