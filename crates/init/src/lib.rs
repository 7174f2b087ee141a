//! What PID 1 and the helper that does its errands tell each other. PID 1 itself is the program.
#![forbid(unsafe_code)]

pub mod plan;
