//! What the process may die of: named before it is tried, so that the next one knows.

use std::fmt;

use roost_shared::{DocumentId, Seq};
use rusqlite::{Connection, OptionalExtension as _};

use super::{Store, StoreError};

/// Bytes that Loro is given.
#[derive(Debug, Clone, Copy)]
pub enum Risk {
    /// An entry: the first, where a blob has several.
    Entry(Seq),
    /// All that is saved of a document.
    Document(DocumentId),
    /// One saved change, by its row.
    Change(i64),
}

impl fmt::Display for Risk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(seq) => write!(out, "entry {}", seq.get()),
            Self::Document(id) => write!(out, "document {id}"),
            Self::Change(key) => write!(out, "change {key}"),
        }
    }
}

impl Store {
    /// These are tried now.
    pub fn risk(&mut self, risks: &[Risk]) -> Result<(), StoreError> {
        if risks.is_empty() {
            return Ok(());
        }
        self.transaction(|transaction| risks.iter().try_for_each(|risk| mark(transaction, *risk)))
    }

    /// It went well.
    pub fn safe(&mut self, risk: Risk) -> Result<(), StoreError> {
        self.transaction(|transaction| safe(transaction, risk))
    }

    /// How many processes died while they tried it.
    pub fn deaths(&self, risk: Risk) -> Result<u32, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT deaths FROM risk WHERE what = ?1")?;
        Ok(statement.query_row([risk.to_string()], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// At a start: what was being tried may be what the last process died of.
    pub fn count_deaths(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.execute("UPDATE risk SET deaths = deaths + 1, active = 0 WHERE active = 1", []).map(|_| ())
        })
    }

    /// The process lives: whatever was tried, it did not die of it.
    pub fn survived(&mut self) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            transaction.prepare_cached("UPDATE risk SET active = 0 WHERE active = 1")?.execute([]).map(|_| ())
        })
    }
}

pub(super) fn mark(transaction: &Connection, risk: Risk) -> Result<(), rusqlite::Error> {
    let sql = "INSERT INTO risk (what, active, deaths) VALUES (?1, 1, 0) ON CONFLICT (what) DO UPDATE SET active = 1";
    transaction.prepare_cached(sql)?.execute([risk.to_string()]).map(|_| ())
}

pub(super) fn safe(transaction: &Connection, risk: Risk) -> Result<(), rusqlite::Error> {
    transaction.prepare_cached("DELETE FROM risk WHERE what = ?1")?.execute([risk.to_string()]).map(|_| ())
}
