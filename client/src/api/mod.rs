//! The face: what an app holds.

pub(crate) mod collection;
pub(crate) mod document;
pub(crate) mod error;
pub(crate) mod history;
pub(crate) mod owner;
pub(crate) mod roost;
pub(crate) mod version;
pub(crate) mod workspace;
