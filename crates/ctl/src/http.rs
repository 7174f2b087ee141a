//! One HTTP exchange: bounded in time and in bytes.

use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Body as _;
use hyper::header::RETRY_AFTER;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use imbrex_api::Problem;

use crate::error::Error;
use crate::tls::{self, Presented, Trust};

/// Time to make a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(20);
/// Largest answer that is not a block: a page of a list, a status, a problem.
pub(crate) const TEXT_BYTES_MAX: usize = 16 << 20;

/// A client with a pool of connections.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    presented: Presented,
    deadline: Duration,
}

/// One request.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: Bytes,
    pub(crate) answer_bytes_max: usize,
}

impl<'a> Call<'a> {
    /// A request without a body, whose answer is text.
    pub(crate) const fn plain(method: Method, url: &'a str) -> Self {
        Self { method, url, headers: &[], body: Bytes::new(), answer_bytes_max: TEXT_BYTES_MAX }
    }
}

/// Why there is no whole answer, as a phrase.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody listens there, or the handshake failed.
    NoConnection(String),
    /// The time for the whole exchange ran out.
    Late(String),
    /// The connection broke while it was in use.
    Broken(String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::NoConnection(reason) | Self::Late(reason) | Self::Broken(reason)) = self;
        formatter.write_str(reason)
    }
}

/// One whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// What `Retry-After` asks for, where it gives seconds.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as a problem, or one made up from the status where it is none.
    pub(crate) fn problem(&self, url: &str) -> Problem {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| {
            let status = self.status.as_u16();
            Problem::new("unexpected", status, "Unexpected", format!("{url} answered {}", self.status))
        })
    }
}

impl Http {
    /// A client that trusts as told and gives up on an exchange after `deadline`.
    ///
    /// # Errors
    /// Where TLS cannot be set up; that is a fault of the build.
    pub(crate) fn new(trust: Trust, deadline: Duration) -> Result<Self, Error> {
        let (config, presented) = tls::client_config(trust)
            .map_err(|error| Error::Usage(format!("this build of imbrexctl has no usable TLS: {error}")))?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT.min(deadline)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, presented, deadline })
    }

    /// The same client, which gives up no sooner than after `deadline`.
    pub(crate) fn patient(&self, deadline: Duration) -> Self {
        Self { deadline: self.deadline.max(deadline), ..self.clone() }
    }

    /// The certificate that a server presented last.
    pub(crate) const fn presented(&self) -> &Presented {
        &self.presented
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    /// Why there is no whole answer.
    pub(crate) async fn exchange(&self, call: Call<'_>) -> Result<Answer, NoAnswer> {
        let whole = async {
            let mut request = Request::builder().method(call.method).uri(call.url);
            for (name, value) in call.headers {
                request = request.header(*name, value);
            }
            let request = request
                .body(Full::new(call.body))
                .map_err(|error| NoAnswer::NoConnection(error.to_string()))?;
            let response = self.client.request(request).await.map_err(|error| {
                let reason = reason(&error);
                if error.is_connect() { NoAnswer::NoConnection(reason) } else { NoAnswer::Broken(reason) }
            })?;
            read_answer(response, call.answer_bytes_max).await.map_err(NoAnswer::Broken)
        };
        tokio::time::timeout(self.deadline, whole)
            .await
            .map_err(|_| NoAnswer::Late(format!("no whole answer within {} s", self.deadline.as_secs())))?
    }
}

async fn read_answer(response: Response<hyper::body::Incoming>, bytes_max: usize) -> Result<Answer, String> {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let mut body = response.into_body();
    let expected = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let mut bytes = BytesMut::with_capacity(expected.min(bytes_max));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {}", reason(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(format!("the answer is longer than {bytes_max} bytes"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Answer { status, retry_after, body: bytes.freeze() })
}

/// The innermost cause: the outer ones only say that something failed.
fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The parts of a base URL that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) secure: bool,
    /// As a URL writes it: an IPv6 address has its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Base {
    /// Reads `http://HOST:PORT` or `https://HOST:PORT`; without a port `port_default` is meant.
    ///
    /// # Errors
    /// A phrase that says what is wrong with the text.
    pub(crate) fn parse(text: &str, port_default: Option<u16>) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{text:?} is no URL: {error}"))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("{text:?} must begin with http:// or https://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(format!("{text:?} must end after the port"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(format!("{text:?} names a user, and the API knows none"));
        }
        let host = uri.host().unwrap_or_default().to_owned();
        let port = uri.port_u16().or(port_default).ok_or_else(|| format!("{text:?} needs a port"))?;
        Ok(Self { secure, host, port })
    }

    /// Whether nothing but this machine can be meant.
    pub(crate) fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_a_scheme_a_host_and_a_port_and_nothing_more() {
        let base = Base::parse("https://[::1]", Some(7400)).unwrap();
        assert_eq!(base.to_string(), "https://[::1]:7400");
        assert!(base.is_loopback());
        for wrong in [
            "127.0.0.1:7400",
            "ftp://a:1",
            "http://a:1/v1",
            "http://a:1/?x",
            "http://u@a:1",
            "http://a",
            "http://a:99999",
            "",
        ] {
            assert!(Base::parse(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (url, loopback) in [
            ("http://127.8.9.10:1", true),
            ("http://localhost:1", true),
            ("http://10.0.0.1:1", false),
            ("http://localhost.example:1", false),
        ] {
            assert_eq!(Base::parse(url, None).unwrap().is_loopback(), loopback, "{url}");
        }
    }
}
