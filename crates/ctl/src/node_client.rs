//! The management API of a node.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use imbrex_api::health::{DriveHealth, KeptHistory, NodeHealth, PollOrder};
use imbrex_api::node::{Accepted, Drive, Drives, FormatOrder, Node, Service, Services};
use imbrex_api::slot::{LightOrder, Slot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::http::{Answer, Base, Call, Http};
use crate::tls::Trust;

/// Time to format a drive: longer than the node's own patience with it, so that the node tells how it ended.
const FORMAT_DEADLINE: Duration = Duration::from_secs(150);

/// A node's agent.
#[derive(Debug)]
pub(crate) struct NodeClient {
    http: Http,
    base: Base,
    trust: Trust,
}

impl NodeClient {
    /// A client for the node at `base`.
    pub(crate) const fn new(http: Http, base: Base, trust: Trust) -> Self {
        Self { http, base, trust }
    }

    /// Where the node is.
    pub(crate) const fn base(&self) -> &Base {
        &self.base
    }

    /// What the node says of itself.
    ///
    /// # Errors
    /// Where it does not answer, is not trusted, refuses, or answers something else.
    pub(crate) async fn node(&self) -> Result<Node, Error> {
        self.get("/v1/node").await
    }

    /// Its drives.
    ///
    /// # Errors
    /// As [`NodeClient::node`].
    pub(crate) async fn drives(&self) -> Result<Vec<Drive>, Error> {
        self.get::<Drives>("/v1/drives").await.map(|answer| answer.drives)
    }

    /// One of its drives.
    ///
    /// # Errors
    /// As [`NodeClient::node`]; an ID that the node does not know is refused by it.
    pub(crate) async fn drive(&self, id: &str) -> Result<Drive, Error> {
        self.get(&format!("/v1/drives/{}", path_segment(id)?)).await
    }

    /// What its init runs.
    ///
    /// # Errors
    /// As [`NodeClient::node`].
    pub(crate) async fn services(&self) -> Result<Vec<Service>, Error> {
        self.get::<Services>("/v1/services").await.map(|answer| answer.services)
    }

    /// Starts a service that is down, and forgets its failures.
    ///
    /// # Errors
    /// As [`NodeClient::node`]; a service that the node does not know, or that has nothing to run for, is refused.
    pub(crate) async fn start_service(&self, name: &str) -> Result<Accepted, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) || name == "." || name == ".." {
            let hint = "see the first column of imbrexctl services";
            return Err(Error::Usage(format!("{name:?} is no service: {hint}")));
        }
        let url = format!("{}/v1/services/{name}/start", self.base);
        let answer = self.exchange(&self.http, Call::plain(Method::POST, &url)).await?;
        parse(&answer, url)
    }

    /// How its drives are.
    ///
    /// # Errors
    /// As [`NodeClient::node`].
    pub(crate) async fn health(&self) -> Result<NodeHealth, Error> {
        self.get("/v1/health").await
    }

    /// How one of its drives is.
    ///
    /// # Errors
    /// As [`NodeClient::drive`].
    pub(crate) async fn drive_health(&self, id: &str) -> Result<DriveHealth, Error> {
        self.get(&format!("/v1/drives/{}/health", path_segment(id)?)).await
    }

    /// Has a drive asked now. What it tells comes later.
    ///
    /// # Errors
    /// As [`NodeClient::drive`]; the node refuses to ask too often, or a drive that is harmed by it.
    pub(crate) async fn ask(&self, id: &str, order: PollOrder) -> Result<(), Error> {
        let url = format!("{}/v1/drives/{}/health", self.base, path_segment(id)?);
        self.order(&self.http, Method::POST, &url, &order).await.map(drop)
    }

    /// Where one of its drives sits.
    ///
    /// # Errors
    /// As [`NodeClient::drive`]; it may sit in no slot.
    pub(crate) async fn slot(&self, id: &str) -> Result<Slot, Error> {
        self.get(&format!("/v1/drives/{}/slot", path_segment(id)?)).await
    }

    /// Turns a light of a drive's slot, `locate` or `fault`, on or off; gives how the slot is then.
    ///
    /// # Errors
    /// As [`NodeClient::slot`]; the slot may have no such light.
    pub(crate) async fn light(&self, id: &str, light: &str, on: bool) -> Result<Slot, Error> {
        let url = format!("{}/v1/drives/{}/{light}", self.base, path_segment(id)?);
        let answer = self.order(&self.http, Method::PUT, &url, &LightOrder { on }).await?;
        serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Unexpected { url, reason: error.to_string() })
    }

    /// What it has recorded of a drive.
    ///
    /// # Errors
    /// As [`NodeClient::drive`]; a drive without a name has no history.
    pub(crate) async fn history(&self, id: &str) -> Result<KeptHistory, Error> {
        self.get(&format!("/v1/drives/{}/history", path_segment(id)?)).await
    }

    /// Gives it a drive's history back.
    ///
    /// # Errors
    /// As [`NodeClient::history`]; the node takes no other drive's.
    pub(crate) async fn give_history(&self, id: &str, history: &KeptHistory) -> Result<(), Error> {
        let url = format!("{}/v1/drives/{}/history", self.base, path_segment(id)?);
        self.order(&self.http, Method::PUT, &url, history).await.map(drop)
    }

    /// Orders a drive to be formatted, and waits until that is done.
    ///
    /// # Errors
    /// As [`NodeClient::node`]; the node refuses an order that does not fit the drive.
    pub(crate) async fn format(&self, id: &str, order: &FormatOrder) -> Result<(), Error> {
        let url = format!("{}/v1/drives/{}/format", self.base, path_segment(id)?);
        self.order(&self.http.patient(FORMAT_DEADLINE), Method::POST, &url, order).await.map(drop)
    }

    async fn order<T: Serialize>(
        &self,
        http: &Http,
        method: Method,
        url: &str,
        order: &T,
    ) -> Result<Answer, Error> {
        let body = serde_json::to_vec(order)
            .map_err(|error| Error::Usage(format!("the order cannot be written as JSON: {error}")))?;
        let headers = [("content-type", "application/json".to_owned())];
        let call = Call { headers: &headers, body: Bytes::from(body), ..Call::plain(method, url) };
        self.exchange(http, call).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let url = format!("{}{path}", self.base);
        let answer = self.exchange(&self.http, Call::plain(Method::GET, &url)).await?;
        parse(&answer, url)
    }

    async fn exchange(&self, http: &Http, call: Call<'_>) -> Result<Answer, Error> {
        let url = call.url.to_owned();
        let answer =
            http.exchange(call).await.map_err(|no_answer| self.not_reached(no_answer.to_string()))?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Error::Refused(answer.problem(&url).detail))
    }

    /// A failure to connect is the certificate's where one was presented that is not trusted.
    fn not_reached(&self, reason: String) -> Error {
        let node = self.base.to_string();
        match (self.trust, self.http.presented().get()) {
            (Trust::Nothing, Some(presented)) => Error::CertificateUnknown { node, presented },
            (Trust::Pinned(expected), Some(presented)) if presented != expected => {
                Error::CertificateWrong { node, presented, expected }
            }
            _ => Error::Unreachable { url: node, reason },
        }
    }
}

fn parse<T: DeserializeOwned>(answer: &Answer, url: String) -> Result<T, Error> {
    serde_json::from_slice(&answer.body).map_err(|error| Error::Unexpected { url, reason: error.to_string() })
}

/// A drive's ID as one segment of a path.
///
/// # Errors
/// Where it is none, or would lead elsewhere.
pub(crate) fn path_segment(id: &str) -> Result<&str, Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !id.is_empty() && id.bytes().all(plain) && id != "." && id != ".." {
        return Ok(id);
    }
    Err(Error::Usage(format!("{id:?} is no drive's ID: see the first column of imbrexctl drives")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_would_lead_to_another_path_is_refused() {
        for id in ["", "..", "a/b", "a?b", "a b", "é"] {
            assert!(path_segment(id).is_err(), "{id}");
        }
        assert!(path_segment("eui.0011-22_B").is_ok());
    }
}
