//! Every version of a document there ever was.

use std::ops::ControlFlow;

use loro::{ChangeMeta, CommitOptions, Frontiers, ID, LoroDoc, VersionVector};
use roost_shared::{DeviceId, DocumentId};

use super::{EditError, Replica};

/// Seconds within which one device's commits share a date in the history.
pub(super) const HISTORY_GRAIN_S: i64 = 60;
/// What the message of a change begins with that carries its writer's date, in seconds since 1970.
const DATE: &str = "~date ";

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

impl Replica {
    /// Everything that was ever written into a document, newest first.
    pub fn history(&mut self, id: DocumentId) -> Result<Vec<RevisionRow>, EditError> {
        let changes = self.contain(id, |open| Ok(changes(&open.loro)))?;
        let mut revisions = Vec::with_capacity(changes.len());
        for change in changes {
            let last = ID::new(change.id.peer, change.id.counter + i32::try_from(change.len).unwrap_or(1) - 1);
            revisions.push(RevisionRow {
                version: Frontiers::from(last),
                at_s: date(&change),
                device: self.store.device_of(id, change.id.peer)?,
                operations: change.len,
                lamport: change.lamport,
            });
        }
        // By version: whatever the clocks said, no change stands before one that it follows on.
        revisions.sort_by_key(|revision| std::cmp::Reverse((revision.lamport, revision.at_s)));
        Ok(revisions)
    }

    /// A document as it was: all that was written until then by the clocks of who wrote it, and what that followed on.
    pub fn version_at(&mut self, id: DocumentId, at_s: i64) -> Result<Frontiers, EditError> {
        self.contain(id, |open| {
            let loro = &open.loro;
            let mut seen = VersionVector::default();
            for change in changes(loro).into_iter().filter(|change| date(change) <= at_s) {
                let end = change.id.counter + i32::try_from(change.len).unwrap_or(0);
                let held = seen.get(&change.id.peer).copied().unwrap_or(0);
                seen.insert(change.id.peer, held.max(end));
                seen.merge(&loro.frontiers_to_vv(&change.deps).unwrap_or_default());
            }
            Ok(loro.vv_to_frontiers(&seen))
        })
    }
}

/// How a commit is dated. Loro dates a change no earlier than the changes it follows on, so that one clock that is ahead
/// would date everything written after it; a change that this would bend carries its own date in its message. Edits
/// within a minute share one, as they share a change.
pub(super) fn dated(loro: &LoroDoc, now_s: i64) -> CommitOptions {
    let options = CommitOptions::new().timestamp(now_s);
    let heads = loro.oplog_frontiers();
    let newest = heads.iter().filter_map(|id| loro.get_change(id)).map(|change| change.timestamp).max().unwrap_or(0);
    if newest <= now_s.saturating_add(HISTORY_GRAIN_S) {
        return options;
    }
    let peer = loro.peer_id();
    let own = loro.oplog_vv().get(&peer).and_then(|end| loro.get_change(ID::new(peer, end - 1)));
    let shared = own.and_then(|change| own_date(&change)).filter(|date| (0..HISTORY_GRAIN_S).contains(&(now_s - date)));
    options.commit_msg(&format!("{DATE}{}", shared.unwrap_or(now_s)))
}

fn own_date(change: &ChangeMeta) -> Option<i64> {
    change.message().strip_prefix(DATE)?.parse().ok()
}

/// When a change was written, by the clock of its writer.
fn date(change: &ChangeMeta) -> i64 {
    own_date(change).unwrap_or(change.timestamp)
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
