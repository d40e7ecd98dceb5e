//! Spans of operations: the ones a document holds beyond a version, and what they wrote into.

use loro::json::JsonChange;
use loro::{ChangeMeta, ContainerID, ID, IdSpan, Index, LoroDoc, VersionVector};

use crate::tally;

/// About as many operations are written out at a time: written out, one takes many times the room it takes in Loro.
const PIECE_OPS: i32 = 65_536;

/// The operations a document holds beyond `before`, in the order of their peers.
pub(crate) fn spans_since(loro: &LoroDoc, before: &VersionVector) -> Vec<IdSpan> {
    let now = loro.oplog_vv();
    let beyond = now.iter().filter_map(|(peer, end)| {
        let start = before.get(peer).copied().unwrap_or(0);
        (start < *end).then(|| IdSpan::new(*peer, start, *end))
    });
    let mut spans: Vec<IdSpan> = beyond.collect();
    spans.sort_unstable_by_key(|span| span.peer);
    spans
}

/// The containers that a span of operations wrote into.
pub(crate) fn containers_in(loro: &LoroDoc, span: IdSpan) -> Vec<ContainerID> {
    let containers = loro.get_changed_containers_in(ID::new(span.peer, span.counter.start), len_of(span));
    tally::count(|tally| {
        tally.operations += len_of(span) as u64;
        tally.containers += containers.len() as u64;
    });
    containers.into_iter().collect()
}

/// The changes that a span of operations is part of, cut to it.
pub(crate) fn changes_in(loro: &LoroDoc, span: IdSpan) -> Vec<JsonChange> {
    tally::count(|tally| tally.operations += len_of(span) as u64);
    loro.export_json_in_id_span(span)
}

/// A span in pieces that are small enough to be written out, in order. A piece ends with a change: to cut the insertion of
/// a long text, Loro reads it from its start.
pub(crate) fn pieces(loro: &LoroDoc, span: IdSpan) -> impl Iterator<Item = IdSpan> {
    let mut from = span.counter.start;
    std::iter::from_fn(move || {
        let mut end = from;
        while end < span.counter.end && end - from < PIECE_OPS {
            end = end_of_change(loro, ID::new(span.peer, end)).clamp(end + 1, span.counter.end);
        }
        (from < end).then(|| IdSpan::new(span.peer, std::mem::replace(&mut from, end), end))
    })
}

/// The first operation after the change that an operation is part of.
fn end_of_change(loro: &LoroDoc, id: ID) -> i32 {
    let end = |change: ChangeMeta| change.id.counter.saturating_add(i32::try_from(change.len).unwrap_or(i32::MAX));
    loro.get_change(id).map_or(i32::MAX, end)
}

/// The containers from the root to this one, and where each lies in the one before; None if it is not there any more.
pub(crate) fn path_of(loro: &LoroDoc, id: &ContainerID) -> Option<Vec<(ContainerID, Index)>> {
    let path = loro.get_path_to_container(id)?;
    tally::count(|tally| tally.path_steps += path.len() as u64);
    Some(path)
}

/// The number of operations of a span.
pub(crate) const fn len_of(span: IdSpan) -> usize {
    span.counter.end.abs_diff(span.counter.start) as usize
}
