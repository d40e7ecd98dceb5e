//! The keys that tokens are signed with. `kid` picks key and algorithm together; what a token's header says of its
//! algorithm is only compared.
//!
//! A folder of keys is one file each; the name before the first dot is the `kid`:
//!
//! | file | algorithm | may |
//! |---|---|---|
//! | `KID.secret` | HS256, base64url of at least 32 bytes | sign, verify |
//! | `KID.ed25519.pem` | EdDSA, PKCS#8 as `openssl genpkey -algorithm ed25519` writes it | sign, verify |
//! | `KID.ed25519.pub.pem` | EdDSA | verify |
//! | `KID.rs256.pub.pem` | RS256, 2,048 bits at the least | verify |
//!
//! To change keys, add the new one, sign with it, and remove the old one once its last token has run out.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

/// The shortest secret a token may be signed with.
pub const SECRET_MIN: usize = 32;
/// What PKCS#8 writes before the 32 bytes of an Ed25519 seed (RFC 8410, section 7).
const ED_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// An RSA public key of 2,048 bits: its modulus alone.
const RSA_MIN: usize = 256;
const KID_MAX: usize = 64;
const KEYS_MAX: usize = 64;

/// One key.
pub struct Key {
    /// The one algorithm it is for.
    pub algorithm: Algorithm,
    /// Verifies.
    pub verifying: DecodingKey,
    /// Signs; None for a key of somebody else's.
    signing: Option<EncodingKey>,
}

/// All keys tokens are checked against, and the one that signs.
pub struct KeyRing {
    keys: HashMap<String, Key>,
    signer: String,
}

/// A key file is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its name or contents.
    #[error("{path}: {problem}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// None of them is the signer.
    #[error(
        "no key called {0} among the token keys can sign: put KID.secret or KID.ed25519.pem there, or name another"
    )]
    Signer(String),
}

impl KeyRing {
    /// One HS256 secret.
    ///
    /// # Errors
    /// The text says what is wrong with the secret.
    pub fn of_secret(kid: &str, secret: &[u8]) -> Result<Self, &'static str> {
        let key = hs256(secret)?;
        Ok(Self { keys: HashMap::from([(kid.to_owned(), key)]), signer: kid.to_owned() })
    }

    /// Every key in a folder; `signer` signs.
    pub fn open(folder: &Path, signer: &str) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { path: folder.to_owned(), source };
        let mut keys = HashMap::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let wrong = |problem| KeyError::File { path: path.clone(), problem };
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let (kid, kind) = name.split_once('.').ok_or_else(|| wrong("its name is not KID.KIND"))?;
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if kid.is_empty() || kid.len() > KID_MAX || !kid.bytes().all(is_plain) {
                return Err(wrong("a kid is made of letters, digits, - and _"));
            }
            let bytes = read(&path, kind)?;
            let key = match kind {
                "secret" => secret(&bytes),
                "ed25519.pem" => ed25519(&bytes),
                "ed25519.pub.pem" => ed25519_public(&bytes),
                "rs256.pub.pem" => rs256_public(&bytes),
                _ => Err("its kind is none of secret, ed25519.pem, ed25519.pub.pem, rs256.pub.pem"),
            };
            let key = key.map_err(wrong)?;
            if keys.len() == KEYS_MAX || keys.insert(kid.to_owned(), key).is_some() {
                return Err(wrong("there are two keys of this kid, or more than 64"));
            }
        }
        let signs = keys.get(signer).is_some_and(|key| key.signing.is_some());
        if signs { Ok(Self { keys, signer: signer.to_owned() }) } else { Err(KeyError::Signer(signer.to_owned())) }
    }

    /// The key of a `kid`.
    pub fn get(&self, kid: &str) -> Option<&Key> {
        self.keys.get(kid)
    }

    /// The key that signs, with its `kid` and algorithm.
    pub fn signer(&self) -> Option<(&str, Algorithm, &EncodingKey)> {
        let key = self.keys.get(&self.signer)?;
        Some((&self.signer, key.algorithm, key.signing.as_ref()?))
    }
}

fn read(path: &Path, kind: &str) -> Result<Vec<u8>, KeyError> {
    let failed = |source| KeyError::Io { path: path.to_owned(), source };
    let is_private = matches!(kind, "secret" | "ed25519.pem");
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if is_private && mode & 0o077 != 0 {
        return Err(KeyError::File { path: path.to_owned(), problem: "others may read it: chmod 600 it" });
    }
    fs::read(path).map_err(failed)
}

fn hs256(secret: &[u8]) -> Result<Key, &'static str> {
    if secret.len() < SECRET_MIN {
        return Err("the token secret must have at least 32 bytes");
    }
    Ok(Key {
        algorithm: Algorithm::HS256,
        verifying: DecodingKey::from_secret(secret),
        signing: Some(EncodingKey::from_secret(secret)),
    })
}

fn secret(text: &[u8]) -> Result<Key, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_ascii()).map_err(|_| "it is not base64url")?;
    hs256(&bytes)
}

fn ed25519(pem: &[u8]) -> Result<Key, &'static str> {
    const PROBLEM: &str = "it is no Ed25519 key in PKCS#8: openssl genpkey -algorithm ed25519 makes one";
    let signing = EncodingKey::from_ed_pem(pem).map_err(|_| PROBLEM)?;
    // The library would panic at the first signature with a key of another length.
    let seed = signing.as_bytes().strip_prefix(&ED_PREFIX).ok_or(PROBLEM)?;
    let seed: [u8; 32] = seed.try_into().map_err(|_| PROBLEM)?;
    let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    Ok(Key { algorithm: Algorithm::EdDSA, verifying: DecodingKey::from_ed_der(&public), signing: Some(signing) })
}

fn ed25519_public(pem: &[u8]) -> Result<Key, &'static str> {
    let verifying = DecodingKey::from_ed_pem(pem).map_err(|_| "it is no Ed25519 public key in PEM")?;
    Ok(Key { algorithm: Algorithm::EdDSA, verifying, signing: None })
}

fn rs256_public(pem: &[u8]) -> Result<Key, &'static str> {
    let verifying = DecodingKey::from_rsa_pem(pem).map_err(|_| "it is no RSA public key in PEM")?;
    if verifying.try_get_as_bytes().map_or(0, <[u8]>::len) < RSA_MIN {
        return Err("an RSA key has 2,048 bits at the least");
    }
    Ok(Key { algorithm: Algorithm::RS256, verifying, signing: None })
}
