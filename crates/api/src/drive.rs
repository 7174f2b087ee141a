//! The data API of one drive: its status, its orders and its answers.
