//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The management API of an Imbrex node.
///
/// Without a subcommand it serves: HTTPS on the address of `--listen`, and the same without TLS on
/// `agent.sock` in the run directory.
#[derive(Debug, Parser)]
#[command(name = "imbrex-agent", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub(crate) serve: ServeOptions,
}

/// What the agent can do besides serving.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch the node's configuration over HTTP, check it and write it to a file.
    FetchConfig(FetchConfigOptions),
}

/// Options of the server.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeOptions {
    /// Address of the HTTPS API; port 0 takes a free one. `[::]` is every address of the node, IPv6 and
    /// IPv4, and those of IPv4 alone where the kernel has no IPv6.
    #[arg(long, default_value = "[::]:7400")]
    pub(crate) listen: SocketAddr,
    /// Directory of the sockets of init and of the drives, of node.toml, and of what the agent writes.
    #[arg(long, default_value = "/run/imbrex")]
    pub(crate) run_dir: PathBuf,
    /// Directory in which the drives' histories are kept, for the next start of the agent; without it, the run directory,
    /// which the node forgets when it boots.
    #[arg(long)]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where sysfs is mounted.
    #[arg(long, default_value = "/sys")]
    pub(crate) sysfs: PathBuf,
    /// Where procfs is mounted.
    #[arg(long, default_value = "/proc")]
    pub(crate) procfs: PathBuf,
    /// Milliseconds that init and each drive's process have to tell how they are. They answer from
    /// memory: one that takes longer is told as not answering.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) ask_deadline_ms: u64,
    /// A file or folder with firmware notes that take the place of those that are compiled in, by their names.
    #[arg(long, default_value = "/etc/imbrex/firmware-notes")]
    pub(crate) firmware_notes: PathBuf,
    /// The kernel's log.
    #[arg(long, default_value = "/dev/kmsg")]
    pub(crate) kmsg: PathBuf,
    /// The smartctl program.
    #[arg(long, default_value = "/usr/sbin/smartctl")]
    pub(crate) smartctl: PathBuf,
    /// The program that hands the next kernel to the one that runs.
    #[arg(long, default_value = "/usr/bin/imbrex-helper")]
    pub(crate) helper: PathBuf,
    /// Directory in which the next kernel is kept until it is handed over.
    #[arg(long, default_value = "/var/lib/imbrex")]
    pub(crate) next_dir: PathBuf,
}

/// Options of `fetch-config`.
#[derive(Debug, Args)]
pub(crate) struct FetchConfigOptions {
    /// Where the configuration is: http://HOST[:PORT]/PATH.
    #[arg(long)]
    pub(crate) url: String,
    /// The file to write; it is replaced in one step, and only by a configuration that is good.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Seconds after which to give up.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) deadline_s: u64,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_node_is_reached_by_ipv6_too_where_nobody_says_otherwise() {
        let options = Options::parse_from(["imbrex-agent"]);
        assert_eq!(options.serve.listen, "[::]:7400".parse().unwrap());
    }
}
