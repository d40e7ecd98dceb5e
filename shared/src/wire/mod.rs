//! What is said between a device and the server.
//!
//! The version rule: `protocol` is [`PROTOCOL`] in Hello and Welcome. Fields may be added at the end of a message and
//! message types above 0x7f may be added; both are ignored by who does not know them. Anything else is a new version.

pub mod codec;
pub mod error;
pub mod http;
pub mod message;

/// The protocol version of this crate.
pub const PROTOCOL: u32 = 1;
