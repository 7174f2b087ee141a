//! The command line.

use std::path::PathBuf;

use clap::Parser;
use imbrex_format::verify::VerifyOptions;

const AFTER_HELP: &str = "\
What is found is damage (it cannot be read, or its checksum is wrong) or a lie (two structures that check out
contradict each other). The first lie ends the run, unless --all is given. Without --payloads every header, group,
table and checkpoint is checked, and of the blocks themselves nothing.

Exit status:
   0  sound
   1  damaged: something is lost or changed
   2  lying: two structures contradict each other
   3  unsure: of a zone that is empty now nothing tells whether live blocks stood in it
  64  the command line is wrong
  65  it holds no drive of this version, or is not what it should be
  66  there is no such device or file
  70  it takes more memory than was allowed
  71  the operating system or the drive failed
  75  another process has the drive: stop that first
  77  permission was denied

The drive is opened for reading alone, and for no one else meanwhile. A drive that is served is refused.";

/// Checks an Imbrex drive that nothing serves, structure by structure. Writes nothing.
#[derive(Clone, Debug, Parser)]
#[command(name = "imbrex-verify", version, after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// A host-managed zoned block device, or the file of a simulated drive
    #[arg(value_name = "DRIVE")]
    pub(crate) drive: PathBuf,

    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Read and check every chunk of every block too
    #[arg(long)]
    pub(crate) payloads: bool,

    /// Go on after the first lie, and list all of them
    #[arg(long)]
    pub(crate) all: bool,

    /// Check this zone of the log alone; nothing is held against other zones then
    #[arg(long, value_name = "N")]
    pub(crate) zone: Option<u32>,

    /// The most memory for what is gathered: some 32 bytes a block, 40 a tombstone, and the checkpoint's index
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..1 << 30))]
    pub(crate) memory_mib: u64,
}

impl Options {
    pub(crate) fn to_verify(&self) -> VerifyOptions {
        VerifyOptions {
            payloads: self.payloads,
            zone: self.zone,
            all: self.all,
            memory_bytes_max: self.memory_mib << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_command_line_is_read_and_one_that_makes_no_sense_is_refused() {
        Options::command().debug_assert();
        let parse = |line: &str| Options::try_parse_from(line.split_whitespace());
        let options = parse("imbrex-verify drive.img --json --zone 7 --memory-mib 16").unwrap().to_verify();
        assert_eq!((options.zone, options.memory_bytes_max, options.all), (Some(7), 16 << 20, false));
        for line in [
            "imbrex-verify",
            "imbrex-verify a b",
            "imbrex-verify a --zone x",
            "imbrex-verify a --memory-mib 0",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
