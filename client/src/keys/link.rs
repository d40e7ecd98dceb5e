//! Share links: everything is in the fragment, which no browser sends and no server logs.
//!
//! `https://host/join#v1.<base64url(link_id 16 || secret 32 || workspace id 16)>`

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roost_shared::WorkspaceId;
use roost_shared::hash::Hash;
use url::Url;

use super::{KeyPair, Seed, derive};

const PATH: &str = "/join";
const VERSION: &str = "v1.";
const INVITE_LEN: usize = 16 + 32;
const FRAGMENT_LEN: usize = INVITE_LEN + 16;

/// A link as a person passes it on. Whoever holds it can join: treat it like a password.
#[derive(Clone)]
pub struct ShareLink {
    server: Url,
    invite: Invite,
    workspace: WorkspaceId,
}

/// The secret part of a link.
#[derive(Clone)]
pub struct Invite {
    link_id: [u8; 16],
    secret: Seed,
}

/// The text is no share link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a share link: it reads https://HOST/join#v1.… and must be pasted whole")]
pub struct LinkError;

impl Invite {
    /// A fresh one.
    pub const fn new(link_id: [u8; 16], secret: [u8; 32]) -> Self {
        Self { link_id, secret: Seed(secret) }
    }

    /// As a device keeps it until a record wraps a key to its own: link id, secret.
    pub fn to_bytes(&self) -> [u8; INVITE_LEN] {
        let mut bytes = [0; INVITE_LEN];
        bytes[..16].copy_from_slice(&self.link_id);
        bytes[16..].copy_from_slice(&self.secret.0);
        bytes
    }

    /// What [`Invite::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; INVITE_LEN]) -> Self {
        let (mut link_id, mut secret) = ([0; 16], [0; 32]);
        link_id.copy_from_slice(&bytes[..16]);
        secret.copy_from_slice(&bytes[16..]);
        Self::new(link_id, secret)
    }

    /// The invite device's seed.
    pub fn seed(&self) -> Seed {
        Seed(self.derive(b"roost/v1/invite\0"))
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
        self.derive(b"roost/v1/access-proof\0")
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
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(…)")
    }
}

impl ShareLink {
    /// For a workspace on `server`.
    pub const fn new(server: Url, invite: Invite, workspace: WorkspaceId) -> Self {
        Self { server, invite, workspace }
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
        bytes.extend_from_slice(&self.invite.to_bytes());
        bytes.extend_from_slice(&self.workspace.0);
        let server = self.server.as_str().trim_end_matches('/');
        write!(f, "{server}{PATH}#{VERSION}{}", URL_SAFE_NO_PAD.encode(bytes))
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
        let secret = server.fragment().and_then(|fragment| fragment.strip_prefix(VERSION)).ok_or(LinkError)?;
        let bytes = URL_SAFE_NO_PAD.decode(secret).map_err(|_| LinkError)?;
        let bytes: [u8; FRAGMENT_LEN] = bytes.try_into().map_err(|_| LinkError)?;
        let path = server.path().strip_suffix(PATH).ok_or(LinkError)?.to_owned();
        server.set_fragment(None);
        server.set_path(&path);
        let (mut invite, mut workspace) = ([0; INVITE_LEN], [0; 16]);
        invite.copy_from_slice(&bytes[..INVITE_LEN]);
        workspace.copy_from_slice(&bytes[INVITE_LEN..]);
        Ok(Self { server, invite: Invite::from_bytes(&invite), workspace: WorkspaceId(workspace) })
    }
}
