//! What can happen to the machine.

use std::collections::BTreeMap;

use roost_shared::hash::Hash;
use roost_shared::roster::Record;
use roost_shared::wire::message::ServerMessage;
use roost_shared::{Code, DocumentId, LogId};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Sync from now on.
    Start,
    /// Do not, until the next start.
    Pause,
    /// Time passed; see [`super::Machine::wake_at_ms`].
    Tick,
    /// Documents hold operations the log may lack.
    Edited,
    /// The socket is open.
    Opened,
    /// The socket closed, or did not open.
    Closed {
        /// Why, if the server said so.
        code: Option<Code>,
        /// When it wants to see us again; 0 if it did not say.
        retry_after_ms: u64,
    },
    /// The server said something.
    Message {
        /// What.
        message: ServerMessage,
        /// Our own roots at the bases that the message's envelopes name, as far as they lie before this message.
        past_roots: BTreeMap<u64, Hash>,
    },
    /// The answer to [`super::Effect::Seal`].
    Sealed {
        /// Durable in the outbox; none when nothing was to seal.
        rows: Vec<OutboxRow>,
        /// Whether there are edits that cannot be sealed now: a key is missing, or a document does not load.
        left: bool,
    },
    /// A rewrite was sealed at [`super::Machine::rewrite_at`], and is durable in the outbox.
    Rewritten(Vec<OutboxRow>),
    /// The answer to [`super::Effect::ProposeLog`].
    LogGranted(Result<LogId, Code>),
    /// The answer to [`super::Effect::Republish`] and [`super::Effect::Rejoin`]: whether the server took anything.
    Republished(Result<bool, Code>),
    /// A record of ours is durable here and waits to be taken in.
    Proposed(Record),
    /// The answer to [`super::Effect::Post`].
    Posted(Result<(), Code>),
}

/// A sealed envelope that the log does not have for certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number.
    pub author_seq: u64,
    /// Its document.
    pub document: DocumentId,
    /// SHA-256 of its bytes.
    pub hash: Hash,
    /// It goes into the log only if that still ends here; then it is merged like another device's. Such rows are a
    /// rewrite: what every device computes and one may write.
    pub if_tail: Option<u64>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}
