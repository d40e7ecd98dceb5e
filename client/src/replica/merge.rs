//! From the inbox into documents: open, put parts together, import in batches, put aside what fails.

use std::collections::BTreeMap;

use roost_shared::plaintext::{Head, PlaintextError};
use roost_shared::{DeviceId, DocumentId, Envelope, Kind, LogId, Seq};

use super::blob::{Bad, Blob, Part, blob_key, cover, peers};
use super::contain::{Refusal, contained};
use super::load::DEATHS_MAX;
use super::{EditError, Replica};
use crate::keys::seal;
use crate::store::{InboxRow, Merged, Risk, StoreError};
use crate::sync::Notice;

/// Envelope bytes looked at in one piece of work.
const MERGE_BYTES: usize = 4 * 1024 * 1024;
/// What an entry turned out to be.
enum Looked {
    Part(Box<Part>),
    Waits,
    /// Written for a newer schema: kept until the app is updated.
    Behind(u32),
    Bad(&'static str),
}

/// A blob of which parts are missing.
struct Unfinished {
    parts: u64,
    author: DeviceId,
    log: LogId,
    /// The author_seq of its last part.
    until: u64,
}

impl Replica {
    /// Merges all that can be merged.
    pub(super) fn merge_all(&mut self) -> Result<(), StoreError> {
        while self.merge()? {}
        Ok(())
    }

    /// Merges what waits, up to a size; whether there may be more.
    pub(super) fn merge(&mut self) -> Result<bool, StoreError> {
        let rows = self.store.inbox(MERGE_BYTES)?;
        if rows.is_empty() {
            return Ok(false);
        }
        let mut by_document: BTreeMap<DocumentId, Vec<InboxRow>> = BTreeMap::new();
        for row in rows {
            by_document.entry(row.document).or_default().push(row);
        }
        for (document, rows) in by_document {
            self.merge_document(document, rows)?;
        }
        self.store.has_inbox()
    }

    fn merge_document(&mut self, document: DocumentId, rows: Vec<InboxRow>) -> Result<(), StoreError> {
        let (mut waiting, mut bad, mut blobs) = (Vec::new(), Bad::new(), Vec::new());
        let (mut unfinished, mut needs) = (BTreeMap::new(), 0);
        let mut assemble = |parts, bad: &mut Bad| match Blob::assemble(parts) {
            Ok(blob) => blobs.push(blob),
            Err(seqs) => bad.extend(seqs),
        };
        for row in rows {
            let seq = row.seq;
            match self.look(row) {
                (_, Looked::Waits) => waiting.push((seq, None)),
                (_, Looked::Behind(reader_min)) => {
                    waiting.push((seq, None));
                    needs = needs.max(reader_min);
                }
                (_, Looked::Bad(reason)) => bad.push((seq, reason)),
                (_, Looked::Part(part)) if part.head.parts == 1 => assemble(vec![*part], &mut bad),
                (_, Looked::Part(part)) => {
                    let blob = blob_key(part.author, document, part.head.blob);
                    let (author, log, parts) = (part.author, part.log, u64::from(part.head.parts));
                    let until = part.author_seq + parts - 1 - u64::from(part.head.part);
                    unfinished.insert(blob, Unfinished { parts, author, log, until });
                    waiting.push((seq, Some(blob)));
                }
            }
        }
        self.store.wait(&waiting)?;
        if needs > self.store.document_schema(document)?.reader_min {
            self.store.gate(document, needs)?;
            self.notices.push(Notice::Behind { document, needs });
        }
        for (blob, held) in unfinished {
            if self.store.count_parts(&blob)? < held.parts {
                // Not while others of its parts may be among what was not looked at.
                if self.is_over(&held) && !self.store.has_inbox()? {
                    self.store.drop_parts(&blob)?;
                }
            } else {
                let parts = self.store.parts(&blob)?.into_iter().filter_map(|row| match self.look(row).1 {
                    Looked::Part(part) => Some(*part),
                    Looked::Waits | Looked::Behind(_) | Looked::Bad(_) => None,
                });
                assemble(parts.collect(), &mut bad);
            }
        }
        self.put_aside(bad, 0)?;
        self.import_all(document, blobs)
    }

    /// An author's entries have no gaps: when it wrote on and parts are missing, it gave the blob up, and sealed what it
    /// held anew.
    fn is_over(&self, held: &Unfinished) -> bool {
        let log = self.machine.log();
        let last = log.authors.get(&held.author).map_or(0, |author| author.last);
        held.log != log.authors_of || last >= held.until
    }

    fn look(&self, row: InboxRow) -> (DeviceId, Looked) {
        let Ok(envelope) = Envelope::parse(row.bytes) else {
            return (DeviceId::ZERO, Looked::Bad("it is no envelope"));
        };
        let looked = self.look_inside(row.seq, row.deaths, &envelope);
        (envelope.header().author, looked)
    }

    fn look_inside(&self, seq: Seq, deaths: u32, envelope: &Envelope) -> Looked {
        let Some(key) = self.ring.get(envelope.header().epoch) else {
            return Looked::Waits; // the roster brings the key, or we are out
        };
        let Ok(plaintext) = seal::plaintext(key, envelope) else {
            return Looked::Bad("its body does not open");
        };
        let header = envelope.header();
        let kind = header.kind;
        match Head::parse(&plaintext) {
            Ok((head, _)) if !self.schema.reads(head.reader_min) && !self.takes_all => Looked::Behind(head.reader_min),
            Ok((head, body)) => {
                let (author, author_seq, log) = (header.author, header.author_seq, header.log);
                Looked::Part(Box::new(Part { seq, kind, deaths, author, author_seq, log, body: body.to_vec(), head }))
            }
            // A newer app wrote it: kept until this one is updated.
            Err(PlaintextError::Format(_) | PlaintextError::Compression(_)) => Looked::Waits,
            Err(_) => Looked::Bad("its plaintext is malformed"),
        }
    }

    /// At once, or one by one where one of them fails: each that fails is put aside, and all else goes in.
    fn import_all(&mut self, document: DocumentId, blobs: Vec<Blob>) -> Result<(), StoreError> {
        let (suspects, mut blobs): (Vec<Blob>, Vec<Blob>) = blobs.into_iter().partition(|blob| blob.deaths > 0);
        if !blobs.is_empty() && self.import(document, &blobs)?.is_ok() {
            blobs.clear();
        }
        for blob in blobs.into_iter().chain(suspects) {
            let imported = if blob.deaths >= DEATHS_MAX {
                Err("the app died each time it imported it")
            } else {
                self.import(document, std::slice::from_ref(&blob))?
            };
            if let Err(reason) = imported {
                self.put_aside(blob.seqs.into_iter().map(|seq| (seq, reason)).collect(), blob.reader_min)?;
            }
        }
        Ok(())
    }

    /// All of these or none; why not, if it is their fault.
    fn import(&mut self, document: DocumentId, blobs: &[Blob]) -> Result<Result<(), &'static str>, StoreError> {
        let risks: Vec<Risk> = blobs.iter().flat_map(|blob| blob.seqs.first().copied().map(Risk::Entry)).collect();
        self.store.risk(&risks)?;
        let imported = self.import_marked(document, blobs);
        self.store.survived()?; // those that went in are no longer marked
        imported
    }

    fn import_marked(&mut self, document: DocumentId, blobs: &[Blob]) -> Result<Result<(), &'static str>, StoreError> {
        let open = match self.take_open(document) {
            Ok(open) => open,
            Err(EditError::Store(error)) => return Err(error),
            Err(error) => {
                // What was saved before does not load: nothing is lost by waiting, and the other documents go on.
                tracing::error!(%document, %error, "entries wait");
                let seqs = blobs.iter().flat_map(|blob| &blob.seqs);
                self.store.wait(&seqs.map(|seq| (*seq, None)).collect::<Vec<_>>())?;
                return Ok(Ok(()));
            }
        };
        let (snapshots, updates): (Vec<&Blob>, Vec<&Blob>) = blobs.iter().partition(|blob| blob.kind == Kind::Snapshot);
        let is_sound = !self.unsound.contains(&document);
        let before = open.loro.oplog_vv();
        let imported = contained(open, |open| {
            let snapshots: Vec<&[u8]> = snapshots.iter().map(|blob| &blob.bytes[..]).collect();
            let taken = open.take_in(&snapshots, updates.iter().map(|blob| blob.bytes.clone()).collect())?;
            cover(&mut open.log_vv, blobs);
            if is_sound && open.is_unproven() {
                open.prove()?;
            }
            Ok::<_, Refusal>(taken)
        });
        let (mut open, taken) = match imported {
            Ok(imported) => imported,
            Err(broken) if is_sound && !self.is_provable(document)? => {
                // It was so before, and these may well be innocent.
                drop(broken);
                self.unsound.insert(document);
                return self.import_marked(document, blobs);
            }
            Err(broken) => return Ok(Err(broken.reason())),
        };
        if taken.is_pending {
            tracing::warn!(%document, "an update depends on one that is not here");
        }
        let merged = Merged {
            document,
            log_vv: open.log_vv.clone(),
            edited: !open.is_in_log(),
            schema: blobs.iter().map(|blob| blob.schema).max().unwrap_or(0),
            reader_min: blobs.iter().map(|blob| blob.reader_min).max().unwrap_or(0),
            peers: peers(blobs),
            done: blobs.iter().flat_map(|blob| blob.seqs.iter().copied()).collect(),
            changes: taken.changes,
            roots: open.census.take_met(),
        };
        self.store.merged(&merged)?;
        open.grew(&merged.changes);
        self.keep_met(document, open, &merged.roots);
        if !merged.changes.is_empty() {
            self.has_changed(document);
            self.find_conflicts(document, &before)?;
            self.follow_schema(document, &before, false)?;
            self.follow_changes(document, false)?;
        }
        self.compact_soon(document);
        Ok(Ok(()))
    }

    /// Whether Loro can write the document as it lies in the store.
    fn is_provable(&mut self, document: DocumentId) -> Result<bool, StoreError> {
        match self.contain(document, |open| open.prove()) {
            Ok(_) => Ok(true),
            Err(EditError::Store(error)) => Err(error),
            Err(_) => Ok(false),
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
