//! From documents into the outbox: export what the log lacks, compress, split, seal, sign, and make it durable.

use loro::VersionVector;
use roost_shared::limits::{APPEND_BYTES_MAX, PART_MAX, UPDATE_MAX};
use roost_shared::plaintext::{Compression, Head};
use roost_shared::{DocumentId, Header, Kind};

use super::contain::Refusal;
use super::{EditError, Replica};
use crate::held::HeldReason;
use crate::keys::{EpochKey, seal};
use crate::schema::gate;
use crate::store::{SealedRow, StoreError};
use crate::sync::{OutboxRow, SealAt};

/// Below this compressing gains nothing: the padding's floor is about as large.
const COMPRESS_FROM: usize = 256;
/// The Loro that writes the blobs: major and minor of the pinned version.
const LORO: (u16, u16) = (1, 17);

/// What the log lacks of a document.
pub(super) struct Export {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    /// What the log will have of the document; None if that is learned when it is merged.
    pub(super) until: Option<VersionVector>,
    /// The lowest schema version that may read the document.
    pub(super) reader_min: u32,
}

/// What became of an export.
enum Exported {
    Blob(Export),
    /// The log has it all.
    Nothing,
    /// It cannot be exported now; it is safe here.
    Left(HeldReason),
}

impl Replica {
    /// Seals until an Append is full; the rows are on the disk when this returns.
    /// The second value says whether there are edits that cannot be sealed now.
    pub(super) fn seal(&mut self, at: SealAt) -> Result<(Vec<OutboxRow>, bool), StoreError> {
        let edited = self.store.edited_documents()?;
        let Some(key) = self.ring.get(at.epoch).cloned() else {
            let is_left = !edited.is_empty();
            self.left = edited.into_iter().map(|document| (document, HeldReason::NoKey)).collect();
            return Ok((Vec::new(), is_left));
        };
        self.left.clear();
        let (mut sealed, mut bytes) = (Vec::new(), 0);
        for document in edited {
            let export = match self.export(document)? {
                Exported::Blob(export) => export,
                Exported::Nothing => continue,
                Exported::Left(reason) => {
                    self.left.insert(document, reason);
                    continue;
                }
            };
            self.seal_blob(at, &key, document, export, &mut sealed);
            bytes = sealed.iter().map(|sealed: &SealedRow| sealed.row.bytes.len()).sum();
            if bytes >= APPEND_BYTES_MAX / 2 {
                break;
            }
        }
        if bytes > 0 {
            self.store.seal(&sealed)?;
        }
        Ok((sealed.into_iter().map(|sealed| sealed.row).collect(), !self.left.is_empty()))
    }

    fn export(&mut self, document: DocumentId) -> Result<Exported, StoreError> {
        let needs = self.store.document_schema(document)?.reader_min;
        if !self.schema.reads(needs) {
            // What it writes, newer apps would have to repair: it waits for the update.
            return Ok(Exported::Left(HeldReason::Behind { needs }));
        }
        let exported = self.contain(document, |open| {
            let from = open.log_vv.clone();
            if from.includes_vv(&open.loro.oplog_vv()) {
                return Ok(if open.waits_unsent() { Exported::Left(HeldReason::Waits) } else { Exported::Nothing });
            }
            let reader_min = gate::reader_min(&open.loro);
            match open.next_update(&from, UPDATE_MAX) {
                Ok((bytes, until)) => {
                    Ok(Exported::Blob(Export { kind: Kind::Update, bytes, until: Some(until), reader_min }))
                }
                Err(Refusal::Loro(error)) => Err(error),
                Err(_) => Ok(Exported::Left(HeldReason::ValueTooLarge)),
            }
        });
        match exported {
            Ok(Exported::Nothing) => self.store.not_edited(document)?,
            Ok(Exported::Left(HeldReason::ValueTooLarge)) => {
                tracing::error!(%document, "one value in the document is too large to sync; it is safe on this device");
            }
            Ok(_) => {}
            Err(EditError::Store(error)) => return Err(error),
            Err(_) => return Ok(Exported::Left(HeldReason::Unreadable)), // the app is told when it opens it, too
        }
        Ok(exported.unwrap_or(Exported::Nothing))
    }

    pub(super) fn seal_blob(
        &self,
        at: SealAt,
        key: &EpochKey,
        document: DocumentId,
        export: Export,
        sealed: &mut Vec<SealedRow>,
    ) {
        let (compression, bytes) = compress(export.bytes);
        let parts: Vec<&[u8]> = bytes.chunks(PART_MAX).collect();
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let blob = if count > 1 { self.clock.random() } else { [0; 16] };
        for (part, body) in (0..count).zip(parts) {
            let head = Head {
                compression,
                schema: self.schema.number(),
                reader_min: export.reader_min,
                loro: LORO,
                part,
                parts: count,
                blob,
            };
            let author_seq = at.author_seq + sealed.len() as u64;
            let header = Header {
                kind: export.kind,
                epoch: at.epoch,
                workspace: self.identity.workspace,
                log: at.log,
                document,
                author: self.device.device_id(),
                author_seq,
                base_size: at.base_size,
                base_root: at.base_root,
                nonce: self.clock.random(),
            };
            let envelope = seal::envelope(key, &self.device, header, &head.plaintext(body));
            let until = export.until.clone().filter(|_| part + 1 == count);
            let hash = envelope.hash();
            let row = OutboxRow { author_seq, document, hash, if_tail: None, bytes: envelope.into_bytes() };
            sealed.push(SealedRow { row, until });
        }
    }
}

/// Compressed where that pays.
fn compress(bytes: Vec<u8>) -> (Compression, Vec<u8>) {
    if bytes.len() >= COMPRESS_FROM {
        match zstd::bulk::compress(&bytes, 3) {
            Ok(smaller) if smaller.len() < bytes.len() / 10 * 9 => return (Compression::Zstd, smaller),
            Ok(_) | Err(_) => {}
        }
    }
    (Compression::None, bytes)
}
