//! The local store: one SQLite file a workspace, one process at a time. One step's writes are one transaction.

mod apply;
mod backup;
mod conflicts;
mod documents;
mod error;
mod load;
mod outbox;
mod quarantine;
mod query;
mod records;
mod risk;
mod rows;
mod undo;
mod versions;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(crate) use self::apply::SLICE_BYTES;
use self::backup::private;
pub use self::conflicts::ConflictRow;
pub use self::documents::{Change, DocumentRow, InboxRow, Merged, Signed};
pub use self::error::StoreError;
pub(crate) use self::error::where_possible;
pub use self::load::Identity;
pub use self::outbox::SealedRow;
pub use self::quarantine::Quarantined;
pub use self::query::{Comparison, Condition, Found, Order, Place, Select};
pub use self::records::{RecordRow, Table};
pub use self::risk::Risk;
pub use self::undo::{TakenBack, Turn};
pub use self::versions::{DocumentSchema, LateEdit};
use crate::tally;
use roost_shared::Fault;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use rusqlite_migration::{M, Migrations};
use url::Url;

const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_store.sql")),
    M::up(include_str!("migrations/0002_schema_versions.sql")),
    M::up(include_str!("migrations/0003_collections.sql")),
    M::up(include_str!("migrations/0004_conflicts.sql")),
    M::up(include_str!("migrations/0005_undo_and_pause.sql")),
    M::up(include_str!("migrations/0006_roots.sql")),
    M::up(include_str!("migrations/0007_open_rows.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// One process has the file: SQLite then keeps the index of its log in memory, and needs no room for it on the disk.
const VFS: &str = "unix-excl";

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
    transactions: u64,
    /// A transaction was begun and has not ended.
    is_begun: bool,
    /// None for one in memory.
    path: Option<PathBuf>,
    _lock: Option<Lock>,
}

impl Store {
    /// Opens or creates the file, for this process alone. Where nothing can be written, a file that needs no writing first is
    /// opened to be read.
    pub fn open(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        match Self::open_to_write(path, durability) {
            Err(error) if matches!(error.fault(), Some(Fault::ReadOnly | Fault::Forbidden)) => {
                Self::open_to_read(path, durability).ok_or(error)
            }
            opened => opened,
        }
    }

    fn open_to_write(path: &Path, durability: Durability) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let is_new = !path.exists();
        let connected = connect(path, durability);
        if is_new && connected.is_err() {
            remove(path); // what was half made would stand in the way of the next try
        }
        Ok(Self {
            connection: connected?,
            durability,
            transactions: 0,
            is_begun: false,
            path: Some(path.to_owned()),
            _lock: Some(lock),
        })
    }

    /// None where that cannot be done as well.
    fn open_to_read(path: &Path, durability: Durability) -> Option<Self> {
        let lock = locked(path, File::open(path.with_extension("lock")).ok()?).ok()?;
        // What lies there belongs into the file first; SQLite would look past it.
        match fs::metadata(wal_of(path)) {
            Ok(wal) if wal.len() == 0 => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Ok(_) | Err(_) => return None,
        }
        let mut address = Url::from_file_path(fs::canonicalize(path).ok()?).ok()?;
        address.set_query(Some("immutable=1"));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(address.as_str(), flags).ok()?;
        check(&connection, path).ok()?;
        connection.set_prepared_statement_cache_capacity(64);
        let is_newest = version_of(&connection).ok()? == newest();
        is_newest.then(|| Self {
            connection,
            durability,
            transactions: 0,
            is_begun: false,
            path: Some(path.to_owned()),
            _lock: Some(lock),
        })
    }

    /// Opens a second connection to a store that this process has open, to look at what is saved: it waits for no writer.
    pub(crate) fn open_beside(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::of_sqlite(path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(path, flags, VFS).map_err(failed)?;
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        Ok(Self {
            connection,
            durability: Durability::default(),
            transactions: 0,
            is_begun: false,
            path: Some(path.to_owned()),
            _lock: None,
        })
    }

    /// The path of the file; None for a store in memory.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Looks at the store as of one moment, whatever another connection commits meanwhile.
    pub(crate) fn at_one_moment<T>(&self, look: impl FnOnce(&Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.connection.execute_batch("BEGIN DEFERRED")?;
        let looked = look(self);
        self.connection.execute_batch("COMMIT")?;
        looked
    }

    /// A number that is another one once another connection has committed.
    pub(crate) fn version(&self) -> Result<i64, StoreError> {
        Ok(self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }

    /// A store over a connection that is open, such as one in memory.
    pub fn over(mut connection: Connection, durability: Durability) -> Result<Self, StoreError> {
        prepare(&mut connection, durability).map_err(|error| StoreError::of_migration(Path::new(""), error))?;
        Ok(Self { connection, durability, transactions: 0, is_begun: false, path: None, _lock: None })
    }

    /// Takes away a store in which nothing was saved.
    pub fn discard(self) {
        let Self { connection, path, _lock: lock, .. } = self;
        drop(connection);
        if let Some(path) = &path {
            remove(path);
        }
        drop(lock);
    }

    /// The file as SQLite would write it: a copy to look at or to keep.
    pub fn image(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.connection.serialize("main")?.to_vec())
    }

    /// Gives the connection back, as a crash would: what was not committed is gone.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// Begins a transaction that holds all writes until [`Store::end`], which makes them durable, or [`Store::give_up`].
    pub(crate) fn begin(&mut self) -> Result<(), StoreError> {
        self.transactions += 1;
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| self.failed(error))?;
        self.is_begun = true;
        Ok(())
    }

    pub(crate) fn end(&mut self) -> Result<(), StoreError> {
        let ended = self.check_begun().and_then(|()| self.connection.execute_batch("COMMIT"));
        let ended = ended.map_err(|error| self.failed(error));
        self.is_begun = false;
        if ended.is_err() {
            self.give_up();
        }
        ended
    }

    /// Takes back what was written since [`Store::begin`].
    pub(crate) fn give_up(&mut self) {
        self.is_begun = false;
        // SQLite has done so by itself after some errors, a full disk for one.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction was not taken back");
        }
    }

    /// SQLite takes a transaction back by itself after some errors, a full disk for one: what follows must not be saved
    /// without what came before.
    fn check_begun(&self) -> Result<(), rusqlite::Error> {
        if self.is_begun && self.connection.is_autocommit() {
            let aborted = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT);
            return Err(rusqlite::Error::SqliteFailure(aborted, Some("the transaction was taken back".to_owned())));
        }
        Ok(())
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        StoreError::of_sqlite(self.path.as_deref().unwrap_or(Path::new("")), error)
    }

    /// Transactions that wrote since the store was opened.
    #[doc(hidden)]
    pub const fn transactions(&self) -> u64 {
        self.transactions
    }

    /// One transaction: all of `work`, or nothing.
    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        let failed = |error| StoreError::of_sqlite(path, error);
        self.check_begun().map_err(failed)?;
        if !self.connection.is_autocommit() {
            return counted(&self.connection, work).map_err(failed); // a part of the one that was begun
        }
        self.transactions += 1;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let done = counted(&transaction, work).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(done)
    }

    /// Reads as of one moment: this needs no room on the disk, and no leave to write.
    fn look<T>(&mut self, look: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>) -> Result<T, StoreError> {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        let failed = |error| StoreError::of_sqlite(path, error);
        if !self.connection.is_autocommit() {
            return look(&self.connection).map_err(failed);
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
        look(&transaction).map_err(failed)
    }

    /// The same, and on the disk before it returns, whatever the durability: what is about to leave the device must
    /// not be forgotten by it.
    fn synced_transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        let done = self.transaction(work);
        self.connection.pragma_update(None, "synchronous", synchronous(self.durability))?;
        done
    }
}

/// The file, checked and brought to the newest form.
fn connect(path: &Path, durability: Durability) -> Result<Connection, StoreError> {
    // A path is a path, also one that reads like an address.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error| StoreError::of_sqlite(path, error);
    // Made before SQLite does, so that it is private from its first moment.
    private(path)?;
    let mut connection = Connection::open_with_flags_and_vfs(path, flags, VFS).map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    check(&connection, path)?;
    if (1..newest()).contains(&version_of(&connection).map_err(failed)?) {
        backup::back_up(&connection, path, "sql", newest())?;
    }
    prepare(&mut connection, durability).map_err(|error| StoreError::of_migration(path, error))?;
    Ok(connection)
}

/// SQLite's own check.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: String = connection
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(|error| StoreError::of_sqlite(path, error))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Corrupt { path: path.to_owned(), what: found }) }
}

fn prepare(connection: &mut Connection, durability: Durability) -> Result<(), rusqlite_migration::Error> {
    connection.pragma_update(None, "synchronous", synchronous(durability))?;
    connection.set_prepared_statement_cache_capacity(64);
    MIGRATIONS.to_latest(connection)
}

fn version_of(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn newest() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// The path of SQLite's write-ahead log.
fn wal_of(path: &Path) -> PathBuf {
    let mut wal = OsString::from(path);
    wal.push("-wal");
    PathBuf::from(wal)
}

/// Takes away a file in which nothing was saved; one that cannot be taken away is in nobody's way.
fn remove(path: &Path) {
    let wal = wal_of(path);
    for path in [path, wal.as_path()] {
        let _ = fs::remove_file(path);
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
    locked(path, private(&path.with_extension("lock"))?)
}

fn locked(path: &Path, lock: File) -> Result<Lock, StoreError> {
    match lock.try_lock() {
        Ok(()) => Ok(Lock(lock)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path.with_extension("db"))),
        Err(TryLockError::Error(source)) => Err(StoreError::of_io(path, source)),
    }
}

/// Counts the rows that are written.
fn counted<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
) -> Result<T, rusqlite::Error> {
    let before = connection.total_changes();
    let done = work(connection);
    tally::count(|tally| tally.stored_rows += connection.total_changes() - before);
    done
}

/// Counts the rows that a statement stepped over, other than by a search of an index.
fn scanned(statement: &rusqlite::Statement<'_>) {
    let rows = statement.reset_status(rusqlite::StatementStatus::FullscanStep);
    tally::count(|tally| tally.scanned_rows += u64::from(rows.unsigned_abs()));
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
