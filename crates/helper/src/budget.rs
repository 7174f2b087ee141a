//! Whether the machine's memory holds what its services were promised, with the arithmetic.

use imbrex_init::plan::Specification;
use std::fmt::Write as _;

/// What the kernel, the image in memory and init keep for themselves, in mebibytes: the image unpacked
/// is about 110, the rest is the kernel's for buffers and tables.
const RESERVE_MIB: u64 = 192;
/// What a drive's process takes beside its buffers, in mebibytes, where zones are small; its index and tables come besides.
/// Where zones are of 256 MiB or more its tables take up to 26 more, which the share by capacity holds from some 6 TB on: of
/// smaller drives with such zones, the sum is too low by as much.
const DRIVE_MIB: u64 = 64;
/// For how many bytes of the drive its index and tables take a mebibyte, 16 for each tebibyte: by default the index has room
/// for a block a mebibyte, at 12 bytes a block at most, and there are 4096 zones.
const DRIVE_BYTES_PER_MIB: u64 = (1 << 40) / 16;

/// The budget of a drive's process with so many mebibytes of buffers, in mebibytes.
pub(crate) fn drive_mib(buffers_mib: u64, capacity_bytes: u64) -> u64 {
    buffers_mib.saturating_add(DRIVE_MIB).saturating_add(capacity_bytes.div_ceil(DRIVE_BYTES_PER_MIB))
}

/// The sum of all budgets against a machine's memory.
///
/// # Errors
/// The arithmetic, where it does not fit.
pub(crate) fn check<'a>(
    services: impl Iterator<Item = &'a Specification>,
    machine_mib: u64,
) -> Result<(), String> {
    let mut terms: Vec<(String, u64, u64)> = Vec::new();
    // Who has no budget may take up to its maximum: that is what it is counted with.
    let budget = |one: &Specification| one.limits.memory_min_mib.or(one.limits.memory_max_mib);
    for (service, mib) in services.filter_map(|one| Some((one, budget(one)?))) {
        let kind = service.name.split_once('@').map_or(service.name.as_str(), |(kind, _)| kind);
        match terms.iter_mut().find(|(known, each, _)| known == kind && *each == mib) {
            Some((_, _, count)) => *count += 1,
            None => terms.push((kind.to_owned(), mib, 1)),
        }
    }
    let sum_mib = terms
        .iter()
        .fold(RESERVE_MIB, |sum, (_, each, count)| sum.saturating_add(each.saturating_mul(*count)));
    if sum_mib <= machine_mib {
        return Ok(());
    }
    let mut text =
        format!("the budgets do not fit into the machine's memory: {RESERVE_MIB} MiB for the system");
    for (kind, each, count) in &terms {
        let _ = write!(text, " + {count} {kind} x {each} MiB");
    }
    let _ = write!(text, " = {sum_mib} MiB, and the machine has {machine_mib} MiB");
    Err(text)
}

/// All memory that the kernel manages, in mebibytes, out of `/proc/meminfo`.
pub(crate) fn machine_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::tests;
    use imbrex_init::plan::{AGENT, DRIVE, Limits};

    #[test]
    fn a_drives_budget_is_its_buffers_and_what_grows_with_the_drive() {
        assert_eq!(drive_mib(96, 1 << 30), 96 + 64 + 1);
        assert_eq!(drive_mib(128, 20_000_000_000_000), 128 + 64 + 292);
    }

    #[test]
    fn a_configuration_that_does_not_fit_is_refused_with_the_arithmetic() {
        let manifests = tests::manifests();
        let mut services: Vec<_> =
            ["a", "b", "c"].iter().map(|id| manifests.expand(DRIVE, &tests::words(id)).unwrap()).collect();
        services.push(manifests.expand(AGENT, &[]).unwrap());
        assert_eq!(check(services.iter(), 192 + 3 * 208 + 16), Ok(()));
        assert_eq!(
            check(services.iter(), 831).unwrap_err(),
            "the budgets do not fit into the machine's memory: 192 MiB for the system + 3 drive x 208 MiB + \
             1 agent x 16 MiB = 832 MiB, and the machine has 831 MiB"
        );
        // A maximum without a budget counts too.
        let greedy = Limits { memory_max_mib: Some(999_999), ..Limits::default() };
        services.push(Specification {
            name: "greedy".to_owned(),
            limits: greedy,
            ..Specification::default()
        });
        let error = check(services.iter(), 4_096).unwrap_err();
        assert!(error.contains(" + 1 greedy x 999999 MiB = 1000831 MiB"), "{error}");
        assert_eq!(machine_mib("MemFree: 1 kB\nMemTotal:        1534976 kB\n"), Some(1_499));
    }
}
