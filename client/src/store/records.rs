//! The tables that collections are searched in.

use loro::VersionVector;
use roost_shared::DocumentId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::query::column;
use super::{Store, StoreError, damaged};
use crate::tally;

/// A collection's table.
pub struct Table {
    /// Its key.
    pub key: i64,
    /// How far it is; None if it is to be made anew.
    pub vv: Option<VersionVector>,
}

/// A record as the document has it now; None if it has none.
pub type RecordRow = (String, Option<String>);

impl Store {
    /// The table of a collection whose fields are read in this form, with these indexes.
    pub fn open_collection(
        &mut self,
        document: DocumentId,
        name: &str,
        form: &[u8; 32],
        indexes: &[String],
    ) -> Result<Table, StoreError> {
        let (key, vv) = self.transaction(|transaction| {
            let found: Option<(i64, [u8; 32], Option<Vec<u8>>)> = transaction
                .query_row(
                    "SELECT key, form, vv FROM collection WHERE document = ?1 AND name = ?2",
                    params![document.0, name],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .optional()?;
            if let Some((key, held, vv)) = found {
                if held == *form {
                    return Ok((key, vv));
                }
                transaction.execute(&format!("DROP TABLE IF EXISTS records_{key}"), [])?;
                transaction.execute("DELETE FROM collection WHERE key = ?1", [key])?;
            }
            transaction.execute(
                "INSERT INTO collection (document, name, form) VALUES (?1, ?2, ?3)",
                params![document.0, name, form],
            )?;
            let key = transaction.last_insert_rowid();
            create(transaction, key, indexes)?;
            Ok((key, None))
        })?;
        let vv = vv.map(|vv| VersionVector::decode(&vv)).transpose().map_err(|_| damaged("vv of a collection"))?;
        Ok(Table { key, vv })
    }

    /// All records at once, in the place of what the table held.
    pub fn fill_records(&mut self, key: i64, rows: &[(String, String)], vv: &VersionVector) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute(&format!("DELETE FROM records_{key}"), [])?;
            let mut statement =
                transaction.prepare(&format!("INSERT INTO records_{key} (id, fields) VALUES (?1, ?2)"))?;
            for row in rows {
                tally::stored(&row.1);
                statement.execute(params![row.0, row.1])?;
            }
            set_vv(transaction, key, vv)
        })
    }

    /// The records that changed; what each was before.
    pub fn put_records(
        &mut self,
        key: i64,
        rows: &[RecordRow],
        vv: &VersionVector,
    ) -> Result<Vec<Option<String>>, StoreError> {
        self.transaction(|transaction| {
            let mut before = transaction.prepare_cached(&format!("SELECT fields FROM records_{key} WHERE id = ?1"))?;
            let mut put = transaction.prepare_cached(&format!(
                "INSERT INTO records_{key} (id, fields) VALUES (?1, ?2) \
                 ON CONFLICT (id) DO UPDATE SET fields = ?2"
            ))?;
            let mut remove = transaction.prepare_cached(&format!("DELETE FROM records_{key} WHERE id = ?1"))?;
            let mut held = Vec::with_capacity(rows.len());
            for (id, fields) in rows {
                held.push(before.query_row([id], |row| row.get(0)).optional()?);
                tally::stored(fields.as_deref().unwrap_or_default());
                match fields {
                    Some(fields) => put.execute(params![id, fields])?,
                    None => remove.execute([id])?,
                };
            }
            set_vv(transaction, key, vv)?;
            Ok(held)
        })
    }

    /// One record's fields.
    pub fn record(&self, key: i64, id: &str) -> Result<Option<String>, StoreError> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT fields FROM records_{key} WHERE id = ?1"))?;
        Ok(statement.query_row([id], |row| row.get(0)).optional()?)
    }
}

fn create(transaction: &Connection, key: i64, indexes: &[String]) -> Result<(), rusqlite::Error> {
    transaction
        .execute(&format!("CREATE TABLE records_{key} (id TEXT PRIMARY KEY, fields TEXT NOT NULL) STRICT"), [])?;
    for (number, field) in indexes.iter().enumerate() {
        let column = column(field);
        transaction.execute(&format!("CREATE INDEX records_{key}_{number} ON records_{key} ({column}, id)"), [])?;
    }
    Ok(())
}

fn set_vv(transaction: &Connection, key: i64, vv: &VersionVector) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached("UPDATE collection SET vv = ?2 WHERE key = ?1")?
        .execute(params![key, vv.encode()])
        .map(|_| ())
}
