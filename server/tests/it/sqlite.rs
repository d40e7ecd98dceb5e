//! The file: what it keeps, who may open it, and what is never written to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roost_server::store::conformance::QUOTA_BYTES;
use roost_server::store::conformance::world::{
    INVITE, LAPTOP, NOW_MS, OWNER, PHONE, STRANGER, TABLET, World, accepted, device_id, invite, owner, people_and,
};
use roost_server::store::sqlite::{OpenError, SqliteStore};
use roost_server::store::{Page, Store};
use roost_shared::roster::Record;
use roost_shared::wire::http::LogLife;
use roost_shared::{Code, Cursor, Envelope, Hash, LogId};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

const SECOND: LogId = LogId([0x23; 16]);

async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, QUOTA_BYTES).await.unwrap()
}

/// Everything a store says of a workspace.
#[derive(Debug, PartialEq)]
struct Everything {
    page: Page,
    chain: Vec<Record>,
    leaves: Vec<Hash>,
    roots: Vec<Option<Hash>>,
    logs: Vec<LogLife>,
    bytes: u64,
}

async fn everything(store: &dyn Store, world: &World<'_>) -> Everything {
    let workspace = store.workspace(world.workspace).await.unwrap().unwrap();
    assert_eq!(*workspace.roster, world.roster);
    let mut roots = Vec::new();
    for size in 0..=workspace.tail().0 {
        roots.push(store.root_at(world.workspace, Cursor(size)).await.unwrap());
    }
    Everything {
        page: store.read(world.workspace, Cursor::START, 200_000).await.unwrap(),
        chain: store.chain(world.workspace).await.unwrap(),
        leaves: store.leaves(world.workspace, workspace.tail()).await.unwrap(),
        roots,
        logs: workspace.logs,
        bytes: workspace.bytes,
    }
}

/// A workspace with two lives, two authors and a used link; closed again.
async fn written(path: &Path) -> (Everything, Envelope) {
    let store = open(path).await;
    let mut world = World::create_with(&store, people_and(invite(INVITE))).await;
    world.writes(PHONE, 1).await;
    world.writes(TABLET, 1).await;
    world.posts(owner(OWNER, 2, people_and(invite(INVITE))), OWNER).await;
    store.redeem(world.redeem(INVITE, LAPTOP)).await.unwrap();
    assert_eq!(store.change_log(world.change(SECOND, NOW_MS)).await, Ok(SECOND));
    world.log = SECOND;
    let last = world.writes(PHONE, 1).await;
    let before = everything(&store, &world).await;
    store.close().await;
    (before, last)
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let (before, last) = written(&path).await;

    // A world on a store of its own says what the roster and the tree must be.
    let twin_path = folder.path().join("twin.db");
    let twin = open(&twin_path).await;
    let mut world = World::create_with(&twin, people_and(invite(INVITE))).await;
    world.writes(PHONE, 1).await;
    world.writes(TABLET, 1).await;
    world.posts(owner(OWNER, 2, people_and(invite(INVITE))), OWNER).await;

    let store = open(&path).await;
    assert_eq!(everything(&store, &world).await, before);
    let again = store.append(world.append(PHONE, vec![last.clone()])).await;
    assert_eq!(accepted(again, "known bytes after a restart"), [5]);
    let next = roost_shared::Header {
        author_seq: 2,
        base_size: before.page.tail,
        base_root: before.page.root,
        ..last.header().clone()
    };
    let next = roost_server::store::conformance::world::sealed(next, 1, 272, PHONE);
    let appended = store.append(world.append(PHONE, vec![next])).await;
    assert_eq!(accepted(appended, "the author's next after a restart"), [6]);
    let other = store.redeem(world.redeem(INVITE, STRANGER)).await;
    assert_eq!(other, Err(Code::LinkUnavailable.into()), "a used link is used after a restart");
    assert_eq!(store.redeem(world.redeem(INVITE, LAPTOP)).await, Ok(()));
    let paused = roost_server::store::ChangeLog { old: SECOND, ..world.change(LogId([0x24; 16]), NOW_MS + 1) };
    assert_eq!(store.change_log(paused).await, Err(Code::LogKept.into()), "the hour goes on over a restart");
    let phone = store.device(world.workspace, device_id(PHONE)).await.unwrap();
    assert!(phone.is_some());
    store.close().await;
    twin.close().await;
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("log.db")).await;
    let world = World::create(&store).await;
    store.close().await;
    let refused = store.append(world.append(PHONE, vec![world.update(PHONE, 1)])).await;
    assert!(refused.is_err_and(|refusal| refusal.code.is_retryable()), "never success, and never for good");
    assert!(store.check().await.is_err());
    store.close().await; // a second time does no harm
}

#[tokio::test]
async fn one_server_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let first = open(&path).await;
    let second = SqliteStore::open(&path, QUOTA_BYTES).await.err().unwrap();
    assert!(matches!(&second, OpenError::Locked(locked) if *locked == path), "{second}");
    World::create(&first).await;
    first.close().await;
    drop(first);
    let third = open(&path).await;
    assert_eq!(third.check().await, Ok(()));
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).disable_statement_logging()
}

/// Ruins the page at the root of the entry table, so that the file is SQLite's still and its own check fails.
async fn ruin(path: &Path) -> Vec<u8> {
    let mut connection = SqliteConnection::connect_with(&options(path)).await.unwrap();
    let root: i64 = sqlx::query_scalar("SELECT rootpage FROM sqlite_schema WHERE name = 'entry'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let page_size: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (root, page_size) = (usize::try_from(root).unwrap(), usize::try_from(page_size).unwrap());
    let mut bytes = std::fs::read(path).unwrap();
    bytes[(root - 1) * page_size..root * page_size].fill(0xff);
    std::fs::write(path, &bytes).unwrap();
    bytes
}

async fn refused_untouched(path: &Path, before: &[u8]) -> OpenError {
    let error = SqliteStore::open(path, QUOTA_BYTES).await.err().unwrap();
    let after = std::fs::read(path).unwrap();
    assert!(after == before, "a file that fails its check is not written: {error}");
    error
}

#[tokio::test]
async fn a_damaged_file_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    written(&path).await;
    let bytes = ruin(&path).await;
    let error = refused_untouched(&path, &bytes).await;
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

/// A backup made by VACUUM INTO has no WAL: opening it must not turn the WAL on before the check has passed.
#[tokio::test]
async fn a_damaged_backup_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    written(&path).await;
    let without_wal = options(&path).journal_mode(SqliteJournalMode::Delete);
    SqliteConnection::connect_with(&without_wal).await.unwrap().close().await.unwrap();
    let bytes = ruin(&path).await;
    let error = refused_untouched(&path, &bytes).await;
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_database_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("text.db", b"roost ".repeat(2_000)), ("noise.db", vec![0xa5; 8_192])] {
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let error = refused_untouched(&path, &bytes).await;
        assert!(matches!(error, OpenError::Corrupt { .. } | OpenError::Sqlite { .. }), "{error}");
        assert!(error.to_string().contains(name), "the error names the file: {error}");
    }
}

#[tokio::test]
async fn a_newer_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    written(&path).await;
    let mut connection = SqliteConnection::connect_with(&options(&path)).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let error = SqliteStore::open(&path, QUOTA_BYTES).await.err().unwrap();
    assert!(matches!(error, OpenError::Migrate { .. }), "{error}");
    assert!(error.to_string().contains("newer roost"), "it says what to do: {error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there() {
    let path = PathBuf::from("/nonexistent/roost/log.db");
    let error = SqliteStore::open(&path, QUOTA_BYTES).await.err().unwrap();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("log.db")).await);
    let world = World::create(&*store).await;
    let envelope = world.update(PHONE, 1);
    let mut deliveries = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (store, append) = (Arc::clone(&store), world.append(PHONE, vec![envelope.clone()]));
        deliveries.spawn(async move { store.append(append).await });
    }
    for outcome in deliveries.join_all().await {
        assert_eq!(accepted(outcome, "one of many deliveries"), [2]);
    }
    let workspace = store.workspace(world.workspace).await.unwrap().unwrap();
    assert_eq!(workspace.tail(), Cursor(2));
}
