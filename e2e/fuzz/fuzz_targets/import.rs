//! Loro updates and snapshots, sealed by a device of the workspace. A panic inside Loro is contained, and no find.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[expect(dead_code, reason = "each target runs one of the bodies")]
#[path = "../../tests/it/hostile_bodies.rs"]
mod hostile_bodies;

fuzz_target!(init: std::panic::set_hook(Box::new(|_| ())), |bytes: &[u8]| hostile_bodies::import(bytes));
