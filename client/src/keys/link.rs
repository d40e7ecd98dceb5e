//! Share links: everything is in the fragment, which no browser sends and no server logs.
//!
//! `https://host/join#v1.<base64url(link_id 16 || secret 32 || workspace id 16)>`; `v1p.` where a passcode goes with it.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roost_shared::WorkspaceId;
use roost_shared::hash::Hash;
use url::Url;

use super::{KeyPair, Seed, derive};

const PATH: &str = "/join";
const VERSION: &str = "v1.";
const VERSION_WITH_PASSCODE: &str = "v1p.";
/// Longer passcodes are refused.
const PASSCODE_MAX: usize = 256;
/// Argon2id, 64 MiB, 3 passes, one lane: what a guess costs someone who has the link and the server's files.
const STRETCH: Params = match Params::new(64 * 1024, 3, 1, Some(32)) {
    Ok(params) => params,
    Err(_) => panic!("they are within argon2's limits"),
};
const FRAGMENT_LEN: usize = 16 + 32 + 16;
/// As a device keeps an invite: link id, secret, the stretched passcode or zeros.
const INVITE_LEN: usize = 16 + 32 + 32;

/// A link as a person passes it on. Whoever holds it can join: treat it like a password.
#[derive(Clone)]
pub struct ShareLink {
    server: Url,
    invite: Invite,
    workspace: WorkspaceId,
    has_passcode: bool,
}

/// The secret part of a link.
#[derive(Clone)]
pub struct Invite {
    link_id: [u8; 16],
    secret: Seed,
    /// The passcode, stretched; zeros without one.
    stretched: Seed,
}

/// The text is no share link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a share link: it reads https://HOST/join#v1.… and must be pasted whole")]
pub struct LinkError;

/// The passcode cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a passcode has 1 to 256 bytes")]
pub struct PasscodeError;

impl Invite {
    /// A fresh one.
    pub const fn new(link_id: [u8; 16], secret: [u8; 32]) -> Self {
        Self { link_id, secret: Seed(secret), stretched: Seed([0; 32]) }
    }

    /// The same with a passcode, which is mixed into access and encryption alike. Takes a third of a second of one core.
    pub fn with_passcode(&self, passcode: &str) -> Result<Self, PasscodeError> {
        if passcode.is_empty() || passcode.len() > PASSCODE_MAX {
            return Err(PasscodeError);
        }
        let salt = Hash::of(&[b"roost/v1/passcode\0", &self.link_id]);
        let mut stretched = [0; 32];
        let stretch = Argon2::new(Algorithm::Argon2id, Version::V0x13, STRETCH);
        stretch.hash_password_into(passcode.as_bytes(), &salt.0[..16], &mut stretched).map_err(|_| PasscodeError)?;
        Ok(Self { stretched: Seed(stretched), ..self.clone() })
    }

    /// As a device keeps it until a record wraps a key to its own.
    pub fn to_bytes(&self) -> [u8; INVITE_LEN] {
        let mut bytes = [0; INVITE_LEN];
        bytes[..16].copy_from_slice(&self.link_id);
        bytes[16..48].copy_from_slice(&self.secret.0);
        bytes[48..].copy_from_slice(&self.stretched.0);
        bytes
    }

    /// What [`Invite::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; INVITE_LEN]) -> Self {
        let (mut link_id, mut secret, mut stretched) = ([0; 16], [0; 32], [0; 32]);
        link_id.copy_from_slice(&bytes[..16]);
        secret.copy_from_slice(&bytes[16..48]);
        stretched.copy_from_slice(&bytes[48..]);
        Self { stretched: Seed(stretched), ..Self::new(link_id, secret) }
    }

    /// The invite device's seed.
    pub fn seed(&self) -> Seed {
        Seed(self.derive_with_passcode(b"roost/v1/invite\0"))
    }

    /// The invite device's keys.
    pub fn keys(&self) -> KeyPair {
        KeyPair::device(&self.seed())
    }

    /// Shows knowledge of the link.
    pub fn link_proof(&self) -> [u8; 32] {
        self.derive(b"roost/v1/link-proof\0")
    }

    /// Shows knowledge of link and passcode; without a passcode it says no more than the other.
    pub fn access_proof(&self) -> [u8; 32] {
        self.derive_with_passcode(b"roost/v1/access-proof\0")
    }

    /// What the roster carries of the link proof.
    pub fn link_hash(&self) -> Hash {
        Hash::of(&[&self.link_proof()])
    }

    /// What the roster carries of the access proof.
    pub fn access_hash(&self) -> Hash {
        Hash::of(&[&self.access_proof()])
    }

    fn derive(&self, label: &[u8]) -> [u8; 32] {
        derive(&self.secret.0, &self.link_id, &[label])
    }

    fn derive_with_passcode(&self, label: &[u8]) -> [u8; 32] {
        let has_none = self.stretched.0 == [0; 32];
        if has_none { self.derive(label) } else { derive(&self.secret.0, &self.link_id, &[label, &self.stretched.0]) }
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(…)")
    }
}

impl ShareLink {
    /// For a workspace on `server`.
    pub const fn new(server: Url, invite: Invite, workspace: WorkspaceId) -> Self {
        Self { server, invite, workspace, has_passcode: false }
    }

    /// The link whose invite has this passcode: to be made, or to be opened. Takes a third of a second of one core.
    pub fn with_passcode(self, passcode: &str) -> Result<Self, PasscodeError> {
        Ok(Self { invite: self.invite.with_passcode(passcode)?, has_passcode: true, ..self })
    }

    /// Whether a passcode goes with it that it was not given yet.
    pub fn needs_passcode(&self) -> bool {
        self.has_passcode && self.invite.stretched.0 == [0; 32]
    }

    /// Where the workspace is kept.
    pub const fn server(&self) -> &Url {
        &self.server
    }

    /// The secret part.
    pub const fn invite(&self) -> &Invite {
        &self.invite
    }

    /// Which workspace.
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}

impl fmt::Display for ShareLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(FRAGMENT_LEN);
        bytes.extend_from_slice(&self.invite.link_id);
        bytes.extend_from_slice(&self.invite.secret.0);
        bytes.extend_from_slice(&self.workspace.0);
        let server = self.server.as_str().trim_end_matches('/');
        let version = if self.has_passcode { VERSION_WITH_PASSCODE } else { VERSION };
        write!(f, "{server}{PATH}#{version}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for ShareLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareLink({} on {})", self.workspace, self.server)
    }
}

impl FromStr for ShareLink {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        if text.len() > 2_048 {
            return Err(LinkError);
        }
        let mut server = Url::parse(text).map_err(|_| LinkError)?;
        let is_plain = server.query().is_none() && server.username().is_empty() && server.password().is_none();
        if !is_plain {
            return Err(LinkError);
        }
        let fragment = server.fragment().unwrap_or_default();
        let with_passcode = fragment.strip_prefix(VERSION_WITH_PASSCODE);
        let secret = with_passcode.or_else(|| fragment.strip_prefix(VERSION)).ok_or(LinkError)?;
        let has_passcode = with_passcode.is_some();
        let bytes = URL_SAFE_NO_PAD.decode(secret).map_err(|_| LinkError)?;
        let bytes: [u8; FRAGMENT_LEN] = bytes.try_into().map_err(|_| LinkError)?;
        let path = server.path().strip_suffix(PATH).ok_or(LinkError)?.to_owned();
        server.set_fragment(None);
        server.set_path(&path);
        let (mut link_id, mut secret, mut workspace) = ([0; 16], [0; 32], [0; 16]);
        link_id.copy_from_slice(&bytes[..16]);
        secret.copy_from_slice(&bytes[16..48]);
        workspace.copy_from_slice(&bytes[48..]);
        let invite = Invite::new(link_id, secret);
        Ok(Self { server, invite, workspace: WorkspaceId(workspace), has_passcode })
    }
}
