//! The suite over both stores, each check a fresh one.

use std::sync::Arc;

use roost_server::store::SharedStore;
use roost_server::store::conformance::{CHECKS, QUOTA_BYTES, run};
use roost_server::store::memory::MemoryStore;
use roost_server::store::sqlite::SqliteStore;

#[tokio::test]
async fn memory() {
    run(async || Arc::new(MemoryStore::new(QUOTA_BYTES)) as SharedStore).await;
}

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let opened = std::cell::Cell::new(0);
    run(async || {
        opened.set(opened.get() + 1);
        let path = folder.path().join(format!("{}.db", opened.get()));
        Arc::new(SqliteStore::open(&path, QUOTA_BYTES).await.unwrap()) as SharedStore
    })
    .await;
    assert_eq!(opened.get(), CHECKS.len(), "each check has a store of its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_on_several_threads() {
    // The same, all at once: every check is a task, and the writers of all files share the threads.
    let folder = tempfile::tempdir().unwrap();
    let mut checks = tokio::task::JoinSet::new();
    for (number, check) in CHECKS.iter().enumerate() {
        let path = folder.path().join(format!("{number}.db"));
        checks.spawn(async move {
            let store = SqliteStore::open(&path, QUOTA_BYTES).await.unwrap();
            (check.run)(&store).await;
        });
    }
    checks.join_all().await;
}
