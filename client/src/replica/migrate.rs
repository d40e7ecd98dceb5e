//! Documents from one schema version to the next: what can be done here at once, and what waits for the log's tail.

use std::ops::ControlFlow;
use std::sync::Arc;

use loro::{ContainerID, IdSpan, Index, LoroDoc, VersionVector};
use roost_shared::DocumentId;
use roost_shared::roster::Scope;

use super::contain::{Broken, Refusal, contained};
use super::touched::{Touched, touched_since};
use super::{EditError, Replica};
use crate::schema::{Failed, Fault, MigrationError, Progress, Rewrite, Schema, derive, gate, is_computed};
use crate::spans::{changes_in, path_of, spans_since};
use crate::store::{LateEdit, StoreError};
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

/// See [`plan`].
pub(super) struct Plan {
    /// Derive steps up to this version.
    pub(super) until: u32,
    /// The rewrite that comes after them.
    rewrite: Option<u32>,
}

impl Replica {
    /// At the opening: whatever is pending, before anyone else sees the documents.
    pub(super) fn migrate(&mut self, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<(), OpenError> {
        let version = self.schema.number();
        if version == 0 {
            return Ok(()); // it migrates nothing, and leaves the backup of an app that does
        }
        self.store.forget_migrating(version)?;
        if self.scope() != Some(Scope::ReadWrite) || self.ring.first().is_none() {
            return Ok(());
        }
        let due = self.store.due(version)?;
        let names = match self.names() {
            Ok(names) => names,
            Err(EditError::Store(error)) => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "the list of documents does not load: nothing is migrated");
                return Ok(());
            }
        };
        let due_names = names.into_iter().filter(|(id, _)| due.binary_search(id).is_ok());
        let (wanted, others): (Vec<_>, Vec<_>) = due_names.partition(|(_, name)| self.schema.concerns(name));
        let is_newer = self.store.migrated()? < version;
        let backup = if is_newer && !wanted.is_empty() { self.store.begin_migrating(version)? } else { None };
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
            self.find_late(id, &name, &VersionVector::default())?;
            match self.migrate_document(id, &name, None, &mut || tell(done + 1)) {
                // What an older app wrote since, or what does not load, keeps nobody from the rest.
                Err(OpenError::Migration(error))
                    if matches!(error.fault, Fault::Unreadable(_))
                        || !is_newer && !matches!(error.fault, Fault::TimedOut) =>
                {
                    self.give_up(id, &error);
                }
                migrated => migrated?,
            }
            self.open.remove(&id); // a thousand documents are not kept in memory for having been looked at
        }
        let others: Vec<DocumentId> = others.into_iter().map(|(id, _)| id).chain(self.index()).collect();
        self.store.not_concerned(&others, version)?;
        if is_newer {
            self.store.end_migrating(version)?;
        }
        Ok(())
    }

    /// Runs what can run on a document now; what is left waits for the tail. `among` limits it to these parts, if the
    /// rest was looked at before.
    fn migrate_document(
        &mut self,
        id: DocumentId,
        name: &str,
        among: Option<&Touched>,
        goes_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<(), OpenError> {
        let schema = self.schema.clone();
        let fault = |(version, step, fault): Failed| -> OpenError {
            MigrationError { document: name.to_owned(), version, step, fault }.into()
        };
        if !schema.reads(self.store.document_schema(id)?.reader_min) {
            return Ok(()); // a newer app's: once this one is updated
        }
        let open = self.take_open(id).map_err(|error| match error {
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
        self.store.migrate(id, update.as_deref(), plan.until)?;
        open.migrated = plan.until;
        if let Some(update) = &update {
            open.grew(std::slice::from_ref(update));
            self.has_changed(id);
            self.edited(id);
        }
        self.keep(id, open);
        match plan.rewrite {
            Some(_) => self.rewrites.insert(id),
            None => self.rewrites.remove(&id),
        };
        Ok(())
    }

    /// After operations came into a document, by an edit here or a merge: what is derived from them, unless the edit did
    /// that itself, and what they missed.
    pub(super) fn follow_schema(
        &mut self,
        id: DocumentId,
        before: &VersionVector,
        is_derived: bool,
    ) -> Result<(), StoreError> {
        if self.schema.number() == 0 {
            return Ok(());
        }
        if self.index() == Some(id) {
            return self.migrate_due(); // what had no name yet may have one
        }
        let name = self.name_of(id)?.filter(|name| self.schema.concerns(name));
        if let Some(name) = &name {
            self.find_late(id, name, before)?;
        }
        let Some(open) = self.open.get_mut(&id).filter(|_| !is_derived) else { return Ok(()) };
        // The file has it as not looked at, and it stays due: for want of a name, or of leave to write, or if this fails.
        let looked = std::mem::take(&mut open.migrated);
        let Some(name) =
            name.filter(|_| self.machine.held().roster().scope(self.device.device_id()) == Some(Scope::ReadWrite))
        else {
            return Ok(());
        };
        open.migrated = looked;
        let touched = touched_since(&open.loro, before);
        let done = self.migrate_document(id, &name, Some(&touched), &mut || ControlFlow::Continue(()));
        self.tell(id, done)
    }

    /// What could not be done when it came.
    pub(super) fn migrate_due(&mut self) -> Result<(), StoreError> {
        let version = self.schema.number();
        if version == 0 || self.scope() != Some(Scope::ReadWrite) {
            return Ok(());
        }
        let due = self.store.due(version)?;
        // Where the opening could not migrate: for want of a key, of the list of documents, or of leave to write.
        let is_newer = !due.is_empty() && self.store.migrated()? < version;
        if is_newer && let Err(error) = self.store.begin_migrating(version) {
            tracing::error!(%error, "nothing is migrated without a backup");
            return Ok(());
        }
        for id in due {
            let Some(name) = self.name_of(id)? else { continue };
            let waits = self.rewrites.contains(&id) && self.store.document_schema(id)?.migrated > 0;
            if self.schema.concerns(&name) && !waits {
                self.find_late(id, &name, &VersionVector::default())?;
                let done = self.migrate_document(id, &name, None, &mut || ControlFlow::Continue(()));
                self.tell(id, done)?;
                self.follow_changes(id, true)?;
            }
        }
        if is_newer { self.store.end_migrating(version) } else { Ok(()) }
    }

    fn tell(&mut self, id: DocumentId, done: Result<(), OpenError>) -> Result<(), StoreError> {
        match done {
            Ok(()) => Ok(()),
            Err(OpenError::Store(error)) => Err(error),
            Err(OpenError::Migration(error)) => {
                self.give_up(id, &error); // it stays due: the next opening tries again
                Ok(())
            }
        }
    }

    /// Edits of content that a rewrite had moved already are kept where they are, and told.
    fn find_late(&mut self, id: DocumentId, name: &str, before: &VersionVector) -> Result<(), StoreError> {
        let schema = self.schema.clone();
        if schema.rewrites(name).next().is_none() {
            return Ok(());
        }
        let found = self.contain(id, |open| {
            let loro = &open.loro;
            let ran =
                schema.rewrites(name).filter_map(|(version, step)| Some((version, step, gate::done(loro, version)?)));
            Ok(ran.map(|(version, step, done)| (version, late(loro, step, &done, before))).collect::<Vec<_>>())
        });
        let found = match found {
            Err(EditError::Store(error)) => return Err(error),
            found => found.unwrap_or_default(), // one that does not load is told of elsewhere
        };
        for (version, late) in found {
            if !late.is_empty() && self.store.add_late(id, version, &late)? {
                self.notices.push(Notice::Late { document: id, version });
            }
        }
        Ok(())
    }

    /// The highest schema version that a document needs, if it is more than this app's.
    pub fn behind(&self) -> Result<Option<u32>, StoreError> {
        let needs = self.store.reader_min()?;
        Ok((!self.schema.reads(needs)).then_some(needs))
    }

    /// Edits that missed a rewrite, until the app has dealt with them.
    pub fn late_edits(&self) -> Result<Vec<LateEdit>, StoreError> {
        self.store.late_edits()
    }

    /// The app has dealt with these.
    pub fn forget_late(&mut self, seen: &[LateEdit]) -> Result<(), StoreError> {
        self.store.forget_late(seen)
    }

    /// The version of the schema a document is at: its newest, or the one before a rewrite that did not run yet.
    pub fn schema_of(&mut self, id: DocumentId) -> Result<u32, EditError> {
        let schema = self.schema.clone();
        let Some(name) = self.name_of(id)? else { return Ok(schema.number()) };
        self.contain(id, |open| Ok(schema_at(&schema, &name, &open.loro)))
    }

    /// Until the next opening, or until something comes into the document.
    pub(super) fn give_up(&mut self, id: DocumentId, error: &MigrationError) {
        tracing::error!(%error, "the document is as it was");
        self.rewrites.remove(&id);
        let (version, code, what) = (error.version, error.fault.code(), error.to_string());
        self.notices.push(Notice::NotMigrated { document: id, version, code, what });
    }
}

/// The version of the schema that a document of this name is at.
pub(crate) fn schema_at(schema: &Schema, name: &str, loro: &LoroDoc) -> u32 {
    plan(schema, name, loro).until
}

/// What may be done on a document now.
pub(super) fn plan(schema: &Schema, name: &str, loro: &LoroDoc) -> Plan {
    let version = schema.number();
    if loro.len_ops() == 0 {
        return Plan { until: version, rewrite: None };
    }
    let rewrite = next_rewrite(schema, name, loro).map(|(version, _)| version);
    Plan { until: rewrite.map_or(version, |rewrite| schema.before(rewrite)), rewrite }
}

/// The first rewrite that a document lacks. One that began under its version needs none.
pub(super) fn next_rewrite<'a>(schema: &'a Schema, name: &'a str, loro: &LoroDoc) -> Option<(u32, &'a Arc<Rewrite>)> {
    let mut rewrites = schema.rewrites(name).filter(|(version, _)| gate::done(loro, *version).is_none()).peekable();
    rewrites.peek()?;
    let born = gate::born(loro);
    rewrites.find(|(version, _)| born < *version)
}

/// Who wrote into what a rewrite had moved, without having seen it, and up to which operation.
fn late(loro: &LoroDoc, step: &Rewrite, done: &gate::Done, before: &VersionVector) -> Vec<(u64, i32)> {
    let mut known = done.base.clone();
    if before.get(&done.peer).is_some() {
        known.merge(before); // what came before was looked at when it came
    }
    // What was computed from an edit that missed it is told with that edit.
    let missed = spans_since(loro, &known).into_iter();
    let missed = missed.filter(|span| span.peer != done.peer && !is_computed(span.peer));
    missed.filter_map(|span| Some((span.peer, last_within(loro, span, step.roots())?))).collect()
}

/// Up to which operation a span writes into these roots; None if it does not. What the peer writes elsewhere later is no
/// news of them.
fn last_within(loro: &LoroDoc, span: IdSpan, roots: &[String]) -> Option<i32> {
    let changes = changes_in(loro, span);
    let ops: Vec<_> = changes.iter().flat_map(|change| &change.ops).collect();
    let ends = ops.iter().skip(1).map(|op| op.counter).chain([span.counter.end]);
    let is_within = |container: &ContainerID| {
        let path = path_of(loro, container);
        path.is_some_and(
            |path| matches!(path.first(), Some((_, Index::Key(root))) if roots.iter().any(|own| **own == **root)),
        )
    };
    ops.iter().zip(ends).filter(|(op, _)| is_within(&op.container)).map(|(_, end)| end).max()
}

pub(super) fn fault_of(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Loro(error) => Fault::Refused(error),
        Refusal::TooLarge => Fault::TooLarge,
        Refusal::TooDeep | Refusal::Shallow => Fault::TooDeep,
    }
}
