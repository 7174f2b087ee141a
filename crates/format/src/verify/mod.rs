//! The verifier: reads a drive from its labels to its checkpoints, and says whether what stands there is true.
//!
//! It is written from FORMAT.md and shares no code with the engine that wrote the drive, save the structures themselves.
//! It needs no daemon, writes nothing, and runs while nothing serves the drive.
//!
//! What it finds is of two kinds. *Damage*: something cannot be read, or its checksum is wrong; disks do that. A *lie*: two
//! structures that both check out contradict each other; only a program that is wrong does that, or a drive that loses
//! writes. What follows from damage is not called a lie.
//!
//! Of what is not there any more some can have gone in order and leave nothing that tells so: that is called neither sound
//! nor damaged, but *unsure*, zone by zone. And what can leave no trace at all is said to be beyond what can be told.
//!
//! Invariants:
//!
//! * Every structure is believed only after its checksum, and compared with each other one that says the same.
//! * Memory is bounded by [`VerifyOptions::memory_bytes_max`]; a drive that needs more is refused, not half verified.

mod cell_map;
mod checkpoint;
mod claims;
mod compare;
mod ended;
pub mod finding;
mod findings;
mod footer;
mod gone;
mod group;
mod labels;
mod ledger;
mod life;
mod pending;
mod reader;
mod replay;
pub mod report;
mod slot;
mod survey;
mod walk;
mod zones;

use std::fmt;

use imbrex_zoned::DeviceError;
use imbrex_zoned::read_only::ReadOnlyDrive;

pub use finding::{Finding, FindingKind};
pub use report::{Report, Verdict};

use crate::error::LabelError;
use crate::unit::UNIT_BYTES;
use findings::Halt;
use survey::Survey;

/// How a drive is to be verified.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions {
    /// Whether every chunk of every block is read and checked too.
    pub payloads: bool,
    /// Only this zone; what only the whole drive can show is left out then.
    pub zone: Option<u32>,
    /// Whether to go on after the first lie.
    pub all: bool,
    /// The most memory that is taken for what is gathered of the drive, in bytes; buffers of 34 MiB come on top.
    pub memory_bytes_max: u64,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { payloads: false, zone: None, all: false, memory_bytes_max: 2 << 30 }
    }
}

/// Why a drive was not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// Neither a label nor a zone header stands on it.
    NotFormatted,
    /// It was formatted by another version.
    OtherVersion(LabelError),
    /// It is written in units that this version does not have, or it is too large for it.
    Unsupported {
        /// What is in the way, as a sentence.
        what: String,
    },
    /// There is no such zone.
    NoSuchZone {
        /// The zone that was asked for.
        zone: u32,
        /// How many there are.
        zone_count: u32,
    },
    /// More memory would be needed than was allowed.
    Memory {
        /// How much was allowed, in bytes.
        memory_bytes_max: u64,
    },
    /// The drive itself failed, and not one place on it.
    Device(DeviceError),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFormatted => {
                f.write_str("it holds no Imbrex drive: neither a label nor a zone header stands on it")
            }
            Self::OtherVersion(error) => write!(f, "{error}"),
            Self::Unsupported { what } => write!(f, "it cannot be verified: {what}"),
            Self::NoSuchZone { zone, zone_count } => {
                write!(f, "it has no zone {zone}: its {zone_count} zones are numbered from 0")
            }
            Self::Memory { memory_bytes_max } => write!(
                f,
                "verifying it takes more memory than the {} MiB that are allowed: give --memory-mib more",
                memory_bytes_max >> 20
            ),
            Self::Device(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for VerifyError {}

/// Verifies a drive.
///
/// # Errors
///
/// Where there is no drive to verify, where the drive itself fails, and where memory would not do. What is wrong with
/// what stands on the drive is in the report.
pub fn verify(drive: &mut dyn ReadOnlyDrive, options: &VerifyOptions) -> Result<Report, VerifyError> {
    let geometry = drive.geometry().clone();
    if let Some(zone) = options.zone.filter(|zone| *zone >= geometry.zone_count) {
        return Err(VerifyError::NoSuchZone { zone, zone_count: geometry.zone_count });
    }
    let zone_units = geometry.zone_size_bytes / UNIT_BYTES as u64;
    if !UNIT_BYTES.is_multiple_of(geometry.write_unit_bytes as usize) || u32::try_from(zone_units).is_err() {
        let what = format!("this version does not write units of {} bytes", geometry.write_unit_bytes);
        return Err(VerifyError::Unsupported { what });
    }
    let mut survey = Survey::new(drive, options);
    match survey.run() {
        Ok(()) => Ok(survey.report(true)),
        Err(Halt::FirstLie) => Ok(survey.report(false)),
        Err(Halt::Refused(error)) => Err(error),
    }
}
