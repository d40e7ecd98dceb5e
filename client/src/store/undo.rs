//! What this device's person did to documents, so that it can be taken back. It survives a restart, as the edits do.
//!
//! What was taken back stays listed: what came between it and what took it back is told from it by that.

use loro::{ContainerID, Frontiers};
use roost_shared::DocumentId;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{Store, StoreError, damaged, int};

/// Edits of a document that can be undone; the oldest go first.
const UNDO_MAX: i64 = 200;
/// With those that were undone, and made again, and undone.
const TURNS_MAX: i64 = 1_000;

/// An edit, or one that took an edit back: what the document was before and after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Its row; later ones have larger keys.
    pub key: i64,
    /// What it took back, if that is what it was for.
    pub takes_back: Option<i64>,
    /// Before it.
    pub before: Frontiers,
    /// After it.
    pub after: Frontiers,
}

/// The edit that took a turn back.
#[derive(Debug)]
pub struct TakenBack<'a> {
    /// The document's version before the turn.
    pub before: &'a Frontiers,
    /// The document's version after the turn.
    pub after: &'a Frontiers,
    /// Containers that came back, each with the id of the new one.
    pub made_again: &'a [(ContainerID, ContainerID)],
}

impl Store {
    /// Containers of a document that an undo or a redo made again, and the ones made in their places.
    pub fn made_again(&self, document: DocumentId) -> Result<Vec<(ContainerID, ContainerID)>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT old, new FROM made_again WHERE document = ?1")?;
        let rows = statement.query_map([document.0], |row| {
            let id = |text: String| ContainerID::try_from(&text[..]).map_err(|_| damaged("id of a container"));
            Ok((id(row.get(0)?)?, id(row.get(1)?)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An edit was made. What was undone before cannot be made again; and one that joins the last edit, on which it
    /// follows, is one with it.
    pub fn push_undo(
        &mut self,
        document: DocumentId,
        (before, after): (&Frontiers, &Frontiers),
        at_ms: u64,
        joins: bool,
    ) -> Result<(), StoreError> {
        let (before, after) = (before.encode(), after.encode());
        self.transaction(|transaction| {
            transaction
                .prepare_cached("UPDATE undo SET is_over = 1 WHERE document = ?1 AND undone = 1 AND is_over = 0")?
                .execute([document.0])?;
            let joined = transaction
                .prepare_cached(
                    "UPDATE undo SET after = ?3, at_ms = ?4 WHERE key = (SELECT max(key) FROM undo WHERE document = ?1) \
                     AND takes_back IS NULL AND is_over = 0 AND after = ?2 AND ?5",
                )?
                .execute(params![document.0, before, after, int(at_ms), joins])?;
            if joined == 0 {
                insert(transaction, document, None, &before, &after, at_ms)?;
            }
            Ok(())
        })
    }

    /// What is to be undone next, or the undone one to be made again; and all that was done after it, in order.
    pub fn last_undo(&self, document: DocumentId, undone: bool) -> Result<Option<(Turn, Vec<Turn>)>, StoreError> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT key, takes_back, before, after FROM undo \
                 WHERE document = ?1 AND undone = ?2 AND is_over = 0 ORDER BY key DESC LIMIT 1",
            )?
            .query_row(params![document.0, undone], columns)
            .optional()?;
        let Some(found) = found else { return Ok(None) };
        let mut later = self.connection.prepare_cached(
            "SELECT key, takes_back, before, after FROM undo WHERE document = ?1 AND key > ?2 ORDER BY key",
        )?;
        let later = later.query_map(params![document.0, found.0], columns)?.collect::<Result<Vec<_>, _>>()?;
        Ok(Some((turn(found)?, later.into_iter().map(turn).collect::<Result<_, _>>()?)))
    }

    /// It was taken back, by an edit between these versions; None if nothing of it was left to take back, or it no longer
    /// fits the document.
    pub fn turn_undo(
        &mut self,
        document: DocumentId,
        key: i64,
        by: Option<TakenBack<'_>>,
        at_ms: u64,
    ) -> Result<(), StoreError> {
        self.transaction(|transaction| match by {
            None => transaction.prepare_cached("DELETE FROM undo WHERE key = ?1")?.execute([key]).map(|_| ()),
            Some(TakenBack { before, after, made_again }) => {
                transaction.prepare_cached("UPDATE undo SET is_over = 1 WHERE key = ?1")?.execute([key])?;
                insert(transaction, document, Some(key), &before.encode(), &after.encode(), at_ms)?;
                let turn = transaction.last_insert_rowid();
                let mut made = transaction.prepare_cached(
                    "INSERT OR REPLACE INTO made_again (document, old, new, turn) VALUES (?1, ?2, ?3, ?4)",
                )?;
                made_again.iter().try_for_each(|(old, new)| {
                    made.execute(params![document.0, old.to_string(), new.to_string(), turn]).map(|_| ())
                })
            }
        })
    }
}

type Columns = (i64, Option<i64>, Vec<u8>, Vec<u8>);

fn columns(row: &Row<'_>) -> Result<Columns, rusqlite::Error> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn turn((key, takes_back, before, after): Columns) -> Result<Turn, StoreError> {
    let frontiers = |bytes: &[u8]| Frontiers::decode(bytes).map_err(|_| damaged("frontiers"));
    Ok(Turn { key, takes_back, before: frontiers(&before)?, after: frontiers(&after)? })
}

fn insert(
    transaction: &Connection,
    document: DocumentId,
    takes_back: Option<i64>,
    before: &[u8],
    after: &[u8],
    at_ms: u64,
) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT INTO undo (document, undone, takes_back, is_over, before, after, at_ms) VALUES \
             (?1, 1 - coalesce((SELECT undone FROM undo WHERE key = ?2), 1), ?2, 0, ?3, ?4, ?5)",
        )?
        .execute(params![document.0, takes_back, before, after, int(at_ms)])?;
    transaction
        .prepare_cached(
            "DELETE FROM undo WHERE document = ?1 AND (key <= \
             (SELECT key FROM undo WHERE document = ?1 AND undone = 0 AND is_over = 0 ORDER BY key DESC LIMIT 1 OFFSET ?2) \
             OR key <= (SELECT key FROM undo WHERE document = ?1 ORDER BY key DESC LIMIT 1 OFFSET ?3))",
        )?
        .execute(params![document.0, UNDO_MAX, TURNS_MAX])?;
    // What a turn made again is asked for by the turns from before it, which went first.
    transaction
        .prepare_cached(
            "DELETE FROM made_again WHERE document = ?1 AND turn < (SELECT min(key) FROM undo WHERE document = ?1)",
        )?
        .execute([document.0])
        .map(|_| ())
}
