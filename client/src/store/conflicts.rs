//! Values that were hidden.

use roost_shared::{DeviceId, DocumentId};
use rusqlite::params;

use super::{Store, StoreError};

/// Conflicts that are kept until the app has looked at them; the oldest go first.
const CONFLICTS_MAX: u32 = 10_000;

/// Two values of one field, written by two devices of which neither had seen the other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictRow {
    /// Its row; 0 for a new one.
    pub key: i64,
    /// The collection's document.
    pub document: DocumentId,
    /// The collection.
    pub collection: String,
    /// The record's key in the document: its id, and which life of it.
    pub record: String,
    /// The field, as it is stored.
    pub field: String,
    /// The value that stands, as JSON.
    pub kept: String,
    /// The Loro peer that wrote it.
    pub kept_peer: u64,
    /// Its device, where that is known.
    pub kept_by: Option<DeviceId>,
    /// The value that it hid.
    pub hidden: String,
    /// The Loro peer that wrote that.
    pub hidden_peer: u64,
    /// Its device, where that is known.
    pub hidden_by: Option<DeviceId>,
}

impl Store {
    /// The names of a document's collections, as far as they were ever used here.
    pub fn collections_of(&self, document: DocumentId) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT name FROM collection WHERE document = ?1")?;
        let names = statement.query_map([document.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    }

    /// Keeps these; how many are new.
    pub fn add_conflicts(&mut self, rows: &[ConflictRow]) -> Result<usize, StoreError> {
        self.transaction(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO conflict \
                 (document, collection, record, field, kept, kept_peer, hidden, hidden_peer) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                 ON CONFLICT DO UPDATE SET kept = excluded.kept, kept_peer = excluded.kept_peer \
                 WHERE kept IS NOT excluded.kept OR kept_peer IS NOT excluded.kept_peer",
            )?;
            let mut added = 0;
            for row in rows {
                let peers = (row.kept_peer.cast_signed(), row.hidden_peer.cast_signed());
                added += statement.execute(params![
                    row.document.0,
                    row.collection,
                    row.record,
                    row.field,
                    row.kept,
                    peers.0,
                    row.hidden,
                    peers.1
                ])?;
            }
            let oldest = "DELETE FROM conflict WHERE key <= (SELECT max(key) FROM conflict) - ?1";
            transaction.execute(oldest, [CONFLICTS_MAX])?;
            Ok(added)
        })
    }

    /// All of them, oldest first.
    pub fn conflicts(&self) -> Result<Vec<ConflictRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT key, conflict.document, collection, record, field, kept, kept_peer, kept.device, hidden, \
             hidden_peer, hidden.device FROM conflict \
             LEFT JOIN peer AS kept ON kept.document = conflict.document AND kept.peer = kept_peer \
             LEFT JOIN peer AS hidden ON hidden.document = conflict.document AND hidden.peer = hidden_peer \
             ORDER BY key",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(ConflictRow {
                key: row.get(0)?,
                document: DocumentId(row.get(1)?),
                collection: row.get(2)?,
                record: row.get(3)?,
                field: row.get(4)?,
                kept: row.get(5)?,
                kept_peer: row.get::<_, i64>(6)?.cast_unsigned(),
                kept_by: row.get::<_, Option<_>>(7)?.map(DeviceId),
                hidden: row.get(8)?,
                hidden_peer: row.get::<_, i64>(9)?.cast_unsigned(),
                hidden_by: row.get::<_, Option<_>>(10)?.map(DeviceId),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many there are.
    pub fn count_conflicts(&self) -> Result<u64, StoreError> {
        Ok(self.connection.query_row("SELECT count(*) FROM conflict", [], |row| super::unsigned(row, 0))?)
    }

    /// The app has looked at it.
    pub fn forget_conflict(&mut self, key: i64) -> Result<(), StoreError> {
        self.transaction(|transaction| transaction.execute("DELETE FROM conflict WHERE key = ?1", [key]).map(|_| ()))
    }
}
