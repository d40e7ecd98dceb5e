//! What two devices wrote without having seen each other's.

use roost_shared::DeviceId;
use serde_json::Value;

use super::handle::Collection;
use super::record::{CollectionError, Record, RecordId};
use crate::api::error::Error;
use crate::api::workspace::Workspace;
use crate::records::record;
use crate::store::ConflictRow;

/// Two values of one field of a record, written by two devices of which neither had seen the other's. One of them stands;
/// the other is kept here until the app takes it, or forgets it.
///
/// ```no_run
/// # use roost::{Collection, Error, Record, Workspace, json::Value};
/// # fn settle<Food: Record>(workspace: &Workspace, foods: &Collection<Food>, is_better: impl Fn(&Value) -> bool) -> Result<(), Error> {
/// for conflict in foods.conflicts()? {
///     match is_better(&conflict.hidden) {
///         true => foods.take_hidden(&conflict)?,
///         false => workspace.forget_conflict(&conflict)?,
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Conflict {
    /// The collection.
    pub collection: String,
    /// The record.
    pub record: RecordId,
    /// The field, as it is stored.
    pub field: String,
    /// The value that stood when this was found; null if the field was taken out, or the record was deleted. It may have
    /// been written again since.
    pub kept: Value,
    /// Who wrote it, where that is known.
    pub kept_by: Option<DeviceId>,
    /// The value that it hid; null if that was to take the field out, or was written into a text, set or counter, which is
    /// whole once the record is back.
    pub hidden: Value,
    /// Who wrote that, where it is known.
    pub hidden_by: Option<DeviceId>,
    key: i64,
    /// In which life of the record.
    pub(super) life: String,
}

impl From<ConflictRow> for Conflict {
    fn from(row: ConflictRow) -> Self {
        let value = |text: &str| serde_json::from_str(text).unwrap_or_default();
        Self {
            record: RecordId(record::id_of(&row.record).to_owned()),
            kept: value(&row.kept),
            hidden: value(&row.hidden),
            collection: row.collection,
            field: row.field,
            kept_by: row.kept_by,
            hidden_by: row.hidden_by,
            key: row.key,
            life: row.record,
        }
    }
}

impl Workspace {
    /// Values of records that were hidden by another device's, as this device met them: at most the newest 10,000. Fields
    /// with a policy other than [`super::Merge::LastWriter`] hide nothing, but are hidden with a record that is deleted.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, Error> {
        Ok(self.with(|replica| replica.conflicts())?.into_iter().map(Conflict::from).collect())
    }

    /// Dismisses the conflict and keeps the current value.
    pub fn forget_conflict(&self, conflict: &Conflict) -> Result<(), Error> {
        Ok(self.with(|replica| replica.forget_conflict(conflict.key))?)
    }
}

impl<T: Record> Collection<T> {
    /// Conflicts in this collection; see [`Workspace::conflicts`].
    pub fn conflicts(&self) -> Result<Vec<Conflict>, Error> {
        let mut all = self.workspace.conflicts()?;
        all.retain(|conflict| conflict.collection == T::NAME);
        Ok(all)
    }

    /// Takes the hidden value: brings the record back if that was deleted, and writes it. Refused once the
    /// record was made anew under its id, which is another record.
    pub fn take_hidden(&self, conflict: &Conflict) -> Result<(), Error> {
        if conflict.collection != T::NAME {
            let (collection, id) = (T::NAME.to_owned(), conflict.record.clone());
            return Err(CollectionError::Missing { collection, id }.into());
        }
        self.workspace.batch_of(T::DOCUMENT, |batch| batch.take_hidden(self, conflict))?;
        self.workspace.forget_conflict(conflict)
    }
}
