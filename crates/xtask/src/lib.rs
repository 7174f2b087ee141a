//!
//! `cargo xtask image | up | test` are thin commands over it, and the end-to-end tests use the same
//!
//! - Everything that is built or stored lies under `target/imbrex`, sockets in a temporary folder.
//! - Every wait is bounded, and every long step prints a line when it starts and one when it ends.
//! - Only processes that this process started are ever signalled, by their own handle.

#![forbid(unsafe_code)]

pub mod accelerator;
pub mod additions;
pub mod agent_client;
pub mod bench;
pub mod binaries;
pub mod command;
pub mod console;
pub mod contents;
pub mod cpio;
pub mod debian_tree;
pub mod demonstration;
pub mod drive_file;
pub mod drive_kind;
pub mod host_packages;
pub mod http_client;
pub mod http_files;
pub mod image;
pub mod kernel_modules;
pub mod machine;
pub mod node;
pub mod qmp;
pub mod report;
pub mod shared_libraries;
pub mod simulate;
pub mod source_tree;
pub mod stamp;
pub mod step;
pub mod storage_client;
pub mod test_output;
pub mod test_run;
pub mod tls;
pub mod unified_kernel;
pub mod workspace;
