//! Sealing: operations that the log lacks are exported, compressed, cut into parts, encrypted and signed.

use loro::VersionVector;
use roost_shared::limits::{PART_MAX, UPDATE_MAX};
use roost_shared::plaintext::{Compression, Head};
use roost_shared::{DocumentId, Header, Kind, WorkspaceId};

use super::cache::Documents;
use super::contain::Refusal;
use super::error::EditError;
use super::held::HeldReason;
use crate::clock::Clock;
use crate::keys::{EpochKey, KeyPair, seal};
use crate::schema::{Schema, gate};
use crate::store::{SealedRow, Store, StoreError};
use crate::sync::{OutboxRow, SealAt};

/// Below this compressing gains nothing: the padding's floor is about as large.
const COMPRESS_FROM: usize = 256;
/// The Loro that writes the blobs: major and minor of the pinned version.
const LORO: (u16, u16) = (1, 17);

/// What the log lacks of a document.
pub(crate) struct Export {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
    /// What the log will have of the document; None if that is learned when it is merged.
    pub(crate) until: Option<VersionVector>,
    /// The lowest schema version that may read the document.
    pub(crate) reader_min: u32,
}

/// What became of an export.
pub(crate) enum Exported {
    Blob(Export),
    /// The log has it all.
    Nothing,
    /// It cannot be exported now; it is safe here.
    Left(HeldReason),
}

impl Documents {
    /// Exports what the log lacks of a document, as much as one update holds.
    pub(crate) fn export(
        &mut self,
        store: &mut Store,
        schema: &Schema,
        document: DocumentId,
    ) -> Result<Exported, StoreError> {
        let needs = store.document_schema(document)?.reader_min;
        if !schema.reads(needs) {
            // What it writes, newer apps would have to repair: it waits for the update.
            return Ok(Exported::Left(HeldReason::Behind { needs }));
        }
        let exported = self.contain(store, document, |open| {
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
            Ok(Exported::Nothing) => store.not_edited(document)?,
            Ok(Exported::Left(HeldReason::ValueTooLarge)) => {
                tracing::error!(%document, "one value in the document is too large to sync; it is safe on this device");
            }
            Ok(_) => {}
            Err(EditError::Store(error)) => return Err(error),
            Err(_) => return Ok(Exported::Left(HeldReason::Unreadable)), // the app is told when it opens it, too
        }
        Ok(exported.unwrap_or(Exported::Nothing))
    }
}

/// The device that seals, where in the log it does, and the epoch's key.
pub(crate) struct Sealer<'a> {
    pub(crate) at: SealAt,
    pub(crate) key: &'a EpochKey,
    pub(crate) device: &'a KeyPair,
    pub(crate) workspace: WorkspaceId,
    /// The schema version of the app.
    pub(crate) schema: u32,
    pub(crate) clock: &'a dyn Clock,
}

impl Sealer<'_> {
    /// Seals an export behind the rows that are sealed already.
    pub(crate) fn seal(&self, document: DocumentId, export: Export, sealed: &mut Vec<SealedRow>) {
        let (compression, bytes) = compress(export.bytes);
        let parts: Vec<&[u8]> = bytes.chunks(PART_MAX).collect();
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let blob = if count > 1 { self.clock.random() } else { [0; 16] };
        for (part, body) in (0..count).zip(parts) {
            let head = Head {
                compression,
                schema: self.schema,
                reader_min: export.reader_min,
                loro: LORO,
                part,
                parts: count,
                blob,
            };
            let author_seq = self.at.author_seq + sealed.len() as u64;
            let header = Header {
                kind: export.kind,
                epoch: self.at.epoch,
                workspace: self.workspace,
                log: self.at.log,
                document,
                author: self.device.device_id(),
                author_seq,
                base_size: self.at.base_size,
                base_root: self.at.base_root,
                nonce: self.clock.random(),
            };
            let envelope = seal::envelope(self.key, self.device, header, &head.plaintext(body));
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
