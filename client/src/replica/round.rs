//! Rounds of sync, as the app is told of them.

use super::Replica;
use crate::sync::{Notice, SyncReport};

impl Replica {
    /// From the first thing that is to be fetched or sent until all is the same here and there.
    pub(super) fn track_round(&mut self) {
        let (view, now_ms) = (self.view(), self.clock.monotonic_ms());
        let is_same = view.synced && !self.has_work();
        match self.round {
            _ if !view.online => self.round = None, // that is told as it is
            None if !is_same => {
                self.round = Some((now_ms, SyncReport::default()));
                self.notices.push(Notice::SyncStarted);
            }
            Some((since_ms, report)) if is_same => {
                self.round = None;
                let report = SyncReport { duration_ms: now_ms - since_ms, ..report };
                self.notices.push(Notice::SyncFinished(report));
            }
            _ => {}
        }
    }
}
