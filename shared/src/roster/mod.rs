//! Roster records: who is in the workspace, in which scope, and with which keys. Public, hash-chained, self-signed.
//!
//! A record names no log, so anyone who holds it may carry it anywhere. `record` draws the bytes, [`Roster`] keeps
//! the rules of the chain.

mod chain;
mod record;

pub use chain::{ChainError, Member, Roster};
pub use record::{Device, LABEL_LEN, Owner, Record, RecordBody, RecordError, Replace, Scope, Status, WRAP_LEN};
