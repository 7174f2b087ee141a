//! `fetch-config`: the node's configuration over HTTP, checked, and written in one step.
//!
//! Init runs this, since init speaks no HTTP, and repeats it until it succeeds. It exits with a
//! status of 0 only when a good configuration is in the file. A bad one never replaces a good one.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use tokio::net::TcpStream;

use crate::configuration::{CONFIGURATION_BYTES_MAX, Configuration};
use crate::file;
use crate::http_client::{self, Answer};
use crate::options::FetchConfigOptions;

/// Fetches, checks and writes. Answers with the sentence to print.
///
/// # Errors
///
/// One sentence: the URL is not one, the server did not answer in time, answered something else than
/// 200, sent too much, sent a configuration that is not good, or the file could not be written.
pub(crate) async fn run(options: &FetchConfigOptions) -> Result<String, String> {
    let url = &options.url;
    let body = get(url, Duration::from_secs(options.deadline_s), CONFIGURATION_BYTES_MAX).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| format!("what {url} answered is not text, so not a configuration"))?;
    let configuration = Configuration::parse(text)
        .map_err(|error| format!("the configuration at {url} is not good: {error}"))?;
    file::write_whole(&options.out, text.as_bytes())
        .map_err(|error| format!("{} could not be written: {error}", options.out.display()))?;
    Ok(format!("wrote the configuration of {} to {}", configuration.name, options.out.display()))
}

/// The file at `url`, which has at most `bytes_max` bytes.
///
/// # Errors
///
/// One sentence: the URL is not one, the server did not answer in time, answered something else than
/// 200, or sent too much.
pub(crate) async fn get(url: &str, deadline: Duration, bytes_max: usize) -> Result<Bytes, String> {
    let uri = parse_url(url)?;
    let answer = tokio::time::timeout(deadline, fetch(&uri, bytes_max))
        .await
        .map_err(|_| format!("{url} did not answer within {} s", deadline.as_secs()))?
        .map_err(|reason| format!("{url}: {reason}"))?;
    if answer.status != StatusCode::OK {
        return Err(format!("{url} answered {}: give the URL of the file itself", answer.status));
    }
    Ok(answer.body)
}

fn parse_url(url: &str) -> Result<Uri, String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url:?} is not a URL: {error}"))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
        return Err(format!("{url:?} is not of the form http://HOST[:PORT]/PATH"));
    }
    Ok(uri)
}

async fn fetch(uri: &Uri, bytes_max: usize) -> Result<Answer, String> {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((address, port))
        .await
        .map_err(|error| format!("no connection to {host} port {port}: {error}"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or(host, |authority| authority.as_str());
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("imbrex-agent/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::new()))
        .map_err(|error| error.to_string())?;
    http_client::exchange(stream, request, bytes_max).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_urls_with_a_host_are_taken() {
        assert!(parse_url("http://192.0.2.1:8000/node.toml").is_ok());
        assert!(parse_url("http://[2001:db8::1]/node.toml").is_ok());
        for bad in ["node.toml", "https://192.0.2.1/", "file:///etc/passwd", "/node.toml", "http://"] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }
}
