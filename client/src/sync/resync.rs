//! Resync: a device's one answer to every refusal except those that pass (quota, size, retry-later), for which the outbox
//! waits and nothing else, and to a new log id.
//!
//! Read to the tail; rows met there go; the rest is unsealed; what the documents have and the log lacks is sealed anew
//! and appended on condition that the log still ends here. In a model of 22,000 schedules this left nothing stuck;
//! repairing refusals one by one did.

use roost_shared::limits::BACKOFF_MAX_MS;
use roost_shared::{Code, LogId};

use super::{Effect, Log, Machine, Notice, Step, Write, fork};

/// Where Resync is; durable, so that a crash goes on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading to the tail.
    Read,
    /// Sealing anew, appending with `if_tail`.
    Reseal,
}

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
            self.told = None; // entries are on their way, and then the tail
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
        let at_tail = self.told == Some(self.log.cursor());
        if self.resync == Some(Stage::Read) && at_tail && !self.carrying && !self.sealing {
            self.clear_outbox_at_tail(step);
            self.enter(Some(Stage::Reseal), step);
        }
    }

    pub(super) fn clear_outbox_at_tail(&mut self, step: &mut Step) {
        if self.told == Some(self.log.cursor()) && !self.outbox.is_empty() {
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
        self.told_own = 0;
        step.write(Write::NewLog(log));
        self.resync = None;
        self.enter(Some(Stage::Read), step);
    }

    /// At the tail, the roster we hold and the log's are made one.
    pub(super) fn settle(&mut self, step: &mut Step) {
        if self.told != Some(self.log.cursor()) || self.carrying {
            return;
        }
        if self.log.chain.starts_with(&self.held) {
            // The common case; records beyond ours were taken in as they came.
            self.forked = false;
        } else if self.held.starts_with(&self.log.chain) {
            // The server lost records we hold.
            self.carrying = true;
            let records = self.held.records()[self.log.chain.records().len()..].to_vec();
            step.effect(Effect::Carry { records });
        } else if self.may_leave_branch() {
            self.held = self.log.chain.clone();
            self.forked = false;
            step.write(Write::HoldLogChain);
            step.notice(Notice::RosterChanged { version: self.held.roster().version() });
        } else if !self.forked {
            self.forked = true;
            step.notice(Notice::RosterFork);
        }
        if self.is_superseded() {
            self.pending = None;
            self.posting = false;
            step.write(Write::NotPending);
        }
        let wanted = self.forked || self.held.roster().has_newcomer();
        let is_free = !self.carrying && !self.building && self.pending.is_none();
        if self.is_owner && wanted && is_free {
            self.building = true;
            step.effect(Effect::AdvanceEpoch);
        }
    }

    fn may_leave_branch(&self) -> bool {
        let (ours, theirs) = (&self.held, &self.log.chain);
        // The owner goes only once the other branch has all that its own settled.
        fork::may_leave(ours, theirs) && (!self.is_owner || fork::amended(ours, theirs).is_empty())
    }

    /// Whether the log, as it is at the tail, has no place for our record: it is built again if still wanted.
    fn is_superseded(&self) -> bool {
        let Some(pending) = &self.pending else { return false };
        let records = self.log.chain.records();
        let place = usize::try_from(pending.version - 1).unwrap_or(usize::MAX);
        match records.get(place) {
            Some(taken) => taken.as_bytes() != pending.as_bytes(),
            None if records.len() == place => self.log.chain.roster().hash() != pending.previous,
            None => self.forked, // else what lies between is carried first
        }
    }

    pub(super) fn post(&mut self, step: &mut Step) {
        if let (Some(record), false) = (&self.pending, self.posting) {
            self.posting = true;
            step.effect(Effect::Post(record.clone()));
        }
    }

    pub(super) fn posted(&mut self, now_ms: u64, posted: Result<(), Code>, step: &mut Step) {
        if !self.posting {
            return; // the answer to an earlier socket's question
        }
        match posted {
            // It comes back as an entry, and is pending until then.
            Ok(()) => self.refusals = 0,
            // Another record came first, or our own did by an answer that was lost. Which one it was, the log says; until
            // then ours stays: a server that was restored since would take it once more, and nobody sees two of them.
            Err(Code::RosterMoved) => {}
            Err(code) if !code.is_retryable() => {
                self.pending = None;
                self.posting = false;
                self.building = true; // until a new socket, and so the backoff
                step.write(Write::NotPending);
            }
            Err(_) => {
                self.refusals += 1;
                self.reconnect(now_ms, step);
            }
        }
    }
}
