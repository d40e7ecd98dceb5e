//! Keys: what is derived from what, and what each opens.
//!
//! ```text
//! owner_seed  ─HKDF─> Ed25519 owner key, X25519 owner box key          workspace id = hash of the Ed25519 key
//! device_seed ─HKDF─> Ed25519 signing key, X25519 box key              device id = hash of both
//! EK_e (random) ─HKDF─> ek_commit_e, label key, back link key, DK(e, document), named document ids (from EK_1)
//! ```
//! Every label is in `PROTOCOL.md`, "Keys".

pub mod link;
pub mod recovery;
pub mod ring;
pub mod seal;

use ed25519_dalek::{Signer as _, SigningKey};
use hkdf::Hkdf;
use roost_shared::hash::Hash;
use roost_shared::{DeviceId, DocumentId, WorkspaceId};
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes; wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Seed(pub(crate) [u8; 32]);

impl Seed {
    /// From 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// HKDF-SHA256 to 32 bytes; `info` is a label and fixed-width fields.
pub(crate) fn derive(key: &[u8; 32], salt: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut out = [0; 32];
    let expanded = Hkdf::<Sha256>::new(Some(salt), key).expand_multi_info(info, &mut out);
    debug_assert!(expanded.is_ok(), "32 bytes are within HKDF's reach");
    out
}

/// An Ed25519 and an X25519 key of one seed.
#[derive(Clone)]
pub struct KeyPair {
    signing: SigningKey,
    boxing: StaticSecret,
}

impl KeyPair {
    fn derive(seed: &Seed, signing_label: &[u8], boxing_label: &[u8]) -> Self {
        Self {
            signing: SigningKey::from_bytes(&derive(&seed.0, &[], &[signing_label])),
            boxing: StaticSecret::from(derive(&seed.0, &[], &[boxing_label])),
        }
    }

    /// The keys of an owner.
    pub fn owner(seed: &Seed) -> Self {
        Self::derive(seed, b"roost/v1/owner-sign\0", b"roost/v1/owner-box\0")
    }

    /// The keys of a device, or of an invite, which is one.
    pub fn device(seed: &Seed) -> Self {
        Self::derive(seed, b"roost/v1/device-sign\0", b"roost/v1/device-box\0")
    }

    /// The public Ed25519 key.
    pub fn ed(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// The public X25519 key.
    pub fn x(&self) -> [u8; 32] {
        PublicKey::from(&self.boxing).to_bytes()
    }

    /// The workspace this owner owns.
    pub fn workspace_id(&self) -> WorkspaceId {
        WorkspaceId::of_owner(&self.ed())
    }

    /// The device these keys are.
    pub fn device_id(&self) -> DeviceId {
        DeviceId::of_keys(&self.ed(), &self.x())
    }

    /// An Ed25519 signature.
    pub fn sign(&self, text: &[u8]) -> [u8; 64] {
        self.signing.sign(text).to_bytes()
    }

    pub(crate) const fn boxing(&self) -> &StaticSecret {
        &self.boxing
    }
}

/// The key of one epoch.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EpochKey {
    key: [u8; 32],
    #[zeroize(skip)]
    workspace: WorkspaceId,
    #[zeroize(skip)]
    epoch: u32,
}

impl EpochKey {
    /// 32 random bytes, never derived from another epoch's.
    pub const fn new(workspace: WorkspaceId, epoch: u32, key: [u8; 32]) -> Self {
        Self { key, workspace, epoch }
    }

    /// Which epoch.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Published in the roster: whoever is given a key can tell that everyone has the same.
    pub fn commit(&self) -> Hash {
        Hash(self.derive(b"roost/v1/ek-commit\0", &[]))
    }

    /// The key that seals this document's entries in this epoch.
    pub(crate) fn document(&self, document: DocumentId) -> [u8; 32] {
        self.derive(b"roost/v1/doc\0", &document.0)
    }

    /// The key that seals this device's name.
    pub(crate) fn label(&self, device: DeviceId) -> [u8; 32] {
        self.derive(b"roost/v1/label\0", &device.0)
    }

    /// The key that seals what this device shows.
    pub(crate) fn presence(&self, device: DeviceId) -> [u8; 32] {
        self.derive(b"roost/v1/presence\0", &device.0)
    }

    /// The key that seals the previous epoch's key.
    pub(crate) fn back_link(&self) -> [u8; 32] {
        self.derive(b"roost/v1/prev\0", &[])
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Of epoch 1: the id of the document of this name, the same on every device.
    pub fn named_document(&self, name: &str) -> DocumentId {
        debug_assert_eq!(self.epoch, 1, "names hang on the first epoch's key");
        DocumentId(first_16(derive(&self.key, &self.workspace.0, &[b"roost/v1/doc-name\0", name.as_bytes()])))
    }

    /// Of epoch 1: the id of the document that lists the others.
    pub fn index_document(&self) -> DocumentId {
        debug_assert_eq!(self.epoch, 1, "names hang on the first epoch's key");
        DocumentId(first_16(derive(&self.key, &self.workspace.0, &[b"roost/v1/index\0"])))
    }

    fn derive(&self, label: &[u8], of: &[u8]) -> [u8; 32] {
        derive(&self.key, &self.workspace.0, &[label, &self.epoch.to_be_bytes(), of])
    }
}

fn first_16(bytes: [u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&bytes[..16]);
    out
}
