//! A drive's slot and its history.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Show in which slot a drive sits, and turn its lights on or off
///
/// The slot of a drive that is missing is the one in which it sat last, as long as no other drive sits in it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl slot eui.00000000000000a1
  imbrexctl slot eui.00000000000000a1 --locate on
  imbrexctl slot eui.00000000000000a1 --locate off --fault on")]
pub(crate) struct Slot {
    /// The drive's ID, from the first column of imbrexctl drives.
    pub(crate) drive: String,
    /// The light that shows a person the drive.
    #[arg(long, value_name = "on|off", value_parser = switch())]
    pub(crate) locate: Option<bool>,
    /// The light that says "faulty".
    #[arg(long, value_name = "on|off", value_parser = switch())]
    pub(crate) fault: Option<bool>,
}

fn switch() -> impl clap::builder::TypedValueParser<Value = bool> {
    use clap::builder::TypedValueParser as _;
    clap::builder::PossibleValuesParser::new(["on", "off"]).map(|word| word == "on")
}

/// Keep the drives' histories beyond the node's next boot, or give them back
///
/// A node that boots from memory forgets what it recorded of its drives: what it saw go wrong, which drive was given up
/// or cleared. Save it before the node is booted, and restore it after. To restore twice changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl history save node7/
  imbrexctl history restore node7/")]
pub(crate) struct History {
    #[command(subcommand)]
    pub(crate) order: HistoryOrder,
}

/// What to do with histories.
#[derive(Debug, Subcommand)]
pub(crate) enum HistoryOrder {
    /// Write each drive's history to a file of the directory, named after the drive's ID
    Save {
        /// The directory; it is made where there is none.
        directory: PathBuf,
    },
    /// Give each drive of the node its history from the directory, where there is one
    Restore {
        /// The directory.
        directory: PathBuf,
    },
}
