//! The agent as a process of its own, between a fake init, fake drives, a fake smartctl and a client
//! that speaks TLS.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

mod bounds;
mod client;
mod drives;
mod engine;
mod fake_drive;
mod fake_init;
mod fetch_config;
mod format;
mod guards;
mod health;
mod histories;
mod node;
mod notes;
mod process;
mod smart;
mod views;
