//! Entries that were put aside, until the person has dealt with them.

use roost_shared::{DeviceId, DocumentId, Envelope, Seq};
use rusqlite::params;

use super::{Store, StoreError, int, unsigned};

/// An entry whose content was put aside, or a saved change that does not load.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The entry's number; 0 for a change that was saved here and does not load any more.
    pub seq: u64,
    /// The entry's document; None for an entry that names none.
    pub document: Option<DocumentId>,
    /// The author that the entry names; zeros for a saved change.
    pub author: DeviceId,
    /// The reason why the entry was put aside.
    pub reason: String,
}

impl Store {
    /// The entries put aside that nobody has accepted, and the saved changes left out, in order.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>, StoreError> {
        let mut left_out =
            self.connection.prepare_cached("SELECT document FROM change WHERE left_out = 1 ORDER BY key")?;
        let changes = left_out.query_map([], |row| {
            let (document, author) = (Some(DocumentId(row.get(0)?)), DeviceId::ZERO);
            Ok(Quarantined { seq: 0, document, author, reason: "a saved change does not load".to_owned() })
        })?;
        let mut found = changes.collect::<Result<Vec<_>, _>>()?;
        let mut aside = self
            .connection
            .prepare_cached("SELECT seq, document, reason, bytes FROM quarantine WHERE accepted = 0 ORDER BY seq")?;
        let entries = aside.query_map([], |row| {
            let envelope = Envelope::parse(row.get::<_, Vec<u8>>(3)?).ok();
            let named =
                envelope.as_ref().map(|envelope| envelope.header().document).filter(|id| *id != DocumentId::ZERO);
            Ok(Quarantined {
                seq: unsigned(row, 0)?,
                document: row.get::<_, Option<_>>(1)?.map(DocumentId).or(named),
                author: envelope.as_ref().map_or(DeviceId::ZERO, |envelope| envelope.header().author),
                reason: row.get(2)?,
            })
        })?;
        found.extend(entries.collect::<Result<Vec<_>, _>>()?);
        Ok(found)
    }

    /// Puts entries back into the inbox that were put aside when they were merged, and gives saved changes another try:
    /// all of them, or the ones of one entry's document. An entry whose author may not have written it stays aside. The
    /// entries that are tried, and the documents.
    pub fn requeue(&mut self, seq: Option<u64>) -> Result<(Vec<Seq>, Vec<DocumentId>), StoreError> {
        self.transaction(|transaction| {
            let mut found = transaction.prepare_cached(
                "SELECT seq, document FROM quarantine WHERE document IS NOT NULL AND (?1 IS NULL AND accepted = 0 \
                 OR document = (SELECT document FROM quarantine WHERE seq = ?1)) ORDER BY seq",
            )?;
            let rows = found.query_map([seq.map(int)], |row| Ok((unsigned(row, 0)?, DocumentId(row.get(1)?))))?;
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            for (seq, _) in &rows {
                transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO inbox (seq, document, waits, bytes) \
                         SELECT seq, document, 0, bytes FROM quarantine WHERE seq = ?1",
                    )?
                    .execute([int(*seq)])?;
                transaction.prepare_cached("DELETE FROM quarantine WHERE seq = ?1")?.execute([int(*seq)])?;
                // A process may have died of it: it is tried alone.
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO risk (what, active, deaths) VALUES ('entry ' || ?1, 0, 1)")?
                    .execute([int(*seq)])?;
            }
            let mut documents: Vec<DocumentId> = rows.iter().map(|(_, document)| *document).collect();
            if seq.is_none_or(|seq| seq == 0) {
                let mut changed =
                    transaction.prepare_cached("SELECT DISTINCT document FROM change WHERE left_out = 1")?;
                let changed = changed.query_map([], |row| row.get(0).map(DocumentId))?;
                documents.extend(changed.collect::<Result<Vec<_>, _>>()?);
                transaction.execute("UPDATE change SET left_out = 0 WHERE left_out = 1", [])?;
                transaction.execute("DELETE FROM risk WHERE what LIKE 'change %' OR what LIKE 'document %'", [])?;
            }
            Ok((rows.into_iter().filter_map(|(seq, _)| Seq::new(seq)).collect(), documents))
        })
    }

    /// Accepts an entry that was put aside, or with 0 all saved changes that were left out: they are kept, and no longer
    /// counted. False if there is none.
    pub fn accept(&mut self, seq: u64) -> Result<bool, StoreError> {
        self.transaction(|transaction| {
            let accepted = match seq {
                0 => transaction.execute("UPDATE change SET left_out = 2 WHERE left_out = 1", [])?,
                seq => transaction
                    .execute("UPDATE quarantine SET accepted = 1 WHERE seq = ?1 AND accepted = 0", params![int(seq)])?,
            };
            Ok(accepted > 0)
        })
    }

    /// A merged entry neither waits in the inbox nor lies in quarantine.
    pub fn is_merged(&self, seq: Seq) -> Result<bool, StoreError> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM inbox WHERE seq = ?1) \
                   AND NOT EXISTS (SELECT 1 FROM quarantine WHERE seq = ?1)";
        Ok(self.connection.query_row(sql, [int(seq.get())], |row| row.get(0))?)
    }
}
