//! What a person tells the node: the kernel command line and `node.toml`.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What init takes from the kernel command line; the rest is the kernel's and modprobe's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// `imbrex.config=URL`: where the node's configuration is.
    pub(crate) config_url: Option<String>,
    /// `imbrex.modules=a,b`: kernel modules to load besides those that devices ask for.
    pub(crate) modules: Vec<String>,
    /// A person has chosen how loud the kernel is on the console.
    pub(crate) loud: bool,
    /// A person has chosen what a kernel panic does.
    pub(crate) panic_chosen: bool,
    /// Words that begin with `imbrex.` and mean nothing: mistakes to be named.
    pub(crate) unknown: Vec<String>,
}

impl CommandLine {
    /// Reads the words of a kernel command line.
    pub(crate) fn parse(text: &str) -> Self {
        let mut command_line = Self::default();
        for word in words(text) {
            let (key, value) = word.split_once('=').unwrap_or((&word, ""));
            match key {
                "imbrex.config" if !value.is_empty() => command_line.config_url = Some(value.to_owned()),
                "imbrex.modules" => {
                    command_line
                        .modules
                        .extend(value.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
                }
                "loglevel" | "debug" | "ignore_loglevel" | "earlyprintk" => command_line.loud = true,
                "panic" => command_line.panic_chosen = true,
                key if key.starts_with("imbrex.") => command_line.unknown.push(key.to_owned()),
                _ => {}
            }
        }
        command_line
    }
}

/// Words apart by white space, as the kernel cuts them: white space inside double quotes is part of
/// a word, the quotes are not.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        match character {
            '"' => quoted = !quoted,
            character if character.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            character => word.push(character),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The node's configuration, `node.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeConfiguration {
    /// The node's name, which becomes its host name.
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) drives: Drives,
    #[serde(default)]
    pub(crate) time: Time,
    #[serde(default)]
    pub(crate) modules: Modules,
}

/// `[drives]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

/// The port of the management API, which no drive may take.
pub(crate) const AGENT_PORT: u16 = 7400;

/// What a drive's process may be given, in mebibytes: with less it refuses to start.
const MEMORY_MIB: std::ops::RangeInclusive<u64> = 72..=65_536;

impl NodeConfiguration {
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

    fn check(&self) -> Result<(), String> {
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
    fn the_command_line_is_cut_as_the_kernel_cuts_it() {
        let text = "console=ttyS0 imbrex.config=http://10.0.2.2:8000/node.toml imbrex.modules=null_blk,scsi_debug \
                    scsi_debug.dev_size_mb=64 x=\"a imbrex.config=no\" imbrex.confg=typo quiet\n";
        let command_line = CommandLine::parse(text);
        assert_eq!(command_line.config_url.as_deref(), Some("http://10.0.2.2:8000/node.toml"));
        assert_eq!(command_line.modules, ["null_blk", "scsi_debug"]);
        assert_eq!(command_line.unknown, ["imbrex.confg"]);
        assert!(!command_line.loud);
    }

    #[test]
    fn a_whole_configuration_is_read_and_an_empty_one_has_the_defaults() {
        let text = "name = \"imbrex-demo\"\n[drives]\nport_first = 7600\nmemory_mib = 96\n[drives.ports]\n\
                    \"naa.1\" = 7700\n[time]\nservers = [\"10.0.2.2\"]\n[modules]\nload = [\"scsi_debug\"]\n";
        let configuration = NodeConfiguration::parse(text).unwrap();
        assert_eq!(configuration.drives.ports["naa.1"], 7700);
        let empty = NodeConfiguration::parse("").unwrap();
        assert_eq!((empty.drives.port_first, empty.drives.memory_mib), (7500, 128));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        for text in
            ["nmae = \"x\"", "[drives]\nport_fist = 1", "[time]\nserver = []", "[modules]\nloads = []"]
        {
            let word =
                text.split([' ', '\n']).find(|word| ["nmae", "port_fist", "server", "loads"].contains(word));
            let error = NodeConfiguration::parse(text).unwrap_err();
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
            assert!(NodeConfiguration::parse(text).is_err(), "{text}");
        }
    }
}
