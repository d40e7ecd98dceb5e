//! From the inbox into documents: open, put parts together, import in batches, put aside what fails.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use loro::{LoroDoc, VersionVector};
use roost_shared::hash::Hash;
use roost_shared::limits::{SNAPSHOT_MAX, UPDATE_MAX};
use roost_shared::plaintext::{Compression, Head, PlaintextError};
use roost_shared::{DeviceId, DocumentId, Envelope, Kind, Seq};

use super::{EditError, Replica};
use crate::keys::seal;
use crate::store::{InboxRow, Merged, StoreError};
use crate::sync::Notice;

/// Envelope bytes looked at in one piece of work.
const MERGE_BYTES: usize = 4 * 1024 * 1024;
/// From this many on, one batch beats one by one.
const BATCH_FROM: usize = 4;

/// An update or snapshot, whole and as Loro wrote it.
struct Blob {
    seqs: Vec<Seq>,
    kind: Kind,
    schema: u32,
    bytes: Vec<u8>,
}

/// What an entry turned out to be.
enum Looked {
    Part(Box<Part>),
    Waits,
    Bad(&'static str),
}

/// A part with what its entry says of it.
struct Part {
    seq: Seq,
    kind: Kind,
    head: Head,
    body: Vec<u8>,
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
        let (mut waiting, mut quarantined, mut blobs) = (Vec::new(), Vec::new(), Vec::new());
        let mut unfinished = BTreeMap::new();
        for row in rows {
            let seq = row.seq;
            match self.look(row) {
                (_, Looked::Waits) => waiting.push((seq, None)),
                (_, Looked::Bad(reason)) => quarantined.push((seq, reason)),
                (_, Looked::Part(part)) if part.head.parts == 1 => assemble(vec![*part], &mut blobs, &mut quarantined),
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
                assemble(parts.collect(), &mut blobs, &mut quarantined);
            }
        }
        self.import(document, blobs, quarantined)
    }

    fn look(&self, row: InboxRow) -> (DeviceId, Looked) {
        let Ok(envelope) = Envelope::parse(row.bytes) else {
            return (DeviceId::ZERO, Looked::Bad("it is no envelope"));
        };
        let header = envelope.header();
        (header.author, self.look_inside(row.seq, header.kind, &envelope))
    }

    fn look_inside(&self, seq: Seq, kind: Kind, envelope: &Envelope) -> Looked {
        let Some(key) = self.ring.get(envelope.header().epoch) else {
            return Looked::Waits; // the roster brings the key, or we are out
        };
        let Ok(plaintext) = seal::plaintext(key, envelope) else {
            return Looked::Bad("its body does not open");
        };
        match Head::parse(&plaintext) {
            // Written for a newer schema: kept until the app is updated.
            Ok((head, _)) if head.reader_min > self.choices.schema => Looked::Waits,
            Ok((head, body)) => Looked::Part(Box::new(Part { seq, kind, body: body.to_vec(), head })),
            // A newer app wrote it: kept until this one is updated.
            Err(PlaintextError::Format(_) | PlaintextError::Compression(_)) => Looked::Waits,
            Err(_) => Looked::Bad("its plaintext is malformed"),
        }
    }

    fn import(
        &mut self,
        document: DocumentId,
        blobs: Vec<Blob>,
        mut quarantined: Vec<(Seq, &'static str)>,
    ) -> Result<(), StoreError> {
        if blobs.is_empty() && quarantined.is_empty() {
            return Ok(());
        }
        match self.load(document) {
            Ok(_) => {}
            Err(EditError::Store(error)) => return Err(error),
            Err(error) => {
                // What was saved before does not load: nothing is lost by waiting, and the other documents go on.
                tracing::error!(%document, %error, "entries wait");
                let seqs = blobs.iter().flat_map(|blob| &blob.seqs).chain(quarantined.iter().map(|(seq, _)| seq));
                return self.store.wait(&seqs.map(|seq| (*seq, None)).collect::<Vec<_>>());
            }
        }
        let mut taken = Vec::new();
        let mut failed = Vec::new();
        if !blobs.is_empty() {
            (taken, failed) = self.import_blobs(document, blobs)?;
        }
        for blob in &failed {
            quarantined.extend(blob.seqs.iter().map(|seq| (*seq, "Loro refuses it")));
        }
        self.notices.extend(quarantined.iter().map(|(seq, reason)| Notice::Quarantined { seq: *seq, reason }));
        let open = match self.load(document) {
            Ok(open) => open,
            Err(EditError::Store(error)) => return Err(error),
            Err(_) => return Ok(()), // it loaded a moment ago: the rows are looked at again at the next start
        };
        cover(&mut open.log_vv, &taken);
        let merged = Merged {
            document,
            log_vv: open.log_vv.clone(),
            edited: !open.log_vv.includes_vv(&open.loro.oplog_vv()),
            schema: taken.iter().map(|blob| blob.schema).max().unwrap_or(0),
            done: taken.iter().flat_map(|blob| blob.seqs.iter().copied()).collect(),
            changes: taken.into_iter().map(|blob| blob.bytes).collect(),
            quarantined,
        };
        let changes = merged.changes.len();
        let change_bytes = merged.changes.iter().map(Vec::len).sum();
        self.store.merged(&merged)?;
        self.merged_into(document, changes, change_bytes);
        Ok(())
    }

    /// Imports all of them, or finds out which ones Loro does not take.
    fn import_blobs(&mut self, document: DocumentId, blobs: Vec<Blob>) -> Result<(Vec<Blob>, Vec<Blob>), StoreError> {
        if self.try_import(document, &blobs) {
            return Ok((blobs, Vec::new()));
        }
        // One of them fails, or brings Loro down: one at a time, each on a document that is known to be good.
        let (mut taken, mut failed) = (Vec::new(), Vec::new());
        for blob in blobs {
            self.forget(document);
            taken.push(blob);
            if !self.try_import(document, &taken) {
                failed.extend(taken.pop());
                self.forget(document);
            }
        }
        if !taken.is_empty() && !self.open.contains_key(&document) {
            self.try_import(document, &taken);
        }
        Ok((taken, failed))
    }

    /// Whether all of them went in. Afterwards the open document is only good if they did.
    fn try_import(&mut self, document: DocumentId, blobs: &[Blob]) -> bool {
        let Ok(open) = self.load(document) else { return false };
        let loro = open.loro.clone();
        let imported = catch_unwind(AssertUnwindSafe(|| import_all(&loro, blobs)));
        match imported {
            Ok(Ok(pending)) => {
                if pending {
                    tracing::warn!(%document, "an update depends on one that is not here");
                }
                true
            }
            Ok(Err(_)) => false,
            Err(_) => {
                // Its drop would panic again.
                std::mem::forget(loro);
                false
            }
        }
    }

    /// Drops an open document; the store has all of it.
    fn forget(&mut self, document: DocumentId) {
        if let Some(open) = self.open.remove(&document) {
            std::mem::forget(open.loro); // it may be broken by what it was given
        }
    }

    fn merged_into(&mut self, document: DocumentId, changes: usize, change_bytes: usize) {
        if changes > 0 {
            self.changed.push(document);
        }
        if let Some(open) = self.open.get_mut(&document) {
            open.grew(changes, change_bytes);
        }
        self.compact_soon(document);
    }
}

/// Snapshots first and alone, then the rest at once.
fn import_all(loro: &LoroDoc, blobs: &[Blob]) -> Result<bool, loro::LoroError> {
    let mut pending = false;
    let (snapshots, updates): (Vec<&Blob>, Vec<&Blob>) = blobs.iter().partition(|blob| blob.kind == Kind::Snapshot);
    for snapshot in snapshots {
        pending |= loro.import(&snapshot.bytes)?.pending.is_some();
    }
    if updates.len() >= BATCH_FROM {
        let batch: Vec<Vec<u8>> = updates.iter().map(|blob| blob.bytes.clone()).collect();
        pending |= loro.import_batch(&batch)?.pending.is_some();
    } else {
        for update in updates {
            pending |= loro.import(&update.bytes)?.pending.is_some();
        }
    }
    Ok(pending)
}

/// The log now has what the blobs hold, where that follows on what it had, until nothing follows on: a blob may stand
/// before the one it follows. A gap is left out, and what lies beyond it is at worst offered again.
fn cover(log_vv: &mut VersionVector, blobs: &[Blob]) {
    let mut ranges = Vec::new();
    for blob in blobs {
        let Ok(meta) = LoroDoc::decode_import_blob_meta(&blob.bytes, false) else { continue };
        let start = |peer| meta.partial_start_vv.get(peer).copied().unwrap_or(0);
        ranges.extend(meta.partial_end_vv.iter().map(|(peer, end)| (*peer, start(peer), *end)));
    }
    ranges.sort_unstable(); // by peer, then by where they begin
    for (peer, start, end) in ranges {
        let known = log_vv.get(&peer).copied().unwrap_or(0);
        if start <= known && end > known {
            log_vv.insert(peer, end);
        }
    }
}

/// Blob ids are chosen by their authors: with the author and the document they name a blob.
fn blob_key(author: DeviceId, document: DocumentId, blob: [u8; 16]) -> [u8; 32] {
    Hash::of(&[&author.0, &document.0, &blob]).0
}

/// Puts the parts of a blob together and decompresses it.
fn assemble(mut parts: Vec<Part>, blobs: &mut Vec<Blob>, quarantined: &mut Vec<(Seq, &'static str)>) {
    parts.sort_by_key(|part| part.head.part);
    let seqs: Vec<Seq> = parts.iter().map(|part| part.seq).collect();
    let mut bad = |reason| quarantined.extend(seqs.iter().map(|seq| (*seq, reason)));
    let Some(first) = parts.first() else { return };
    let (kind, head) = (first.kind, first.head.clone());
    let in_order = parts.iter().zip(0..).all(|(part, number)| {
        part.kind == kind && part.head.part == number && part.head == Head { part: number, ..head.clone() }
    });
    let whole_len: usize = parts.iter().map(|part| part.body.len()).sum();
    let max = if kind == Kind::Snapshot { SNAPSHOT_MAX } else { UPDATE_MAX };
    if !in_order || parts.len() != head.parts as usize || whole_len > max {
        return bad("its parts do not fit together");
    }
    let whole: Vec<u8> = parts.into_iter().flat_map(|part| part.body).collect();
    match decompress(whole, head.compression, max) {
        Some(bytes) => blobs.push(Blob { seqs, kind, schema: head.schema, bytes }),
        None => bad("it does not decompress within its limit"),
    }
}

fn decompress(bytes: Vec<u8>, compression: Compression, max: usize) -> Option<Vec<u8>> {
    match compression {
        Compression::None => Some(bytes),
        Compression::Zstd => {
            // Grows as it reads: the size a frame claims is the sender's word.
            let mut out = Vec::new();
            let decoder = zstd::Decoder::new(&bytes[..]).ok()?.single_frame();
            decoder.take(max as u64 + 1).read_to_end(&mut out).ok()?;
            (out.len() <= max).then_some(out)
        }
    }
}
