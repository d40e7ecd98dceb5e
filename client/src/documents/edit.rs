//! Edits: what a closure does to a document, made in memory and proven before a byte of it is saved.

use std::panic::resume_unwind;

use loro::{ContainerID, ContainerType, Frontiers, IdSpan, LoroDoc, LoroError, VersionVector};
use roost_shared::DocumentId;
use roost_shared::limits::{CONTAINER_NAME_MAX, VALUE_MAX};

use super::cache::Documents;
use super::contain::{Broken, Refusal, contained};
use super::error::EditError;
use super::open::{Beyond, OpenDocument, Stray};
use crate::operations::census::Census;
use crate::schema::gate;
use crate::store::{Signed, Store, StoreError};

/// An edit that was made in memory and is to be saved.
pub(crate) struct Edited {
    open: OpenDocument,
    /// The version before the edit.
    pub(crate) before: VersionVector,
    /// The frontiers before the edit.
    pub(crate) heads: Frontiers,
    /// Updates: the edit's operations, and imports that wait for operations that are not here.
    changes: Vec<Vec<u8>>,
    reader_min: u32,
    /// The schema version whose steps looked at all of the document; 0 if none did.
    pub(crate) migrated: u32,
}

/// Makes what is derived from the operations beyond a version part of the edit; answers the schema version whose steps have
/// looked at all of the document then, 0 if none have.
type Derive<'a> = &'a dyn Fn(&mut OpenDocument, &VersionVector) -> u32;

/// The app behind an edit, as its schema has it.
pub(crate) struct Editor<'a> {
    /// The schema version and the lowest one that may read, which a new document is born with.
    pub(crate) birth: Option<(u32, u32)>,
    /// The derive steps that run within the edit, if the document has any.
    pub(crate) derive: Option<Derive<'a>>,
}

impl Documents {
    /// Makes an edit in memory; None where it did nothing.
    pub(crate) fn make<T>(
        &mut self,
        store: &mut Store,
        id: DocumentId,
        editor: &Editor<'_>,
        edit: impl FnOnce(&LoroDoc, &mut Census) -> Result<T, LoroError>,
    ) -> Result<(T, Option<Edited>), EditError> {
        let now_s = i64::try_from(self.clock().now_ms() / 1_000).unwrap_or(0);
        // Loro has no way back, so what is not saved goes with the open document; that holds for a panic of the app too.
        let made = contained(self.take_open(store, id)?, |open| made(open, now_s, editor, edit));
        let (open, (done, made)) = match made {
            Ok(made) => made,
            Err(Broken::Refused(not_edited)) => return Err(not_edited.into()),
            Err(Broken::Panicked(panic)) => resume_unwind(panic),
        };
        match made {
            Made::Edit { before, heads, changes, reader_min, migrated } => {
                Ok((done, Some(Edited { open, before, heads, changes, reader_min, migrated })))
            }
            Made::Nothing => {
                self.keep(id, open);
                Ok((done, None))
            }
            Made::Birth => Ok((done, None)), // it holds nothing but what it would have been born with
        }
    }

    /// Saves an edit, in the transaction that is under way.
    pub(crate) fn save(
        &mut self,
        store: &mut Store,
        id: DocumentId,
        edited: Edited,
        schema: u32,
    ) -> Result<(), StoreError> {
        let Edited { mut open, changes, reader_min, migrated, .. } = edited;
        let peer = (!open.is_signed).then(|| (open.loro.peer_id(), self.device()));
        let roots = open.census.take_met();
        let signed = Signed { schema, reader_min, migrated, peer, roots: &roots };
        store.commit(id, &changes, &signed)?;
        open.grew(&changes);
        (open.is_signed, open.migrated) = (true, migrated);
        self.keep_met(store, id, open, &roots);
        Ok(())
    }
}

/// The outcome of a closure on a document.
enum Made {
    Nothing,
    /// Nothing but what a new document is born with.
    Birth,
    Edit {
        before: VersionVector,
        heads: Frontiers,
        changes: Vec<Vec<u8>>,
        reader_min: u32,
        migrated: u32,
    },
}

fn made<T>(
    open: &mut OpenDocument,
    now_s: i64,
    editor: &Editor<'_>,
    edit: impl FnOnce(&LoroDoc, &mut Census) -> Result<T, LoroError>,
) -> Result<(T, Made), NotEdited> {
    let (before, heads) = (open.loro.oplog_vv(), open.loro.oplog_frontiers());
    open.dates.begin(&open.loro, now_s);
    let birth = editor.birth.filter(|_| before.is_empty());
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
        return Ok((done, if birth.is_some() { Made::Birth } else { Made::Nothing }));
    }
    let migrated = editor.derive.map_or(0, |derive| derive(open, &before));
    let (mut changes, mut reader_min) = (Vec::from_iter(waits), 0);
    if !is_empty {
        let beyond = open.beyond(&before);
        changes.push(open.provable_update(&before, &beyond)?);
        reader_min = gate::raised_by(&open.loro, &beyond.containers);
        open.census.meet(&beyond.containers);
    }
    Ok((done, Made::Edit { before, heads, changes, reader_min, migrated }))
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
