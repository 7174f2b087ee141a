//! What holds for every request.

use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, HOST, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use imbrex_api::Problem;

use super::refusal::Refusal;

/// A request may take this long: somewhat longer than the longest order, a format.
const REQUEST_DEADLINE: Duration = Duration::from_secs(150);

/// Refuses orders from other sites' pages, bounds the time, and forbids to cache.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) && is_from_another_site(request.headers()) {
        let detail = "An order from a page of another site is refused: it may not be what the person at the browser wants.";
        return Refusal::from(Problem::new("cross-site", 403, "Order from another site", detail))
            .into_response();
    }
    let mut response = match tokio::time::timeout(REQUEST_DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("The answer was not ready within {} s.", REQUEST_DEADLINE.as_secs());
            Refusal::from(Problem::new("timeout", 503, "Too slow", detail)).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A browser names the site of the page that sends an order; a program names none.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let site = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, site)| site);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    site.is_none() || site != host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_from_another_sites_page_is_told_from_a_programs() {
        let headers = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("node:7400"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
            }
            headers
        };
        assert!(!is_from_another_site(&headers(None)));
        assert!(!is_from_another_site(&headers(Some("https://node:7400"))));
        for origin in ["https://evil.example", "null", "https://node:7401", ""] {
            assert!(is_from_another_site(&headers(Some(origin))), "{origin}");
        }
    }
}
