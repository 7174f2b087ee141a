//!
//! `cargo xtask image | up | test` are thin commands over it, and the end-to-end tests use the same
//!
//! - Everything that is built or stored lies under `target/imbrex`, sockets in a temporary folder.
//! - Every wait is bounded, and every long step prints a line when it starts and one when it ends.
//! - Only processes that this process started are ever signalled, by their own handle.

#![forbid(unsafe_code)]

pub mod binaries;
pub mod command;
pub mod contents;
pub mod cpio;
pub mod debian_tree;
pub mod host_packages;
pub mod image;
pub mod kernel_modules;
pub mod shared_libraries;
pub mod stamp;
pub mod step;
pub mod unified_kernel;
pub mod workspace;
