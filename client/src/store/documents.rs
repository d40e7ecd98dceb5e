//! Documents and what waits to be merged into them.

use std::collections::{BTreeMap, BTreeSet};

use loro::{ContainerType, VersionVector};
use roost_shared::{DeviceId, DocumentId, Seq};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::risk::{self, Risk};
use super::rows::{change, touch};
use super::{Store, StoreError, damaged, int, scanned, unsigned, versions};
use crate::tally;

/// A document as it lies in the store.
pub struct DocumentRow {
    /// Loro snapshot, if one was made.
    pub snapshot: Option<Vec<u8>>,
    /// What the snapshot lacks, in order.
    pub changes: Vec<Change>,
    /// What the log has of it.
    pub log_vv: VersionVector,
    /// The roots that operations wrote into.
    pub roots: BTreeMap<String, BTreeSet<ContainerType>>,
}

/// A change as it lies in the store.
pub struct Change {
    /// Its row.
    pub key: i64,
    /// The Loro update.
    pub bytes: Vec<u8>,
}

/// An entry of the inbox.
pub struct InboxRow {
    /// Its number.
    pub seq: Seq,
    /// Its document.
    pub document: DocumentId,
    /// How many processes died while they imported it.
    pub deaths: u32,
    /// The store has marked the entry: the process may die of it.
    pub is_marked: bool,
    /// Its envelope.
    pub bytes: Vec<u8>,
}

/// The result of merging entries into one document.
pub struct Merged {
    /// Which.
    pub document: DocumentId,
    /// What it brought, kept until a local snapshot holds it.
    pub changes: Vec<Vec<u8>>,
    /// What the log has of it now.
    pub log_vv: VersionVector,
    /// Whether the document holds more than the log.
    pub edited: bool,
    /// The highest schema version met.
    pub schema: u32,
    /// The lowest that may read it.
    pub reader_min: u32,
    /// Who wrote under which peer id.
    pub peers: Vec<(u64, DeviceId)>,
    /// Entries that are done with.
    pub done: Vec<Seq>,
    /// Roots that nothing was written into before.
    pub roots: Vec<(String, ContainerType)>,
}

/// What a commit says of who made it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Signed<'a> {
    /// The schema version of the app.
    pub schema: u32,
    /// The lowest that may read the document.
    pub reader_min: u32,
    /// The schema version whose steps looked at all of the document, this commit included; 0 if none did.
    pub migrated: u32,
    /// The Loro peer that writes for the first time, and its device.
    pub peer: Option<(u64, DeviceId)>,
    /// Roots that nothing was written into before.
    pub roots: &'a [(String, ContainerType)],
}

impl Store {
    /// One document.
    pub fn document(&self, id: DocumentId) -> Result<Option<DocumentRow>, StoreError> {
        let found = self
            .connection
            .prepare_cached("SELECT bytes, log_vv FROM document LEFT JOIN snapshot ON document = id WHERE id = ?1")?
            .query_row([id.0], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))
            .optional()?;
        let Some((snapshot, log_vv)) = found else { return Ok(None) };
        let log_vv = VersionVector::decode(&log_vv).map_err(|_| damaged("log_vv"))?;
        let mut statement = self
            .connection
            .prepare_cached("SELECT key, bytes FROM change WHERE document = ?1 AND left_out = 0 ORDER BY key")?;
        let changes = statement.query_map([id.0], |row| Ok(Change { key: row.get(0)?, bytes: row.get(1)? }))?;
        let changes = changes.collect::<Result<_, _>>()?;
        Ok(Some(DocumentRow { snapshot, changes, log_vv, roots: self.roots(id)? }))
    }

    fn roots(&self, document: DocumentId) -> Result<BTreeMap<String, BTreeSet<ContainerType>>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT name, kind FROM root WHERE document = ?1")?;
        let mut rows = statement.query([document.0])?;
        let mut roots: BTreeMap<String, BTreeSet<ContainerType>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let kind = ContainerType::try_from_u8(row.get(1)?).map_err(|_| damaged("kind of a root"))?;
            roots.entry(row.get(0)?).or_default().insert(kind);
        }
        Ok(roots)
    }

    /// True for a document of which the store holds anything.
    pub fn holds(&self, id: DocumentId) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM document WHERE id = ?1)")?;
        Ok(statement.query_row([id.0], |row| row.get(0))?)
    }

    /// What the log has of a document.
    pub fn log_vv(&self, id: DocumentId) -> Result<VersionVector, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT log_vv FROM document WHERE id = ?1")?;
        let log_vv: Vec<u8> = statement.query_row([id.0], |row| row.get(0))?;
        Ok(VersionVector::decode(&log_vv).map_err(|_| damaged("log_vv"))?)
    }

    /// Every document there is.
    pub fn documents(&self) -> Result<Vec<DocumentId>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM document ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get(0).map(DocumentId))?.collect::<Result<_, _>>()?;
        Ok(ids)
    }

    /// Documents that hold operations the log may lack.
    pub fn edited_documents(&self) -> Result<Vec<DocumentId>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM document WHERE edited = 1 ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get(0).map(DocumentId))?.collect::<Result<_, _>>()?;
        scanned(&statement);
        Ok(ids)
    }

    /// A commit of the app: durable when this returns.
    pub fn commit(
        &mut self,
        document: DocumentId,
        changes: &[impl AsRef<[u8]>],
        signed: &Signed<'_>,
    ) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            touch(transaction, document, signed.schema)?;
            transaction
                .prepare_cached(
                    "UPDATE document SET edited = 1, migrated = ?2 WHERE id = ?1 AND (edited = 0 OR migrated <> ?2)",
                )?
                .execute(params![document.0, signed.migrated])?;
            versions::gate(transaction, document, signed.reader_min)?;
            versions::know_peers(transaction, document, signed.peer.as_slice())?;
            meet_roots(transaction, document, signed.roots)?;
            changes.iter().try_for_each(|update| change(transaction, document, update.as_ref()))
        })
    }

    /// The log has all the document holds.
    pub fn not_edited(&mut self, document: DocumentId) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute("UPDATE document SET edited = 0 WHERE id = ?1", [document.0]).map(|_| ())
        })
    }

    /// Puts a fresh snapshot in the place of everything it holds; `rest` is what it cannot hold yet.
    pub fn compact(&mut self, document: DocumentId, snapshot: &[u8], rest: Option<&[u8]>) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            tally::stored(snapshot);
            let put = "INSERT OR REPLACE INTO snapshot (document, bytes) VALUES (?1, ?2)";
            transaction.prepare_cached(put)?.execute(params![document.0, snapshot])?;
            transaction.execute("DELETE FROM change WHERE document = ?1 AND left_out = 0", [document.0])?;
            rest.map_or(Ok(()), |rest| change(transaction, document, rest))
        })
    }

    /// Changes that do not load: kept, and not loaded again.
    pub fn leave_out(&mut self, changes: &[i64]) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            let mut statement = transaction.prepare_cached("UPDATE change SET left_out = 1 WHERE key = ?1")?;
            changes.iter().try_for_each(|key| statement.execute([key]).map(|_| ()))
        })
    }

    /// The next entries to merge, in order of Seq: those not looked at yet, up to `bytes_max`.
    pub fn inbox(&self, bytes_max: usize) -> Result<Vec<InboxRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, document, coalesce(deaths, 0), coalesce(active, 0), bytes FROM inbox LEFT JOIN risk ON what = 'entry ' || seq \
             WHERE waits = 0 ORDER BY seq",
        )?;
        let mut rows = statement.query([])?;
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let entry = inbox_row(row)?;
            bytes += entry.bytes.len();
            taken.push(entry);
            if bytes >= bytes_max {
                break;
            }
        }
        drop(rows);
        scanned(&statement);
        Ok(taken)
    }

    /// The parts of a blob that are here, in order of Seq.
    pub fn parts(&self, blob: &[u8; 32]) -> Result<Vec<InboxRow>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, document, coalesce(deaths, 0), coalesce(active, 0), bytes FROM inbox LEFT JOIN risk ON what = 'entry ' || seq \
             WHERE blob = ?1 ORDER BY seq",
        )?;
        let rows = statement.query_map([blob], inbox_row)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// How many parts of a blob are here.
    pub fn count_parts(&self, blob: &[u8; 32]) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT count(*) FROM inbox WHERE blob = ?1")?;
        Ok(statement.query_row([blob], |row| unsigned(row, 0))?)
    }

    /// Entries that stay: they wait for a key, for an update of the app, or as parts for the rest of their blob.
    pub fn wait(&mut self, waiting: &[(Seq, Option<[u8; 32]>)]) -> Result<(), StoreError> {
        if waiting.is_empty() {
            return Ok(());
        }
        self.transaction(|transaction| {
            let mut statement = transaction.prepare_cached("UPDATE inbox SET waits = 1, blob = ?2 WHERE seq = ?1")?;
            waiting.iter().try_for_each(|(seq, blob)| statement.execute(params![int(seq.get()), blob]).map(|_| ()))
        })
    }

    /// Parts of which the rest will never come.
    pub fn drop_parts(&mut self, blob: &[u8; 32]) -> Result<(), StoreError> {
        self.transaction(|transaction| transaction.execute("DELETE FROM inbox WHERE blob = ?1", [blob]).map(|_| ()))
    }

    /// Whether anything in the inbox was not looked at.
    pub fn has_inbox(&self) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM inbox WHERE waits = 0)")?;
        let has = statement.query_row([], |row| row.get(0))?;
        scanned(&statement);
        Ok(has)
    }

    /// A key came: what waited may open now.
    pub fn look_again(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute("UPDATE inbox SET waits = 0 WHERE waits <> 0", []).map(|_| ())
        })
    }

    /// Entries that do not merge, and why: kept, and done with. What they hold, apps from `reader_min` on read.
    pub fn put_aside(&mut self, bad: &[(Seq, &'static str)], reader_min: u32) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            for (seq, reason) in bad {
                transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO quarantine (seq, reason, document, reader_min, bytes) \
                         SELECT seq, ?2, document, ?3, bytes FROM inbox WHERE seq = ?1",
                    )?
                    .execute(params![int(seq.get()), reason, reader_min])?;
                done_with(transaction, *seq)?;
            }
            Ok(())
        })
    }

    /// The result of a merge and the inbox rows it used up, in one transaction.
    pub fn merged(&mut self, merged: &Merged) -> Result<(), StoreError> {
        self.transaction(|transaction| put_merged(transaction, merged))
    }
}

fn inbox_row(row: &rusqlite::Row<'_>) -> Result<InboxRow, rusqlite::Error> {
    Ok(InboxRow {
        seq: Seq::new(unsigned(row, 0)?).ok_or_else(|| damaged("seq"))?,
        document: DocumentId(row.get(1)?),
        deaths: row.get(2)?,
        is_marked: row.get(3)?,
        bytes: row.get(4)?,
    })
}

fn put_merged(transaction: &Connection, merged: &Merged) -> Result<(), rusqlite::Error> {
    touch(transaction, merged.document, merged.schema)?;
    versions::gate(transaction, merged.document, merged.reader_min)?;
    versions::know_peers(transaction, merged.document, &merged.peers)?;
    meet_roots(transaction, merged.document, &merged.roots)?;
    transaction
        .prepare_cached("UPDATE document SET log_vv = ?2, edited = ?3, migrated = 0 WHERE id = ?1")?
        .execute(params![merged.document.0, merged.log_vv.encode(), merged.edited])?;
    for update in &merged.changes {
        change(transaction, merged.document, update)?;
    }
    merged.done.iter().try_for_each(|seq| done_with(transaction, *seq))
}

fn meet_roots(
    transaction: &Connection,
    document: DocumentId,
    roots: &[(String, ContainerType)],
) -> Result<(), rusqlite::Error> {
    for (name, kind) in roots {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO root (document, name, kind) VALUES (?1, ?2, ?3)")?
            .execute(params![document.0, name, kind.to_u8()])?;
    }
    Ok(())
}

fn done_with(transaction: &Connection, seq: Seq) -> Result<(), rusqlite::Error> {
    transaction.prepare_cached("DELETE FROM inbox WHERE seq = ?1")?.execute([int(seq.get())])?;
    risk::safe(transaction, Risk::Entry(seq))
}
