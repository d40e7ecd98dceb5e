//! Rows of documents and of their changes, as several rooms of the store write them.

use loro::VersionVector;
use roost_shared::DocumentId;
use rusqlite::{Connection, params};

use crate::tally;

pub(super) fn touch(transaction: &Connection, document: DocumentId, schema: u32) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached(
            "INSERT INTO document (id, log_vv, edited, schema) VALUES (?1, ?2, 0, ?3) \
             ON CONFLICT (id) DO UPDATE SET schema = max(schema, ?3) WHERE schema < ?3",
        )?
        .execute(params![document.0, VersionVector::default().encode(), schema])
        .map(|_| ())
}

pub(super) fn change(transaction: &Connection, document: DocumentId, update: &[u8]) -> Result<(), rusqlite::Error> {
    tally::stored(update);
    transaction
        .prepare_cached("INSERT INTO change (document, bytes) VALUES (?1, ?2)")?
        .execute(params![document.0, update])
        .map(|_| ())
}
