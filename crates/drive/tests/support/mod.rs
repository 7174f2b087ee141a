//! What the tests share: a small HTTP client, a drive in this process or in one of its own, and made-up
//! bytes.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

pub mod http;
pub mod node;
pub mod payload;
pub mod process;
