//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser};
use imbrex_zoned::Backend;

use crate::size::{parse_size_bytes, size_text};

/// The least `--memory`: two blocks of the largest size, one on its way in and one on its way out.
const MEMORY_BYTES_MIN: u64 = 40 << 20;
/// The size of a simulated zone where none is given.
pub const ZONE_SIZE_BYTES: u64 = 64 << 20;

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

    /// Where to serve the data API over TCP
    #[arg(long, value_name = "ADDRESS:PORT", required_unless_present = "socket")]
    pub listen: Option<SocketAddr>,

    /// Where to serve it over a Unix socket, which takes the format order too
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// The size of all buffers together: what is on its way in or out
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_memory_bytes)]
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
        assert_eq!((options.size, options.memory), (Some(4 << 30), 64 << 20));
        let line = "--device /dev/nvme0n1 --id X --listen 0.0.0.0:7500 --socket /run/s --memory 128MiB --blocks-max 9";
        let options = parse(line).unwrap();
        assert_eq!((options.memory, options.blocks_max), (128 << 20, Some(9)));
        parse("--simulated drive.img --socket /run/s").unwrap();
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
            "--simulated a --listen 127.0.0.1:1 --memory 1MiB",
            "--simulated a --listen 127.0.0.1:1 --blocks-max 0",
            "--simulated a --listen 127.0.0.1:1 --size 4G",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
