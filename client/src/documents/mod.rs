//! Documents: Loro's own, one at a time, contained, and in memory only as far as they are saved.
//!
//! Reading order: `open` one document in memory, `contain` how a panic stays within it, `cache` which documents are
//! open, `edit` what this device writes, `import` what others wrote, `seal` what goes to the log, `undo`, `history`.

pub(crate) mod blob;
pub(crate) mod cache;
pub(crate) mod contain;
mod dates;
mod digest;
pub(crate) mod edit;
pub(crate) mod error;
pub(crate) mod held;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod made_again;
pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod reader;
pub(crate) mod seal;
mod split;
mod theirs;
pub(crate) mod undo;
