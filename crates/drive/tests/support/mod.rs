//! What the tests share: a small HTTP client, a drive in this process, and made-up bytes.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

pub mod http;
pub mod node;
pub mod payload;
