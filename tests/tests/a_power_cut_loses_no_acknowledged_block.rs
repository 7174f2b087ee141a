//! A power cut loses no acknowledged block, and brings no deleted one back: host-managed NVMe drives, the power
//! cut in the middle of a load, twice.

use std::time::Duration;

use imbrex_tests::guest::Guest;
use imbrex_tests::ledger::{Fate, Ledger};
use imbrex_tests::load::{Load, addresses};
use xtask::command::until;
use xtask::node::DriveKind;

/// Acknowledgements to wait for before each cut, and for how long at most.
const ACKNOWLEDGED_MIN: u64 = 400;
const LOAD_TIME_MAX: Duration = Duration::from_secs(120);

#[test]
fn a_power_cut_loses_no_acknowledged_block() -> anyhow::Result<()> {
    let drives = DriveKind::ZonedNvme { count: 4, size_bytes: 2 << 30 };
    let mut guest = Guest::start("power-cut", drives, false)?;
    let first = guest.node.wait("Booting the node")?;
    guest.node.format_drives()?;
    let mut ledger = Ledger::default();
    for seed in [0, 1] {
        let targets = addresses(&guest.node, &guest.serving_drives()?)?;
        let load = Load::start(&targets, seed);
        let enough = until(LOAD_TIME_MAX, || (load.acknowledged_by_all() >= ACKNOWLEDGED_MIN).then_some(()));
        assert!(enough.is_some(), "only {} requests were acknowledged", load.acknowledged_by_all());

        guest.node.cut_power()?;
        load.stop_soon();
        let again = guest.node.wait("Booting again")?;
        ledger.merge(load.finish()?);

        let targets = addresses(&guest.node, &guest.serving_drives()?)?;
        let verified = ledger.verify(&targets)?;
        println!(
            "cut {}: {verified}; API {:.1} s after power on at first, {:.1} s after the cut",
            seed + 1,
            first.api.as_secs_f64(),
            again.api.as_secs_f64()
        );
    }
    assert!(ledger.count(Fate::Stored) > 0 && ledger.count(Fate::Deleted) > 0);
    let took = guest.node.power_off()?;
    println!("stopped in order in {:.1} s", took.as_secs_f64());
    Ok(())
}
