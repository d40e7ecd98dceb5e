//! Long updates beside other edits, imported in steps.
//!
//! Where an update meets edits that its author had not seen, Loro replays both, and the cost of a replay is the square of
//! the longest insertion in it: four million characters take minutes and gigabytes. Loro keeps its place between two
//! checkouts. So the operations come in first, which is cheap, and the document then walks through them a step at a time.

use loro::{ImportBlobMetadata, LoroDoc, LoroError, VersionVector};

/// Operations from which an update goes in steps.
const LONG: i32 = 256 * 1024;
/// Operations of a step.
const STEP: i32 = 16 * 1024;

/// Imports an update: whether a part of it waits for operations that are not here.
pub(super) fn import_one(loro: &LoroDoc, update: &[u8]) -> Result<bool, LoroError> {
    let before = loro.oplog_vv();
    let meta = LoroDoc::decode_import_blob_meta(update, false)?;
    let Some((peer, start, end)) = one_long_span(&meta, &before).filter(|_| is_concurrent(loro, &meta, &before)) else {
        return Ok(loro.import(update)?.pending.is_some());
    };
    loro.detach();
    let is_pending = loro.import(update)?.pending.is_some();
    let mut at = start.saturating_add(STEP);
    while at < end && loro.oplog_vv().get(&peer).is_some_and(|held| at < *held) {
        let mut version = before.clone();
        version.insert(peer, at);
        loro.checkout(&loro.vv_to_frontiers(&version))?;
        at += STEP;
    }
    loro.checkout_to_latest();
    loro.free_diff_calculator();
    Ok(is_pending)
}

/// The operations that an update adds, if one peer wrote them and they are many.
fn one_long_span(meta: &ImportBlobMetadata, before: &VersionVector) -> Option<(u64, i32, i32)> {
    let (peer, end) = meta.partial_end_vv.iter().next()?;
    let start = meta.partial_start_vv.get(peer).copied().unwrap_or(0).max(before.get(peer).copied().unwrap_or(0));
    (meta.partial_end_vv.len() == 1 && end - start > LONG).then_some((*peer, start, *end))
}

/// Whether the document holds operations that the author of an update had not seen.
fn is_concurrent(loro: &LoroDoc, meta: &ImportBlobMetadata, before: &VersionVector) -> bool {
    // None where the update depends on what is not here: it waits as a whole.
    loro.frontiers_to_vv(&meta.start_frontiers).is_some_and(|seen| !seen.includes_vv(before))
}
