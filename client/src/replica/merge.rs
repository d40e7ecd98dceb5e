//! From the inbox into documents: open, put parts together, import in batches, put aside what fails.

use std::collections::BTreeMap;

use roost_shared::plaintext::{Head, PlaintextError};
use roost_shared::{DeviceId, DocumentId, Envelope, Kind, Seq};

use super::blob::{Bad, Blob, Part, blob_key, cover};
use super::contain::{Broken, Refusal, contained};
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
    Bad(&'static str),
}

impl Replica {
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
        let mut unfinished = BTreeMap::new();
        let mut assemble = |parts, bad: &mut Bad| match Blob::assemble(parts) {
            Ok(blob) => blobs.push(blob),
            Err(seqs) => bad.extend(seqs),
        };
        for row in rows {
            let seq = row.seq;
            match self.look(row) {
                (_, Looked::Waits) => waiting.push((seq, None)),
                (_, Looked::Bad(reason)) => bad.push((seq, reason)),
                (_, Looked::Part(part)) if part.head.parts == 1 => assemble(vec![*part], &mut bad),
                (author, Looked::Part(part)) => {
                    let blob = blob_key(author, document, part.head.blob);
                    unfinished.insert(blob, u64::from(part.head.parts));
                    waiting.push((seq, Some(blob)));
                }
            }
        }
        self.store.wait(&waiting)?;
        for (blob, count) in unfinished {
            if self.store.count_parts(&blob)? == count {
                let parts = self.store.parts(&blob)?.into_iter().filter_map(|row| match self.look(row).1 {
                    Looked::Part(part) => Some(*part),
                    Looked::Waits | Looked::Bad(_) => None,
                });
                assemble(parts.collect(), &mut bad);
            }
        }
        self.put_aside(bad)?;
        self.import_all(document, blobs)
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
        let kind = envelope.header().kind;
        match Head::parse(&plaintext) {
            // Written for a newer schema: kept until the app is updated.
            Ok((head, _)) if head.reader_min > self.choices.schema => Looked::Waits,
            Ok((head, body)) => Looked::Part(Box::new(Part { seq, kind, deaths, body: body.to_vec(), head })),
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
                self.put_aside(blob.seqs.into_iter().map(|seq| (seq, reason)).collect())?;
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
            Err(Broken::Refused(Refusal::TooDeep)) => return Ok(Err("it is nested too deep")),
            Err(Broken::Refused(Refusal::Shallow)) => return Ok(Err("it is a snapshot without its history")),
            Err(Broken::Refused(Refusal::Loro(_))) => return Ok(Err("Loro refuses it")),
            Err(Broken::Panicked(_)) => return Ok(Err("Loro panics on it")),
        };
        if taken.is_pending {
            tracing::warn!(%document, "an update depends on one that is not here");
        }
        let merged = Merged {
            document,
            log_vv: open.log_vv.clone(),
            edited: !open.log_vv.includes_vv(&open.loro.oplog_vv()),
            schema: blobs.iter().map(|blob| blob.schema).max().unwrap_or(0),
            done: blobs.iter().flat_map(|blob| blob.seqs.iter().copied()).collect(),
            changes: taken.changes,
        };
        self.store.merged(&merged)?;
        for change in &merged.changes {
            open.grew(change.len());
        }
        self.open.insert(document, open);
        if !merged.changes.is_empty() {
            self.changed.push(document);
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

    fn put_aside(&mut self, bad: Bad) -> Result<(), StoreError> {
        if bad.is_empty() {
            return Ok(());
        }
        self.store.put_aside(&bad)?;
        self.notices.extend(bad.into_iter().map(|(seq, reason)| Notice::Quarantined { seq, reason }));
        Ok(())
    }
}
