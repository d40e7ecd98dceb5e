//! The tests of the client, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a test says what it expects, prints its figures and counts small things"
)]

mod address;
mod collection;
mod fixtures;
mod folder;
mod held;
mod keys;
mod keys_vectors;
mod looks;
mod machine;
mod presence;
mod replica;
mod shutdown;
mod store;
