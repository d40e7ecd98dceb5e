//! Documents out of the local file and back: open, salvage what does not load, keep small.

use loro::{ContainerType, LoroError};
use roost_shared::DocumentId;

use super::contain::{Broken, OpenDocument, Refusal, contained};
use super::{EditError, Replica};
use crate::store::{DocumentRow, Risk, StoreError, where_possible};

/// Documents that are held in memory.
const OPEN_MAX: usize = 32;
/// Changes beside the snapshot after which a new one is made, if the snapshot is small.
const CHANGES_MAX: usize = 1_000;
/// Bytes of the snapshot for each change beside a larger one: what a new snapshot costs is shared by as many changes.
const SNAPSHOT_BYTES_EACH: usize = 4 * 1024;
/// Their bytes, where they also outweigh the snapshot.
const CHANGE_BYTES_MAX: usize = 256 * 1024;
/// Processes that may die of one and the same bytes: the first may have been killed by chance, and of the second those
/// bytes were tried alone.
pub(super) const DEATHS_MAX: u32 = 2;

impl Replica {
    /// Opens a document, if it is not open as it was saved. A fresh peer id each time: reuse would be silent divergence.
    pub(super) fn load(&mut self, id: DocumentId) -> Result<&mut OpenDocument, EditError> {
        if !self.open.get(&id).is_some_and(OpenDocument::is_as_saved) {
            self.open.remove(&id);
            let mut open = match self.store.document(id)? {
                Some(row) => self.fill(id, row)?,
                None => OpenDocument::new(),
            };
            open.migrated = self.store.document_schema(id)?.migrated;
            open.begin(self.clock.random_peer())?;
            self.loaded.lock().insert(id);
            self.keep(id, open);
        }
        self.open.get_mut(&id).ok_or_else(EditError::not_open)
    }

    /// Keeps a document open. Everything in it is saved: the one that was not used for longest makes room.
    pub(super) fn keep(&mut self, id: DocumentId, mut open: OpenDocument) {
        self.uses += 1;
        open.used = self.uses;
        self.open.insert(id, open);
        if self.open.len() > OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(id, _)| *id);
            oldest.map(|id| self.open.remove(&id));
        }
    }

    /// Keeps a document open, unless a root it met takes another's name: Loro shows roots in the order it met them, and
    /// loads them in the order of every device.
    pub(super) fn keep_met(&mut self, id: DocumentId, open: OpenDocument, roots: &[(String, ContainerType)]) {
        let clashes = |(name, _): &(String, _)| open.census.roots.get(name).is_some_and(|kinds| kinds.len() > 1);
        if !roots.iter().any(clashes) {
            return self.keep(id, open);
        }
        drop(open);
        if let Err(error) = self.load(id) {
            tracing::error!(document = %id, %error, "the document is loaded when it is asked for");
        }
    }

    /// The same, out of the map: it is put back if all goes well, and loaded anew if not.
    pub(super) fn take_open(&mut self, id: DocumentId) -> Result<OpenDocument, EditError> {
        self.load(id)?;
        self.open.remove(&id).ok_or_else(EditError::not_open)
    }

    /// Has Loro work on a document.
    pub(super) fn contain<T>(
        &mut self,
        id: DocumentId,
        work: impl FnOnce(&mut OpenDocument) -> Result<T, LoroError>,
    ) -> Result<T, EditError> {
        let (open, done) = contained(self.take_open(id)?, work).map_err(|broken| match broken {
            Broken::Refused(error) => EditError::Loro(error),
            Broken::Panicked(_) => EditError::Unreadable("Loro panics on it".to_owned()),
        })?;
        self.keep(id, open);
        Ok(done)
    }

    fn fill(&mut self, id: DocumentId, row: DocumentRow) -> Result<OpenDocument, EditError> {
        let risk = Risk::Document(id);
        let deaths = self.store.deaths(risk)?;
        self.risk(risk)?;
        let filled = match deaths {
            0 => contained(OpenDocument::new(), |open| open.fill(&row)).ok(),
            _ => None, // the last process may have died of it
        };
        let open = match filled {
            Some((open, ())) => open,
            None => self.salvage(id, &row)?,
        };
        if deaths > 0 {
            tracing::warn!(document = %id, "it loads again");
        }
        where_possible(self.store.safe(risk))?;
        Ok(open)
    }

    /// A full disk keeps nobody from reading.
    fn risk(&mut self, risk: Risk) -> Result<(), StoreError> {
        where_possible(self.store.risk(&[risk]))
    }

    /// What is saved does not load as a whole: the snapshot, then change by change. One that fails stays behind.
    fn salvage(&mut self, id: DocumentId, row: &DocumentRow) -> Result<OpenDocument, EditError> {
        let snapshot = DocumentRow {
            snapshot: row.snapshot.clone(),
            changes: Vec::new(),
            log_vv: row.log_vv.clone(),
            roots: row.roots.clone(),
        };
        let mut open = filled(&snapshot, &[])?;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for change in &row.changes {
            let risk = Risk::Change(change.key);
            if self.store.deaths(risk)? >= DEATHS_MAX {
                bad.push(change.key);
                continue;
            }
            self.risk(risk)?;
            open = match contained(open, |open| open.take_in(&[], vec![change.bytes.clone()])) {
                Ok((open, _)) => {
                    good.push(&change.bytes[..]);
                    open
                }
                Err(_) => {
                    bad.push(change.key);
                    filled(&snapshot, &good)?
                }
            };
            where_possible(self.store.safe(risk))?;
        }
        tracing::error!(document = %id, "{} of {} saved changes do not load: they are kept in the file", bad.len(), row.changes.len());
        open.is_saved();
        where_possible(self.store.leave_out(&bad))?;
        // What is left is saved as one, lest it be the sum of them that does not load.
        self.keep(id, open);
        match self.snapshot(id) {
            Ok(()) => self.open.remove(&id).ok_or_else(EditError::not_open),
            Err(EditError::Store(error)) if error.fault().is_none() => Err(error.into()),
            Err(_) => filled(&snapshot, &good),
        }
    }

    /// A local snapshot that is not made now is made another time; what it would hold is saved.
    pub(super) fn compact_soon(&mut self, id: DocumentId) {
        let Some(open) = self.open.get(&id) else { return };
        let heavy = open.change_bytes > CHANGE_BYTES_MAX.max(open.snapshot_bytes);
        let many = open.changes > CHANGES_MAX.max(open.snapshot_bytes / SNAPSHOT_BYTES_EACH);
        if self.unsound.contains(&id) || !many && !heavy {
            return;
        }
        if let Err(error) = self.snapshot(id) {
            tracing::warn!(document = %id, %error, "the local snapshot was not made; it is tried again");
        }
    }

    /// Puts a local snapshot in the place of the changes.
    fn snapshot(&mut self, id: DocumentId) -> Result<(), EditError> {
        let proven = self.contain(id, |open| Ok((open.prove()?, open.loro.export_pending_updates()?)));
        if matches!(proven, Err(EditError::Loro(_) | EditError::Unreadable(_))) {
            self.unsound.insert(id);
        }
        let (snapshot, rest) = proven?;
        self.store.compact(id, &snapshot, rest.as_deref())?;
        if let Some(open) = self.open.get_mut(&id) {
            open.compacted(snapshot.len(), rest.as_deref());
        }
        Ok(())
    }
}

fn filled(snapshot: &DocumentRow, changes: &[&[u8]]) -> Result<OpenDocument, EditError> {
    let filled = contained(OpenDocument::new(), |open| {
        open.fill(snapshot)?;
        let taken = open.take_in(&[], changes.iter().map(|change| change.to_vec()).collect());
        open.is_saved();
        taken
    });
    match filled {
        Ok((open, _)) => Ok(open),
        Err(Broken::Refused(Refusal::Loro(error))) => Err(EditError::Unreadable(error.to_string())),
        Err(_) => Err(EditError::Unreadable("Loro panics on it".to_owned())),
    }
}
