//! Entries as they come: each is checked against our own tree, its author's own count and key, and its signed base.

use std::collections::BTreeMap;

use roost_shared::envelope::Envelope;
use roost_shared::hash::Hash;
use roost_shared::roster::{Record, RecordBody, Scope};
use roost_shared::tree::{leaf, leaf_of};
use roost_shared::wire::message::Item;
use roost_shared::{Cursor, DeviceId, DocumentId, Kind, LogId, Seq};

use super::{Author, Effect, Machine, Notice, Step, Write};

/// The server said something that cannot be.
struct Caught {
    what: &'static str,
    evidence: Vec<u8>,
}

fn caught(what: &'static str, evidence: &[u8]) -> Caught {
    Caught { what, evidence: evidence.to_vec() }
}

impl Machine {
    pub(super) fn items(&mut self, now_ms: u64, items: Vec<Item>, past_roots: &BTreeMap<u64, Hash>, step: &mut Step) {
        let before = self.log.cursor();
        // Roots of this very page, for bases within it.
        let mut roots = past_roots.clone();
        roots.insert(before.0, self.log.frontier.root());
        let mut inbox = false;
        for item in items {
            let taken = match item {
                Item::Envelope { seq, bytes } => self.envelope(seq, bytes, &roots, &mut inbox, step),
                Item::Leaf { seq, document, envelope_hash } => {
                    self.leaf(seq, document, envelope_hash, &mut inbox, step)
                }
                Item::Tail { seq, root } => self.tail(seq, root, step),
                Item::Floor { .. } => Err(caught("a floor, though nothing here was trimmed", &[])),
            };
            if let Err(Caught { what, evidence }) = taken {
                // What was verified before it stays: the writes of this step stand.
                self.advanced(before, inbox, step);
                return self.caught(now_ms, what, evidence, step);
            }
            roots.insert(self.log.cursor().0, self.log.frontier.root());
        }
        self.advanced(before, inbox, step);
        self.compare_seen(before, &roots, step);
        if self.log.cursor() > before {
            self.fault = false;
        }
    }

    fn advanced(&self, before: Cursor, inbox: bool, step: &mut Step) {
        if self.log.cursor() > before {
            step.write(Write::Advance(self.log.frontier.clone()));
        }
        if inbox {
            step.effect(Effect::Merge);
        }
    }

    fn expect(&self, seq: u64, evidence: &[u8]) -> Result<Seq, Caught> {
        let next = self.log.cursor().next();
        if seq == next.get() { Ok(next) } else { Err(caught("the stream has a gap or repeats itself", evidence)) }
    }

    /// The life an entry of this number was written in, as the server tells the lives.
    fn life_of(&self, seq: Seq) -> LogId {
        let life = self.link.lives.iter().rev().find(|life| life.first <= seq.get());
        life.map_or(self.log.id, |life| life.log)
    }

    fn count_authors_of(&mut self, life: LogId, step: &mut Step) {
        if self.log.authors_of != life {
            self.log.authors_of = life;
            self.log.authors.clear();
            step.write(Write::AuthorsOf(life));
        }
    }

    fn count(&mut self, device: DeviceId, author: Author, step: &mut Step) {
        self.log.authors.insert(device, author);
        if device == self.device {
            let seq = self.log.cursor().next();
            self.own_seq = seq.get();
            step.write(Write::OwnSeq(seq));
        }
        step.write(Write::Author { device, last: author.last, base: author.base });
    }

    fn extend(&mut self, seq: Seq, leaf: Hash, step: &mut Step) {
        self.log.frontier.append(leaf);
        step.write(Write::Leaf { seq, leaf, root: self.log.frontier.root() });
    }

    fn envelope(
        &mut self,
        seq: u64,
        bytes: Vec<u8>,
        roots: &BTreeMap<u64, Hash>,
        inbox: &mut bool,
        step: &mut Step,
    ) -> Result<(), Caught> {
        let seq = self.expect(seq, &bytes)?;
        let envelope = match Envelope::parse(bytes.clone()) {
            Ok(envelope) => envelope,
            Err(_) => return Err(caught("an entry is no envelope", &bytes)),
        };
        let header = envelope.header();
        let life = self.life_of(seq);
        if header.workspace != self.workspace || header.log != life {
            return Err(caught("an entry of another workspace or log", &bytes));
        }
        self.count_authors_of(life, step);
        if header.kind == Kind::Control {
            self.control(&envelope, step)?;
            self.extend(seq, leaf_of(&envelope), step);
            return Ok(());
        }
        let Some(key) = self.log.chain.roster().member(header.author).map(|member| member.key) else {
            self.quarantine(seq, "its author was never in the roster", &envelope, step);
            return Ok(());
        };
        let last = self.log.authors.get(&header.author).copied().unwrap_or_default();
        if !envelope.is_signed_by(&key) {
            if header.author_seq == last.last + 1 {
                // The server counted it: if the author wrote it, its next entry follows on this one. If the server
                // made it up, the author's true entry of this number is about to show that.
                self.count(header.author, Author { last: header.author_seq, base: last.base }, step);
            }
            self.quarantine(seq, "its signature is not its author's", &envelope, step);
            return Ok(());
        }
        if header.author_seq != last.last + 1 {
            return Err(caught("an author's entries are missing, repeated or out of order", &bytes));
        }
        let base_fits = header.base_size >= last.base
            && header.base_size <= self.log.cursor()
            && self.root_at(roots, header.base_size) == Some(header.base_root);
        if !base_fits {
            step.notice(Notice::BaseMismatch { seq, author: header.author });
        }
        let author = Author { last: header.author_seq, base: header.base_size.max(last.base) };
        self.count(header.author, author, step);
        self.content(seq, &envelope, inbox, step);
        self.extend(seq, leaf_of(&envelope), step);
        Ok(())
    }

    /// What becomes of a verified entry's content.
    fn content(&mut self, seq: Seq, envelope: &Envelope, inbox: &mut bool, step: &mut Step) {
        let header = envelope.header();
        let own = header.author == self.device;
        if own && self.outbox.row(header.author_seq).is_some_and(|row| row.hash == envelope.hash()) {
            return self.met(seq, header.author_seq, inbox, step);
        }
        if !header.kind.is_sealed() {
            return;
        }
        if self.log.chain.roster().scope(header.author) != Some(Scope::ReadWrite) {
            // All devices agree on this: the roster in force at this Seq is the same for all.
            let reason = "its author may not write";
            step.notice(Notice::Quarantined { seq, reason });
            return step.write(Write::Quarantine { seq, reason, bytes: envelope.as_bytes().to_vec() });
        }
        *inbox = true;
        step.write(Write::Inbox { seq, document: header.document, bytes: envelope.as_bytes().to_vec() });
    }

    fn quarantine(&mut self, seq: Seq, reason: &'static str, envelope: &Envelope, step: &mut Step) {
        step.notice(Notice::Quarantined { seq, reason });
        step.write(Write::Quarantine { seq, reason, bytes: envelope.as_bytes().to_vec() });
        self.extend(seq, leaf_of(envelope), step);
    }

    fn control(&mut self, envelope: &Envelope, step: &mut Step) -> Result<(), Caught> {
        let evidence = envelope.as_bytes();
        let record = Record::parse(envelope.body().to_vec())
            .map_err(|_| caught("a control entry is no roster record", evidence))?;
        let epoch = match &record.body {
            RecordBody::Owner(owner) => owner.epoch,
            RecordBody::Replace(_) | RecordBody::Purge => self.log.chain.roster().epoch(),
        };
        let log = envelope.header().log;
        let rebuilt = Envelope::control(self.workspace, log, epoch, record.version, record.as_bytes());
        if rebuilt.as_bytes() != evidence {
            return Err(caught("a control entry's header is not the record's", evidence));
        }
        let taken = self.log.chain.push(record.clone());
        taken.map_err(|_| caught("a roster record does not fit the chain", evidence))?;
        step.write(Write::LogRecord(record.clone()));
        if self.pending.as_ref().is_some_and(|pending| pending.as_bytes() == record.as_bytes()) {
            self.pending = None;
            step.write(Write::NotPending);
        }
        self.link.building = false; // what was to be built, was to be built on another
        self.link.posting = false; // what was refused for want of this one may fit now
        // Each record names the one before it: only one that follows on the held roster is taken.
        if self.held.push(record.clone()).is_ok() {
            step.notice(Notice::RosterChanged { version: record.version });
            step.write(Write::HeldRecord(record));
        }
        Ok(())
    }

    /// On this socket, only our own entries travel as leaves: we asked for all documents.
    fn leaf(
        &mut self,
        seq: u64,
        document: DocumentId,
        hash: Hash,
        inbox: &mut bool,
        step: &mut Step,
    ) -> Result<(), Caught> {
        let seq = self.expect(seq, &hash.0)?;
        let row = self.outbox.row_of_leaf(document, hash).map(|row| row.author_seq);
        let author_seq = row.ok_or_else(|| caught("a leaf that is none of our entries", &hash.0))?;
        let life = self.life_of(seq);
        self.count_authors_of(life, step);
        if author_seq != self.last_own() + 1 {
            return Err(caught("our own entries are out of order", &hash.0));
        }
        let base = self.log.authors.get(&self.device).map_or(Cursor::START, |author| author.base);
        self.count(self.device, Author { last: author_seq, base }, step);
        self.met(seq, author_seq, inbox, step);
        self.extend(seq, leaf(document, hash), step);
        Ok(())
    }

    fn met(&mut self, seq: Seq, author_seq: u64, inbox: &mut bool, step: &mut Step) {
        let row = self.outbox.met(author_seq);
        self.refusals = 0;
        self.backoff.reset();
        self.patience.reset();
        step.write(Write::Met { author_seq });
        // The document does not hold a rewrite until the log has it.
        if let Some(row) = row.filter(|row| row.if_tail.is_some()) {
            *inbox = true;
            step.write(Write::Inbox { seq, document: row.document, bytes: row.bytes });
        }
        // The first one met took its number under if_tail: no older copy of it can come any more.
        self.finish_resync(step);
        self.uploaded(step);
    }

    fn tail(&mut self, seq: u64, root: Hash, step: &mut Step) -> Result<(), Caught> {
        let cursor = self.log.cursor();
        if seq != cursor.0 || root != self.log.frontier.root() {
            return Err(caught("the tail or its root is not what the entries make", &root.0));
        }
        self.link.told = Some(cursor);
        self.fault = false;
        if self.refusals == 0 {
            self.backoff.reset();
        }
        step.notice(Notice::CaughtUp { tail: cursor });
        Ok(())
    }
}
