//! The documents in memory: loaded from the store, salvaged where they do not load, kept small, let go of.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use loro::{ContainerID, ContainerType, LoroDoc, LoroError, LoroValue};
use parking_lot::Mutex;
use roost_shared::hash::Hash;
use roost_shared::{DeviceId, DocumentId};

use super::contain::{Broken, Refusal, contained, goes_on};
use super::digest;
use super::error::EditError;
use super::open::OpenDocument;
use crate::clock::Clock;
use crate::store::{DocumentRow, Risk, Store, StoreError, where_possible};

/// Documents that are held in memory.
pub(crate) const OPEN_MAX: usize = 32;
/// Changes beside the snapshot after which a new one is made, if the snapshot is small.
const CHANGES_MAX: usize = 1_000;
/// Bytes of the snapshot for each change beside a larger one: what a new snapshot costs is shared by as many changes.
const SNAPSHOT_BYTES_EACH: usize = 4 * 1024;
/// Their bytes, where they also outweigh the snapshot.
const CHANGE_BYTES_MAX: usize = 256 * 1024;
/// Processes that may die of one and the same bytes: the first may have been killed by chance, and of the second those
/// bytes were tried alone.
pub(crate) const DEATHS_MAX: u32 = 2;

/// The part of a document that this device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Nothing of the document is here.
    Absent,
    /// Entries of the document wait in the inbox: for the rest of their parts, a key, or an update of the app.
    Partial,
    /// All that the log was read of the document is merged.
    Whole,
}

/// The documents of a workspace on this device. Each holds what is saved, and goes when what it holds cannot be saved.
pub(crate) struct Documents {
    clock: Arc<dyn Clock>,
    /// The device whose edits these are.
    device: DeviceId,
    open: HashMap<DocumentId, OpenDocument>,
    uses: u64,
    /// Documents that Loro cannot write out as a whole any more: they go on, without a local snapshot.
    unsound: HashSet<DocumentId>,
    /// Documents that this process has loaded.
    loaded: Arc<Mutex<HashSet<DocumentId>>>,
    /// Edits of this device within this time are undone together, in milliseconds.
    undo_pause_ms: u64,
}

impl Documents {
    /// No document is open yet.
    pub(crate) fn new(clock: Arc<dyn Clock>, device: DeviceId) -> Self {
        Self {
            clock,
            device,
            open: HashMap::new(),
            uses: 0,
            unsound: HashSet::new(),
            loaded: Arc::default(),
            undo_pause_ms: 0,
        }
    }

    /// The documents that this process has loaded, to be asked without the replica.
    pub(crate) fn loaded(&self) -> Arc<Mutex<HashSet<DocumentId>>> {
        Arc::clone(&self.loaded)
    }

    /// Edits of this device that follow on each other within this time are undone together.
    pub(crate) const fn set_undo_pause(&mut self, pause_ms: u64) {
        self.undo_pause_ms = pause_ms;
    }

    /// The time within which edits are undone together, in milliseconds.
    pub(crate) const fn undo_pause_ms(&self) -> u64 {
        self.undo_pause_ms
    }

    /// Looks up the part of a document that this device holds.
    pub(crate) fn extent(store: &Store, id: DocumentId) -> Result<Extent, StoreError> {
        Ok(match (store.waits(id)?, store.holds(id)?) {
            (true, _) => Extent::Partial,
            (false, true) => Extent::Whole,
            (false, false) => Extent::Absent,
        })
    }

    /// The clock by which edits are dated.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// This device.
    pub(crate) const fn device(&self) -> DeviceId {
        self.device
    }

    /// A document that is open.
    pub(crate) fn opened(&mut self, id: DocumentId) -> Option<&mut OpenDocument> {
        self.open.get_mut(&id)
    }

    /// Lets go of a document: it is loaded anew when it is asked for.
    pub(crate) fn close(&mut self, id: DocumentId) {
        self.open.remove(&id);
    }

    /// Lets go of all documents.
    pub(crate) fn close_all(&mut self) {
        self.open.clear();
    }

    /// Answers false for a document that Loro failed to write out as a whole.
    pub(crate) fn is_sound(&self, id: DocumentId) -> bool {
        !self.unsound.contains(&id)
    }

    /// A document that Loro cannot write out as a whole goes on without a local snapshot.
    pub(crate) fn is_unsound(&mut self, id: DocumentId) {
        self.unsound.insert(id);
    }

    /// A document is tried as a whole again, from the store.
    pub(crate) fn try_again(&mut self, id: DocumentId) {
        self.unsound.remove(&id);
        self.open.remove(&id);
    }

    /// Shows a document to `look`. An edit made by it is undone: it was not saved. A look into the past ends with it.
    pub(crate) fn read<T>(
        &mut self,
        store: &mut Store,
        id: DocumentId,
        look: impl FnOnce(&LoroDoc) -> T,
    ) -> Result<T, EditError> {
        let looked = contained(self.take_open(store, id)?, |open| Ok::<_, Infallible>(open.look(look)));
        let (open, (looked, is_as_saved)) = looked.unwrap_or_else(goes_on);
        if is_as_saved {
            self.keep(id, open);
        }
        Ok(looked)
    }

    /// A container's deep value, its counters counted as every device counts them; None if the document has no such
    /// container.
    pub(crate) fn value_of(
        &mut self,
        store: &mut Store,
        id: DocumentId,
        container: &ContainerID,
    ) -> Result<Option<LoroValue>, EditError> {
        self.contain(store, id, |open| {
            open.census.follow(&open.loro);
            Ok(open.census.deep_value(&open.loro, container))
        })
    }

    /// The convergence digest of a document, and the version it stands for.
    pub(crate) fn digest(&mut self, store: &mut Store, id: DocumentId) -> Result<(Hash, Vec<(u64, i32)>), EditError> {
        self.contain(store, id, |open| {
            open.census.follow(&open.loro);
            Ok(digest::digest(&open.loro, &open.census))
        })
    }

    /// Outbox rows were met in the log: open documents learn what the log has of them now.
    pub(crate) fn track_met(&mut self, store: &mut Store) -> Result<(), StoreError> {
        for id in store.edited_documents()? {
            let Some(open) = self.open.get_mut(&id) else { continue };
            open.log_vv = store.log_vv(id)?;
            if open.is_in_log() {
                store.not_edited(id)?;
            }
        }
        Ok(())
    }

    /// Whether the log lacks something of a document. A device that may not write seals nothing, and would not find out
    /// otherwise.
    pub(crate) fn is_unsent(&mut self, store: &mut Store, id: DocumentId) -> Result<bool, StoreError> {
        if matches!(self.contain(store, id, |open| Ok(open.is_in_log())), Ok(true)) {
            where_possible(store.not_edited(id))?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Opens a document, if it is not open as it was saved. A fresh peer id each time: reuse would be silent divergence.
    pub(crate) fn load(&mut self, store: &mut Store, id: DocumentId) -> Result<&mut OpenDocument, EditError> {
        if !self.open.get(&id).is_some_and(OpenDocument::is_as_saved) {
            self.open.remove(&id);
            let mut open = match store.document(id)? {
                Some(row) => self.fill(store, id, row)?,
                None => OpenDocument::new(),
            };
            open.migrated = store.document_schema(id)?.migrated;
            open.begin(self.clock.random_peer())?;
            self.loaded.lock().insert(id);
            self.keep(id, open);
        }
        self.open.get_mut(&id).ok_or_else(EditError::not_open)
    }

    /// Keeps a document open. Everything in it is saved: the one that was not used for longest makes room.
    pub(crate) fn keep(&mut self, id: DocumentId, mut open: OpenDocument) {
        self.uses += 1;
        open.used = self.uses;
        self.open.insert(id, open);
        if self.open.len() > OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(id, _)| *id);
            oldest.map(|id| self.open.remove(&id));
        }
    }

    /// Keeps a document open, unless a root it met takes another's name: Loro shows roots in the order it met them, and
    /// loads them in the order of every device.
    pub(crate) fn keep_met(
        &mut self,
        store: &mut Store,
        id: DocumentId,
        open: OpenDocument,
        roots: &[(String, ContainerType)],
    ) {
        let clashes = |(name, _): &(String, _)| open.census.roots.get(name).is_some_and(|kinds| kinds.len() > 1);
        if !roots.iter().any(clashes) {
            return self.keep(id, open);
        }
        drop(open);
        if let Err(error) = self.load(store, id) {
            tracing::error!(document = %id, %error, "the document is loaded when it is asked for");
        }
    }

    /// Takes an open document out: it is kept again if all goes well, and loaded anew if not.
    pub(crate) fn take_open(&mut self, store: &mut Store, id: DocumentId) -> Result<OpenDocument, EditError> {
        self.load(store, id)?;
        self.open.remove(&id).ok_or_else(EditError::not_open)
    }

    /// Has Loro work on a document.
    pub(crate) fn contain<T>(
        &mut self,
        store: &mut Store,
        id: DocumentId,
        work: impl FnOnce(&mut OpenDocument) -> Result<T, LoroError>,
    ) -> Result<T, EditError> {
        let (open, done) = contained(self.take_open(store, id)?, work).map_err(|broken| match broken {
            Broken::Refused(error) => EditError::Loro(error),
            Broken::Panicked(_) => EditError::Unreadable("Loro panics on it".to_owned()),
        })?;
        self.keep(id, open);
        Ok(done)
    }

    fn fill(&mut self, store: &mut Store, id: DocumentId, row: DocumentRow) -> Result<OpenDocument, EditError> {
        let risk = Risk::Document(id);
        let deaths = store.deaths(risk)?;
        mark(store, risk)?;
        let filled = match deaths {
            0 => contained(OpenDocument::new(), |open| open.fill(&row)).ok(),
            _ => None, // the last process may have died of it
        };
        let open = match filled {
            Some((open, ())) => open,
            None => self.salvage(store, id, &row)?,
        };
        if deaths > 0 {
            tracing::warn!(document = %id, "it loads again");
        }
        where_possible(store.safe(risk))?;
        Ok(open)
    }

    /// What is saved does not load as a whole: the snapshot, then change by change. One that fails stays behind.
    fn salvage(&mut self, store: &mut Store, id: DocumentId, row: &DocumentRow) -> Result<OpenDocument, EditError> {
        let snapshot = DocumentRow {
            snapshot: row.snapshot.clone(),
            changes: Vec::new(),
            log_vv: row.log_vv.clone(),
            roots: row.roots.clone(),
        };
        let mut open = filled(&snapshot, &[])?;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for change in &row.changes {
            let risk = Risk::Change(change.key);
            if store.deaths(risk)? >= DEATHS_MAX {
                bad.push(change.key);
                continue;
            }
            mark(store, risk)?;
            open = match contained(open, |open| open.take_in(&[], vec![change.bytes.clone()])) {
                Ok((open, _)) => {
                    good.push(&change.bytes[..]);
                    open
                }
                Err(_) => {
                    bad.push(change.key);
                    filled(&snapshot, &good)?
                }
            };
            where_possible(store.safe(risk))?;
        }
        tracing::error!(document = %id, "{} of {} saved changes do not load: they are kept in the file", bad.len(), row.changes.len());
        open.is_saved();
        where_possible(store.leave_out(&bad))?;
        // What is left is saved as one, lest it be the sum of them that does not load.
        self.keep(id, open);
        match self.snapshot(store, id) {
            Ok(()) => self.open.remove(&id).ok_or_else(EditError::not_open),
            Err(EditError::Store(error)) if error.fault().is_none() => Err(error.into()),
            Err(_) => filled(&snapshot, &good),
        }
    }

    /// A local snapshot that is not made now is made another time; what it would hold is saved.
    pub(crate) fn compact_soon(&mut self, store: &mut Store, id: DocumentId) {
        let Some(open) = self.open.get(&id) else { return };
        let heavy = open.change_bytes > CHANGE_BYTES_MAX.max(open.snapshot_bytes);
        let many = open.changes > CHANGES_MAX.max(open.snapshot_bytes / SNAPSHOT_BYTES_EACH);
        if self.unsound.contains(&id) || !many && !heavy {
            return;
        }
        if let Err(error) = self.snapshot(store, id) {
            tracing::warn!(document = %id, %error, "the local snapshot was not made; it is tried again");
        }
    }

    /// Puts a local snapshot in the place of the changes.
    fn snapshot(&mut self, store: &mut Store, id: DocumentId) -> Result<(), EditError> {
        let proven = self.contain(store, id, |open| Ok((open.prove()?, open.loro.export_pending_updates()?)));
        if matches!(proven, Err(EditError::Loro(_) | EditError::Unreadable(_))) {
            self.unsound.insert(id);
        }
        let (snapshot, rest) = proven?;
        store.compact(id, &snapshot, rest.as_deref())?;
        if let Some(open) = self.open.get_mut(&id) {
            open.compacted(snapshot.len(), rest.as_deref());
        }
        Ok(())
    }
}

fn filled(snapshot: &DocumentRow, changes: &[&[u8]]) -> Result<OpenDocument, EditError> {
    let filled = contained(OpenDocument::new(), |open| {
        open.fill(snapshot)?;
        let taken = open.take_in(&[], changes.iter().map(|change| change.to_vec()).collect());
        open.is_saved();
        taken
    });
    match filled {
        Ok((open, _)) => Ok(open),
        Err(Broken::Refused(Refusal::Loro(error))) => Err(EditError::Unreadable(error.to_string())),
        Err(_) => Err(EditError::Unreadable("Loro panics on it".to_owned())),
    }
}

/// A full disk keeps nobody from reading.
fn mark(store: &mut Store, risk: Risk) -> Result<(), StoreError> {
    where_possible(store.risk(&[risk]))
}
