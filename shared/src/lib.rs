//! The words both sides of Roost use: ids, the envelope, the Merkle tree, roster records and the wire.
//!
//! Nothing here does IO, reads a clock, draws randomness, or knows a cipher or a CRDT. `PROTOCOL.md` beside this
//! crate is normative; the modules below are in the order in which it explains them.

pub mod bytes;
pub mod envelope;
pub mod fault;
pub mod hash;
pub mod id;
pub mod limits;
pub mod plain;
pub mod plaintext;
pub mod presence;
pub mod proof;
pub mod roster;
pub mod seq;
pub mod tree;
pub mod wire;

pub use envelope::{Envelope, Header, Kind};
pub use fault::Fault;
pub use hash::Hash;
pub use id::{DeviceId, DocumentId, LogId, WorkspaceId};
pub use plain::Plain;
pub use seq::{Cursor, Seq};
pub use wire::error::Code;
