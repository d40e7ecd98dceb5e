//! Documents from one schema version to the next: derive steps at once, rewrites at the log's tail.
//!
//! Reading order: `due` decides when a step runs, `plan` which steps a document lacks, `migrator` runs derive steps,
//! `rewrite` computes a rewrite, `late` finds the edits that missed one.

pub(crate) mod desk;
pub(crate) mod due;
mod late;
pub(crate) mod migrator;
pub(crate) mod plan;
pub(crate) mod rewrite;
