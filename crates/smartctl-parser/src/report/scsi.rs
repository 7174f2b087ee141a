//! What SCSI drives, SAS ones among them, say of themselves.

use serde::{Deserialize, Serialize};

use super::device::NAME_BYTES_MAX;
use crate::field::Field;

/// At most this many phys are kept: a SAS drive has two ports of one phy each.
const PHYS_MAX: usize = 16;

/// The last smartctl whose JSON gives the length of the defect list in place of its count.
const DEFECT_LENGTH_VERSION_MAX: (u32, u32) = (7, 1);

/// Bytes of one defect in the formats that today's drives answer in (SBC-4, "DEFECT LIST FORMAT": long
/// block, bytes from index, physical sector).
const DEFECT_BYTES: u64 = 8;

/// At most this many results of the background scan are looked at: the log page holds 2,048 (SBC-4).
const SCAN_RESULTS_MAX: usize = 2_048;

/// What a SCSI drive says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scsi {
    /// The drive's informational exception, if it has one: what its health status is made of.
    pub sense: Option<ScsiSense>,
    /// The grown defects.
    pub grown_defects: Option<GrownDefects>,
    /// Error counters of reading.
    pub read: Option<ErrorCounters>,
    /// Error counters of writing.
    pub write: Option<ErrorCounters>,
    /// Error counters of verifying.
    pub verify: Option<ErrorCounters>,
    /// Blocks that could not be read and wait to be written: by the drive's list of them, or by the results of its
    /// background scan, whichever names more.
    pub pending_defects: Option<u64>,
    /// How much of the expected life is used, in percent; of solid-state drives.
    pub percentage_used: Option<u64>,
    /// Error counters of the SAS link, by phy.
    pub phys: Vec<SasPhy>,
    /// Statistics of a zoned drive.
    pub zoned: Option<ZonedStatistics>,
}

/// An informational exception: a sense code (SPC-5, annex F).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScsiSense {
    /// Additional sense code.
    pub asc: u8,
    /// Additional sense code qualifier.
    pub ascq: u8,
    /// The code in words, as smartctl gives them.
    pub words: Option<String>,
}

impl ScsiSense {
    /// Whether the drive predicts its failure: code 5Dh with any qualifier but FFh, which is a drill.
    pub fn predicts_failure(&self) -> bool {
        self.asc == 0x5d && self.ascq != 0xff
    }

    /// Whether this is a warning (code 0Bh: temperature, background scan and others) and no prediction.
    pub fn is_warning(&self) -> bool {
        self.asc == 0x0b
    }
}

/// How many defects the drive has found since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrownDefects {
    /// How many.
    pub count: u64,
    /// The number in the report. smartctl up to 7.1 gives the length of the list in bytes: then the count is an eighth.
    pub reported: u64,
}

/// SCSI's error counters of one direction (SPC-5, 7.3.7), over the drive's life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCounters {
    /// Corrected without delay.
    pub corrected_fast: Option<u64>,
    /// Corrected with possible delays.
    pub corrected_delayed: Option<u64>,
    /// Corrected by reading or writing again.
    pub corrected_by_retry: Option<u64>,
    /// All that were corrected.
    pub corrected: Option<u64>,
    /// Not corrected: data that could not be read or written.
    pub uncorrected: Option<u64>,
    /// Bytes that went through, to smartctl's precision of a megabyte.
    pub processed_bytes: Option<u64>,
}

/// Error counters of one phy of a SAS link (SPL-4, "PHY ERROR LOG"), over the time since power-on or reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SasPhy {
    /// The port.
    pub port: u32,
    /// The phy.
    pub phy: u32,
    /// Words that were none.
    pub invalid_words: Option<u64>,
    /// Disparity errors.
    pub disparity_errors: Option<u64>,
    /// Losses of synchronization.
    pub synchronization_losses: Option<u64>,
    /// Failed resets.
    pub reset_problems: Option<u64>,
}

/// A zoned drive's statistics (ZBC-2). A rule that was violated is the host's fault, never the drive's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZonedStatistics {
    /// Reads that the zone model forbids.
    pub read_rule_violations: Option<u64>,
    /// Writes that the zone model forbids.
    pub write_rule_violations: Option<u64>,
}

impl Scsi {
    /// What a report says; none where it has nothing of SCSI's.
    pub(crate) fn read(report: Field<'_>, version: Option<(u32, u32)>) -> Option<Self> {
        let counters = |direction| ErrorCounters::read(report.at("scsi_error_counter_log").at(direction));
        let sense = report.at("smart_status").at("scsi");
        let scsi = Self {
            sense: sense.at("asc").small().map(|asc| ScsiSense {
                asc,
                ascq: sense.at("ascq").small().unwrap_or(0),
                words: sense.at("ie_string").owned(NAME_BYTES_MAX),
            }),
            grown_defects: report
                .at("scsi_grown_defect_list")
                .number()
                .map(|number| GrownDefects::of(number, version)),
            read: counters("read"),
            write: counters("write"),
            verify: counters("verify"),
            pending_defects: pending_defects(report),
            percentage_used: report.at("scsi_percentage_used_endurance_indicator").number(),
            phys: phys(report),
            zoned: report.at("scsi_zoned_block_device_statistics").there().map(|zoned| ZonedStatistics {
                read_rule_violations: zoned.at("read_rule_violations").number(),
                write_rule_violations: zoned.at("write_rule_violations").number(),
            }),
        };
        (scsi != Self::default()).then_some(scsi)
    }
}

impl GrownDefects {
    fn of(reported: u64, version: Option<(u32, u32)>) -> Self {
        let is_length = version.is_some_and(|version| version <= DEFECT_LENGTH_VERSION_MAX);
        // A count that was given truly may be divided here; it is never raised, and never becomes 0.
        let count = if is_length { reported.div_ceil(DEFECT_BYTES) } else { reported };
        Self { count, reported }
    }
}

impl ErrorCounters {
    fn read(log: Field<'_>) -> Option<Self> {
        let log = log.there()?;
        Some(Self {
            corrected_fast: log.wide("errors_corrected_by_eccfast"),
            corrected_delayed: log.wide("errors_corrected_by_eccdelayed"),
            corrected_by_retry: log.wide("errors_corrected_by_rereads_rewrites"),
            corrected: log.wide("total_errors_corrected"),
            uncorrected: log.wide("total_uncorrected_errors"),
            processed_bytes: log.at("gigabytes_processed").text().and_then(gigabytes),
        })
    }
}

/// Bytes of a number of gigabytes with three decimals, such as `315926.142`.
fn gigabytes(text: &str) -> Option<u64> {
    let (whole, thousandths) = text.split_once('.').unwrap_or((text, "0"));
    let thousandths: u64 = format!("{thousandths:0<3}").get(..3)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)?.checked_mul(1_000_000)
}

fn pending_defects(report: Field<'_>) -> Option<u64> {
    let listed = report.at("scsi_pending_defects").at("count").number();
    let scan = report.at("scsi_background_scan").there();
    let found = scan.map(|scan| {
        let results = scan.numbered("result_", SCAN_RESULTS_MAX).into_iter();
        results.filter(|(_, result)| is_unreadable_still(*result)).count() as u64
    });
    listed.max(found)
}

/// Whether a result of the background scan (SBC-4, "Background scan results log page") is a block that could not be read
/// (sense key 3, or 4: SPC-5) and was neither written nor given another place since.
fn is_unreadable_still(result: Field<'_>) -> bool {
    let unreadable = matches!(result.at("sense_key").at("value").number(), Some(3 | 4));
    // 2 and 6 to 7: reassigned; 5: rewritten in place.
    let mended = matches!(result.at("reassign_status").at("value").number(), Some(2 | 5..=7));
    unreadable && !mended
}

fn phys(report: Field<'_>) -> Vec<SasPhy> {
    let ports = report.numbered("scsi_sas_port_", PHYS_MAX);
    let phys = ports.into_iter().flat_map(|(port, ports)| {
        ports.numbered("phy_", PHYS_MAX).into_iter().map(move |(phy, counters)| SasPhy {
            port,
            phy,
            invalid_words: counters.at("invalid_dword_count").number(),
            disparity_errors: counters.at("running_disparity_error_count").number(),
            synchronization_losses: counters.at("loss_of_dword_synchronization_count").number(),
            reset_problems: counters.at("phy_reset_problem_count").number(),
        })
    });
    phys.take(PHYS_MAX).collect()
}
