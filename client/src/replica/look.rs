//! Answers for the app: what documents hold and held, how sync and schema stand.

use std::sync::Arc;

use loro::{ContainerID, Frontiers, LoroDoc, LoroValue};
use roost_shared::hash::Hash;
use roost_shared::roster::Scope;
use roost_shared::{DeviceId, DocumentId};

use super::Replica;
use crate::documents::error::EditError;
use crate::documents::history::RevisionRow;
use crate::documents::names::Names;
use crate::documents::reader::Reader;
use crate::keys::{KeyPair, Seed};
use crate::migrate::plan::schema_at;
use crate::presence::board::Presence;
use crate::presence::sealed::PresenceTooLarge;
use crate::records::tables::{CollectionForm, RecordChange};
use crate::store::{ConflictRow, Identity, LateEdit, Quarantined, Store, StoreError};
use crate::sync::{Chain, Machine, View};

impl Replica {
    /// Shows a document to `look`. An edit made by it is undone: it was not saved. A look into the past ends with it.
    pub fn read<T>(&mut self, id: DocumentId, look: impl FnOnce(&LoroDoc) -> T) -> Result<T, EditError> {
        self.documents.read(&mut self.store, id, look)
    }

    /// A container's deep value, its counters counted as every device counts them; None if the document has no such
    /// container.
    pub fn value_of(&mut self, id: DocumentId, container: &ContainerID) -> Result<Option<LoroValue>, EditError> {
        self.documents.value_of(&mut self.store, id, container)
    }

    /// The convergence digest of a document, and the version it stands for.
    pub fn digest(&mut self, id: DocumentId) -> Result<(Hash, Vec<(u64, i32)>), EditError> {
        self.documents.digest(&mut self.store, id)
    }

    /// Everything that was ever written into a document, newest first.
    pub fn history(&mut self, id: DocumentId) -> Result<Vec<RevisionRow>, EditError> {
        self.documents.history(&mut self.store, id)
    }

    /// A document as it was: all that was written until then by the clocks of who wrote it, and what that followed on.
    pub fn version_at(&mut self, id: DocumentId, at_s: i64) -> Result<Frontiers, EditError> {
        self.documents.version_at(&mut self.store, id, at_s)
    }

    /// The id of the document of this name, the same on every device. The list of names learns of it at its first edit.
    pub fn named(&self, name: &str) -> Result<DocumentId, EditError> {
        self.names.named(name)
    }

    /// The documents that the list of names holds: id and name.
    pub fn names(&mut self) -> Result<Vec<(DocumentId, String)>, EditError> {
        self.names.all(&mut self.store, &mut self.documents)
    }

    /// The names that were asked for, to be asked without the replica.
    pub(crate) fn names_asked(&self) -> Arc<Names> {
        self.names.names()
    }

    /// A second connection, which answers while long work has the replica.
    pub(crate) fn reader(&self) -> Reader {
        Reader::of(&self.store, &self.documents)
    }

    /// Uses a collection from now on: its table is brought up to date, and follows.
    pub fn use_collection(&mut self, form: &Arc<CollectionForm>) -> Result<i64, EditError> {
        let schema = self.schema().number();
        self.tables.open(&mut self.store, &mut self.documents, form, schema)
    }

    /// Records that changed since the last call, and collections of which it is not known which.
    pub fn take_record_changes(&mut self) -> (Vec<RecordChange>, Vec<(DocumentId, Arc<str>)>) {
        self.tables.take()
    }

    /// The store, with a document's tables as they are to be: one that could not follow does so now.
    pub fn followed(&mut self, document: DocumentId) -> Result<&Store, EditError> {
        if self.tables.is_behind(document) {
            self.tables.follow(&mut self.store, &mut self.documents, document)?;
        }
        Ok(&self.store)
    }

    /// Values that were hidden, until the app has looked at them.
    pub fn conflicts(&self) -> Result<Vec<ConflictRow>, StoreError> {
        self.store.conflicts()
    }

    /// Dismisses a conflict that the app has looked at.
    pub fn forget_conflict(&mut self, key: i64) -> Result<(), StoreError> {
        self.store.forget_conflict(key)
    }

    /// The highest schema version that a document needs, if it is more than this app's.
    pub fn behind(&self) -> Result<Option<u32>, StoreError> {
        let needs = self.store.reader_min()?;
        Ok((!self.schema().reads(needs)).then_some(needs))
    }

    /// Edits that missed a rewrite, until the app has dealt with them.
    pub fn late_edits(&self) -> Result<Vec<LateEdit>, StoreError> {
        self.store.late_edits()
    }

    /// Forgets late edits that the app has dealt with.
    pub fn forget_late(&mut self, seen: &[LateEdit]) -> Result<(), StoreError> {
        self.store.forget_late(seen)
    }

    /// The version of the schema a document is at: its newest, or the one before a rewrite that did not run yet.
    pub fn schema_of(&mut self, id: DocumentId) -> Result<u32, EditError> {
        let schema = self.migrator.schema();
        let Some(name) = self.names.of(&mut self.store, &mut self.documents, id)? else { return Ok(schema.number()) };
        self.documents.contain(&mut self.store, id, |open| Ok(schema_at(schema, &name, &open.loro)))
    }

    /// The entries that were put aside.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>, StoreError> {
        self.store.quarantine()
    }

    /// Leaves an entry that was put aside as it is: it is kept, and no longer counted. False if there is none.
    pub fn accept_quarantined(&mut self, seq: u64) -> Result<bool, StoreError> {
        self.store.accept(seq)
    }

    /// Shows the other devices from now on that this one looks at something, or at nothing.
    pub fn show(&mut self, presence: Option<Presence>) -> Result<(), PresenceTooLarge> {
        self.presence.show(self.clock.monotonic_ms(), presence)?;
        self.present();
        Ok(())
    }

    /// The presence of another device, as far as it was heard of lately.
    pub fn presence_of(&self, device: DeviceId) -> Option<&Presence> {
        self.presence.of(device)
    }

    /// Whether another device shows something else since the last call.
    pub const fn take_looks(&mut self) -> bool {
        self.presence.take_changed()
    }

    /// Devices of the workspace that signed another root of this log than this one has.
    pub fn contradicted(&self) -> Result<Vec<DeviceId>, StoreError> {
        let roster = self.held().roster();
        let devices = self.store.contradictions()?;
        Ok(devices.into_iter().filter(|device| roster.scope(*device).is_some()).collect())
    }

    /// How sync stands.
    pub fn view(&self) -> View {
        self.sync.machine.view()
    }

    /// Who this device is.
    pub const fn identity(&self) -> &Identity {
        &self.sync.identity
    }

    /// The device's keys.
    pub const fn device(&self) -> &KeyPair {
        &self.sync.device
    }

    /// The newest roster, with its records.
    pub const fn held(&self) -> &Chain {
        self.sync.held()
    }

    /// The machine, to look at.
    pub const fn machine(&self) -> &Machine {
        &self.sync.machine
    }

    /// What this device may do.
    pub fn scope(&self) -> Option<Scope> {
        self.sync.scope()
    }

    /// True for a device that may write.
    pub(super) fn may_write(&self) -> bool {
        self.scope() == Some(Scope::ReadWrite)
    }

    /// Whether it syncs, or would if it could.
    pub const fn is_running(&self) -> bool {
        self.sync.is_running
    }

    /// Whether sync is paused, also after a restart.
    pub fn set_paused(&mut self, paused: bool) -> Result<(), StoreError> {
        self.store.set_paused(paused)
    }

    /// Tries whether the store takes an edit now.
    pub fn check_writes(&mut self) -> Result<(), StoreError> {
        self.store.check_writes()
    }

    /// Where the workspace is kept from the next opening on.
    pub fn set_server(&mut self, server: &str) -> Result<(), StoreError> {
        self.store.set_server(server)
    }

    /// The owner's seed, on the device that has it.
    pub const fn owner_seed(&self) -> Option<&Seed> {
        self.sync.identity.owner_seed.as_ref()
    }

    /// Edits of this device that follow on each other within this time are undone together.
    pub const fn set_undo_pause(&mut self, pause_ms: u64) {
        self.documents.set_undo_pause(pause_ms);
    }
}
