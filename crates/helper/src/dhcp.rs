//! The DHCP client: its configuration, and the hook that it calls in place of a shell script.
//!
//! dhcpcd runs its hook with no arguments and the lease in the environment. The hook is this very
//! binary under the name [`HOOK`]; all that it does is to write `/etc/resolv.conf`.

use crate::file;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::Path;

/// dhcpcd's configuration, written at boot.
const CONFIGURATION: &str = "/run/imbrex/dhcpcd.conf";
/// The name under which dhcpcd calls this binary.
const HOOK: &str = "/run/imbrex/dhcp-hook";
/// Where each interface's name servers are kept until the file that joins them is written.
const LEASES: &str = "/run/imbrex/resolv";
const RESOLVER: &str = "/etc/resolv.conf";

/// Why each line stands there:
/// `persistent`: the address outlives a restart of dhcpcd. `clientid`: the hardware address, so
/// that a node without a disk gets the same address at each boot. `noarp`: five seconds of probing
/// at each boot for an address that the server has just given. `noipv4ll`: an address that nobody
/// knows helps nobody. `reboot 0`: there is no old lease in a node that runs from RAM.
const CONFIGURATION_TEXT: &str = "\
persistent
clientid
noarp
noipv4ll
reboot 0
timeout 0
option domain_name_servers, domain_name, domain_search, classless_static_routes, interface_mtu
require dhcp_server_identifier
slaac hwaddr
nohook lookup-hostname
";

/// Writes the configuration, which leaves these interfaces alone, and makes the hook's name. Says
/// whether the configuration is another one than before.
pub(crate) fn prepare(left_alone: &BTreeSet<String>) -> io::Result<bool> {
    let mut text = CONFIGURATION_TEXT.to_owned();
    for interface in left_alone {
        let _ = writeln!(text, "denyinterfaces {interface}");
    }
    let before = fs::read_to_string(CONFIGURATION).unwrap_or_default();
    file::write_atomically(Path::new(CONFIGURATION), text.as_bytes())?;
    fs::create_dir_all("/var/lib/dhcpcd")?;
    fs::create_dir_all("/run/dhcpcd")?;
    fs::create_dir_all(LEASES)?;
    match symlink(std::env::current_exe()?, HOOK) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(before != text),
    }
}

/// The dhcpcd that runs was not started again for its configuration: the next [`prepare`] says once more that it is another.
pub(crate) fn note_unheard() -> io::Result<()> {
    File::options().append(true).open(CONFIGURATION)?.write_all(b"# not in force yet\n")
}

/// Name servers that a person has named, kept as a lease of their own.
pub(crate) fn keep_name_servers(interface: &str, name_servers: &[IpAddr]) -> io::Result<()> {
    let text =
        name_servers.iter().fold(String::new(), |text, server| text + &format!("nameserver {server}\n"));
    fs::create_dir_all(LEASES)?;
    fs::write(Path::new(LEASES).join(format!("{interface}.static")), text)?;
    write_resolver()
}

/// What dhcpcd says about one interface, in the environment of its hook.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lease {
    interface: String,
    /// IPv4 and IPv6 leases of one interface come apart.
    protocol: String,
    name_servers: Vec<String>,
    search: Vec<String>,
}

impl Lease {
    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let words = |name: &str| {
            variable(name)
                .into_iter()
                .flat_map(|value| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        };
        let interface = variable("interface").filter(|name| is_file_name(name))?;
        let protocol =
            variable("protocol").filter(|name| is_file_name(name)).unwrap_or_else(|| "dhcp".to_owned());
        let servers = ["new_domain_name_servers", "new_dhcp6_name_servers", "nd1_rdnss1_servers"];
        let searches =
            ["new_domain_search", "new_domain_name", "new_dhcp6_domain_search", "nd1_dnssl1_search"];
        Some(Self {
            interface,
            protocol,
            name_servers: servers.into_iter().flat_map(words).collect(),
            search: searches.into_iter().flat_map(words).collect(),
        })
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        for server in &self.name_servers {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !self.search.is_empty() {
            let _ = writeln!(text, "search {}", self.search.join(" "));
        }
        text
    }
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@:".contains(&byte))
}

/// The resolver's file out of the leases' parts, each line once and the `search` lines joined.
fn join(parts: &BTreeMap<String, String>) -> String {
    let mut servers: Vec<&str> = Vec::new();
    let mut search: Vec<&str> = Vec::new();
    for line in parts.values().flat_map(|part| part.lines()) {
        if let Some(domains) = line.strip_prefix("search ") {
            for domain in domains.split(' ').filter(|domain| !search.contains(domain)).collect::<Vec<_>>() {
                search.push(domain);
            }
        } else if !servers.contains(&line) {
            servers.push(line);
        }
    }
    let mut text = servers.iter().fold(String::new(), |text, line| text + line + "\n");
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    text
}

/// The hook: takes the lease from the environment and writes `/etc/resolv.conf`.
///
/// # Errors
/// Where a file cannot be read or written; dhcpcd ignores the hook's status, init logs its stderr.
pub(crate) fn hook() -> io::Result<()> {
    let Some(lease) = Lease::from_environment(|name| std::env::var(name).ok()) else { return Ok(()) };
    let part = Path::new(LEASES).join(format!("{}.{}", lease.interface, lease.protocol));
    let reason = std::env::var("reason").unwrap_or_default();
    let gone = ["EXPIRE", "EXPIRE6", "NAK", "STOP", "STOP6", "RELEASE", "DEPARTED", "FAIL"]
        .contains(&reason.as_str());
    if gone {
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    } else if !lease.name_servers.is_empty() {
        fs::write(&part, lease.to_text())?;
    } else {
        return Ok(());
    }
    write_resolver()
}

fn write_resolver() -> io::Result<()> {
    let mut parts = BTreeMap::new();
    for entry in fs::read_dir(LEASES)? {
        let path = entry?.path();
        parts.insert(path.display().to_string(), fs::read_to_string(&path)?);
    }
    file::write_atomically(Path::new(RESOLVER), join(&parts).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(variables: &[(&str, &str)]) -> Option<Lease> {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        Lease::from_environment(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn the_name_servers_of_all_leases_are_joined_each_once() {
        let first = lease(&[
            ("interface", "eth0"),
            ("protocol", "dhcp"),
            ("new_domain_name_servers", "10.0.2.3 1.2.3.4"),
            ("new_domain_name", "example.org"),
        ])
        .unwrap();
        let second = lease(&[
            ("interface", "eth1"),
            ("protocol", "dhcp6"),
            ("new_dhcp6_name_servers", "1.2.3.4 fec0::3"),
            ("new_dhcp6_domain_search", "example.org example.net"),
        ])
        .unwrap();
        let parts = BTreeMap::from([("a".to_owned(), first.to_text()), ("b".to_owned(), second.to_text())]);
        assert_eq!(
            join(&parts),
            "nameserver 10.0.2.3\nnameserver 1.2.3.4\nnameserver fec0::3\nsearch example.org example.net\n"
        );
    }

    #[test]
    fn an_interface_name_that_climbs_out_of_its_directory_is_refused() {
        assert_eq!(lease(&[("interface", "../../etc/passwd")]), None);
        assert_eq!(lease(&[]), None);
    }
}
