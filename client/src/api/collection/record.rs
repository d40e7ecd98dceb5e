//! Records, typed: what a type declares of its collection, and a record between its type and its stored fields.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::records::fields::Fields;
use crate::schema::Schema;

/// What is kept in a collection: any type that serde makes an object of.
///
/// Fields that the type does not know are kept. For enums that may grow, give them a variant with `#[serde(other)]`; for
/// fields that older records lack, `#[serde(default)]` or a [`crate::schema::View`].
///
/// ```
/// use roost::{Fields, Merge, Record};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Todo {
///     title: String,
///     done: bool,
///     due: Option<String>,
///     tags: Vec<String>,
/// }
///
/// impl Record for Todo {
///     const NAME: &str = "todos";
///
///     fn fields(fields: Fields) -> Fields {
///         fields.index("due").merge("title", Merge::Text).merge("tags", Merge::Set)
///     }
/// }
/// ```
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The collection's name: the root map of its records.
    const NAME: &str;
    /// The document it lies in. Collections of one document can be written in one commit; a document is loaded as a whole.
    const DOCUMENT: &str = "collections";

    /// Which fields are indexed, and what becomes of those that two devices write at once. Types that read one collection
    /// declare the same.
    fn fields(fields: Fields) -> Fields {
        fields
    }
}

/// A record's name within its collection, the same on every device: random, unless the app chose it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub(crate) String);

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<T> {
    /// Its id.
    pub id: RecordId,
    /// What it holds.
    pub record: T,
}

impl fmt::Display for RecordId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl RecordId {
    /// An id of the app's own choice: a date, a code, whatever two devices come to by themselves.
    pub fn new(id: &str) -> Result<Self, CollectionError> {
        check_name(id).map(|()| Self(id.to_owned()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) fn check_name(name: &str) -> Result<(), CollectionError> {
    if name.is_empty() || name.contains('~') { Err(CollectionError::Name(name.to_owned())) } else { Ok(()) }
}

/// What a collection could not do. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectionError {
    /// There is no such record, or it was deleted.
    #[error("there is no record {id} in {collection}")]
    Missing {
        /// Where.
        collection: String,
        /// Which.
        id: RecordId,
    },
    /// There is one already.
    #[error("{collection} holds a record {id} already: update it")]
    Exists {
        /// Where.
        collection: String,
        /// Which.
        id: RecordId,
    },
    /// It was deleted and made anew since: what was hidden is of the one before.
    #[error("record {id} of {collection} was made anew since: what was hidden is of the one before")]
    MadeAnew {
        /// Where.
        collection: String,
        /// Which.
        id: RecordId,
    },
    /// The record and the type do not fit.
    #[error(
        "record {id} of {collection} does not fit its type: {what}; set the field that does not, or delete the record"
    )]
    Unreadable {
        /// Where.
        collection: String,
        /// Which.
        id: RecordId,
        /// What serde says.
        what: String,
    },
    /// The type knows no such field, and would not keep it.
    #[error("{collection} has no field {field}")]
    NoField {
        /// Where.
        collection: String,
        /// What was to be written.
        field: String,
    },
    /// The type does not become a JSON object.
    #[error("a record of {collection} must become a JSON object: {what}")]
    NotAnObject {
        /// Where.
        collection: String,
        /// What serde says.
        what: String,
    },
    /// Names that Roost cannot keep.
    #[error("{0} names nothing: a name is not empty and has no ~")]
    Name(String),
    /// A hook did not let it pass.
    #[error("refused: {0}")]
    Hook(String),
    /// A batch is one commit, and so of one document.
    #[error(
        "{collection} lies in the document {document}, and the batch in another: collections that are written together share Record::DOCUMENT"
    )]
    OtherDocument {
        /// Which.
        collection: String,
        /// Where it lies.
        document: String,
    },
    /// The place to go on from belongs to another order.
    #[error("the place is not one of this query: begin from the start")]
    Place,
}

impl CollectionError {
    /// A stable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "record_missing",
            Self::Exists { .. } => "record_exists",
            Self::MadeAnew { .. } => "record_made_anew",
            Self::Unreadable { .. } => "record_unreadable",
            Self::NoField { .. } => "field_unknown",
            Self::NotAnObject { .. } => "record_no_object",
            Self::Name(_) => "name_malformed",
            Self::Hook(_) => "hook_refused",
            Self::OtherDocument { .. } => "other_document",
            Self::Place => "place_malformed",
        }
    }
}

/// A record as it is stored, as its type.
pub(crate) fn read<T: Record>(schema: &Schema, id: &RecordId, fields: &str) -> Result<T, CollectionError> {
    let unreadable = |error: serde_json::Error| CollectionError::Unreadable {
        collection: T::NAME.to_owned(),
        id: id.clone(),
        what: error.to_string(),
    };
    let mut fields: Map<String, Value> = serde_json::from_str(fields).map_err(unreadable)?;
    schema.read(T::NAME, &mut fields);
    serde_json::from_value(Value::Object(fields)).map_err(unreadable)
}

/// A record as its fields are stored.
pub(crate) fn stored<T: Record>(schema: &Schema, record: &T) -> Result<Map<String, Value>, CollectionError> {
    let collection = || T::NAME.to_owned();
    match serde_json::to_value(record) {
        Ok(Value::Object(fields)) => {
            if let Some(name) = fields.keys().find(|name| check_name(name).is_err()) {
                return Err(CollectionError::Name(name.clone()));
            }
            let stored = fields.into_iter().map(|(field, value)| (schema.stored(T::NAME, &field), value));
            Ok(stored.collect())
        }
        Ok(other) => Err(CollectionError::NotAnObject { collection: collection(), what: other.to_string() }),
        Err(error) => Err(CollectionError::NotAnObject { collection: collection(), what: error.to_string() }),
    }
}
