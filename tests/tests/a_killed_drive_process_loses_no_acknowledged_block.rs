//! A killed drive process loses no acknowledged block: host-managed SCSI disks, the process killed under load
//! again and again. (The disks are in the guest's memory, so that a power cut would empty them.)

use std::time::Duration;

use imbrex_tests::guest::Guest;
use imbrex_tests::ledger::Fate;
use imbrex_tests::load::{Load, addresses};
use xtask::command::until;
use xtask::node::DriveKind;

/// How often each drive's process is killed, and the acknowledgements between two kills.
const KILLS: u64 = 4;
const ACKNOWLEDGED_BETWEEN: u64 = 40;
const BETWEEN_TIME_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_killed_drive_process_loses_no_acknowledged_block() -> anyhow::Result<()> {
    let kind = DriveKind::ScsiDebug { count: 2, size_mib: 768 };
    let mut guest = Guest::start("killed", kind, false)?;
    guest.node.wait("Booting the node with host-managed SCSI disks")?;
    let drives = guest.node.format_drives()?;
    let targets = addresses(&guest.node, &drives)?;
    assert_eq!(targets.len(), 2);
    let load = Load::start(&targets, 0);
    let agent = guest.node.agent()?;
    for kill in 1..=KILLS {
        for drive in targets.keys() {
            let wanted = load.acknowledged(drive) + ACKNOWLEDGED_BETWEEN;
            let enough = until(BETWEEN_TIME_MAX, || (load.acknowledged(drive) >= wanted).then_some(()));
            assert!(
                enough.is_some(),
                "drive {drive} does not go on before kill {kill}: {:?}",
                agent.drives()?
            );
            agent.restart_drive(drive, true)?;
        }
    }
    for drive in targets.keys() {
        let wanted = load.acknowledged(drive) + ACKNOWLEDGED_BETWEEN;
        let enough = until(BETWEEN_TIME_MAX, || (load.acknowledged(drive) >= wanted).then_some(()));
        assert!(enough.is_some(), "drive {drive} does not go on after the last kill: {:?}", agent.drives()?);
    }
    let ledger = load.finish()?;
    let targets = addresses(&guest.node, &guest.serving_drives()?)?;
    let verified = ledger.verify(&targets)?;
    assert!(ledger.count(Fate::Stored) > 0 && ledger.count(Fate::Deleted) > 0);

    let services = agent.services()?.services;
    let killed = services.iter().filter(|service| service.name.starts_with("drive@"));
    let ends: Vec<String> = killed
        .map(|service| format!("{} {}", service.name, service.last_exit.clone().unwrap_or_default()))
        .collect();
    assert!(ends.iter().all(|end| end.contains("signal 9")), "{ends:?}");
    println!("{} kills of 2 processes: {verified}", KILLS * 2);
    guest.node.power_off()?;
    Ok(())
}
