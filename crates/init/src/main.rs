//! PID 1 of an Imbrex node: boots it in named stages, keeps its services running, and stops it in
//! order.
//!
//! What it must never do: end, wait for a child, a drive or the network, or start a second process
//! of one service. It has one thread and one event loop ([`node`]); what it decides, it decides in
//! two pure state machines, [`boot`] and [`supervisor`].
#![deny(unsafe_code)]

mod boot;
mod cgroup;
mod clock;
mod command_line;
mod console;
mod control;
mod fatal;
mod logs;
mod network;
mod node;
mod platform;
mod power_button;
mod process;
mod shutdown;
mod supervisor;
mod uevent;
mod watchdog;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        fatal::install();
        let reason = node::run();
        fatal::fatal(&reason);
    }
    eprintln!("imbrex-init is PID 1 of an Imbrex node and does nothing elsewhere");
    ExitCode::FAILURE
}
