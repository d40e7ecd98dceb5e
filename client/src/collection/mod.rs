//! Collections: records of one type, found by their fields.
//!
//! A collection lies in a document, a field of a record is a value of its own there, and a table beside the document
//! makes it searchable. Reading order: this file is what an app holds; `batch` writes, `query` finds, `live` follows;
//! `fields` is how a field is kept, `record` how a record is.

mod batch;
mod conflict;
mod fields;
mod hooks;
mod live;
mod query;
pub(crate) mod record;
mod text;

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::batch::Batch;
pub use self::conflict::Conflict;
pub use self::fields::{Fields, Merge};
pub(crate) use self::hooks::Hooks;
pub use self::hooks::{HookGuard, Writing};
pub(crate) use self::live::Told;
pub use self::live::{Change, Changes, Diff, Live};
pub use self::query::{FieldName, Page, Paired, Query, field};
use crate::error::Error;
use crate::replica::CollectionForm;
use crate::store::Condition;
use crate::workspace::Workspace;

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

/// A collection of a workspace. Cheap to clone.
pub struct Collection<T> {
    pub(crate) workspace: Workspace,
    pub(crate) form: Arc<CollectionForm>,
    pub(crate) table: i64,
    pub(crate) hooks: Arc<Hooks<T>>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        let (workspace, form, hooks) = (self.workspace.clone(), Arc::clone(&self.form), Arc::clone(&self.hooks));
        Self { workspace, form, table: self.table, hooks }
    }
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

fn check_name(name: &str) -> Result<(), CollectionError> {
    if name.is_empty() || name.contains('~') { Err(CollectionError::Name(name.to_owned())) } else { Ok(()) }
}

impl<T: Record> Collection<T> {
    pub(crate) fn open(workspace: &Workspace) -> Result<Self, Error> {
        check_name(T::NAME)?;
        let document = workspace.document(T::DOCUMENT)?.id();
        let (schema, declared) = (workspace.schema(), T::fields(Fields::default()));
        let indexes = declared.indexes.iter().map(|field| schema.stored(T::NAME, field)).collect();
        let merges = declared.merges.iter().map(|(field, merge)| (schema.stored(T::NAME, field), merge.clone()));
        let fields = Fields { indexes, merges: merges.collect() };
        let form = Arc::new(CollectionForm { document, name: T::NAME.to_owned(), fields });
        let table = workspace.with(|replica| replica.use_collection(&form))?;
        let hooks = workspace.hooks::<T>();
        Ok(Self { workspace: workspace.clone(), form, table, hooks })
    }

    /// Adds a record, under a random id.
    pub fn insert(&self, record: &T) -> Result<RecordId, Error> {
        self.workspace.batch_of(T::DOCUMENT, |batch| batch.insert(self, record))
    }

    /// Adds a record under an id of the app's choice. Two devices that do so offline come to one record.
    pub fn insert_as(&self, id: &RecordId, record: &T) -> Result<(), Error> {
        self.workspace.batch_of(T::DOCUMENT, |batch| batch.insert_as(self, id, record))
    }

    /// Changes a record. Only fields that `change` changed are written: what others write into the rest stays theirs.
    pub fn update(&self, id: &RecordId, change: impl FnOnce(&mut T)) -> Result<(), Error> {
        self.workspace.batch_of(T::DOCUMENT, |batch| batch.update(self, id, change))
    }

    /// Writes one field. It mends a record that did not fit its type, if with this field it does; hooks are not asked then.
    pub fn set(&self, id: &RecordId, field: &str, value: impl Into<Value>) -> Result<(), Error> {
        self.workspace.batch_of(T::DOCUMENT, |batch| batch.set(self, id, field, value))
    }

    /// Deletes a record. What others write into it meanwhile is not lost: [`Collection::restore`] brings it back. Hooks are
    /// not asked about one that does not fit its type.
    pub fn delete(&self, id: &RecordId) -> Result<(), Error> {
        self.workspace.batch_of(T::DOCUMENT, |batch| batch.delete(self, id))
    }

    /// Brings a deleted record back, with what was written into it since.
    pub fn restore(&self, id: &RecordId) -> Result<(), Error> {
        self.workspace.batch_of(T::DOCUMENT, |batch| batch.restore(self, id))
    }

    /// One record; None if there is none of this id.
    pub fn get(&self, id: &RecordId) -> Result<Option<T>, Error> {
        let found = self.workspace.look_at_records(self.form.document, |store| store.record(self.table, &id.0))?;
        let Some(fields) = found else { return Ok(None) };
        Ok(Some(read(self.workspace.schema(), id, &fields)?))
    }

    /// Finds records: all of them, unless the query is told which.
    pub fn query(&self) -> Query<T> {
        Query::new(self.clone())
    }

    /// The records that fulfil a condition, by their ids.
    pub fn find(&self, condition: Condition) -> Result<Vec<Row<T>>, Error> {
        Ok(self.query().filter(condition).run()?.rows)
    }

    /// The first of them, by its id.
    pub fn find_one(&self, condition: Condition) -> Result<Option<Row<T>>, Error> {
        Ok(self.query().filter(condition).limit(1).run()?.rows.pop())
    }

    /// How many records there are.
    pub fn count(&self) -> Result<u64, Error> {
        self.query().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.count()? == 0)
    }

    /// Records of another collection whose `field` holds this record's id.
    pub fn related<U: Record>(&self, id: &RecordId, others: &Collection<U>, field: &str) -> Query<U> {
        others.query().filter(self::field(field).eq(id.as_str()))
    }

    /// Each record as it is added, changed or removed from now on, here or by another device.
    pub fn changes(&self) -> Changes<T> {
        Changes::new(self)
    }

    /// Called before each write of this process, within its commit: it may alter the record, and refuse. It must not use
    /// the workspace. Dropping the guard ends it.
    #[must_use = "dropping the guard ends the hook"]
    pub fn before(
        &self,
        hook: impl Fn(&mut Writing<'_, T>) -> Result<(), String> + Send + Sync + 'static,
    ) -> HookGuard {
        Hooks::before(&self.hooks, hook)
    }

    /// Called after each write of this process, once it is durable. Dropping the guard ends it.
    #[must_use = "dropping the guard ends the hook"]
    pub fn after(&self, hook: impl Fn(&Writing<'_, T>) + Send + Sync + 'static) -> HookGuard {
        Hooks::after(&self.hooks, hook)
    }
}

/// A record as it is stored, as its type.
pub(crate) fn read<T: Record>(
    schema: &crate::schema::Schema,
    id: &RecordId,
    fields: &str,
) -> Result<T, CollectionError> {
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
pub(crate) fn stored<T: Record>(
    schema: &crate::schema::Schema,
    record: &T,
) -> Result<Map<String, Value>, CollectionError> {
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
