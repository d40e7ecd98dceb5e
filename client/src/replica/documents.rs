//! Documents as the app sees them: look, edit, and the names in the index.

use std::convert::Infallible;
use std::panic::resume_unwind;

use loro::{CommitOptions, LoroDoc, LoroError};
use roost_shared::DocumentId;
use roost_shared::limits::NESTING_MAX;
use roost_shared::roster::Scope;

use super::Replica;
use super::contain::{Broken, Refusal, contained};
use crate::store::StoreError;
use crate::sync::{Event, Write};

/// The root map that lists documents in the index.
const INDEX_ROOT: &str = "documents";

/// Why an edit was not made. The document is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// Loro refused it.
    #[error("the edit does not fit the document: {0}")]
    Loro(#[from] LoroError),
    /// It nests containers or values too deep.
    #[error("the edit nests deeper than {NESTING_MAX}: no device could show it")]
    TooDeep,
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first epoch's key is not here, on which names hang.
    #[error("this device holds no key for names yet: let it sync once")]
    NoKey,
    /// This device may only read.
    #[error("this device may only read this workspace")]
    ReadOnly,
    /// The store holds bytes Loro does not read.
    #[error("the document does not load: {0}")]
    Unreadable(String),
}

impl Replica {
    /// Looks at a document. An edit made here is undone: it was not saved.
    pub fn read<T>(&mut self, id: DocumentId, look: impl FnOnce(&LoroDoc) -> T) -> Result<T, EditError> {
        let looked = contained(self.take_open(id)?, |open| {
            let before = open.loro.oplog_vv();
            let looked = look(&open.loro);
            Ok::<_, Infallible>((looked, open.loro.oplog_vv() == before))
        });
        let (open, (looked, is_same)) = looked.unwrap_or_else(goes_on);
        if is_same {
            self.open.insert(id, open);
        }
        Ok(looked)
    }

    /// One commit: what `edit` does to the document is durable when this returns, or was not done.
    pub fn edit<T>(
        &mut self,
        id: DocumentId,
        edit: impl FnOnce(&LoroDoc) -> Result<T, LoroError>,
    ) -> Result<T, EditError> {
        let now_s = i64::try_from(self.clock.now_ms() / 1_000).unwrap_or(0);
        let schema = self.choices.schema;
        if self.scope() == Some(Scope::Read) {
            return Err(EditError::ReadOnly);
        }
        // Loro has no way back, so what is not saved goes with the open document; that holds for a panic of the app too.
        let edited = contained(self.take_open(id)?, |open| {
            let before = open.loro.oplog_vv();
            let edited = edit(&open.loro);
            open.loro.commit_with(CommitOptions::new().timestamp(now_s));
            let done = edited?;
            let update = match before.includes_vv(&open.loro.oplog_vv()) {
                true => None,
                false => Some(open.update_since(&before)?),
            };
            Ok((done, update))
        });
        let (mut open, (done, update)) = match edited {
            Ok(edited) => edited,
            Err(Broken::Refused(Refusal::Loro(error))) => return Err(error.into()),
            Err(Broken::Refused(Refusal::TooDeep | Refusal::Shallow)) => return Err(EditError::TooDeep),
            Err(Broken::Panicked(panic)) => resume_unwind(panic),
        };
        let Some(update) = update else {
            self.open.insert(id, open);
            return Ok(done);
        };
        self.store.commit(id, &update, schema)?;
        open.grew(update.len());
        self.open.insert(id, open);
        self.changed.push(id);
        self.compact_soon(id);
        let step = self.machine.handle(self.clock.monotonic_ms(), Event::Edited);
        debug_assert!(step.writes.is_empty(), "an edit alone changes nothing in the machine's tables");
        for effect in step.effects {
            // Sealing is work of its own; nothing else follows from an edit.
            let output = self.output(effect);
            debug_assert!(output.is_none(), "an edit alone sends nothing");
        }
        Ok(done)
    }

    /// Rows were met: open documents learn what the log has of them now.
    pub(super) fn track_met(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if !writes.iter().any(|write| matches!(write, Write::Met { .. })) {
            return Ok(());
        }
        for id in self.store.edited_documents()? {
            let log_vv = self.store.log_vv(id)?;
            if let Some(open) = self.open.get_mut(&id) {
                open.log_vv = log_vv;
                if open.log_vv.includes_vv(&open.loro.oplog_vv()) {
                    self.store.not_edited(id)?;
                }
            }
        }
        Ok(())
    }

    /// The id of the document of this name, the same on every device; listed in the index from now on.
    pub fn named(&mut self, name: &str) -> Result<DocumentId, EditError> {
        let first = self.ring.first().ok_or(EditError::NoKey)?;
        let (id, index) = (first.named_document(name), first.index_document());
        let key = id.to_string();
        let is_listed = self.contain(index, |open| Ok(open.loro.get_map(INDEX_ROOT).get(&key).is_some()))?;
        if !is_listed && self.scope() == Some(Scope::ReadWrite) {
            self.edit(index, |loro| loro.get_map(INDEX_ROOT).insert(&key, name))?;
        }
        Ok(id)
    }

    /// The documents the index lists: id and name.
    pub fn names(&mut self) -> Result<Vec<(DocumentId, String)>, EditError> {
        let index = self.ring.first().ok_or(EditError::NoKey)?.index_document();
        let mut listed = self.contain(index, |open| {
            let mut listed: Vec<(DocumentId, String)> = Vec::new();
            open.loro.get_map(INDEX_ROOT).for_each(|id, name| {
                let name = name.get_deep_value().into_string().ok().map(|name| name.to_string());
                listed.extend(id.parse().ok().zip(name));
            });
            Ok(listed)
        })?;
        listed.sort_by(|one, other| (&one.1, one.0).cmp(&(&other.1, other.0)));
        Ok(listed)
    }
}

/// A panic of the app's own goes on; the document is loaded anew.
fn goes_on<T>(broken: Broken<Infallible>) -> T {
    match broken {
        Broken::Refused(never) => match never {},
        Broken::Panicked(panic) => resume_unwind(panic),
    }
}
