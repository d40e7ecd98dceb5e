//! The JSON bodies of the HTTP routes, and the framing of octet-stream bodies. Bytes in JSON are base64url without
//! padding, ids and hashes are hex, times are milliseconds since 1970.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::Code;
use crate::hash::Hash;
use crate::id::{DeviceId, LogId, WorkspaceId};
use crate::limits::ROSTER_CHAIN_MAX;
use crate::roster::Scope;

/// Bytes that travel in JSON as base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Base64(pub Vec<u8>);

impl Base64 {
    /// The text of `bytes`.
    pub fn encode(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The bytes of `text`; no padding, no white space, no other alphabet.
    pub fn decode(text: &str) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(text).ok()
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Self::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::decode(&text).map(Self).ok_or_else(|| serde::de::Error::custom("bytes are base64url without padding"))
    }
}

/// `POST /v1/workspaces`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateWorkspace {
    /// Chosen by the device.
    pub log: LogId,
    /// The roster from genesis, one record each; of a chain that is too long, one more than may be.
    #[serde(deserialize_with = "bounded")]
    pub chain: Vec<Base64>,
}

/// Records of a chain, up to one over the limit: empty ones would take eight times the memory of their text.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Base64>, D::Error> {
    struct Records;

    impl<'de> Visitor<'de> for Records {
        type Value = Vec<Base64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of records")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut records = Vec::new();
            while records.len() <= ROSTER_CHAIN_MAX {
                match list.next_element()? {
                    Some(record) => records.push(record),
                    None => return Ok(records),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(records)
        }
    }

    deserializer.deserialize_seq(Records)
}

/// Answer to `POST /v1/workspaces` and `POST /v1/workspaces/{ws}/log`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogIs {
    /// The workspace's current log id.
    pub log: LogId,
}

/// One life of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLife {
    /// Its id.
    pub log: LogId,
    /// The first Seq written under it.
    pub first: u64,
}

/// `GET /v1/workspaces/{ws}`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkspaceIs {
    /// Every life of the log, the current one last.
    pub logs: Vec<LogLife>,
    /// The number of the last entry.
    pub tail: u64,
    /// The Merkle root there.
    pub root: Hash,
    /// Readers below this start from a checkpoint.
    pub floor: u64,
    /// The current epoch.
    pub epoch: u32,
    /// Envelope bytes stored.
    pub bytes: u64,
    /// How many may be.
    pub quota_bytes: u64,
}

/// `GET /v1/workspaces/{ws}/roster`, and part of the answer to a redemption.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Chain {
    /// The records from genesis.
    pub chain: Vec<Base64>,
}

/// `POST /v1/workspaces/{ws}/recovery`; answered by a [`Chain`].
#[derive(Clone, Serialize, Deserialize)]
pub struct Recover {
    /// Shows knowledge of the recovery phrase; its SHA-256 is in the roster.
    pub proof: Base64,
}

/// `POST /v1/workspaces/{ws}/roster`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostRecord {
    /// The successor of the newest record.
    pub record: Base64,
}

/// Answer to a roster record that was taken in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecordIs {
    /// Where it stands in the log.
    pub seq: u64,
    /// Its version.
    pub version: u64,
}

/// `POST /v1/session`. Without nonce and signature it is answered by 401 and a [`Nonce`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskSession {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The device.
    pub device: DeviceId,
    /// The nonce of the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Base64>,
    /// The device's signature over [`crate::proof::Challenge::session`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Base64>,
    /// The owner's signature over [`crate::proof::Challenge::master`]: asks for a master token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_signature: Option<Base64>,
}

/// What a 401 from `POST /v1/session` carries besides the problem.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Nonce {
    /// To sign; good for a minute.
    pub nonce: Base64,
    /// The server's name for itself, which the device compares with its own before it signs.
    pub audience: String,
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Take entries in.
    Read,
    /// Append as well.
    ReadWrite,
    /// Append, and manage keyless tokens.
    Master,
    /// Read, until the replace record is in.
    Join,
}

impl From<Scope> for TokenScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Read => Self::Read,
            Scope::ReadWrite => Self::ReadWrite,
        }
    }
}

/// An access token.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenIs {
    /// `Authorization: Bearer …`, or in Hello.
    pub token: String,
    /// What it allows.
    pub scope: TokenScope,
    /// When it runs out.
    pub expires_at_ms: u64,
}

/// `POST /v1/workspaces/{ws}/tokens`: a token for a client without device keys, which reads sealed bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssueToken {
    /// What the owner calls it; the server can read this.
    pub label: String,
    /// Its life.
    pub expires_in_s: u64,
}

/// Answer to [`IssueToken`]. The token is shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct IssuedToken {
    /// What withdraws it.
    pub id: Hash,
    /// `Authorization: Bearer …`
    pub token: String,
    /// When it runs out.
    pub expires_at_ms: u64,
}

/// `GET /v1/workspaces/{ws}/tokens`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokensAre {
    /// The oldest first.
    pub tokens: Vec<TokenInfo>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenInfo {
    /// What withdraws it.
    pub id: Hash,
    /// What the owner calls it.
    pub label: String,
    /// When it was issued.
    pub created_at_ms: u64,
    /// When it runs out.
    pub expires_at_ms: u64,
}

/// `POST /v1/links/redeem`
#[derive(Clone, Serialize, Deserialize)]
pub struct Redeem {
    /// The workspace of the link.
    pub workspace: WorkspaceId,
    /// Shows knowledge of the link; its SHA-256 is in the roster.
    pub link_proof: Base64,
    /// Shows knowledge of link and passcode; its SHA-256 is in the roster.
    pub access_proof: Base64,
    /// The device that will take the invite's place; a lost answer is given again to it alone.
    pub device: DeviceId,
}

/// Answer to a redemption.
#[derive(Clone, Serialize, Deserialize)]
pub struct Redeemed {
    /// A join token.
    pub token: TokenIs,
    /// The roster from genesis.
    pub chain: Vec<Base64>,
}

/// `POST /v1/workspaces/{ws}/log`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProposeLog {
    /// The log id the device knows.
    pub old: LogId,
    /// The one it proposes.
    pub proposed: LogId,
    /// How many entries it had verified.
    pub cursor: u64,
    /// The root it had there: it granted only if the server's differs or its log is shorter.
    pub root: Hash,
}

/// `GET /v1/workspaces/{ws}/tree?first=&second=`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TreeIs {
    /// Root over the first `first` entries.
    pub first_root: Hash,
    /// Root over the first `second` entries.
    pub second_root: Hash,
    /// That the one is a prefix of the other.
    pub proof: Vec<Hash>,
}

/// Answer to an append over HTTP.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppendedIs {
    /// Where each envelope stands, in the order sent. Durable.
    pub seqs: Vec<u64>,
}

/// `GET /v1/capabilities`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Capabilities {
    /// Protocol versions served.
    pub protocols: Vec<u32>,
    /// The server's name for itself.
    pub audience: String,
    /// Who may create workspaces: `open`, `key` or `closed`.
    pub admission: String,
}

/// RFC 9457 `application/problem+json`, with a stable code and a request id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank#` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// One short sentence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and what to do.
    pub detail: String,
    /// Stable.
    pub code: Code,
    /// To find it in the server's log.
    pub request_id: String,
    /// When to try again, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// With `log_changed` and `workspace_exists`: the current log id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogId>,
    /// With `nonce_invalid`: a fresh nonce to sign.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
}
