//! The local store: one SQLite file a workspace, one process at a time. One step's writes are one transaction.

mod apply;
mod backup;
mod conflicts;
mod documents;
mod load;
mod outbox;
mod quarantine;
mod query;
mod records;
mod risk;
mod undo;
mod versions;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

pub use self::conflicts::ConflictRow;
pub use self::documents::{Change, DocumentRow, InboxRow, Merged, Signed};
pub use self::load::Identity;
pub use self::outbox::SealedRow;
pub use self::quarantine::Quarantined;
pub use self::query::{Comparison, Condition, Found, Order, Place, Select};
pub use self::records::{RecordRow, Table};
pub use self::risk::Risk;
pub use self::undo::{TakenBack, Turn};
pub use self::versions::{DocumentSchema, LateEdit};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_store.sql")),
    M::up(include_str!("migrations/0002_schema_versions.sql")),
    M::up(include_str!("migrations/0003_collections.sql")),
    M::up(include_str!("migrations/0004_conflicts.sql")),
    M::up(include_str!("migrations/0005_undo_and_pause.sql")),
    M::up(include_str!("migrations/0006_roots.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// What the local store could not do. Nothing saved before is harmed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the file.
    #[error("{0} is in use by another process: close the other app or command first")]
    Locked(PathBuf),
    /// The file or its folder.
    #[error("cannot open {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is damaged, or not one of Roost's.
    #[error("{path} is damaged ({what}): it was left as it is; join again with a new link, or restore a copy")]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file was written by a newer version.
    #[error("{0} was written by a newer version: update the app")]
    Newer(PathBuf),
    /// The copy that is made before a migration is not sound.
    #[error("the backup {path} is not sound ({what}): nothing was migrated; check the disk, and open again")]
    Backup {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The disk is full.
    #[error("the disk is full: what was saved before is safe; free some space and try again")]
    Full,
    /// Anything else SQLite said.
    #[error("the local store failed: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Sqlite(error),
        }
    }
}

/// When a commit of the app is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It survives the death of the app; the last moments may not survive a power cut.
    #[default]
    Process,
    /// It survives a power cut: every commit waits for the disk.
    Power,
}

/// The store of one workspace.
pub struct Store {
    connection: Connection,
    durability: Durability,
    /// None for one in memory.
    path: Option<PathBuf>,
    _lock: Option<Lock>,
}

impl Store {
    /// Opens or creates the file, for this process alone.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        // Made before SQLite does, so that it is private from its first moment.
        private(path)?;
        let connection = Connection::open(path)?;
        let corrupt = |what: String| StoreError::Corrupt { path: path.to_owned(), what };
        connection.pragma_update(None, "journal_mode", "WAL").map_err(|error| corrupt(error.to_string()))?;
        let found: String = connection
            .pragma_query_value(None, "quick_check", |row| row.get(0))
            .map_err(|error| corrupt(error.to_string()))?;
        if found != "ok" {
            return Err(corrupt(found));
        }
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let newest = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
        if (1..newest).contains(&version) {
            backup::back_up(&connection, path, "sql", newest)?;
        }
        let mut store = Self::new(connection, durability, Some(lock)).map_err(|error| match error {
            rusqlite_migration::Error::MigrationDefinition(_) => StoreError::Newer(path.to_owned()),
            other => corrupt(other.to_string()),
        })?;
        store.path = Some(path.to_owned());
        Ok(store)
    }

    /// A store over a connection that is open, such as one in memory.
    pub fn over(connection: Connection, durability: Durability) -> Result<Self, StoreError> {
        Self::new(connection, durability, None)
            .map_err(|error| StoreError::Corrupt { path: PathBuf::new(), what: error.to_string() })
    }

    /// The file as SQLite would write it: a copy to look at or to keep.
    pub fn image(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.connection.serialize("main")?.to_vec())
    }

    /// Gives the connection back, as a crash would: what was not committed is gone.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    fn new(
        mut connection: Connection,
        durability: Durability,
        lock: Option<Lock>,
    ) -> Result<Self, rusqlite_migration::Error> {
        connection.pragma_update(None, "synchronous", synchronous(durability))?;
        connection.set_prepared_statement_cache_capacity(64);
        MIGRATIONS.to_latest(&mut connection)?;
        Ok(Self { connection, durability, path: None, _lock: lock })
    }

    /// One transaction: all of `work`, or nothing.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// The same, and on the disk before it returns, whatever the durability: what is about to leave the device must
    /// not be forgotten by it.
    fn synced_transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let done = self.transaction(work);
        self.connection.pragma_update(None, "synchronous", synchronous(self.durability))?;
        done
    }
}

const fn synchronous(durability: Durability) -> &'static str {
    match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    }
}

/// One process at a time opens a store. It is let go of by word: a process that the app starts meanwhile shares the open
/// file until it has begun, and would hold the lock for that long.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let path = path.with_extension("lock");
    let file = private(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.with_extension("db"))),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { path, source }),
    }
}

/// Opens or creates a file that only this user may read.
fn private(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::Io { path: path.to_owned(), source })
}

/// SQLite's integers are signed; nothing here comes near the sign.
const fn int(value: u64) -> i64 {
    value.cast_signed()
}

/// A column that holds a number of ours.
fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// A value in the file that Roost did not write.
fn damaged(what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, what.into())
}
