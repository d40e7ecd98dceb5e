//! The tests of `roost-server`, in one binary.
//!
//! Besides the crate's own dependencies they need `tempfile`, `reqwest`, and tokio's `macros` and `rt-multi-thread`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a test says what it expects, prints its figures and measures them"
)]

mod access;
mod askers;
mod board;
mod conformance;
mod counted;
mod forgeries;
mod http;
mod live;
mod logs;
mod matrix;
mod raw;
mod session;
mod sqlite;
mod strangers;
mod tokens;
mod unfinished;
