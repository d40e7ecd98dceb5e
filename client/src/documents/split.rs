//! Updates of a bounded size, of documents of any size: what is too much for one update goes out in several, each of
//! which follows on the one before it.

use std::borrow::Cow;

use loro::{ExportMode, ID, IdSpan, LoroDoc, LoroError, VersionVector};
use roost_shared::limits::VALUE_MAX;

use super::contain::Refusal;
use super::open::{OpenDocument, UPDATE_OPS};
use crate::operations::spans::{len_of, spans_since};
use crate::tally;

/// The smallest number of operations that is tried as one update; an update is split further where they do not fit.
const UPDATE_OPS_MIN: i32 = 1;

impl OpenDocument {
    /// The next update beyond `from`, of at most `max` bytes, and the version it leads to. Refused if one operation alone
    /// is larger.
    pub(crate) fn next_update(
        &mut self,
        from: &VersionVector,
        max: usize,
    ) -> Result<(Vec<u8>, VersionVector), Refusal> {
        let spans = in_order(&self.loro, from);
        loop {
            let taken = first(&spans, self.update_ops);
            let mode = match taken.len() == spans.len() && taken.last() == spans.last() {
                true => ExportMode::updates(from),
                false => ExportMode::UpdatesInRange { spans: Cow::Borrowed(&taken) },
            };
            let bytes = self.loro.export(mode).map_err(LoroError::from)?;
            tally::exported(&bytes);
            if bytes.len() <= max {
                if bytes.len() < max / 4 {
                    self.update_ops = self.update_ops.saturating_mul(2).min(UPDATE_OPS);
                }
                let mut until = from.clone();
                taken.iter().for_each(|span| until.extend_to_include(*span));
                return Ok((bytes, until));
            }
            let ops: usize = taken.iter().map(|span| len_of(*span)).sum();
            if ops <= 1 {
                return Err(Refusal::TooLarge);
            }
            self.update_ops = (i32::try_from(ops).unwrap_or(UPDATE_OPS) / 2).max(UPDATE_OPS_MIN);
        }
    }

    /// Refuses a document with an operation beyond `from` that no update has room for.
    pub(crate) fn check_splits(&mut self, from: &VersionVector) -> Result<(), Refusal> {
        let (mut at, end) = (from.clone(), self.loro.oplog_vv());
        while !at.includes_vv(&end) {
            at = self.next_update(&at, VALUE_MAX)?.1;
        }
        Ok(())
    }
}

/// The changes beyond a version, each after those it follows on.
fn in_order(loro: &LoroDoc, from: &VersionVector) -> Vec<IdSpan> {
    let mut changes = Vec::new();
    for span in spans_since(loro, from) {
        let mut start = span.counter.start;
        while start < span.counter.end {
            let Some(change) = loro.get_change(ID::new(span.peer, start)) else { break };
            let ends = change.id.counter.saturating_add(i32::try_from(change.len).unwrap_or(i32::MAX));
            let end = ends.min(span.counter.end).max(start + 1);
            let lamport = change.lamport + start.abs_diff(change.id.counter);
            changes.push((lamport, IdSpan::new(span.peer, start, end)));
            start = end;
        }
    }
    changes.sort_by_key(|(lamport, span)| (*lamport, span.peer));
    changes.into_iter().map(|(_, span)| span).collect()
}

/// The first spans, up to a number of operations.
fn first(spans: &[IdSpan], ops_max: i32) -> Vec<IdSpan> {
    let (mut taken, mut left) = (Vec::new(), ops_max);
    for span in spans {
        let end = span.counter.end.min(span.counter.start.saturating_add(left));
        if end == span.counter.start {
            break;
        }
        taken.push(IdSpan::new(span.peer, span.counter.start, end));
        left -= end - span.counter.start;
    }
    taken
}
