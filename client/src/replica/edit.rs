//! Edits of this device: one SQLite transaction each, with all that follows from it; and undo, which is an edit too.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loro::{Frontiers, LoroDoc, LoroError, VersionVector};
use roost_shared::DocumentId;
use roost_shared::roster::Scope;

use super::Replica;
use crate::documents::edit::{Edited, Editor};
use crate::documents::error::EditError;
use crate::documents::made_again::MadeAgain;
use crate::documents::open::OpenDocument;
use crate::documents::undo::take_back;
use crate::migrate::due::Why;
use crate::migrate::plan::derive_from_edit;
use crate::operations::census::Census;
use crate::records::tables::Mark;
use crate::store::{StoreError, TakenBack};

impl Replica {
    /// One commit: what `edit` does to the document is durable when this returns, or was not done.
    pub fn edit<T>(
        &mut self,
        id: DocumentId,
        edit: impl FnOnce(&LoroDoc) -> Result<T, LoroError>,
    ) -> Result<T, EditError> {
        self.edit_as(id, |loro, _| edit(loro), |replica, _, before| replica.remember_edit(id, before))
    }

    /// [`Replica::edit`], for an edit that reads and writes counters.
    pub(crate) fn edit_counted<T>(
        &mut self,
        id: DocumentId,
        edit: impl FnOnce(&LoroDoc, &mut Census) -> Result<T, LoroError>,
    ) -> Result<T, EditError> {
        let counted = |loro: &LoroDoc, census: &mut Census| {
            census.follow(loro);
            edit(loro, census)
        };
        self.edit_as(id, counted, |replica, _, before| replica.remember_edit(id, before))
    }

    /// An edit, and what goes into its transaction with it: `remember` is given the frontiers before the edit, and is not
    /// called for one that did nothing.
    fn edit_as<T>(
        &mut self,
        id: DocumentId,
        edit: impl FnOnce(&LoroDoc, &mut Census) -> Result<T, LoroError>,
        remember: impl FnOnce(&mut Self, &T, &Frontiers) -> Result<(), StoreError>,
    ) -> Result<T, EditError> {
        self.check_editable(id)?;
        let (birth, schema) = (self.birth(id), self.schema().clone());
        let name = self.names.asked(id).filter(|name| schema.concerns(name));
        let derive = name.map(|name| {
            move |open: &mut OpenDocument, before: &VersionVector| derive_from_edit(&schema, &name, open, before)
        });
        let derive = derive.as_ref().map(|derive| derive as &dyn Fn(&mut OpenDocument, &VersionVector) -> u32);
        let (done, edited) = self.documents.make(&mut self.store, id, &Editor { birth, derive }, edit)?;
        let Some(edited) = edited else { return Ok(done) };
        self.list(id)?;
        let heads = edited.heads.clone();
        self.in_one_transaction(&[id], |replica| {
            replica.save(id, edited)?;
            remember(replica, &done, &heads)
        })?;
        self.edited(id);
        if self.names.index() == Some(id) {
            // The edit is durable, whatever becomes of the documents it names: they stay due.
            let followed = self.follow_pending();
            followed.unwrap_or_else(|error| tracing::error!(%error, "documents that got a name are migrated later"));
        }
        self.documents.compact_soon(&mut self.store, id);
        Ok(done)
    }

    /// Lists the name of a document before its first edit is saved, so that no device holds an edit that it cannot name.
    fn list(&mut self, id: DocumentId) -> Result<(), EditError> {
        if let Some(line) = self.names.lacks(&mut self.store, &mut self.documents, id)? {
            self.edit(line.index, |list| line.write(list))?;
            self.names.holds(&line);
        }
        Ok(())
    }

    /// Refuses edits by a device that may only read, and edits of a document that the version gate keeps from this
    /// program.
    pub(crate) fn check_editable(&self, id: DocumentId) -> Result<(), EditError> {
        if self.scope() == Some(Scope::Read) {
            return Err(EditError::ReadOnly);
        }
        let needs = self.store.document_schema(id)?.reader_min;
        if self.schema().edits(needs) {
            return Ok(());
        }
        Err(if self.schema().is_raw() { EditError::NeedsApp { needs } } else { EditError::Behind { needs } })
    }

    /// Saves an edit and all that follows from it: what is derived, and the records of collections.
    fn save(&mut self, id: DocumentId, edited: Edited) -> Result<(), StoreError> {
        let (before, migrated, schema) = (edited.before.clone(), edited.migrated, self.schema().number());
        self.documents.save(&mut self.store, id, edited, schema)?;
        self.has_changed(id);
        if self.names.index() != Some(id) {
            self.follow_schema(id, if migrated > 0 { Why::Derived(&before) } else { Why::Edited(&before) })?;
        }
        self.follow_tables(id, true)
    }

    /// Runs work whose writes are one transaction: all that it does to these documents, or nothing.
    pub(super) fn in_one_transaction<T, E: From<StoreError>>(
        &mut self,
        ids: &[DocumentId],
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let tables: Vec<Mark> = ids.iter().map(|id| self.tables.mark(*id)).collect();
        self.store.begin()?;
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        let failed = match done {
            Ok(Ok(done)) => match self.store.end() {
                Ok(()) => return Ok(done),
                Err(error) => Ok(Err(error.into())),
            },
            failed => {
                self.store.give_up();
                failed
            }
        };
        self.forget(ids, tables);
        failed.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// After a transaction that was given up: documents and tables as the store has them.
    fn forget(&mut self, ids: &[DocumentId], tables: Vec<Mark>) {
        for (id, mark) in ids.iter().zip(tables).rev() {
            self.documents.close(*id);
            self.tables.back_to(*id, mark);
        }
    }

    /// What the first edit of a document says of the app that made it.
    fn birth(&self, id: DocumentId) -> Option<(u32, u32)> {
        let version = self.schema().number();
        let reader_min = || self.names.asked(id).map_or(0, |name| self.schema().reader_min(&name));
        (version > 0 && self.names.index() != Some(id)).then(|| (version, reader_min()))
    }

    /// An edit of the app can be undone from now on; a line in the list of names cannot.
    fn remember_edit(&mut self, id: DocumentId, before: &Frontiers) -> Result<(), StoreError> {
        if self.names.index() == Some(id) {
            return Ok(());
        }
        self.documents.remember_edit(&mut self.store, id, before)
    }

    /// Undoes this device's last edit of a document that was not undone yet; false if there is none. What others wrote
    /// since stays: where they wrote into the same place, theirs stands, and a record, text or node that the edit made and
    /// they have written into stays whole.
    pub fn undo(&mut self, id: DocumentId) -> Result<bool, EditError> {
        self.turn(id, false)
    }

    /// Makes the edit that was undone last again; false if there is none, or something was edited since.
    pub fn redo(&mut self, id: DocumentId) -> Result<bool, EditError> {
        self.turn(id, true)
    }

    fn turn(&mut self, id: DocumentId, undone: bool) -> Result<bool, EditError> {
        let Some((edit, later)) = self.store.last_undo(id, undone)? else { return Ok(false) };
        let theirs = self.documents.written_by_others(&mut self.store, id, &edit.after)?;
        let made = MadeAgain::new(self.store.made_again(id)?);
        let mut is_turned = false;
        // The edit that undoes is none that is undone.
        let turned = self.edit_as(
            id,
            |loro, _| take_back(loro, &edit, &later, &theirs, &made),
            |replica, made_again, before| {
                is_turned = true;
                let open = replica.documents.opened(id);
                let after = open.map(|open| open.loro.oplog_frontiers()).unwrap_or_default();
                let by = TakenBack { before, after: &after, made_again };
                replica.store.turn_undo(id, edit.key, Some(by), replica.clock.now_ms())
            },
        );
        // One that does not fit what the document has become, or changes nothing: the next one is the one before it.
        if !is_turned && matches!(turned, Ok(_) | Err(EditError::Loro(_))) {
            self.store.turn_undo(id, edit.key, None, self.clock.now_ms())?;
        }
        turned.map(|_| true)
    }
}
