//! Records, untyped: maps below the root map of their collection, and the tables that make them searchable.
//!
//! Reading order: `fields` how a field is kept, `record` how a record is, `tables` how a collection's table follows its
//! document, `conflicts` which value hid which.

pub(crate) mod conflicts;
pub(crate) mod fields;
pub(crate) mod record;
pub(crate) mod tables;
mod text;
