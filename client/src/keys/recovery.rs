//! Twelve words that give the owner key back.
//!
//! 16 random bytes, spelled as twelve words (BIP-39, English, with its checksum). Argon2id stretches the bytes, so that
//! even the words of a careless generator would cost something; what follows derives by HKDF:
//!
//! ```text
//! root  = Argon2id(16 bytes, salt SHA256("roost/v1/recovery\0" ‖ workspace)[..16], 64 MiB, t 3, p 1)
//! proof = HKDF(root, "recovery-proof")      SHA256(proof) is the verifier in the roster: who shows proof gets the chain
//! blob  = 1 ‖ HKDF(root, "recovery-commit") ‖ XChaCha20-Poly1305(HKDF(root, "recovery-seal"), zero nonce, owner_seed)
//! ```
//! The commitment makes a blob open under one phrase only. The key seals one seed, ever, so its nonce may be zero.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use bip39::{Language, Mnemonic};
use roost_shared::WorkspaceId;
use roost_shared::hash::Hash;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::seal::{SealBroken, open_once, seal_once};
use super::{Seed, derive};

/// A blob: version, commitment, sealed seed, tag.
pub const BLOB_LEN: usize = 1 + 32 + 32 + 16;
const BLOB_VERSION: u8 = 1;
const WORDS: usize = 12;
const STRETCH: Params = match Params::new(64 * 1024, 3, 1, Some(32)) {
    Ok(params) => params,
    Err(_) => panic!("they are within argon2's limits"),
};

/// The words. Whoever has them owns the workspace.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryPhrase([u8; 16]);

/// The text is no recovery phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a recovery phrase is twelve English words, as roost recovery create printed them: one of them is wrong or missing"
)]
pub struct PhraseError;

/// What derives from a phrase, for one workspace.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RecoveryKeys {
    proof: [u8; 32],
    commit: [u8; 32],
    seal: [u8; 32],
}

impl RecoveryPhrase {
    /// From 16 random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Takes a third of a second of one core, and 64 MiB.
    pub fn keys(&self, workspace: WorkspaceId) -> RecoveryKeys {
        let salt = Hash::of(&[b"roost/v1/recovery\0", &workspace.0]);
        let mut root = Zeroizing::new([0; 32]);
        let stretch = Argon2::new(Algorithm::Argon2id, Version::V0x13, STRETCH);
        let stretched = stretch.hash_password_into(&self.0, &salt.0[..16], &mut *root);
        debug_assert!(stretched.is_ok(), "the lengths are constants that argon2 takes");
        let key = |label: &[u8]| derive(&root, &workspace.0, &[label]);
        RecoveryKeys {
            proof: key(b"roost/v1/recovery-proof\0"),
            commit: key(b"roost/v1/recovery-commit\0"),
            seal: key(b"roost/v1/recovery-seal\0"),
        }
    }
}

impl fmt::Display for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Mnemonic::from_entropy(&self.0).map_err(|_| fmt::Error)?;
        write!(f, "{words}")
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(…)")
    }
}

impl FromStr for RecoveryPhrase {
    type Err = PhraseError;

    fn from_str(text: &str) -> Result<Self, PhraseError> {
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let words = Mnemonic::parse_in_normalized(Language::English, &lower).map_err(|_| PhraseError)?;
        if words.word_count() != WORDS {
            return Err(PhraseError); // the standard knows longer ones
        }
        let (entropy, _) = words.to_entropy_array();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&entropy[..16]);
        Ok(Self(bytes))
    }
}

impl RecoveryKeys {
    /// Shown to the server for the roster.
    pub const fn proof(&self) -> &[u8; 32] {
        &self.proof
    }

    /// What the roster carries of the proof.
    pub fn verifier(&self) -> [u8; 32] {
        Hash::of(&[&self.proof]).0
    }

    /// The owner seed, sealed.
    pub fn seal(&self, owner: &Seed) -> [u8; BLOB_LEN] {
        let mut blob = [0; BLOB_LEN];
        blob[0] = BLOB_VERSION;
        blob[1..33].copy_from_slice(&self.commit);
        blob[33..].copy_from_slice(&seal_once(&self.seal, &owner.0));
        blob
    }

    /// The owner seed again.
    pub fn open(&self, blob: &[u8; BLOB_LEN]) -> Result<Seed, SealBroken> {
        let is_ours = blob[0] == BLOB_VERSION && bool::from(blob[1..33].ct_eq(&self.commit));
        if !is_ours {
            return Err(SealBroken);
        }
        let seed = Zeroizing::new(open_once(&self.seal, &blob[33..])?);
        Ok(Seed(seed.as_slice().try_into().map_err(|_| SealBroken)?))
    }
}
