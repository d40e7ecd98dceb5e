//! Reads beside the replica: answers from the store as it is saved, while long work has the replica.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use loro::{ContainerID, LoroDoc, LoroValue};
use parking_lot::Mutex;
use roost_shared::DocumentId;

use super::cache::Documents;
use super::contain::{contained, goes_on};
use super::open::OpenDocument;
use crate::store::{Risk, Store, StoreError};

/// A second connection to a store, and one document that is open in it. It writes nothing.
pub(crate) struct Reader {
    path: Option<PathBuf>,
    /// Documents that this process has loaded. Another may be one that a process dies of, and is the replica's to load,
    /// which marks the risk first.
    loaded: Arc<Mutex<HashSet<DocumentId>>>,
    store: Option<Store>,
    open: Option<Opened>,
}

/// A document as it was saved at some moment.
struct Opened {
    id: DocumentId,
    /// The store's version at that moment.
    as_of: i64,
    document: OpenDocument,
}

impl Reader {
    /// A reader of the store; the connection is made when it is needed first.
    pub(crate) fn of(store: &Store, documents: &Documents) -> Self {
        Self { path: store.path().map(ToOwned::to_owned), loaded: documents.loaded(), store: None, open: None }
    }

    /// The store, to look at; None where a second connection cannot be had.
    pub(crate) fn store(&mut self) -> Option<&Store> {
        if self.store.is_none() {
            let opened = self.path.as_deref().and_then(|path| Store::open_beside(path).ok());
            let opened = opened.filter(|store| store.version().is_ok());
            if opened.is_none() {
                self.path = None; // asked once
            }
            self.store = opened;
        }
        self.store.as_ref()
    }

    /// Opens a document as it is saved; false where only the replica may, which knows how to salvage it.
    pub(crate) fn open(&mut self, id: DocumentId) -> bool {
        let held = self.open.take();
        let is_safe = self.loaded.lock().contains(&id);
        let store = self.store().filter(|_| is_safe);
        let opened = store.and_then(|store| store.at_one_moment(|store| opened(store, id, held)).ok().flatten());
        self.open = opened;
        self.open.is_some()
    }

    /// Looks at the open document. An edit made here is undone.
    pub(crate) fn read<T>(&mut self, look: impl FnOnce(&LoroDoc) -> T) -> Option<T> {
        let Opened { id, as_of, document } = self.open.take()?;
        let looked = contained(document, |open| Ok::<_, Infallible>(open.look(look)));
        let (document, (looked, is_as_saved)) = looked.unwrap_or_else(goes_on);
        self.open = is_as_saved.then_some(Opened { id, as_of, document });
        Some(looked)
    }

    /// The deep value of a container of the open document.
    pub(crate) fn value_of(&mut self, container: &ContainerID) -> Option<LoroValue> {
        let Opened { id, as_of, document } = self.open.take()?;
        let valued = contained(document, |open| {
            open.census.follow(&open.loro);
            Ok::<_, Infallible>(open.census.deep_value(&open.loro, container))
        });
        let (document, value) = valued.unwrap_or_else(goes_on);
        self.open = Some(Opened { id, as_of, document });
        value
    }

    /// Lets go of the open document: the replica answers again.
    pub(crate) fn forget(&mut self) {
        self.open = None;
    }
}

fn opened(store: &Store, id: DocumentId, held: Option<Opened>) -> Result<Option<Opened>, StoreError> {
    let as_of = store.version()?;
    let is_same = |held: &Opened| held.id == id && held.as_of == as_of && held.document.is_as_saved();
    if let Some(held) = held.filter(is_same) {
        return Ok(Some(held));
    }
    if store.deaths(Risk::Document(id))? > 0 {
        return Ok(None);
    }
    let row = store.document(id)?;
    let filled = contained(OpenDocument::new(), |open| row.as_ref().map_or(Ok(()), |row| open.fill(row)));
    Ok(filled.ok().map(|(document, ())| Opened { id, as_of, document }))
}
