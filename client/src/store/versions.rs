//! Schema versions: how far each document is, who may read it, and what missed a rewrite.

use std::path::PathBuf;

use roost_shared::{DeviceId, DocumentId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{change, touch};
use super::{Store, StoreError, backup};

/// Someone's edits of content that a rewrite had moved already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateEdit {
    /// The document.
    pub document: DocumentId,
    /// The schema version whose rewrite they missed.
    pub version: u32,
    /// The Loro peer they were made under.
    pub peer: u64,
    /// Up to which of that peer's operations.
    pub until: i32,
    /// The device, where it is known.
    pub device: Option<DeviceId>,
}

/// How a document stands with schema versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DocumentSchema {
    /// The highest version of an app that wrote it, as far as it is here.
    pub written: u32,
    /// The lowest version that may read it.
    pub reader_min: u32,
    /// The version whose steps ran on it here.
    pub migrated: u32,
}

impl Store {
    /// The schema version the file was last opened under.
    pub fn migrated(&self) -> Result<u32, StoreError> {
        Ok(self.connection.query_row("SELECT migrated FROM workspace", [], |row| row.get(0))?)
    }

    /// Another version's backup is of no use to this one any more.
    pub fn forget_migrating(&mut self, version: u32) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction
                .execute(
                    "UPDATE workspace SET migrating = NULL WHERE migrating IS NOT NULL AND migrating <> ?1",
                    [version],
                )
                .map(|_| ())
        })
    }

    /// The file is about to be brought to this version: copies it first, unless that was done before a crash. None if
    /// there is no file.
    pub fn begin_migrating(&mut self, version: u32) -> Result<Option<PathBuf>, StoreError> {
        let migrating: Option<u32> =
            self.connection.query_row("SELECT migrating FROM workspace", [], |row| row.get(0))?;
        let Some(path) = self.path.as_ref().filter(|_| migrating != Some(version)) else { return Ok(None) };
        let backup = backup::back_up(&self.connection, path, "schema", version)?;
        self.transaction(|transaction| {
            transaction.execute("UPDATE workspace SET migrating = ?1", [version]).map(|_| ())
        })?;
        Ok(Some(backup))
    }

    /// It was.
    pub fn end_migrating(&mut self, version: u32) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute("UPDATE workspace SET migrated = ?1, migrating = NULL", [version]).map(|_| ())
        })
    }

    /// How a document stands.
    pub fn document_schema(&self, document: DocumentId) -> Result<DocumentSchema, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT schema, reader_min, migrated FROM document WHERE id = ?1")?;
        let found = statement.query_row([document.0], |row| {
            Ok(DocumentSchema { written: row.get(0)?, reader_min: row.get(1)?, migrated: row.get(2)? })
        });
        Ok(found.optional()?.unwrap_or_default())
    }

    /// Documents whose steps up to this version did not all run here.
    pub fn due(&self, version: u32) -> Result<Vec<DocumentId>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT id FROM document WHERE migrated < ?1 ORDER BY id")?;
        let ids = statement.query_map([version], |row| row.get(0).map(DocumentId))?.collect::<Result<_, _>>()?;
        Ok(ids)
    }

    /// A document's steps ran up to this version: what they wrote, and that they did, in one transaction.
    pub fn migrate(&mut self, document: DocumentId, update: Option<&[u8]>, version: u32) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            if let Some(update) = update {
                transaction
                    .prepare_cached("UPDATE document SET edited = 1, schema = max(schema, ?2) WHERE id = ?1")?
                    .execute(params![document.0, version])?;
                change(transaction, document, update)?;
            }
            transaction
                .prepare_cached("UPDATE document SET migrated = ?2 WHERE id = ?1")?
                .execute(params![document.0, version])
                .map(|_| ())
        })
    }

    /// No step up to this version concerns these documents.
    pub fn not_concerned(&mut self, documents: &[DocumentId], version: u32) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            let mut statement =
                transaction.prepare_cached("UPDATE document SET migrated = ?2 WHERE id = ?1 AND migrated <> ?2")?;
            documents.iter().try_for_each(|id| statement.execute(params![id.0, version]).map(|_| ()))
        })
    }

    /// Only apps of this version and later may read the document.
    pub fn gate(&mut self, document: DocumentId, reader_min: u32) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            touch(transaction, document, 0)?;
            gate(transaction, document, reader_min)
        })
    }

    /// The highest version that any document needs.
    pub fn reader_min(&self) -> Result<u32, StoreError> {
        let sql = "SELECT coalesce(max(reader_min), 0) FROM document";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Whether entries of the document wait for something.
    pub fn waits(&self, document: DocumentId) -> Result<bool, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM inbox WHERE document = ?1)")?;
        Ok(statement.query_row([document.0], |row| row.get(0))?)
    }

    /// Who wrote under a peer id, where it is known.
    pub fn device_of(&self, document: DocumentId, peer: u64) -> Result<Option<DeviceId>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT device FROM peer WHERE document = ?1 AND peer = ?2")?;
        let found = statement.query_row(params![document.0, peer.cast_signed()], |row| row.get(0).map(DeviceId));
        Ok(found.optional()?)
    }

    /// Edits that missed a rewrite, by peer and up to which operation; whether any of them is new.
    pub fn add_late(&mut self, document: DocumentId, version: u32, late: &[(u64, i32)]) -> Result<bool, StoreError> {
        self.transaction(|transaction| {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO late (document, version, peer, until, is_done) VALUES (?1, ?2, ?3, ?4, 0) \
                 ON CONFLICT DO UPDATE SET until = ?4, is_done = 0 WHERE until < ?4",
            )?;
            let mut added = 0;
            for (peer, until) in late {
                added += statement.execute(params![document.0, version, peer.cast_signed(), until])?;
            }
            Ok(added > 0)
        })
    }

    /// Those that the app has not dealt with.
    pub fn late_edits(&self) -> Result<Vec<LateEdit>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT late.document, version, late.peer, until, device FROM late \
             LEFT JOIN peer ON peer.document = late.document AND peer.peer = late.peer WHERE is_done = 0",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(LateEdit {
                document: DocumentId(row.get(0)?),
                version: row.get(1)?,
                peer: row.get::<_, i64>(2)?.cast_unsigned(),
                until: row.get(3)?,
                device: row.get::<_, Option<_>>(4)?.map(DeviceId),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The app has dealt with these, as it saw them.
    pub fn forget_late(&mut self, seen: &[LateEdit]) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            let mut statement = transaction.prepare_cached(
                "UPDATE late SET is_done = 1 WHERE document = ?1 AND version = ?2 AND peer = ?3 AND until <= ?4",
            )?;
            seen.iter().try_for_each(|late| {
                let peer = late.peer.cast_signed();
                statement.execute(params![late.document.0, late.version, peer, late.until]).map(|_| ())
            })
        })
    }
}

pub(super) fn gate(transaction: &Connection, document: DocumentId, reader_min: u32) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached("UPDATE document SET reader_min = ?2 WHERE id = ?1 AND reader_min < ?2")?
        .execute(params![document.0, reader_min])
        .map(|_| ())
}

pub(super) fn know_peers(
    transaction: &Connection,
    document: DocumentId,
    peers: &[(u64, DeviceId)],
) -> Result<(), rusqlite::Error> {
    let mut statement =
        transaction.prepare_cached("INSERT OR IGNORE INTO peer (document, peer, device) VALUES (?1, ?2, ?3)")?;
    peers
        .iter()
        .try_for_each(|(peer, device)| statement.execute(params![document.0, peer.cast_signed(), device.0]).map(|_| ()))
}
