//! How far each device has verified the log: told by each, signed, and compared with what this one has.

use std::collections::BTreeMap;

use roost_shared::hash::Hash;
use roost_shared::limits::{DEVICES_MAX, SEEN_PAUSE_MS};
use roost_shared::proof::{self, verify};
use roost_shared::roster::Status;
use roost_shared::wire::message::Seen;
use roost_shared::{Cursor, DeviceId};

use super::{Connection, Effect, Machine, Notice, SeenAt, Step, Write};

impl Machine {
    /// Another device, or the server in its name, tells how far it has read.
    pub(super) fn saw(&mut self, now_ms: u64, seen: &Seen, past_roots: &BTreeMap<u64, Hash>, step: &mut Step) {
        if seen.log != self.log.id || self.link.disputed {
            return; // of another log, or of one that lost what we have of it
        }
        if seen.device == self.device {
            self.link.told_own = self.link.told_own.max(seen.size); // what we told on an earlier socket
            return;
        }
        let Some(key) = self.held.roster().member(seen.device).map(|member| member.key) else {
            // Its record is on the way.
            if self.link.early.len() < DEVICES_MAX {
                self.link.early.push(seen.clone());
            }
            return;
        };
        let text = proof::seen(self.workspace, seen.device, seen.log, seen.epoch, Cursor(seen.size), seen.root);
        if !verify(&key, &text, &seen.signature) {
            return self.caught(now_ms, "a Seen that its device did not sign", seen.signature.to_vec(), step);
        }
        let at = SeenAt { log: seen.log, size: seen.size, root: seen.root, at_ms: seen.at_ms };
        if self.seen.get(&seen.device).is_some_and(|held| held.log == at.log && held.size >= at.size) {
            return;
        }
        self.seen.insert(seen.device, at);
        step.write(Write::Seen { device: seen.device, at });
        if Cursor(at.size) <= self.log.cursor()
            && let Some(root) = self.root_at(past_roots, Cursor(at.size))
        {
            compare(seen.device, at, root, step);
        }
    }

    /// What came before the record of who says it.
    pub(super) fn saw_early(&mut self, now_ms: u64, step: &mut Step) {
        let roster = self.held.roster();
        let known: Vec<Seen> = self.link.early.extract_if(.., |seen| roster.member(seen.device).is_some()).collect();
        for seen in known {
            self.saw(now_ms, &seen, &BTreeMap::new(), step);
        }
    }

    /// What others told of sizes that were reached by this step.
    pub(super) fn compare_seen(&self, before: Cursor, roots: &BTreeMap<u64, Hash>, step: &mut Step) {
        let reached = before.0 + 1..=self.log.cursor().0;
        for (device, at) in self.seen.iter().filter(|(_, at)| at.log == self.log.id && reached.contains(&at.size)) {
            if let Some(root) = roots.get(&at.size) {
                compare(*device, *at, *root, step);
            }
        }
    }

    /// Tells how far we have read, at once after a rest, else after a pause.
    pub(super) fn tell_seen(&mut self, now_ms: u64, step: &mut Step) {
        self.tells = false;
        if self.connection != Connection::Live || self.diverged || self.link.disputed {
            return;
        }
        let (cursor, root) = (self.log.cursor(), self.log.frontier.root());
        let is_news = self.link.keeps_seen && self.link.told == Some(cursor) && cursor.0 > self.link.told_own;
        if !is_news || self.held.roster().scope(self.device).is_none() {
            return;
        }
        if now_ms < self.tell_from_ms {
            self.tells = true;
            return;
        }
        self.link.told_own = cursor.0;
        self.tell_from_ms = now_ms + SEEN_PAUSE_MS;
        step.effect(Effect::Seen { log: self.log.id, epoch: self.log.chain.roster().epoch(), size: cursor, root });
    }

    /// How many other devices are in, and how many of them have read all that this one wrote.
    pub(super) fn seen_by(&self) -> (usize, usize) {
        let (mut seen_by, mut others) = (0, 0);
        for member in self.held.roster().members() {
            let id = member.device.id;
            if member.device.status == Status::Active && id != self.device {
                others += 1;
                let at = self.seen.get(&id).filter(|at| at.log == self.log.id);
                seen_by += usize::from(at.is_some_and(|at| at.size >= self.own_seq));
            }
        }
        (seen_by, others)
    }
}

/// Two devices that verified the same number of entries hold the same root, or the server shows them different logs.
fn compare(device: DeviceId, at: SeenAt, root: Hash, step: &mut Step) {
    if at.root != root {
        step.notice(Notice::Contradicted { device, size: at.size });
        step.write(Write::Contradiction { device, size: at.size, root: at.root });
    }
}
