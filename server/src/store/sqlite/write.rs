//! What the writer is asked to do, and who waits for it.

use roost_shared::roster::Record;
use roost_shared::wire::message::Seen;
use roost_shared::{Code, LogId, Seq, WorkspaceId};
use tokio::sync::oneshot;

use crate::store::{Append, Appended, ChangeLog, Redeem, Refusal, TokenChange};

/// Who waits for an answer.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// One write and who waits for it.
pub enum Write {
    /// See [`crate::store::Store::create`].
    Create {
        /// Whose.
        workspace: WorkspaceId,
        /// Its log.
        log: LogId,
        /// Its roster.
        chain: Vec<Record>,
        /// Told after the commit.
        reply: Reply<LogId>,
    },
    /// See [`crate::store::Store::append`].
    Append {
        /// What.
        append: Append,
        /// Told after the commit.
        reply: Reply<Appended>,
    },
    /// See [`crate::store::Store::append_record`].
    Record {
        /// Whose.
        workspace: WorkspaceId,
        /// What.
        record: Record,
        /// Told after the commit.
        reply: Reply<Seq>,
    },
    /// See [`crate::store::Store::redeem`].
    Redeem {
        /// What.
        redeem: Redeem,
        /// Told after the commit.
        reply: Reply<()>,
    },
    /// See [`crate::store::Store::change_log`].
    ChangeLog {
        /// What.
        change: ChangeLog,
        /// Told after the commit.
        reply: Reply<LogId>,
    },
    /// See [`crate::store::Store::change_token`].
    Token {
        /// Whose.
        workspace: WorkspaceId,
        /// What.
        change: TokenChange,
        /// Told after the commit.
        reply: Reply<bool>,
    },
    /// See [`crate::store::Store::see`].
    See {
        /// Whose.
        workspace: WorkspaceId,
        /// What.
        seen: Seen,
        /// Told after the commit.
        reply: Reply<bool>,
    },
    /// A commit of nothing.
    Check {
        /// Told after the commit.
        reply: Reply<()>,
    },
    /// Nothing after this.
    Close {
        /// Told when the file is closed.
        reply: Reply<()>,
    },
}

/// An answer that waits for the commit: called with whether it happened.
pub type Answer = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// The answer to one write of a batch.
pub fn after_commit<T: Send + 'static>(reply: Reply<T>, outcome: Result<T, Refusal>) -> Answer {
    // A receiver that is gone does not mind.
    Box::new(move |committed| drop(reply.send(committed.and(outcome))))
}

impl Write {
    /// For a write that was not tried because the transaction is lost.
    pub fn refuse(self) -> Answer {
        fn lost<T: Send + 'static>(reply: Reply<T>) -> Answer {
            after_commit(reply, Err(Code::RetryLater.into()))
        }
        match self {
            Self::Create { reply, .. } | Self::ChangeLog { reply, .. } => lost(reply),
            Self::Append { reply, .. } => lost(reply),
            Self::Record { reply, .. } => lost(reply),
            Self::Token { reply, .. } | Self::See { reply, .. } => lost(reply),
            Self::Redeem { reply, .. } | Self::Check { reply } | Self::Close { reply } => lost(reply),
        }
    }
}
