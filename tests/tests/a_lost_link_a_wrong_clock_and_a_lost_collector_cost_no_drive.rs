//! A lost link, a wrong clock and a lost collector cost no drive: one node with what lies around it. Its clock begins years
//! before its image and is then set an hour ahead by a time server; its network is a bond of two cards, beside static VLANs
//! and a card whose address comes by DHCPv6, and loses first one cable and then both; the collectors of its logs hang up.
//! Each of these is told, and the drives go on with the processes that they had. Meanwhile a service that speaks sd_notify(3)
//! falls silent: that costs it its process, and what is bound to it; it has a weight for I/O, which therefore counts on the
//! drives.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imbrex_api::node::{Drive, Service, ServiceState};
use imbrex_tests::added_services::{AddedService, trigger};
use imbrex_tests::collector::{Collector, Layout, Line};
use imbrex_tests::dhcpv6::{self, Dhcpv6Server};
use imbrex_tests::guest::{Guest, MEMORY_MIB, Plan};
use imbrex_tests::kept::{Untouched, service, service_in};
use imbrex_tests::load::{Load, addresses};
use imbrex_tests::probe::Probe;
use xtask::command::until;
use xtask::node::{AGENT_PORT, Additions, DriveKind, HOST_IN_GUEST};

const NAME: &str = "test-outside";

const TIME_MAX: Duration = Duration::from_secs(120);

/// The clock at power on, and how far ahead of it the time server is, in seconds, with what a busy machine may add.
const CLOCK: [&str; 2] = ["-rtc", "base=2020-01-01T00:00:00"];
const AHEAD_S: i64 = 3_600;
const TOLERANCE_S: i64 = 120;

/// The bond with the address from DHCP, and one end of a VLAN; `node.toml` has the other end. Both ends are cards of this
/// node, on a wire of their own.
const NETWORK: &str = "imbrex.network=bond0,bond=active-backup:eth0:eth1 \
                       imbrex.network=near,vlan=eth2:5,address=10.77.5.1/24,mtu=1400";
const FAR: &str = "[[network]]\ninterface = \"far\"\nvlan = { parent = \"eth3\", id = 5 }\naddresses = [\"10.77.5.2/24\"]\n";
const CARDS: [(&str, &str); 2] = [("card0", "eth0"), ("card1", "eth1")];

/// How long the node has no link at all, from when it says so.
const NO_LINK_TIME: Duration = Duration::from_secs(5);

/// Acknowledgements that show that a drive goes on.
const ACKNOWLEDGED_MIN: u64 = 20;

/// What says a line where a test wants it.
const SPEAKER: &str = "test-speaker";

/// What tells by sd_notify(3) that it is ready and lives, as nobody; and what is bound to it.
const NOTIFIER: &str = "test-notifier";
const NOTIFIER_MANIFEST: &str = "user = \"nobody\"\nreadiness = \"sd_notify\"\nhealth = { within_s = 60 }\n\
                                 [limits]\nmemory_high_mib = 64\nio_weight = 200";
const BOUND: &str = "test-bound";
const BOUND_MANIFEST: &str = "binds_to = [\"test-notifier\"]";

struct Collectors {
    syslog: Collector,
    json: Collector,
}

fn plan(collectors: &Collectors, dhcpv6: &Dhcpv6Server) -> Plan {
    let wire = |card: u32| {
        let end = format!("hubport,id=side{card},hubid=1");
        let card = format!("virtio-net-pci,netdev=side{card},romfile=");
        ["-netdev".to_owned(), end, "-device".to_owned(), card]
    };
    let configuration = format!(
        "[time]\nservers = [\"127.0.0.1\"]\n\n[logs]\nsyslog = \"{HOST_IN_GUEST}:{}\"\njson = \"{HOST_IN_GUEST}:{}\"\n\n{FAR}",
        collectors.syslog.port(),
        collectors.json.port()
    );
    let additions = Additions {
        devices: CLOCK
            .map(str::to_owned)
            .into_iter()
            .chain(wire(1))
            .chain(wire(2))
            .chain(dhcpv6.card())
            .collect(),
        kernel_options: NETWORK.to_owned(),
        configuration,
        more_cards: 1,
        ..Additions::default()
    };
    let services = vec![
        AddedService { name: "test-time", verb: format!("time {AHEAD_S}"), manifest: "" },
        AddedService::triggered(SPEAKER, "say", ""),
        AddedService::triggered(NOTIFIER, "notify", NOTIFIER_MANIFEST),
        AddedService { name: BOUND, verb: "idle".to_owned(), manifest: BOUND_MANIFEST },
    ];
    let drives = DriveKind::ZonedNvme { count: 2, size_bytes: 1 << 30 };
    Plan { drives, memory_mib: MEMORY_MIB, services, additions }
}

#[test]
fn a_lost_link_a_wrong_clock_and_a_lost_collector_cost_no_drive() -> Result<()> {
    let collectors =
        Collectors { syslog: Collector::listen(Layout::Syslog)?, json: Collector::listen(Layout::Json)? };
    let dhcpv6 = Dhcpv6Server::start()?;
    let mut guest = Guest::start_as("outside", false, |_| Ok(plan(&collectors, &dhcpv6)))?;
    guest.node.wait("Booting the node")?;
    let drives = guest.node.format_drives()?;
    let others = Untouched::note(&guest.node.agent()?, &[NOTIFIER, BOUND])?;
    the_clock_was_raised_and_then_stepped(&mut guest).context("the clock")?;
    the_network_is_as_it_was_laid_out(&guest.probe()?).context("the network")?;
    a_lease_of_dhcpv6_is_taken(&guest.probe()?).context("DHCPv6")?;
    everybody_listens_on_ipv6_too(&guest.probe()?, &drives).context("IPv6")?;
    logs_arrive(&guest, &collectors).context("the logs")?;
    a_weight_for_io_is_heeded(&guest.probe()?, &drives).context("the weight for I/O")?;
    let targets = addresses(&guest.node, &drives)?;
    let before = a_service_speaks_and_falls_silent(&guest).context("sd_notify")?;
    links_come_and_go(&mut guest, &targets).context("the links")?;
    its_silence_has_cost_it_its_process(&guest, &before).context("silence")?;
    others.check(&guest.node.agent()?)?;
    guest.node.power_off().map(drop)
}

fn the_clock_was_raised_and_then_stepped(guest: &mut Guest) -> Result<()> {
    let agent = guest.node.agent()?;
    let log = agent.service_log("init")?;
    let raised = log.lines().find(|line| line.contains("and was set to its day"));
    let raised = raised.with_context(|| format!("the clock was not raised:\n{log}"))?;
    println!("{:28} {raised}", "the clock");
    let step_s = |line: &str| -> Option<i64> {
        let step_ms: i64 =
            line.split_once("the clock was stepped by ")?.1.strip_suffix(" ms")?.parse().ok()?;
        Some(step_ms / 1_000)
    };
    let mut steps_s: Vec<i64> = Vec::new();
    let stepped = until(TIME_MAX, || {
        steps_s = agent.service_log("init").ok()?.lines().filter_map(step_s).collect();
        steps_s.iter().copied().find(|step_s| (step_s - AHEAD_S).abs() <= TOLERANCE_S)
    });
    let stepped_s = stepped.with_context(|| format!("the clock was stepped by {steps_s:?} s"))?;
    let counted = || Some(agent.node().ok()?.clock_steps >= u64::try_from(steps_s.len()).ok()?);
    let counted = until(TIME_MAX, || counted().filter(|counted| *counted));
    counted.with_context(|| format!("the node does not count its steps by {steps_s:?} s"))?;
    println!("{:28} stepped by {stepped_s} s", "the clock");
    Ok(())
}

fn the_network_is_as_it_was_laid_out(probe: &Probe) -> Result<()> {
    let has = |path: &str, words: &str| -> Result<()> {
        let mut seen = String::new();
        let found = until(TIME_MAX, || {
            seen = probe.read(path).unwrap_or_default();
            seen.contains(words).then_some(())
        });
        found.with_context(|| format!("{path} has not {words:?} but {seen:?}"))
    };
    has("/sys/class/net/bond0/bonding/mode", "active-backup")?;
    has("/sys/class/net/bond0/bonding/slaves", "eth0 eth1")?;
    has("/proc/net/fib_trie", "10.0.2.15")?;
    // The router of QEMU's network announces this prefix.
    has("/proc/net/if_inet6", "fec0")?;
    for (name, parent, address, mtu) in
        [("near", "eth2", "10.77.5.1", "1400"), ("far", "eth3", "10.77.5.2", "1500")]
    {
        has(&format!("/proc/net/vlan/{name}"), "VID: 5")?;
        has(&format!("/proc/net/vlan/{name}"), &format!("Device: {parent}"))?;
        has(&format!("/sys/class/net/{name}/mtu"), mtu)?;
        has("/proc/net/fib_trie", address)?;
    }
    // Who has this address is asked of all on the VLAN: on the near end, from where the route goes, and so at the far one.
    let received =
        || -> Result<u64> { Ok(probe.read("/sys/class/net/far/statistics/rx_packets")?.trim().parse()?) };
    let before = received()?;
    let more = until(TIME_MAX, || {
        probe.send("10.77.5.99:9", "is anybody there").ok()?;
        received().ok().filter(|now| *now > before)
    });
    more.context("nothing comes through the VLAN").map(drop)
}

/// The address and the name server, on the card after those of the bond and the VLAN.
fn a_lease_of_dhcpv6_is_taken(probe: &Probe) -> Result<()> {
    let (address, name_server) = (dhcpv6::LEASED, dhcpv6::NAME_SERVER);
    let digits = format!("{:032x}", u128::from(address));
    let mut seen = [String::new(), String::new()];
    let taken = until(TIME_MAX, || {
        seen = ["/proc/net/if_inet6", "/etc/resolv.conf"].map(|path| probe.read(path).unwrap_or_default());
        let [addresses, resolver] = &seen;
        let leased = addresses.lines().any(|line| line.starts_with(&digits) && line.ends_with("eth4"));
        (leased && resolver.contains(&format!("nameserver {name_server}\n"))).then_some(())
    });
    taken.with_context(|| format!("no lease of {address} with {name_server}: {seen:?}"))?;
    println!("{:28} {address} is leased, with name server {name_server}", "DHCPv6");
    Ok(())
}

/// The API and the drives' ports, on the address that the node has given itself within the router's prefix.
fn everybody_listens_on_ipv6_too(probe: &Probe, drives: &[Drive]) -> Result<()> {
    let addresses = probe.read("/proc/net/if_inet6")?;
    let line = addresses.lines().find(|line| line.starts_with("fec0") && line.ends_with("bond0"));
    let digits = line.and_then(|line| line.split(' ').next()).context("the bond has no such address")?;
    let address = Ipv6Addr::from(u128::from_str_radix(digits, 16).context("an address is a number")?);
    let ports = drives.iter().map(|drive| drive.data_port.context("a drive has a port"));
    for port in std::iter::once(Ok(AGENT_PORT)).chain(ports) {
        probe.connect_within(SocketAddr::from((address, port?)))?;
    }
    println!("{:28} all ports are open on {address} too", "IPv6");
    Ok(())
}

/// Lines with this text that a collector has.
fn told(collector: &Collector, text: &str) -> Option<Line> {
    collector.lines().ok()?.into_iter().find(|line| line.service == SPEAKER && line.text == text)
}

fn logs_arrive(guest: &Guest, collectors: &Collectors) -> Result<()> {
    let both = [&collectors.syslog, &collectors.json];
    let arrives = |text: &str| -> Result<()> {
        guest.probe()?.write(&trigger(SPEAKER), text)?;
        for collector in both {
            let line = until(TIME_MAX, || told(collector, text));
            let line = line.with_context(|| {
                let count = collector.lines().map(|lines| lines.len());
                format!("{text:?} is not among {count:?} lines over {} connections", collector.connections())
            })?;
            ensure!(line.host == NAME && line.time.len() == "2026-11-21T13:59:59.007Z".len(), "{line:?}");
        }
        Ok(())
    };
    arrives("one line with \"quotes\" and <angles>")?;
    both.into_iter().for_each(Collector::hang_up);
    arrives("and another after a hang-up")?;
    for collector in both {
        ensure!(collector.connections() >= 2, "it did not come back after a hang-up");
        let lines = collector.lines()?;
        ensure!(lines.iter().any(|line| line.service == "init"), "init's own lines are not sent");
        ensure!(
            lines.iter().any(|line| line.service.starts_with("drive@")),
            "the drives' lines are not sent"
        );
        println!("{:28} {} lines over {} connections", "collected", lines.len(), collector.connections());
    }
    Ok(())
}

/// One service has it: it stands in its group, and the kernel heeds weights on each drive.
fn a_weight_for_io_is_heeded(probe: &Probe, drives: &[Drive]) -> Result<()> {
    let weight = probe.read(&format!("/sys/fs/cgroup/{NOTIFIER}/io.weight"))?;
    ensure!(weight.trim() == "default 200", "io.weight is {weight:?}");
    let quality = probe.read("/sys/fs/cgroup/io.cost.qos")?;
    for drive in drives {
        let name = drive.device.as_deref().and_then(|device| device.strip_prefix("/dev/"));
        let name = name.with_context(|| format!("a drive has a device: {drive:?}"))?;
        let number = probe.read(&format!("/sys/class/block/{name}/dev"))?;
        let enabled = format!("{} enable=1 ", number.trim());
        let heeded = quality.lines().any(|line| line.starts_with(&enabled));
        ensure!(heeded, "no {enabled:?} in {quality:?}");
    }
    println!("{:28} {} of {NOTIFIER}, on {} drives", "weight for I/O", weight.trim(), drives.len());
    Ok(())
}

/// The service and what is bound to it, as they were until it fell silent.
fn a_service_speaks_and_falls_silent(guest: &Guest) -> Result<[Service; 2]> {
    let (agent, probe) = (guest.node.agent()?, guest.probe()?);
    let speaker = service_in(&agent, NOTIFIER, ServiceState::Ready)?;
    let bound = service_in(&agent, BOUND, ServiceState::Ready)?;
    let pid = speaker.pid.context("it has a process")?;
    let status = probe.read(&format!("/proc/{pid}/status"))?;
    ensure!(status.contains("\nUid:\t65534\t65534\t65534\t65534\n"), "it is not nobody:\n{status}");
    let high = probe.read(&format!("/sys/fs/cgroup/{NOTIFIER}/memory.high"))?;
    ensure!(high.trim() == (64 << 20).to_string(), "memory.high is {high}");
    probe.write(&trigger(NOTIFIER), &pid.to_string())?;
    Ok([speaker, bound])
}

fn its_silence_has_cost_it_its_process(guest: &Guest, before: &[Service; 2]) -> Result<()> {
    let agent = guest.node.agent()?;
    for was in before {
        let mut seen = None;
        let again = until(TIME_MAX, || {
            seen = service(&agent, &was.name).ok();
            let now = seen.as_ref()?;
            (now.state == ServiceState::Ready && now.restarts > was.restarts && now.pid != was.pid)
                .then_some(())
        });
        again.with_context(|| format!("{} was {was:?} and is {seen:?}", was.name))?;
    }
    let exit = service(&agent, NOTIFIER)?.last_exit.unwrap_or_default();
    ensure!(exit.contains("it gave no sign of life for"), "it ended for another reason: {exit}");
    println!("{:28} {exit}", "silent by sd_notify");
    Ok(())
}

fn links_come_and_go(guest: &mut Guest, targets: &BTreeMap<String, SocketAddr>) -> Result<()> {
    let load = Load::start(targets, 1);
    let go_on = || {
        let wanted: Vec<u64> =
            targets.keys().map(|drive| load.acknowledged(drive) + ACKNOWLEDGED_MIN).collect();
        until(TIME_MAX, || {
            let on = targets.keys().zip(&wanted).all(|(drive, wanted)| load.acknowledged(drive) >= *wanted);
            on.then_some(())
        })
    };
    go_on().context("the drives do not serve")?;
    let sends = |guest: &Guest| guest.probe()?.read("/sys/class/net/bond0/bonding/active_slave");
    let active = sends(guest)?;
    let (first, other) =
        if active.trim() == CARDS[0].1 { (CARDS[0], CARDS[1]) } else { (CARDS[1], CARDS[0]) };
    guest.node.machine().qmp().set_link(first.0, false)?;
    go_on().context("with one cable of two")?;
    let active = sends(guest)?;
    ensure!(active.trim() == other.1, "without {first:?} the bond sends by {active:?}");

    guest.node.machine().qmp().set_link(other.0, false)?;
    // The address that came by the bond goes with its links; those that a person has laid out stay.
    let console = guest.node.machine().console.clone();
    let reached_by = |address: &str| {
        until(TIME_MAX, || {
            let said = console.text();
            let last =
                said.rsplit("imbrex: api https://").next().is_some_and(|rest| rest.starts_with(address));
            last.then_some(())
        })
    };
    reached_by("10.77.5.").context("the loss of the address is not told")?;
    std::thread::sleep(NO_LINK_TIME);
    for (card, _) in CARDS {
        guest.node.machine().qmp().set_link(card, true)?;
    }
    go_on().context("when the cables are back")?;
    let ledger = load.finish()?;
    reached_by("10.0.2.15").context("the address that is back is not told")?;
    println!("{:28} {}", "after two lost cables", ledger.verify(targets)?);
    Ok(())
}
