//! Edits that missed a rewrite: writes into content that the rewrite had moved already.

use loro::{ContainerID, IdSpan, Index, LoroDoc, VersionVector};

use crate::operations::spans::{changes_in, path_of, spans_since};
use crate::schema::{Rewrite, gate, is_computed};

/// Who wrote into what a rewrite had moved, without having seen it, and up to which operation.
pub(crate) fn late(loro: &LoroDoc, step: &Rewrite, done: &gate::Done, before: &VersionVector) -> Vec<(u64, i32)> {
    let mut known = done.base.clone();
    if before.get(&done.peer).is_some() {
        known.merge(before); // what came before was looked at when it came
    }
    // What was computed from an edit that missed it is told with that edit.
    let missed = spans_since(loro, &known).into_iter();
    let missed = missed.filter(|span| span.peer != done.peer && !is_computed(span.peer));
    missed.filter_map(|span| Some((span.peer, last_within(loro, span, step.roots())?))).collect()
}

/// Up to which operation a span writes into these roots; None if it does not. What the peer writes elsewhere later is no
/// news of them.
fn last_within(loro: &LoroDoc, span: IdSpan, roots: &[String]) -> Option<i32> {
    let changes = changes_in(loro, span);
    let ops: Vec<_> = changes.iter().flat_map(|change| &change.ops).collect();
    let ends = ops.iter().skip(1).map(|op| op.counter).chain([span.counter.end]);
    let is_within = |container: &ContainerID| {
        let path = path_of(loro, container);
        path.is_some_and(
            |path| matches!(path.first(), Some((_, Index::Key(root))) if roots.iter().any(|own| **own == **root)),
        )
    };
    ops.iter().zip(ends).filter(|(op, _)| is_within(&op.container)).map(|(_, end)| end).max()
}
