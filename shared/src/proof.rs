//! What a device or owner signs to show who it is. Each text starts with a label of its own, so that no signature
//! serves twice.

use ed25519_dalek::{Signature, VerifyingKey};

use crate::hash::Hash;
use crate::id::{DeviceId, LogId, WorkspaceId};
use crate::seq::Cursor;

/// Who asks whom, in answer to which nonce.
#[derive(Debug, Clone, Copy)]
pub struct Challenge<'a> {
    /// The nonce the server gave.
    pub nonce: &'a [u8],
    /// The server's own name for itself: scheme, host and port.
    pub audience: &'a str,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The device.
    pub device: DeviceId,
}

impl Challenge<'_> {
    /// Signed by the device in a Hello.
    pub fn hello(&self) -> Vec<u8> {
        self.text(b"roost/v1/hello\0")
    }

    /// Signed by the device for an access token.
    pub fn session(&self) -> Vec<u8> {
        self.text(b"roost/v1/session\0")
    }

    /// Signed by the owner besides, for a master token.
    pub fn master(&self) -> Vec<u8> {
        self.text(b"roost/v1/master\0")
    }

    fn text(&self, label: &[u8]) -> Vec<u8> {
        let nonce = Hash::of(&[self.nonce]);
        let audience = Hash::of(&[self.audience.as_bytes()]);
        [label, &nonce.0, &audience.0, &self.workspace.0, &self.device.0].concat()
    }
}

/// How far a device has verified a log: signed, so that the server cannot make it up.
pub fn seen(workspace: WorkspaceId, device: DeviceId, log: LogId, epoch: u32, size: Cursor, root: Hash) -> Vec<u8> {
    let label: &[u8] = b"roost/v1/seen\0";
    [label, &workspace.0, &device.0, &log.0, &epoch.to_be_bytes(), &size.0.to_be_bytes(), &root.0].concat()
}

/// What two people read to each other to know that their devices hold the same log: 6 groups of 5 digits.
pub fn compare_code(workspace: WorkspaceId, size: Cursor, root: &Hash, roster: &Hash) -> String {
    let label: &[u8] = b"roost/v1/compare\0";
    let hash = Hash::of(&[label, &workspace.0, &size.0.to_be_bytes(), &root.0, &roster.0]);
    let groups = hash.0.chunks_exact(5).map(|group| {
        let number = group.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{:05}", number % 100_000)
    });
    groups.collect::<Vec<_>>().join(" ")
}

/// Strict verification of a detached signature; false for anything that is not one.
pub fn verify(key: &VerifyingKey, text: &[u8], signature: &[u8]) -> bool {
    <[u8; 64]>::try_from(signature)
        .is_ok_and(|signature| key.verify_strict(text, &Signature::from_bytes(&signature)).is_ok())
}
