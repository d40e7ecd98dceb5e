//! Open documents: load, edit, keep small.

use loro::{CommitOptions, ExportMode, LoroDoc, LoroError, VersionVector};
use roost_shared::DocumentId;
use roost_shared::roster::Scope;

use super::Replica;
use crate::store::StoreError;
use crate::sync::{Event, Write};

/// Seconds within which one device's commits share a timestamp in the history.
const HISTORY_GRAIN_S: i64 = 60;
/// Changes beside the snapshot after which a new one is made.
const CHANGES_MAX: usize = 1_000;
/// Their bytes, where they also outweigh the snapshot.
const CHANGE_BYTES_MAX: usize = 256 * 1024;
/// The root map that lists documents in the index.
const INDEX_ROOT: &str = "documents";

pub(super) struct OpenDocument {
    pub(super) loro: LoroDoc,
    /// What the log has of it.
    pub(super) log_vv: VersionVector,
    changes: usize,
    change_bytes: usize,
    snapshot_bytes: usize,
}

/// Why an edit was not made. The document is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Loro refused it.
    #[error("the edit does not fit the document: {0}")]
    Loro(#[from] LoroError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first epoch's key is not here, on which names hang.
    #[error("this device holds no key for names yet: let it sync once")]
    NoKey,
    /// This device may only read.
    #[error("this device may only read this workspace")]
    ReadOnly,
    /// The store holds bytes Loro does not read.
    #[error("the document does not load: {0}")]
    Unreadable(String),
}

impl OpenDocument {
    /// Changes were saved beside the snapshot.
    pub(super) const fn grew(&mut self, changes: usize, bytes: usize) {
        self.changes += changes;
        self.change_bytes += bytes;
    }
}

impl Replica {
    /// Loads a document, if it is not open. A fresh peer id each time: reuse would be silent divergence.
    pub(super) fn load(&mut self, id: DocumentId) -> Result<&mut OpenDocument, EditError> {
        if !self.open.contains_key(&id) {
            let row = self.store.document(id)?;
            let loro = LoroDoc::new();
            let mut open =
                OpenDocument { loro, log_vv: VersionVector::default(), changes: 0, change_bytes: 0, snapshot_bytes: 0 };
            if let Some(row) = row {
                let unreadable = |error: LoroError| EditError::Unreadable(error.to_string());
                if let Some(snapshot) = &row.snapshot {
                    open.loro.import(snapshot).map_err(unreadable)?;
                    open.snapshot_bytes = snapshot.len();
                }
                if !row.changes.is_empty() {
                    open.loro.import_batch(&row.changes).map_err(unreadable)?;
                }
                open.changes = row.changes.len();
                open.change_bytes = row.changes.iter().map(Vec::len).sum();
                open.log_vv = row.log_vv;
            }
            open.loro.set_peer_id(self.clock.random_peer())?;
            open.loro.set_record_timestamp(true);
            open.loro.set_change_merge_interval(HISTORY_GRAIN_S);
            self.open.insert(id, open);
        }
        self.open.get_mut(&id).ok_or_else(|| EditError::Unreadable("it is not open".to_owned()))
    }

    /// Looks at a document. An edit made here is undone: it was not saved.
    pub fn read<T>(&mut self, id: DocumentId, look: impl FnOnce(&LoroDoc) -> T) -> Result<T, EditError> {
        self.load(id)?;
        // Out of the map while the app has it: if the app panics, the document is loaded anew.
        let Some(open) = self.open.remove(&id) else { return Err(EditError::Unreadable("it is not open".to_owned())) };
        let before = open.loro.oplog_vv();
        let looked = look(&open.loro);
        if open.loro.oplog_vv() == before {
            self.open.insert(id, open);
        }
        Ok(looked)
    }

    /// One commit: what `edit` does to the document is durable when this returns, or was not done.
    pub fn edit<T>(
        &mut self,
        id: DocumentId,
        edit: impl FnOnce(&LoroDoc) -> Result<T, LoroError>,
    ) -> Result<T, EditError> {
        let now_s = i64::try_from(self.clock.now_ms() / 1_000).unwrap_or(0);
        let schema = self.choices.schema;
        if self.scope() == Some(Scope::Read) {
            return Err(EditError::ReadOnly);
        }
        self.load(id)?;
        // Out of the map until it is saved: Loro has no way back, so what is not saved goes with the open document, and
        // that holds for a panic of the app as well.
        let Some(mut open) = self.open.remove(&id) else {
            return Err(EditError::Unreadable("it is not open".to_owned()));
        };
        let before = open.loro.oplog_vv();
        let edited = edit(&open.loro);
        open.loro.commit_with(CommitOptions::new().timestamp(now_s));
        let done = edited?;
        if before.includes_vv(&open.loro.oplog_vv()) {
            self.open.insert(id, open);
            return Ok(done);
        }
        let update = open.loro.export(ExportMode::updates(&before)).map_err(LoroError::from)?;
        self.store.commit(id, &update, schema)?;
        open.grew(1, update.len());
        self.open.insert(id, open);
        self.changed.push(id);
        self.compact_soon(id);
        let step = self.machine.handle(self.clock.monotonic_ms(), Event::Edited);
        debug_assert!(step.writes.is_empty(), "an edit alone changes nothing in the machine's tables");
        for effect in step.effects {
            // Sealing is work of its own; nothing else follows from an edit.
            let output = self.output(effect);
            debug_assert!(output.is_none(), "an edit alone sends nothing");
        }
        Ok(done)
    }

    /// A local snapshot that is not made now is made another time; what it would hold is saved.
    pub(super) fn compact_soon(&mut self, id: DocumentId) {
        if let Err(error) = self.compact(id) {
            tracing::warn!(document = %id, %error, "the local snapshot was not made; it is tried again");
        }
    }

    /// Puts a local snapshot in the place of many changes.
    fn compact(&mut self, id: DocumentId) -> Result<(), EditError> {
        let Some(open) = self.open.get_mut(&id) else { return Ok(()) };
        let heavy = open.change_bytes > CHANGE_BYTES_MAX.max(open.snapshot_bytes);
        if open.changes <= CHANGES_MAX && !heavy {
            return Ok(());
        }
        let snapshot = open.loro.export(ExportMode::Snapshot).map_err(LoroError::from)?;
        let rest = open.loro.export_pending_updates().map_err(LoroError::from)?;
        self.store.compact(id, &snapshot, rest.as_deref())?;
        open.changes = usize::from(rest.is_some());
        open.change_bytes = rest.map_or(0, |rest| rest.len());
        open.snapshot_bytes = snapshot.len();
        Ok(())
    }

    /// Rows were met: open documents learn what the log has of them now.
    pub(super) fn track_met(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if !writes.iter().any(|write| matches!(write, Write::Met { .. })) {
            return Ok(());
        }
        for id in self.store.edited_documents()? {
            let log_vv = self.store.log_vv(id)?;
            if let Some(open) = self.open.get_mut(&id) {
                open.log_vv = log_vv;
                if open.log_vv.includes_vv(&open.loro.oplog_vv()) {
                    self.store.not_edited(id)?;
                }
            }
        }
        Ok(())
    }

    /// The id of the document of this name, the same on every device; listed in the index from now on.
    pub fn named(&mut self, name: &str) -> Result<DocumentId, EditError> {
        let first = self.ring.first().ok_or(EditError::NoKey)?;
        let (id, index) = (first.named_document(name), first.index_document());
        let key = id.to_string();
        let is_listed = self.read(index, |loro| loro.get_map(INDEX_ROOT).get(&key).is_some())?;
        if !is_listed && self.scope() == Some(Scope::ReadWrite) {
            self.edit(index, |loro| loro.get_map(INDEX_ROOT).insert(&key, name))?;
        }
        Ok(id)
    }

    /// The documents the index lists: id and name.
    pub fn names(&mut self) -> Result<Vec<(DocumentId, String)>, EditError> {
        let index = self.ring.first().ok_or(EditError::NoKey)?.index_document();
        let listed = self.read(index, |loro| {
            let mut listed = Vec::new();
            loro.get_map(INDEX_ROOT).for_each(|id, name| {
                let name = name.get_deep_value().into_string().ok().map(|name| name.to_string());
                listed.extend(id.parse().ok().zip(name));
            });
            listed
        })?;
        let mut listed: Vec<(DocumentId, String)> = listed;
        listed.sort_by(|one, other| (&one.1, one.0).cmp(&(&other.1, other.0)));
        Ok(listed)
    }
}
