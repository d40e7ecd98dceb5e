//! One SQLite file: WAL, `synchronous=FULL`, one writer task with group commit, bounded readers.

mod error;
mod rows;
mod seen;
mod tokens;
mod write;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use async_trait::async_trait;
use roost_shared::hash::Hash;
use roost_shared::limits::BODY_MAX;
use roost_shared::roster::Record;
use roost_shared::tree::leaf;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, Cursor, DeviceId, LogId, Seq, WorkspaceId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use self::error::OpenError;
use self::error::refused;
use self::rows::array;
use self::write::Write;
use self::writer::Writer;
use super::{
    Append, Appended, ChangeLog, Device, Entry, KeylessToken, Page, Redeem, Refusal, RosterHead, Store, TokenChange,
    Workspace,
};

/// Writes waiting for the writer; a sender past it waits, so memory stays bounded.
const WRITES_WAITING_MAX: usize = 1_024;
/// Connections that read; each holds one page at a time.
const READERS: u32 = 4;
/// One process has the file: SQLite then keeps the index of its log in that process's memory, and a full disk keeps nobody
/// from reading.
const VFS: &str = "unix-excl";
/// The WAL-reset fix is in it.
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// A store in one file.
pub struct SqliteStore {
    readers: SqlitePool,
    writes: mpsc::Sender<Write>,
    writer: parking_lot::Mutex<Option<JoinHandle<()>>>,
    quota_bytes: u64,
    _lock: File,
}

impl SqliteStore {
    /// Opens or creates the file, checks it, brings its tables up to date.
    pub async fn open(path: &Path, quota_bytes: u64) -> Result<Self, OpenError> {
        let lock = lock(path)?;
        let failed = |source| OpenError::of_sqlx(path, source);
        if path.exists() {
            // Looked at before it is opened for writing: even the journal mode is a write.
            let looked = check(path).await.map_err(failed)?;
            looked.map_err(|found| OpenError::Corrupt { path: path.to_owned(), found })?;
        }
        let mut connection = SqliteConnection::connect_with(&options(path)).await.map_err(failed)?;
        check_version(&mut connection).await.map_err(failed)??;
        // Not `run`: its future is not general enough to be spawned.
        let migrated = sqlx::migrate!("../migrations/sqlite").run_direct(None, &mut connection, false).await;
        migrated.map_err(|source| OpenError::of_migration(path, source))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false) // a file does not hang up
            .connect_with(options(path).read_only(true))
            .await
            .map_err(failed)?;
        let (writes, waiting) = mpsc::channel(WRITES_WAITING_MAX);
        let writer = tokio::spawn(Writer::new(options(path), connection, quota_bytes).run(waiting));
        Ok(Self { readers, writes, writer: parking_lot::Mutex::new(Some(writer)), quota_bytes, _lock: lock })
    }

    async fn write<T>(&self, write: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Write) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        // A writer that is gone never ran the write, or its outcome is unknown: both are "try again".
        self.writes.send(write(reply)).await.map_err(|_| Code::RetryLater)?;
        answer.await.map_err(|_| Code::RetryLater)?
    }

    async fn key(&self, reader: &mut SqliteConnection, workspace: WorkspaceId) -> Result<i64, Refusal> {
        rows::key(reader, workspace).await?.ok_or_else(|| Code::NotFound.into())
    }
}

/// SQLite's own check of a file that is only read.
async fn check(path: &Path) -> Result<Result<(), String>, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).vfs(VFS).disable_statement_logging();
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(if found == "ok" { Ok(()) } else { Err(found) })
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .vfs(VFS)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-16384")
        .disable_statement_logging()
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = path.with_extension("lock");
    let failed = |source| OpenError::of_io(&lock_path, source);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

async fn check_version(connection: &mut SqliteConnection) -> Result<Result<(), OpenError>, sqlx::Error> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let found = (part(), part(), part());
    Ok(if found >= SQLITE_VERSION_MIN { Ok(()) } else { Err(OpenError::Version(version)) })
}

#[async_trait]
impl Store for SqliteStore {
    async fn create(&self, workspace: WorkspaceId, log: LogId, chain: Vec<Record>) -> Result<LogId, Refusal> {
        self.write(|reply| Write::Create { workspace, log, chain, reply }).await
    }

    async fn append(&self, append: Append) -> Result<Appended, Refusal> {
        self.write(|reply| Write::Append { append, reply }).await
    }

    async fn append_record(&self, workspace: WorkspaceId, record: Record) -> Result<Seq, Refusal> {
        self.write(|reply| Write::Record { workspace, record, reply }).await
    }

    async fn redeem(&self, redeem: Redeem) -> Result<(), Refusal> {
        // Whoever does not know a link is refused here: the one writer has no work with it.
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        let link = match rows::key(&mut reader, redeem.workspace).await? {
            Some(key) => rows::link_row(&mut reader, key, redeem.link_hash).await.map_err(refused)?,
            None => None,
        };
        drop(reader);
        if link.is_none() {
            return Err(Code::LinkUnavailable.into());
        }
        self.write(|reply| Write::Redeem { redeem, reply }).await
    }

    async fn change_log(&self, change: ChangeLog) -> Result<LogId, Refusal> {
        self.write(|reply| Write::ChangeLog { change, reply }).await
    }

    async fn workspace(&self, workspace: WorkspaceId) -> Result<Option<Workspace>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        let state = rows::load(&mut reader, workspace).await?;
        Ok(state.map(|(_, state)| state.workspace(self.quota_bytes)))
    }

    async fn device(&self, workspace: WorkspaceId, device: DeviceId) -> Result<Option<Device>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        rows::device(&mut reader, workspace, device).await
    }

    async fn roster_head(&self, workspace: WorkspaceId) -> Result<Option<RosterHead>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        match rows::key(&mut reader, workspace).await? {
            Some(key) => rows::roster_head(&mut reader, key).await.map(Some),
            None => Ok(None),
        }
    }

    async fn chain(&self, workspace: WorkspaceId) -> Result<Vec<Record>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        let key = self.key(&mut reader, workspace).await?;
        rows::chain(&mut reader, key, None).await
    }

    async fn read(&self, workspace: WorkspaceId, after: Cursor, max_bytes: usize) -> Result<Page, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        // Rows are at least a header long: this many fill a page, and the page is one short statement.
        let rows_max = (max_bytes.min(BODY_MAX) / 216 + 1).min(super::PAGE_ITEMS_MAX);
        let found = sqlx::query(
            "SELECT seq, document, envelope_hash, body FROM entry \
             WHERE workspace = (SELECT key FROM workspace WHERE id = ?) AND seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(&workspace.0[..])
        .bind(rows::int(after.0))
        .bind(rows::int(rows_max as u64));
        let mut entries = Vec::new();
        let mut left = max_bytes;
        {
            use futures_util::TryStreamExt as _;
            let mut found = found.fetch(&mut *reader);
            while let Some(row) = found.try_next().await.map_err(refused)? {
                let body: Option<Vec<u8>> = row.get(3);
                if !super::fits(&mut left, body.as_ref().map_or(0, Vec::len), entries.len()) {
                    break;
                }
                entries.push(Entry {
                    seq: Seq::new(row.get::<i64, _>(0).unsigned_abs()).ok_or(Code::StorageFailed)?,
                    document: roost_shared::DocumentId(array(&row, 1)?),
                    envelope_hash: Hash(array(&row, 2)?),
                    body,
                });
            }
        }
        // Read after the page: entries never vanish, so the page is a prefix of what the tail names.
        let (tail, root) = rows::tail(&mut reader, workspace).await?;
        Ok(Page { entries, tail, root })
    }

    async fn root_at(&self, workspace: WorkspaceId, size: Cursor) -> Result<Option<Hash>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        let key = self.key(&mut reader, workspace).await?;
        if size == Cursor::START {
            return Ok(Some(Hash::of(&[])));
        }
        rows::root_at(&mut reader, key, size).await
    }

    async fn leaves(&self, workspace: WorkspaceId, size: Cursor) -> Result<Vec<Hash>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        let key = self.key(&mut reader, workspace).await?;
        let found =
            sqlx::query("SELECT document, envelope_hash FROM entry WHERE workspace = ? AND seq <= ? ORDER BY seq")
                .bind(key)
                .bind(rows::int(size.0))
                .fetch_all(&mut *reader)
                .await
                .map_err(refused)?;
        found.iter().map(|row| Ok(leaf(roost_shared::DocumentId(array(row, 0)?), Hash(array(row, 1)?)))).collect()
    }

    async fn change_token(&self, workspace: WorkspaceId, change: TokenChange) -> Result<bool, Refusal> {
        self.write(|reply| Write::Token { workspace, change, reply }).await
    }

    async fn tokens(&self, workspace: WorkspaceId) -> Result<Vec<KeylessToken>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        tokens::list(&mut reader, workspace).await
    }

    async fn token(&self, workspace: WorkspaceId, id: Hash) -> Result<Option<KeylessToken>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        tokens::find(&mut reader, workspace, id).await
    }

    async fn see(&self, workspace: WorkspaceId, seen: Seen) -> Result<bool, Refusal> {
        self.write(|reply| Write::See { workspace, seen, reply }).await
    }

    async fn seen(&self, workspace: WorkspaceId) -> Result<Vec<Seen>, Refusal> {
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        seen::list(&mut reader, workspace).await
    }

    async fn check(&self) -> Result<(), Refusal> {
        self.write(|reply| Write::Check { reply }).await?;
        let mut reader = self.readers.acquire().await.map_err(refused)?;
        sqlx::query("SELECT 1").execute(&mut *reader).await.map_err(refused)?;
        Ok(())
    }

    async fn close(&self) {
        let _ = self.write(|reply| Write::Close { reply }).await;
        let writer = self.writer.lock().take();
        if let Some(writer) = writer {
            let _ = writer.await;
        }
        self.readers.close().await;
    }
}
