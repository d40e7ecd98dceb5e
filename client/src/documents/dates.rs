//! Dates of changes: each is dated by the clock of the device that wrote it, and no other clock bends that.
//!
//! Loro dates a change no earlier than the changes it follows on, so that one clock that is ahead would date everything
//! written after it, for years. A change gets its own date as it is committed, whoever commits it: Roost, the closure of
//! an edit, or an import within one.

use std::sync::Arc;

use loro::{ID, LoroDoc, Subscription};
use parking_lot::Mutex;

/// Seconds within which one device's commits share a date in the history.
pub(crate) const HISTORY_GRAIN_S: i64 = 60;

/// The date of a document's commits until the next edit.
pub(crate) struct Dates {
    now: Arc<Mutex<Now>>,
    _each_commit: Subscription,
}

#[derive(Default)]
struct Now {
    at_s: i64,
    /// A message that keeps a change apart from the change before it.
    apart: Option<String>,
}

impl Dates {
    /// Dates the commits of a document from now on.
    pub(crate) fn of(loro: &LoroDoc) -> Self {
        let now = Arc::new(Mutex::new(Now::default()));
        let given = Arc::clone(&now);
        let each_commit = loro.subscribe_pre_commit(Box::new(move |commit| {
            let now = given.lock();
            commit.modifier.set_timestamp(now.at_s);
            if let Some(apart) = &now.apart {
                commit.modifier.set_message(apart);
            }
            true
        }));
        Self { now, _each_commit: each_commit }
    }

    /// An edit begins at this time, in seconds since 1970.
    ///
    /// Loro joins changes of one peer that follow on each other within a minute, and joins one that is dated before the
    /// other, too: after a clock was set back a message keeps the two apart.
    pub(crate) fn begin(&self, loro: &LoroDoc, at_s: i64) {
        let peer = loro.peer_id();
        let last = loro.oplog_vv().get(&peer).and_then(|end| loro.get_change(ID::new(peer, end - 1)));
        let apart = last.filter(|last| last.timestamp > at_s).map(|_| format!("~date {at_s}"));
        *self.now.lock() = Now { at_s, apart };
    }
}
