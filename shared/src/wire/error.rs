//! Stable error codes: the same text in messages, problem+json, the SDK's errors and the command line.

use std::fmt;
use std::str::FromStr;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        /// Why something was refused. The text and the number of a code never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as text: in JSON, logs and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The code as a number: in binary messages.
            pub const fn number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)*
                }
            }
        }
    };
}

codes! {
    /// The bytes are no message, or its fields do not fit.
    BadMessage = 1 "bad_message",
    /// Something is longer than its limit.
    TooLarge = 2 "too_large",
    /// The two sides share no protocol version.
    ProtocolVersion = 3 "protocol_version",
    /// The server calls itself something else than the device does.
    AudienceMismatch = 4 "audience_mismatch",
    /// No token, or not one of this server.
    TokenInvalid = 5 "token_invalid",
    /// The token has run out: ask for a new one.
    TokenExpired = 6 "token_expired",
    /// The device's own signature is missing or wrong.
    ProofInvalid = 7 "proof_invalid",
    /// The nonce is unknown or too old: start again.
    NonceInvalid = 8 "nonce_invalid",
    /// The scope does not allow it, or the device is not active.
    NotAllowed = 9 "not_allowed",
    /// There is no such thing, or it is not yours to know.
    NotFound = 10 "not_found",
    /// The workspace exists already.
    WorkspaceExists = 11 "workspace_exists",
    /// The owner purged the workspace.
    WorkspaceGone = 12 "workspace_gone",
    /// The envelope is not one.
    EnvelopeInvalid = 13 "envelope_invalid",
    /// The envelope names another workspace.
    WrongWorkspace = 14 "wrong_workspace",
    /// The envelope names another author than the device that sent it.
    WrongAuthor = 15 "wrong_author",
    /// The envelope's signature is not its author's.
    SignatureInvalid = 16 "signature_invalid",
    /// Other bytes are in the log under this author_seq.
    Equivocation = 17 "equivocation",
    /// The log has another id now.
    LogChanged = 18 "log_changed",
    /// The epoch has moved on: seal again.
    EpochStale = 19 "epoch_stale",
    /// author_seq is not the next one.
    AuthorGap = 20 "author_gap",
    /// The signed base is not this log's.
    BaseMismatch = 21 "base_mismatch",
    /// The log has grown since.
    TailMoved = 22 "tail_moved",
    /// The workspace is full.
    QuotaExceeded = 23 "quota_exceeded",
    /// The roster has moved: read it and build the record again.
    RosterMoved = 24 "roster_moved",
    /// The roster record breaks a rule.
    RosterInvalid = 25 "roster_invalid",
    /// The link is unknown, used, expired or wrong: one answer for all four.
    LinkUnavailable = 26 "link_unavailable",
    /// Too many requests: wait.
    TooMany = 27 "too_many",
    /// The server is busy or stopping: try again.
    RetryLater = 28 "retry_later",
    /// The server's disk is full.
    StorageFull = 29 "storage_full",
    /// The server's store does not work.
    StorageFailed = 30 "storage_failed",
    /// A new log id was asked for without evidence, or too soon after the last.
    LogKept = 31 "log_kept",
    /// This server does not do that.
    Unsupported = 32 "unsupported",
    /// Nobody may create workspaces here without the key.
    AdmissionClosed = 33 "admission_closed",
    /// The socket cannot keep up.
    SlowReader = 34 "slow_reader",
}

impl Code {
    /// Whether the same request may succeed later without anything else changing.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::TooMany | Self::RetryLater | Self::StorageFull | Self::StorageFailed | Self::SlowReader)
    }

    /// The one sentence that says to people what a code means and what to do, on both sides: as the detail of an answer that
    /// has no better one, and where a device says why it stands still.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::BadMessage => "the request cannot be read: update the older side",
            Self::TooLarge => "it is larger than the protocol lets it be",
            Self::ProtocolVersion => "the two sides share no version of the protocol: update the older one",
            Self::AudienceMismatch => {
                "the server has another name than the one it is known by: use its own, or start it with --public-url and the address in use"
            }
            Self::TokenInvalid => "the token is not one of this server: ask for a new one",
            Self::TokenExpired => "the token ran out: ask for a new one",
            Self::ProofInvalid => {
                "the signature is not that of an active device over this nonce and this server's name"
            }
            Self::NonceInvalid => "the nonce is unknown or too old: ask for a new one",
            Self::NotAllowed => "the device is not active in the workspace, or its scope does not allow this",
            Self::NotFound => "there is no such thing here",
            Self::WorkspaceExists => "the workspace exists: use it, its log id is in this answer",
            Self::WorkspaceGone => "the owner purged this workspace; devices keep what they have",
            Self::EnvelopeInvalid => "the bytes are no envelope that may be appended",
            Self::WrongWorkspace => "it belongs to another workspace",
            Self::WrongAuthor => "the envelope names another author than the device that sent it",
            Self::SignatureInvalid => "the signature is not that of the key that must sign",
            Self::Equivocation => "other bytes are in the log under this author_seq: resync",
            Self::LogChanged => "the log has the id in this answer now: resync",
            Self::EpochStale => "the epoch has moved on: read to the tail and seal again",
            Self::AuthorGap => "author_seq is not the next one: resync",
            Self::BaseMismatch => "the signed base is not this log's: resync",
            Self::TailMoved => "the log has grown since: read to the tail and try again",
            Self::QuotaExceeded => "the workspace is full: compact it, or raise the server's --quota-bytes",
            Self::RosterMoved => "the roster has moved: read it and build the record again",
            Self::RosterInvalid => "the record breaks a rule of the roster",
            Self::LinkUnavailable => "the link is used, expired, revoked or wrong: ask for a new one",
            Self::TooMany => "too many requests or sockets, or too much unfinished, from this address or device: wait",
            Self::RetryLater => "the server is busy or stopping: try again later",
            Self::StorageFull => "the server's disk is full: nothing was lost, free some space and try again",
            Self::StorageFailed => "the server's database does not work: see its log",
            Self::LogKept => {
                "the evidence shows no other log, the proposed id was used before, or the last change is less than an hour old"
            }
            Self::Unsupported => "this server does not do that yet",
            Self::AdmissionClosed => "this server does not take new workspaces without its admission key",
            Self::SlowReader => "the reader did not keep up: connect again",
        }
    }

    /// The code of a number from a binary message; an unknown one reads as [`Code::RetryLater`], because a refusal
    /// this side does not know must not be taken for a definite one.
    pub fn of_number(number: u16) -> Self {
        Self::ALL.iter().copied().find(|code| code.number() == number).unwrap_or(Self::RetryLater)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(UnknownCode)
    }
}

/// The text is no code this version knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown error code")]
pub struct UnknownCode;

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(text.parse().unwrap_or(Self::RetryLater))
    }
}

/// Why a WebSocket was closed; see `PROTOCOL.md`, "Close codes".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Close {
    /// The server is stopping: come back.
    Drain = 1001,
    /// The reader could not keep up.
    SlowReader = 1013,
    /// Not this protocol.
    Protocol = 4400,
    /// The token is missing, wrong or out of date.
    Token = 4401,
    /// Not allowed, or no longer.
    NotAllowed = 4403,
    /// The log has another id: connect again and resync.
    LogChanged = 4409,
    /// Too many sockets or messages.
    TooMany = 4429,
}
