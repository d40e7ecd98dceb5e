//! Loro's operations, read: which came since a version, where they wrote, and what follows from them alone.

pub(crate) mod canonical;
pub(crate) mod census;
pub(crate) mod insertion;
pub(crate) mod spans;
pub(crate) mod touched;
