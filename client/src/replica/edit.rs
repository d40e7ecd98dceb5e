//! Edits: durable or not made.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use loro::{ContainerID, ContainerType, Frontiers, IdSpan, LoroDoc, LoroError, VersionVector};
use roost_shared::DocumentId;
use roost_shared::limits::{CONTAINER_NAME_MAX, VALUE_MAX};
use roost_shared::roster::Scope;

use super::collections::Mark;
use super::contain::{Beyond, Broken, OpenDocument, Refusal, Stray, contained};
use super::migrate::plan;
use super::touched::touched_since;
use super::{EditError, Replica};
use crate::census::Census;
use crate::schema::{Schema, derive_here, gate};
use crate::store::{Signed, StoreError};
use crate::sync::Event;

/// An edit that was made in memory and is to be saved.
struct Edited {
    before: VersionVector,
    /// Updates: the edit's operations, and imports that wait for operations that are not here.
    changes: Vec<Vec<u8>>,
    reader_min: u32,
    /// The schema version whose steps looked at it; 0 if none did.
    migrated: u32,
}

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
    pub(super) fn edit_as<T>(
        &mut self,
        id: DocumentId,
        edit: impl FnOnce(&LoroDoc, &mut Census) -> Result<T, LoroError>,
        remember: impl FnOnce(&mut Self, &T, Frontiers) -> Result<(), StoreError>,
    ) -> Result<T, EditError> {
        self.check_editable(id)?;
        let (now_s, birth, schema) = (self.now_s(), self.birth(id), self.schema.clone());
        let name = self.names.of(id).filter(|name| schema.concerns(name));
        // Loro has no way back, so what is not saved goes with the open document; that holds for a panic of the app too.
        let edited = contained(self.take_open(id)?, |open| {
            let (before, heads) = (open.loro.oplog_vv(), open.loro.oplog_frontiers());
            open.dates.begin(&open.loro, now_s);
            let birth = birth.filter(|_| before.is_empty());
            if let Some((version, reader_min)) = birth {
                gate::set_born(&open.loro, version, reader_min)?;
            }
            let edited = edit(&open.loro, &mut open.census);
            open.loro.commit();
            let done = edited?;
            if let Some(stray) = open.stray() {
                return Err(NotEdited::Stray(stray));
            }
            let waits = open.waiting().filter(|waits| open.waits.as_ref() != Some(waits));
            let is_empty = before.includes_vv(&open.loro.oplog_vv());
            if waits.is_none() && (is_empty || open.loro.len_ops() == usize::from(birth.is_some())) {
                return Ok((done, None, birth.is_some()));
            }
            let looked = name.as_ref().map(|name| derive_from_edit(&schema, name, open, &before));
            let (mut changes, mut reader_min) = (Vec::from_iter(waits), 0);
            if !is_empty {
                let beyond = open.beyond(&before);
                changes.push(open.provable_update(&before, &beyond)?);
                reader_min = gate::raised_by(&open.loro, &beyond.containers);
                open.census.meet(&beyond.containers);
            }
            let edited = Edited { before, changes, reader_min, migrated: looked.unwrap_or(0) };
            Ok((done, Some((heads, edited)), false))
        });
        let (open, (done, edited, is_empty)) = match edited {
            Ok(edited) => edited,
            Err(Broken::Refused(not_edited)) => return Err(not_edited.into()),
            Err(Broken::Panicked(panic)) => resume_unwind(panic),
        };
        let Some((heads, edited)) = edited else {
            if !is_empty {
                self.keep(id, open);
            }
            return Ok(done); // an empty one holds nothing but what it would have been born with
        };
        self.list(id)?;
        self.in_one_transaction(id, |replica| {
            replica.save(id, open, edited)?;
            Ok(remember(replica, &done, heads)?)
        })?;
        self.edited(id);
        if self.index() == Some(id) {
            // The edit is durable, whatever becomes of the documents it names: they stay due.
            let followed = self.follow_schema(id, &VersionVector::default(), false);
            followed.unwrap_or_else(|error| tracing::error!(%error, "documents that got a name are migrated later"));
        }
        self.compact_soon(id);
        Ok(done)
    }

    /// Refuses edits by a device that may only read, and edits of a document that the version gate keeps from this
    /// program.
    pub(crate) fn check_editable(&self, id: DocumentId) -> Result<(), EditError> {
        if self.scope() == Some(Scope::Read) {
            return Err(EditError::ReadOnly);
        }
        let needs = self.store.document_schema(id)?.reader_min;
        if self.schema.edits(needs) {
            return Ok(());
        }
        Err(if self.schema.is_raw() { EditError::NeedsApp { needs } } else { EditError::Behind { needs } })
    }

    /// Saves an edit and all that follows from it: what is derived, and the records of collections.
    fn save(&mut self, id: DocumentId, mut open: OpenDocument, edited: Edited) -> Result<(), StoreError> {
        let Edited { before, changes, reader_min, migrated } = edited;
        let peer = (!open.is_signed).then(|| (open.loro.peer_id(), self.device.device_id()));
        let roots = open.census.take_met();
        let signed = Signed { schema: self.schema.number(), reader_min, migrated, peer, roots: &roots };
        self.store.commit(id, &changes, &signed)?;
        open.grew(&changes);
        (open.is_signed, open.migrated) = (true, migrated);
        self.keep_met(id, open, &roots);
        self.has_changed(id);
        if self.index() != Some(id) {
            self.follow_schema(id, &before, migrated > 0)?;
        }
        self.follow_changes(id, true)
    }

    /// Runs work whose writes are one transaction: all that it does to a document, or nothing.
    fn in_one_transaction(
        &mut self,
        id: DocumentId,
        work: impl FnOnce(&mut Self) -> Result<(), EditError>,
    ) -> Result<(), EditError> {
        let tables = self.tables.mark(id);
        self.store.begin()?;
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        if matches!(done, Ok(Ok(()))) {
            let ended = self.store.end();
            if ended.is_ok() {
                return Ok(());
            }
            self.take_back(id, tables);
            return Ok(ended?);
        }
        self.store.give_up();
        self.take_back(id, tables);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The replica as the store has it, after a transaction that was given up.
    fn take_back(&mut self, id: DocumentId, tables: Mark) {
        self.open.remove(&id);
        self.tables.back_to(id, tables);
    }

    /// The machine learns that there is something to seal.
    pub(super) fn edited(&mut self, id: DocumentId) {
        let step = self.machine.handle(self.clock.monotonic_ms(), Event::Edited);
        debug_assert!(step.writes.is_empty(), "an edit of {id} alone changes nothing in the machine's tables");
        for effect in step.effects {
            // Sealing is work of its own; nothing else follows from an edit.
            let output = self.output(effect);
            debug_assert!(output.is_none(), "an edit of {id} alone sends nothing");
        }
    }

    /// What the first edit of a document says of the app that made it.
    fn birth(&self, id: DocumentId) -> Option<(u32, u32)> {
        let version = self.schema.number();
        let reader_min = || self.names.of(id).map_or(0, |name| self.schema.reader_min(&name));
        (version > 0 && self.index() != Some(id)).then(|| (version, reader_min()))
    }
}

/// What is derived from what an edit touched becomes part of the edit. The schema version whose steps looked at all of
/// the document now; 0 if one of them failed, or has not looked at the rest.
fn derive_from_edit(schema: &Schema, name: &str, open: &mut OpenDocument, before: &VersionVector) -> u32 {
    let until = plan(schema, name, &open.loro).until;
    if open.migrated < until && !before.is_empty() {
        return 0;
    }
    open.census.follow(&open.loro);
    let touched = touched_since(&open.loro, before);
    let derived = derive_here(&open.loro, &open.census, &schema.derives(name, until), &touched);
    open.loro.commit();
    match derived {
        Ok(()) => until,
        Err((version, step, fault)) => {
            tracing::error!(document = name, version, step, %fault, "not derived");
            0
        }
    }
}

impl OpenDocument {
    /// The operations beyond `before`, proven: from them alone, any device comes to what the closure saw.
    fn provable_update(&mut self, before: &VersionVector, beyond: &Beyond) -> Result<Vec<u8>, NotEdited> {
        let spans = &beyond.spans;
        if beyond.containers.iter().any(|id| id.container_type() == ContainerType::Counter) {
            let counted = self.census.follow(&self.loro);
            if !self.census.counts(&counted) {
                return Err(NotEdited::Uncountable);
            }
        }
        let is_too_long =
            |id: &ContainerID| matches!(id, ContainerID::Root { name, .. } if name.len() > CONTAINER_NAME_MAX);
        if beyond.containers.iter().any(is_too_long) {
            return Err(NotEdited::Refused(Refusal::TooLarge));
        }
        let update = self.update_since(before, beyond)?;
        let meta = LoroDoc::decode_import_blob_meta(&update, false)?;
        let counter = |vv: &VersionVector, peer: &u64| vv.get(peer).copied().unwrap_or(0);
        let is_held = |span: &IdSpan| {
            counter(&meta.partial_start_vv, &span.peer) == span.counter.start
                && counter(&meta.partial_end_vv, &span.peer) == span.counter.end
        };
        if !spans.iter().all(is_held) || meta.partial_end_vv.len() != spans.len() {
            return Err(NotEdited::Unprovable);
        }
        if update.len() > VALUE_MAX {
            self.check_splits(before)?;
        }
        Ok(update)
    }
}

/// The reason why an edit was not saved.
enum NotEdited {
    Refused(Refusal),
    Stray(Stray),
    Uncountable,
    Unprovable,
}

impl From<Refusal> for NotEdited {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<LoroError> for NotEdited {
    fn from(error: LoroError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<NotEdited> for EditError {
    fn from(not_edited: NotEdited) -> Self {
        match not_edited {
            NotEdited::Refused(Refusal::Loro(error)) => error.into(),
            NotEdited::Refused(Refusal::TooDeep) => Self::TooDeep,
            NotEdited::Refused(Refusal::TooLarge) => Self::TooLarge,
            NotEdited::Refused(Refusal::Shallow) | NotEdited::Stray(Stray::Shallow) => Self::Shallow,
            NotEdited::Stray(Stray::Peer) => Self::PeerChanged,
            NotEdited::Stray(Stray::Detached) => Self::Detached,
            NotEdited::Uncountable => Self::Uncountable,
            NotEdited::Unprovable => Self::Unprovable,
        }
    }
}
