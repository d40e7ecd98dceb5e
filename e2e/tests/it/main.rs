//! Everything together: simulated worlds, and real processes.

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

mod attacks;
mod collections;
mod commands;
#[path = "../../../shared/tests/it/corpus.rs"]
mod corpus;
mod disk;
mod events;
mod examples;
mod folders;
mod full;
mod hostile_bodies;
mod imports;
mod kills;
mod large;
mod names;
mod plain;
mod poison;
mod presence;
mod protocol_page;
mod refill;
mod secrets;
mod seen;
mod sim;
mod tidy;
mod typist;
mod versions;
mod waits;
