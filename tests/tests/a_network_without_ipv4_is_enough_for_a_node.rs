//! A network without IPv4 is enough for a node: its address comes by a router's announcement, its configuration over IPv6,
//! its drive serves, and it says where its API is. QEMU forwards no port over IPv6, so that the console is what is read.

use std::net::{Ipv6Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imbrex_tests::guest::{Guest, MEMORY_MIB, Plan};
use xtask::command::until;
use xtask::node::{Additions, BOOT_TIME_MAX, DRIVES_TIME_MAX, DriveKind};

/// From the power button to a machine that is off.
const OFF_TIME_MAX: Duration = Duration::from_secs(180);

fn plan() -> Plan {
    let additions = Additions { ipv6_only: true, ..Additions::default() };
    let drives = DriveKind::ZonedNvme { count: 1, size_bytes: 1 << 30 };
    Plan { drives, memory_mib: MEMORY_MIB, services: Vec::new(), additions }
}

#[test]
fn a_network_without_ipv4_is_enough_for_a_node() -> Result<()> {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("this machine has no IPv6 of its own: there is nothing to fetch a configuration from");
        return Ok(());
    }
    let mut guest = Guest::start_as("ipv6", false, |_| Ok(plan()))?;
    let console = guest.node.machine().console.clone();
    let ready = until(BOOT_TIME_MAX + DRIVES_TIME_MAX, || {
        let text = console.text();
        (text.contains("imbrex: ready in ") && text.contains("imbrex: api https://")).then_some(text)
    });
    let text =
        ready.with_context(|| format!("the node is not ready; {}", guest.node.machine().last_words()))?;
    let said = |words: [&str; 2]| {
        let line = text.lines().find(|line| words.iter().all(|words| line.contains(words)));
        line.map(str::trim_end).with_context(|| format!("no line with {words:?}:\n{text}"))
    };
    let lines = [
        said(["imbrex: api https://[2001:db8::", "]:7400/ fingerprint "])?,
        said(["imbrex: stage configuration took ", ": test-ipv6"])?,
        said(["imbrex: stage drives took ", ": 1 of 1 ready"])?,
    ];
    lines.into_iter().for_each(|line| println!("{line}"));
    ensure!(!text.contains("https://10."), "it has an address of IPv4 after all:\n{text}");
    guest.node.machine().qmp().press_power_button()?;
    let off = guest.node.machine().wait_for_end(OFF_TIME_MAX);
    ensure!(off, "the machine is still on; {}", guest.node.machine().last_words());
    Ok(())
}
