//! The bounds within which a drive's process serves: how many at once, and how long each may take.

use std::time::Duration;

/// What of the pool the engine keeps to itself, in bytes, at most: 16 MiB and a header for what reclaim moves, 4 MiB for
/// the table of a zone that is full of the smallest blocks, 1 MiB each for scrub and checkpoints, less than 1 MiB for
/// the rest of the log.
pub const ENGINE_BYTES: usize = 23 << 20;

/// Every bound of the server. Options, so that a test reaches each within moments.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections over TCP at once. One more is answered 503 and closed.
    pub connections_max: usize,
    /// Connections over the Unix socket at once: apart, so that the agent gets through whatever clients do.
    pub connections_local_max: usize,
    /// Connections that are being answered 503 at once. Beyond that they are closed without an answer.
    pub connections_refused_max: usize,
    /// Requests that wait for memory at once. One more is answered 503 at once.
    pub waiting_max: usize,
    /// How long a request waits for memory before it is answered 503.
    pub waiting_time_max: Duration,
    /// From the first byte of a request to the end of its head.
    pub head_time_max: Duration,
    /// How long a connection may lie idle between requests.
    pub idle_time_max: Duration,
    /// How long a body may make no progress ([`Limits::progress_bytes_min`]), in either direction.
    pub stall_time_max: Duration,
    /// What counts as progress of an upload, in bytes, unless less is missing.
    pub progress_bytes_min: usize,
    /// How long a connection is kept after its last answer, for a client that is still sending to read it.
    pub linger_time_max: Duration,
    /// How long an orderly stop waits for requests in flight, before it cuts them off.
    pub drain_time_max: Duration,
    /// How long the engine then has to flush.
    pub flush_time_max: Duration,
    /// The largest read from a connection, and the memory that its buffered input may take, in bytes.
    pub connection_buffer_bytes_max: usize,
    /// The largest head of a request: its path and its headers, in bytes. A longer one is answered 431.
    pub head_bytes_max: usize,
    /// The memory that lists of blocks may take while they are on their way over TCP, in bytes. Lists of zones and of
    /// damage, and those over the Unix socket, have theirs besides: [`Limits::lists_bytes_max`].
    pub lists_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 256,
            connections_local_max: 32,
            connections_refused_max: 16,
            waiting_max: 64,
            waiting_time_max: Duration::from_secs(1),
            head_time_max: Duration::from_secs(10),
            // Longer than clients keep idle connections, so that it is they who close.
            idle_time_max: Duration::from_secs(75),
            stall_time_max: Duration::from_secs(30),
            progress_bytes_min: 64 << 10,
            linger_time_max: Duration::from_secs(2),
            drain_time_max: Duration::from_secs(12),
            flush_time_max: Duration::from_secs(7),
            connection_buffer_bytes_max: 128 << 10,
            head_bytes_max: 8 << 10,
            // Eight pages of the largest size.
            lists_bytes: 4 << 20,
        }
    }
}

impl Limits {
    /// The memory that all connections may take together, in bytes: what they have read and not yet handed on.
    #[must_use]
    pub fn connections_bytes_max(&self) -> usize {
        (self.connections_max + self.connections_local_max + self.connections_refused_max)
            * self.connection_buffer_bytes_max
    }
}
