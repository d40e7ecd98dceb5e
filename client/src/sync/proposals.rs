//! Roster records of this device on their way into the log, and the roster it holds made one with the log's.

use roost_shared::Code;

use super::{Effect, Machine, Notice, Step, Write, fork};

impl Machine {
    /// At the tail, the roster we hold and the log's are made one.
    pub(super) fn settle(&mut self, step: &mut Step) {
        if self.link.told != Some(self.log.cursor()) || self.link.republishing {
            return;
        }
        if self.log.chain.starts_with(&self.held) {
            // The common case; records beyond ours were taken in as they came.
            self.forked = false;
        } else if self.held.starts_with(&self.log.chain) {
            // The server lost records we hold.
            self.link.republishing = true;
            let records = self.held.records()[self.log.chain.records().len()..].to_vec();
            step.effect(Effect::Republish { records });
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
            self.link.posting = false;
            step.write(Write::NotPending);
        }
        let wanted = self.forked || self.held.roster().has_newcomer();
        let is_free = !self.link.republishing && !self.link.building && self.pending.is_none();
        if self.is_owner && wanted && is_free {
            self.link.building = true;
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
            None => self.forked, // else what lies between is republished first
        }
    }

    pub(super) fn post(&mut self, step: &mut Step) {
        if let (Some(record), false) = (&self.pending, self.link.posting) {
            self.link.posting = true;
            step.effect(Effect::Post(record.clone()));
        }
    }

    pub(super) fn posted(&mut self, now_ms: u64, posted: Result<(), Code>, step: &mut Step) {
        if !self.link.posting {
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
                self.link.posting = false;
                self.link.building = true; // until a new socket, and so the backoff
                step.write(Write::NotPending);
            }
            Err(_) => {
                self.refusals += 1;
                self.reconnect(now_ms, step);
            }
        }
    }
}
