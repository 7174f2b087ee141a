//! What a node needs done and PID 1 need not do: each verb is a process of its own that init starts,
//! bounds and reports, so that what goes wrong in one costs that one.

#![deny(unsafe_code)]

mod book;
mod budget;
mod check;
mod chrony;
mod clock_floor;
mod coldplug;
mod dhcp;
mod discovery;
mod ending;
mod file;
mod frame;
mod io_weight;
mod kexec;
mod looker;
mod manifests;
mod network;
mod node_toml;
mod planner;
mod privileges;
mod pstore;
mod rules;
mod settings;
mod ship;
mod tcp;
mod timestamp;

use imbrex_init::plan::NODE_TOML;
use planner::Extent;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Where `configure` leaves what later runs need of the configuration.
const ACCEPTED: &str = "/run/imbrex/node.json";
/// The program that fetches the configuration.
const AGENT: &str = "/usr/bin/imbrex-agent";
/// The longest `node.toml`, in bytes: the fetch holds it to this too.
const NODE_TOML_BYTES_MAX: u64 = 64 * 1024;

const USAGE: &str = "imbrex-helper is started by imbrex-init: plan services|drives|settle|settle-found, look [weigh], run, coldplug, \
                     configure URL, sync, reset-after SECONDS, network-prepare, network, check ADDRESS:PORT, pstore, \
                     ship-logs, kexec-load KERNEL INITRD, dhcp-hook";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let hook = words.first().is_some_and(|program| program.ends_with("/dhcp-hook"));
    let outcome = match words.get(1..).unwrap_or_default() {
        _ if hook => dhcp::hook().map_err(|error| format!("/etc/resolv.conf cannot be written: {error}")),
        ["plan", "services"] => planner::run(Extent::Services),
        ["plan", "drives"] => planner::run(Extent::Drives),
        ["plan", "settle"] => planner::run(Extent::Settle),
        ["plan", "settle-found"] => planner::run(Extent::SettleFound),
        ["look"] => looker::answer(Path::new("/sys"), false),
        ["look", "weigh"] => looker::answer(Path::new("/sys"), true),
        ["run", words @ ..] => privileges::run(words),
        ["kexec-load", kernel, initrd] => kexec::load(kernel, initrd),
        ["coldplug"] => coldplug::run(),
        ["configure", url] => fetch(url).and_then(|()| configure(Path::new(NODE_TOML))),
        ["sync"] => ending::sync(),
        ["reset-after", seconds] => ending::reset_after(seconds),
        ["network-prepare"] => network::prepare(),
        ["network"] => network::run(),
        ["check", address] => check::run(address),
        ["pstore"] => pstore::collect(Path::new("/sys/fs/pstore"), Path::new("/run/imbrex/pstore")),
        ["ship-logs"] => ship::run(),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Has the agent's program fetch `node.toml`: that has HTTP, so that nothing else needs it.
fn fetch(url: &str) -> Result<(), String> {
    let mut command = Command::new(AGENT);
    let output = command
        .args(["fetch-config", "--url", url, "--out", NODE_TOML])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{AGENT} cannot be run: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let said = text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned);
    output
        .status
        .success()
        .then_some(())
        .ok_or_else(|| said.unwrap_or_else(|| format!("{AGENT}: {}", output.status)))
}

/// Reads `node.toml`, writes what its services want, and last that it was accepted. Says the node's name.
fn configure(path: &Path) -> Result<(), String> {
    let cannot = |what: &str, error: &std::io::Error| format!("{what} cannot be used: {error}");
    let length = std::fs::metadata(path).map_err(|error| cannot("node.toml", &error))?.len();
    if length > NODE_TOML_BYTES_MAX {
        return Err(format!("node.toml has {length} bytes, more than {NODE_TOML_BYTES_MAX}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot("node.toml", &error))?;
    let configuration = node_toml::NodeToml::parse(&text)?;
    chrony::prepare(&configuration.time.servers)
        .map_err(|error| cannot("chronyd's configuration", &error))?;
    configuration.logs.write().map_err(|error| cannot("the list of log targets", &error))?;
    network::configure(&configuration.network)?;
    if let Some(name) = &configuration.name {
        std::fs::write("/proc/sys/kernel/hostname", name).map_err(|error| cannot("the host name", &error))?;
    }
    let accepted =
        serde_json::to_vec(&configuration.accepted()).map_err(|error| cannot(ACCEPTED, &error.into()))?;
    file::write_atomically(Path::new(ACCEPTED), &accepted).map_err(|error| cannot(ACCEPTED, &error))?;
    println!("{}", configuration.name.unwrap_or_default());
    Ok(())
}
