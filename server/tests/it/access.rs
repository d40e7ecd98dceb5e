//! Nonces, sessions and the Hello proof.

use std::sync::Arc;

use roost_server::access::Access;
use roost_server::store::SharedStore;
use roost_server::store::conformance::QUOTA_BYTES;
use roost_server::store::conformance::world::{
    INVITE, LOG, NOW_MS, OWNER, PHONE, READER, STRANGER, TABLET, World, device, device_id, invite, key, owner,
    people_and, workspace_of,
};
use roost_server::store::memory::MemoryStore;
use roost_shared::limits::NONCE_LIFE_MS;
use roost_shared::proof::Challenge;
use roost_shared::roster::{Scope, Status};
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::http::{AskSession, Base64, TokenScope};
use roost_shared::wire::message::{Hello, Seen, Token};
use roost_shared::{Code, Cursor, Hash, proof};

use ed25519_dalek::Signer as _;

pub const AUDIENCE: &str = "http://roost.test:7070";
pub const SECRET: [u8; 32] = [0x5e; 32];
pub const LIFE_S: u64 = 3_600;

/// The server's access, or that of another server.
pub fn access_of(audience: &str, secret: &[u8]) -> Access {
    Access::new(audience.to_owned(), &secret.to_vec().into(), LIFE_S).unwrap()
}

pub fn access() -> Access {
    access_of(AUDIENCE, &SECRET)
}

/// A workspace with the people in it, an invite, and a revoked tablet.
async fn store() -> SharedStore {
    let store = Arc::new(MemoryStore::new(QUOTA_BYTES));
    let mut world = World::create_with(&*store, people_and(invite(INVITE))).await;
    world.writes(PHONE, 1).await;
    let mut devices = people_and(invite(INVITE));
    devices.retain(|device| device.id != device_id(TABLET));
    devices.push(device(TABLET, Scope::ReadWrite, Status::Revoked));
    world.posts(owner(OWNER, 2, devices), OWNER).await;
    drop(world);
    store
}

fn challenge(nonce: &[u8], device: u8) -> Challenge<'_> {
    Challenge { nonce, audience: AUDIENCE, workspace: workspace_of(OWNER), device: device_id(device) }
}

fn signature(signer: u8, text: &[u8]) -> Base64 {
    Base64(key(signer).sign(text).to_bytes().to_vec())
}

/// What `device` would send, signed by `signer`.
fn ask(nonce: &[u8], device: u8, signer: u8) -> AskSession {
    AskSession {
        workspace: workspace_of(OWNER),
        device: device_id(device),
        nonce: Some(Base64(nonce.to_vec())),
        signature: Some(signature(signer, &challenge(nonce, device).session())),
        owner_signature: None,
    }
}

async fn session(store: &SharedStore, ask: AskSession, now_ms: u64) -> Result<TokenScope, Code> {
    let access = access();
    let token = access.session(&**store, &ask, now_ms, [1; 16]).await?;
    let claims = access.verify(&token.token, now_ms)?;
    assert_eq!((claims.sub, claims.ws, claims.scope), (ask.device, ask.workspace, token.scope));
    Ok(token.scope)
}

#[test]
fn short_secrets_are_refused() {
    for len in [0, 1, 31] {
        assert!(Access::new(AUDIENCE.to_owned(), &vec![1u8; len].into(), LIFE_S).is_err(), "{len} bytes");
    }
}

#[tokio::test]
async fn a_session_has_the_rosters_scope() {
    let store = store().await;
    let nonce = access().nonce(NOW_MS, [3; 16]);
    assert_eq!(session(&store, ask(&nonce, PHONE, PHONE), NOW_MS).await, Ok(TokenScope::ReadWrite));
    assert_eq!(session(&store, ask(&nonce, READER, READER), NOW_MS).await, Ok(TokenScope::Read));
    let master = challenge(&nonce, PHONE).master();
    let by_owner = AskSession { owner_signature: Some(signature(OWNER, &master)), ..ask(&nonce, PHONE, PHONE) };
    assert_eq!(session(&store, by_owner, NOW_MS).await, Ok(TokenScope::Master));
    let by_phone = AskSession { owner_signature: Some(signature(PHONE, &master)), ..ask(&nonce, PHONE, PHONE) };
    assert_eq!(session(&store, by_phone, NOW_MS).await, Err(Code::ProofInvalid), "no owner, no master");
}

#[tokio::test]
async fn nonces_are_ours_and_fresh() {
    let store = store().await;
    let nonce = access().nonce(NOW_MS, [3; 16]);
    for (later_ms, wanted) in [(0, true), (NONCE_LIFE_MS, true), (NONCE_LIFE_MS + 1, false), (u64::MAX / 2, false)] {
        let asked = session(&store, ask(&nonce, PHONE, PHONE), NOW_MS + later_ms).await;
        assert_eq!(
            asked,
            if wanted { Ok(TokenScope::ReadWrite) } else { Err(Code::NonceInvalid) },
            "{later_ms} ms later"
        );
    }
    for at in 0..nonce.len() {
        let mut mutated = nonce.clone();
        mutated[at] ^= 1;
        let asked = session(&store, ask(&mutated, PHONE, PHONE), NOW_MS).await;
        assert_eq!(asked, Err(Code::NonceInvalid), "byte {at} changed");
    }
    let mut long = nonce.clone();
    long.push(0);
    for other in [&nonce[..0], &nonce[..24], &nonce[..55], &long, &access_of(AUDIENCE, &[1; 32]).nonce(NOW_MS, [3; 16])]
    {
        let asked = session(&store, ask(other, PHONE, PHONE), NOW_MS).await;
        assert_eq!(asked, Err(Code::NonceInvalid), "{} bytes", other.len());
    }
    let unsigned = AskSession { signature: None, ..ask(&nonce, PHONE, PHONE) };
    assert_eq!(session(&store, unsigned, NOW_MS).await, Err(Code::NonceInvalid), "no signature yet");
    let bare = AskSession { nonce: None, ..ask(&nonce, PHONE, PHONE) };
    assert_eq!(session(&store, bare, NOW_MS).await, Err(Code::NonceInvalid), "no nonce yet");
}

#[tokio::test]
async fn a_session_needs_the_devices_own_key() {
    let store = store().await;
    let nonce = access().nonce(NOW_MS, [3; 16]);
    let signed = |text: Vec<u8>| AskSession { signature: Some(signature(PHONE, &text)), ..ask(&nonce, PHONE, PHONE) };
    let elsewhere = Challenge { audience: "http://evil.test", ..challenge(&nonce, PHONE) };
    let other_workspace = Challenge { workspace: workspace_of(STRANGER), ..challenge(&nonce, PHONE) };
    let cases = [
        (ask(&nonce, PHONE, TABLET), Code::ProofInvalid, "another device's key"),
        (ask(&nonce, STRANGER, STRANGER), Code::ProofInvalid, "a device that is not listed"),
        (signed(elsewhere.session()), Code::ProofInvalid, "signed for another server"),
        (signed(other_workspace.session()), Code::ProofInvalid, "signed for another workspace"),
        (signed(challenge(&nonce, READER).session()), Code::ProofInvalid, "signed for another device"),
        (signed(challenge(&nonce, PHONE).hello()), Code::ProofInvalid, "a Hello proof"),
        (signed(challenge(b"n", PHONE).session()), Code::ProofInvalid, "another nonce signed"),
        (
            AskSession { signature: Some(Base64(vec![0; 63])), ..ask(&nonce, PHONE, PHONE) },
            Code::ProofInvalid,
            "63 bytes",
        ),
        (
            AskSession { workspace: workspace_of(STRANGER), ..ask(&nonce, PHONE, PHONE) },
            Code::ProofInvalid,
            "no workspace",
        ),
        (ask(&nonce, TABLET, TABLET), Code::NotAllowed, "a revoked device"),
        (ask(&nonce, INVITE, INVITE), Code::NotAllowed, "an invite"),
    ];
    for (ask, code, what) in cases {
        assert_eq!(session(&store, ask, NOW_MS).await, Err(code), "{what}");
    }
}

const CHALLENGE: [u8; 32] = [8; 32];

/// A Hello of `device` at the beginning of the log, with a token for it, all as it should be.
fn hello(device: u8, scope: TokenScope) -> Hello {
    let token = access().issue(workspace_of(OWNER), device_id(device), scope, NOW_MS, [1; 16]).unwrap();
    Hello {
        protocol: PROTOCOL,
        token: Token(token.token),
        proof: key(device).sign(&challenge(&CHALLENGE, device).hello()).to_bytes(),
        workspace: workspace_of(OWNER),
        device: device_id(device),
        log: roost_server::store::conformance::world::LOG,
        cursor: 0,
        root: Hash::of(&[]),
        documents: None,
    }
}

#[tokio::test]
async fn a_good_hello_is_admitted() {
    let store = store().await;
    for (device, scope, may_append) in
        [(PHONE, TokenScope::ReadWrite, true), (PHONE, TokenScope::Master, true), (READER, TokenScope::Read, false)]
    {
        let admitted = access().admit(&store, &hello(device, scope), &CHALLENGE, NOW_MS).await.ok().unwrap();
        assert_eq!(admitted.may_append, may_append);
        assert_eq!(admitted.expires_at_ms, NOW_MS + LIFE_S * 1_000);
        assert_eq!(admitted.root_at_cursor, Some(Hash::of(&[])));
        assert_eq!(admitted.workspace.tail().0, 3);
    }
    let roots = [store.root_at(workspace_of(OWNER), roost_shared::Cursor(2)).await.unwrap(), None];
    for (cursor, root) in [2, 4].into_iter().zip(roots) {
        let hello = Hello { cursor, ..hello(PHONE, TokenScope::ReadWrite) };
        let admitted = access().admit(&store, &hello, &CHALLENGE, NOW_MS).await.ok().unwrap();
        assert_eq!(admitted.root_at_cursor, root, "the server's own root at {cursor}");
    }
}

#[tokio::test]
async fn a_device_signs_how_far_it_has_read() {
    let store = store().await;
    let (workspace, log, size, root) = (workspace_of(OWNER), LOG, Cursor(3), Hash([8; 32]));
    let seen = |device: u8, signer: u8| {
        let text = proof::seen(workspace, device_id(device), log, 2, size, root);
        let signature = key(signer).sign(&text).to_bytes();
        Seen { device: device_id(device), log, epoch: 2, size: size.0, root, at_ms: 7, signature }
    };
    let witness = async |seen: Seen| access().witness(&store, workspace, seen, NOW_MS).await;
    let stamped = Seen { at_ms: NOW_MS, ..seen(PHONE, PHONE) };
    assert_eq!(witness(seen(PHONE, PHONE)).await, Ok(stamped), "the time is the server's");
    assert_eq!(witness(seen(PHONE, READER)).await, Err(Code::ProofInvalid));
    assert_eq!(witness(Seen { size: 2, ..seen(PHONE, PHONE) }).await, Err(Code::ProofInvalid));
    assert_eq!(witness(seen(TABLET, TABLET)).await, Err(Code::NotAllowed), "it was revoked");
    assert_eq!(witness(seen(STRANGER, STRANGER)).await, Err(Code::NotAllowed));
}

#[tokio::test]
async fn a_bad_hello_is_not() {
    let store = store().await;
    let good = || hello(PHONE, TokenScope::ReadWrite);
    let proof = |signer: u8, text: &[u8]| key(signer).sign(text).to_bytes();
    let text = challenge(&CHALLENGE, PHONE).hello();
    let session_text = challenge(&CHALLENGE, PHONE).session();
    let elsewhere = Challenge { audience: "http://evil.test", ..challenge(&CHALLENGE, PHONE) }.hello();
    let nowhere = access().issue(workspace_of(STRANGER), device_id(PHONE), TokenScope::Read, NOW_MS, [1; 16]).unwrap();
    let cases = [
        (
            Hello { protocol: 2, token: Token(String::new()), ..good() },
            Code::ProtocolVersion,
            "protocol, before the token",
        ),
        (Hello { token: Token("x".to_owned()), ..good() }, Code::TokenInvalid, "no token"),
        (Hello { workspace: workspace_of(STRANGER), ..good() }, Code::NotAllowed, "a token for another workspace"),
        (Hello { device: device_id(READER), ..good() }, Code::NotAllowed, "a token for another device"),
        (hello(PHONE, TokenScope::Join), Code::NotAllowed, "a join token"),
        (
            Hello { workspace: workspace_of(STRANGER), token: Token(nowhere.token), ..good() },
            Code::NotFound,
            "a workspace that is not here",
        ),
        (hello(STRANGER, TokenScope::ReadWrite), Code::NotAllowed, "a device that is not listed"),
        (Hello { proof: [0; 64], ..good() }, Code::ProofInvalid, "no proof"),
        (Hello { proof: proof(TABLET, &text), ..good() }, Code::ProofInvalid, "another key's proof"),
        (Hello { proof: proof(PHONE, &session_text), ..good() }, Code::ProofInvalid, "a session proof"),
        (Hello { proof: proof(PHONE, &elsewhere), ..good() }, Code::ProofInvalid, "a proof for another server"),
        (hello(TABLET, TokenScope::ReadWrite), Code::NotAllowed, "a revoked device"),
        (hello(INVITE, TokenScope::ReadWrite), Code::NotAllowed, "an invite"),
    ];
    for (hello, code, what) in cases {
        let admitted = access().admit(&store, &hello, &CHALLENGE, NOW_MS).await.map(|_| ());
        assert_eq!(admitted, Err(code), "{what}");
    }
    let replayed = access().admit(&store, &good(), &[9; 32], NOW_MS).await.map(|_| ());
    assert_eq!(replayed, Err(Code::ProofInvalid), "the proof of another socket's challenge");
    let late = access().admit(&store, &good(), &CHALLENGE, NOW_MS + LIFE_S * 1_000 + 6_000).await.map(|_| ());
    assert_eq!(late, Err(Code::TokenExpired), "a token that ran out");
}

/// The token it had is long dead; its key is all it needs.
#[tokio::test]
async fn a_device_that_was_offline_for_a_month_comes_back() {
    const MONTH_MS: u64 = 31 * 24 * 60 * 60 * 1_000;
    let (store, access) = (store().await, access());
    let nonce = access.nonce(NOW_MS, [2; 16]);
    let before = access.session(&*store, &ask(&nonce, PHONE, PHONE), NOW_MS, [1; 16]).await.unwrap();

    let later_ms = NOW_MS + MONTH_MS;
    assert_eq!(access.verify(&before.token, later_ms).err(), Some(Code::TokenExpired));
    let stale = access.session(&*store, &ask(&nonce, PHONE, PHONE), later_ms, [1; 16]).await;
    assert_eq!(stale.err(), Some(Code::NonceInvalid), "an old nonce is of no use");
    let nonce = access.nonce(later_ms, [3; 16]);
    let after = access.session(&*store, &ask(&nonce, PHONE, PHONE), later_ms, [1; 16]).await.unwrap();
    assert_eq!(access.verify(&after.token, later_ms).map(|claims| claims.sub), Ok(device_id(PHONE)));
}
