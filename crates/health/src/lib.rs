//! Drive health: evidence in, verdict out.
//!
//! - [`History`] keeps what was observed of one drive, bounded, under its WWN and serial.
//! - [`judge`] says what that comes to: a [`Verdict`] with a level for each axis, the evidence, one action.
//! - [`node::judge_node`] looks at all drives of a node at once: what they have in common, and whether one of them may
//!   be drained.
//! - [`notes`] is what is known of models and firmware.
//!
//! Nothing here asks a drive, reads a clock or acts: the same history gives the same verdict, so that what a rule
//! would have said can be replayed.

#![forbid(unsafe_code)]

mod action;
mod asleep;
mod cleared;
mod clue;
mod context;
mod drive_key;
mod export;
mod happenings;
mod history;
mod history_clock;
mod history_merge;
mod identity;
mod judge;
mod kernel_event;
mod kernel_log;
mod last_report;
mod level;
mod life;
pub mod node;
pub mod notes;
mod observation;
mod reading;
pub mod replay;
mod rules;
mod saved;
mod statement;
mod verdict;

pub use action::Action;
pub use drive_key::DriveKey;
pub use export::{ExportedDrive, backblaze_csv};
pub use history::{History, READINGS_MAX};
pub use identity::{Bus, Identity};
pub use judge::{judge, judge_with, life_used_percent};
pub use kernel_event::{KernelEvent, KernelLine, parse_kernel_line};
pub use kernel_log::KernelLog;
pub use level::{Axis, Level};
pub use life::Life;
pub use observation::{EngineRecord, Finding, Latency, LifeStep, Observation, ScrubCoverage, Source};
pub use reading::{Counter, Reading};
pub use saved::judge_saved;
pub use statement::{Statement, Statements};
pub use verdict::{AxisVerdict, EVIDENCE_MAX, Evidence, Verdict};
