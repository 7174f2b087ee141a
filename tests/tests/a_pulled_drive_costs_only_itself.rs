//! A pulled drive costs only itself: one NVMe drive is pulled out in the middle of a load; the others go on, the
//! API stays up and says so, and nothing that the others hold is lost.

use std::time::Duration;

use imbrex_api::node::DriveState;
use imbrex_tests::guest::Guest;
use imbrex_tests::load::{Load, addresses};
use xtask::command::until;
use xtask::node::DriveKind;

/// Acknowledgements of each drive before the pull, and of the others after it.
const ACKNOWLEDGED_MIN: u64 = 40;
const TIME_MAX: Duration = Duration::from_secs(90);

#[test]
fn a_pulled_drive_costs_only_itself() -> anyhow::Result<()> {
    let mut guest = Guest::start("pulled", DriveKind::ZonedNvme { count: 3, size_bytes: 1 << 30 }, false)?;
    guest.node.wait("Booting the node")?;
    let drives = guest.node.format_drives()?;
    let targets = addresses(&guest.node, &drives)?;
    let pulled = drives.iter().find(|drive| drive.serial.as_deref() == Some("IMBREX0002"));
    let pulled = pulled.map(|drive| drive.id.clone()).unwrap_or_default();
    let load = Load::start(&targets, 0);
    let all_go_on = |wanted: u64, except: &str| {
        let others = || targets.keys().filter(|drive| *drive != except);
        let start: Vec<u64> = others().map(|drive| load.acknowledged(drive)).collect();
        until(TIME_MAX, || {
            let on = others().zip(&start).all(|(drive, start)| load.acknowledged(drive) >= start + wanted);
            on.then_some(())
        })
    };
    assert!(all_go_on(ACKNOWLEDGED_MIN, "").is_some(), "the drives do not serve");

    guest.node.machine().qmp().device_del("nvme2")?;
    let agent = guest.node.agent()?;
    let mut seen = None;
    let told = until(TIME_MAX, || {
        let drive = agent.drives().ok()?.into_iter().find(|drive| drive.id == pulled)?;
        seen = Some((drive.state, drive.state_reason));
        matches!(drive.state, DriveState::Missing | DriveState::Failed | DriveState::Stopped)
            .then_some(drive.state)
    });
    let Some(state) = told else { panic!("the pulled drive is not told as missing but as {seen:?}") };
    assert!(all_go_on(ACKNOWLEDGED_MIN, &pulled).is_some(), "the other drives do not go on");

    let ledger = load.finish()?;
    let others: Vec<_> = agent.drives()?.into_iter().filter(|drive| drive.id != pulled).collect();
    assert!(others.iter().all(|drive| drive.state == DriveState::Serving), "{others:?}");
    let verified = ledger.without(&pulled).verify(&addresses(&guest.node, &others)?)?;
    println!("pulled 1 of 3 drives, told as {}; on the others {verified}", state.as_str());
    guest.node.power_off()?;
    Ok(())
}
