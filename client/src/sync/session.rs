//! From no socket to a live one, and back.

use std::collections::BTreeMap;

use roost_shared::Code;
use roost_shared::hash::Hash;
use roost_shared::limits::{BACKOFF_MAX_MS, HELLO_TIMEOUT_MS, SEEN_PAUSE_MS};
use roost_shared::roster::Member;
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::message::{CAPABILITY_PRESENCE, CAPABILITY_SEEN, ServerMessage, Welcome};

use super::{Connection, Effect, Link, Machine, Notice, Step};
use crate::sync::step::Write;

/// Codes that say by themselves that waiting alone will not help.
const fn is_verdict(code: Code) -> bool {
    matches!(code, Code::WorkspaceGone | Code::ProtocolVersion | Code::AudienceMismatch)
}

/// Whether a server that lost the workspace, or the record by which this device joined, says the same as one that has sent
/// the device away.
const fn is_question(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::NotAllowed | Code::ProofInvalid)
}

impl Machine {
    pub(super) fn start(&mut self, step: &mut Step) {
        let polls =
            self.polling.is_some() && matches!(self.connection, Connection::Waiting { .. }) && !self.link.republishing;
        if (self.connection == Connection::Paused || polls) && !self.held.roster().is_purged() {
            self.connect(step);
        }
    }

    pub(super) fn pause(&mut self, step: &mut Step) {
        if self.connection != Connection::Paused {
            step.effect(Effect::Disconnect);
            step.notice(Notice::Offline { code: None });
        }
        self.disconnected();
        self.connection = Connection::Paused;
    }

    fn connect(&mut self, step: &mut Step) {
        self.connection = Connection::Connecting;
        step.effect(Effect::Connect);
    }

    pub(super) fn opened(&mut self, now_ms: u64, step: &mut Step) {
        if self.connection == Connection::Connecting {
            self.connection = Connection::Greeting { until_ms: now_ms + HELLO_TIMEOUT_MS };
        } else {
            step.effect(Effect::Disconnect); // it was given up meanwhile
        }
    }

    pub(super) fn tick(&mut self, now_ms: u64, step: &mut Step) {
        match self.connection {
            Connection::Waiting { until_ms } if now_ms >= until_ms && !self.link.republishing => self.connect(step),
            Connection::Greeting { until_ms } if now_ms >= until_ms => self.reconnect(now_ms, step),
            // Silence: the same bytes again, on a new socket.
            Connection::Live if self.outbox.deadline_ms().is_some_and(|deadline_ms| now_ms >= deadline_ms) => {
                self.reconnect(now_ms, step);
            }
            _ => {}
        }
    }

    /// Gives this socket up and tries again after a pause.
    pub(super) fn reconnect(&mut self, now_ms: u64, step: &mut Step) {
        step.effect(Effect::Disconnect);
        self.wait(now_ms, 0, None, step);
    }

    /// Gives this socket up and tries again at once: for a Hello from another cursor.
    pub(super) fn reconnect_now(&mut self, step: &mut Step) {
        step.effect(Effect::Disconnect);
        self.disconnected();
        self.connect(step);
    }

    fn wait(&mut self, now_ms: u64, at_least_ms: u64, code: Option<Code>, step: &mut Step) {
        self.disconnected();
        let pause_ms = self.backoff.next_ms(at_least_ms);
        self.connection = Connection::Waiting { until_ms: now_ms + pause_ms };
        step.notice(Notice::Offline { code });
    }

    /// Who polls leaves once all is the same here and there, and what was said last had the time to arrive.
    pub(super) fn leave(&mut self, now_ms: u64, step: &mut Step) {
        let is_done = self.view().synced && !self.tells;
        let Some(polling) = &mut self.polling else { return };
        polling.leave_ms = match polling.leave_ms.filter(|_| is_done) {
            None if is_done => Some(now_ms + SEEN_PAUSE_MS),
            held => held,
        };
        let every_ms = polling.every_ms;
        if polling.leave_ms.is_some_and(|leave_ms| leave_ms <= now_ms) {
            polling.leave_ms = None;
            step.effect(Effect::Disconnect);
            step.notice(Notice::Offline { code: None });
            self.disconnected();
            self.connection = Connection::Waiting { until_ms: now_ms.saturating_add(every_ms) };
        }
    }

    /// Forgets all that belongs to the socket: nothing that was said on it counts on the next.
    fn disconnected(&mut self) {
        self.outbox.disconnected();
        self.link = Link::default();
    }

    pub(super) fn closed(&mut self, now_ms: u64, code: Option<Code>, retry_after_ms: u64, step: &mut Step) {
        if matches!(self.connection, Connection::Paused | Connection::Waiting { .. }) {
            return; // the end of a socket we gave up ourselves
        }
        self.wait(now_ms, retry_after_ms, code, step);
        if code.is_some_and(is_question) {
            // An earlier answer stands until there is another.
            self.link.asking = true;
            self.link.republishing = true;
            step.effect(Effect::Republish { records: self.held.records().to_vec() });
        } else {
            self.keep_out(code.filter(|code| is_verdict(*code)), step);
        }
    }

    /// Takes the server's verdict on this device, once it has answered whether it lost something.
    fn keep_out(&mut self, verdict: Option<Code>, step: &mut Step) {
        self.link.asking = false;
        self.blocked = verdict;
        match verdict {
            Some(Code::NotAllowed) => step.notice(Notice::NotAllowed),
            Some(Code::WorkspaceGone) => step.notice(Notice::Purged),
            _ => {}
        }
    }

    /// The server took records it had lost, or had lost none.
    pub(super) fn republished(&mut self, now_ms: u64, taken: Result<bool, Code>, step: &mut Step) {
        if !std::mem::take(&mut self.link.republishing) {
            return; // the answer to an earlier socket's question
        }
        match taken {
            Ok(true) => {
                if let Connection::Waiting { .. } = self.connection {
                    self.connect(step);
                }
            }
            // It has them all, since another device was first perhaps; or others in the place of ours.
            Ok(false) if self.connection != Connection::Live && !std::mem::replace(&mut self.fruitless, true) => {
                if let Connection::Waiting { .. } = self.connection {
                    self.connect(step);
                }
            }
            Ok(false) if self.connection != Connection::Live && self.may_rejoin() => {
                self.link.republishing = true;
                self.link.rejoining = true;
                step.effect(Effect::Rejoin);
            }
            Ok(false) if self.connection != Connection::Live => {
                self.keep_out(Some(Code::NotAllowed), step);
                if let Connection::Waiting { .. } = self.connection {
                    self.connection = Connection::Waiting { until_ms: now_ms + BACKOFF_MAX_MS };
                }
            }
            // Someone else's record came first: it is in the stream of the next socket.
            Ok(false) => self.reconnect(now_ms, step),
            Err(_) if self.connection == Connection::Live => {
                self.refusals += 1;
                self.reconnect(now_ms, step);
            }
            // Not taken, for a reason that stays; or not answered, and then nothing is known.
            Err(code) => {
                let stays = is_verdict(code) || code == Code::AdmissionClosed;
                self.keep_out(Some(code).filter(|_| stays), step);
            }
        }
    }

    /// Until a record wraps a key to its own, a device has the invite it came by.
    fn may_rejoin(&self) -> bool {
        !self.link.rejoining && self.held.roster().member(self.device).is_some_and(Member::is_newcomer)
    }

    pub(super) fn message(
        &mut self,
        now_ms: u64,
        message: ServerMessage,
        past_roots: &BTreeMap<u64, Hash>,
        step: &mut Step,
    ) {
        match (self.connection, message) {
            (Connection::Greeting { .. }, ServerMessage::Challenge { nonce }) => step.effect(Effect::Hello {
                nonce,
                log: self.log.id,
                cursor: self.log.cursor(),
                root: self.log.frontier.root(),
            }),
            (Connection::Greeting { .. }, ServerMessage::Welcome(welcome)) => {
                self.welcome(now_ms, welcome, past_roots, step);
            }
            (Connection::Greeting { .. } | Connection::Live, ServerMessage::Error { code, .. }) => {
                step.effect(Effect::Disconnect);
                self.closed(now_ms, Some(code), 0, step);
            }
            (Connection::Greeting { .. } | Connection::Live, ServerMessage::Drain { retry_after_ms }) => {
                step.effect(Effect::Disconnect);
                self.closed(now_ms, None, retry_after_ms, step);
            }
            (Connection::Live, ServerMessage::Entries { items }) => self.items(now_ms, items, past_roots, step),
            (Connection::Live, ServerMessage::Refused { id, code, retry_after_ms }) if self.outbox.is_ours(id) => {
                self.refused(now_ms, code, retry_after_ms, step);
            }
            // Durable; the rows go when their entries are met, which are on their way.
            (Connection::Live, ServerMessage::Appended { id, .. }) => self.outbox.acked(id, now_ms),
            (Connection::Live, ServerMessage::Seen(seen)) => self.saw(now_ms, &seen, past_roots, step),
            // Of a socket that was given up; presence does not come this far.
            _ => {}
        }
    }

    fn welcome(&mut self, now_ms: u64, welcome: Welcome, past_roots: &BTreeMap<u64, Hash>, step: &mut Step) {
        let Some(current) = welcome.logs.last().map(|life| life.log).filter(|_| welcome.protocol == PROTOCOL) else {
            step.effect(Effect::Disconnect);
            return self.closed(now_ms, Some(Code::ProtocolVersion), 0, step);
        };
        self.connection = Connection::Live;
        self.blocked = None;
        self.link.asking = false;
        self.fruitless = false;
        self.link.lives = welcome.logs;
        self.link.keeps_seen = welcome.capabilities & CAPABILITY_SEEN != 0;
        self.link.passes_presence = welcome.capabilities & CAPABILITY_PRESENCE != 0;
        step.notice(Notice::Online);
        let (cursor, root) = (self.log.cursor(), self.log.frontier.root());
        let same = welcome.root_at_cursor == Some(root);
        if current != self.log.id && cursor.0 == 0 && same {
            // A device that has read nothing yet takes the log as it is.
            self.adopt_log(current, step);
        } else if current != self.log.id {
            let old = self.log.id;
            step.notice(Notice::LogReplaced { old, new: current, cursor });
            self.adopt_log(current, step);
            return self.reconnect_now(step);
        } else if !same {
            // This log is not the one we verified: it lost history.
            self.link.disputed = true;
            step.effect(Effect::ProposeLog { old: current, cursor, root });
            return;
        }
        self.log.chain.roster().is_purged().then(|| step.notice(Notice::Purged));
        for seen in &welcome.seen {
            if self.connection == Connection::Live {
                self.saw(now_ms, seen, past_roots, step);
            }
        }
    }

    pub(super) fn log_granted(&mut self, now_ms: u64, granted: Result<roost_shared::LogId, Code>, step: &mut Step) {
        if !self.link.disputed {
            return; // the answer to an earlier socket's question
        }
        let (old, cursor) = (self.log.id, self.log.cursor());
        match granted {
            Ok(new) if new != old => {
                step.notice(Notice::LogReplaced { old, new, cursor });
                self.adopt_log(new, step);
                self.reconnect_now(step);
            }
            Ok(_) => self.reconnect(now_ms, step),
            Err(code) => {
                step.effect(Effect::Disconnect);
                self.wait(now_ms, 0, Some(code), step);
            }
        }
    }

    /// The server was caught in a contradiction. Once may be a fault on the way: ask again. Twice is evidence.
    pub(super) fn caught(&mut self, now_ms: u64, what: &str, evidence: Vec<u8>, step: &mut Step) {
        if self.fault {
            self.diverged = true;
            step.write(Write::Diverged { what: what.to_owned(), evidence });
            step.notice(Notice::Diverged { what: what.to_owned() });
            self.pause(step);
        } else {
            self.fault = true;
            self.reconnect(now_ms, step);
        }
    }
}
