//! The tests of `roost-shared`, in one binary.
//!
//! They need the dev-dependency `proptest` and, of the crate's own dependencies, `ed25519-dalek`, `hex`, `serde_json`
//! and `sha2`; nothing else.

mod codec;
mod envelope;
mod hostile;
mod ids;
mod plaintext;
mod record;
mod roster;
mod samples;
mod strategies;
mod tree;
mod vectors;
