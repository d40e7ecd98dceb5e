//! Every version of a document there ever was.

use std::ops::ControlFlow;

use loro::{ChangeMeta, Frontiers, ID, LoroDoc, VersionVector};
use roost_shared::{DeviceId, DocumentId};

use super::cache::Documents;
use super::error::EditError;
use crate::store::Store;

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
    /// For the order of versions.
    lamport: u32,
}

impl Documents {
    /// Everything that was ever written into a document, newest first.
    pub(crate) fn history(&mut self, store: &mut Store, id: DocumentId) -> Result<Vec<RevisionRow>, EditError> {
        let changes = self.contain(store, id, |open| Ok(changes(&open.loro)))?;
        let mut revisions = Vec::with_capacity(changes.len());
        for change in changes {
            let last = ID::new(change.id.peer, change.id.counter + i32::try_from(change.len).unwrap_or(1) - 1);
            revisions.push(RevisionRow {
                version: Frontiers::from(last),
                at_s: change.timestamp,
                device: store.device_of(id, change.id.peer)?,
                operations: change.len,
                lamport: change.lamport,
            });
        }
        // By version: whatever the clocks said, no change stands before one that it follows on.
        revisions.sort_by_key(|revision| std::cmp::Reverse((revision.lamport, revision.at_s)));
        Ok(revisions)
    }

    /// A document as it was: all that was written until then by the clocks of who wrote it, and what that followed on.
    pub(crate) fn version_at(&mut self, store: &mut Store, id: DocumentId, at_s: i64) -> Result<Frontiers, EditError> {
        self.contain(store, id, |open| {
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
