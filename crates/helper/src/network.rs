//! Interfaces that a person has laid out: static addresses, bonds and VLANs, set up by `ip`, beside
//! DHCP for all the others.
//!
//! They come from the kernel command line, where a node needs them to fetch its configuration, and
//! from `[[network]]` in `node.toml`. What is not there yet, or fails, is tried again for ever; an
//! interface that comes back is set up again.

use crate::{dhcp, file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The interfaces, as `network` reads them: the command line's first.
const WANTED: &str = "/run/imbrex/network.json";
const SYSFS: &str = "/sys/class/net";
const IP: &str = "/usr/sbin/ip";
/// How often the interfaces are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The most interfaces that are laid out, and the longest name (IFNAMSIZ without its zero byte).
const INTERFACES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 15;

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Interface {
    /// Its name.
    pub(crate) interface: String,
    /// It is a bond of others.
    pub(crate) bond: Option<Bond>,
    /// It is a VLAN on another.
    pub(crate) vlan: Option<Vlan>,
    /// Addresses, each with the length of its prefix.
    pub(crate) addresses: Vec<String>,
    /// Default gateways: at most one of each protocol counts.
    pub(crate) gateways: Vec<IpAddr>,
    /// Name servers.
    pub(crate) dns: Vec<IpAddr>,
    /// Largest packet, in bytes.
    pub(crate) mtu: Option<u32>,
}

/// A bond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bond {
    /// As the kernel's bonding driver names it, for example `active-backup` or `802.3ad`.
    pub(crate) mode: String,
    /// The interfaces in it.
    pub(crate) members: Vec<String>,
}

/// A VLAN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vlan {
    /// The interface that it is on.
    pub(crate) parent: String,
    /// Its number.
    pub(crate) id: u16,
}

const BOND_MODES: [&str; 7] =
    ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];

impl Interface {
    /// Reads `eth0,address=10.0.0.5/24,gateway=10.0.0.1,dns=10.0.0.3`, with `bond=MODE:eth0:eth1`,
    /// `vlan=eth0:5` and `mtu=9000` besides.
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split(',');
        let mut interface =
            Self { interface: words.next().unwrap_or_default().to_owned(), ..Self::default() };
        for word in words {
            let wrong = || format!("imbrex.network has {word:?}, which means nothing");
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            match key {
                "address" => interface.addresses.push(value.to_owned()),
                "gateway" => interface.gateways.push(value.parse().map_err(|_| wrong())?),
                "dns" => interface.dns.push(value.parse().map_err(|_| wrong())?),
                "mtu" => interface.mtu = Some(value.parse().map_err(|_| wrong())?),
                "vlan" => {
                    let (parent, id) = value.split_once(':').ok_or_else(wrong)?;
                    interface.vlan =
                        Some(Vlan { parent: parent.to_owned(), id: id.parse().map_err(|_| wrong())? });
                }
                "bond" => {
                    let mut parts = value.split(':').map(str::to_owned);
                    let mode = parts.next().ok_or_else(wrong)?;
                    interface.bond = Some(Bond { mode, members: parts.collect() });
                }
                _ => return Err(wrong()),
            }
        }
        interface.check().map(|()| interface)
    }

    /// Says in one sentence what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        let names = std::iter::once(&self.interface).chain(self.below());
        for name in names {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !plain || name.starts_with(['-', '.']) {
                return Err(format!("{name:?} is not the name of an interface"));
            }
        }
        for address in &self.addresses {
            let parts = address.split_once('/').and_then(|(address, length)| {
                Some((address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?))
            });
            if parts.is_none_or(|(address, length)| length > if address.is_ipv4() { 32 } else { 128 }) {
                return Err(format!("{address:?} is not an address with the length of its prefix"));
            }
        }
        if let Some(bond) = &self.bond
            && (!BOND_MODES.contains(&bond.mode.as_str()) || bond.members.is_empty() || self.vlan.is_some())
        {
            return Err(format!(
                "{} is no bond: a mode is one of {}, and it has members",
                self.interface,
                BOND_MODES.join(", ")
            ));
        }
        if self.vlan.as_ref().is_some_and(|vlan| !(1..=4094).contains(&vlan.id)) {
            return Err(format!("{} is no VLAN: its number is from 1 to 4094", self.interface));
        }
        Ok(())
    }

    /// The interfaces that it lies on.
    fn below(&self) -> impl Iterator<Item = &String> {
        self.bond.iter().flat_map(|bond| &bond.members).chain(self.vlan.iter().map(|vlan| &vlan.parent))
    }

    /// What `ip -batch` reads to set it up. `exists`: it is there already.
    fn batch(&self, exists: bool) -> String {
        let name = &self.interface;
        let mut lines = Vec::new();
        if let (Some(bond), false) = (&self.bond, exists) {
            lines.push(format!("link add {name} type bond mode {} miimon 100", bond.mode));
        }
        for member in self.bond.iter().flat_map(|bond| &bond.members) {
            lines.push(format!("link set {member} down"));
            lines.push(format!("address flush dev {member}"));
            lines.push(format!("link set {member} master {name}"));
            lines.push(format!("link set {member} up"));
        }
        if let Some(Vlan { parent, id }) = &self.vlan {
            lines.push(format!("link set {parent} up"));
            if !exists {
                lines.push(format!("link add link {parent} name {name} type vlan id {id}"));
            }
        }
        lines.extend(self.mtu.map(|mtu| format!("link set {name} mtu {mtu}")));
        lines.push(format!("link set {name} up"));
        lines.extend(self.addresses.iter().map(|address| format!("address replace {address} dev {name}")));
        for gateway in &self.gateways {
            let family = if gateway.is_ipv4() { "-4" } else { "-6" };
            lines.push(format!("{family} route replace default via {gateway} dev {name}"));
        }
        lines.join("\n") + "\n"
    }
}

/// What the command line lays out: each mistake is named, and costs its own interface.
fn from_command_line(text: &str) -> Vec<Interface> {
    let words =
        text.split_whitespace().filter_map(|word| word.trim_matches('"').strip_prefix("imbrex.network="));
    words
        .take(INTERFACES_MAX)
        .filter_map(|word| Interface::parse(word).map_err(|error| eprintln!("{error}")).ok())
        .collect()
}

/// Before the first DHCP request: writes what `network` reads, and dhcpcd's configuration.
pub(crate) fn prepare() -> Result<(), String> {
    match Command::new(IP).args(["link", "set", "lo", "up"]).status() {
        Ok(status) if status.success() => {}
        outcome => eprintln!("the loopback interface could not be brought up: {outcome:?}"),
    }
    configure(&[])
}

/// Writes what `network` and dhcpcd read: the command line's interfaces and these. Where an interface
/// is taken from a dhcpcd that runs, that is started again.
pub(crate) fn configure(more: &[Interface]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the network's files cannot be written: {error}");
    let mut wanted = from_command_line(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    wanted.extend_from_slice(more);
    wanted.truncate(INTERFACES_MAX);
    let mut left_alone: BTreeSet<String> =
        wanted.iter().filter(|one| !one.addresses.is_empty()).map(|one| one.interface.clone()).collect();
    left_alone
        .extend(wanted.iter().filter_map(|one| one.bond.as_ref()).flat_map(|bond| bond.members.clone()));
    for interface in wanted.iter().filter(|interface| !interface.dns.is_empty()) {
        dhcp::keep_name_servers(&interface.interface, &interface.dns).map_err(failed)?;
    }
    let text = serde_json::to_vec(&wanted).map_err(|error| failed(error.into()))?;
    file::write_atomically(Path::new(WANTED), &text).map_err(failed)?;
    if dhcp::prepare(&left_alone).map_err(failed)? && !more.is_empty() {
        let asked = crate::ship::ask_init(&serde_json::json!({"op": "restart", "service": "dhcpcd"}));
        if asked.is_err() {
            dhcp::note_unheard().map_err(failed)?;
        }
        asked?;
    }
    Ok(())
}

/// Sets up what is wanted, whenever that or the interfaces change. Ends only where it is ended.
pub(crate) fn run() -> Result<(), String> {
    let mut done: Vec<Interface> = Vec::new();
    let mut said = String::new();
    loop {
        let text = fs::read(WANTED).map_err(|error| format!("{WANTED} cannot be read: {error}"))?;
        let wanted: Vec<Interface> =
            serde_json::from_slice(&text).map_err(|error| format!("{WANTED} is not understood: {error}"))?;
        let line = set_up_all(&wanted, &mut done, &present, &set_up);
        if line != said {
            println!("{line}");
            said = line;
        }
        std::thread::sleep(LOOK);
    }
}

/// How one is set up, beside those that are present.
type SetUp<'a> = &'a dyn Fn(&Interface, &BTreeSet<String>) -> Result<(), String>;

/// Sets up what is wanted and not in `done`; gives a line on how that went. One that waits for something holds up no
/// other, and one that stands is left alone: to set a bond up again takes its members down.
fn set_up_all(
    wanted: &[Interface],
    done: &mut Vec<Interface>,
    present: &dyn Fn() -> BTreeSet<String>,
    set_up: SetUp<'_>,
) -> String {
    let there = present();
    // What has gone, it or a part of it, is set up again when it comes back.
    let stands = |one: &Interface| {
        there.contains(&one.interface) && one.below().all(|below| there.contains(below.as_str()))
    };
    done.retain(|one| wanted.contains(one) && stands(one));
    let mut troubles = Vec::new();
    for one in wanted {
        if done.contains(one) {
            continue;
        }
        match set_up(one, &present()) {
            Ok(()) => done.push(one.clone()),
            Err(trouble) => troubles.push(trouble),
        }
    }
    if troubles.is_empty() { format!("{} interfaces are set up", wanted.len()) } else { troubles.join("; ") }
}

fn present() -> BTreeSet<String> {
    let entries = fs::read_dir(SYSFS).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn set_up(interface: &Interface, present: &BTreeSet<String>) -> Result<(), String> {
    let name = &interface.interface;
    let made = interface.bond.is_some() || interface.vlan.is_some();
    let needed = interface.below().chain((!made).then_some(name));
    if let Some(missing) = needed.into_iter().find(|needed| !present.contains(*needed)) {
        return Err(format!("{name} waits for {missing}, which is not there"));
    }
    let failed = |error: std::io::Error| format!("{IP} cannot be used for {name}: {error}");
    let mut child =
        Command::new(IP).args(["-force", "-batch", "-"]).stdin(Stdio::piped()).spawn().map_err(failed)?;
    let batch = interface.batch(present.contains(name));
    child.stdin.take().map_or(Ok(()), |mut input| input.write_all(batch.as_bytes())).map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    status.success().then_some(()).ok_or_else(|| format!("{name} could not be set up whole: ip says why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_and_the_file_lay_out_the_same_interfaces() {
        let line = "quiet imbrex.network=bond0,bond=active-backup:eth0:eth1,address=10.0.0.5/24,gateway=10.0.0.1 \
                    \"imbrex.network=bond0.5,vlan=bond0:5,address=2001:db8::5/64,mtu=9000,dns=10.0.0.3\"";
        let found = from_command_line(line);
        let text = "[[network]]\ninterface = \"bond0\"\naddresses = [\"10.0.0.5/24\"]\ngateways = [\"10.0.0.1\"]\n\
                    bond = { mode = \"active-backup\", members = [\"eth0\", \"eth1\"] }\n[[network]]\n\
                    interface = \"bond0.5\"\nvlan = { parent = \"bond0\", id = 5 }\nmtu = 9000\n\
                    addresses = [\"2001:db8::5/64\"]\ndns = [\"10.0.0.3\"]\n";
        assert_eq!(crate::node_toml::NodeToml::parse(text).unwrap().network, found);
        assert_eq!(
            found[0].batch(false),
            "link add bond0 type bond mode active-backup miimon 100\nlink set eth0 down\naddress flush dev eth0\n\
             link set eth0 master bond0\nlink set eth0 up\nlink set eth1 down\naddress flush dev eth1\n\
             link set eth1 master bond0\nlink set eth1 up\nlink set bond0 up\naddress replace 10.0.0.5/24 dev bond0\n\
             -4 route replace default via 10.0.0.1 dev bond0\n"
        );
        assert!(!found[1].batch(true).contains("link add"));
    }

    #[test]
    fn one_that_waits_holds_up_no_other_and_one_that_stands_is_left_alone() {
        let wanted =
            ["eth7", "eth2"].map(|name| Interface { interface: name.to_owned(), ..Interface::default() });
        let mut done = Vec::new();
        let there = std::cell::RefCell::new(BTreeSet::from(["eth2".to_owned()]));
        let present = || there.borrow().clone();
        let calls = std::cell::RefCell::new(Vec::new());
        let set_up = |one: &Interface, present: &BTreeSet<String>| {
            calls.borrow_mut().push(one.interface.clone());
            present.contains(&one.interface).then_some(()).ok_or_else(|| format!("{} waits", one.interface))
        };
        let mut look = || set_up_all(&wanted, &mut done, &present, &set_up);
        assert_eq!(look(), "eth7 waits");
        assert_eq!(look(), "eth7 waits");
        assert_eq!(*calls.borrow(), ["eth7", "eth2", "eth7"]);
        there.borrow_mut().insert("eth7".to_owned());
        assert_eq!(look(), "2 interfaces are set up");
        there.borrow_mut().remove("eth2");
        assert_eq!(look(), "eth2 waits");
        there.borrow_mut().insert("eth2".to_owned());
        assert_eq!(look(), "2 interfaces are set up");
    }

    #[test]
    fn what_would_become_another_command_of_ip_is_refused() {
        for text in [
            "",
            "-batch",
            "eth0 up",
            "eth0,address=10.0.0.5",
            "eth0,address=10.0.0.5/33",
            "eth0,gateway=x",
            "eth0,up",
            "eth0,colour=red",
            "bond0,bond=fast:eth0",
            "bond0,bond=802.3ad",
            "v,vlan=eth0:4095",
            "a-name-that-is-too-long,address=10.0.0.5/24",
        ] {
            assert!(Interface::parse(text).is_err(), "{text}");
        }
    }
}
