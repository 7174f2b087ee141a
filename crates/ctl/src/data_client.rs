//! The data API of one drive.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use imbrex_api::drive::{DriveStatus, ListPage, ScrubStatus};
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::http::{Answer, Call, Http, NoAnswer};
use crate::key::Key;
use crate::manifest::BLOCK_BYTES_MAX;

/// How often a busy drive is asked the same.
const ASKED_MAX: u32 = 5;
/// How long is waited between two tries at most, whatever the drive says.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Where one drive's blocks are.
#[derive(Clone, Debug)]
pub(crate) struct DataClient {
    http: Http,
    base: String,
}

/// Why a drive did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Try again after this time.
    Busy(Duration),
    /// No space.
    Full,
    /// It cannot do this now, whatever the block: read-only, failed, draining, gone.
    Unable(String),
    /// Nobody answers there.
    Unreachable(String),
    /// The exchange broke on its way, or its bytes were not what they should be: another try may succeed.
    Broken(String),
    /// It cannot do this with this block.
    Refused(String),
}

impl From<NoAnswer> for Trouble {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::NoConnection(reason) => Self::Unreachable(reason),
            // It had its time, and another try would cost as much again.
            NoAnswer::Late(reason) => Self::Unable(reason),
            NoAnswer::Broken(reason) => Self::Broken(reason),
        }
    }
}

impl DataClient {
    /// A client for the drive at `base`, a URL without a path.
    pub(crate) const fn new(http: Http, base: String) -> Self {
        Self { http, base }
    }

    /// The URL that it talks to.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Stores a block; true where it was there already.
    ///
    /// # Errors
    /// The drive's trouble.
    pub(crate) async fn put(&self, key: &Key, bytes: Bytes) -> Result<bool, Trouble> {
        let url = self.block_url(key);
        let headers = [
            ("content-type", "application/octet-stream".to_owned()),
            ("content-digest", key.content_digest()),
            // hyper leaves it out where the body is empty, and the API wants it in every case.
            ("content-length", bytes.len().to_string()),
        ];
        let call = Call { headers: &headers, body: bytes, ..Call::plain(Method::PUT, &url) };
        let answer = self.http.exchange(call).await.map_err(Trouble::from)?;
        match answer.status {
            StatusCode::CREATED => Ok(false),
            StatusCode::OK => Ok(true),
            // The bytes changed on their way here: the digest was right when they left.
            StatusCode::BAD_REQUEST => Err(Trouble::Broken(answer.problem(&url).detail)),
            _ => Err(trouble(&answer, &url)),
        }
    }

    /// Reads a block; nothing where the drive does not hold it. The bytes have not been checked.
    ///
    /// # Errors
    /// The drive's trouble.
    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Bytes>, Trouble> {
        let url = self.block_url(key);
        let call = Call { answer_bytes_max: BLOCK_BYTES_MAX, ..Call::plain(Method::GET, &url) };
        let answer = self.http.exchange(call).await.map_err(Trouble::from)?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(trouble(&answer, &url)),
        }
    }

    /// Deletes a block; false where the drive does not hold it.
    ///
    /// # Errors
    /// The drive's trouble.
    pub(crate) async fn delete(&self, key: &Key) -> Result<bool, Trouble> {
        let url = self.block_url(key);
        let answer = self.http.exchange(Call::plain(Method::DELETE, &url)).await.map_err(Trouble::from)?;
        match answer.status {
            StatusCode::NO_CONTENT | StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(trouble(&answer, &url)),
        }
    }

    /// The drive's status.
    ///
    /// # Errors
    /// Where the drive does not answer, or answers something else.
    pub(crate) async fn status(&self) -> Result<DriveStatus, Error> {
        self.json(&format!("{}/v1/drive", self.base)).await
    }

    /// One page of the list of blocks, from `cursor` on.
    ///
    /// # Errors
    /// Where the drive does not answer, refuses, or answers something else.
    pub(crate) async fn list(&self, cursor: Option<&str>, limit: u32) -> Result<ListPage, Error> {
        let mut url = format!("{}/v1/blocks?limit={limit}", self.base);
        if let Some(cursor) = cursor {
            url.push_str("&cursor=");
            url.extend(cursor.bytes().map(percent_encoded));
        }
        self.json(&url).await
    }

    /// How far the drive's scrub is; where `start` says so, after a full pass has begun.
    ///
    /// # Errors
    /// Where the drive does not answer, refuses, or answers something else.
    pub(crate) async fn scrub(&self, start: bool) -> Result<ScrubStatus, Error> {
        let url = format!("{}/v1/scrub", self.base);
        // hyper leaves the length of an empty body out, and without it nobody could tell where the order ends.
        let headers = [("content-length", "0".to_owned())];
        if start {
            self.answer(Call { headers: &headers, ..Call::plain(Method::POST, &url) }).await
        } else {
            self.json(&url).await
        }
    }

    /// Asks, and asks again where the drive is too busy to answer.
    async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, Error> {
        for _ in 1..ASKED_MAX {
            let answer = self.exchange(Call::plain(Method::GET, url)).await?;
            match answer.retry_after {
                Some(wait) if answer.status == StatusCode::SERVICE_UNAVAILABLE => {
                    tokio::time::sleep(wait.min(BUSY_WAIT_MAX)).await;
                }
                _ => return read(&answer, url),
            }
        }
        self.answer(Call::plain(Method::GET, url)).await
    }

    async fn answer<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, Error> {
        let url = call.url;
        read(&self.exchange(call).await?, url)
    }

    async fn exchange(&self, call: Call<'_>) -> Result<Answer, Error> {
        let unreachable = |no_answer: NoAnswer| Error::Unreachable {
            url: self.base.clone(),
            reason: no_answer.to_string(),
        };
        self.http.exchange(call).await.map_err(unreachable)
    }

    fn block_url(&self, key: &Key) -> String {
        format!("{}/v1/blocks/{key}", self.base)
    }
}

/// The JSON of an answer.
fn read<T: DeserializeOwned>(answer: &Answer, url: &str) -> Result<T, Error> {
    if !answer.status.is_success() {
        return Err(Error::Refused(answer.problem(url).detail));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| Error::Unexpected { url: url.to_owned(), reason: error.to_string() })
}

/// A byte of an opaque cursor, as a query may carry it.
fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        return char::from(byte).to_string();
    }
    format!("%{byte:02X}")
}

/// What an answer that is neither success nor absence means for the one who asked.
fn trouble(answer: &Answer, url: &str) -> Trouble {
    let problem = answer.problem(url);
    match (answer.status, answer.retry_after) {
        (StatusCode::SERVICE_UNAVAILABLE, Some(wait)) => Trouble::Busy(wait),
        (StatusCode::SERVICE_UNAVAILABLE, None) => Trouble::Unable(match problem.state {
            Some(state) => format!("it is {state}"),
            None => problem.detail,
        }),
        (StatusCode::INSUFFICIENT_STORAGE, _) => Trouble::Full,
        _ => Trouble::Refused(problem.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_any_bytes_stays_one_value_of_the_query() {
        let encoded: String = "a-9&limit=1 %".bytes().map(percent_encoded).collect();
        assert_eq!(encoded, "a-9%26limit%3D1%20%25");
    }
}
