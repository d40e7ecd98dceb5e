//! Fields read another way than they are stored: renames and defaults. No operation is made, ever.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How an app of this version reads and writes the fields of a collection.
///
/// A renamed field keeps its key in the document for good: apps of any version read and write the same register, and
/// none hides what another wrote.
#[derive(Debug, Clone)]
pub struct View {
    collection: String,
    stored: BTreeMap<String, String>,
    defaults: BTreeMap<String, Value>,
}

impl View {
    /// Of the collection of this name, in whichever document.
    pub fn of(collection: &str) -> Self {
        Self { collection: collection.to_owned(), stored: BTreeMap::new(), defaults: BTreeMap::new() }
    }

    /// The app calls `stored` by another name now.
    #[must_use]
    pub fn renamed(mut self, stored: &str, name: &str) -> Self {
        self.stored.insert(name.to_owned(), stored.to_owned());
        self
    }

    /// What a record without this field is read to hold in it, unless an earlier version said so already.
    #[must_use]
    pub fn default(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.defaults.insert(field.to_owned(), value.into());
        self
    }

    pub(super) fn collection(&self) -> &str {
        &self.collection
    }

    /// The key a field is stored under.
    pub(super) fn stored<'a>(&'a self, field: &'a str) -> &'a str {
        self.stored.get(field).map_or(field, String::as_str)
    }

    /// A record as it is stored, as the app reads it.
    pub(super) fn read(&self, record: &mut Map<String, Value>) {
        for (name, stored) in &self.stored {
            if let Some(value) = record.remove(stored) {
                record.insert(name.clone(), value);
            }
        }
        for (field, value) in &self.defaults {
            record.entry(field.clone()).or_insert_with(|| value.clone());
        }
    }
}
