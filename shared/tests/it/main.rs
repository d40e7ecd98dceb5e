//! The tests of `roost-shared`, in one binary.
//!
//! They need the dev-dependency `proptest` and, of the crate's own dependencies, `ed25519-dalek`, `hex`, `serde_json`
//! and `sha2`; nothing else.

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

mod codec;
mod corpus;
mod envelope;
mod fault;
mod hostile;
mod hostile_bodies;
mod ids;
mod plain;
mod plaintext;
mod presence;
mod record;
mod roster;
mod samples;
mod strategies;
mod tree;
mod vectors;
