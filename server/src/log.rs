//! Writing to and reading from logs: the store, and the wake-ups that follow a write.

use roost_shared::limits::ENVELOPE_MAX;
use roost_shared::roster::{Record, RecordBody, Status};
use roost_shared::tree::{consistency_proof, root};
use roost_shared::wire::codec::CodecError;
use roost_shared::wire::http::TreeIs;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, Cursor, DeviceId, Envelope, LogId, Seq, WorkspaceId};

use crate::fanout::{Fanout, News};
use crate::store::{Append, Appended, ChangeLog, Page, Refusal, SharedStore, rules};

/// The logs of this server.
#[derive(Clone)]
pub struct Logs {
    /// Where they lie.
    pub store: SharedStore,
    /// Who listens.
    pub fanout: Fanout,
}

impl Logs {
    /// Appends and wakes the readers; the answer means durable.
    pub async fn append(&self, append: Append) -> Result<Appended, Refusal> {
        let workspace = append.workspace;
        let appended = self.store.append(append).await?;
        self.fanout.wake(workspace, News::Appended(appended.tail));
        Ok(appended)
    }

    /// Refuses a roster record that cannot be the next one, by what little shows that: for whoever may not write the
    /// roster nobody reads all of it, and the one writer is not asked.
    pub async fn may_follow(&self, workspace: WorkspaceId, record: &Record) -> Result<(), Refusal> {
        // The invite first: one that is used up between the two shows in the newer end of the chain.
        let invite = match &record.body {
            RecordBody::Replace(replace) => self.store.device(workspace, replace.invite).await?,
            RecordBody::Owner(_) | RecordBody::Purge => None,
        };
        let head = self.store.roster_head(workspace).await?.ok_or(Code::NotFound)?;
        rules::may_follow(&head, invite.as_ref(), record)
    }

    /// Appends a roster record and wakes the readers, who may have lost their place by it.
    pub async fn append_record(&self, workspace: WorkspaceId, record: Record) -> Result<Seq, Refusal> {
        let version = record.version;
        let seq = self.store.append_record(workspace, record).await?;
        self.fanout.wake(workspace, News::Recorded { tail: seq.cursor(), version });
        Ok(seq)
    }

    /// Keeps how far a device has read and wakes the others.
    pub async fn see(&self, workspace: WorkspaceId, seen: Seen) -> Result<(), Refusal> {
        if self.store.see(workspace, seen).await? {
            self.fanout.wake(workspace, News::Seen);
        }
        Ok(())
    }

    /// Whether a device is in the workspace now. A store that cannot answer is no reason to throw it out.
    pub async fn is_active(&self, workspace: WorkspaceId, device: DeviceId) -> bool {
        match self.store.device(workspace, device).await {
            Ok(device) => device.is_some_and(|device| device.status == Status::Active),
            Err(_) => true,
        }
    }

    /// Gives the log a new id and sends the readers away to resync.
    pub async fn change(&self, change: ChangeLog) -> Result<LogId, Refusal> {
        let log = self.store.change_log(change).await?;
        self.fanout.wake(change.workspace, News::Log(log));
        Ok(log)
    }

    /// A piece of the log.
    pub async fn read(&self, workspace: WorkspaceId, after: Cursor, max_bytes: usize) -> Result<Page, Refusal> {
        self.store.read(workspace, after, max_bytes.min(ENVELOPE_MAX)).await
    }

    /// Two roots and the proof that the first tree is a prefix of the second.
    pub async fn tree(&self, workspace: WorkspaceId, first: Cursor, second: Cursor) -> Result<TreeIs, Refusal> {
        let leaves = self.store.leaves(workspace, second).await?;
        let first = usize::try_from(first.0).unwrap_or(usize::MAX);
        if first > leaves.len() || leaves.len() as u64 != second.0 {
            return Err(Code::NotFound.into());
        }
        Ok(TreeIs {
            first_root: root(&leaves[..first]),
            second_root: root(&leaves),
            proof: consistency_proof(first, &leaves),
        })
    }
}

/// The code of bytes that are no message or no list of envelopes, on the socket and over HTTP.
pub const fn code_of(error: CodecError) -> Code {
    match error {
        CodecError::TooLarge { .. } => Code::TooLarge,
        CodecError::Empty | CodecError::UnknownType(_) | CodecError::Skipped(_) | CodecError::Field(_) => {
            Code::BadMessage
        }
    }
}

/// Parses the envelopes of an append; the first bad one refuses all.
pub fn parse(envelopes: Vec<Vec<u8>>) -> Result<Vec<Envelope>, Code> {
    envelopes.into_iter().map(|bytes| Envelope::parse(bytes).map_err(|_| Code::EnvelopeInvalid)).collect()
}
