//! A store that counts what is asked of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use roost_server::store::conformance::QUOTA_BYTES;
use roost_server::store::memory::MemoryStore;
use roost_server::store::{
    Append, Appended, ChangeLog, Device, KeylessToken, Page, Redeem, Refusal, RosterHead, Store, TokenChange, Workspace,
};
use roost_shared::roster::Record;
use roost_shared::wire::message::Seen;
use roost_shared::{Cursor, DeviceId, Hash, LogId, Seq, WorkspaceId};

/// The memory store, and how often each of its methods was called.
pub struct CountedStore {
    store: MemoryStore,
    calls: Mutex<BTreeMap<&'static str, usize>>,
}

impl CountedStore {
    pub fn new() -> Self {
        Self { store: MemoryStore::new(QUOTA_BYTES), calls: Mutex::default() }
    }

    /// The calls since this was last asked.
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut *self.calls.lock())
    }

    fn counted(&self, method: &'static str) -> &MemoryStore {
        *self.calls.lock().entry(method).or_default() += 1;
        &self.store
    }
}

#[async_trait]
impl Store for CountedStore {
    async fn create(&self, workspace: WorkspaceId, log: LogId, chain: Vec<Record>) -> Result<LogId, Refusal> {
        self.counted("create").create(workspace, log, chain).await
    }

    async fn append(&self, append: Append) -> Result<Appended, Refusal> {
        self.counted("append").append(append).await
    }

    async fn append_record(&self, workspace: WorkspaceId, record: Record) -> Result<Seq, Refusal> {
        self.counted("append_record").append_record(workspace, record).await
    }

    async fn redeem(&self, redeem: Redeem) -> Result<(), Refusal> {
        self.counted("redeem").redeem(redeem).await
    }

    async fn change_log(&self, change: ChangeLog) -> Result<LogId, Refusal> {
        self.counted("change_log").change_log(change).await
    }

    async fn workspace(&self, workspace: WorkspaceId) -> Result<Option<Workspace>, Refusal> {
        self.counted("workspace").workspace(workspace).await
    }

    async fn device(&self, workspace: WorkspaceId, device: DeviceId) -> Result<Option<Device>, Refusal> {
        self.counted("device").device(workspace, device).await
    }

    async fn roster_head(&self, workspace: WorkspaceId) -> Result<Option<RosterHead>, Refusal> {
        self.counted("roster_head").roster_head(workspace).await
    }

    async fn chain(&self, workspace: WorkspaceId) -> Result<Vec<Record>, Refusal> {
        self.counted("chain").chain(workspace).await
    }

    async fn read(&self, workspace: WorkspaceId, after: Cursor, max_bytes: usize) -> Result<Page, Refusal> {
        self.counted("read").read(workspace, after, max_bytes).await
    }

    async fn root_at(&self, workspace: WorkspaceId, size: Cursor) -> Result<Option<Hash>, Refusal> {
        self.counted("root_at").root_at(workspace, size).await
    }

    async fn leaves(&self, workspace: WorkspaceId, size: Cursor) -> Result<Vec<Hash>, Refusal> {
        self.counted("leaves").leaves(workspace, size).await
    }

    async fn change_token(&self, workspace: WorkspaceId, change: TokenChange) -> Result<bool, Refusal> {
        self.counted("change_token").change_token(workspace, change).await
    }

    async fn tokens(&self, workspace: WorkspaceId) -> Result<Vec<KeylessToken>, Refusal> {
        self.counted("tokens").tokens(workspace).await
    }

    async fn token(&self, workspace: WorkspaceId, id: Hash) -> Result<Option<KeylessToken>, Refusal> {
        self.counted("token").token(workspace, id).await
    }

    async fn see(&self, workspace: WorkspaceId, seen: Seen) -> Result<bool, Refusal> {
        self.counted("see").see(workspace, seen).await
    }

    async fn seen(&self, workspace: WorkspaceId) -> Result<Vec<Seen>, Refusal> {
        self.counted("seen").seen(workspace).await
    }

    async fn check(&self) -> Result<(), Refusal> {
        self.counted("check").check().await
    }

    async fn close(&self) {
        self.counted("close").close().await;
    }
}
