//! Spans of operations: the ones a document holds beyond a version, and what they wrote into.

use loro::{ContainerID, ID, IdSpan, LoroDoc, VersionVector};

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
    loro.get_changed_containers_in(ID::new(span.peer, span.counter.start), len_of(span)).into_iter().collect()
}

/// The number of operations of a span.
pub(crate) const fn len_of(span: IdSpan) -> usize {
    span.counter.end.abs_diff(span.counter.start) as usize
}
