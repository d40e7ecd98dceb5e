//! What the machine wants done: writes first, in one transaction, then effects in their order.

use roost_shared::hash::Hash;
use roost_shared::roster::Record;
use roost_shared::tree::Frontier;
use roost_shared::wire::message::{Append, ClientMessage};
use roost_shared::{Code, Cursor, DeviceId, DocumentId, LogId, Seq};

/// One step of the machine.
#[derive(Debug, Default)]
pub struct Step {
    /// One transaction, durable before any effect.
    pub writes: Vec<Write>,
    /// In this order.
    pub effects: Vec<Effect>,
    /// For the app.
    pub notices: Vec<Notice>,
}

impl Step {
    pub(super) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}

/// Where Resync is; durable, so that a crash goes on where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading to the tail.
    Read,
    /// Sealing anew, appending with `if_tail`.
    Reseal,
}

/// How far another device had verified the log when it last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenAt {
    /// The log.
    pub log: LogId,
    /// How many entries.
    pub size: u64,
    /// Its root there.
    pub root: Hash,
    /// When the server was told, ms since 1970, by its clock.
    pub at_ms: u64,
}

/// A change of the local store.
#[derive(Debug, Clone)]
pub enum Write {
    /// The log was read this far.
    Advance(Frontier),
    /// An entry was verified.
    Leaf {
        /// Its number.
        seq: Seq,
        /// Its leaf.
        leaf: Hash,
        /// The root after it.
        root: Hash,
    },
    /// An author's last entry.
    Author {
        /// Who.
        device: DeviceId,
        /// Its author_seq.
        last: u64,
        /// Its base.
        base: Cursor,
    },
    /// Authors count anew under this log id.
    AuthorsOf(LogId),
    /// A sealed entry to be merged into its document.
    Inbox {
        /// Its number.
        seq: Seq,
        /// Its document.
        document: DocumentId,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// An entry whose content is not merged, with its bytes.
    Quarantine {
        /// Its number.
        seq: Seq,
        /// Why.
        reason: &'static str,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// An outbox row was met in the log.
    Met {
        /// Which.
        author_seq: u64,
    },
    /// The number of our last entry in this log.
    OwnSeq(Seq),
    /// How far another device had read when it last told.
    Seen {
        /// Which.
        device: DeviceId,
        /// How far.
        at: SeenAt,
    },
    /// A device verified another log than this one.
    Contradiction {
        /// Which.
        device: DeviceId,
        /// How many entries.
        size: u64,
        /// Its root there.
        root: Hash,
    },
    /// What is left in the outbox will be sealed anew.
    ClearOutbox,
    /// The roster of the log at the cursor has one more record.
    LogRecord(Record),
    /// The newest roster this device knows has one more record.
    HeldRecord(Record),
    /// The newest roster this device knows is the log's.
    HoldLogChain,
    /// A record of ours was taken in, or is void.
    NotPending,
    /// Where Resync is.
    Resync(Option<Stage>),
    /// Another log: everything that belongs to one goes, documents and keys stay.
    NewLog(LogId),
    /// The server was caught: what it said is kept.
    Diverged {
        /// In one sentence.
        what: String,
        /// What it said.
        evidence: Vec<u8>,
    },
}

/// Something to do after the writes.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Get a token, open a socket.
    Connect,
    /// Close it.
    Disconnect,
    /// Sign the challenge and say Hello.
    Hello {
        /// The server's nonce.
        nonce: [u8; 32],
        /// The log id we know.
        log: LogId,
        /// How far we verified it.
        cursor: Cursor,
        /// Our root there.
        root: Hash,
    },
    /// Sign how far we have read, and say it.
    Seen {
        /// The log.
        log: LogId,
        /// The epoch.
        epoch: u32,
        /// How many entries.
        size: Cursor,
        /// The root there.
        root: Hash,
    },
    /// Say this.
    Send(ClientMessage),
    /// Seal what the documents have and the log lacks, and make it durable.
    Seal(SealAt),
    /// Merge the inbox.
    Merge,
    /// Ask for a new log id on this evidence.
    ProposeLog {
        /// The log we know.
        old: LogId,
        /// How far.
        cursor: Cursor,
        /// Our root there.
        root: Hash,
    },
    /// Bring the server roster records it lost, or the whole workspace.
    Republish {
        /// From genesis or a later one on, in order.
        records: Vec<Record>,
    },
    /// Post our own record.
    Post(Record),
    /// The server forgot how we joined: take our place in its roster again, by the same invite.
    Rejoin,
    /// Someone joined by a link, or there are two branches: build an owner record with a new epoch.
    AdvanceEpoch,
}

/// What a new envelope's header needs besides its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealAt {
    /// The log.
    pub log: LogId,
    /// The epoch.
    pub epoch: u32,
    /// The number of the first envelope.
    pub author_seq: u64,
    /// How many entries we verified.
    pub base_size: Cursor,
    /// The root there.
    pub base_root: Hash,
}

/// What syncing once brought: records of collections in use, as far as other devices wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SyncReport {
    /// Records that are new here.
    pub added: u64,
    /// Records that changed.
    pub updated: u64,
    /// Records that are gone.
    pub removed: u64,
    /// Values that hid others, or were hidden.
    pub conflicts: u64,
    /// From the first message to the last, in milliseconds.
    pub duration_ms: u64,
}

/// Something the app may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A socket is live.
    Online,
    /// No socket: the line broke, sync was paused, or a try to connect failed, each time.
    Offline {
        /// Why, if the server said so.
        code: Option<Code>,
    },
    /// Something is to be fetched or sent, and the server is reached.
    SyncStarted,
    /// All is the same here and there: what that brought.
    SyncFinished(SyncReport),
    /// The disk is full for what sync wants to save: nothing saved is harmed, and it is tried again every two seconds. An
    /// app's own edit answers [`crate::Fault::Full`] itself.
    StorageFull,
    /// Everything the server has is here and verified; it is merged next, which the documents' own changes tell.
    CaughtUp {
        /// The tail.
        tail: Cursor,
    },
    /// Everything this device has is durable on the server.
    Uploaded,
    /// An append was refused; what it held is kept.
    Refused {
        /// Why.
        code: Code,
    },
    /// The log has a new id: the server lost history, and devices heal it.
    LogReplaced {
        /// The id it had.
        old: LogId,
        /// The id it has.
        new: LogId,
        /// How many entries we had verified of the old one.
        cursor: Cursor,
    },
    /// The server contradicts itself. Sync has stopped; the evidence is kept.
    Diverged {
        /// In one sentence.
        what: String,
    },
    /// A device signed that it has read another log than this device has: the server shows them different ones, or one
    /// of them is not what it was. The evidence is kept.
    Contradicted {
        /// Which.
        device: DeviceId,
        /// How many entries it has verified.
        size: u64,
    },
    /// One entry's content was put aside; the others go on.
    Quarantined {
        /// Which.
        seq: Seq,
        /// Why.
        reason: &'static str,
    },
    /// A newer version of the app rewrote a document: until this one is updated, what others write in it waits here, and
    /// what was written here and not sent stays here.
    Behind {
        /// Which.
        document: DocumentId,
        /// The schema version that reads it.
        needs: u32,
    },
    /// A step of the app's schema failed on a document, which is as it was.
    NotMigrated {
        /// Which.
        document: DocumentId,
        /// The step's version.
        version: u32,
        /// Why, by [`crate::schema::Fault::code`].
        code: &'static str,
        /// The same for a person: which document and step, and what to do.
        what: String,
    },
    /// Someone edited content that a rewrite had moved already. It is kept where it is; see
    /// [`crate::Workspace::late_edits`].
    Late {
        /// In which document.
        document: DocumentId,
        /// The version whose rewrite they missed.
        version: u32,
    },
    /// Values of records were hidden by another device's; see [`crate::Workspace::conflicts`].
    Conflict {
        /// In which document.
        document: DocumentId,
    },
    /// An entry names a base that is not in this log. Its content is kept.
    BaseMismatch {
        /// Which.
        seq: Seq,
        /// By whom.
        author: DeviceId,
    },
    /// The server's roster and ours are two branches; nothing is appended until that is settled.
    RosterFork,
    /// This device is not, or no longer, in the workspace.
    NotAllowed,
    /// The workspace was purged; local data stays.
    Purged,
    /// The roster has a new version.
    RosterChanged {
        /// Which.
        version: u64,
    },
}

impl Effect {
    pub(super) const fn append(id: u64, if_tail: Option<u64>, envelopes: Vec<Vec<u8>>) -> Self {
        Self::Send(ClientMessage::Append(Append { id, if_tail, envelopes }))
    }
}
