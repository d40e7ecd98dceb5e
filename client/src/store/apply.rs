//! The machine's writes as statements.

use loro::VersionVector;
use roost_shared::roster::{Record, RecordBody};
use roost_shared::tree::Frontier;
use roost_shared::{DocumentId, Seq};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Risk, Store, StoreError, damaged, int, risk};
use crate::sync::{Stage, Write};
use crate::tally;

/// Envelope bytes of one slice of the inbox, which is one piece of work.
pub(crate) const SLICE_BYTES: usize = 4 * 1024 * 1024;

impl Store {
    /// One step's writes, all or none. Entries for the inbox are marked in the same transaction as what the process may die
    /// of, if they are the next slice to be imported: nothing else waits, and they are at most `slice_max` bytes.
    pub fn apply(&mut self, writes: &[Write], slice_max: usize) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let entries = || {
            writes.iter().filter_map(|write| match write {
                Write::Inbox { seq, bytes, .. } => Some((*seq, bytes.len())),
                _ => None,
            })
        };
        let bytes: usize = entries().map(|(_, len)| len).sum();
        let are_next = bytes > 0 && bytes <= slice_max && !self.has_inbox()?;
        self.transaction(|transaction| {
            writes.iter().try_for_each(|write| apply(transaction, write))?;
            let marked = entries().filter(|_| are_next);
            marked.into_iter().try_for_each(|(seq, _)| risk::mark(transaction, Risk::Entry(seq)))
        })
    }

    /// Makes a record of ours durable before it is sent.
    pub fn propose(&mut self, record: &Record) -> Result<(), StoreError> {
        let epoch = match &record.body {
            RecordBody::Owner(owner) => owner.epoch,
            RecordBody::Replace(_) | RecordBody::Purge => 0,
        };
        self.synced_transaction(|transaction| {
            let sql = "UPDATE workspace SET pending = ?1, epoch_top = max(epoch_top, ?2)";
            transaction.execute(sql, params![record.as_bytes(), epoch]).map(|_| ())
        })
    }
}

fn apply(transaction: &Connection, write: &Write) -> Result<(), rusqlite::Error> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| transaction.prepare_cached(sql)?.execute(values).map(|_| ());
    match write {
        Write::Advance(frontier) => run("UPDATE workspace SET frontier = ?1", &[&frontier.encode()]),
        Write::Leaf { seq, leaf, root } => {
            run("INSERT INTO leaf (seq, leaf, root) VALUES (?1, ?2, ?3)", &[&int(seq.get()), &leaf.0, &root.0])
        }
        Write::Author { device, last, base } => run(
            "INSERT OR REPLACE INTO author (device, last, base_size) VALUES (?1, ?2, ?3)",
            &[&device.0, &int(*last), &int(base.0)],
        ),
        Write::AuthorsOf(log) => {
            run("DELETE FROM author", &[])?;
            run("UPDATE workspace SET authors_of = ?1", &[&log.0])
        }
        Write::Inbox { seq, document, bytes } => take_in(transaction, *seq, *document, bytes),
        Write::Quarantine { seq, reason, bytes } => run(
            "INSERT OR REPLACE INTO quarantine (seq, reason, bytes) VALUES (?1, ?2, ?3)",
            &[&int(seq.get()), reason, bytes],
        ),
        Write::Met { author_seq } => met(transaction, *author_seq),
        Write::OwnSeq(seq) => run("UPDATE workspace SET own_seq = ?1", &[&int(seq.get())]),
        Write::Seen { device, at } => run(
            "INSERT OR REPLACE INTO seen (device, log, size, root, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[&device.0, &at.log.0, &int(at.size), &at.root.0, &int(at.at_ms)],
        ),
        Write::Contradiction { device, size, root } => run(
            "INSERT OR IGNORE INTO contradiction (device, size, root) VALUES (?1, ?2, ?3)",
            &[&device.0, &int(*size), &root.0],
        ),
        Write::ClearOutbox => run("DELETE FROM outbox", &[]),
        Write::LogRecord(record) => insert_record(transaction, 1, record),
        Write::HeldRecord(record) => insert_record(transaction, 0, record),
        Write::HoldLogChain => {
            run("DELETE FROM record WHERE branch = 0", &[])?;
            run(
                "INSERT INTO record (branch, version, bytes) SELECT 0, version, bytes FROM record WHERE branch = 1",
                &[],
            )
        }
        Write::NotPending => run("UPDATE workspace SET pending = NULL", &[]),
        Write::Resync(stage) => {
            let number = match stage {
                None => 0,
                Some(Stage::Read) => 1,
                Some(Stage::Reseal) => 2,
            };
            run("UPDATE workspace SET resync = ?1", &[&number])
        }
        Write::NewLog(log) => {
            run(
                "UPDATE workspace SET log = ?1, authors_of = ?1, frontier = ?2, own_seq = 0",
                &[&log.0, &Frontier::default().encode()],
            )?;
            for table in ["leaf", "author", "outbox", "inbox", "contradiction"] {
                run(&format!("DELETE FROM {table}"), &[])?;
            }
            run("DELETE FROM risk WHERE what LIKE 'entry %'", &[])?;
            // Numbers begin anew: what was put aside of the old log is kept, and met again if its author offers it again.
            run("INSERT INTO quarantine_of_old_logs SELECT reason, document, bytes FROM quarantine", &[])?;
            run("DELETE FROM quarantine", &[])?;
            run("DELETE FROM record WHERE branch = 1", &[])?;
            // The new log may lack anything: what the documents hold is offered again as it is read.
            run("UPDATE document SET log_vv = ?1, edited = 1", &[&VersionVector::default().encode()])
        }
        Write::Diverged { what, evidence } => {
            run("INSERT INTO divergence (what, evidence) VALUES (?1, ?2)", &[what, evidence])
        }
    }
}

fn take_in(transaction: &Connection, seq: Seq, document: DocumentId, bytes: &[u8]) -> Result<(), rusqlite::Error> {
    tally::stored(bytes);
    transaction
        .prepare_cached("INSERT INTO inbox (seq, document, waits, bytes) VALUES (?1, ?2, 0, ?3)")?
        .execute(params![int(seq.get()), document.0, bytes])
        .map(|_| ())
}

fn insert_record(transaction: &Connection, branch: i64, record: &Record) -> Result<(), rusqlite::Error> {
    transaction
        .prepare_cached("INSERT INTO record (branch, version, bytes) VALUES (?1, ?2, ?3)")?
        .execute(params![branch, int(record.version), record.as_bytes()])
        .map(|_| ())
}

/// The log has the row's entry, and with the last part of a blob what the blob held.
fn met(transaction: &Connection, author_seq: u64) -> Result<(), rusqlite::Error> {
    let row: Option<(DocumentId, Option<Vec<u8>>)> = transaction
        .prepare_cached("SELECT document, until_vv FROM outbox WHERE author_seq = ?1")?
        .query_row([int(author_seq)], |row| Ok((DocumentId(row.get(0)?), row.get(1)?)))
        .optional()?;
    transaction.prepare_cached("DELETE FROM outbox WHERE author_seq = ?1")?.execute([int(author_seq)])?;
    let Some((document, Some(until))) = row else { return Ok(()) };
    let log_vv: Vec<u8> = transaction
        .prepare_cached("SELECT log_vv FROM document WHERE id = ?1")?
        .query_row([document.0], |row| row.get(0))?;
    let mut log_vv = VersionVector::decode(&log_vv).map_err(|_| damaged("log_vv"))?;
    let until = VersionVector::decode(&until).map_err(|_| damaged("until_vv"))?;
    log_vv.merge(&until);
    transaction
        .prepare_cached("UPDATE document SET log_vv = ?2 WHERE id = ?1")?
        .execute(params![document.0, log_vv.encode()])
        .map(|_| ())
}
