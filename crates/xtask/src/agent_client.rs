//! A node's management API, over TLS with the certificate that its console told.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use imbrex_api::drive::FormatOrder;
use imbrex_api::health::{DriveHealth, NodeHealth};
use imbrex_api::node::{Drive, Drives, KexecOrder, Node, Services};
use serde::de::DeserializeOwned;

use crate::http_client::{Connection, Response};
use crate::tls::{self, Fingerprint};

/// How long the agent may take over an answer; a translated guest is slow.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// The API of one node; every request is a connection of its own.
#[derive(Clone, Debug)]
pub struct AgentClient {
    address: SocketAddr,
    fingerprint: Fingerprint,
}

impl AgentClient {
    /// The API at that address, of the node with that certificate.
    #[must_use]
    pub fn new(address: SocketAddr, fingerprint: Fingerprint) -> Self {
        Self { address, fingerprint }
    }

    /// The fingerprint of the node's certificate.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The API's address as `imbrexctl` and `curl` want it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The node.
    ///
    /// # Errors
    /// Where it does not answer, or not with a node.
    pub fn node(&self) -> Result<Node> {
        self.get("/v1/node")
    }

    /// Its drives.
    ///
    /// # Errors
    /// Where it does not answer, or not with drives.
    pub fn drives(&self) -> Result<Vec<Drive>> {
        self.get::<Drives>("/v1/drives").map(|answer| answer.drives)
    }

    /// How one of its drives is.
    ///
    /// # Errors
    /// Where it does not answer, or has no such drive.
    pub fn drive_health(&self, drive: &str) -> Result<DriveHealth> {
        self.get(&format!("/v1/drives/{drive}/health"))
    }

    /// How all of its drives are.
    ///
    /// # Errors
    /// Where it does not answer, or not with that.
    pub fn health(&self) -> Result<NodeHealth> {
        self.get("/v1/health")
    }

    /// Has a drive asked how it is; the answer comes later.
    ///
    /// # Errors
    /// Where the node refuses, in its own words.
    pub fn ask(&self, drive: &str) -> Result<()> {
        self.request("POST", &format!("/v1/drives/{drive}/health"), Some(b"{}")).map(drop)
    }

    /// What stands at a path, as JSON.
    ///
    /// # Errors
    /// Where it does not answer, or not with JSON.
    pub fn json(&self, target: &str) -> Result<serde_json::Value> {
        self.get(target)
    }

    /// Its services.
    ///
    /// # Errors
    /// Where it does not answer, or not with services.
    pub fn services(&self) -> Result<Services> {
        self.get("/v1/services")
    }

    /// The last lines that a service said.
    ///
    /// # Errors
    /// Where it does not answer, or has no such service.
    pub fn service_log(&self, service: &str) -> Result<String> {
        self.request("GET", &format!("/v1/services/{service}/log"), None).map(|response| response.text())
    }

    /// Orders a drive to be formatted.
    ///
    /// # Errors
    /// Where the node refuses, in its own words.
    pub fn format(&self, drive: &str, order: &FormatOrder) -> Result<()> {
        let body = serde_json::to_vec(order).context("a format order is not JSON")?;
        self.request("POST", &format!("/v1/drives/{drive}/format"), Some(&body)).map(drop)
    }

    /// Kills the process of a drive (`force`), or stops it in order; it starts again.
    ///
    /// # Errors
    /// Where the node refuses, in its own words.
    pub fn restart_drive(&self, drive: &str, force: bool) -> Result<()> {
        let body = format!("{{\"force\": {force}}}");
        self.request("POST", &format!("/v1/drives/{drive}/restart"), Some(body.as_bytes())).map(drop)
    }

    /// Starts a service that is down; its maintenance is over.
    ///
    /// # Errors
    /// Where the node refuses, in its own words.
    pub fn start_service(&self, service: &str) -> Result<()> {
        self.request("POST", &format!("/v1/services/{service}/start"), Some(b"{}")).map(drop)
    }

    /// Stops the node in order and switches it off.
    ///
    /// # Errors
    /// Where the node refuses, in its own words.
    pub fn power_off(&self) -> Result<()> {
        self.request("POST", "/v1/node/poweroff", Some(b"{}")).map(drop)
    }

    /// Stops the node in order and starts it again.
    ///
    /// # Errors
    /// Where the node refuses, in its own words.
    pub fn reboot(&self) -> Result<()> {
        self.request("POST", "/v1/node/reboot", Some(b"{}")).map(drop)
    }

    /// Has the node fetch another image, stop in order, and go on with that one without its firmware.
    ///
    /// # Errors
    /// Where the node refuses, in its own words.
    pub fn kexec(&self, order: &KexecOrder) -> Result<()> {
        let body = serde_json::to_vec(order).context("an order is not JSON")?;
        self.request("POST", "/v1/node/kexec", Some(&body)).map(drop)
    }

    /// What the node answers at a path.
    ///
    /// # Errors
    /// Where it does not answer, or not with a `T`.
    pub fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T> {
        let response = self.request("GET", target, None)?;
        serde_json::from_slice(&response.body)
            .with_context(|| format!("the node answers {target} with something else: {}", response.text()))
    }

    fn request(&self, method: &str, target: &str, body: Option<&[u8]>) -> Result<Response> {
        let stream = tls::connect(self.address, &self.fingerprint, ANSWER_TIME_MAX)?;
        let headers: &[(&str, &str)] = match body {
            Some(_) => &[("Connection", "close"), ("Content-Type", "application/json")],
            None => &[("Connection", "close")],
        };
        let response = Connection::over(stream).request(method, target, headers, body.unwrap_or_default())?;
        if !(200..300).contains(&response.status) {
            bail!("the node answers {method} {target} with {}: {}", response.status, response.text());
        }
        Ok(response)
    }
}
