//! How much is written, read and simulated: enough for a steady figure, and bounded in time.

/// The sizes of one run.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// How often two things that are compared run in turn.
    pub repetitions: usize,
    /// Bytes that one run of the engine or of fio writes at a hard disk's rate.
    pub ingest_bytes_at_hard_disk_rate: u64,
    /// Bytes that one run writes on the disk as it is.
    pub ingest_bytes: u64,
    /// GETs of present keys, and as many of absent ones.
    pub gets: u64,
    /// The block sizes of the comparison, in bytes.
    pub comparison_block_bytes: Vec<u64>,
    /// The disk that each contender gets, in bytes.
    pub comparison_disk_bytes: u64,
    /// How long a phase of the comparison lasts at most, in seconds.
    pub comparison_phase_s: f64,
    /// Whether the comparison goes on with an aged disk.
    pub comparison_aged: bool,
    /// Bytes that the drive's process is given over loopback, for each block size.
    pub loopback_bytes: u64,
    /// Zones of the drive in memory on which write amplification is counted; each holds 60 blocks.
    pub churn_zones: u32,
    /// How often all that is live is replaced there before its steady state is taken.
    pub churn_turnovers: f64,
    /// The drive whose mounts are timed, in bytes.
    pub mounted_drive_bytes: u64,
    /// Bytes stored between the checkpoint and the crash of the mount after a crash, at most.
    pub mounted_tail_bytes: u64,
    /// Bytes of a simulated ingest.
    pub simulated_ingest_bytes: u64,
    /// Seconds of simulated time for each side of a comparison under load.
    pub simulated_load_s: u64,
}

impl Sizes {
    /// The default: some 25 minutes after the programs are built.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            repetitions: 3,
            ingest_bytes_at_hard_disk_rate: 1500 << 20,
            ingest_bytes: 2 << 30,
            gets: 1000,
            comparison_block_bytes: vec![64 << 10, 1 << 20, 4 << 20],
            comparison_disk_bytes: 8 << 30,
            comparison_phase_s: 2.0,
            comparison_aged: true,
            loopback_bytes: 2 << 30,
            churn_zones: 1024,
            churn_turnovers: 4.0,
            mounted_drive_bytes: 20_000_000_000_000,
            mounted_tail_bytes: 32 << 30,
            simulated_ingest_bytes: 8 << 30,
            simulated_load_s: 300,
        }
    }

    /// Five minutes or so: fewer repetitions and smaller sizes, and nothing left out but two block sizes of the
    /// comparison.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            repetitions: 1,
            ingest_bytes_at_hard_disk_rate: 750 << 20,
            ingest_bytes: 1 << 30,
            gets: 200,
            comparison_block_bytes: vec![1 << 20],
            comparison_disk_bytes: 2 << 30,
            comparison_phase_s: 0.7,
            comparison_aged: true,
            loopback_bytes: 512 << 20,
            churn_zones: 256,
            churn_turnovers: 3.0,
            mounted_drive_bytes: 20_000_000_000_000,
            mounted_tail_bytes: 8 << 30,
            simulated_ingest_bytes: 2 << 30,
            simulated_load_s: 100,
        }
    }
}
