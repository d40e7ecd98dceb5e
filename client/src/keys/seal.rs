//! XChaCha20-Poly1305: documents' bodies, names, and keys to keys.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use roost_shared::limits::{LABEL_TEXT_MAX, TAG_LEN};
use roost_shared::presence::{PresenceHeader, SealedPresence};
use roost_shared::roster::{LABEL_LEN, WRAP_LEN};
use roost_shared::{DeviceId, Envelope, Header, WorkspaceId};
use x25519_dalek::{PublicKey, StaticSecret};

use super::{EpochKey, KeyPair, derive};

/// The key is another one, or the bytes were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seal does not open")]
pub struct SealBroken;

fn seal(key: &[u8; 32], nonce: [u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad })
        .unwrap_or_else(|_| unreachable!("the plaintext is far below the cipher's limit"))
}

fn open(key: &[u8; 32], nonce: [u8; 24], aad: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, SealBroken> {
    XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(&XNonce::from(nonce), Payload { msg: ciphertext, aad })
        .map_err(|_| SealBroken)
}

/// Seals 32 bytes under a key that is used for nothing else.
pub(super) fn seal_once(key: &[u8; 32], bytes: &[u8; 32]) -> Vec<u8> {
    seal(key, [0; 24], &[], bytes)
}

/// Opens them.
pub(super) fn open_once(key: &[u8; 32], sealed: &[u8]) -> Result<Vec<u8>, SealBroken> {
    open(key, [0; 24], &[], sealed)
}

/// Seals a padded plaintext under its document's key and signs the envelope. The header is the associated data.
pub fn envelope(key: &EpochKey, author: &KeyPair, header: Header, plaintext: &[u8]) -> Envelope {
    let body_len = u32::try_from(plaintext.len() + TAG_LEN).unwrap_or(u32::MAX);
    let aad = header.encode(body_len);
    let body = seal(&key.document(header.document), header.nonce, &aad, plaintext);
    Envelope::build(header, &body, |text| author.sign(text))
}

/// Opens an envelope's body.
pub fn plaintext(key: &EpochKey, envelope: &Envelope) -> Result<Vec<u8>, SealBroken> {
    let header = envelope.header();
    open(&key.document(header.document), header.nonce, envelope.header_bytes(), envelope.body())
}

/// Seals what a device shows and signs it. The header is the associated data.
pub fn presence(key: &EpochKey, device: &KeyPair, header: PresenceHeader, plaintext: &[u8]) -> SealedPresence {
    let body = seal(&key.presence(header.device), header.nonce, &header.encode(), plaintext);
    SealedPresence::build(header, &body, |text| device.sign(text))
}

/// Opens what a device shows.
pub fn open_presence(key: &EpochKey, sealed: &SealedPresence) -> Result<Vec<u8>, SealBroken> {
    let header = sealed.header();
    open(&key.presence(header.device), header.nonce, sealed.header_bytes(), sealed.body())
}

/// Seals a device's name: nonce, then one length byte and 55 bytes, padded with zeros, and the tag.
/// A longer name is cut at a character.
pub fn label(key: &EpochKey, device: DeviceId, nonce: [u8; 24], name: &str) -> [u8; LABEL_LEN] {
    let cut = name.floor_char_boundary(LABEL_TEXT_MAX);
    let mut text = [0; LABEL_TEXT_MAX + 1];
    text[0] = u8::try_from(cut).unwrap_or(0);
    text[1..=cut].copy_from_slice(&name.as_bytes()[..cut]);
    let mut out = [0; LABEL_LEN];
    out[..24].copy_from_slice(&nonce);
    out[24..].copy_from_slice(&seal(&key.label(device), nonce, &device.0, &text));
    out
}

/// Opens a device's name.
pub fn open_label(key: &EpochKey, device: DeviceId, label: &[u8; LABEL_LEN]) -> Result<String, SealBroken> {
    let mut nonce = [0; 24];
    nonce.copy_from_slice(&label[..24]);
    let text = open(&key.label(device), nonce, &device.0, &label[24..])?;
    let name = text.split_first().and_then(|(len, rest)| rest.get(..usize::from(*len)));
    name.and_then(|name| String::from_utf8(name.to_vec()).ok()).ok_or(SealBroken)
}

/// Wraps an epoch key to a box key: a fresh X25519 key, and a zero nonce because the derived key is used once.
pub fn wrap(key: &EpochKey, to: &[u8; 32], ephemeral: [u8; 32]) -> Result<[u8; WRAP_LEN], SealBroken> {
    let ephemeral = StaticSecret::from(ephemeral);
    let public = PublicKey::from(&ephemeral).to_bytes();
    let shared = ephemeral.diffie_hellman(&PublicKey::from(*to));
    if !shared.was_contributory() {
        return Err(SealBroken);
    }
    let wrapping = wrapping_key(key.workspace, key.epoch, shared.as_bytes(), &public, to);
    let mut out = [0; WRAP_LEN];
    out[..32].copy_from_slice(&public);
    out[32..].copy_from_slice(&seal(&wrapping, [0; 24], &[], key.bytes()));
    Ok(out)
}

/// Unwraps an epoch key with the box key it was wrapped to.
pub fn unwrap(
    workspace: WorkspaceId,
    epoch: u32,
    with: &KeyPair,
    wrap: &[u8; WRAP_LEN],
) -> Result<EpochKey, SealBroken> {
    let mut public = [0; 32];
    public.copy_from_slice(&wrap[..32]);
    let shared = with.boxing().diffie_hellman(&PublicKey::from(public));
    if !shared.was_contributory() {
        return Err(SealBroken);
    }
    let wrapping = wrapping_key(workspace, epoch, shared.as_bytes(), &public, &with.x());
    let key = open(&wrapping, [0; 24], &[], &wrap[32..])?;
    Ok(EpochKey::new(workspace, epoch, key.try_into().map_err(|_| SealBroken)?))
}

fn wrapping_key(workspace: WorkspaceId, epoch: u32, shared: &[u8; 32], from: &[u8; 32], to: &[u8; 32]) -> [u8; 32] {
    derive(shared, &workspace.0, &[b"roost/v1/wrap\0", &epoch.to_be_bytes(), from, to])
}

/// Seals the previous epoch's key under this one's: the newest key opens the whole history.
pub fn back_link(key: &EpochKey, previous: &EpochKey) -> [u8; 48] {
    let mut out = [0; 48];
    out.copy_from_slice(&seal(&key.back_link(), [0; 24], &previous.epoch.to_be_bytes(), previous.bytes()));
    out
}

/// Opens the key of `epoch` from the back link of a later one.
pub fn open_back_link(key: &EpochKey, epoch: u32, link: &[u8; 48]) -> Result<EpochKey, SealBroken> {
    let previous = open(&key.back_link(), [0; 24], &epoch.to_be_bytes(), link)?;
    Ok(EpochKey::new(key.workspace, epoch, previous.try_into().map_err(|_| SealBroken)?))
}
