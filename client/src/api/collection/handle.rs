//! A collection of a workspace, as an app holds it.

use std::sync::Arc;

use serde_json::Value;

use super::hooks::{HookGuard, Hooks, Writing};
use super::record::{Record, RecordId, check_name, read};
use crate::api::error::Error;
use crate::api::workspace::Workspace;
use crate::records::fields::Fields;
use crate::records::tables::CollectionForm;

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

impl Workspace {
    /// The collection of this type of record. Its first use on a device reads the whole document once.
    pub fn collection<T: Record>(&self) -> Result<Collection<T>, Error> {
        Collection::open(self)
    }
}

impl<T: Record> Collection<T> {
    fn open(workspace: &Workspace) -> Result<Self, Error> {
        check_name(T::NAME)?;
        let document = workspace.document_named(T::DOCUMENT)?;
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
