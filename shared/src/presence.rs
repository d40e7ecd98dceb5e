//! What a device shows of what its person looks at: sealed, signed, never stored.
//!
//! ```text
//! off  len  field
//!   0    4  magic "RSTP"
//!   4    1  suite 0x01, as of an envelope
//!   5    3  zeros
//!   8    4  epoch
//!  12   16  workspace id
//!  28   16  device id
//!  44    8  session: random, one a process of the device
//!  52    8  counter: 1, 2, 3 … within the session
//!  60   24  nonce
//!  84    n  body: ciphertext and tag
//! 84+n  64  signature over "roost/v1/presence\0" || SHA256(bytes 0..84+n)
//! ```
//! and, before it is sealed:
//!
//! ```text
//! u8 format, 1 | u8 0, or u8 1 and the document id 16 | u16 length | state, JSON as UTF-8 | zeros up to the Padmé length
//! ```
//! All integers are big-endian. The length of the whole is that of the message it came in.

use ed25519_dalek::VerifyingKey;

use crate::bytes::{Reader, Truncated};
use crate::hash::Hash;
use crate::id::{DeviceId, DocumentId, WorkspaceId};
use crate::limits::{EPHEMERAL_MAX, PADDING_FLOOR, PRESENCE_STATE_MAX, SIGNATURE_LEN, TAG_LEN};
use crate::plaintext::padded_len;
use crate::proof::verify;

const MAGIC: [u8; 4] = *b"RSTP";
const SUITE: u8 = 1;
const FORMAT: u8 = 1;
const SIGNED_LABEL: &[u8] = b"roost/v1/presence\0";
/// Bytes before the body: the associated data of its seal.
pub const PRESENCE_HEADER_LEN: usize = 84;

/// The clear bytes, without magic, suite and zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceHeader {
    /// The epoch whose key seals the body.
    pub epoch: u32,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Who shows it.
    pub device: DeviceId,
    /// Drawn when the device's process began.
    pub session: u64,
    /// Counts what the session said.
    pub counter: u64,
    /// The nonce of the body's seal.
    pub nonce: [u8; 24],
}

/// Why bytes are not presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// Too short.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Longer than any.
    #[error("presence is at most {EPHEMERAL_MAX} bytes, this has {0}")]
    TooLarge(usize),
    /// The first eight bytes are others.
    #[error("it does not begin as presence of suite 1 does")]
    Magic,
    /// The plaintext is of a later version.
    #[error("unknown format {0}: update the app")]
    Format(u8),
    /// The plaintext's fields do not fit.
    #[error("the plaintext is malformed")]
    Plaintext,
}

/// Well-formed bytes, and their header read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPresence {
    header: PresenceHeader,
    bytes: Vec<u8>,
}

impl PresenceHeader {
    /// The 84 bytes before the body.
    pub fn encode(&self) -> [u8; PRESENCE_HEADER_LEN] {
        let mut out = [0; PRESENCE_HEADER_LEN];
        out[0..4].copy_from_slice(&MAGIC);
        out[4] = SUITE;
        out[8..12].copy_from_slice(&self.epoch.to_be_bytes());
        out[12..28].copy_from_slice(&self.workspace.0);
        out[28..44].copy_from_slice(&self.device.0);
        out[44..52].copy_from_slice(&self.session.to_be_bytes());
        out[52..60].copy_from_slice(&self.counter.to_be_bytes());
        out[60..84].copy_from_slice(&self.nonce);
        out
    }
}

impl SealedPresence {
    /// Checks the layout. Says nothing of the signature or the body.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, PresenceError> {
        if bytes.len() > EPHEMERAL_MAX {
            return Err(PresenceError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::new(&bytes);
        if reader.array()? != MAGIC || reader.array()? != [SUITE, 0, 0, 0] {
            return Err(PresenceError::Magic);
        }
        let header = PresenceHeader {
            epoch: reader.u32()?,
            workspace: WorkspaceId(reader.array()?),
            device: DeviceId(reader.array()?),
            session: reader.u64()?,
            counter: reader.u64()?,
            nonce: reader.array()?,
        };
        reader.slice(PADDING_FLOOR + TAG_LEN + SIGNATURE_LEN)?;
        Ok(Self { header, bytes })
    }

    /// Puts header and body together and lets the device sign.
    pub fn build(header: PresenceHeader, body: &[u8], sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN]) -> Self {
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(body);
        let signature = sign(&signed(&bytes));
        bytes.extend_from_slice(&signature);
        Self { header, bytes }
    }

    /// The clear header.
    pub const fn header(&self) -> &PresenceHeader {
        &self.header
    }

    /// Its bytes: the associated data of the sealed body.
    pub fn header_bytes(&self) -> &[u8] {
        &self.bytes[..PRESENCE_HEADER_LEN]
    }

    /// Ciphertext and tag.
    pub fn body(&self) -> &[u8] {
        &self.bytes[PRESENCE_HEADER_LEN..self.bytes.len() - SIGNATURE_LEN]
    }

    /// All of it, as sent.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether `key` signed it.
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let (text, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE_LEN);
        verify(key, &signed(text), signature)
    }
}

fn signed(bytes: &[u8]) -> Vec<u8> {
    [SIGNED_LABEL, &Hash::of(&[bytes]).0].concat()
}

/// What is sealed: the document and the state, padded.
pub fn encode_state(document: Option<DocumentId>, state: &str) -> Option<Vec<u8>> {
    let len = u16::try_from(state.len()).ok().filter(|len| usize::from(*len) <= PRESENCE_STATE_MAX)?;
    let mut out = vec![FORMAT, u8::from(document.is_some())];
    out.extend(document.iter().flat_map(|document| document.0));
    out.extend(len.to_be_bytes());
    out.extend(state.as_bytes());
    out.resize(padded_len(out.len()), 0);
    Some(out)
}

/// Reads it back.
pub fn decode_state(plaintext: &[u8]) -> Result<(Option<DocumentId>, &str), PresenceError> {
    let mut reader = Reader::new(plaintext);
    let format = reader.u8()?;
    if format != FORMAT {
        return Err(PresenceError::Format(format));
    }
    let document = match reader.u8()? {
        0 => None,
        1 => Some(DocumentId(reader.array()?)),
        _ => return Err(PresenceError::Plaintext),
    };
    let len = reader.u16()?;
    let state = std::str::from_utf8(reader.slice(len.into())?).map_err(|_| PresenceError::Plaintext)?;
    let is_padded =
        plaintext.len() == padded_len(reader.at()) && plaintext[reader.at()..].iter().all(|byte| *byte == 0);
    if is_padded { Ok((document, state)) } else { Err(PresenceError::Plaintext) }
}

const _: () = assert!(
    PRESENCE_HEADER_LEN + padded_len(2 + 16 + 2 + PRESENCE_STATE_MAX) + TAG_LEN + SIGNATURE_LEN <= EPHEMERAL_MAX,
    "the largest state fits a message"
);
