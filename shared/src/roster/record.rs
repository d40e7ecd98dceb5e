//! The bytes of the three records.
//!
//! ```text
//! all records                            owner record, from 64                 device, 330 bytes
//!  0   4  magic "RSR1"                    64  32  owner Ed25519 key              0  16  device id
//!  4   1  kind: 1 owner, 2 replace,       96  32  owner X25519 key              16  32  Ed25519 key
//!         3 purge                        128   4  epoch                         48  32  X25519 key
//!  5   1  suite 0x01                     132  32  ek_commit                     80   1  scope: 1 read, 2 read_write
//!  6   2  flags, zero                    164  48  back link (epoch 1: zeros)    81   1  status: 1 active, 2 revoked,
//!  8  16  workspace id                   212  80  epoch key wrapped to the              3 invite, 4 replaced
//! 24   8  version                                 owner X25519 key              82   8  not_after, ms since 1970
//! 32  32  SHA256 of the previous         292  32  recovery verifier, or zeros           (invites; else zero)
//!         record (version 1: zeros)      324  81  recovery blob, or zeros       90  96  sealed label, or zeros
//! 64   n  body                           405   2  device count, at most 512    186  80  epoch key wrapped to the
//! 64+n 64 signature over                 407   .  devices, ids ascending                device, or zeros
//!   "roost/v1/roster\0" ||                                                     266  32  SHA256(link proof)
//!   SHA256(bytes 0..64+n)                                                      298  32  SHA256(access proof)
//!
//! replace record, from 64: invite id 16, new device id 16, Ed25519 key 32, X25519 key 32, sealed label 96
//! purge record, from 64: nothing
//! ```

use ed25519_dalek::{Signature, VerifyingKey};

use crate::bytes::{Reader, Truncated};
use crate::hash::Hash;
use crate::id::{DeviceId, WorkspaceId};
use crate::limits::{DEVICES_MAX, ROSTER_DEVICE_LEN, ROSTER_RECORD_MAX, SIGNATURE_LEN};

const MAGIC: [u8; 4] = *b"RSR1";
const SUITE: u8 = 1;
const SIGNED_LABEL: &[u8] = b"roost/v1/roster\0";
/// Nonce 24, one length byte and 55 bytes of UTF-8 sealed, tag 16.
pub const LABEL_LEN: usize = 96;
/// Ephemeral X25519 key 32, sealed epoch key 32, tag 16.
pub const WRAP_LEN: usize = 80;

/// What a device may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Scope {
    /// Take entries in.
    Read = 1,
    /// Append as well.
    ReadWrite = 2,
}

/// Where a listed device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Status {
    /// In the workspace.
    Active = 1,
    /// Out for good.
    Revoked = 2,
    /// An unused share link.
    Invite = 3,
    /// A used share link.
    Replaced = 4,
}

/// One device of an owner record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Hash of the two keys.
    pub id: DeviceId,
    /// Ed25519 key it signs with.
    pub ed: [u8; 32],
    /// X25519 key the epoch key is wrapped to.
    pub x: [u8; 32],
    /// What it may do.
    pub scope: Scope,
    /// Where it stands.
    pub status: Status,
    /// Milliseconds since 1970 by the server's clock; invites only.
    pub not_after_ms: u64,
    /// Its name, sealed under the record's epoch.
    pub label: [u8; LABEL_LEN],
    /// The epoch key, wrapped; zeros when it gets none.
    pub wrap: [u8; WRAP_LEN],
    /// `SHA256(link proof)`; invites only.
    pub link_hash: Hash,
    /// `SHA256(access proof)`; invites only.
    pub access_hash: Hash,
}

/// The body of an owner record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The key whose hash is the workspace id.
    pub ed: [u8; 32],
    /// The key the epoch key is wrapped to for the owner.
    pub x: [u8; 32],
    /// The epoch from this record on.
    pub epoch: u32,
    /// Commitment to the epoch key.
    pub ek_commit: Hash,
    /// The previous epoch key, sealed under this one.
    pub back_link: [u8; 48],
    /// The epoch key for the owner.
    pub wrap: [u8; WRAP_LEN],
    /// Verifier of the recovery phrase, or zeros.
    pub recovery_verifier: [u8; 32],
    /// The owner seed sealed by the recovery phrase, or zeros.
    pub recovery_blob: [u8; 81],
    /// Everyone, ids ascending.
    pub devices: Vec<Device>,
}

/// The body of a replace record: an invite becomes a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// The invite that is used up; its key signs the record.
    pub invite: DeviceId,
    /// The new device: hash of the two keys.
    pub device: DeviceId,
    /// Its Ed25519 key.
    pub ed: [u8; 32],
    /// Its X25519 key.
    pub x: [u8; 32],
    /// Its name, sealed under the current epoch.
    pub label: [u8; LABEL_LEN],
}

/// One of the three records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordBody {
    /// The owner says who is in.
    Owner(Owner),
    /// A joiner takes the place of its invite.
    Replace(Replace),
    /// The workspace is gone.
    Purge,
}

/// A well-formed record with its bytes. Says nothing of the signature or its place in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose roster.
    pub workspace: WorkspaceId,
    /// 1, 2, 3 …
    pub version: u64,
    /// SHA-256 of the previous record's bytes.
    pub previous: Hash,
    /// What it says.
    pub body: RecordBody,
    bytes: Vec<u8>,
}

/// Why bytes are not a roster record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Too short.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Too long.
    #[error("a roster record is at most {ROSTER_RECORD_MAX} bytes, this one has {0}")]
    TooLarge(usize),
    /// Not a record.
    #[error("the magic is not RSR1")]
    Magic,
    /// A field has no valid value.
    #[error("field {0} has no valid value")]
    Field(&'static str),
    /// More bytes than the record.
    #[error("bytes after the record")]
    Trailing,
}

impl Record {
    /// Encodes `body` as the record after `previous` and lets its author sign.
    pub fn build(
        workspace: WorkspaceId,
        version: u64,
        previous: Hash,
        body: RecordBody,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN],
    ) -> Self {
        let mut bytes = MAGIC.to_vec();
        let kind = match &body {
            RecordBody::Owner(_) => 1,
            RecordBody::Replace(_) => 2,
            RecordBody::Purge => 3,
        };
        bytes.extend_from_slice(&[kind, SUITE, 0, 0]);
        bytes.extend_from_slice(&workspace.0);
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&previous.0);
        match &body {
            RecordBody::Owner(owner) => owner.encode(&mut bytes),
            RecordBody::Replace(replace) => replace.encode(&mut bytes),
            RecordBody::Purge => {}
        }
        let signature = sign(&signed(&bytes));
        bytes.extend_from_slice(&signature);
        Self { workspace, version, previous, body, bytes }
    }

    /// Checks the layout.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, RecordError> {
        if bytes.len() > ROSTER_RECORD_MAX {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::new(&bytes);
        if reader.array()? != MAGIC {
            return Err(RecordError::Magic);
        }
        let kind = reader.u8()?;
        if reader.u8()? != SUITE {
            return Err(RecordError::Field("suite"));
        }
        if reader.u16()? != 0 {
            return Err(RecordError::Field("flags"));
        }
        let workspace = WorkspaceId(reader.array()?);
        let version = reader.u64()?;
        let previous = Hash(reader.array()?);
        if version == 0 || (version == 1) != (previous == Hash::ZERO) {
            return Err(RecordError::Field("version"));
        }
        let body = match kind {
            1 => RecordBody::Owner(Owner::decode(&mut reader)?),
            2 => RecordBody::Replace(Replace::decode(&mut reader)?),
            3 => RecordBody::Purge,
            _ => return Err(RecordError::Field("kind")),
        };
        reader.slice(SIGNATURE_LEN)?;
        if reader.remaining() > 0 {
            return Err(RecordError::Trailing);
        }
        Ok(Self { workspace, version, previous, body, bytes })
    }

    /// The record as stored and sent.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the next record names as its previous.
    pub fn hash(&self) -> Hash {
        Hash::of(&[&self.bytes])
    }

    /// Whether the holder of `key` signed it: strict rules, and no key of small order.
    pub fn is_signed_by(&self, key: &[u8; 32]) -> bool {
        let at = self.bytes.len() - SIGNATURE_LEN;
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(&self.bytes[at..]);
        VerifyingKey::from_bytes(key).is_ok_and(|key| {
            !key.is_weak() && key.verify_strict(&signed(&self.bytes[..at]), &Signature::from_bytes(&signature)).is_ok()
        })
    }
}

impl Owner {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ed);
        out.extend_from_slice(&self.x);
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.ek_commit.0);
        out.extend_from_slice(&self.back_link);
        out.extend_from_slice(&self.wrap);
        out.extend_from_slice(&self.recovery_verifier);
        out.extend_from_slice(&self.recovery_blob);
        out.extend_from_slice(&u16::try_from(self.devices.len()).unwrap_or(u16::MAX).to_be_bytes());
        for device in &self.devices {
            device.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let mut owner = Self {
            ed: reader.array()?,
            x: reader.array()?,
            epoch: reader.u32()?,
            ek_commit: Hash(reader.array()?),
            back_link: reader.array()?,
            wrap: reader.array()?,
            recovery_verifier: reader.array()?,
            recovery_blob: reader.array()?,
            devices: Vec::new(),
        };
        let count = usize::from(reader.u16()?);
        if count > DEVICES_MAX || count * ROSTER_DEVICE_LEN > reader.remaining() {
            return Err(RecordError::Field("device count"));
        }
        owner.devices.reserve_exact(count);
        for _ in 0..count {
            let device = Device::decode(reader)?;
            if owner.devices.last().is_some_and(|last: &Device| last.id >= device.id) {
                return Err(RecordError::Field("device order"));
            }
            owner.devices.push(device);
        }
        Ok(owner)
    }
}

impl Device {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.ed);
        out.extend_from_slice(&self.x);
        out.extend_from_slice(&[self.scope as u8, self.status as u8]);
        out.extend_from_slice(&self.not_after_ms.to_be_bytes());
        out.extend_from_slice(&self.label);
        out.extend_from_slice(&self.wrap);
        out.extend_from_slice(&self.link_hash.0);
        out.extend_from_slice(&self.access_hash.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let device = Self {
            id: DeviceId(reader.array()?),
            ed: reader.array()?,
            x: reader.array()?,
            scope: match reader.u8()? {
                1 => Scope::Read,
                2 => Scope::ReadWrite,
                _ => return Err(RecordError::Field("scope")),
            },
            status: match reader.u8()? {
                1 => Status::Active,
                2 => Status::Revoked,
                3 => Status::Invite,
                4 => Status::Replaced,
                _ => return Err(RecordError::Field("status")),
            },
            not_after_ms: reader.u64()?,
            label: reader.array()?,
            wrap: reader.array()?,
            link_hash: Hash(reader.array()?),
            access_hash: Hash(reader.array()?),
        };
        device.check()?;
        Ok(device)
    }

    fn check(&self) -> Result<(), RecordError> {
        let invite = self.status == Status::Invite;
        let holds_key = invite || self.status == Status::Active;
        if self.id != DeviceId::of_keys(&self.ed, &self.x) {
            return Err(RecordError::Field("device id"));
        }
        if invite == (self.not_after_ms == 0) {
            return Err(RecordError::Field("not_after"));
        }
        if invite == (self.link_hash == Hash::ZERO) || invite == (self.access_hash == Hash::ZERO) {
            return Err(RecordError::Field("proof hashes"));
        }
        if holds_key == (self.wrap == [0; WRAP_LEN]) {
            return Err(RecordError::Field("wrapped key"));
        }
        Ok(())
    }
}

impl Replace {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.invite.0);
        out.extend_from_slice(&self.device.0);
        out.extend_from_slice(&self.ed);
        out.extend_from_slice(&self.x);
        out.extend_from_slice(&self.label);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let replace = Self {
            invite: DeviceId(reader.array()?),
            device: DeviceId(reader.array()?),
            ed: reader.array()?,
            x: reader.array()?,
            label: reader.array()?,
        };
        if replace.device != DeviceId::of_keys(&replace.ed, &replace.x) {
            return Err(RecordError::Field("device id"));
        }
        Ok(replace)
    }
}

fn signed(bytes: &[u8]) -> Vec<u8> {
    [SIGNED_LABEL, &Hash::of(&[bytes]).0].concat()
}

const _: () = assert!(16 + 32 + 32 + 1 + 1 + 8 + LABEL_LEN + WRAP_LEN + 32 + 32 == ROSTER_DEVICE_LEN);
