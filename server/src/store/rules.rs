//! Who may put what into a log: the nine checks of an append in their order, and those of roster records and new log
//! ids. Pure, but for facts a store looks up inside the transaction.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use roost_shared::hash::Hash;
use roost_shared::limits::{APPEND_ENVELOPES_MAX, LOG_CHANGE_PAUSE_MS, LOG_LIVES_MAX};
use roost_shared::roster::{ChainError, Record, RecordBody, Roster, Scope, Status};
use roost_shared::tree::{Frontier, leaf_of};
use roost_shared::wire::http::LogLife;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, Cursor, DeviceId, Envelope, Kind, LogId, Seq, WorkspaceId};

use super::{Append, Appended, ChangeLog, Device, Refusal, RosterHead, Workspace};

/// What the writer keeps of a workspace between transactions.
#[derive(Debug, Clone)]
pub struct State {
    /// Every life of the log, the current one last.
    pub logs: Vec<LogLife>,
    /// The tree at the tail.
    pub frontier: Frontier,
    /// Who is in it.
    pub roster: Arc<Roster>,
    /// Per author of the current life: its last author_seq and base.
    pub authors: HashMap<DeviceId, Author>,
    /// Envelope bytes stored, control entries left out.
    pub bytes: u64,
    /// When the log last got a new id.
    pub log_changed_ms: u64,
}

/// The last entry of an author.
#[derive(Debug, Clone, Copy, Default)]
pub struct Author {
    /// Its number.
    pub last: u64,
    /// Its base.
    pub base: Cursor,
}

/// A row to insert.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Its number.
    pub seq: Seq,
    /// SHA-256 of the envelope.
    pub envelope_hash: Hash,
    /// The root over everything up to it.
    pub root: Hash,
    /// The envelope.
    pub envelope: Envelope,
}

/// What a store can look up in the transaction.
#[async_trait]
pub trait Facts: Send {
    /// The entry an author wrote under this number in the current life.
    async fn known(&mut self, author: DeviceId, author_seq: u64) -> Result<Option<(Seq, Hash)>, Refusal>;
    /// The root over the first `size` entries, for 0 < size < tail.
    async fn root_at(&mut self, size: Cursor) -> Result<Option<Hash>, Refusal>;
}

impl State {
    /// Before the first record.
    pub fn new(workspace: WorkspaceId, log: LogId) -> Self {
        Self {
            logs: vec![LogLife { log, first: 1 }],
            frontier: Frontier::default(),
            roster: Arc::new(Roster::empty(workspace)),
            authors: HashMap::new(),
            bytes: 0,
            log_changed_ms: 0,
        }
    }

    /// The current log id.
    pub fn log(&self) -> LogId {
        self.logs.last().map_or(LogId::ZERO, |life| life.log)
    }

    /// The number of the current life.
    pub fn life(&self) -> usize {
        self.logs.len().saturating_sub(1)
    }

    /// How many entries there are.
    pub const fn tail(&self) -> Cursor {
        Cursor(self.frontier.size())
    }

    /// What readers see of it.
    pub fn workspace(&self, quota_bytes: u64) -> Workspace {
        Workspace {
            logs: self.logs.clone(),
            frontier: self.frontier.clone(),
            roster: Arc::clone(&self.roster),
            bytes: self.bytes,
            quota_bytes,
        }
    }

    /// Whether a device tells more than is kept of it, and nothing that cannot be.
    pub fn is_news(&self, seen: &Seen, held: Option<&Seen>) -> bool {
        let may_be = seen.log == self.log() && seen.size <= self.tail().0 && self.roster.scope(seen.device).is_some();
        may_be && held.is_none_or(|held| held.log != seen.log || held.size < seen.size)
    }

    /// The nine checks. On `Ok` this state has the entries, and the rows are to be inserted in this transaction.
    pub async fn append(
        &mut self,
        facts: &mut dyn Facts,
        append: Append,
        quota_bytes: u64,
    ) -> Result<(Appended, Vec<NewEntry>), Refusal> {
        if append.envelopes.is_empty() {
            return Err(Code::BadMessage.into());
        }
        if append.envelopes.len() > APPEND_ENVELOPES_MAX {
            return Err(Code::TooLarge.into());
        }
        // Work on copies: a refusal half way must leave nothing behind.
        let mut frontier = self.frontier.clone();
        let mut author = self.authors.get(&append.device).copied().unwrap_or_default();
        let mut bytes = self.bytes;
        let (mut seqs, mut rows) = (Vec::new(), Vec::new());
        for envelope in append.envelopes {
            let header = envelope.header();
            let hash = envelope.hash();
            // 1. dedupe, whatever epoch, quota or if_tail say
            if header.log == self.log() && header.author_seq <= self.last_of(header.author) {
                match facts.known(header.author, header.author_seq).await? {
                    Some((seq, known)) if known == hash => {
                        seqs.push(seq);
                        continue;
                    }
                    Some(_) => return Err(Code::Equivocation.into()),
                    None => {}
                }
            }
            self.check_sender(&envelope, append.workspace, append.device, append.may_append)?;
            // 4. log id, 5. epoch, 6. author_seq
            if header.log != self.log() {
                return Err(Refusal { code: Code::LogChanged, log: Some(self.log()) });
            }
            if header.epoch != self.roster.epoch() {
                return Err(Code::EpochStale.into());
            }
            if header.author_seq != author.last + 1 {
                return Err(Code::AuthorGap.into());
            }
            // 7. base
            if header.base_size < author.base || !self.has_base(facts, header.base_size, header.base_root).await? {
                return Err(Code::BaseMismatch.into());
            }
            // 8. if_tail, once, before the first new entry
            if rows.is_empty() && append.if_tail.is_some_and(|tail| tail != self.tail()) {
                return Err(Code::TailMoved.into());
            }
            // 9. quota
            bytes = bytes.saturating_add(envelope.as_bytes().len() as u64);
            if bytes > quota_bytes {
                return Err(Code::QuotaExceeded.into());
            }
            author = Author { last: header.author_seq, base: header.base_size };
            let row = push(&mut frontier, hash, envelope);
            seqs.push(row.seq);
            rows.push(row);
        }
        if !rows.is_empty() {
            self.frontier = frontier;
            self.authors.insert(append.device, author);
            self.bytes = bytes;
        }
        Ok((Appended { seqs, tail: self.tail() }, rows))
    }

    fn last_of(&self, author: DeviceId) -> u64 {
        self.authors.get(&author).map_or(0, |author| author.last)
    }

    /// 2. kind, 3. workspace, author and scope. (Size and layout held when the envelope was parsed.)
    fn check_sender(
        &self,
        envelope: &Envelope,
        workspace: WorkspaceId,
        device: DeviceId,
        may_append: bool,
    ) -> Result<(), Refusal> {
        let header = envelope.header();
        match header.kind {
            Kind::Update | Kind::Snapshot => {}
            Kind::Control => return Err(Code::EnvelopeInvalid.into()),
            Kind::Checkpoint => return Err(Code::Unsupported.into()),
        }
        if self.roster.is_purged() {
            return Err(Code::WorkspaceGone.into());
        }
        if header.workspace != workspace {
            return Err(Code::WrongWorkspace.into());
        }
        if header.author != device {
            return Err(Code::WrongAuthor.into());
        }
        if !may_append || self.roster.scope(device) != Some(Scope::ReadWrite) {
            return Err(Code::NotAllowed.into());
        }
        Ok(())
    }

    async fn has_base(&self, facts: &mut dyn Facts, size: Cursor, root: Hash) -> Result<bool, Refusal> {
        let ours = match size {
            _ if size == self.tail() => Some(self.frontier.root()),
            Cursor::START => Some(Frontier::default().root()),
            _ if size > self.tail() => None,
            _ => facts.root_at(size).await?,
        };
        Ok(ours == Some(root))
    }

    /// Takes the next roster record in; the row is to be inserted in this transaction.
    pub fn append_record(&mut self, workspace: WorkspaceId, record: &Record) -> Result<NewEntry, Refusal> {
        let mut roster = Roster::clone(&self.roster);
        roster.apply(record).map_err(code_of)?;
        let envelope = Envelope::control(workspace, self.log(), roster.epoch(), record.version, record.as_bytes());
        let hash = envelope.hash();
        let row = push(&mut self.frontier, hash, envelope);
        self.roster = Arc::new(roster);
        Ok(row)
    }

    /// Gives the log a new id if the device shows that this log is not the one it verified.
    pub async fn change_log(&mut self, facts: &mut dyn Facts, change: &ChangeLog) -> Result<bool, Refusal> {
        let current = self.log();
        if current == change.proposed {
            return Ok(false); // a repeated request: the same answer
        }
        if current != change.old {
            return Err(Refusal { code: Code::LogChanged, log: Some(current) });
        }
        let paused = self.log_changed_ms > 0 && change.now_ms < self.log_changed_ms + LOG_CHANGE_PAUSE_MS;
        // Nothing read is evidence of nothing.
        let same = change.cursor == Cursor::START || self.has_base(facts, change.cursor, change.root).await?;
        let is_used = change.proposed == LogId::ZERO || self.logs.iter().any(|life| life.log == change.proposed);
        if same || paused || is_used || self.logs.len() >= LOG_LIVES_MAX {
            return Err(Code::LogKept.into());
        }
        self.logs.push(LogLife { log: change.proposed, first: self.tail().next().get() });
        self.authors.clear();
        self.log_changed_ms = change.now_ms;
        Ok(true)
    }
}

fn push(frontier: &mut Frontier, envelope_hash: Hash, envelope: Envelope) -> NewEntry {
    let seq = Cursor(frontier.size()).next();
    frontier.append(leaf_of(&envelope));
    NewEntry { seq, envelope_hash, root: frontier.root(), envelope }
}

/// The code of a record that does not go on its chain.
pub const fn code_of(error: ChainError) -> Code {
    match error {
        ChainError::Moved { .. } => Code::RosterMoved,
        ChainError::Purged => Code::WorkspaceGone,
        ChainError::Workspace => Code::WrongWorkspace,
        ChainError::Signature => Code::SignatureInvalid,
        ChainError::Rule(_) => Code::RosterInvalid,
    }
}

/// Refuses a record that cannot follow the end of its chain. `invite` is the device that a replace record names as its
/// invite. Whoever passes holds the owner key or a share link, or has read the chain; the store has the last word.
pub fn may_follow(head: &RosterHead, invite: Option<&Device>, record: &Record) -> Result<(), Refusal> {
    let open = invite.filter(|invite| invite.status == Status::Invite);
    if let Some(invite) = open {
        return signed_by(&invite.ed, record); // whether its link was redeemed is asked before its place in the chain
    }
    if head.is_purged {
        return Err(Code::WorkspaceGone.into());
    }
    if record.version != head.version + 1 || record.previous != head.hash {
        return Err(Code::RosterMoved.into());
    }
    match &record.body {
        RecordBody::Owner(owner) if WorkspaceId::of_owner(&owner.ed) != record.workspace => {
            Err(Code::WrongWorkspace.into())
        }
        RecordBody::Owner(owner) => signed_by(&owner.ed, record),
        RecordBody::Purge => signed_by(&head.owner.ed, record),
        RecordBody::Replace(_) => Err(Code::RosterInvalid.into()),
    }
}

fn signed_by(key: &[u8; 32], record: &Record) -> Result<(), Refusal> {
    if record.is_signed_by(key) { Ok(()) } else { Err(Code::SignatureInvalid.into()) }
}

/// The answer to creating a workspace that exists: the same when it is the same request, else a refusal. `held` is the
/// beginning of its chain, as many records as the request has.
pub fn created_before(logs: &[LogLife], held: &[Record], log: LogId, chain: &[Record]) -> Result<LogId, Refusal> {
    let current = logs.last().map_or(LogId::ZERO, |life| life.log);
    let is_same = logs.first().is_some_and(|life| life.log == log) && held.starts_with(chain);
    if is_same { Ok(current) } else { Err(Refusal { code: Code::WorkspaceExists, log: Some(current) }) }
}
