//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};
use imbrex_zoned::Backend;

use crate::duration::{duration_text, parse_duration};
use crate::limits::ENGINE_BYTES;
use crate::size::{parse_size_bytes, size_text};

/// The least `--memory`: what the engine keeps to itself, and room for two blocks of the largest size (16 MiB and the
/// units of their headers), one on its way in and one on its way out. What the engine keeps lies somewhere in the middle
/// and cuts the rest in two: only where there is room for three do two certainly fit.
const MEMORY_BYTES_MIN: u64 = ENGINE_BYTES as u64 + (49 << 20);
/// The size of a simulated zone where none is given.
pub const ZONE_SIZE_BYTES: u64 = 64 << 20;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

const AFTER_HELP: &str = "\
Exit status:
   0  stopped in order
  64  the command line is wrong
  65  the drive or file is not what it should be: no simulated drive, of another size, not host-managed
  66  there is no such device or directory
  69  the address is in use or cannot be listened on
  70  the drive did not finish in time when it was stopped; what was acknowledged is durable
  71  the operating system refused something else
  73  the simulated drive or the socket cannot be made, or the drive cannot be formatted
  74  the device could not be opened, or its zones not be read
  75  another process has the drive or the socket
  77  permission was denied

A drive that is unformatted, foreign, incompatible or failed is served in that state.";

/// Serves the blocks of one host-managed zoned drive over HTTP.
#[derive(Clone, Debug, Parser)]
#[command(name = "imbrex-drive", version, after_help = AFTER_HELP)]
pub struct Options {
    /// Which drive.
    #[command(flatten)]
    pub drive: DriveOptions,

    /// The drive's name on its node; where absent its WWN, else its serial, else its kernel name
    #[arg(long)]
    pub id: Option<String>,

    /// Where to serve the data API over TCP; [::] is every address, IPv6 and IPv4
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present = "socket")]
    pub listen: Option<SocketAddr>,

    /// Where to serve it over a Unix socket, which takes the format order too
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// The size of all buffers together: what is on its way in or out
    #[arg(long, value_name = "SIZE", default_value = "96MiB", value_parser = parse_memory_bytes)]
    pub memory: u64,

    /// How many blocks the index is to hold; used when the drive is formatted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub blocks_max: Option<u64>,

    /// The size of a drive file that does not exist yet
    #[arg(long, value_name = "SIZE", conflicts_with = "device", value_parser = parse_size_bytes)]
    pub size: Option<u64>,

    /// The size of its zones: 64MiB where absent
    #[arg(long, value_name = "SIZE", conflicts_with = "device", value_parser = parse_size_bytes)]
    pub zone_size: Option<u64>,

    /// How long a zone in which nothing lives any more rests before it is reset
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_trash_rest)]
    pub trash_rest: Duration,

    /// Within which time every block is read and checked once
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = parse_scrub_period)]
    pub scrub_period: Duration,

    /// How long a request may wait for the disk, or a put for room, before it is answered 503
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_deadline)]
    pub deadline: Duration,

    /// After how much written the index is checkpointed: a start after a crash reads that much of the log at most
    #[arg(long, value_name = "SIZE", default_value = "32GiB", value_parser = parse_checkpoint_bytes)]
    pub checkpoint_every: u64,

    /// By what means the drive is reached; `tokio-uring` is there for comparison
    #[cfg(feature = "tokio-uring")]
    #[arg(long, value_enum, default_value = "ring")]
    pub backend: BackendName,
}

/// A [`Backend`] as the command line names it.
#[cfg(feature = "tokio-uring")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum BackendName {
    /// The crate io-uring.
    Ring,
    /// The crate tokio-uring.
    TokioUring,
}

impl Options {
    /// The bounds and periods of the engine.
    #[must_use]
    pub fn engine(&self) -> imbrex_engine::Options {
        imbrex_engine::Options {
            deadline: self.deadline,
            trash_rest: self.trash_rest,
            scrub_period: self.scrub_period,
            checkpoint_bytes: self.checkpoint_every,
            ..imbrex_engine::Options::default()
        }
    }

    /// By what means the drive is reached.
    #[cfg(feature = "tokio-uring")]
    #[must_use]
    pub fn backend(&self) -> Backend {
        match self.backend {
            BackendName::Ring => Backend::Ring,
            BackendName::TokioUring => Backend::TokioUring,
        }
    }

    /// By what means the drive is reached.
    #[cfg(not(feature = "tokio-uring"))]
    #[must_use]
    pub fn backend(&self) -> Backend {
        Backend::default()
    }
}

/// The drive: one of the two.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct DriveOptions {
    /// A host-managed zoned block device
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<PathBuf>,

    /// A drive simulated in a file; made and formatted where there is none
    #[arg(long, value_name = "FILE")]
    pub simulated: Option<PathBuf>,
}

fn parse_memory_bytes(text: &str) -> Result<u64, String> {
    let bytes = parse_size_bytes(text)?;
    if bytes < MEMORY_BYTES_MIN {
        let least = size_text(MEMORY_BYTES_MIN);
        return Err(format!("{} are too little: give {least} at least", size_text(bytes)));
    }
    Ok(bytes)
}

/// A zone may be reset at once, where a test wants that, and waits a year at most.
fn parse_trash_rest(text: &str) -> Result<Duration, String> {
    parse_bounded(text, Duration::ZERO, 365 * DAY)
}

/// More often than each minute it would never be done; ten years is longer than a drive is kept.
fn parse_scrub_period(text: &str) -> Result<Duration, String> {
    parse_bounded(text, Duration::from_secs(60), 3650 * DAY)
}

/// No disk turns faster than in 4 ms (15,000 a minute), and a drive's own error recovery takes up to a minute or two.
fn parse_deadline(text: &str) -> Result<Duration, String> {
    parse_bounded(text, Duration::from_millis(10), Duration::from_secs(600))
}

fn parse_bounded(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("`{text}` is not from {} to {}", duration_text(least), duration_text(most)))
}

/// A checkpoint more often than each MiB would write more than it saves; beyond 16 TiB it is none at all.
fn parse_checkpoint_bytes(text: &str) -> Result<u64, String> {
    let (bytes, least, most) = (parse_size_bytes(text)?, 1 << 20, 16 << 40);
    if (least..=most).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("{} are not from {} to {}", size_text(bytes), size_text(least), size_text(most)))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(std::iter::once("imbrex-drive").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_lines_of_the_manual_are_read() {
        Options::command().debug_assert();
        let options = parse("--simulated drive.img --size 4GiB --listen 127.0.0.1:7500").unwrap();
        assert_eq!((options.size, options.memory), (Some(4 << 30), 96 << 20));
        let line = "--device /dev/nvme0n1 --id X --listen 0.0.0.0:7500 --socket /run/s --memory 128MiB --blocks-max 9";
        let options = parse(line).unwrap();
        assert_eq!((options.memory, options.blocks_max), (128 << 20, Some(9)));
        parse("--simulated drive.img --socket /run/s --memory 72MiB").unwrap();
    }

    #[test]
    fn the_engine_has_its_own_defaults_unless_others_are_given() {
        let (engine, own) =
            (parse("--simulated a --socket s").unwrap().engine(), imbrex_engine::Options::default());
        assert_eq!(format!("{engine:?}"), format!("{own:?}"));
        let line = "--simulated a --socket s --trash-rest 0s --scrub-period 7d --deadline 2s --checkpoint-every 1GiB";
        let engine = parse(line).unwrap().engine();
        assert_eq!((engine.trash_rest, engine.scrub_period), (Duration::ZERO, 7 * DAY));
        assert_eq!((engine.deadline, engine.checkpoint_bytes), (Duration::from_secs(2), 1 << 30));
        let refused = [
            "--trash-rest 366d",
            "--trash-rest 5",
            "--scrub-period 59s",
            "--scrub-period 3651d",
            "--deadline 9ms",
            "--deadline 11m",
            "--checkpoint-every 1KiB",
            "--checkpoint-every 17TiB",
        ];
        for option in refused {
            assert!(parse(&format!("--simulated a --socket s {option}")).is_err(), "{option}");
        }
    }

    #[test]
    fn another_backend_is_named_only_where_it_was_compiled_in() {
        let line = "--simulated a --socket /run/s";
        assert_eq!(parse(line).unwrap().backend(), Backend::Ring);
        let other = parse(&format!("{line} --backend tokio-uring"));
        #[cfg(feature = "tokio-uring")]
        assert_eq!(other.unwrap().backend(), Backend::TokioUring);
        #[cfg(not(feature = "tokio-uring"))]
        assert!(other.is_err());
    }

    #[test]
    fn command_lines_that_make_no_sense_are_refused() {
        for line in [
            "",
            "--listen 127.0.0.1:1",
            "--simulated a",
            "--simulated a --device b --listen 127.0.0.1:1",
            "--device b --size 4GiB --listen 127.0.0.1:1",
            "--simulated a --listen nowhere",
            "--simulated a --listen 127.0.0.1:1 --memory 71MiB",
            "--simulated a --listen 127.0.0.1:1 --blocks-max 0",
            "--simulated a --listen 127.0.0.1:1 --size 4G",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
