//! The command line.

mod slot;
mod target;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::key::Key;

pub(crate) use slot::{History, HistoryOrder, Slot};
pub(crate) use target::Target;

/// Most transfers at a time, whatever is asked for: each holds a block in memory.
const JOBS_MAX: u16 = 256;

const AFTER_HELP: &str = "\
Examples:
  # Try it without any node: a simulated drive, then a file there and back
  imbrex-drive --simulated /tmp/disk --size 4GiB --listen 127.0.0.1:7500 &
  imbrexctl --drive http://127.0.0.1:7500 put README.md
  imbrexctl --drive http://127.0.0.1:7500 get KEY -o copy.md

  # A node: its console shows the address and the fingerprint
  export IMBREX_NODE=https://10.0.0.7:7400 IMBREX_FINGERPRINT=SHA256:AA:BB:...
  imbrexctl drives
  imbrexctl health
  imbrexctl format --all-new
  imbrexctl put /srv/photos
  imbrexctl verify KEY --against /srv/photos

Exit status:
  0    all was done
  1    something failed; standard error says what, one sentence a line
  2    the arguments were wrong; nothing was done
  130  interrupted by Ctrl-C; no partial output is left";

/// Manage an Imbrex node, and store files on its drives.
///
/// A node is known by the fingerprint of its certificate, which it makes at each boot and shows on its console:
/// give it with --fingerprint. Files are stored as blocks whose key is the SHA-256 of their bytes; put prints the
/// key that get, ls, verify and rm take.
#[derive(Debug, Parser)]
#[command(name = "imbrexctl", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) transfer: Transfer,
    /// Print one JSON object for programs instead of tables, and no progress.
    #[arg(long, global = true, help_heading = "Options")]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to move blocks.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "How to move blocks")]
pub(crate) struct Transfer {
    /// Blocks in flight at a time, in all; each takes up to 4 MiB of memory.
    #[arg(long, global = true, value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(JOBS_MAX)))]
    pub(crate) jobs: u16,
    /// Requests in flight at a time for one drive.
    #[arg(long, global = true, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=i64::from(JOBS_MAX)))]
    pub(crate) jobs_per_drive: u16,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the node: its state, how it booted, its memory
    Node,
    /// Show the drives, or one drive in detail
    Drives {
        /// A drive's ID, from the first column of the list.
        id: Option<String>,
    },
    /// Show what the node runs, and why something does not
    Services,
    /// Start services that stay down, and forget their failures
    Clear {
        /// Services, from the first column of imbrexctl services.
        #[arg(required = true, value_name = "SERVICE")]
        services: Vec<String>,
    },
    Health(Health),
    History(History),
    Slot(Slot),
    Format(Format),
    Put(Put),
    Get(Get),
    Ls(Ls),
    Rm(Rm),
    Scrub(Scrub),
    Verify(Verify),
    /// Print a script that completes imbrexctl's arguments in a shell
    #[command(
        after_help = "Example:\n  imbrexctl completions bash > ~/.local/share/bash-completion/completions/imbrexctl"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Show how the drives are, or how one is, how that is known, and what to do now
///
/// The answer stands first: the worst level, and of each drive the one thing to do next. Of one drive the verdict on
/// each axis and the evidence for it follow. What nobody knows is "unknown": never healthy, and never failing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl health
  imbrexctl health eui.00000000000000a1
  imbrexctl health eui.00000000000000a1 --ask
  imbrexctl --json health | jq -r '.drives[] | select(.level == \"failing\") | .id'")]
pub(crate) struct Health {
    /// The drive's ID, from the first column; without it, every drive in short.
    pub(crate) drive: Option<String>,
    /// Have the drive asked now, and wait for what it tells. It is never woken for that.
    #[arg(long, requires = "drive")]
    pub(crate) ask: bool,
    /// As --ask, with the drive's logs, which takes longer.
    #[arg(long, requires = "drive")]
    pub(crate) full: bool,
}

/// Format a drive, which destroys everything on it
///
/// The drive's serial is the proof that this drive is meant. A drive that holds data is refused unless --replace
/// says what is to be destroyed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl format eui.00000000000000a1 --serial IMBREX-1
  imbrexctl format eui.00000000000000a1 --serial IMBREX-1 --replace 9f0c...32 digits
  imbrexctl format --all-new --yes")]
pub(crate) struct Format {
    /// The drive's ID, from the first column of imbrexctl drives.
    #[arg(required_unless_present = "all_new", conflicts_with = "all_new")]
    pub(crate) drive: Option<String>,
    /// Its serial number, as imbrexctl drives shows it (its ID where it tells none).
    #[arg(long, value_name = "SERIAL", conflicts_with = "all_new", required_unless_present = "all_new")]
    pub(crate) serial: Option<String>,
    /// Destroy the data that it holds: its present drive id, or the word "foreign" where it is not Imbrex's.
    #[arg(long, value_name = "DRIVE_ID|foreign", conflicts_with = "all_new")]
    pub(crate) replace: Option<String>,
    /// How many blocks the drive's index is to hold; each costs memory on the node. Without it, one for each MiB of
    /// the drive, and at least 65,536.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) blocks_max: Option<u64>,
    /// Format every drive that is empty, after listing them and asking.
    #[arg(long)]
    pub(crate) all_new: bool,
    /// Do not ask.
    #[arg(long, conflicts_with = "drive")]
    pub(crate) yes: bool,
}

/// Store files and directories, and print their keys
///
/// A file of up to 4 MiB is one block; a larger one is cut into blocks of 4 MiB under a manifest; a directory is a
/// manifest of all that lies in it. The same content has the same key, and is stored once. What cannot be read, or
/// changes while it is read, is left out and told; the rest is stored, and the exit status is 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl put backup.tar photos/
  imbrexctl --json put backup.tar | jq -r '.items[0].key'")]
pub(crate) struct Put {
    /// Files and directories; links among them are followed, links inside a directory are kept as links.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Fetch what a key names
///
/// Every block is checked against its key before a byte of it is written. Output goes to a temporary name beside its
/// place and is renamed when it is whole. The set-user-id and set-group-id bits of a tree's files are not restored.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl get KEY -o backup.tar
  imbrexctl get KEY | tar t
  imbrexctl get KEY -o restored/")]
pub(crate) struct Get {
    /// The key that put printed.
    pub(crate) key: Key,
    /// Where to write: a file, or for a tree a directory that does not exist or is empty. Without it a file goes to
    /// standard output.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output file if there is one.
    #[arg(short, long, requires = "output")]
    pub(crate) force: bool,
}

/// List the blocks on the drives, or what a key names
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl ls
  imbrexctl ls KEY")]
pub(crate) struct Ls {
    /// A key that put printed: lists the tree or the blocks under it.
    pub(crate) key: Option<Key>,
    /// Stop after this many blocks.
    #[arg(long, value_name = "N", conflicts_with = "key")]
    pub(crate) limit: Option<u64>,
}

/// Delete blocks from every drive that holds them
///
/// Without --recursive only the block with that very key goes: that of a manifest leaves the blocks that it names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl rm --recursive KEY")]
pub(crate) struct Rm {
    /// Keys that put printed.
    #[arg(required = true, value_name = "KEY")]
    pub(crate) keys: Vec<Key>,
    /// Delete everything that a manifest names, too. WARNING: equal content is stored once, so that blocks which
    /// other manifests name as well go for them too.
    #[arg(short, long)]
    pub(crate) recursive: bool,
}

/// Show how far the drives are with reading and checking every block
///
/// A drive reads every block within its period by itself, whenever nobody else needs the disk. The table shows the
/// zones in which blocks live, how many of them were read, how many are due, and when the one that has waited longest
/// was read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl scrub
  imbrexctl scrub eui.00000000000000a1 --start")]
pub(crate) struct Scrub {
    /// The drive's ID, from the first column of imbrexctl drives; without it, every drive that serves.
    pub(crate) drive: Option<String>,
    /// Begin a full pass now.
    #[arg(long)]
    pub(crate) start: bool,
}

/// Read back everything under a key and check it
///
/// Every block is read and its SHA-256 compared with its key. With --against, names, kinds, bytes and the targets of
/// links are compared with a local file or directory as well; modes and times are not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  imbrexctl verify KEY
  imbrexctl verify KEY --against photos/")]
pub(crate) struct Verify {
    /// The key that put printed.
    pub(crate) key: Key,
    /// A local file or directory that must be the same.
    #[arg(long, value_name = "PATH")]
    pub(crate) against: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Options, String> {
        let words = ["imbrexctl"].into_iter().chain(line.split_whitespace());
        Options::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn plain_http_to_another_machine_is_refused() {
        let options = parse("--node http://10.0.0.1:7400 drives").unwrap();
        assert!(options.target.node().unwrap_err().to_string().contains("https://10.0.0.1:7400"));
        let options = parse("--node http://127.0.0.1:7400 drives").unwrap();
        assert!(options.target.node().is_ok());
    }

    #[test]
    fn a_format_names_one_drive_and_its_serial_or_all_new_ones() {
        for line in ["format d --serial s", "format d --serial s --replace foreign", "format --all-new --yes"]
        {
            assert!(parse(line).is_ok(), "{line}");
        }
        for line in [
            "format",
            "format d",
            "format --serial s",
            "format d --all-new",
            "format --all-new --replace foreign",
            "format d --serial s --yes",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_key_of_63_digits_is_refused_with_the_reason() {
        let reason = parse(&format!("get {}", "a".repeat(63))).unwrap_err();
        assert!(reason.contains("64 hexadecimal digits"), "{reason}");
    }

    #[test]
    fn a_drive_is_named_by_plain_http_with_a_port() {
        for (url, word) in [("https://h:1", "plain HTTP"), ("http://h", "port"), ("h:1", "http://")] {
            let options = parse(&format!("--drive {url} ls")).unwrap();
            let reason = options.target.drives().unwrap_err().to_string();
            assert!(reason.contains(word), "{reason}");
        }
    }
}
