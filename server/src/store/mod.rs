//! What the server needs of a database. One trait, one suite ([`conformance`]), and memory is the reference.
//!
//! A store never answers a write before it is durable, and decides every append by [`rules`] inside the transaction
//! that performs it.

pub mod conformance;
mod links;
pub mod memory;
pub mod rules;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use roost_shared::hash::Hash;
use roost_shared::limits::PAGE_ITEMS_MAX;
use roost_shared::roster::{Owner, Record, Roster, Scope, Status};
use roost_shared::tree::Frontier;
use roost_shared::wire::http::LogLife;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, Cursor, DeviceId, DocumentId, Envelope, LogId, Seq, WorkspaceId};

/// A database that keeps logs.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Creates a workspace with its chain as the first entries. The same call again answers the same.
    async fn create(&self, workspace: WorkspaceId, log: LogId, chain: Vec<Record>) -> Result<LogId, Refusal>;

    /// Appends all envelopes or none; answers when they are durable.
    async fn append(&self, append: Append) -> Result<Appended, Refusal>;

    /// Appends the next roster record and rewrites the device and link tables from it.
    async fn append_record(&self, workspace: WorkspaceId, record: Record) -> Result<Seq, Refusal>;

    /// Uses a link up: at most one device ever gets `Ok`, again and again within the retry window.
    async fn redeem(&self, redeem: Redeem) -> Result<(), Refusal>;

    /// Gives the log a new id, if the evidence holds.
    async fn change_log(&self, change: ChangeLog) -> Result<LogId, Refusal>;

    /// How the workspace stands.
    async fn workspace(&self, workspace: WorkspaceId) -> Result<Option<Workspace>, Refusal>;

    /// One device, as the roster has it.
    async fn device(&self, workspace: WorkspaceId, device: DeviceId) -> Result<Option<Device>, Refusal>;

    /// The end of the roster chain, without reading the rest: for whoever nobody knows.
    async fn roster_head(&self, workspace: WorkspaceId) -> Result<Option<RosterHead>, Refusal>;

    /// The roster chain from genesis.
    async fn chain(&self, workspace: WorkspaceId) -> Result<Vec<Record>, Refusal>;

    /// The entries after `after`: at least one if there is one, and about `max_bytes`.
    async fn read(&self, workspace: WorkspaceId, after: Cursor, max_bytes: usize) -> Result<Page, Refusal>;

    /// The Merkle root over the first `size` entries; None past the tail.
    async fn root_at(&self, workspace: WorkspaceId, size: Cursor) -> Result<Option<Hash>, Refusal>;

    /// The leaves of the first `size` entries.
    async fn leaves(&self, workspace: WorkspaceId, size: Cursor) -> Result<Vec<Hash>, Refusal>;

    /// Keeps or withdraws a token for a client without device keys; whether there was something to change.
    async fn change_token(&self, workspace: WorkspaceId, change: TokenChange) -> Result<bool, Refusal>;

    /// Those a workspace has, the oldest first.
    async fn tokens(&self, workspace: WorkspaceId) -> Result<Vec<KeylessToken>, Refusal>;

    /// One of them.
    async fn token(&self, workspace: WorkspaceId, id: Hash) -> Result<Option<KeylessToken>, Refusal>;

    /// Keeps how far a device has verified the log, if that is news; whether it is.
    async fn see(&self, workspace: WorkspaceId, seen: Seen) -> Result<bool, Refusal>;

    /// How far each device has verified the log, as it last told.
    async fn seen(&self, workspace: WorkspaceId) -> Result<Vec<Seen>, Refusal>;

    /// Whether it can be read and written now.
    async fn check(&self) -> Result<(), Refusal>;

    /// Finishes what is under way and closes.
    async fn close(&self);
}

/// A store as the rest of the server holds it.
pub type SharedStore = Arc<dyn Store>;

/// Nothing was stored; the code says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}")]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// With `log_changed` and `workspace_exists`: the current log.
    pub log: Option<LogId>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, log: None }
    }
}

/// Envelopes of one device, all or none.
#[derive(Debug, Clone)]
pub struct Append {
    /// The workspace the device was authenticated for.
    pub workspace: WorkspaceId,
    /// The device that was authenticated.
    pub device: DeviceId,
    /// Whether its token lets it append at all.
    pub may_append: bool,
    /// Only if the log still ends here.
    pub if_tail: Option<Cursor>,
    /// In order of author_seq.
    pub envelopes: Vec<Envelope>,
}

/// The append is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// One an envelope, in the order sent.
    pub seqs: Vec<Seq>,
    /// The tail now.
    pub tail: Cursor,
}

/// See [`Store::redeem`].
#[derive(Debug, Clone, Copy)]
pub struct Redeem {
    /// The workspace of the link.
    pub workspace: WorkspaceId,
    /// SHA-256 of the link proof shown.
    pub link_hash: Hash,
    /// SHA-256 of the access proof shown.
    pub access_hash: Hash,
    /// The device that is to take the invite's place.
    pub device: DeviceId,
    /// The server's clock, which alone judges expiry.
    pub now_ms: u64,
}

/// See [`Store::change_log`].
#[derive(Debug, Clone, Copy)]
pub struct ChangeLog {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The log id the device knows; must be current.
    pub old: LogId,
    /// The one to give.
    pub proposed: LogId,
    /// How many entries the device had verified.
    pub cursor: Cursor,
    /// The root it has there.
    pub root: Hash,
    /// The server's clock.
    pub now_ms: u64,
}

/// A token for a client without device keys, as the store knows it: never the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeylessToken {
    /// SHA-256 of its jti.
    pub id: Hash,
    /// What the owner calls it.
    pub label: String,
    /// When it was issued.
    pub created_ms: u64,
    /// When it runs out.
    pub expires_ms: u64,
}

/// See [`Store::change_token`].
#[derive(Debug, Clone)]
pub enum TokenChange {
    /// Keeps one more; those that have run out go.
    Put {
        /// Which.
        token: KeylessToken,
        /// The server's clock.
        now_ms: u64,
        /// How many a workspace may have.
        most: usize,
    },
    /// Takes one back.
    Withdraw {
        /// Which.
        id: Hash,
    },
}

/// How a workspace stands.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Every life of the log, the current one last.
    pub logs: Vec<LogLife>,
    /// The tree at the tail.
    pub frontier: Frontier,
    /// Who is in it.
    pub roster: Arc<Roster>,
    /// Envelope bytes stored.
    pub bytes: u64,
    /// How many may be.
    pub quota_bytes: u64,
}

impl Workspace {
    /// The current log id.
    pub fn log(&self) -> LogId {
        self.logs.last().map_or(LogId::ZERO, |life| life.log)
    }

    /// How many entries there are.
    pub const fn tail(&self) -> Cursor {
        Cursor(self.frontier.size())
    }
}

/// A row of the device table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its Ed25519 key.
    pub ed: [u8; 32],
    /// Its scope.
    pub scope: Scope,
    /// Where it stands.
    pub status: Status,
}

/// The end of a roster chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterHead {
    /// The version of the newest record.
    pub version: u64,
    /// The newest record's hash.
    pub hash: Hash,
    /// The newest record is a purge.
    pub is_purged: bool,
    /// The newest owner record's body.
    pub owner: Owner,
}

/// A piece of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In order of Seq, without gaps.
    pub entries: Vec<Entry>,
    /// How many entries the log has.
    pub tail: Cursor,
    /// The root there.
    pub root: Hash,
}

/// One entry as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub seq: Seq,
    /// Its document, or zeros.
    pub document: DocumentId,
    /// SHA-256 of the envelope.
    pub envelope_hash: Hash,
    /// The envelope; None once trimmed.
    pub body: Option<Vec<u8>>,
}

/// What an entry weighs in a page besides its bytes.
const ENTRY_OVERHEAD: usize = 64;

/// Whether an entry of `len` bytes goes on a page that has `left` to give and holds `count`; takes it off if so.
fn fits(left: &mut usize, len: usize, count: usize) -> bool {
    let weight = len + ENTRY_OVERHEAD;
    let fits = count == 0 || (weight <= *left && count < PAGE_ITEMS_MAX - 1); // a Tail item follows the last page
    *left = left.saturating_sub(weight);
    fits
}
