//! Access tokens.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "each target runs one of the bodies")]
#[path = "../../tests/it/hostile_bodies.rs"]
mod hostile_bodies;

fuzz_target!(|bytes: &[u8]| hostile_bodies::token(bytes));
