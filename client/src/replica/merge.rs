//! From the inbox into documents: envelopes are opened, parts put together, and a slice is imported and saved with all
//! that follows from it in one transaction.

use std::collections::{BTreeMap, VecDeque};

use loro::VersionVector;
use roost_shared::plaintext::{Head, PlaintextError};
use roost_shared::{DeviceId, DocumentId, Envelope, LogId, Seq};

use super::Replica;
use crate::documents::blob::{Bad, Blob, Part, blob_key};
use crate::documents::cache::{DEATHS_MAX, OPEN_MAX};
use crate::documents::error::EditError;
use crate::documents::import::Imported;
use crate::keys::seal;
use crate::migrate::due::Why;
use crate::records::conflicts;
use crate::store::{InboxRow, Risk, SLICE_BYTES, StoreError};
use crate::sync::Notice;

/// What an entry turned out to be.
enum Opened {
    Part(Box<Part>),
    Waits,
    /// Written for a newer schema: kept until the app is updated.
    Behind(u32),
    Bad(&'static str),
}

/// A blob in several parts, of which some came.
struct Unfinished {
    parts: u64,
    /// The last of those that came.
    seq: Seq,
    author: DeviceId,
    log: LogId,
    /// The author_seq of its last part.
    until: u64,
}

/// Blobs that are merged in one import.
enum Turn {
    /// Good ones, or one that a process died of.
    Together(Vec<Blob>),
    /// A blob in several parts, by its key: put together when its turn comes, so that one of them is in memory.
    Parts([u8; 32]),
}

/// The share of a slice that belongs to one document.
#[derive(Default)]
struct Share {
    waiting: Vec<(Seq, Option<[u8; 32]>)>,
    bad: Bad,
    blobs: Vec<Blob>,
    unfinished: BTreeMap<[u8; 32], Unfinished>,
    /// The schema version that entries of newer apps need; 0 if there are none.
    needs: u32,
}

impl Turn {
    fn is_unsuspected(&self) -> bool {
        matches!(self, Self::Together(blobs) if blobs.iter().all(|blob| blob.deaths == 0))
    }
}

impl Share {
    fn take(&mut self, document: DocumentId, seq: Seq, opened: Opened) {
        match opened {
            Opened::Waits => self.waiting.push((seq, None)),
            Opened::Behind(reader_min) => {
                self.waiting.push((seq, None));
                self.needs = self.needs.max(reader_min);
            }
            Opened::Bad(reason) => self.bad.push((seq, reason)),
            Opened::Part(part) if part.head.parts == 1 => match Blob::assemble(vec![*part]) {
                Ok(blob) => self.blobs.push(blob),
                Err(bad) => self.bad.extend(bad),
            },
            Opened::Part(part) => {
                let blob = blob_key(part.author, document, part.head.blob);
                let (author, log, parts) = (part.author, part.log, u64::from(part.head.parts));
                let until = part.author_seq + parts - 1 - u64::from(part.head.part);
                self.unfinished.insert(blob, Unfinished { parts, seq, author, log, until });
                self.waiting.push((seq, Some(blob)));
            }
        }
    }
}

impl Replica {
    /// Merges all that can be merged.
    pub(super) fn merge_all(&mut self) -> Result<(), StoreError> {
        while self.merge()? {}
        Ok(())
    }

    /// Tries to merge an entry that was put aside again, with the others of its document, or all entries. How many were
    /// merged.
    pub fn retry_quarantined(&mut self, seq: Option<u64>) -> Result<usize, StoreError> {
        let (seqs, documents) = self.store.requeue(seq)?;
        for document in documents {
            self.documents.try_again(document);
        }
        self.merge_all()?;
        let mut merged = 0;
        for seq in seqs {
            merged += usize::from(self.store.is_merged(seq)?);
        }
        Ok(merged)
    }

    /// Merges the next slice of the inbox; whether there may be more.
    pub(super) fn merge(&mut self) -> Result<bool, StoreError> {
        let rows = self.store.inbox(SLICE_BYTES)?;
        if rows.is_empty() {
            return Ok(false);
        }
        let mut shares: BTreeMap<DocumentId, Share> = BTreeMap::new();
        for row in rows {
            let (document, seq) = (row.document, row.seq);
            let opened = self.open_entry(row);
            shares.entry(document).or_default().take(document, seq, opened);
        }
        let mut shares = Vec::from_iter(shares);
        while !shares.is_empty() {
            let some = shares.drain(..shares.len().min(OPEN_MAX / 2)).collect();
            self.merge_shares(some)?;
        }
        self.store.has_inbox()
    }

    /// Merges what a slice brings to some documents, in one transaction; then, each by itself, what failed in it, what a
    /// process died of before, and blobs in several parts with all that follows on them.
    fn merge_shares(&mut self, shares: Vec<(DocumentId, Share)>) -> Result<(), StoreError> {
        let ids: Vec<DocumentId> = shares.iter().map(|(id, _)| *id).collect();
        let blobs = || shares.iter().flat_map(|(_, share)| &share.blobs).filter(|blob| blob.deaths == 0);
        let unmarked: Vec<Risk> = blobs().filter(|blob| !blob.is_marked).flat_map(Blob::risk).collect();
        self.store.risk(&unmarked)?;
        for (id, _) in shares.iter().filter(|(_, share)| !share.blobs.is_empty()) {
            self.load(*id)?;
        }
        let mut later = Vec::new();
        self.in_one_transaction(&ids, |replica| {
            for (id, share) in shares {
                let turns = replica.merge_share(id, share)?;
                later.extend(turns.into_iter().map(|turn| (id, turn)));
            }
            replica.store.survived()
        })?;
        for (id, turn) in later {
            self.take_turn(id, turn)?;
        }
        ids.into_iter().for_each(|id| self.documents.compact_soon(&mut self.store, id));
        Ok(())
    }

    /// Loads a document before a transaction: the mark of that risk must be durable. One that does not load waits.
    fn load(&mut self, id: DocumentId) -> Result<(), StoreError> {
        match self.documents.load(&mut self.store, id) {
            Err(EditError::Store(error)) => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Merges what a slice brings to one document, as far as one import goes; what is left, in its order.
    fn merge_share(&mut self, document: DocumentId, mut share: Share) -> Result<VecDeque<Turn>, StoreError> {
        self.store.wait(&share.waiting)?;
        if share.needs > self.store.document_schema(document)?.reader_min {
            self.store.gate(document, share.needs)?;
            self.notices.push(Notice::Behind { document, needs: share.needs });
        }
        self.put_aside(std::mem::take(&mut share.bad), 0)?;
        let mut turns = self.turns(share)?;
        if let Some(Turn::Together(blobs)) = turns.pop_front_if(|turn| turn.is_unsuspected())
            && self.merge_at_once(document, &blobs)?.is_err()
        {
            let one_by_one = blobs.into_iter().map(|blob| Turn::Together(vec![blob]));
            turns = one_by_one.chain(turns).collect();
        }
        Ok(turns)
    }

    /// The imports of a share, in the order of the log: else an author's later blob would lack what it follows on.
    fn turns(&mut self, share: Share) -> Result<VecDeque<Turn>, StoreError> {
        let mut parts = BTreeMap::new();
        for (blob, held) in share.unfinished {
            if self.store.count_parts(&blob)? >= held.parts {
                parts.insert(held.seq, blob);
            } else if self.is_over(&held) && !self.store.has_inbox()? {
                // Not while others of its parts may be among what was not looked at.
                self.store.drop_parts(&blob)?;
            }
        }
        let mut turns = VecDeque::new();
        for blob in share.blobs {
            while let Some(before) = parts.first_entry().filter(|before| blob.seqs.first() > Some(before.key())) {
                turns.push_back(Turn::Parts(before.remove()));
            }
            match turns.back_mut() {
                Some(Turn::Together(blobs)) if blob.deaths == 0 && blobs.iter().all(|blob| blob.deaths == 0) => {
                    blobs.push(blob);
                }
                _ => turns.push_back(Turn::Together(vec![blob])),
            }
        }
        turns.extend(parts.into_values().map(Turn::Parts));
        Ok(turns)
    }

    /// Merges blobs under a mark of their own: all, or else each by itself. One that fails alone is put aside.
    fn take_turn(&mut self, document: DocumentId, turn: Turn) -> Result<(), StoreError> {
        let blobs = match turn {
            Turn::Together(blobs) => blobs,
            Turn::Parts(blob) => match Blob::assemble(self.parts_of(&blob)?) {
                Ok(blob) => vec![blob],
                Err(bad) => return self.put_aside(bad, 0),
            },
        };
        let is_deadly = blobs.iter().any(|blob| blob.deaths >= DEATHS_MAX);
        if !is_deadly {
            self.store.risk(&Vec::from_iter(blobs.iter().flat_map(Blob::risk)))?;
            self.load(document)?;
        }
        let merged = self.in_one_transaction(&[document], |replica| {
            let merged = match is_deadly {
                true => Err("the app died each time it imported it"),
                false => replica.merge_at_once(document, &blobs)?,
            };
            if let (Err(reason), [blob]) = (merged, &blobs[..]) {
                replica.put_aside(blob.seqs.iter().map(|seq| (*seq, reason)).collect(), blob.reader_min)?;
            }
            replica.store.survived()?;
            Ok::<_, StoreError>(merged.is_ok())
        })?;
        if merged || blobs.len() == 1 {
            return Ok(());
        }
        blobs.into_iter().try_for_each(|blob| self.take_turn(document, Turn::Together(vec![blob])))
    }

    fn parts_of(&self, blob: &[u8; 32]) -> Result<Vec<Part>, StoreError> {
        let opened = self.store.parts(blob)?.into_iter().map(|row| self.open_entry(row));
        let parts = opened.filter_map(|opened| match opened {
            Opened::Part(part) => Some(*part),
            Opened::Waits | Opened::Behind(_) | Opened::Bad(_) => None,
        });
        Ok(parts.collect())
    }

    /// Merges all of these into a document, or none; why not, if it is their fault.
    fn merge_at_once(&mut self, document: DocumentId, blobs: &[Blob]) -> Result<Result<(), &'static str>, StoreError> {
        let import = match self.documents.import(&mut self.store, document, blobs)? {
            Imported::Taken(import) => *import,
            Imported::Refused(reason) => return Ok(Err(reason)),
            Imported::Waits => {
                let seqs = blobs.iter().flat_map(|blob| &blob.seqs);
                self.store.wait(&seqs.map(|seq| (*seq, None)).collect::<Vec<_>>())?;
                return Ok(Ok(()));
            }
        };
        let before = import.before.clone();
        if self.documents.save_import(&mut self.store, import)? {
            self.has_changed(document);
            self.find_conflicts(document, &before)?;
            self.follow_schema(document, Why::Merged(&before))?;
            self.follow_tables(document, false)?;
        }
        Ok(Ok(()))
    }

    /// Notes the values that were hidden as operations of others came in.
    fn find_conflicts(&mut self, document: DocumentId, before: &VersionVector) -> Result<(), StoreError> {
        let added = conflicts::find(&mut self.store, &mut self.documents, document, before)?;
        if added > 0 {
            if let Some((_, report)) = &mut self.sync.round {
                report.conflicts += added as u64;
            }
            self.notices.push(Notice::Conflict { document });
        }
        Ok(())
    }

    /// An author's entries have no gaps: when it wrote on and parts are missing, it gave the blob up, and sealed what it
    /// held anew.
    fn is_over(&self, held: &Unfinished) -> bool {
        let log = self.sync.machine.log();
        let last = log.authors.get(&held.author).map_or(0, |author| author.last);
        held.log != log.authors_of || last >= held.until
    }

    fn open_entry(&self, row: InboxRow) -> Opened {
        let (seq, deaths, is_marked) = (row.seq, row.deaths, row.is_marked);
        let Ok(envelope) = Envelope::parse(row.bytes) else { return Opened::Bad("it is no envelope") };
        let Some(key) = self.sync.ring.get(envelope.header().epoch) else {
            return Opened::Waits; // the roster brings the key, or we are out
        };
        let Ok(plaintext) = seal::plaintext(key, &envelope) else { return Opened::Bad("its body does not open") };
        let header = envelope.header();
        let kind = header.kind;
        match Head::parse(&plaintext) {
            Ok((head, _)) if !self.schema().reads(head.reader_min) && !self.takes_all => {
                Opened::Behind(head.reader_min)
            }
            Ok((head, body)) => {
                let (author, author_seq, log, body) = (header.author, header.author_seq, header.log, body.to_vec());
                Opened::Part(Box::new(Part { seq, kind, deaths, is_marked, author, author_seq, log, body, head }))
            }
            // A newer app wrote it: kept until this one is updated.
            Err(PlaintextError::Format(_) | PlaintextError::Compression(_)) => Opened::Waits,
            Err(_) => Opened::Bad("its plaintext is malformed"),
        }
    }

    fn put_aside(&mut self, bad: Bad, reader_min: u32) -> Result<(), StoreError> {
        if bad.is_empty() {
            return Ok(());
        }
        self.store.put_aside(&bad, reader_min)?;
        self.notices.extend(bad.into_iter().map(|(seq, reason)| Notice::Quarantined { seq, reason }));
        Ok(())
    }
}
