//! The node's configuration, `node.toml`: read, checked, and told to init in its own words.

use crate::network;
use crate::ship::Targets;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The node's configuration, `node.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeToml {
    /// The node's name, which becomes its host name.
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) drives: Drives,
    #[serde(default)]
    pub(crate) time: Time,
    #[serde(default)]
    pub(crate) modules: Modules,
    /// Where logs are sent.
    #[serde(default)]
    pub(crate) logs: Targets,
    /// Interfaces that are set up beside DHCP.
    #[serde(default)]
    pub(crate) network: Vec<network::Interface>,
}

/// What of a configuration that was accepted later runs of the helper need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    /// How drives are served.
    pub(crate) drives: Drives,
    /// Kernel modules to load.
    pub(crate) modules: Vec<String>,
    /// Services that are wanted beside those of every node.
    pub(crate) services: Vec<String>,
}

/// `[drives]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Drives {
    /// Data port of the first drive.
    pub(crate) port_first: u16,
    /// Budget of one drive process's buffers, in mebibytes.
    pub(crate) memory_mib: u64,
    /// Data ports of certain drives, by ID.
    pub(crate) ports: BTreeMap<String, u16>,
}

impl Default for Drives {
    fn default() -> Self {
        Self { port_first: 7500, memory_mib: 128, ports: BTreeMap::new() }
    }
}

/// `[time]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Time {
    /// Names or addresses of time servers; with none no clock service runs.
    pub(crate) servers: Vec<String>,
}

/// `[modules]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Modules {
    /// Kernel modules to load.
    pub(crate) load: Vec<String>,
}

/// The services that a configuration can want: where it names time servers, and where it names targets for logs.
pub(crate) const WANTED: [&str; 2] = ["chronyd", "log-shipper"];

/// The port of the management API, which no drive may take.
pub(crate) const AGENT_PORT: u16 = 7400;

/// What a drive's process may be given, in mebibytes: with less it refuses to start.
const MEMORY_MIB: std::ops::RangeInclusive<u64> = 72..=65_536;

impl NodeToml {
    /// Reads a `node.toml`, or says in one sentence what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let configuration: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let place = line.map_or_else(String::new, |line| format!("line {line}: "));
            format!("node.toml: {place}{}", error.message().replace('\n', " "))
        })?;
        configuration.check()?;
        Ok(configuration)
    }

    /// What later runs need of it.
    pub(crate) fn accepted(&self) -> Accepted {
        let wanted = WANTED.into_iter().zip([!self.time.servers.is_empty(), !self.logs.is_empty()]);
        let services = wanted.filter(|(_, wanted)| *wanted).map(|(name, _)| name.to_owned()).collect();
        Accepted { drives: self.drives.clone(), modules: self.modules.load.clone(), services }
    }

    fn check(&self) -> Result<(), String> {
        let refused = |place: &'static str| move |reason: String| format!("node.toml: {place}: {reason}");
        self.logs.check().map_err(refused("logs"))?;
        self.network.iter().try_for_each(network::Interface::check).map_err(refused("network"))?;
        let plain = |text: &str, extra: &[u8]| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || extra.contains(&byte))
        };
        if let Some(name) = self.name.as_deref().filter(|name| name.len() > 64 || !plain(name, b"-.")) {
            return Err(format!(
                "node.toml: name {name:?} is not a host name: letters, digits, - and ., at most 64"
            ));
        }
        if let Some(server) = self.time.servers.iter().find(|server| !plain(server, b"-.:")) {
            return Err(format!(
                "node.toml: time.servers has {server:?}, which is neither a host name nor an address"
            ));
        }
        if let Some(module) = self.modules.load.iter().find(|module| !plain(module, b"-_")) {
            return Err(format!(
                "node.toml: modules.load has {module:?}, which is not the name of a kernel module"
            ));
        }
        if !MEMORY_MIB.contains(&self.drives.memory_mib) {
            let (memory_mib, least, most) = (self.drives.memory_mib, MEMORY_MIB.start(), MEMORY_MIB.end());
            return Err(format!(
                "node.toml: drives.memory_mib is {memory_mib}; it must be from {least} to {most}"
            ));
        }
        let mut seen = BTreeSet::from([0, AGENT_PORT]);
        if self.drives.port_first == 0 {
            return Err("node.toml: drives.port_first is 0; it must be from 1 to 65535".to_owned());
        }
        for (id, port) in &self.drives.ports {
            if !seen.insert(*port) {
                return Err(format!("node.toml: drives.ports gives {id} port {port}, which is taken or 0"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_configuration_is_read_and_an_empty_one_has_the_defaults() {
        let text = "name = \"imbrex-demo\"\n[drives]\nport_first = 7600\nmemory_mib = 96\n[drives.ports]\n\
                    \"naa.1\" = 7700\n[time]\nservers = [\"10.0.2.2\"]\n[modules]\nload = [\"scsi_debug\"]\n";
        let configuration = NodeToml::parse(text).unwrap();
        assert_eq!(configuration.drives.ports["naa.1"], 7700);
        let empty = NodeToml::parse("").unwrap();
        assert_eq!((empty.drives.port_first, empty.drives.memory_mib), (7500, 128));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        for text in
            ["nmae = \"x\"", "[drives]\nport_fist = 1", "[time]\nserver = []", "[modules]\nloads = []"]
        {
            let word =
                text.split([' ', '\n']).find(|word| ["nmae", "port_fist", "server", "loads"].contains(word));
            let error = NodeToml::parse(text).unwrap_err();
            assert!(error.contains(word.unwrap()), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn values_that_would_become_options_or_lines_of_another_file_are_refused() {
        for text in [
            "name = \"a b\"",
            "[time]\nservers = [\"a\\nallow\"]",
            "[modules]\nload = [\"-r\"]",
            "[drives]\nmemory_mib = 71",
            "[drives]\nport_first = 0",
            "[drives.ports]\na = 7400",
            "[drives.ports]\na = 7501\nb = 7501",
        ] {
            assert!(NodeToml::parse(text).is_err(), "{text}");
        }
    }
}
