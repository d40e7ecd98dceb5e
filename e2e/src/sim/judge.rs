//! A store that watches another: every answer is compared with what was promised.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use roost_server::store::memory::MemoryStore;
use roost_server::store::{
    Append, Appended, ChangeLog, Device, KeylessToken, Page, Redeem, Refusal, RosterHead, Store, TokenChange, Workspace,
};
use roost_shared::hash::Hash;
use roost_shared::roster::{Record, Scope};
use roost_shared::wire::message::Seen;
use roost_shared::{Code, Cursor, DeviceId, LogId, Seq, WorkspaceId};

use super::plant::Plant;

/// Bytes a workspace may store in the simulator.
pub const QUOTA_BYTES: u64 = 1 << 30;
/// With [`Plant::AckBeforeCommit`]: appends between two commits.
const COMMIT_EVERY: u64 = 5;

/// What was seen to be wrong.
pub type Verdicts = Arc<Mutex<Vec<String>>>;

/// The memory store, a planted bug around it if there is one, and a judge around both.
pub struct JudgedStore {
    store: Mutex<Arc<MemoryStore>>,
    /// What a crash would leave, with a store that acknowledges too early.
    committed: Mutex<Arc<MemoryStore>>,
    appends: Mutex<u64>,
    plant: Option<Plant>,
    /// Where each envelope was acknowledged to stand.
    known: Mutex<HashMap<Hash, Seq>>,
    redeemed: Mutex<HashMap<Hash, DeviceId>>,
    /// Who ever was a reader.
    readers: Mutex<HashSet<DeviceId>>,
    verdicts: Verdicts,
}

impl JudgedStore {
    pub fn new(plant: Option<Plant>, verdicts: Verdicts) -> Self {
        let store = Arc::new(MemoryStore::new(QUOTA_BYTES));
        Self {
            committed: Mutex::new(Arc::new(store.copy())),
            store: Mutex::new(store),
            appends: Mutex::new(0),
            plant,
            known: Mutex::default(),
            redeemed: Mutex::default(),
            readers: Mutex::default(),
            verdicts,
        }
    }

    fn inner(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store.lock())
    }

    fn verdict(&self, what: String) {
        self.verdicts.lock().push(what);
    }

    /// What a backup would hold now.
    pub fn copy(&self) -> MemoryStore {
        self.inner().copy()
    }

    /// An operator restores a backup: what came after it is lost, and that is no bug of the server.
    pub fn restore(&self, backup: &MemoryStore) {
        *self.store.lock() = Arc::new(backup.copy());
        self.known.lock().clear();
        self.redeemed.lock().clear();
    }

    /// An operator sets the quota.
    pub fn limit(&self, quota_bytes: u64) {
        let limited = self.copy().with_quota(quota_bytes);
        *self.store.lock() = Arc::new(limited);
    }

    /// The process dies.
    pub fn crash(&self) {
        if self.plant == Some(Plant::AckBeforeCommit) {
            *self.store.lock() = Arc::new(self.committed.lock().copy());
        }
    }

    /// Whether everything that was acknowledged is still there.
    pub async fn check(&self, workspace: WorkspaceId) {
        let Ok(page) = self.inner().read(workspace, Cursor::START, usize::MAX).await else { return };
        let mut entries = HashMap::new();
        let mut page = page;
        let mut expected = 1;
        loop {
            for entry in &page.entries {
                if entry.seq.get() != expected {
                    self.verdict(format!("a gap in the log before {}", entry.seq));
                }
                expected = entry.seq.get() + 1;
                if let Some(seq) = entries.insert(entry.envelope_hash, entry.seq) {
                    self.verdict(format!("entry {seq} stands again at {}", entry.seq));
                }
            }
            if expected > page.tail.0 {
                break;
            }
            match self.inner().read(workspace, Cursor(expected - 1), usize::MAX).await {
                Ok(next) if !next.entries.is_empty() => page = next,
                _ => break,
            }
        }
        for (hash, seq) in self.known.lock().iter() {
            if entries.get(hash) != Some(seq) {
                self.verdict(format!("acknowledged entry {seq} is lost"));
            }
        }
    }

    async fn planted_append(&self, append: Append) -> Result<Appended, Refusal> {
        let inner = self.inner();
        let known = |hash| self.known.lock().contains_key(&hash);
        match self.plant {
            Some(Plant::EpochBeforeDedupe) => {
                let workspace = inner.workspace(append.workspace).await?.ok_or(Code::NotFound)?;
                let epoch = workspace.roster.epoch();
                if append.envelopes.iter().any(|envelope| envelope.header().epoch != epoch) {
                    return Err(Code::EpochStale.into());
                }
            }
            Some(Plant::NoDedupe) if append.envelopes.iter().any(|envelope| known(envelope.hash())) => {
                return Err(Code::AuthorGap.into());
            }
            Some(Plant::NoAuthorOrder) => {
                let only = append.envelopes.iter().rfind(|envelope| !known(envelope.hash())).cloned();
                if let Some(only) = only.filter(|_| append.envelopes.len() > 1) {
                    // Takes the last and calls it all of them.
                    let seqs = append.envelopes.len();
                    let one = Append { envelopes: vec![only], if_tail: None, ..append };
                    let taken = inner.append(one).await;
                    return taken.map(|appended| Appended { seqs: vec![appended.seqs[0]; seqs], ..appended });
                }
                return inner.append(Append { if_tail: None, ..append }).await;
            }
            Some(Plant::OnceAReader) => {
                let author = append.envelopes.first().map(|envelope| envelope.header().author);
                if author.is_some_and(|author| self.readers.lock().contains(&author)) {
                    return Err(Code::NotAllowed.into());
                }
            }
            _ => {}
        }
        inner.append(append).await
    }

    /// Who may only read now.
    async fn note_readers(&self, workspace: WorkspaceId) {
        if let Ok(Some(workspace)) = self.inner().workspace(workspace).await {
            let members = workspace.roster.members();
            let readers = members.filter(|member| member.device.scope == Scope::Read).map(|member| member.device.id);
            self.readers.lock().extend(readers);
        }
    }
}

#[async_trait]
impl Store for JudgedStore {
    async fn create(&self, workspace: WorkspaceId, log: LogId, chain: Vec<Record>) -> Result<LogId, Refusal> {
        let created = self.inner().create(workspace, log, chain).await;
        *self.committed.lock() = Arc::new(self.copy());
        created
    }

    async fn append(&self, append: Append) -> Result<Appended, Refusal> {
        let hashes: Vec<Hash> = append.envelopes.iter().map(roost_shared::Envelope::hash).collect();
        let before: Option<Vec<Seq>> = {
            let known = self.known.lock();
            hashes.iter().map(|hash| known.get(hash).copied()).collect()
        };
        let current = self.inner().workspace(append.workspace).await?.map(|workspace| workspace.log());
        let is_current = append.envelopes.iter().all(|envelope| Some(envelope.header().log) == current);
        let outcome = self.planted_append(append).await;
        match (&outcome, before.filter(|_| is_current)) {
            (Ok(appended), Some(before)) if appended.seqs != before => {
                self.verdict("a repeated append was answered with other numbers".to_owned());
            }
            (Err(refusal), Some(_)) => {
                self.verdict(format!("a repeated append was refused: {refusal}"));
            }
            (Ok(appended), None) => {
                let distinct: std::collections::BTreeSet<_> = appended.seqs.iter().collect();
                if distinct.len() != hashes.len() {
                    self.verdict("one number was given twice".to_owned());
                }
                self.known.lock().extend(hashes.into_iter().zip(appended.seqs.iter().copied()));
            }
            _ => {}
        }
        if outcome.is_ok() {
            let mut appends = self.appends.lock();
            *appends += 1;
            if appends.is_multiple_of(COMMIT_EVERY) {
                *self.committed.lock() = Arc::new(self.inner().copy());
            }
        }
        outcome
    }

    async fn append_record(&self, workspace: WorkspaceId, record: Record) -> Result<Seq, Refusal> {
        let seq = self.inner().append_record(workspace, record).await;
        self.note_readers(workspace).await;
        *self.committed.lock() = Arc::new(self.copy());
        seq
    }

    async fn redeem(&self, redeem: Redeem) -> Result<(), Refusal> {
        let clock_ms = if self.plant == Some(Plant::LinksNeverEnd) { 0 } else { redeem.now_ms };
        let mut outcome = self.inner().redeem(Redeem { now_ms: clock_ms, ..redeem }).await;
        if self.plant == Some(Plant::RedeemTwice) {
            outcome = Ok(());
        }
        if outcome.is_ok() {
            let first = *self.redeemed.lock().entry(redeem.link_hash).or_insert(redeem.device);
            if first != redeem.device {
                self.verdict("one link was redeemed by two devices".to_owned());
            }
        }
        outcome
    }

    async fn change_log(&self, change: ChangeLog) -> Result<LogId, Refusal> {
        let changed = self.inner().change_log(change).await;
        if changed.is_ok() {
            self.known.lock().clear(); // numbers count anew
        }
        *self.committed.lock() = Arc::new(self.copy());
        changed
    }

    async fn workspace(&self, workspace: WorkspaceId) -> Result<Option<Workspace>, Refusal> {
        self.inner().workspace(workspace).await
    }

    async fn device(&self, workspace: WorkspaceId, device: DeviceId) -> Result<Option<Device>, Refusal> {
        self.inner().device(workspace, device).await
    }

    async fn roster_head(&self, workspace: WorkspaceId) -> Result<Option<RosterHead>, Refusal> {
        self.inner().roster_head(workspace).await
    }

    async fn chain(&self, workspace: WorkspaceId) -> Result<Vec<Record>, Refusal> {
        self.inner().chain(workspace).await
    }

    async fn read(&self, workspace: WorkspaceId, after: Cursor, max_bytes: usize) -> Result<Page, Refusal> {
        self.inner().read(workspace, after, max_bytes).await
    }

    async fn root_at(&self, workspace: WorkspaceId, size: Cursor) -> Result<Option<Hash>, Refusal> {
        self.inner().root_at(workspace, size).await
    }

    async fn leaves(&self, workspace: WorkspaceId, size: Cursor) -> Result<Vec<Hash>, Refusal> {
        self.inner().leaves(workspace, size).await
    }

    async fn change_token(&self, workspace: WorkspaceId, change: TokenChange) -> Result<bool, Refusal> {
        self.inner().change_token(workspace, change).await
    }

    async fn tokens(&self, workspace: WorkspaceId) -> Result<Vec<KeylessToken>, Refusal> {
        self.inner().tokens(workspace).await
    }

    async fn token(&self, workspace: WorkspaceId, id: Hash) -> Result<Option<KeylessToken>, Refusal> {
        self.inner().token(workspace, id).await
    }

    async fn see(&self, workspace: WorkspaceId, seen: Seen) -> Result<bool, Refusal> {
        self.inner().see(workspace, seen).await
    }

    async fn seen(&self, workspace: WorkspaceId) -> Result<Vec<Seen>, Refusal> {
        self.inner().seen(workspace).await
    }

    async fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn close(&self) {}
}
