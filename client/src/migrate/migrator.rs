//! The migrator: runs the derive steps of the app's schema on documents, and knows which wait for a rewrite.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use loro::VersionVector;
use roost_shared::DocumentId;

use super::desk::Desk;
use super::due::{Due, Why, due};
use super::late::late;
use super::plan::{fault_of, plan};
use crate::documents::contain::{Broken, contained};
use crate::documents::error::EditError;
use crate::operations::touched::Touched;
use crate::schema::{Failed, Fault, MigrationError, Progress, Schema, derive, gate};
use crate::store::StoreError;
use crate::sync::Notice;

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step of the app's schema. Documents before it are migrated, it and those after it are as they were.
    #[error(transparent)]
    Migration(#[from] MigrationError),
}

/// The app's schema, and the documents that wait for its rewrites.
pub(crate) struct Migrator {
    schema: Schema,
    /// Documents that wait for the tail of the log to be rewritten.
    rewrites: BTreeSet<DocumentId>,
}

impl Migrator {
    /// No document waits for a rewrite yet.
    pub(crate) const fn new(schema: Schema) -> Self {
        Self { schema, rewrites: BTreeSet::new() }
    }

    /// The app's schema.
    pub(crate) const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// True for a document that waits for the tail of the log to be rewritten.
    pub(crate) fn waits_for_tail(&self, id: DocumentId) -> bool {
        self.rewrites.contains(&id)
    }

    /// The documents that wait for the tail of the log to be rewritten.
    pub(crate) const fn rewrites(&self) -> &BTreeSet<DocumentId> {
        &self.rewrites
    }

    /// A document waits for no rewrite any more: it ran, or is not tried again before the next opening.
    pub(crate) fn forget_rewrite(&mut self, id: DocumentId) {
        self.rewrites.remove(&id);
    }

    /// Migrates whatever is pending at the opening, before anyone else sees the documents.
    pub(crate) fn migrate_all(
        &mut self,
        at: &mut Desk<'_>,
        watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), OpenError> {
        let version = self.schema.number();
        if version == 0 {
            return Ok(()); // it migrates nothing, and leaves the backup of an app that does
        }
        at.store.forget_migrating(version)?;
        let Some(index) = at.names.index().filter(|_| at.may_write) else {
            return Ok(());
        };
        let due = at.store.due(version)?;
        let names = match at.names.all(at.store, at.documents) {
            Ok(names) => names,
            Err(EditError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "the list of documents does not load: nothing is migrated");
                return Ok(());
            }
        };
        let due_names = names.into_iter().filter(|(id, _)| due.binary_search(id).is_ok());
        let (wanted, others): (Vec<_>, Vec<_>) = due_names.partition(|(_, name)| self.schema.concerns(name));
        let is_newer = at.store.migrated()? < version;
        let backup = if is_newer && !wanted.is_empty() { at.store.begin_migrating(version)? } else { None };
        if let Some(backup) = backup {
            let _ = watch(Progress::BackedUp { backup });
        }
        let of = wanted.len();
        for (done, (id, name)) in wanted.into_iter().enumerate() {
            let mut tell = |done| watch(Progress::Document { name: name.clone(), done, of });
            if tell(done).is_break() {
                let step = "begin".to_owned();
                return Err(MigrationError { document: name.clone(), version, step, fault: Fault::TimedOut }.into());
            }
            match self.run(at, id, Why::Opened, &mut || tell(done + 1)) {
                // What an older app wrote since, or what does not load, keeps nobody from the rest.
                Err(OpenError::Migration(error))
                    if matches!(error.fault, Fault::Unreadable(_))
                        || !is_newer && !matches!(error.fault, Fault::TimedOut) =>
                {
                    self.give_up(at, id, &error);
                }
                migrated => migrated?,
            }
            at.documents.close(id); // a thousand documents are not kept in memory for having been looked at
        }
        let others: Vec<DocumentId> = others.into_iter().map(|(id, _)| id).chain([index]).collect();
        at.store.not_concerned(&others, version)?;
        if is_newer {
            at.store.end_migrating(version)?;
        }
        Ok(())
    }

    /// Runs what is due on a document for this reason; what is left waits for the tail of the log.
    pub(crate) fn run(
        &mut self,
        at: &mut Desk<'_>,
        id: DocumentId,
        why: Why<'_>,
        goes_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), OpenError> {
        if self.schema.number() == 0 {
            return Ok(());
        }
        self.find_late(at, id, &why.before())?;
        match due(&self.schema, self.waits_for_tail(id), at, id, why)? {
            Due::Nothing => Ok(()),
            Due::Later => {
                if let Some(open) = at.documents.opened(id) {
                    open.migrated = 0; // as the file has it
                }
                Ok(())
            }
            Due::Derive(name, among) => self.derive(at, id, &name, among.as_ref(), goes_on),
        }
    }

    /// Runs what is due, where a step that fails must not hold up the document: it stays due until the next opening.
    pub(crate) fn follow(&mut self, at: &mut Desk<'_>, id: DocumentId, why: Why<'_>) -> Result<(), StoreError> {
        match self.run(at, id, why, &mut || ControlFlow::Continue(())) {
            Ok(()) => Ok(()),
            Err(OpenError::Store(error)) => Err(error),
            Err(OpenError::Migration(error)) => {
                self.give_up(at, id, &error);
                Ok(())
            }
        }
    }

    /// Runs what could not run when it came, on every document that is due; the documents that were looked at.
    pub(crate) fn follow_pending(&mut self, at: &mut Desk<'_>) -> Result<Vec<DocumentId>, StoreError> {
        let version = self.schema.number();
        if version == 0 || !at.may_write {
            return Ok(Vec::new());
        }
        let due = at.store.due(version)?;
        // Where the opening could not migrate: for want of a key, of the list of documents, or of leave to write.
        let is_newer = !due.is_empty() && at.store.migrated()? < version;
        if is_newer && let Err(error) = at.store.begin_migrating(version) {
            tracing::error!(%error, "nothing is migrated without a backup");
            return Ok(Vec::new());
        }
        for id in &due {
            self.follow(at, *id, Why::Pending)?;
        }
        if is_newer {
            at.store.end_migrating(version)?;
        }
        Ok(due)
    }

    /// Runs the derive steps of a document that are due now. `among` limits them to these parts, if the rest was looked at
    /// before.
    fn derive(
        &mut self,
        at: &mut Desk<'_>,
        id: DocumentId,
        name: &str,
        among: Option<&Touched>,
        goes_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), OpenError> {
        let schema = self.schema.clone();
        let fault = |(version, step, fault): Failed| -> OpenError {
            MigrationError { document: name.to_owned(), version, step, fault }.into()
        };
        if !schema.reads(at.store.document_schema(id)?.reader_min) {
            return Ok(()); // a newer app's: once this one is updated
        }
        let open = at.documents.take_open(at.store, id).map_err(|error| match error {
            EditError::Store(error) => OpenError::Store(error),
            error => fault((schema.number(), "load".to_owned(), Fault::Unreadable(error.to_string()))),
        })?;
        let derived = contained(open, |open| -> Result<_, Failed> {
            let plan = plan(&schema, name, &open.loro);
            let among = among.filter(|_| plan.until <= open.migrated);
            open.census.follow(&open.loro);
            let update = derive(&open.loro, &open.census, id, &schema.derives(name, plan.until), among)?;
            if let Some(update) = &update {
                let before = open.loro.oplog_vv();
                let failed = |fault| (plan.until, "derive".to_owned(), fault);
                open.loro.import_with(update, "mig").map_err(|error| failed(error.into()))?;
                open.update_since(&before, &open.beyond(&before)).map_err(|refusal| failed(fault_of(refusal)))?;
            }
            Ok((plan, update))
        });
        let (mut open, (plan, update)) = derived.map_err(|broken| match broken {
            Broken::Refused(failed) => fault(failed),
            Broken::Panicked(_) => fault((schema.number(), "derive".to_owned(), Fault::Panicked)),
        })?;
        // The last moment at which it can be given up.
        if goes_on().is_break() {
            return Err(fault((plan.until, "derive".to_owned(), Fault::TimedOut)));
        }
        at.store.migrate(id, update.as_deref(), plan.until)?;
        open.migrated = plan.until;
        if let Some(update) = &update {
            open.grew(std::slice::from_ref(update));
            at.derived.push(id);
        }
        at.documents.keep(id, open);
        match plan.rewrite {
            Some(_) => self.rewrites.insert(id),
            None => self.rewrites.remove(&id),
        };
        Ok(())
    }

    /// Edits of content that a rewrite had moved already are kept where they are, and told.
    fn find_late(&self, at: &mut Desk<'_>, id: DocumentId, before: &VersionVector) -> Result<(), StoreError> {
        let schema = &self.schema;
        let Some(name) = at.names.of(at.store, at.documents, id)?.filter(|name| schema.concerns(name)) else {
            return Ok(());
        };
        if schema.rewrites(&name).next().is_none() {
            return Ok(());
        }
        let found = at.documents.contain(at.store, id, |open| {
            let loro = &open.loro;
            let ran =
                schema.rewrites(&name).filter_map(|(version, step)| Some((version, step, gate::done(loro, version)?)));
            Ok(ran.map(|(version, step, done)| (version, late(loro, step, &done, before))).collect::<Vec<_>>())
        });
        let found = match found {
            Err(EditError::Store(error)) => return Err(error),
            found => found.unwrap_or_default(), // one that does not load is told of elsewhere
        };
        for (version, late) in found {
            if !late.is_empty() && at.store.add_late(id, version, &late)? {
                at.notices.push(Notice::Late { document: id, version });
            }
        }
        Ok(())
    }

    /// Gives a document up until the next opening, or until something comes into it.
    pub(crate) fn give_up(&mut self, at: &mut Desk<'_>, id: DocumentId, error: &MigrationError) {
        tracing::error!(%error, "the document is as it was");
        self.rewrites.remove(&id);
        let (version, code, what) = (error.version, error.fault.code(), error.to_string());
        at.notices.push(Notice::NotMigrated { document: id, version, code, what });
    }
}
