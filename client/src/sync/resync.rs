//! Resync: a device's one answer to every refusal except those that pass (quota, size, retry-later), for which the outbox
//! waits and nothing else, and to a new log id.
//!
//! Read to the tail; rows met there go; the rest is unsealed; what the documents have and the log lacks is sealed anew
//! and appended on condition that the log still ends here. In a model of 22,000 schedules this left nothing stuck;
//! repairing refusals one by one did.

use roost_shared::limits::BACKOFF_MAX_MS;
use roost_shared::{Code, LogId};

use super::{Log, Machine, Notice, Stage, Step, Write};

/// Refusals in a row after which the next try waits.
const REFUSALS_MAX: u32 = 3;

impl Machine {
    pub(super) fn refused(&mut self, now_ms: u64, code: Code, retry_after_ms: u64, step: &mut Step) {
        let rewrites = self.outbox.rewrites();
        step.notice(Notice::Refused { code });
        // A rewrite for which there is no room must not hold up what people write.
        let has_no_room = matches!(code, Code::QuotaExceeded | Code::TooLarge);
        if code == Code::QuotaExceeded && !rewrites && self.outbox.halve() {
            return;
        }
        if code.is_retryable() || has_no_room && !rewrites {
            // Room is not made in a moment, and a try costs the whole Append.
            let at_least_ms = if has_no_room { BACKOFF_MAX_MS } else { retry_after_ms };
            let pause_ms = self.patience.next_ms(at_least_ms);
            return self.outbox.hold(code, now_ms + pause_ms);
        }
        if !(rewrites && code == Code::TailMoved) {
            self.refusals += 1; // that another was first says nothing of this device
        }
        self.enter(Some(Stage::Read), step);
        if code == Code::TailMoved && self.outbox.if_tail() == Some(self.log.cursor().0) {
            self.link.told = None; // entries are on their way, and then the tail
        }
        if self.refusals > REFUSALS_MAX {
            self.reconnect(now_ms, step);
        } else {
            self.outbox.forget_sent();
        }
    }

    fn enter(&mut self, stage: Option<Stage>, step: &mut Step) {
        if self.resync != stage {
            self.resync = stage;
            step.write(Write::Resync(stage));
        }
    }

    /// At the tail, what is left in the outbox is not in the log and never will be under its numbers.
    pub(super) fn resync_on(&mut self, step: &mut Step) {
        let at_tail = self.link.told == Some(self.log.cursor());
        if self.resync == Some(Stage::Read) && at_tail && !self.link.republishing && !self.sealing {
            self.clear_outbox_at_tail(step);
            self.enter(Some(Stage::Reseal), step);
        }
    }

    pub(super) fn clear_outbox_at_tail(&mut self, step: &mut Step) {
        if self.link.told == Some(self.log.cursor()) && !self.outbox.is_empty() {
            self.outbox.clear();
            step.write(Write::ClearOutbox);
        }
    }

    pub(super) fn finish_resync(&mut self, step: &mut Step) {
        if self.resync == Some(Stage::Reseal) {
            self.enter(None, step);
        }
    }

    /// Everything that belongs to a log goes with it; documents, keys and the held roster stay.
    pub(super) fn adopt_log(&mut self, log: LogId, step: &mut Step) {
        self.log = Log::new(self.workspace, log);
        self.outbox.clear();
        self.sealing = false;
        self.own_seq = 0;
        self.link.told_own = 0;
        step.write(Write::NewLog(log));
        self.resync = None;
        self.enter(Some(Stage::Read), step);
    }
}
