//! What a disk is made of, in numbers. Each has a physical meaning, and says whence it comes.

/// A disk: its shape, its mechanics, its electronics.
///
/// "Table" means the published runs that [`crate::simulated::disk::PUBLISHED`] lists. "Fitted" means chosen so that the
/// model agrees with the table; nothing else was fitted.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskParameters {
    /// What the parameters describe, for people.
    pub name: &'static str,
    /// The size of the drive in bytes.
    pub device_bytes: u64,
    /// Turns of the platters in a minute.
    pub turns_per_minute: u32,
    /// The rate of the outermost tracks in bytes per second, the changes from track to track included.
    pub outer_bytes_per_s: f64,
    /// The length of the innermost track over that of the outermost. The linear density is the same on both, so
    /// that this is also the ratio of their rates.
    pub inner_to_outer: f64,
    /// The shortest seek that leaves its track, in microseconds: the head settles, and a margin lets it come in time.
    pub seek_short_us: f64,
    /// The mean of the seeks between two random places, in microseconds.
    pub seek_mean_us: f64,
    /// The seek from the outermost track to the innermost, in microseconds.
    pub seek_full_us: f64,
    /// How much longer than a read a write takes to begin after a seek, in microseconds: the head must stand more
    /// exactly, the more so over shingled tracks.
    pub write_settle_us: f64,
    /// How much written data the drive holds in memory that is not on the medium yet, in bytes.
    pub cache_bytes: u64,
    /// Whether a write completes once it is in that memory; else once it is on the medium.
    pub write_cache: bool,
    /// How far the drive reads on behind a read while it has nothing else to do, in bytes.
    pub read_ahead_bytes: u64,
    /// The rate of the cable in bytes per second.
    pub link_bytes_per_s: f64,
    /// How long a command occupies the cable and the electronics beside its bytes, in microseconds.
    pub command_us: f64,
    /// How long a write that does not follow on the one before it occupies the cable and the electronics at least, in
    /// microseconds: they find its zone while its bytes cross.
    pub write_elsewhere_us: f64,
    /// How fast the drive makes the fill that reads beyond a write pointer get, in bytes per second, before it crosses
    /// the cable.
    pub fill_bytes_per_s: f64,
    /// How many commands the drive holds at once; the host keeps the others.
    pub queue_depth: usize,
    /// Whether a flush runs alone, as the ATA commands that cannot be queued do: what came before it ends first, and
    /// what comes behind it waits for its end.
    pub flush_alone: bool,
    /// An order to a zone (open, close, finish, reset), in microseconds.
    pub zone_order_us: f64,
    /// One zone's entry in a report of zones, in microseconds.
    pub report_zone_us: f64,
    /// After how long a read goes before any shorter access, and so does a write that completes on the medium; and after how
    /// long written data goes before reads; in microseconds.
    pub wait_max_us: f64,
}

impl DiskParameters {
    /// The drive of the table: 15 TB, SATA, host-managed, 55,880 zones of 256 MiB.
    #[must_use]
    pub fn published_15_tb() -> Self {
        Self {
            name: "15 TB host-managed SATA drive of the table",
            // zbc_report_zones, beside the table: 29,297,213,440 sectors of 512 bytes.
            device_bytes: 29_297_213_440 * 512,
            // The class of the drive.
            turns_per_minute: 7200,
            // Fitted to the sequential runs, which lie 1 % inwards.
            outer_bytes_per_s: 249.0e6,
            // The table's own note: outer tracks are about twice as fast.
            inner_to_outer: 0.5,
            // Fitted to the random reads. A specification (HC310) says 0.23 ms from one track to the next; but the arm of
            // the model knows the angle of every place exactly, and a real one has to keep a margin.
            seek_short_us: 2500.0,
            // The table's own note: a typical seek takes 8.2 ms. So do the specifications (7K4000: 8.2 ms).
            seek_mean_us: 8200.0,
            // The class of the drive; with the mean it gives the curve its bend.
            seek_full_us: 15_000.0,
            // The same specification: 0.32 ms to write for 0.23 to read.
            write_settle_us: 90.0,
            // Fitted to the four streams and the random writes.
            cache_bytes: 24 << 20,
            write_cache: true,
            // One track, about.
            read_ahead_bytes: 2 << 20,
            // SATA at 6 Gb/s: 600 MB/s after 8b/10b, less the frames around each 8 KiB and their answers.
            link_bytes_per_s: 550.0e6,
            // The fastest write of the table's four streams: 512 KiB in 992 us.
            command_us: 39.0,
            // The first 4 KiB of a zone, written into an empty cache of such a drive: 441 us, and 452 in another run
            // (documentation of zonefs, and its author's letter of 2020-01-15).
            write_elsewhere_us: 441.0,
            // Fitted to the reads beyond the pointer.
            fill_bytes_per_s: 1.37e9,
            // The limit of ATA's native command queueing.
            queue_depth: 32,
            // FLUSH CACHE EXT is not queued in ATA.
            flush_alone: true,
            // Four resets cost nothing that can be seen in a run of 4.3 s: about a command.
            zone_order_us: 1000.0,
            // 30 TB, 111,760 zones: 4.7 s with a report from the drive, under 2 s without, so 2.7 s at least.
            report_zone_us: 24.2,
            // The longest of the table's random reads took 1.54 s.
            wait_max_us: 1.5e6,
        }
    }

    /// A 20 TB drive of the next generation: 74,508 zones of 256 MiB. Derived, not fitted: nothing is published of it
    /// that the model could be held against.
    ///
    /// The mechanics, the electronics and the cache are those of the 15 TB drive. The rate of its outermost tracks lies
    /// between that drive's and the 269.5 MB/s that the data sheet of a 32 TB drive (HC690) promises, by the density
    /// of a surface: they have 8, 9 and 11 platters. With greater density come more tracks, mostly, and a little more
    /// in each.
    #[must_use]
    pub fn derived_20_tb() -> Self {
        let base = Self::published_15_tb();
        let device_bytes = 74_508 * (256 << 20);
        let density = |bytes: f64, platters: f64| bytes / platters / (as_float(base.device_bytes) / 8.0);
        let exponent = (269.5e6 / base.outer_bytes_per_s).ln() / density(32.0e12, 11.0).ln();
        let faster = density(as_float(device_bytes), 9.0).powf(exponent);
        Self {
            name: "20 TB host-managed SATA drive, derived from the 15 TB one",
            device_bytes,
            outer_bytes_per_s: base.outer_bytes_per_s * faster,
            ..base
        }
    }
}

/// A number of bytes, or of nanoseconds, for arithmetic: exact up to 2^53, which is 104 days or 9 PB.
#[expect(clippy::cast_precision_loss, reason = "no drive and no simulation is that long")]
pub(crate) fn as_float(number: u64) -> f64 {
    number as f64
}

/// The whole number nearest to `number`; 0 for what is below.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and nothing here comes near to its limits"
)]
pub(crate) fn as_whole(number: f64) -> u64 {
    number.round() as u64
}
