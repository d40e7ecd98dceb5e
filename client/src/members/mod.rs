//! Members: who is in a workspace, and everything on a device that makes or reads a roster record.
//!
//! Reading order: `change` builds records, `propose` the owner's next one, `join` and `recover` the ways in, `republish` the way of
//! records to a server that lost them, `standing` where this device is among the members. The rules of a chain are `roost_shared::roster`; the machine's part, records on
//! their way into the log, is `sync::proposals`, and two branches are `sync::fork`.

pub mod change;
pub mod join;
pub(crate) mod propose;
pub mod recover;
pub mod republish;
pub(crate) mod standing;
