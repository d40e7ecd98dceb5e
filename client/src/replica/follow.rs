//! Consequences of a change of a document: derived fields, the tables of its collections, the sending.

use std::ops::ControlFlow;

use roost_shared::DocumentId;

use super::Replica;
use crate::documents::error::EditError;
use crate::migrate::due::Why;
use crate::migrate::migrator::OpenError;
use crate::schema::Progress;
use crate::store::StoreError;
use crate::sync::Event;

impl Replica {
    /// Migrates at the opening whatever is pending.
    pub(super) fn migrate_all(&mut self, watch: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<(), OpenError> {
        let mut derived = Vec::new();
        let (migrator, mut desk) = self.migrating(&mut derived);
        let migrated = migrator.migrate_all(&mut desk, watch);
        self.has_derived(derived);
        migrated
    }

    /// After operations came into a document: what is derived from them, and what they missed. A name that came into the
    /// list of names lets the document it names be migrated.
    pub(super) fn follow_schema(&mut self, id: DocumentId, why: Why<'_>) -> Result<(), StoreError> {
        if self.names.index() == Some(id) {
            return self.follow_pending();
        }
        let mut derived = Vec::new();
        let (migrator, mut desk) = self.migrating(&mut derived);
        let followed = migrator.follow(&mut desk, id, why);
        self.has_derived(derived);
        followed
    }

    /// After a name, a key or leave to write came: what waited for it.
    pub(super) fn follow_pending(&mut self) -> Result<(), StoreError> {
        let mut derived = Vec::new();
        let (migrator, mut desk) = self.migrating(&mut derived);
        let looked_at = migrator.follow_pending(&mut desk);
        self.has_derived(derived);
        looked_at?.into_iter().try_for_each(|id| self.follow_tables(id, true))
    }

    fn has_derived(&mut self, documents: Vec<DocumentId>) {
        for id in documents {
            self.has_changed(id);
            self.edited(id);
        }
    }

    /// Operations came into a document: its tables are behind until they followed, and whether it can be sealed is not
    /// known until that is tried again.
    pub(super) fn has_changed(&mut self, id: DocumentId) {
        self.changed.push(id);
        self.left.remove(&id);
        self.tables.has_changed(id);
    }

    /// Brings the tables of a document up to date, where a table that cannot follow now must not hold up the document. Of
    /// what others wrote, the round of sync is told.
    pub(super) fn follow_tables(&mut self, id: DocumentId, is_own: bool) -> Result<(), StoreError> {
        match self.tables.follow(&mut self.store, &mut self.documents, id) {
            Ok(followed) => {
                if let Some((_, report)) = self.sync.round.as_mut().filter(|_| !is_own) {
                    report.added += followed.added;
                    report.updated += followed.updated;
                    report.removed += followed.removed;
                }
                Ok(())
            }
            Err(EditError::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(document = %id, %error, "the document's collections are behind");
                Ok(())
            }
        }
    }

    /// The machine learns that there is something to seal.
    pub(super) fn edited(&mut self, id: DocumentId) {
        let step = self.sync.machine.handle(self.clock.monotonic_ms(), Event::Edited);
        debug_assert!(step.writes.is_empty(), "an edit of {id} alone changes nothing in the machine's tables");
        for effect in step.effects {
            match self.sync.asked(&*self.clock, effect) {
                super::Asked::Work(work) => self.work.push_back(work),
                super::Asked::Output(_) | super::Asked::Nothing => {
                    debug_assert!(false, "an edit of {id} alone sends nothing");
                }
            }
        }
    }
}
