//! Writes: several of them, in collections of one document, are one commit.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loro::{LoroDoc, LoroError};
use roost_shared::DocumentId;
use serde_json::{Map, Value};

use super::conflict::Conflict;
use super::handle::Collection;
use super::hooks::{Hooks, Writing};
use super::record::{CollectionError, Record, RecordId, check_name, read, stored};
use crate::api::error::Error;
use crate::api::workspace::Workspace;
use crate::clock::Clock;
use crate::operations::census::Census;
use crate::records::fields::Writer;
use crate::records::record;
use crate::schema::Schema;

/// Writes that will be one commit: all of them are durable when it returns, or none was made.
pub struct Batch<'a> {
    loro: &'a LoroDoc,
    census: &'a mut Census,
    document: DocumentId,
    schema: &'a Schema,
    clock: &'a dyn Clock,
    device: String,
    /// What the hooks are told once all is durable.
    told: Vec<Box<dyn FnOnce() + Send>>,
}

impl Workspace {
    /// Several writes as one commit, in collections that lie where [`Record::DOCUMENT`] says by default.
    ///
    /// ```no_run
    /// # use roost::{Collection, Error, Record, RecordId, Workspace};
    /// # fn pay<Account: Record>(workspace: &Workspace, accounts: &Collection<Account>, one: &RecordId, other: &RecordId) -> Result<(), Error> {
    /// workspace.batch(|batch| {
    ///     batch.set(accounts, one, "note", "paid")?;
    ///     batch.set(accounts, other, "note", "was paid")
    /// })
    /// # }
    /// ```
    pub fn batch<R>(&self, writes: impl FnOnce(&mut Batch<'_>) -> Result<R, Error>) -> Result<R, Error> {
        self.batch_of("collections", writes)
    }

    /// The same in another document.
    pub fn batch_of<R>(
        &self,
        document: &str,
        writes: impl FnOnce(&mut Batch<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let (clock, device) = (self.clock(), self.device().to_string());
        let id = self.document(document)?.id();
        let (mut refused, mut told) = (None, Vec::new());
        let edited = self.with(|replica| {
            let schema = replica.schema().clone();
            replica.edit_counted(id, |loro, census| {
                let (schema, clock) = (&schema, &*clock);
                let mut batch = Batch { loro, census, document: id, schema, clock, device, told: Vec::new() };
                let done = writes(&mut batch);
                told = batch.told;
                done.map_err(|error| {
                    // Loro has no word for it: the commit is called off, and the cause told below.
                    refused = Some(error);
                    LoroError::ArgErr("called off".into())
                })
            })
        });
        match (edited, refused) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(error.into()),
            (Ok(done), None) => {
                self.poke();
                told.into_iter().for_each(|tell| tell());
                Ok(done)
            }
        }
    }
}

impl Batch<'_> {
    /// See [`Collection::insert`].
    pub fn insert<T: Record>(&mut self, collection: &Collection<T>, record: &T) -> Result<RecordId, Error> {
        let id = RecordId(URL_SAFE_NO_PAD.encode(self.clock.random::<16>()));
        self.insert_as(collection, &id, record).map(|()| id)
    }

    /// See [`Collection::insert_as`].
    pub fn insert_as<T: Record>(&mut self, collection: &Collection<T>, id: &RecordId, record: &T) -> Result<(), Error> {
        self.belongs(collection)?;
        let mut record = self.copy(id, record)?;
        collection.hooks.ask(&mut Writing::Create { id, record: &mut record }).map_err(CollectionError::Hook)?;
        let fields = stored(self.schema, &record)?;
        let (loro, form, mut writer) = (self.loro, &collection.form, self.writer());
        if !record::create(loro, T::NAME, &id.0, &fields, &form.fields, &mut writer).map_err(loro_error)? {
            return Err(CollectionError::Exists { collection: T::NAME.to_owned(), id: id.clone() }.into());
        }
        self.tell(
            collection,
            move |hooks, id| {
                let mut record = record;
                hooks.tell(&Writing::Create { id, record: &mut record });
            },
            id,
        );
        Ok(())
    }

    /// See [`Collection::update`].
    pub fn update<T: Record>(
        &mut self,
        collection: &Collection<T>,
        id: &RecordId,
        change: impl FnOnce(&mut T),
    ) -> Result<(), Error> {
        self.belongs(collection)?;
        let held: T = self.held(collection, id)?;
        let mut changed = self.copy(id, &held)?;
        change(&mut changed);
        let mut writing = Writing::Update { id, before: &held, record: &mut changed };
        collection.hooks.ask(&mut writing).map_err(CollectionError::Hook)?;
        let (before, after) = (stored(self.schema, &held)?, stored(self.schema, &changed)?);
        self.write(collection, id, &before, &after)?;
        self.tell(
            collection,
            move |hooks, id| {
                let mut changed = changed;
                hooks.tell(&Writing::Update { id, before: &held, record: &mut changed });
            },
            id,
        );
        Ok(())
    }

    /// See [`Collection::set`].
    pub fn set<T: Record>(
        &mut self,
        collection: &Collection<T>,
        id: &RecordId,
        field: &str,
        value: impl Into<Value>,
    ) -> Result<(), Error> {
        self.belongs(collection)?;
        check_name(field)?;
        let missing = || CollectionError::Missing { collection: T::NAME.to_owned(), id: id.clone() };
        let held = record::read(self.loro, self.census, T::NAME, &id.0, &collection.form.fields).ok_or_else(missing)?;
        let mut fields = held.clone();
        self.schema.read(T::NAME, &mut fields);
        fields.insert(field.to_owned(), value.into());
        let mut is_unknown = false;
        let read = serde_ignored::deserialize(Value::Object(fields), |ignored| {
            is_unknown |= ignored.to_string() == field;
        });
        let changed: T = read.map_err(|error: serde_json::Error| {
            let (collection, id) = (T::NAME.to_owned(), id.clone());
            CollectionError::Unreadable { collection, id, what: error.to_string() }
        })?;
        if is_unknown {
            let (collection, field) = (T::NAME.to_owned(), field.to_owned());
            return Err(CollectionError::NoField { collection, field }.into());
        }
        match self.held::<T>(collection, id) {
            // It did not fit its type: no hook could look at it, and no other field is touched.
            Err(CollectionError::Unreadable { .. }) => {
                let key = self.schema.stored(T::NAME, field);
                let of = |mut fields: Map<String, Value>| Map::from_iter(fields.remove_entry(&key));
                let (before, after) = (of(held), of(stored(self.schema, &changed)?));
                self.write(collection, id, &before, &after)
            }
            _ => self.update(collection, id, |record| *record = changed),
        }
    }

    /// Has the value of a field that was hidden stand: brings the record back if it was deleted, and writes it.
    pub(super) fn take_hidden<T: Record>(
        &mut self,
        collection: &Collection<T>,
        conflict: &Conflict,
    ) -> Result<(), Error> {
        let (id, key) = (&conflict.record, &conflict.field);
        if !record::is_newest(self.loro, T::NAME, id.as_str(), &conflict.life) {
            return Err(CollectionError::MadeAnew { collection: T::NAME.to_owned(), id: id.clone() }.into());
        }
        if record::read(self.loro, self.census, T::NAME, &id.0, &collection.form.fields).is_none() {
            self.restore(collection, id)?;
        }
        // A text, set or counter was hidden with its record, and holds all that was written into it.
        if record::is_container(self.loro, T::NAME, &id.0, key) {
            return Ok(());
        }
        let after = Map::from_iter([(key.clone(), conflict.hidden.clone())]);
        self.write(collection, id, &Map::new(), &after)
    }

    /// One record as the batch left it; None if there is none of this id.
    pub fn get<T: Record>(&self, collection: &Collection<T>, id: &RecordId) -> Result<Option<T>, Error> {
        self.belongs(collection)?;
        match self.held(collection, id) {
            Ok(record) => Ok(Some(record)),
            Err(CollectionError::Missing { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// See [`Collection::delete`].
    pub fn delete<T: Record>(&mut self, collection: &Collection<T>, id: &RecordId) -> Result<(), Error> {
        self.belongs(collection)?;
        let held: Option<T> = match self.held(collection, id) {
            Err(CollectionError::Unreadable { .. }) => None,
            held => Some(held?),
        };
        if let Some(held) = &held {
            collection.hooks.ask(&mut Writing::Delete { id, record: held }).map_err(CollectionError::Hook)?;
        }
        record::set_deleted(self.loro, T::NAME, &id.0, true).map_err(loro_error)?;
        if let Some(held) = held {
            self.tell(collection, move |hooks, id| hooks.tell(&Writing::Delete { id, record: &held }), id);
        }
        Ok(())
    }

    /// See [`Collection::restore`].
    pub fn restore<T: Record>(&mut self, collection: &Collection<T>, id: &RecordId) -> Result<(), Error> {
        self.belongs(collection)?;
        if record::set_deleted(self.loro, T::NAME, &id.0, false).map_err(loro_error)? {
            return Ok(());
        }
        Err(CollectionError::Missing { collection: T::NAME.to_owned(), id: id.clone() }.into())
    }

    fn belongs<T: Record>(&self, collection: &Collection<T>) -> Result<(), CollectionError> {
        if collection.form.document == self.document {
            return Ok(());
        }
        Err(CollectionError::OtherDocument { collection: T::NAME.to_owned(), document: T::DOCUMENT.to_owned() })
    }

    fn held<T: Record>(&self, collection: &Collection<T>, id: &RecordId) -> Result<T, CollectionError> {
        let found = record::read(self.loro, self.census, T::NAME, &id.0, &collection.form.fields);
        let missing = || CollectionError::Missing { collection: T::NAME.to_owned(), id: id.clone() };
        read(self.schema, id, &Value::Object(found.ok_or_else(missing)?).to_string())
    }

    /// Hooks may alter it, and what is compared is what serde makes of it.
    fn copy<T: Record>(&self, id: &RecordId, record: &T) -> Result<T, CollectionError> {
        read(self.schema, id, &Value::Object(stored(self.schema, record)?).to_string())
    }

    fn write<T: Record>(
        &mut self,
        collection: &Collection<T>,
        id: &RecordId,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
    ) -> Result<(), Error> {
        let (loro, fields, mut writer) = (self.loro, &collection.form.fields, self.writer());
        record::update(loro, T::NAME, &id.0, (before, after), fields, &mut writer).map_err(loro_error)?;
        Ok(())
    }

    fn writer(&mut self) -> Writer<'_> {
        let unique = URL_SAFE_NO_PAD.encode(self.clock.random::<12>());
        Writer { peer: self.loro.peer_id(), census: self.census, device: self.device.clone(), unique }
    }

    fn tell<T: Record>(
        &mut self,
        collection: &Collection<T>,
        tell: impl FnOnce(&Hooks<T>, &RecordId) + Send + 'static,
        id: &RecordId,
    ) {
        if !collection.hooks.tells_nobody() {
            let (hooks, id) = (Arc::clone(&collection.hooks), id.clone());
            self.told.push(Box::new(move || tell(&hooks, &id)));
        }
    }
}

fn loro_error(error: LoroError) -> Error {
    Error::Edit(error.into())
}
