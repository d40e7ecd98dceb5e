//! Which parts of a document operations touched.

use std::collections::{BTreeMap, BTreeSet};

use loro::{ContainerID, ID, IdSpan, Index, LoroDoc, VersionVector};

/// Root containers, and of those that are maps the keys below which something changed.
pub(super) type Touched = BTreeMap<String, BTreeSet<String>>;

/// The operations a document holds beyond `before`.
pub(super) fn spans_since(loro: &LoroDoc, before: &VersionVector) -> Vec<IdSpan> {
    let now = loro.oplog_vv();
    let beyond = now.iter().filter_map(|(peer, end)| {
        let start = before.get(peer).copied().unwrap_or(0);
        (start < *end).then(|| IdSpan::new(*peer, start, *end))
    });
    beyond.collect()
}

/// What the operations a document holds beyond `before` touched.
pub(super) fn touched_since(loro: &LoroDoc, before: &VersionVector) -> Touched {
    let mut touched = Touched::new();
    spans_since(loro, before).into_iter().for_each(|span| touch(loro, span, &mut touched));
    touched
}

/// The containers that a span of operations wrote into.
pub(super) fn containers_in(loro: &LoroDoc, span: IdSpan) -> Vec<ContainerID> {
    loro.get_changed_containers_in(ID::new(span.peer, span.counter.start), len_of(span)).into_iter().collect()
}

/// How many operations a span is.
pub(super) const fn len_of(span: IdSpan) -> usize {
    span.counter.end.abs_diff(span.counter.start) as usize
}

/// What a span of operations touched. Of what was deleted since, nothing is known.
pub(super) fn touch(loro: &LoroDoc, span: IdSpan, touched: &mut Touched) {
    for id in containers_in(loro, span) {
        let Some(path) = loro.get_path_to_container(&id) else { continue };
        let mut keys = path.into_iter().map(|(_, index)| index);
        let Some(Index::Key(root)) = keys.next() else { continue };
        let records = touched.entry(root.to_string()).or_default();
        if let Some(Index::Key(record)) = keys.next() {
            records.insert(record.to_string());
        }
    }
}
