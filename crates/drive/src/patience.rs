//! How long somebody waits: until a deadline of tokio's clock. With the feature `shuttle`, by which tests run under many
//! schedules, without an end, so that a wake that is lost shows as a deadlock.

#[cfg(not(feature = "shuttle"))]
pub(crate) use tokio::time::timeout_at;

/// Waits for `future`, however late it is.
#[cfg(feature = "shuttle")]
pub(crate) async fn timeout_at<F: IntoFuture>(
    _deadline: tokio::time::Instant,
    future: F,
) -> Result<F::Output, std::convert::Infallible> {
    Ok(future.await)
}
