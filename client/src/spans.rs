//! Spans of operations: the ones a document holds beyond a version, and what they wrote into.

use loro::json::JsonChange;
use loro::{ContainerID, ID, IdSpan, LoroDoc, VersionVector};

use crate::tally;

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

/// The number of operations of a span.
pub(crate) const fn len_of(span: IdSpan) -> usize {
    span.counter.end.abs_diff(span.counter.start) as usize
}
