//! Which edits of this device can be undone. It survives a restart, as the edits do.

use loro::Frontiers;
use roost_shared::DocumentId;
use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError, damaged, int};

/// Edits of a document that can be undone; the oldest go first.
const UNDO_MAX: i64 = 200;

/// An edit: what the document was before and after it.
#[derive(Debug, Clone, PartialEq)]
pub struct UndoRow {
    /// Before it.
    pub before: Frontiers,
    /// After it.
    pub after: Frontiers,
}

impl Store {
    /// An edit was made. What was undone before cannot be made again; and an edit that follows on the last one within
    /// `pause_ms` is one with it.
    pub fn push_undo(
        &mut self,
        document: DocumentId,
        edit: &UndoRow,
        at_ms: u64,
        pause_ms: u64,
    ) -> Result<(), StoreError> {
        let (before, after) = (edit.before.encode(), edit.after.encode());
        self.transaction(|transaction| {
            transaction.prepare_cached("DELETE FROM undo WHERE document = ?1 AND undone = 1")?.execute([document.0])?;
            let since = int(at_ms.saturating_sub(pause_ms));
            let joined = transaction
                .prepare_cached(
                    "UPDATE undo SET after = ?3, at_ms = ?4 WHERE key = \
                     (SELECT max(key) FROM undo WHERE document = ?1 AND undone = 0) AND after = ?2 AND at_ms > ?5",
                )?
                .execute(params![document.0, before, after, int(at_ms), since])?;
            if joined == 0 {
                insert(transaction, document, false, &before, &after, at_ms)?;
            }
            Ok(())
        })
    }

    /// The edit to be undone next, or the undone one to be made again.
    pub fn last_undo(&self, document: DocumentId, undone: bool) -> Result<Option<(i64, UndoRow)>, StoreError> {
        let found: Option<(i64, Vec<u8>, Vec<u8>)> = self
            .connection
            .prepare_cached(
                "SELECT key, before, after FROM undo WHERE document = ?1 AND undone = ?2 ORDER BY key DESC LIMIT 1",
            )?
            .query_row(params![document.0, undone], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((key, before, after)) = found else { return Ok(None) };
        let frontiers = |bytes: &[u8]| Frontiers::decode(bytes).map_err(|_| damaged("frontiers"));
        Ok(Some((key, UndoRow { before: frontiers(&before)?, after: frontiers(&after)? })))
    }

    /// The edit was undone, or made again, by another: that one takes its place on the other side.
    pub fn turn_undo(
        &mut self,
        document: DocumentId,
        key: i64,
        turned: Option<(&UndoRow, bool)>,
        at_ms: u64,
    ) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.prepare_cached("DELETE FROM undo WHERE key = ?1")?.execute([key])?;
            match turned {
                None => Ok(()),
                Some((row, undone)) => {
                    insert(transaction, document, undone, &row.before.encode(), &row.after.encode(), at_ms)
                }
            }
        })
    }
}

fn insert(
    transaction: &rusqlite::Transaction<'_>,
    document: DocumentId,
    undone: bool,
    before: &[u8],
    after: &[u8],
    at_ms: u64,
) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached("INSERT INTO undo (document, undone, before, after, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![document.0, undone, before, after, int(at_ms)])?;
    transaction
        .prepare_cached(
            "DELETE FROM undo WHERE document = ?1 AND undone = ?2 AND key <= \
             (SELECT key FROM undo WHERE document = ?1 AND undone = ?2 ORDER BY key DESC LIMIT 1 OFFSET ?3)",
        )?
        .execute(params![document.0, undone, UNDO_MAX])
        .map(|_| ())
}
