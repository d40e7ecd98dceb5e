//! One entry of the log: a clear header, a body the server cannot read, a signature.
//!
//! ```text
//! off  len  field
//!   0    4  magic "RST1"
//!   4    1  suite 0x01 = XChaCha20-Poly1305, HKDF-SHA256, Ed25519 (0x00 is never valid)
//!   5    1  kind: 1 update, 2 snapshot, 3 control, 4 checkpoint
//!   6    2  flags, zero
//!   8    4  epoch
//!  12   16  workspace id
//!  28   16  log id
//!  44   16  document id (zeros for kinds 3 and 4)
//!  60   16  author device id (zeros for kind 3)
//!  76    8  author_seq (kind 3: the version of the record)
//!  84    8  base_size (kind 3: zero)
//!  92   32  base_root (kind 3: zeros)
//! 124   24  nonce (zeros for kinds 3 and 4)
//! 148    4  body_len
//! 152    n  body
//! 152+n 64  signature over "roost/v1/envelope\0" || SHA256(bytes 0..152+n) (kind 3: zeros)
//! ```
//! All integers are big-endian. Parsing needs no key.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::bytes::{Reader, Truncated};
use crate::hash::Hash;
use crate::id::{DeviceId, DocumentId, LogId, WorkspaceId};
use crate::limits::{BODY_MAX, ENVELOPE_MAX, ENVELOPE_OVERHEAD, HEADER_LEN, PADDING_FLOOR, SIGNATURE_LEN, TAG_LEN};
use crate::seq::Cursor;

const MAGIC: [u8; 4] = *b"RST1";
const SUITE: u8 = 1;
const SIGNED_LABEL: &[u8] = b"roost/v1/envelope\0";

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Sealed operations of one document since an earlier version.
    Update = 1,
    /// A sealed full copy of one document.
    Snapshot = 2,
    /// A roster record, public and signed by itself.
    Control = 3,
    /// A statement that lets the server trim below its base.
    Checkpoint = 4,
}

impl Kind {
    /// Updates and snapshots belong to a document and are sealed.
    pub const fn is_sealed(self) -> bool {
        matches!(self, Self::Update | Self::Snapshot)
    }
}

impl TryFrom<u8> for Kind {
    type Error = EnvelopeError;

    fn try_from(byte: u8) -> Result<Self, EnvelopeError> {
        match byte {
            1 => Ok(Self::Update),
            2 => Ok(Self::Snapshot),
            3 => Ok(Self::Control),
            4 => Ok(Self::Checkpoint),
            _ => Err(EnvelopeError::Kind(byte)),
        }
    }
}

/// The clear 152 bytes, without magic, suite, flags and body_len, which have one valid value each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What the body is.
    pub kind: Kind,
    /// The epoch whose keys seal the body.
    pub epoch: u32,
    /// The workspace whose log this is for.
    pub workspace: WorkspaceId,
    /// The life of the log it was written for.
    pub log: LogId,
    /// The document, or zeros.
    pub document: DocumentId,
    /// The device that wrote it, or zeros.
    pub author: DeviceId,
    /// The author's own count under this log id: 1, 2, 3 …
    pub author_seq: u64,
    /// How many entries the author had verified.
    pub base_size: Cursor,
    /// The Merkle root at `base_size`.
    pub base_root: Hash,
    /// The nonce of the body's AEAD, or zeros.
    pub nonce: [u8; 24],
}

/// Why bytes are not an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Too short.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Longer than any envelope.
    #[error("an envelope is at most {ENVELOPE_MAX} bytes, this one has {0}")]
    TooLarge(usize),
    /// Not an envelope at all.
    #[error("the magic is not RST1")]
    Magic,
    /// A suite this version does not know.
    #[error("unknown suite {0}")]
    Suite(u8),
    /// A kind this version does not know.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// Flags are reserved.
    #[error("flags must be zero")]
    Flags,
    /// body_len and the bytes disagree.
    #[error("the body length does not match the bytes")]
    BodyLength,
    /// A field that must be zero for this kind is not, or the other way round.
    #[error("field {0} does not fit the kind")]
    Field(&'static str),
}

impl Header {
    /// The 152 bytes that go before a body of `body_len` bytes; the associated data of a sealed body.
    pub fn encode(&self, body_len: u32) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..4].copy_from_slice(&MAGIC);
        out[4] = SUITE;
        out[5] = self.kind as u8;
        out[8..12].copy_from_slice(&self.epoch.to_be_bytes());
        out[12..28].copy_from_slice(&self.workspace.0);
        out[28..44].copy_from_slice(&self.log.0);
        out[44..60].copy_from_slice(&self.document.0);
        out[60..76].copy_from_slice(&self.author.0);
        out[76..84].copy_from_slice(&self.author_seq.to_be_bytes());
        out[84..92].copy_from_slice(&self.base_size.0.to_be_bytes());
        out[92..124].copy_from_slice(&self.base_root.0);
        out[124..148].copy_from_slice(&self.nonce);
        out[148..152].copy_from_slice(&body_len.to_be_bytes());
        out
    }

    fn decode(reader: &mut Reader<'_>) -> Result<(Self, u32), EnvelopeError> {
        if reader.array()? != MAGIC {
            return Err(EnvelopeError::Magic);
        }
        let suite = reader.u8()?;
        if suite != SUITE {
            return Err(EnvelopeError::Suite(suite));
        }
        let kind = Kind::try_from(reader.u8()?)?;
        if reader.u16()? != 0 {
            return Err(EnvelopeError::Flags);
        }
        let header = Self {
            kind,
            epoch: reader.u32()?,
            workspace: WorkspaceId(reader.array()?),
            log: LogId(reader.array()?),
            document: DocumentId(reader.array()?),
            author: DeviceId(reader.array()?),
            author_seq: reader.u64()?,
            base_size: Cursor(reader.u64()?),
            base_root: Hash(reader.array()?),
            nonce: reader.array()?,
        };
        header.check_fields()?;
        Ok((header, reader.u32()?))
    }

    fn check_fields(&self) -> Result<(), EnvelopeError> {
        let sealed = self.kind.is_sealed();
        let control = self.kind == Kind::Control;
        let fit = [
            ("epoch", self.epoch > 0),
            ("document", sealed != (self.document == DocumentId::ZERO)),
            ("author", control == (self.author == DeviceId::ZERO)),
            ("author_seq", self.author_seq > 0),
            ("base_size", !control || self.base_size == Cursor::START),
            ("base_root", !control || self.base_root == Hash::ZERO),
            ("nonce", sealed || self.nonce == [0; 24]),
        ];
        match fit.iter().find(|(_, fits)| !fits) {
            Some((field, _)) => Err(EnvelopeError::Field(field)),
            None => Ok(()),
        }
    }
}

/// A well-formed envelope: its bytes, and its header read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    header: Header,
    bytes: Vec<u8>,
}

impl Envelope {
    /// Checks the layout. Says nothing of the signature or the body.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, EnvelopeError> {
        if bytes.len() > ENVELOPE_MAX {
            return Err(EnvelopeError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::new(&bytes);
        let (header, body_len) = Header::decode(&mut reader)?;
        if body_len as usize + SIGNATURE_LEN != reader.remaining() {
            return Err(EnvelopeError::BodyLength);
        }
        if header.kind.is_sealed() && (body_len as usize) < PADDING_FLOOR + TAG_LEN {
            return Err(EnvelopeError::Field("body_len"));
        }
        if header.kind == Kind::Control && bytes[bytes.len() - SIGNATURE_LEN..] != [0; SIGNATURE_LEN] {
            return Err(EnvelopeError::Field("signature"));
        }
        Ok(Self { header, bytes })
    }

    /// Puts header and body together and lets the author sign.
    ///
    /// # Panics
    /// If the body is longer than [`BODY_MAX`]: callers split first.
    pub fn build(header: Header, body: &[u8], sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN]) -> Self {
        assert!(body.len() <= BODY_MAX, "a body is split before it is sealed");
        let mut bytes = Vec::with_capacity(body.len() + ENVELOPE_OVERHEAD);
        let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&header.encode(body_len));
        bytes.extend_from_slice(body);
        let signature = sign(&signed(&bytes));
        bytes.extend_from_slice(&signature);
        Self { header, bytes }
    }

    /// The entry a roster record becomes in the log `log`. Every server builds the same bytes.
    pub fn control(workspace: WorkspaceId, log: LogId, epoch: u32, version: u64, record: &[u8]) -> Self {
        let header = Header {
            kind: Kind::Control,
            epoch,
            workspace,
            log,
            document: DocumentId::ZERO,
            author: DeviceId::ZERO,
            author_seq: version,
            base_size: Cursor::START,
            base_root: Hash::ZERO,
            nonce: [0; 24],
        };
        Self::build(header, record, |_| [0; SIGNATURE_LEN])
    }

    /// The clear header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The header's bytes: the associated data of a sealed body.
    pub fn header_bytes(&self) -> &[u8] {
        &self.bytes[..HEADER_LEN]
    }

    /// Ciphertext and tag, or the clear body of kinds 3 and 4.
    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..self.bytes.len() - SIGNATURE_LEN]
    }

    /// All of it, as stored and sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the bytes away.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// SHA-256 over all bytes; together with the document id it makes the leaf.
    pub fn hash(&self) -> Hash {
        Hash::of(&[&self.bytes])
    }

    /// Whether `author_key` signed it (strict rules: one accept set everywhere).
    pub fn is_signed_by(&self, author_key: &VerifyingKey) -> bool {
        let at = self.bytes.len() - SIGNATURE_LEN;
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(&self.bytes[at..]);
        author_key.verify_strict(&signed(&self.bytes[..at]), &Signature::from_bytes(&signature)).is_ok()
    }
}

fn signed(bytes: &[u8]) -> Vec<u8> {
    [SIGNED_LABEL, &Hash::of(&[bytes]).0].concat()
}
