//! The clock's service: chronyd's configuration, out of the node's list of time servers.

use std::fmt::Write as _;
use std::{fs, io};

/// chronyd's configuration, written when the node's configuration is known.
const CONFIGURATION: &str = "/run/imbrex/chrony.conf";

/// chronyd steps the clock by any amount at its first three updates and slews it afterwards. It
/// keeps nothing on disk and listens to nobody.
fn configuration_text(servers: &[String]) -> String {
    let mut text = String::new();
    for server in servers {
        let _ = writeln!(text, "server {server} iburst");
    }
    text + "makestep 1.0 3\nrtcsync\nport 0\ncmdport 0\nbindcmdaddress /\npidfile /\n"
}

/// Writes the configuration for these servers, whose names [`crate::node_toml`] has checked.
pub(crate) fn prepare(servers: &[String]) -> io::Result<()> {
    fs::write(CONFIGURATION, configuration_text(servers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_server_has_its_line() {
        let text = configuration_text(&["10.0.2.2".to_owned(), "time.example.org".to_owned()]);
        assert!(text.starts_with("server 10.0.2.2 iburst\nserver time.example.org iburst\n"), "{text}");
    }
}
