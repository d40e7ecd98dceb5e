//! The tests of `roost-server`, in one binary.
//!
//! Besides the crate's own dependencies they need `tempfile`, `reqwest`, and tokio's `macros` and `rt-multi-thread`.

mod access;
mod conformance;
mod http;
mod live;
mod session;
mod sqlite;
mod tokens;
