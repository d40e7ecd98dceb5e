//! Back and forth in time: undo and redo of this device's own edits, and every version there ever was.

use std::ops::ControlFlow;

use loro::{ChangeMeta, Frontiers, ID, LoroDoc, LoroResult, VersionVector};
use roost_shared::{DeviceId, DocumentId};

use super::{EditError, Replica};
use crate::store::{StoreError, UndoRow};

/// Something one device wrote at one time.
#[derive(Debug, Clone)]
pub struct RevisionRow {
    /// The document as whoever wrote it saw it then.
    pub version: Frontiers,
    /// Seconds since 1970, by the clock of who wrote it.
    pub at_s: i64,
    /// Which device, where that is known.
    pub device: Option<DeviceId>,
    /// How many operations.
    pub operations: usize,
    /// For the order of what the clock cannot tell apart.
    lamport: u32,
}

/// Whether an edit is one that the app may take back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembered {
    Yes,
    No,
}

impl Replica {
    /// Undoes this device's last edit of a document that was not undone yet; false if there is none. What others wrote
    /// since stays: their changes are not undone, and where they wrote into the same place, theirs stands.
    pub fn undo(&mut self, id: DocumentId) -> Result<bool, EditError> {
        self.turn(id, false)
    }

    /// Makes the edit that was undone last again; false if there is none, or something was edited since.
    pub fn redo(&mut self, id: DocumentId) -> Result<bool, EditError> {
        self.turn(id, true)
    }

    fn turn(&mut self, id: DocumentId, undone: bool) -> Result<bool, EditError> {
        let Some((key, edit)) = self.store.last_undo(id, undone)? else { return Ok(false) };
        let before = self.frontiers(id)?;
        // The edit that undoes is none that is undone.
        let turned = self.edit_as(id, Remembered::No, |loro| take_back(loro, &edit));
        if let Err(error @ EditError::Loro(_)) = turned {
            // It does not fit what the document has become: the next one is the one before it.
            self.store.turn_undo(id, key, None, 0)?;
            return Err(error);
        }
        turned?;
        let after = self.frontiers(id)?;
        let row = UndoRow { before, after };
        let changed = row.before != row.after;
        self.store.turn_undo(id, key, changed.then_some((&row, !undone)), self.clock.now_ms())?;
        Ok(true)
    }

    fn frontiers(&mut self, id: DocumentId) -> Result<Frontiers, EditError> {
        self.contain(id, |open| Ok(open.loro.oplog_frontiers()))
    }

    /// An edit of the app can be undone from now on.
    pub(super) fn remember_edit(&mut self, id: DocumentId, before: Frontiers) -> Result<(), StoreError> {
        let Some(open) = self.open.get(&id).filter(|_| self.index() != Some(id)) else { return Ok(()) };
        let after = open.loro.oplog_frontiers();
        let (at_ms, pause_ms) = (self.clock.now_ms(), self.undo_pause_ms);
        self.store.push_undo(id, &UndoRow { before, after }, at_ms, pause_ms)
    }

    /// Edits of this device that follow on each other within this time are undone together.
    pub const fn set_undo_pause(&mut self, pause_ms: u64) {
        self.undo_pause_ms = pause_ms;
    }

    /// Everything that was ever written into a document, newest first.
    pub fn history(&mut self, id: DocumentId) -> Result<Vec<RevisionRow>, EditError> {
        let changes = self.contain(id, |open| Ok(changes(&open.loro)))?;
        let mut revisions = Vec::with_capacity(changes.len());
        for change in changes {
            let last = ID::new(change.id.peer, change.id.counter + i32::try_from(change.len).unwrap_or(1) - 1);
            revisions.push(RevisionRow {
                version: Frontiers::from(last),
                at_s: change.timestamp,
                device: self.store.device_of(id, change.id.peer)?,
                operations: change.len,
                lamport: change.lamport,
            });
        }
        revisions.sort_by_key(|revision| std::cmp::Reverse((revision.at_s, revision.lamport)));
        Ok(revisions)
    }

    /// A document as it was: all that was written until then by the clocks of who wrote it, and what that followed on.
    pub fn version_at(&mut self, id: DocumentId, at_s: i64) -> Result<Frontiers, EditError> {
        self.contain(id, |open| {
            let loro = &open.loro;
            let mut seen = VersionVector::default();
            for change in changes(loro).into_iter().filter(|change| change.timestamp <= at_s) {
                let end = change.id.counter + i32::try_from(change.len).unwrap_or(0);
                let held = seen.get(&change.id.peer).copied().unwrap_or(0);
                seen.insert(change.id.peer, held.max(end));
                seen.merge(&loro.frontiers_to_vv(&change.deps).unwrap_or_default());
            }
            Ok(loro.vv_to_frontiers(&seen))
        })
    }
}

/// The edit backwards, past everything that came after it: what Loro's own undo does, without the memory of a process.
/// Where someone has written the same key of a map since, that stands.
fn take_back(loro: &LoroDoc, edit: &UndoRow) -> LoroResult<()> {
    let inner = loro.inner();
    let mut back = inner.diff(&edit.after, &edit.before)?;
    let since = inner.diff(&edit.after, &loro.oplog_frontiers())?;
    back.transform(&since, false);
    inner.apply_diff(back)
}

fn changes(loro: &LoroDoc) -> Vec<ChangeMeta> {
    let mut changes = Vec::new();
    let heads: Vec<ID> = loro.oplog_frontiers().iter().collect();
    let visit = &mut |change: ChangeMeta| {
        changes.push(change);
        ControlFlow::Continue(())
    };
    // It fails for versions that are not here; the heads are.
    let _ = loro.travel_change_ancestors(&heads, visit);
    changes
}
