//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use imbrex_engine::State;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tower::Service as _;
use tracing::debug;

use super::guarded::Guarded;
use super::in_flight::{AnswerBody, InFlight};
use super::listener::Serving;
use super::phase::{Phase, PhaseWatch};
use crate::app::App;
use crate::metrics::{Figures, Operation};
use crate::problem::{Overloaded, Refusal};

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Its requests are served.
    Serve,
    /// Too many are open: its first request is answered 503, and it ends.
    Refuse,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Infallible>> + Send>>;

/// Serves a connection to its end.
pub(super) async fn serve_connection<S>(stream: S, serving: Serving, router: Router, treatment: Treatment)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Serving { app, mut stopping, alive, .. } = serving;
    let _open = app.figures.connection();
    // Nobody waits for a connection that came after the stop began.
    let _alive = alive.upgrade();
    let phase = Phase::default();
    let mut watch = PhaseWatch::new(phase.clone(), &app.limits);
    let io = TokioIo::new(Guarded::new(stream, phase.clone(), &app.limits));
    let service_app = Arc::clone(&app);
    let service = service_fn(move |request: Request<Incoming>| -> Answer {
        let in_flight = InFlight::begin(&phase);
        let (app, router) = (Arc::clone(&service_app), router.clone());
        Box::pin(async move {
            let response = answer(&app, router, request.map(Body::new), treatment).await;
            Ok(response.map(|body| AnswerBody { body, _in_flight: in_flight }))
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // The watch has its own clock, which tells an idle connection from a slow head.
        .header_read_timeout(None)
        .max_buf_size(app.limits.connection_buffer_bytes_max)
        .serve_connection(io, service);
    // A connection that came while the process stops is told so by its answer.
    let mut told = *stopping.borrow_and_update();
    let outcome = {
        let mut stop = pin!(async move { stopping.wait_for(|stop| *stop).await.is_ok() });
        poll_fn(|context| {
            if !told && stop.as_mut().poll(context).is_ready() {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            match connection.poll_without_shutdown(context) {
                Poll::Pending => watch.poll_expired(context).map(|()| None),
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            }
        })
        .await
    };
    match outcome {
        Some(Ok(())) => linger(connection.into_parts().io.into_inner().into_inner(), &app, told).await,
        Some(Err(error)) => debug!("a connection ended: {error}"),
        None => debug!("a connection was closed: the client sent nothing for too long"),
    }
}

/// The answer to one request.
async fn answer(
    app: &App,
    mut router: Router,
    request: Request<Body>,
    treatment: Treatment,
) -> Response<Body> {
    let began = Instant::now();
    let operation = operation_of(&request);
    let head_bytes = head_bytes(&request);
    let response = if head_bytes > app.limits.head_bytes_max {
        Refusal::head_too_large(head_bytes, app.limits.head_bytes_max).into_response()
    } else if treatment == Treatment::Refuse {
        let most = app.limits.connections_max;
        Refusal::overloaded(format!("{most} connections are open, as many as the drive takes: try again"))
            .closing()
            .into_response()
    } else if app.is_draining() && !is_status(request.uri().path()) {
        Refusal::unavailable(&State::Draining).closing().into_response()
    } else {
        match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    if response.extensions().get::<Overloaded>().is_some() {
        Figures::count(&app.figures.refused_overloaded);
    }
    app.figures.request(operation, response.status().as_u16(), began.elapsed());
    response
}

/// About how long the head of a request is: while the request lasts, all of it is kept.
fn head_bytes(request: &Request<Body>) -> usize {
    let line = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    line + headers.sum::<usize>()
}

fn operation_of(request: &Request<Body>) -> Operation {
    if !request.uri().path().starts_with("/v1/blocks/") {
        return Operation::Other;
    }
    match *request.method() {
        Method::PUT => Operation::Put,
        Method::GET => Operation::Get,
        Method::HEAD => Operation::Head,
        Method::DELETE => Operation::Delete,
        _ => Operation::Other,
    }
}

/// Whether the path is answered while the process stops, since it needs nothing of the drive.
fn is_status(path: &str) -> bool {
    matches!(path, "/healthz" | "/metrics" | "/v1/drive" | "/v1/stats")
}

/// Closes in a way that lets a client that is still sending read its answer: closing with unread input would
/// reset the connection and with it the answer. Bounded in time; what comes in is thrown away.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, app: &App, stopping: bool) {
    if stream.shutdown().await.is_err() || stopping {
        return;
    }
    let discard = async {
        let mut scrap = vec![0_u8; 16 << 10];
        while stream.read(&mut scrap).await.is_ok_and(|count| count > 0) {}
    };
    // Running out of time is as good an end as any.
    let _ = tokio::time::timeout(app.limits.linger_time_max, discard).await;
}
