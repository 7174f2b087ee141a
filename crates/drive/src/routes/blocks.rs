//! `PUT`, `GET`, `HEAD` and `DELETE` of one block.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, put};
use imbrex_engine::{
    Block, BlockHead, Class, EngineError, PutOutcome, PutRequest, RangeRequest, State as EngineState,
};
use imbrex_format::{Key, PAYLOAD_BYTES_MAX};

use super::conditions::{
    delete_unconditional, entity_tag, is_conditional, precondition_failed, put_only_if_absent, unmet,
};
use super::request::{BlockKey, class_of, lifetime_of};
use crate::admission::NoMemory;
use crate::app::App;
use crate::body::{BlockBody, UploadError, content_range, receive};
use crate::digest::{Expected, Running};
use crate::metrics::Figures;
use crate::problem::Refusal;
use crate::range::{RangeHeader, parse_range};

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");

/// The methods of a block.
pub(super) fn methods() -> MethodRouter<Arc<App>> {
    super::with_allowed(put(store).get(read).head(inspect).delete(remove), "GET, HEAD, PUT, DELETE")
}

/// `PUT`: everything that can refuse it is asked before the body is read.
async fn store(
    State(app): State<Arc<App>>,
    BlockKey(key): BlockKey,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let class = class_of(&headers)?;
    let lifetime = lifetime_of(&headers)?;
    let payload_bytes = content_length(&headers)?;
    let digests = Running::new(Expected::from_headers(&headers).map_err(Refusal::bad_request)?);
    let only_if_absent = put_only_if_absent(&headers)?;
    let state = app.state();
    if state != EngineState::Serving {
        return Err(Refusal::unavailable(&state));
    }
    if only_if_absent && app.engine.head(key, class).await.is_ok() {
        return Err(precondition_failed("a block stands under this key already").with_key(key.to_string()));
    }
    let admitted = app.admission.upload(payload_bytes as usize).await;
    let mut admitted = admitted.map_err(|no_memory| Refusal::overloaded(no_memory.detail()))?;
    receive(body, &mut admitted.buffer, payload_bytes as usize, digests, &app.limits)
        .await
        .map_err(|error| refuse_upload(&app, error, payload_bytes))?;
    let request = PutRequest { key, buffer: admitted.buffer, payload_bytes, class, lifetime };
    let outcome = app.engine.put(request).await.map_err(|error| refusal(error, key))?;
    drop(admitted.right);
    Ok(match outcome {
        PutOutcome::Stored => StatusCode::CREATED,
        PutOutcome::AlreadyStored => StatusCode::OK,
    }
    .into_response())
}

/// `GET`: the whole block or one range of it, sent when all of it has been read and checked.
async fn read(
    State(app): State<Arc<App>>,
    BlockKey(key): BlockKey,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asked = Asked { app: &app, key, class: class_of(&headers)? };
    if is_conditional(&headers) {
        let head = asked.head().await?;
        if let Some(response) = unmet(&headers, &entity_tag(head.birth, head.payload_bytes)) {
            return Ok(response);
        }
    }
    let range = wanted_range(&asked, &headers).await?;
    let (block, range) = match headers.get(IF_RANGE) {
        Some(tag) if range != RangeRequest::Whole => asked.get_if_range(range, tag).await?,
        _ => (asked.get(range).await.map_err(|error| error.refusal(key))?, range),
    };
    Ok(block_response(&app, block, range))
}

/// `HEAD`: costs one small read where the block is there, and none where it is not.
async fn inspect(
    State(app): State<Arc<App>>,
    BlockKey(key): BlockKey,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let asked = Asked { app: &app, key, class: class_of(&headers)? };
    let head = asked.head().await?;
    let tag = entity_tag(head.birth, head.payload_bytes);
    if let Some(response) = unmet(&headers, &tag) {
        return Ok(response);
    }
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(head.payload_bytes));
    describe(headers, &tag);
    Ok(response)
}

/// `DELETE`.
async fn remove(
    State(app): State<Arc<App>>,
    BlockKey(key): BlockKey,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let class = class_of(&headers)?;
    delete_unconditional(&headers)?;
    app.engine.delete(key, class).await.map_err(|error| refusal(error, key))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The length that a put announces: known, and not too large.
fn content_length(headers: &HeaderMap) -> Result<u32, Refusal> {
    let Some(value) = headers.get(CONTENT_LENGTH) else {
        let detail = "a put announces the length of its block: send Content-Length";
        return Err(Refusal::new("length-required", StatusCode::LENGTH_REQUIRED, "No length", detail));
    };
    let text = value.to_str().unwrap_or_default();
    let length: u64 = text
        .parse()
        .map_err(|_| Refusal::bad_request(format!("the Content-Length `{text}` is no length")))?;
    match u32::try_from(length) {
        Ok(length) if length as usize <= PAYLOAD_BYTES_MAX => Ok(length),
        _ => {
            let detail = format!(
                "the block has {length} bytes, and a block has {PAYLOAD_BYTES_MAX} at most: cut it into several"
            );
            let title = "The block is too large";
            Err(Refusal::new("block-too-large", StatusCode::PAYLOAD_TOO_LARGE, title, detail).closing())
        }
    }
}

/// The range that a get asks for. A malformed one is refused with the block's length.
async fn wanted_range(asked: &Asked<'_>, headers: &HeaderMap) -> Result<RangeRequest, Refusal> {
    let Some(value) = headers.get(RANGE) else {
        return Ok(RangeRequest::Whole);
    };
    match parse_range(value.to_str().unwrap_or_default()) {
        RangeHeader::One(range) => Ok(range),
        RangeHeader::Ignored => Ok(RangeRequest::Whole),
        RangeHeader::Malformed(detail) => {
            let head = asked.head().await?;
            Err(Refusal::range(head.payload_bytes, detail).with_key(asked.key.to_string()))
        }
    }
}

/// Why a read gave nothing.
enum ReadError {
    Engine(EngineError),
    NoMemory(NoMemory),
}

impl ReadError {
    fn refusal(self, key: Key) -> Refusal {
        match self {
            Self::Engine(error) => refusal(error, key),
            Self::NoMemory(no_memory) => Refusal::overloaded(no_memory.detail()),
        }
    }
}

/// Asks the engine for something that takes memory. Where memory is full the request waits, as a put does, for as long
/// as the limits say: the engine's own deadline is not waited for twice.
async fn patiently<T, F>(app: &App, attempt: impl Fn() -> F) -> Result<T, ReadError>
where
    F: Future<Output = Result<T, EngineError>>,
{
    let (began, mut queued) = (Instant::now(), None);
    loop {
        // Listening begins before the attempt, so that no memory that comes free is missed.
        let listener = app.admission.listen();
        if app.admission.download_allowed() {
            match attempt().await {
                Err(EngineError::Overloaded { .. }) if began.elapsed() < app.limits.waiting_time_max => {}
                answer => return answer.map_err(ReadError::Engine),
            }
        }
        let queued = match &queued {
            Some(queued) => queued,
            None => queued.insert(app.admission.queue().map_err(ReadError::NoMemory)?),
        };
        queued.released(listener).await.map_err(ReadError::NoMemory)?;
    }
}

/// What is asked of the engine for one reading request.
struct Asked<'a> {
    app: &'a App,
    key: Key,
    class: Class,
}

impl Asked<'_> {
    async fn get(&self, range: RangeRequest) -> Result<Block, ReadError> {
        patiently(self.app, || self.app.engine.get(self.key, range, self.class)).await
    }

    /// A range if the block's tag is `tag`, else the whole block: one read where the tag is right.
    async fn get_if_range(
        &self,
        range: RangeRequest,
        tag: &HeaderValue,
    ) -> Result<(Block, RangeRequest), Refusal> {
        let matches =
            |block: &Block| entity_tag(block.birth, block.payload_bytes).as_bytes() == tag.as_bytes();
        let first = self.get(range).await;
        match first {
            Ok(block) if matches(&block) => return Ok((block, range)),
            Ok(_) | Err(ReadError::Engine(EngineError::RangeNotSatisfiable { .. })) => {}
            Err(error) => return Err(error.refusal(self.key)),
        }
        let unsatisfiable = first.err();
        let whole = self.get(RangeRequest::Whole).await.map_err(|error| error.refusal(self.key))?;
        match unsatisfiable {
            Some(error) if matches(&whole) => Err(error.refusal(self.key)),
            _ => Ok((whole, RangeRequest::Whole)),
        }
    }

    async fn head(&self) -> Result<BlockHead, Refusal> {
        let head = patiently(self.app, || self.app.engine.head(self.key, self.class)).await;
        head.map_err(|error| error.refusal(self.key))
    }
}

/// 200 or 206 with the block's bytes.
fn block_response(app: &App, block: Block, range: RangeRequest) -> Response {
    let tag = entity_tag(block.birth, block.payload_bytes);
    // An empty block has no range that `Content-Range` could name.
    let partial = range != RangeRequest::Whole && !block.range.is_empty();
    let named = partial.then(|| content_range(&block.range, block.payload_bytes));
    let download = app.admission.download(block.as_ref().len());
    let mut response = Response::new(Body::new(BlockBody::new(block, download)));
    if let Some(value) = named.and_then(|named| HeaderValue::try_from(named).ok()) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    describe(response.headers_mut(), &tag);
    response
}

/// The headers that every answer about a block has.
fn describe(headers: &mut HeaderMap, tag: &str) {
    headers.insert(CONTENT_TYPE, OCTETS);
    headers.insert(ACCEPT_RANGES, BYTES);
    if let Ok(value) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, value);
    }
}

fn refusal(error: EngineError, key: Key) -> Refusal {
    Refusal::from(error).with_key(key.to_string())
}

/// Why nothing was kept of an upload. Except after a wrong digest, what else the client sends cannot be told
/// from the next request: the connection ends.
fn refuse_upload(app: &App, error: UploadError, payload_bytes: u32) -> Refusal {
    let incomplete = |detail: String| {
        Refusal::new("body-incomplete", StatusCode::BAD_REQUEST, "The body is incomplete", detail).closing()
    };
    match error {
        UploadError::Short { received_bytes } => {
            Figures::count(&app.figures.uploads_broken_off);
            incomplete(format!(
                "the body ended after {received_bytes} of {payload_bytes} bytes: nothing was kept"
            ))
        }
        UploadError::Long => incomplete(format!(
            "the body is longer than the {payload_bytes} bytes that it announces: nothing was kept"
        )),
        UploadError::Stalled { received_bytes, stall_time } => {
            Figures::count(&app.figures.stalled);
            let detail = format!(
                "the body stood still for {} s after {received_bytes} of {payload_bytes} bytes: nothing was kept",
                stall_time.as_secs_f32()
            );
            let title = "The body stood still";
            Refusal::new("body-stalled", StatusCode::REQUEST_TIMEOUT, title, detail).closing()
        }
        UploadError::Digest { detail } => {
            let title = "The body is not what its digest says";
            Refusal::new("digest-mismatch", StatusCode::BAD_REQUEST, title, detail)
        }
    }
}
