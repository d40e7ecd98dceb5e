//! Who may do what: nonces, tokens, and the proof that goes with a token.

mod asker;
mod in_flight;
pub mod keyring;
mod rates;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Header, Validation};
use roost_shared::hash::Hash;
use roost_shared::limits::{KEYLESS_LIFE_MAX_S, NONCE_LIFE_MS, REDEEM_RETRY_MS, TOKEN_LIFE_MAX_S, TOKEN_MAX};
use roost_shared::proof::{self, Challenge, verify};
use roost_shared::roster::Status;
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::http::{AskSession, TokenIs, TokenScope};
use roost_shared::wire::message::{Hello, Seen};
use roost_shared::{Code, Cursor, DeviceId, WorkspaceId};
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

pub use self::asker::Asker;
pub use self::in_flight::{Budget, Charge, InFlight};
pub use self::keyring::{KeyRing, SECRET_MIN};
pub use self::rates::Rates;
use crate::store::{SharedStore, Store, Workspace};

const TOKEN_TYPE: &str = "roost-access+jwt";
/// The `kid` of the secret that the server makes for itself.
const OWN_KID: &str = "1";
const LEEWAY_S: u64 = 5;
/// The subject of a token for a client without device keys; no device has this id.
const NO_DEVICE: DeviceId = DeviceId::ZERO;
/// As long as a lost answer to a redemption may be asked for again.
const JOIN_LIFE_S: u64 = REDEEM_RETRY_MS / 1_000;

/// Issues and checks.
pub struct Access {
    audience: String,
    keys: KeyRing,
    nonce_key: SecretSlice<u8>,
    token_life_s: u64,
}

/// What a token says, once its signature, type and times hold.
#[derive(Clone, Serialize, Deserialize)]
pub struct Claims {
    iss: String,
    aud: String,
    /// The device.
    pub sub: DeviceId,
    /// The workspace.
    pub ws: WorkspaceId,
    /// What it allows.
    pub scope: TokenScope,
    jti: String,
    iat: u64,
    nbf: u64,
    /// Seconds since 1970.
    pub exp: u64,
}

impl Claims {
    /// The 16 random bytes this token is known by.
    pub fn token_id(&self) -> Option<[u8; 16]> {
        URL_SAFE_NO_PAD.decode(&self.jti).ok()?.try_into().ok()
    }

    /// Whether its bearer may append at all; the roster has the last word.
    pub const fn may_append(&self) -> bool {
        matches!(self.scope, TokenScope::ReadWrite | TokenScope::Master)
    }

    /// The asker that a bearer's requests are charged to.
    pub fn asker(&self) -> Asker {
        let device = if self.sub == NO_DEVICE { self.token_id().unwrap_or_default() } else { self.sub.0 };
        Asker::Bearer(self.ws, device)
    }

    /// What the store knows the token by, if it belongs to no device.
    pub fn keyless_id(&self) -> Option<Hash> {
        self.token_id().filter(|_| self.sub == NO_DEVICE).map(|jti| Hash::of(&[&jti]))
    }
}

/// A Hello that was accepted.
pub struct Admission {
    /// How the workspace stands.
    pub workspace: Workspace,
    /// The server's root at Hello.cursor.
    pub root_at_cursor: Option<Hash>,
    /// How far the devices have read.
    pub seen: Vec<Seen>,
    /// Whether this socket may append.
    pub may_append: bool,
    /// When its token runs out.
    pub expires_at_ms: u64,
}

impl Access {
    /// Signs and checks with one secret.
    ///
    /// # Errors
    /// The text says what is wrong with the secret.
    pub fn new(audience: String, secret: &SecretSlice<u8>, token_life_s: u64) -> Result<Self, &'static str> {
        let bytes = secret.expose_secret();
        Ok(Self {
            audience,
            keys: KeyRing::of_secret(OWN_KID, bytes)?,
            nonce_key: Hash::of(&[b"roost/v1/nonce-key\0", bytes]).0.to_vec().into(),
            token_life_s: token_life_s.min(TOKEN_LIFE_MAX_S),
        })
    }

    /// Signs and checks with these keys instead.
    #[must_use]
    pub fn with_keys(self, keys: KeyRing) -> Self {
        Self { keys, ..self }
    }

    /// What this server calls itself.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// A nonce this server recognises for a minute without remembering it: time 8, random 16, MAC 32.
    pub fn nonce(&self, now_ms: u64, random: [u8; 16]) -> Vec<u8> {
        let mut nonce = now_ms.to_be_bytes().to_vec();
        nonce.extend_from_slice(&random);
        let tag = self.mac(&nonce).finalize().into_bytes();
        nonce.extend_from_slice(&tag);
        nonce
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        // HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.nonce_key.expose_secret())
            .unwrap_or_else(|_| unreachable!("HMAC takes any key"));
        mac.update(text);
        mac
    }

    fn check_nonce(&self, nonce: &[u8], now_ms: u64) -> Result<(), Code> {
        let (text, tag) = nonce.split_at_checked(24).ok_or(Code::NonceInvalid)?;
        self.mac(text).verify_slice(tag).map_err(|_| Code::NonceInvalid)?;
        let made_ms = text[..8].try_into().map_or(0, u64::from_be_bytes);
        if now_ms.abs_diff(made_ms) <= NONCE_LIFE_MS { Ok(()) } else { Err(Code::NonceInvalid) }
    }

    /// A token for a device that is active and signed the nonce; master if the owner signed it too.
    pub async fn session(
        &self,
        store: &dyn Store,
        ask: &AskSession,
        now_ms: u64,
        jti: [u8; 16],
    ) -> Result<TokenIs, Code> {
        let (Some(nonce), Some(signature)) = (&ask.nonce, &ask.signature) else {
            return Err(Code::NonceInvalid);
        };
        self.check_nonce(&nonce.0, now_ms)?;
        // One answer for a workspace or device that is not there and a signature that is wrong.
        let device = store.device(ask.workspace, ask.device).await.map_err(|refusal| refusal.code)?;
        let device = device.ok_or(Code::ProofInvalid)?;
        let challenge =
            Challenge { nonce: &nonce.0, audience: &self.audience, workspace: ask.workspace, device: ask.device };
        if !signed(&device.ed, &challenge.session(), &signature.0) {
            return Err(Code::ProofInvalid);
        }
        if device.status != Status::Active {
            return Err(Code::NotAllowed);
        }
        let scope = match &ask.owner_signature {
            None => device.scope.into(),
            Some(signature) => {
                let workspace = store.workspace(ask.workspace).await.map_err(|refusal| refusal.code)?;
                let owner = workspace.and_then(|workspace| workspace.roster.owner().map(|owner| owner.ed));
                let owner = owner.ok_or(Code::ProofInvalid)?;
                if !signed(&owner, &challenge.master(), &signature.0) {
                    return Err(Code::ProofInvalid);
                }
                TokenScope::Master
            }
        };
        self.issue(ask.workspace, ask.device, scope, now_ms, jti)
    }

    /// Signs a token.
    pub fn issue(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        scope: TokenScope,
        now_ms: u64,
        jti: [u8; 16],
    ) -> Result<TokenIs, Code> {
        let life_s = if scope == TokenScope::Join { JOIN_LIFE_S } else { self.token_life_s };
        self.sign(workspace, device, scope, life_s, now_ms, jti)
    }

    /// Signs a token for a client without device keys: it reads, while the store has its id.
    pub fn issue_keyless(
        &self,
        workspace: WorkspaceId,
        life_s: u64,
        now_ms: u64,
        jti: [u8; 16],
    ) -> Result<TokenIs, Code> {
        self.sign(workspace, NO_DEVICE, TokenScope::Read, life_s.min(KEYLESS_LIFE_MAX_S), now_ms, jti)
    }

    fn sign(
        &self,
        workspace: WorkspaceId,
        device: DeviceId,
        scope: TokenScope,
        life_s: u64,
        now_ms: u64,
        jti: [u8; 16],
    ) -> Result<TokenIs, Code> {
        let now = now_ms / 1_000;
        let claims = Claims {
            iss: self.audience.clone(),
            aud: self.audience.clone(),
            sub: device,
            ws: workspace,
            scope,
            jti: URL_SAFE_NO_PAD.encode(jti),
            iat: now,
            nbf: now,
            exp: now + life_s,
        };
        let (kid, algorithm, key) = self.keys.signer().ok_or(Code::RetryLater)?;
        let mut header = Header::new(algorithm);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(kid.to_owned());
        let token = jsonwebtoken::encode(&header, &claims, key).map_err(|_| Code::RetryLater)?;
        Ok(TokenIs { token, scope, expires_at_ms: claims.exp * 1_000 })
    }

    /// Checks a fresh token for a socket of this device; the time when it runs out, ms since 1970.
    pub fn renew(&self, of: Option<(WorkspaceId, DeviceId)>, token: &str, now_ms: u64) -> Result<u64, Code> {
        let claims = self.verify(token, now_ms)?;
        let is_same = of == Some((claims.ws, claims.sub)) && claims.scope != TokenScope::Join;
        if is_same { Ok(claims.exp * 1_000) } else { Err(Code::NotAllowed) }
    }

    /// Checks a token: key and algorithm by `kid`, type, issuer, audience, times.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, Code> {
        if token.len() > TOKEN_MAX {
            return Err(Code::TokenInvalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Code::TokenInvalid)?;
        // A header brings no key and no place to fetch one from.
        let is_plain = header.typ.as_deref() == Some(TOKEN_TYPE)
            && header.crit.is_none()
            && header.jku.is_none()
            && header.jwk.is_none()
            && header.x5u.is_none()
            && header.x5c.is_none();
        let key = header.kid.as_deref().and_then(|kid| self.keys.get(kid)).filter(|_| is_plain);
        let key = key.ok_or(Code::TokenInvalid)?;
        let mut validation = Validation::new(key.algorithm);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.audience]);
        validation.set_audience(&[&self.audience]);
        // Times are judged below by the clock the caller reads; the library would read its own.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let decoded =
            jsonwebtoken::decode::<Claims>(token, &key.verifying, &validation).map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => Code::TokenExpired,
                _ => Code::TokenInvalid,
            })?;
        let claims = decoded.claims;
        let is_named = claims.token_id().is_some();
        let life_max_s = match claims.keyless_id() {
            Some(_) if claims.scope != TokenScope::Read => return Err(Code::TokenInvalid),
            Some(_) => KEYLESS_LIFE_MAX_S,
            None => TOKEN_LIFE_MAX_S,
        };
        let is_short = claims.exp.saturating_sub(claims.iat) <= life_max_s;
        let now = now_ms / 1_000;
        if !is_short || !is_named || claims.nbf > now + LEEWAY_S || claims.iat > now + LEEWAY_S {
            return Err(Code::TokenInvalid);
        }
        if claims.exp + LEEWAY_S < now { Err(Code::TokenExpired) } else { Ok(claims) }
    }

    /// Lets a socket in: protocol, token, the device's own proof, and the roster.
    pub async fn admit(
        &self,
        store: &SharedStore,
        hello: &Hello,
        nonce: &[u8; 32],
        now_ms: u64,
    ) -> Result<Admission, Code> {
        if hello.protocol != PROTOCOL {
            return Err(Code::ProtocolVersion);
        }
        let claims = self.verify(&hello.token.0, now_ms)?;
        if claims.ws != hello.workspace || claims.sub != hello.device || claims.scope == TokenScope::Join {
            return Err(Code::NotAllowed);
        }
        let found = store.workspace(hello.workspace).await.map_err(|refusal| refusal.code)?;
        let workspace = found.ok_or(Code::NotFound)?;
        let member = workspace.roster.member(hello.device).ok_or(Code::NotAllowed)?;
        let challenge = Challenge { nonce, audience: &self.audience, workspace: hello.workspace, device: hello.device };
        if !verify(&member.key, &challenge.hello(), &hello.proof) {
            return Err(Code::ProofInvalid);
        }
        workspace.roster.scope(hello.device).ok_or(Code::NotAllowed)?;
        let cursor = Cursor(hello.cursor);
        let root_at_cursor = if cursor == workspace.tail() {
            Some(workspace.frontier.root())
        } else if cursor > workspace.tail() {
            None
        } else {
            store.root_at(hello.workspace, cursor).await.map_err(|refusal| refusal.code)?
        };
        let seen = store.seen(hello.workspace).await.map_err(|refusal| refusal.code)?;
        let expires_at_ms = claims.exp * 1_000;
        Ok(Admission { workspace, root_at_cursor, seen, may_append: claims.may_append(), expires_at_ms })
    }

    /// Whether a device signed how far it has read; stamped with the server's time if so.
    pub async fn witness(
        &self,
        store: &SharedStore,
        workspace: WorkspaceId,
        seen: Seen,
        now_ms: u64,
    ) -> Result<Seen, Code> {
        let found = store.device(workspace, seen.device).await.map_err(|refusal| refusal.code)?;
        let device = found.filter(|device| device.status == Status::Active).ok_or(Code::NotAllowed)?;
        let text = proof::seen(workspace, seen.device, seen.log, seen.epoch, Cursor(seen.size), seen.root);
        let is_signed = signed(&device.ed, &text, &seen.signature);
        if is_signed { Ok(Seen { at_ms: now_ms, ..seen }) } else { Err(Code::ProofInvalid) }
    }
}

fn signed(key: &[u8; 32], text: &[u8], signature: &[u8]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak() && verify(&key, text, signature))
}
