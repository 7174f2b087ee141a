//! The node's configuration, `node.toml`.
//!
//! Init's helper has a reader of its own: init stands alone. This one checks a configuration when it is
//! fetched, before init sees it, and reads the node's name for the API. Unknown keys are refused by
//! name: a misspelt key that is passed over is a setting that the operator believes in.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::path::Path;

use serde::Deserialize;

/// A configuration may be this long, in bytes.
pub(crate) const CONFIGURATION_BYTES_MAX: usize = 64 * 1024;

/// A node's name may be this long, as a DNS label may.
const NAME_BYTES_MAX: usize = 63;

/// The port that the agent itself holds.
const AGENT_PORT: u16 = 7400;

/// The node's configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    /// The node's name.
    pub(crate) name: String,
    /// Settings of the drives' processes.
    #[serde(default)]
    pub(crate) drives: DrivesSection,
    /// Time servers.
    #[serde(default)]
    pub(crate) time: TimeSection,
    /// Kernel modules.
    #[serde(default)]
    pub(crate) modules: ModulesSection,
    /// Where logs are sent: init's helper reads and checks it.
    #[serde(default)]
    pub(crate) logs: toml::Table,
    /// Interfaces that are set up beside DHCP: init's helper reads and checks them.
    #[serde(default)]
    pub(crate) network: Vec<toml::Table>,
}

/// Settings of the drives' processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrivesSection {
    /// Data port of the first drive.
    pub(crate) port_first: Option<NonZeroU16>,
    /// Budget of one drive process's buffers, in MiB.
    pub(crate) memory_mib: Option<u64>,
    /// Data port by drive ID.
    #[serde(default)]
    pub(crate) ports: BTreeMap<String, NonZeroU16>,
}

/// Time servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeSection {
    /// Names or addresses of NTP servers.
    #[serde(default)]
    pub(crate) servers: Vec<String>,
}

/// Kernel modules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModulesSection {
    /// Modules to load besides those that the hardware asks for.
    #[serde(default)]
    pub(crate) load: Vec<String>,
}

/// Why a configuration is not a good one, as one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigurationError(String);

impl fmt::Display for ConfigurationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for ConfigurationError {}

impl Configuration {
    /// Reads a configuration from the text of a `node.toml`.
    ///
    /// # Errors
    ///
    /// The text is longer than [`CONFIGURATION_BYTES_MAX`], is not TOML, has an unknown key, lacks the
    /// name, or has a value that cannot be right.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigurationError> {
        if text.len() > CONFIGURATION_BYTES_MAX {
            let message = format!(
                "the configuration is {} bytes long; at most {CONFIGURATION_BYTES_MAX} are allowed",
                text.len()
            );
            return Err(ConfigurationError(message));
        }
        let configuration: Self = toml::from_str(text).map_err(|error| {
            let place = error.span().map_or_else(String::new, |span| {
                let line = 1 + text.bytes().take(span.start).filter(|&byte| byte == b'\n').count();
                format!("line {line}: ")
            });
            ConfigurationError(format!("{place}{}", error.message().replace('\n', ", ")))
        })?;
        configuration.check()?;
        Ok(configuration)
    }

    /// The configuration in the file at `path`; `None` where there is no good one.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let length_bytes = std::fs::metadata(path).ok()?.len();
        if length_bytes > CONFIGURATION_BYTES_MAX as u64 {
            return None;
        }
        Self::parse(&std::fs::read_to_string(path).ok()?).ok()
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        let name_is_good = !self.name.is_empty()
            && self.name.len() <= NAME_BYTES_MAX
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if !name_is_good {
            return Err(ConfigurationError(format!(
                "name = {:?} is not a node's name: give 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-'",
                self.name
            )));
        }
        if self.drives.memory_mib == Some(0) {
            return Err(ConfigurationError("drives.memory_mib is 0: give at least 1".to_owned()));
        }
        let mut owners = BTreeMap::new();
        for (id, port) in &self.drives.ports {
            if port.get() == AGENT_PORT {
                return Err(ConfigurationError(format!(
                    "drives.ports gives drive {id} port {AGENT_PORT}, the agent's own"
                )));
            }
            if let Some(other) = owners.insert(port, id) {
                return Err(ConfigurationError(format!(
                    "drives.ports gives port {port} to {other} and to {id}"
                )));
            }
        }
        if self.modules.load.iter().chain(&self.time.servers).any(|word| word.trim().is_empty()) {
            return Err(ConfigurationError("modules.load or time.servers holds an empty name".to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
name = "imbrex-demo"
[drives]
port_first = 7500
memory_mib = 128
[drives.ports]
"eui.0025385b71b00001" = 7510
[time]
servers = ["192.0.2.1"]
[modules]
load = ["scsi_debug"]
"#;

    #[test]
    fn a_whole_configuration_is_read() {
        let configuration = Configuration::parse(WHOLE).unwrap();
        assert_eq!(configuration.name, "imbrex-demo");
        assert_eq!(configuration.drives.ports["eui.0025385b71b00001"].get(), 7510);
        assert_eq!(configuration.modules.load, ["scsi_debug"]);
    }

    #[test]
    fn a_name_alone_is_enough() {
        assert_eq!(Configuration::parse("name = \"a\"").unwrap().drives, DrivesSection::default());
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line() {
        let error = Configuration::parse("name = \"a\"\n[drives]\nport_frist = 1\n").unwrap_err().to_string();
        assert!(error.starts_with("line 3: ") && error.contains("port_frist"), "{error}");
    }

    #[test]
    fn what_cannot_be_right_is_refused_in_one_sentence() {
        for (text, part) in [
            ("", "name"),
            ("name = \"\"", "is not a node's name"),
            ("name = \"a b\"", "is not a node's name"),
            ("name = \"a\"\n[drives]\nport_first = 0", "nonzero"),
            ("name = \"a\"\n[drives]\nmemory_mib = 0", "memory_mib"),
            ("name = \"a\"\n[drives.ports]\nx = 7400", "the agent's own"),
            ("name = \"a\"\n[drives.ports]\nx = 7501\ny = 7501", "7501 to x and to y"),
            ("name = \"a\"\n[modules]\nload = [\"\"]", "empty"),
            ("name = ", "line 1"),
        ] {
            let error = Configuration::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text:?} gave {error:?}");
            assert!(!error.contains('\n'), "{error:?} is more than a line");
        }
    }
}
