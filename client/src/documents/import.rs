//! Imports of what others wrote: into a document out of the cache, at the document's own risk.

use loro::VersionVector;
use roost_shared::{DocumentId, Kind};

use super::blob::{Blob, cover, peers};
use super::cache::Documents;
use super::contain::{Refusal, contained};
use super::error::EditError;
use super::open::{OpenDocument, Taken};
use crate::store::{Merged, Store, StoreError};

/// The outcome of an import.
pub(crate) enum Imported {
    /// The document does not load: nothing is lost by waiting, and the other documents go on.
    Waits,
    /// The blobs are at fault, for this reason.
    Refused(&'static str),
    /// The document in memory has all blobs; nothing is saved yet.
    Taken(Box<Import>),
}

/// Blobs in a document in memory, to be saved.
pub(crate) struct Import {
    open: OpenDocument,
    merged: Merged,
    /// The version before the import.
    pub(crate) before: VersionVector,
}

impl Documents {
    /// Imports all of these or none. The store has marked them as what the process may die of.
    pub(crate) fn import(
        &mut self,
        store: &mut Store,
        document: DocumentId,
        blobs: &[Blob],
    ) -> Result<Imported, StoreError> {
        let open = match self.take_open(store, document) {
            Ok(open) => open,
            Err(EditError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::error!(%document, %error, "entries wait");
                return Ok(Imported::Waits);
            }
        };
        let (is_sound, before) = (self.is_sound(document), open.loro.oplog_vv());
        let (open, taken) = match contained(open, |open| taken(open, blobs, is_sound)) {
            Ok(imported) => imported,
            Err(broken) if is_sound && !self.is_provable(store, document)? => {
                // It was so before, and these may well be innocent.
                drop(broken);
                self.is_unsound(document);
                return self.import(store, document, blobs);
            }
            Err(broken) => return Ok(Imported::Refused(broken.reason())),
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
            roots: Vec::new(),
        };
        Ok(Imported::Taken(Box::new(Import { open, merged, before })))
    }

    /// Saves an import, in the transaction that is under way; whether it brought operations.
    pub(crate) fn save_import(&mut self, store: &mut Store, import: Import) -> Result<bool, StoreError> {
        let Import { mut open, mut merged, .. } = import;
        merged.roots = open.census.take_met();
        store.merged(&merged)?;
        open.grew(&merged.changes);
        self.keep_met(store, merged.document, open, &merged.roots);
        Ok(!merged.changes.is_empty())
    }

    /// Whether Loro can write the document as it lies in the store.
    fn is_provable(&mut self, store: &mut Store, document: DocumentId) -> Result<bool, StoreError> {
        match self.contain(store, document, |open| open.prove()) {
            Ok(_) => Ok(true),
            Err(EditError::Store(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }
}

fn taken(open: &mut OpenDocument, blobs: &[Blob], is_sound: bool) -> Result<Taken, Refusal> {
    let (snapshots, updates): (Vec<&Blob>, Vec<&Blob>) = blobs.iter().partition(|blob| blob.kind == Kind::Snapshot);
    let snapshots: Vec<&[u8]> = snapshots.iter().map(|blob| &blob.bytes[..]).collect();
    let taken = open.take_in(&snapshots, updates.iter().map(|blob| blob.bytes.clone()).collect())?;
    cover(&mut open.log_vv, blobs);
    if is_sound && open.is_unproven() {
        open.prove()?;
    }
    Ok(taken)
}
