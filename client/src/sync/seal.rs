//! Edits out: when they are sealed, and where in the log.

use roost_shared::LogId;
use roost_shared::limits::SEAL_PAUSE_MS;
use roost_shared::roster::Scope;

use super::event::OutboxRow;
use super::{Effect, Machine, Notice, SealAt, Stage, Step};

impl Machine {
    pub(super) fn seal(&mut self, now_ms: u64, step: &mut Step) {
        let is_resync = self.resync == Some(Stage::Reseal);
        self.rests = self.edited && now_ms < self.seal_from_ms && !self.sealing && !is_resync;
        let wanted = self.edited || self.more || is_resync;
        if !wanted || self.rests || self.sealing || self.log.id == LogId::ZERO {
            return;
        }
        self.sealing = true;
        self.edited = false;
        self.more = false;
        step.effect(Effect::Seal(self.seal_at()));
    }

    fn seal_at(&self) -> SealAt {
        SealAt {
            log: self.log.id,
            epoch: self.held.roster().epoch(),
            author_seq: self.last_own() + 1,
            base_size: self.log.cursor(),
            base_root: self.log.frontier.root(),
        }
    }

    /// Where a rewrite may be sealed now: at the tail, with nothing else on its way.
    pub fn rewrite_at(&self) -> Option<SealAt> {
        let may_write = self.held.roster().scope(self.device) == Some(Scope::ReadWrite);
        (self.view().synced && may_write && !self.link.republishing && self.log.id != LogId::ZERO)
            .then(|| self.seal_at())
    }

    pub(super) fn sealed(&mut self, now_ms: u64, rows: Vec<OutboxRow>, left: bool, step: &mut Step) {
        self.sealing = false;
        self.left = left;
        if rows.is_empty() {
            self.finish_resync(step);
            if !left {
                self.uploaded(step);
            }
        } else {
            // Exported up to a size: there may be more, and asking costs little.
            self.more = true;
            self.seal_from_ms = now_ms + SEAL_PAUSE_MS;
            self.outbox.push(rows);
        }
    }

    pub(super) fn uploaded(&mut self, step: &mut Step) {
        if self.outbox.is_empty() && !self.edited && !self.more && !self.sealing {
            step.notice(Notice::Uploaded);
        }
    }
}
