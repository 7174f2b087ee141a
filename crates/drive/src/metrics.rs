//! What the process counts, and `/metrics`: the figures of server and engine for Prometheus.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use imbrex_api::drive::{GETS_BUCKETS, State as ApiState, gets_bucket_us_max};
use imbrex_engine::Stats;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::app::{App, api_state, is_mounted};

/// The media type of `/metrics`.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a request does, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Put,
    Get,
    Head,
    Delete,
    Other,
}

impl EncodeLabelValue for Operation {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::Other => "other",
        }
        .encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: Operation,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

type Durations = Family<RequestLabels, Histogram, fn() -> Histogram>;

/// What the server counts itself.
pub(crate) struct Figures {
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) uploads_broken_off: AtomicU64,
    pub(crate) stalled: AtomicU64,
    pub(crate) refused_overloaded: AtomicU64,
    pub(crate) gets_us: AtomicU64,
    gets_by_time: [AtomicU64; GETS_BUCKETS],
    open: Arc<AtomicU32>,
    durations: Durations,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            connections: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            uploads_broken_off: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            refused_overloaded: AtomicU64::new(0),
            gets_us: AtomicU64::new(0),
            gets_by_time: [const { AtomicU64::new(0) }; GETS_BUCKETS],
            open: Arc::new(AtomicU32::new(0)),
            // 0.5 ms to 16 s: a put waits for a disk, perhaps behind others.
            durations: Durations::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_5, 2.0, 16))
            }),
        }
    }
}

/// An open connection, until it is dropped.
pub(crate) struct OpenConnection(Arc<AtomicU32>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Figures {
    /// Counts one event.
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection, now and for as long as it is open.
    pub(crate) fn connection(&self) -> OpenConnection {
        Self::count(&self.connections);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(&self.open))
    }

    /// The gets of each bucket of time.
    pub(crate) fn gets_by_time(&self) -> [u64; GETS_BUCKETS] {
        std::array::from_fn(|bucket| self.gets_by_time[bucket].load(Ordering::Relaxed))
    }

    /// How many connections are open.
    pub(crate) fn connections_open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Records how long a request took until its answer began.
    pub(crate) fn request(&self, operation: Operation, status: u16, took: Duration) {
        Self::count(&self.requests);
        if operation == Operation::Get && matches!(status, 200 | 206) {
            let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.gets_us.fetch_add(took_us, Ordering::Relaxed);
            let is_in = |bucket: &usize| gets_bucket_us_max(*bucket).is_none_or(|end_us| took_us < end_us);
            if let Some(bucket) = (0..GETS_BUCKETS).find(is_in) {
                Self::count(&self.gets_by_time[bucket]);
            }
        }
        self.durations.get_or_create(&RequestLabels { operation, status }).observe(took.as_secs_f64());
    }
}

/// Writes all figures.
///
/// # Errors
///
/// Never, as far as a string can grow.
pub(crate) fn metrics_text(app: &App) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("imbrex_drive");
    registry.register_with_unit(
        "request_duration",
        "Time from a request's head to its answer's",
        Unit::Seconds,
        app.figures.durations.clone(),
    );
    register_state(&mut registry, app);
    register_levels(&mut registry, app);
    register_server(&mut registry, app);
    register_engine(&mut registry, &app.engine.stats());
    let mut text = String::with_capacity(16 << 10);
    encode(&mut text, &registry)?;
    Ok(text)
}

fn register_state(registry: &mut Registry, app: &App) {
    let now = api_state(&app.state());
    let states = Family::<StateLabels, Gauge>::default();
    for state in ApiState::ALL {
        states.get_or_create(&StateLabels { state: state.as_str() }).set(i64::from(state == now));
    }
    registry.register("state", "1 for the state that the drive is in, 0 for the others", states);
}

/// What rises and falls.
fn register_levels(registry: &mut Registry, app: &App) {
    let (status, load) = (app.engine.status(), app.load());
    let mut plain =
        |name: &str, help: &str, value: u64| registry.register(name, help, ConstGauge::new(value));
    plain("connections_open", "Open connections", u64::from(load.connections));
    plain("uploads_waiting", "Requests that wait for memory", u64::from(load.uploads_waiting));
    plain("damaged_blocks", "Blocks known to be damaged", status.damaged_blocks);
    plain(
        "slow",
        "1 where the drive is many times slower than it was",
        status.slow_since_unix_s.map_or(0, |_| 1),
    );
    plain(
        "unknown_zones",
        "Zones that cannot be read and may hold blocks that nothing else tells of",
        u64::from(status.unknown_zones),
    );
    if is_mounted(&status.state) {
        plain("blocks", "Blocks that can be read", status.blocks);
        plain("blocks_max", "Blocks that the index holds at most", status.blocks_max);
    }
    let mut bytes = |name: &str, help: &str, value: u64| {
        registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(value));
    };
    bytes("capacity", "Size of the drive", app.engine.geometry().device_bytes);
    bytes("memory", "Memory that the engine took at start", status.memory_bytes);
    bytes("buffers", "All buffers", load.buffers_bytes);
    bytes("buffers_free", "Buffers that nobody uses", load.buffers_free_bytes);
    if is_mounted(&status.state) {
        bytes("live", "Stored blocks that can be read", status.live_bytes);
        bytes("dead", "Deleted blocks whose zone has not been reclaimed", status.dead_bytes);
        bytes("free", "Room for new blocks", status.free_bytes);
    }
}

fn register_server(registry: &mut Registry, app: &App) {
    let figures = &app.figures;
    for (name, help, counter) in [
        ("connections", "Connections taken", &figures.connections),
        ("connections_refused", "Connections refused for their number", &figures.connections_refused),
        ("uploads_broken_off", "Uploads that ended before their body was whole", &figures.uploads_broken_off),
        ("stalled", "Requests cut off because the client sent or took nothing", &figures.stalled),
        (
            "overloaded",
            "Requests refused because a queue or the memory was full",
            &figures.refused_overloaded,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(counter.load(Ordering::Relaxed)));
    }
}

fn register_engine(registry: &mut Registry, stats: &Stats) {
    for (name, help, value) in [
        ("puts", "Puts that stored a block", stats.puts),
        ("puts_already_stored", "Puts that found the same bytes", stats.puts_already_stored),
        ("gets", "Gets that gave a block", stats.gets),
        ("gets_absent", "Gets and heads of an absent key", stats.gets_absent),
        ("deletes", "Deletions", stats.deletes),
        ("engine_overloaded", "Attempts that the engine refused as overloaded", stats.refused_overloaded),
        ("cancelled", "Requests whose client had gone before the disk", stats.cancelled),
        ("groups", "Groups of records committed", stats.groups),
        ("flushes", "Flushes that the drive completed", stats.flushes),
        ("device_reads", "Reads of the device for requests", stats.device_reads),
        ("device_writes", "Writes to the device", stats.device_writes),
        ("index_false_matches", "Reads that found another key", stats.index_false_matches),
        ("checksum_failures", "Records that failed their checksum", stats.checksum_failures),
        ("read_errors", "Reads that the drive failed", stats.read_errors),
        ("write_errors", "Writes that the drive failed", stats.write_errors),
        ("flush_errors", "Flushes that the drive failed", stats.flush_errors),
        ("reset_errors", "Resets of zones that the drive failed", stats.reset_errors),
        ("slowdowns", "How often the drive has become many times slower than it was", stats.slowdowns),
        ("zones_sealed", "Zones sealed with a footer", stats.zones_sealed),
        ("zones_fenced", "Zones closed because a write or a flush has failed", stats.zones_fenced),
        ("rewritten_blocks", "Blocks written elsewhere after such a failure", stats.rewritten_blocks),
        ("zones_reclaimed", "Zones that reclaim has emptied", stats.zones_reclaimed),
        ("zones_reset", "Zones that were reset", stats.zones_reset),
        ("resets_refused", "Resets that the referee has refused", stats.resets_refused),
        ("moved_blocks", "Blocks that reclaim has moved", stats.moved_blocks),
        ("carried_tombstones", "Tombstones that reclaim has carried on", stats.carried_tombstones),
        ("checkpoints", "Checkpoints of the index completed", stats.checkpoints),
        ("checkpoints_failed", "Checkpoints given up", stats.checkpoints_failed),
        ("slots_moved", "Changes of the zones for checkpoints", stats.slots_moved),
        ("labels_renewed", "Labels that the mount has written anew", stats.labels_renewed),
        ("scrubbed_records", "Records that the scrub has read", stats.scrubbed_records),
        ("scrub_errors", "What the scrub has found damaged", stats.scrub_errors),
        (
            "scrub_structure_errors",
            "Headers, footers, commits, tombstones, labels and checkpoints that the scrub has found damaged",
            stats.scrub_structure_errors,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(value));
    }
    for (name, help, value) in [
        ("device_read", "Bytes read from the device for requests", stats.device_read_bytes),
        ("device_written", "Bytes written to the device, headers included", stats.device_written_bytes),
        ("payload_written", "Bytes of blocks stored", stats.payload_written_bytes),
        ("payload_read", "Bytes of blocks given back", stats.payload_read_bytes),
        ("moved", "Bytes of records that reclaim has moved", stats.moved_bytes),
        ("reclaim_read", "Bytes that reclaim has read", stats.reclaim_read_bytes),
        ("checkpoint_written", "Bytes written for checkpoints", stats.checkpoint_bytes),
        ("scrubbed", "Bytes that the scrub has read", stats.scrubbed_bytes),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, ConstCounter::new(value));
    }
}
