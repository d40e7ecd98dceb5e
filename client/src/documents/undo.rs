//! Undo and redo of this device's own edits, over restarts, and never of what others wrote.

use loro::event::DiffBatch;
use loro::{ContainerID, ContainerType, Frontiers, IdSpan, LoroDoc, LoroError, LoroResult};
use roost_shared::DocumentId;

use super::cache::Documents;
use super::error::EditError;
use super::made_again::MadeAgain;
use super::theirs::Theirs;
use crate::operations::spans::spans_since;
use crate::schema::gate;
use crate::store::{Store, StoreError, Turn};

impl Documents {
    /// An edit of the app can be undone from now on.
    pub(crate) fn remember_edit(
        &mut self,
        store: &mut Store,
        id: DocumentId,
        before: &Frontiers,
    ) -> Result<(), StoreError> {
        let (now_ms, at_ms, pause_ms) = (self.clock().monotonic_ms(), self.clock().now_ms(), self.undo_pause_ms());
        let Some(open) = self.opened(id) else { return Ok(()) };
        let after = open.loro.oplog_frontiers();
        let last_ms = open.edited_at_ms.replace(now_ms);
        let joins = last_ms.is_some_and(|last_ms| now_ms - last_ms < pause_ms);
        store.push_undo(id, (before, &after), at_ms, joins)
    }

    /// The operations that came since a version and are of no edit of this device.
    pub(crate) fn written_by_others(
        &mut self,
        store: &mut Store,
        id: DocumentId,
        since: &Frontiers,
    ) -> Result<Vec<IdSpan>, EditError> {
        let spans = self.contain(store, id, |open| {
            let seen = open.loro.frontiers_to_vv(since).unwrap_or_default();
            Ok(spans_since(&open.loro, &seen))
        })?;
        let mut theirs = Vec::new();
        for span in spans {
            if store.device_of(id, span.peer)? != Some(self.device()) {
                theirs.push(span);
            }
        }
        Ok(theirs)
    }
}

/// Takes an edit back, past what others wrote since: as Loro's own undo does it, without the memory of a process. Where
/// someone has written the same key of a map since, that stands. Loro takes back a container by hiding it with all that is
/// in it, and shows a mergeable one again by making it as it was: neither is done to what others wrote into since. What is
/// no mergeable container comes back as a new one: the answer says which, and `made` which did before.
pub(crate) fn take_back(
    loro: &LoroDoc,
    edit: &Turn,
    later: &[Turn],
    theirs: &[IdSpan],
    made: &MadeAgain,
) -> LoroResult<Vec<(ContainerID, ContainerID)>> {
    let inner = loro.inner();
    let diff = |from: &Frontiers, to: &Frontiers| Ok::<_, LoroError>(made.renamed(inner.diff(from, to)?));
    let back = diff(&edit.after, &edit.before)?;
    if theirs.is_empty() && is_all(edit, later, &loro.oplog_frontiers()) {
        // What this device did since, it has taken back.
        return made.apply(loro, &without_schema(&back.into()));
    }
    // From where the edit ended to now: this device's turns, which come in pairs, and what others wrote between them. That
    // is carried past the turns that were open when it came, to stand where the edit ended.
    let mut open = vec![Open { key: edit.key, after: &edit.after, before: &edit.before, back: Some(back) }];
    let carry = |open: &mut Vec<Open<'_, _>>, from: &Frontiers, to: &Frontiers| {
        if from == to {
            return Ok(());
        }
        let mut came = diff(from, to)?;
        for turn in open.iter_mut().rev() {
            let back = match &mut turn.back {
                Some(back) => back,
                none => none.insert(diff(turn.after, turn.before)?),
            };
            let unmoved = came.clone();
            came.transform(back, true);
            back.transform(&unmoved, false);
        }
        LoroResult::Ok(())
    };
    let mut at = &edit.after;
    for turn in later {
        carry(&mut open, at, &turn.before)?;
        at = &turn.after;
        match open.pop_if(|open| turn.takes_back == Some(open.key)) {
            Some(_) => {}
            None => open.push(Open { key: turn.key, after: &turn.after, before: &turn.before, back: None }),
        }
    }
    carry(&mut open, at, &loro.oplog_frontiers())?;
    let Some(back) = open.into_iter().next().and_then(|edit| edit.back) else { return Ok(Vec::new()) };
    // Nodes by their names of now: what others put below one that was made again is below the new one.
    let back = made.with_nodes(&without_schema(&back.into()));
    let (rest, marks) = Theirs::of(loro, theirs, made).spared_by(loro, &back);
    let made = made.apply(loro, &rest)?;
    loro.apply_diff(marks)?;
    Ok(made)
}

/// Whether nothing came since but these turns. One that was not noted, after a crash or for want of space, is missed.
fn is_all(edit: &Turn, later: &[Turn], now: &Frontiers) -> bool {
    let ends = std::iter::once(edit).chain(later).map(|turn| &turn.after);
    later.iter().map(|turn| &turn.before).chain([now]).eq(ends)
}

/// What a document says of the apps that may read it only grows.
pub(crate) fn without_schema(back: &DiffBatch) -> DiffBatch {
    let schema = ContainerID::new_root(gate::ROOT, ContainerType::Map);
    let mut rest = DiffBatch::default();
    rest.set_full_state(back.is_full_state());
    for (id, diff) in back.iter().filter(|(id, _)| **id != schema) {
        let _ = rest.push(id.clone(), diff.clone()); // each id comes once
    }
    rest
}

/// A turn that was not taken back yet, and its way back from what the document had become.
struct Open<'a, Batch> {
    key: i64,
    after: &'a Frontiers,
    before: &'a Frontiers,
    back: Option<Batch>,
}
