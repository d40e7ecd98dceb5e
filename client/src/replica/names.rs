//! Names of documents: an id that is the same on every device, and the list of names, itself a document.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use loro::LoroDoc;
use parking_lot::Mutex;
use roost_shared::DocumentId;

use super::{EditError, Replica};
use crate::keys::EpochKey;
use crate::store::StoreError;

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

/// Documents that the list is known to hold.
#[derive(Default)]
pub(super) struct Listed(HashSet<DocumentId>);

impl Replica {
    /// The id of the document of this name, the same on every device. The list of names learns of it at its first edit.
    pub fn named(&self, name: &str) -> Result<DocumentId, EditError> {
        self.names.named(name).ok_or(EditError::NoKey)
    }

    /// Names hang on the first epoch's key, which never changes.
    pub(super) fn learn_names(&self) {
        if let Some(first) = self.ring.first() {
            let _ = self.names.first.set(first.clone());
        }
    }

    /// The document that lists the others.
    pub(super) fn index(&self) -> Option<DocumentId> {
        self.ring.first().map(EpochKey::index_document)
    }

    /// The name of a document; None if that did not reach this device yet.
    pub(super) fn name_of(&mut self, id: DocumentId) -> Result<Option<String>, StoreError> {
        if self.names.of(id).is_none() {
            match self.names() {
                Ok(names) => self.names.asked.lock().extend(names),
                Err(EditError::Store(error)) => return Err(error),
                Err(_) => return Ok(None), // no key yet, or the list does not load
            }
        }
        Ok(self.names.of(id))
    }

    /// Lists the name of a document before its first edit is saved, so that no device holds an edit that it cannot name.
    pub(super) fn list(&mut self, id: DocumentId) -> Result<(), EditError> {
        let Some((name, index)) = self.names.of(id).zip(self.index()).filter(|_| !self.listed.0.contains(&id)) else {
            return Ok(());
        };
        let key = id.to_string();
        let is_listed = self.contain(index, |open| Ok(open.loro.get_map(INDEX_ROOT).get(&key).is_some()))?;
        if !is_listed {
            self.edit(index, |loro: &LoroDoc| loro.get_map(INDEX_ROOT).insert(&key, name))?;
        }
        self.listed.0.insert(id);
        Ok(())
    }

    /// The documents that the list holds: id and name.
    pub fn names(&mut self) -> Result<Vec<(DocumentId, String)>, EditError> {
        let index = self.index().ok_or(EditError::NoKey)?;
        let mut listed = self.contain(index, |open| {
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
    pub(crate) fn names_asked(&self) -> std::sync::Arc<Names> {
        std::sync::Arc::clone(&self.names)
    }
}
