//! The messages of the socket. Their bytes are [`super::codec`]'s.

use crate::hash::Hash;
use crate::id::{DeviceId, DocumentId, LogId, WorkspaceId};
use crate::wire::error::Code;
use crate::wire::http::LogLife;

/// Said by a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// Who this is and where it stands: the answer to the challenge.
    Hello(Hello),
    /// Envelopes for the log, all or none.
    Append(Append),
    /// How far this device has verified the log.
    Seen(Seen),
    /// What this device shows from now on: never stored.
    Ephemeral {
        /// A [`crate::presence::SealedPresence`], opaque to the server; empty for nothing.
        presence: Vec<u8>,
    },
    /// A fresh token for this socket.
    Renew {
        /// The token.
        token: Token,
    },
}

/// Said by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// At once after the socket opens.
    Challenge {
        /// To be signed in Hello.
        nonce: [u8; 32],
    },
    /// The answer to a Hello that was accepted.
    Welcome(Welcome),
    /// The Append is durable.
    Appended {
        /// The Append's id.
        id: u64,
        /// One Seq an envelope, in the order sent.
        seqs: Vec<u64>,
    },
    /// Nothing of the Append is in the log by this attempt.
    Refused {
        /// The Append's id.
        id: u64,
        /// Why.
        code: Code,
        /// When the same bytes may be tried again; zero when that is of no use.
        retry_after_ms: u64,
    },
    /// The stream, from Hello.cursor on, without gaps.
    Entries {
        /// In order of Seq.
        items: Vec<Item>,
    },
    /// How far another device has verified the log.
    Seen(Seen),
    /// What another device shows now.
    Ephemeral {
        /// Which, as the server has it.
        device: DeviceId,
        /// As it was sent; empty once it shows nothing, or has no socket.
        presence: Vec<u8>,
    },
    /// The server is stopping.
    Drain {
        /// When to come back.
        retry_after_ms: u64,
    },
    /// The socket closes after this.
    Error {
        /// Why.
        code: Code,
        /// What to do, for a person.
        message: String,
    },
}

/// An access token; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// See [`ClientMessage::Hello`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// [`super::PROTOCOL`]
    pub protocol: u32,
    /// An access token.
    pub token: Token,
    /// The device's signature over [`crate::proof::Challenge::hello`].
    pub proof: [u8; 64],
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The device.
    pub device: DeviceId,
    /// The log id the device knows.
    pub log: LogId,
    /// How many entries of it the device has verified.
    pub cursor: u64,
    /// The root it has there.
    pub root: Hash,
    /// Which documents it wants the entries of; the others travel as leaves. None for all.
    pub documents: Option<Vec<DocumentId>>,
}

/// See [`ServerMessage::Welcome`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The version both speak.
    pub protocol: u32,
    /// Every life of the log, the current one last.
    pub logs: Vec<LogLife>,
    /// The number of the last entry.
    pub tail: u64,
    /// The root there.
    pub root: Hash,
    /// The server's root at Hello.cursor; None when its log is shorter. If it is not the device's own root, the server
    /// streams nothing: the device resyncs.
    pub root_at_cursor: Option<Hash>,
    /// Envelope bytes stored for the workspace.
    pub bytes: u64,
    /// How many may be.
    pub quota_bytes: u64,
    /// What this server does besides: bit 0 presence, bit 1 Seen, bit 2 checkpoints and trim.
    pub capabilities: u64,
    /// The latest Seen of each device.
    pub seen: Vec<Seen>,
}

/// See [`ClientMessage::Append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Chosen by the device, to tell answers apart.
    pub id: u64,
    /// Only if the log still ends here.
    pub if_tail: Option<u64>,
    /// The envelopes' bytes, in order of author_seq.
    pub envelopes: Vec<Vec<u8>>,
}

/// In [`Welcome::capabilities`]: presence is passed on.
pub const CAPABILITY_PRESENCE: u64 = 1;
/// In [`Welcome::capabilities`]: Seen is kept and passed on.
pub const CAPABILITY_SEEN: u64 = 2;

/// How far a device has verified a log, signed by it ([`crate::proof::seen`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The device.
    pub device: DeviceId,
    /// The log.
    pub log: LogId,
    /// The epoch it is in.
    pub epoch: u32,
    /// How many entries.
    pub size: u64,
    /// The root there.
    pub root: Hash,
    /// When the server stored it, ms since 1970; zero from a device.
    pub at_ms: u64,
    /// The device's signature; does not cover `at_ms`.
    pub signature: [u8; 64],
}

/// One piece of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An entry.
    Envelope {
        /// Its number.
        seq: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// An entry the device need not be sent: it appended it on this socket, or did not ask for the document.
    Leaf {
        /// Its number.
        seq: u64,
        /// Its document.
        document: DocumentId,
        /// SHA-256 of the envelope.
        envelope_hash: Hash,
    },
    /// The log begins later than the device's cursor: start from this checkpoint.
    Floor {
        /// The checkpoint's number.
        seq: u64,
        /// The checkpoint entry.
        checkpoint: Vec<u8>,
        /// The peaks of the tree at the checkpoint's base.
        frontier: Vec<Hash>,
        /// That the tree at the cursor is a prefix of it.
        proof: Vec<Hash>,
    },
    /// Everything up to here was sent.
    Tail {
        /// The number of the last entry.
        seq: u64,
        /// The root there.
        root: Hash,
    },
}
