//! Sealed rows, on the disk before a byte of them leaves.

use loro::VersionVector;
use roost_shared::DocumentId;
use rusqlite::params;

use super::{Store, StoreError, int};
use crate::sync::OutboxRow;
use crate::tally;

/// A row and what the log will have of the document once it was met.
pub struct SealedRow {
    /// The row.
    pub row: OutboxRow,
    /// On the last part of a blob.
    pub until: Option<VersionVector>,
}

impl Store {
    /// Assigns the rows' numbers for good: fsynced, whatever the durability.
    pub fn seal(&mut self, rows: &[SealedRow]) -> Result<(), StoreError> {
        self.synced_transaction(|transaction| {
            for sealed in rows {
                tally::stored(&sealed.row.bytes);
                transaction
                    .prepare_cached(
                        "INSERT INTO outbox (author_seq, document, hash, if_tail, until_vv, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![
                        int(sealed.row.author_seq),
                        sealed.row.document.0,
                        sealed.row.hash.0,
                        sealed.row.if_tail.map(int),
                        sealed.until.as_ref().map(VersionVector::encode),
                        sealed.row.bytes,
                    ])?;
            }
            Ok(())
        })
    }

    /// Documents of which something sealed is on its way.
    pub fn sealed_documents(&self) -> Result<Vec<DocumentId>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT DISTINCT document FROM outbox")?;
        let documents = statement.query_map([], |row| row.get(0).map(DocumentId))?.collect::<Result<_, _>>()?;
        Ok(documents)
    }
}
