//! The reference: everything in memory, durable by definition. The simulator runs on it, and the conformance suite
//! judges the others by it.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use parking_lot::Mutex;
use roost_shared::hash::Hash;
use roost_shared::roster::{Record, Roster};
use roost_shared::tree::leaf;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, Cursor, DeviceId, LogId, Seq, WorkspaceId};

use super::links::{Link, admit, invite_of, open_links};
use super::rules::{Facts, NewEntry, State};
use super::{
    Append, Appended, ChangeLog, Device, Entry, KeylessToken, Page, Redeem, Refusal, RosterHead, Store, TokenChange,
    Workspace,
};

/// A store that dies with the process.
pub struct MemoryStore {
    quota_bytes: u64,
    workspaces: Mutex<HashMap<WorkspaceId, Held>>,
    /// One writer at a time, also across its awaits.
    writer: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    state: State,
    log: Log,
    links: HashMap<Hash, Link>,
    tokens: Vec<KeylessToken>,
    seen: BTreeMap<DeviceId, Seen>,
}

/// Entries with the number of the life they were written in.
#[derive(Clone, Default)]
struct Log {
    entries: Vec<(usize, NewEntry)>,
    life: usize,
}

#[async_trait]
impl Facts for Log {
    async fn known(&mut self, author: DeviceId, author_seq: u64) -> Result<Option<(Seq, Hash)>, Refusal> {
        let found = self.entries.iter().rev().find(|(life, entry)| {
            let header = entry.envelope.header();
            *life == self.life && header.author == author && header.author_seq == author_seq
        });
        Ok(found.map(|(_, entry)| (entry.seq, entry.envelope_hash)))
    }

    async fn root_at(&mut self, size: Cursor) -> Result<Option<Hash>, Refusal> {
        Ok(self.entry(size).map(|entry| entry.root))
    }
}

impl Log {
    fn entry(&self, at: Cursor) -> Option<&NewEntry> {
        let index = usize::try_from(at.0).ok()?.checked_sub(1)?;
        self.entries.get(index).map(|(_, entry)| entry)
    }
}

impl MemoryStore {
    /// Empty, with a quota for each workspace.
    pub fn new(quota_bytes: u64) -> Self {
        Self { quota_bytes, workspaces: Mutex::default(), writer: tokio::sync::Mutex::default() }
    }

    /// A second store with the same contents: what a backup would hold now.
    pub fn copy(&self) -> Self {
        let workspaces = Mutex::new(self.workspaces.lock().clone());
        Self { quota_bytes: self.quota_bytes, workspaces, writer: tokio::sync::Mutex::default() }
    }

    /// Gives the store another quota, as an operator does.
    #[must_use]
    pub fn with_quota(self, quota_bytes: u64) -> Self {
        Self { quota_bytes, ..self }
    }

    fn with<T>(
        &self,
        workspace: WorkspaceId,
        work: impl FnOnce(&mut Held) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut workspaces = self.workspaces.lock();
        work(workspaces.get_mut(&workspace).ok_or(Code::NotFound)?)
    }

    /// Takes a workspace out for the length of one write, so that no lock is held across an await.
    fn take(&self, workspace: WorkspaceId) -> Result<Held, Refusal> {
        self.workspaces.lock().get(&workspace).cloned().ok_or_else(|| Code::NotFound.into())
    }

    fn put(&self, workspace: WorkspaceId, held: Held) {
        self.workspaces.lock().insert(workspace, held);
    }
}

impl Held {
    fn append_record(&mut self, workspace: WorkspaceId, record: &Record) -> Result<Seq, Refusal> {
        let row = self.state.append_record(workspace, record)?;
        let seq = row.seq;
        self.log.entries.push((self.log.life, row));
        self.derive_links();
        Ok(seq)
    }

    fn derive_links(&mut self) {
        let old = std::mem::take(&mut self.links);
        self.links = open_links(&self.state.roster)
            .map(|fresh| match old.get(&fresh.link_hash) {
                // What the roster does not say stays.
                Some(old) => Link { redeemed: old.redeemed, wrong: old.wrong, ..fresh },
                None => fresh,
            })
            .map(|link| (link.link_hash, link))
            .collect();
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(&self, workspace: WorkspaceId, log: LogId, chain: Vec<Record>) -> Result<LogId, Refusal> {
        let _writer = self.writer.lock().await;
        if let Ok(held) = self.take(workspace) {
            return super::rules::created_before(&held.state.logs, &self.chain(workspace).await?, log, &chain);
        }
        let mut held = Held {
            state: State::new(workspace, log),
            log: Log::default(),
            links: HashMap::new(),
            tokens: Vec::new(),
            seen: BTreeMap::new(),
        };
        for record in &chain {
            held.append_record(workspace, record)?;
        }
        self.put(workspace, held);
        Ok(log)
    }

    async fn append(&self, append: Append) -> Result<Appended, Refusal> {
        let workspace = append.workspace;
        let _writer = self.writer.lock().await;
        let mut held = self.take(workspace)?;
        let (appended, rows) = held.state.append(&mut held.log, append, self.quota_bytes).await?;
        let life = held.log.life;
        held.log.entries.extend(rows.into_iter().map(|row| (life, row)));
        self.put(workspace, held);
        Ok(appended)
    }

    async fn append_record(&self, workspace: WorkspaceId, record: Record) -> Result<Seq, Refusal> {
        let _writer = self.writer.lock().await;
        self.with(workspace, |held| {
            let link = held.links.values().find(|link| Some(link.invite) == invite_of(&record));
            admit(link, &record)?;
            held.append_record(workspace, &record)
        })
    }

    async fn redeem(&self, redeem: Redeem) -> Result<(), Refusal> {
        let _writer = self.writer.lock().await;
        self.with(redeem.workspace, |held| {
            let link = held.links.get_mut(&redeem.link_hash).ok_or(Code::LinkUnavailable)?;
            link.redeem(&redeem)
        })
        .map_err(|_| Code::LinkUnavailable.into())
    }

    async fn change_log(&self, change: ChangeLog) -> Result<LogId, Refusal> {
        let _writer = self.writer.lock().await;
        let mut held = self.take(change.workspace)?;
        if held.state.change_log(&mut held.log, &change).await? {
            held.log.life += 1;
        }
        let log = held.state.log();
        self.put(change.workspace, held);
        Ok(log)
    }

    async fn workspace(&self, workspace: WorkspaceId) -> Result<Option<Workspace>, Refusal> {
        let workspaces = self.workspaces.lock();
        Ok(workspaces.get(&workspace).map(|held| held.state.workspace(self.quota_bytes)))
    }

    async fn device(&self, workspace: WorkspaceId, device: DeviceId) -> Result<Option<Device>, Refusal> {
        let workspaces = self.workspaces.lock();
        let roster: Option<&Roster> = workspaces.get(&workspace).map(|held| &*held.state.roster);
        Ok(roster.and_then(|roster| roster.member(device)).map(|member| Device {
            ed: member.device.ed,
            scope: member.device.scope,
            status: member.device.status,
        }))
    }

    async fn roster_head(&self, workspace: WorkspaceId) -> Result<Option<RosterHead>, Refusal> {
        let workspaces = self.workspaces.lock();
        let roster: Option<&Roster> = workspaces.get(&workspace).map(|held| &*held.state.roster);
        Ok(roster.and_then(|roster| {
            let owner = roster.owner()?.clone();
            let (version, hash, is_purged) = (roster.version(), roster.hash(), roster.is_purged());
            Some(RosterHead { version, hash, is_purged, owner })
        }))
    }

    async fn chain(&self, workspace: WorkspaceId) -> Result<Vec<Record>, Refusal> {
        self.with(workspace, |held| {
            let control = held.log.entries.iter().map(|(_, entry)| &entry.envelope);
            let control = control.filter(|envelope| envelope.header().kind == roost_shared::Kind::Control);
            control
                .map(|envelope| Record::parse(envelope.body().to_vec()).map_err(|_| Code::StorageFailed.into()))
                .collect()
        })
    }

    async fn read(&self, workspace: WorkspaceId, after: Cursor, max_bytes: usize) -> Result<Page, Refusal> {
        self.with(workspace, |held| {
            let mut left = max_bytes;
            let start = usize::try_from(after.0).unwrap_or(usize::MAX);
            let mut entries = Vec::new();
            for (_, entry) in held.log.entries.iter().skip(start) {
                let bytes = entry.envelope.as_bytes();
                if !super::fits(&mut left, bytes.len(), entries.len()) {
                    break;
                }
                entries.push(Entry {
                    seq: entry.seq,
                    document: entry.envelope.header().document,
                    envelope_hash: entry.envelope_hash,
                    body: Some(bytes.to_vec()),
                });
            }
            Ok(Page { entries, tail: held.state.tail(), root: held.state.frontier.root() })
        })
    }

    async fn root_at(&self, workspace: WorkspaceId, size: Cursor) -> Result<Option<Hash>, Refusal> {
        self.with(workspace, |held| {
            Ok(if size == Cursor::START { Some(Hash::of(&[])) } else { held.log.entry(size).map(|entry| entry.root) })
        })
    }

    async fn leaves(&self, workspace: WorkspaceId, size: Cursor) -> Result<Vec<Hash>, Refusal> {
        self.with(workspace, |held| {
            let size = usize::try_from(size.0).unwrap_or(usize::MAX);
            let entries = held.log.entries.iter().take(size).map(|(_, entry)| entry);
            Ok(entries.map(|entry| leaf(entry.envelope.header().document, entry.envelope_hash)).collect())
        })
    }

    async fn change_token(&self, workspace: WorkspaceId, change: TokenChange) -> Result<bool, Refusal> {
        let _writer = self.writer.lock().await;
        self.with(workspace, |held| {
            let before = held.tokens.len();
            match change {
                TokenChange::Put { token, now_ms, most } => {
                    held.tokens.retain(|token| token.expires_ms > now_ms);
                    if held.tokens.len() >= most {
                        return Err(Code::TooMany.into());
                    }
                    held.tokens.push(token);
                    held.tokens.sort_by_key(|token| (token.created_ms, token.id));
                    Ok(true)
                }
                TokenChange::Withdraw { id } => {
                    held.tokens.retain(|token| token.id != id);
                    Ok(held.tokens.len() < before)
                }
            }
        })
    }

    async fn tokens(&self, workspace: WorkspaceId) -> Result<Vec<KeylessToken>, Refusal> {
        self.with(workspace, |held| Ok(held.tokens.clone()))
    }

    async fn token(&self, workspace: WorkspaceId, id: Hash) -> Result<Option<KeylessToken>, Refusal> {
        self.with(workspace, |held| Ok(held.tokens.iter().find(|token| token.id == id).cloned()))
    }

    async fn see(&self, workspace: WorkspaceId, seen: Seen) -> Result<bool, Refusal> {
        let _writer = self.writer.lock().await;
        self.with(workspace, |held| {
            let is_news = held.state.is_news(&seen, held.seen.get(&seen.device));
            if is_news {
                held.seen.insert(seen.device, seen);
            }
            Ok(is_news)
        })
    }

    async fn seen(&self, workspace: WorkspaceId) -> Result<Vec<Seen>, Refusal> {
        // As the others: a workspace that is not there has none.
        Ok(self.workspaces.lock().get(&workspace).map(|held| held.seen.values().cloned().collect()).unwrap_or_default())
    }

    async fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn close(&self) {}
}
