//! Names of documents: an id that is the same on every device, and the list of names, itself a document.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use loro::{LoroDoc, LoroResult};
use parking_lot::Mutex;
use roost_shared::DocumentId;

use super::cache::Documents;
use super::error::EditError;
use crate::keys::EpochKey;
use crate::keys::ring::KeyRing;
use crate::store::{Store, StoreError};

/// The root of the list of names: a map of ids to names.
const INDEX_ROOT: &str = "documents";

/// Names that were asked for, and ids that follow from them. It is asked without the replica.
#[derive(Default)]
pub(crate) struct Names {
    /// The first epoch's key, on which names hang.
    first: OnceLock<EpochKey>,
    asked: Mutex<HashMap<DocumentId, String>>,
}

impl Names {
    /// The id of the document of this name; None while this device holds no key for names.
    pub(crate) fn named(&self, name: &str) -> Option<DocumentId> {
        let id = self.first.get()?.named_document(name);
        self.asked.lock().insert(id, name.to_owned());
        Some(id)
    }

    /// The name under which a document was asked for.
    pub(crate) fn of(&self, id: DocumentId) -> Option<String> {
        self.asked.lock().get(&id).cloned()
    }
}

/// The list of names, and the documents that it is known to hold.
#[derive(Default)]
pub(crate) struct NameList {
    names: Arc<Names>,
    listed: HashSet<DocumentId>,
}

/// A line that the list of names lacks.
pub(crate) struct Unlisted {
    /// The document that is the list.
    pub(crate) index: DocumentId,
    document: DocumentId,
    name: String,
}

impl Unlisted {
    /// Writes the line.
    pub(crate) fn write(&self, list: &LoroDoc) -> LoroResult<()> {
        list.get_map(INDEX_ROOT).insert(&self.document.to_string(), self.name.as_str())
    }
}

impl NameList {
    /// Names hang on the first epoch's key, which never changes.
    pub(crate) fn learn(&self, ring: &KeyRing) {
        if let Some(first) = ring.first() {
            let _ = self.names.first.set(first.clone());
        }
    }

    /// The id of the document of this name, the same on every device. The list learns of it at its first edit.
    pub(crate) fn named(&self, name: &str) -> Result<DocumentId, EditError> {
        self.names.named(name).ok_or(EditError::NoKey)
    }

    /// The name under which a document was asked for.
    pub(crate) fn asked(&self, id: DocumentId) -> Option<String> {
        self.names.of(id)
    }

    /// The document that lists the others; None while this device holds no key for names.
    pub(crate) fn index(&self) -> Option<DocumentId> {
        self.names.first.get().map(EpochKey::index_document)
    }

    /// The name of a document; None if that did not reach this device yet.
    pub(crate) fn of(
        &self,
        store: &mut Store,
        documents: &mut Documents,
        id: DocumentId,
    ) -> Result<Option<String>, StoreError> {
        if self.names.of(id).is_none() {
            match self.all(store, documents) {
                Ok(names) => self.names.asked.lock().extend(names),
                Err(EditError::Store(error)) => return Err(error),
                Err(_) => return Ok(None), // no key yet, or the list does not load
            }
        }
        Ok(self.names.of(id))
    }

    /// The line that the list lacks of a document, so that no device saves an edit that it cannot name.
    pub(crate) fn lacks(
        &mut self,
        store: &mut Store,
        documents: &mut Documents,
        document: DocumentId,
    ) -> Result<Option<Unlisted>, EditError> {
        let is_known = self.listed.contains(&document);
        let Some((name, index)) = self.names.of(document).zip(self.index()).filter(|_| !is_known) else {
            return Ok(None);
        };
        let key = document.to_string();
        let is_listed =
            documents.contain(store, index, |open| Ok(open.loro.get_map(INDEX_ROOT).get(&key).is_some()))?;
        if is_listed {
            self.listed.insert(document);
        }
        Ok((!is_listed).then_some(Unlisted { index, document, name }))
    }

    /// The list holds this line.
    pub(crate) fn holds(&mut self, line: &Unlisted) {
        self.listed.insert(line.document);
    }

    /// The documents that the list holds: id and name.
    pub(crate) fn all(
        &self,
        store: &mut Store,
        documents: &mut Documents,
    ) -> Result<Vec<(DocumentId, String)>, EditError> {
        let index = self.index().ok_or(EditError::NoKey)?;
        let mut listed = documents.contain(store, index, |open| {
            let mut listed: Vec<(DocumentId, String)> = Vec::new();
            open.loro.get_map(INDEX_ROOT).for_each(|id, name| {
                let name = name.get_deep_value().into_string().ok().map(|name| name.to_string());
                listed.extend(id.parse().ok().zip(name));
            });
            Ok(listed)
        })?;
        listed.sort_by(|one, other| (&one.1, one.0).cmp(&(&other.1, other.0)));
        Ok(listed)
    }

    /// The names that were asked for, to be asked without the replica.
    pub(crate) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }
}
