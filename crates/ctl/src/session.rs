//! What every command shares: whom it talks to, and how it prints.

use std::sync::Arc;
use std::time::Duration;

use imbrex_api::drive::State;
use imbrex_api::node::{Drive, DriveState};

use crate::data_client::DataClient;
use crate::error::Error;
use crate::fleet::{Fleet, Member};
use crate::http::Http;
use crate::node_client::NodeClient;
use crate::options::{Target, Transfer};
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::tls::Trust;
use crate::transfer::Transport;

/// One run of the program.
#[derive(Debug)]
pub(crate) struct Session {
    target: Target,
    transfer: Transfer,
    pub(crate) output: Output,
}

impl Session {
    /// A run with these options.
    pub(crate) const fn new(target: Target, transfer: Transfer, output: Output) -> Self {
        Self { target, transfer, output }
    }

    /// Whether the drives are spoken to without a node.
    pub(crate) fn is_direct(&self) -> bool {
        !self.target.drives.is_empty()
    }

    /// How long one exchange may take.
    pub(crate) const fn deadline(&self) -> Duration {
        self.target.deadline()
    }

    /// The node's management API.
    ///
    /// # Errors
    /// Where `--drive` is given, which leaves the node out, or the options contradict themselves.
    pub(crate) fn node(&self) -> Result<NodeClient, Error> {
        if self.is_direct() {
            return Err(Error::Usage(
                "this needs a node's agent, and --drive talks to drives only: give --node instead".into(),
            ));
        }
        let (base, trust) = self.target.node()?;
        if trust == Trust::Anything && base.secure {
            output::complain(&format!("--insecure: whoever answers at {base} is believed to be the node"));
        }
        Ok(NodeClient::new(Http::new(trust, self.target.deadline())?, base, trust))
    }

    /// The data APIs given by `--drive`.
    ///
    /// # Errors
    /// Where an address is wrong.
    pub(crate) fn direct_drives(&self) -> Result<Vec<DataClient>, Error> {
        let http = Http::new(Trust::Nothing, self.target.deadline())?;
        let bases = self.target.drives()?;
        Ok(bases.into_iter().map(|base| DataClient::new(http.clone(), base.to_string())).collect())
    }

    /// What moves blocks, with a progress bar named `what`.
    ///
    /// # Errors
    /// Where no drive can be asked.
    pub(crate) async fn transport(&self, what: &'static str) -> Result<Transport, Error> {
        let fleet = self.fleet().await?;
        let progress = Progress::new(what, !self.output.is_json());
        Ok(Transport::new(Arc::new(fleet), progress, usize::from(self.transfer.jobs)))
    }

    /// The drives that serve.
    ///
    /// # Errors
    /// Where no drive can be asked.
    pub(crate) async fn fleet(&self) -> Result<Fleet, Error> {
        let fleet = if self.is_direct() { self.direct_fleet().await? } else { self.node_fleet().await? };
        if fleet.members().is_empty() {
            return Err(Error::NoDrives(match fleet.not_asked() {
                [] => "the node has no drive that serves: see imbrexctl drives, and imbrexctl format for a new one"
                    .into(),
                reasons => format!("no drive serves: {}", reasons.join("; ")),
            }));
        }
        Ok(fleet)
    }

    async fn direct_fleet(&self) -> Result<Fleet, Error> {
        let (mut members, mut not_asked) = (Vec::new(), Vec::new());
        for client in self.direct_drives()? {
            let base = client.base().to_owned();
            match client.status().await {
                Ok(status) => match (status.state, status.drive_id) {
                    (State::Serving | State::ReadOnly | State::Draining, Some(drive_id)) => {
                        let not_writable = (status.state != State::Serving).then(|| {
                            because(&status.id, status.state.as_str(), status.state_reason.as_deref())
                        });
                        members.push(self.member(status.id, drive_id, not_writable, client));
                    }
                    (state, _) => {
                        not_asked.push(because(&base, state.as_str(), status.state_reason.as_deref()));
                    }
                },
                Err(error) => not_asked.push(error.to_string()),
            }
        }
        self.tell_not_asked(&members, &not_asked);
        Ok(Fleet::new(members, not_asked))
    }

    async fn node_fleet(&self) -> Result<Fleet, Error> {
        let node = self.node()?;
        let http = Http::new(Trust::Nothing, self.target.deadline())?;
        let (mut members, mut not_asked) = (Vec::new(), Vec::new());
        for drive in node.drives().await? {
            if matches!(drive.state, DriveState::Unformatted | DriveState::Foreign) {
                continue;
            }
            match (readable(&drive), drive.data_port, drive.drive_id) {
                (true, Some(port), Some(drive_id)) => {
                    let base = format!("http://{}:{port}", node.base().host);
                    let client = DataClient::new(http.clone(), base);
                    let not_writable = (drive.state != DriveState::Serving)
                        .then(|| because(&drive.id, drive.state.as_str(), drive.state_reason.as_deref()));
                    members.push(self.member(drive.id, drive_id, not_writable, client));
                }
                _ => {
                    not_asked.push(because(&drive.id, drive.state.as_str(), drive.state_reason.as_deref()));
                }
            }
        }
        self.tell_not_asked(&members, &not_asked);
        Ok(Fleet::new(members, not_asked))
    }

    fn member(
        &self,
        name: String,
        drive_id: String,
        not_writable: Option<String>,
        client: DataClient,
    ) -> Member {
        Member::new(name, drive_id, not_writable, client, usize::from(self.transfer.jobs_per_drive))
    }

    /// A drive that is left out may be why a block is not found, or why the others fill up.
    fn tell_not_asked(&self, members: &[Member], not_asked: &[String]) {
        if members.is_empty() || self.output.is_json() {
            return;
        }
        for reason in not_asked {
            output::complain(&format!("left out: {reason}"));
        }
    }
}

const fn readable(drive: &Drive) -> bool {
    matches!(
        drive.state,
        DriveState::Serving | DriveState::ReadOnly | DriveState::Draining | DriveState::Unresponsive
    )
}

fn because(name: &str, state: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{name} is {state} ({})", reason.trim_end_matches('.')),
        None => format!("{name} is {state}"),
    }
}
