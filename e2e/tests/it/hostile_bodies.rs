//! What must hold of bytes nobody promised anything about, where it takes client or server to say so: one body for each
//! kind of bytes, as in `shared/tests/it/hostile_bodies.rs`.
//!
//! The fuzz targets in `e2e/fuzz` include this file; `corpus.rs` feeds it the files worth keeping, with stable Rust. A
//! body panics when a promise is broken, and only then.

use std::sync::{Arc, OnceLock};

use roost::clock::{Clock, SystemClock};
use roost::keys::recovery::{BLOB_LEN, RecoveryKeys};
use roost::keys::ring::KeyRing;
use roost::keys::{EpochKey, KeyPair, Seed, seal};
use roost::members::change;
use roost::replica::Replica;
use roost::schema::Schema;
use roost::store::{Durability, Identity, Store};
use roost::sync::{Chain, Write};
use roost::{DocumentId, RecoveryPhrase, ShareLink, WorkspaceId};
use roost_e2e::live::damage::repair;
use roost_server::access::Access;
use roost_shared::limits::{PART_MAX, TOKEN_MAX};
use roost_shared::plaintext::{Compression, Head};
use roost_shared::wire::http::TokenScope;
use roost_shared::{DeviceId, Hash, Header, Kind, LogId, Seq};
use rusqlite::Connection;
use secrecy::SecretSlice;

/// Takes any bytes at all.
pub type Body = fn(&[u8]);

/// Every body under the name of its fuzz target, which is the name of its folder in `e2e/fuzz/corpus` too.
pub const BODIES: [(&str, Body); 4] = [("link", link), ("recovery", recovery), ("token", token), ("import", import)];

/// When the token of the seed corpus was issued, ms since 1970.
const NOW_MS: u64 = 1_800_000_000_000;
const WORKSPACE: WorkspaceId = WorkspaceId([7; 16]);

/// What is understood as a link is said again in the same words, and its secret shows nowhere else.
pub fn link(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(link) = text.parse::<ShareLink>() else { return };
    let said = link.to_string();
    let again = said.parse::<ShareLink>().unwrap_or_else(|error| panic!("{said}: {error}"));
    assert_eq!(again.to_string(), said);
    let secret = said.rsplit('#').next().unwrap_or_default();
    assert!(!format!("{link:?} {link:#?}").contains(secret), "its secret is printed");
}

/// The keys of the phrase of sixteen zeros.
pub fn recovery_keys() -> &'static RecoveryKeys {
    static KEYS: OnceLock<RecoveryKeys> = OnceLock::new();
    KEYS.get_or_init(|| RecoveryPhrase::new([0; 16]).keys(WORKSPACE))
}

/// A blob opens only if it is the one that was sealed; a phrase is said again in the same words.
pub fn recovery(bytes: &[u8]) {
    if let Some(blob) = bytes.first_chunk::<BLOB_LEN>() {
        let is_sealed = recovery_keys().seal(&Seed::new([9; 32])) == *blob;
        assert_eq!(recovery_keys().open(blob).is_ok(), is_sealed, "nobody else can seal one");
    }
    let phrase = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<RecoveryPhrase>().ok());
    if let Some(phrase) = phrase {
        let said = phrase.to_string();
        let again: Result<RecoveryPhrase, _> = said.parse();
        assert!(again.is_ok_and(|again| again.to_string() == said));
    }
}

pub fn access() -> Access {
    let secret = SecretSlice::from(vec![3; 32]);
    Access::new("http://roost.example".to_owned(), &secret, 3_600).unwrap_or_else(|error| panic!("{error}"))
}

/// The one token there is.
pub fn issued(access: &Access) -> String {
    let issued = access.issue(WORKSPACE, DeviceId([5; 16]), TokenScope::Read, NOW_MS, [1; 16]);
    issued.unwrap_or_else(|code| panic!("{code}")).token
}

/// A token that is accepted says what was issued, and nothing else.
pub fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let access = access();
    let Ok(claims) = access.verify(text, NOW_MS) else { return };
    assert!(text.len() <= TOKEN_MAX);
    assert_eq!((claims.ws, claims.sub, claims.scope), (WORKSPACE, DeviceId([5; 16]), TokenScope::Read));
    let signed = |text: &str| text.rsplit_once('.').map(|(signed, _)| signed.to_owned());
    assert_eq!(signed(text), signed(&issued(&access)), "nobody else can sign one");
}

const POISONED: DocumentId = DocumentId([1; 16]);
const OTHER: DocumentId = DocumentId([2; 16]);
const LOG: LogId = LogId([4; 16]);

fn device() -> KeyPair {
    KeyPair::device(&Seed::new([2; 32]))
}

/// A device alone in its workspace, and the chain of its roster.
fn alone() -> (Identity, Chain) {
    let owner_seed = Seed::new([1; 32]);
    let owner = KeyPair::owner(&owner_seed);
    let workspace = owner.workspace_id();
    let key = EpochKey::new(workspace, 1, [6; 32]);
    let record = change::genesis(&SystemClock, &owner, &key, &device(), "alone");
    let chain = record.ok().and_then(|record| Chain::verify(workspace, vec![record]).ok());
    let identity = Identity {
        workspace,
        server: "http://roost.example".to_owned(),
        name: "alone".to_owned(),
        device_seed: Seed::new([2; 32]),
        owner_seed: Some(owner_seed),
        invite: None,
        joined: true,
    };
    (identity, chain.unwrap_or_else(|| panic!("a chain of one")))
}

/// Whatever Loro is given, sealed by a device of the workspace, the other document is whole, and the app starts.
pub fn import(bytes: &[u8]) {
    let Some((kind, blob)) = bytes.split_first() else { return };
    let kind = if kind % 2 == 0 { Kind::Update } else { Kind::Snapshot };
    let mut blob = blob[..blob.len().min(PART_MAX)].to_vec();
    repair(&mut blob, kind == Kind::Snapshot);
    let (identity, chain) = alone();
    let ring = KeyRing::open(chain.records(), &[&device()]);
    let Some(key) = ring.get(1) else { panic!("the first epoch's key") };
    let header = Header {
        kind,
        epoch: 1,
        workspace: identity.workspace,
        log: LOG,
        document: POISONED,
        author: device().device_id(),
        author_seq: 1,
        base_size: roost_shared::Cursor(0),
        base_root: Hash::of(&[]),
        nonce: [8; 24],
    };
    let head = Head {
        compression: Compression::None,
        schema: 0,
        reader_min: 0,
        loro: (1, 17),
        part: 0,
        parts: 1,
        blob: [0; 16],
    };
    let bytes = seal::envelope(key, &device(), header, &head.plaintext(&blob)).into_bytes();

    let connection = Connection::open_in_memory().unwrap_or_else(|error| panic!("{error}"));
    let mut replica = opened(connection, |store| {
        let seq = Seq::new(1).unwrap_or_else(|| panic!("one"));
        store.create(&identity, LOG, chain.records())?;
        store.apply(&[Write::Inbox { seq, document: POISONED, bytes }], usize::MAX)
    });
    edit(&mut replica, OTHER, "whole").unwrap_or_else(|error| panic!("{error}"));
    while replica.has_work() {
        replica.work().unwrap_or_else(|error| panic!("{error}"));
    }
    let edited = edit(&mut replica, POISONED, "mine");
    let mut replica = opened(replica.into_store().into_connection(), |_| Ok(()));
    let text = |replica: &mut Replica, id| replica.read(id, |loro| loro.get_text("mine").to_string());
    assert_eq!(text(&mut replica, OTHER).unwrap_or_else(|error| panic!("{error}")), "whole");
    if edited.is_ok() {
        // What was saved is there, or the app is told that it is not.
        let text = text(&mut replica, POISONED);
        assert!(text.is_err() || text.is_ok_and(|text| text.contains("mine")));
    }
}

fn opened(connection: Connection, fill: impl FnOnce(&mut Store) -> Result<(), roost::store::StoreError>) -> Replica {
    let mut store = Store::over(connection, Durability::Process).unwrap_or_else(|error| panic!("{error}"));
    fill(&mut store).unwrap_or_else(|error| panic!("{error}"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let replica = Replica::open(store, clock, Schema::default()).unwrap_or_else(|error| panic!("{error}"));
    replica.unwrap_or_else(|| panic!("it has joined"))
}

fn edit(replica: &mut Replica, id: DocumentId, text: &str) -> Result<(), roost::replica::EditError> {
    replica.edit(id, |loro| loro.get_text("mine").insert(0, text))
}
