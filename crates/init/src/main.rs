//! PID 1 of an Imbrex node: boots it in named stages, keeps its services running, and stops it in
//! order.
//!
//! What it must never do: end, wait for a child, a drive or the network, or start a second process
//! of one service. It has one thread and one event loop ([`node`]); what it decides, it decides in
//! two pure state machines, [`boot`] and [`supervisor`].
#![deny(unsafe_code)]

mod boot;
mod cgroup;
mod config;
mod console;
mod control;
mod drives;
mod fatal;
mod logs;
mod modules;
mod network;
mod node;
mod platform;
mod process;
mod services;
mod shutdown;
mod supervisor;
mod uevent;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let verb = arguments.next();
    let name = Path::new(&program).file_name().and_then(|name| name.to_str());
    if std::process::id() == 1 {
        fatal::install();
        let reason = node::run();
        fatal::fatal(&reason);
    }
    match (name, verb.as_deref()) {
        (Some("dhcp-hook"), _) | (_, Some("dhcp-hook")) => match services::dhcpcd::hook() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("/etc/resolv.conf cannot be written: {error}");
                ExitCode::FAILURE
            }
        },
        (_, Some("sync")) => {
            nix::unistd::sync();
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("imbrex-init is PID 1 of an Imbrex node and does nothing elsewhere");
            ExitCode::FAILURE
        }
    }
}
