//! Whom to talk to.

use std::time::Duration;

use clap::Args;

use crate::error::Error;
use crate::http::Base;
use crate::tls::{Fingerprint, Trust};

/// The port of a node's management API.
const NODE_PORT: u16 = 7400;

/// Whom to talk to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Whom to talk to")]
pub(crate) struct Target {
    /// The node's management API. http:// is taken for this machine only.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "IMBREX_NODE",
        default_value = "https://127.0.0.1:7400",
        hide_env_values = true
    )]
    pub(crate) node: String,
    /// Accept exactly the certificate with this SHA-256, as the node's console shows it.
    #[arg(
        long,
        global = true,
        value_name = "SHA256:AA:BB:..",
        env = "IMBREX_FINGERPRINT",
        hide_env_values = true
    )]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Accept any certificate: whoever answers there is believed to be the node.
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
    /// Talk straight to a drive's data API, without a node's agent; again for more drives.
    #[arg(long = "drive", global = true, value_name = "URL")]
    pub(crate) drives: Vec<String>,
    /// Give up on an exchange that takes longer; formatting has 150 seconds in any case.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

impl Target {
    /// The node's address and which certificate to accept there.
    ///
    /// # Errors
    /// Where the address is wrong, or plain HTTP would leave this machine.
    pub(crate) fn node(&self) -> Result<(Base, Trust), Error> {
        let base = Base::parse(&self.node, Some(NODE_PORT)).map_err(|reason| usage("--node", &reason))?;
        if !base.secure && !base.is_loopback() {
            return Err(Error::Usage(format!(
                "{base} would send orders unprotected over a network: use https://{}:{}",
                base.host, base.port
            )));
        }
        let trust = match (self.insecure, self.fingerprint) {
            (true, _) => Trust::Anything,
            (false, Some(fingerprint)) => Trust::Pinned(fingerprint),
            (false, None) => Trust::Nothing,
        };
        Ok((base, trust))
    }

    /// The data APIs to talk to straight.
    ///
    /// # Errors
    /// Where an address is wrong.
    pub(crate) fn drives(&self) -> Result<Vec<Base>, Error> {
        let parse = |url: &String| {
            let base = Base::parse(url, None).map_err(|reason| usage("--drive", &reason))?;
            if base.secure {
                return Err(usage(
                    "--drive",
                    &format!("the data API is plain HTTP: write http://{}:{}", base.host, base.port),
                ));
            }
            Ok(base)
        };
        self.drives.iter().map(parse).collect()
    }

    /// How long one exchange may take.
    pub(crate) const fn deadline(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn usage(option: &str, reason: &str) -> Error {
    Error::Usage(format!("{option}: {reason}"))
}
