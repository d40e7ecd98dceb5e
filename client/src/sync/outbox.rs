//! The outbox: sealed envelopes on their way into the log. One Append is in flight; a row goes when its entry is confirmed.

use std::collections::VecDeque;

use roost_shared::hash::Hash;
use roost_shared::limits::{
    APPEND_BYTES_MAX, APPEND_ENVELOPES_MAX, APPEND_TIMEOUT_MS, MET_TIMEOUT_MS, SLOWEST_BYTES_PER_MS,
};
use roost_shared::{Code, DocumentId};

use super::event::OutboxRow;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    rows: VecDeque<OutboxRow>,
    sent: Option<Sent>,
    held: Option<Held>,
    last_id: u64,
    /// Rows of one Append: fewer where the server had no room for more.
    rows_max: usize,
}

/// The server takes nothing of the outbox for now. The socket stays: what others write and the roster go on.
#[derive(Debug, Clone, Copy)]
struct Held {
    code: Code,
    until_ms: u64,
}

/// The Append in flight on this socket.
#[derive(Debug)]
struct Sent {
    id: u64,
    /// Up to this author_seq, and how many rows.
    until: u64,
    count: usize,
    if_tail: Option<u64>,
    deadline_ms: u64,
    /// Whether it was acknowledged. Its entries may be met before that; the next Append waits for both.
    is_acked: bool,
}

/// An Append to be sent.
pub(super) struct Batch {
    pub(super) id: u64,
    pub(super) if_tail: Option<u64>,
    pub(super) envelopes: Vec<Vec<u8>>,
}

impl Outbox {
    pub(super) fn new(rows: Vec<OutboxRow>) -> Self {
        Self { rows: rows.into(), sent: None, held: None, last_id: 0, rows_max: APPEND_ENVELOPES_MAX }
    }

    /// Whether what goes next is a rewrite.
    pub(super) fn rewrites(&self) -> bool {
        self.rows.front().is_some_and(|row| row.if_tail.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.sent.as_ref().map(|sent| sent.deadline_ms)
    }

    pub(super) fn push(&mut self, rows: Vec<OutboxRow>) {
        self.rows.extend(rows);
    }

    /// The first rows, as many as one Append takes; the same bytes again on a new socket. Those of a rewrite travel alone.
    pub(super) fn send(&mut self, now_ms: u64, reseals: Option<u64>) -> Option<Batch> {
        let rewrites = self.rows.front()?.if_tail;
        if self.sent.is_some() {
            return None;
        }
        let if_tail = rewrites.or(reseals);
        let (mut envelopes, mut bytes, mut until) = (Vec::new(), 0, 0);
        for row in &self.rows {
            bytes += row.bytes.len();
            let is_full = bytes > APPEND_BYTES_MAX || envelopes.len() == self.rows_max;
            if is_full || row.if_tail != rewrites {
                break;
            }
            envelopes.push(row.bytes.clone());
            until = row.author_seq;
        }
        self.last_id += 1;
        let deadline_ms = now_ms + APPEND_TIMEOUT_MS + bytes as u64 / SLOWEST_BYTES_PER_MS;
        self.sent =
            Some(Sent { id: self.last_id, until, count: envelopes.len(), if_tail, deadline_ms, is_acked: false });
        Some(Batch { id: self.last_id, if_tail, envelopes })
    }

    /// The Append in flight is durable.
    pub(super) fn acked(&mut self, id: u64, now_ms: u64) {
        if let Some(sent) = self.sent.as_mut().filter(|sent| sent.id == id) {
            sent.is_acked = true;
            sent.deadline_ms = now_ms + MET_TIMEOUT_MS;
            self.held = None;
        }
        self.finish_sent();
    }

    /// The condition the Append in flight was sent on.
    pub(super) fn if_tail(&self) -> Option<u64> {
        self.sent.as_ref().and_then(|sent| sent.if_tail)
    }

    fn finish_sent(&mut self) {
        let is_done = |sent: &Sent| sent.is_acked && self.rows.front().is_none_or(|row| row.author_seq > sent.until);
        if self.sent.as_ref().is_some_and(is_done) {
            self.sent = None;
        }
    }

    /// Whether an answer with this id is to what is in flight.
    pub(super) fn is_ours(&self, id: u64) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.id == id)
    }

    /// There is no room for what was in flight: half of it is sent at once, because an Append is taken whole or not at all.
    /// False if it was one row.
    pub(super) fn halve(&mut self) -> bool {
        let halves = self.sent.take_if(|sent| sent.count > 1);
        if let Some(sent) = &halves {
            self.rows_max = sent.count / 2;
        }
        halves.is_some()
    }

    /// Sends the Append in flight again.
    pub(super) fn forget_sent(&mut self) {
        self.sent = None;
    }

    /// The socket is gone: what was in flight, or held, is sent on the next.
    pub(super) fn disconnected(&mut self) {
        self.sent = None;
        self.rows_max = APPEND_ENVELOPES_MAX;
        if let Some(held) = &mut self.held {
            held.until_ms = 0;
        }
    }

    /// Holds the refused Append, to be sent again later.
    pub(super) fn hold(&mut self, code: Code, until_ms: u64) {
        self.sent = None;
        self.held = Some(Held { code, until_ms });
    }

    /// The code of the last refusal that holds the outbox.
    pub(super) fn held(&self) -> Option<Code> {
        self.held.map(|held| held.code)
    }

    /// The time of the next try; 0 if nothing is held.
    pub(super) fn held_until_ms(&self) -> u64 {
        self.held.map_or(0, |held| held.until_ms)
    }

    /// The row an entry of ours in the log is, if it is one: by number, and then by its bytes' hash.
    pub(super) fn row(&self, author_seq: u64) -> Option<&OutboxRow> {
        self.rows.iter().find(|row| row.author_seq == author_seq)
    }

    /// The row a leaf on this socket stands for.
    pub(super) fn row_of_leaf(&self, document: DocumentId, hash: Hash) -> Option<&OutboxRow> {
        self.rows.iter().find(|row| row.hash == hash && row.document == document)
    }

    /// Its entry was met: the row goes.
    pub(super) fn met(&mut self, author_seq: u64) -> Option<OutboxRow> {
        let place = self.rows.iter().position(|row| row.author_seq == author_seq);
        let row = place.and_then(|place| self.rows.remove(place));
        self.held = None;
        self.finish_sent();
        row
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.sent = None;
        self.held = None;
    }
}
