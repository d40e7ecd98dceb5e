//! `keys.json`, beside the other golden files in `shared/tests/vectors`: every derivation and every seal, from fixed
//! seeds. Bytes are lowercase hex.

use std::fs;
use std::path::Path;

use roost::RecoveryPhrase;
use roost::keys::link::{Invite, ShareLink};
use roost::keys::{EpochKey, KeyPair, Seed, seal};
use roost_shared::plaintext::{Compression, Head};
use roost_shared::presence::{PresenceHeader, encode_state};
use roost_shared::proof::Challenge;
use roost_shared::{Cursor, DocumentId, Envelope, Hash, Header, Kind, LogId};
use serde_json::{Value, json};

use crate::fixtures::{LAPTOP, PHONE, device, owner, workspace};

/// The epochs' keys, and the bytes they are made of. Epoch 5 follows 2: numbers may be left out.
const EPOCHS: [(u32, u8); 3] = [(1, 0xe1), (2, 0xe2), (5, 0xe5)];
const EPHEMERAL: [u8; 32] = [0x77; 32];

/// Compares `document` with its file, or writes the file when asked to.
pub fn pinned(name: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tests/vectors").join(name);
    if std::env::var_os("ROOST_WRITE_VECTORS").is_some_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(document).expect("JSON has a text");
        fs::write(&path, text + "\n").expect("shared/tests/vectors can be written");
    }
    // Values, not texts: the order of keys depends on features other crates may turn on.
    let on_disk = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    assert!(
        on_disk.as_ref() == Some(document),
        "{} is missing or differs from what the code computes; if the change is meant, run with \
         ROOST_WRITE_VECTORS=1 to write them",
        path.display()
    );
}

#[test]
fn keys_json() {
    pinned(
        "keys.json",
        &json!({
            "comment": "HKDF-SHA256 and XChaCha20-Poly1305 as in section 2 of PROTOCOL.md; signatures are Ed25519",
            "people": people(),
            "epochs": epochs(),
            "documents": documents(),
            "wraps": wraps(),
            "back_links": back_links(),
            "labels": labels(),
            "envelope": envelope(),
            "presence": presence(),
            "link": link(),
            "recovery": recovery(),
            "proofs": proofs(),
        }),
    );
}

fn key(at: usize) -> EpochKey {
    let (epoch, byte) = EPOCHS[at];
    EpochKey::new(workspace(), epoch, [byte; 32])
}

fn people() -> Value {
    let public = |keys: &KeyPair| (hex::encode(keys.ed()), hex::encode(keys.x()));
    let devices = [PHONE, LAPTOP].map(|seed| {
        let (ed, x) = public(&device(seed));
        let id = device(seed).device_id();
        json!({ "device_seed": hex::encode([seed; 32]), "ed25519_public": ed, "x25519_public": x, "device_id": id })
    });
    let (ed, x) = public(&owner());
    let owner_seed = hex::encode([1; 32]);
    json!({
        "owner": { "owner_seed": owner_seed, "ed25519_public": ed, "x25519_public": x, "workspace_id": workspace() },
        "devices": devices,
    })
}

fn epochs() -> Value {
    let epochs = [0, 1, 2].map(|at| {
        let (epoch, byte) = EPOCHS[at];
        json!({ "epoch": epoch, "key": hex::encode([byte; 32]), "ek_commit": key(at).commit() })
    });
    json!(epochs)
}

fn documents() -> Value {
    let named = ["", "notes", "Notes", "tagebuch/März 🪶"];
    let named = named.map(|name| json!({ "name": name, "document": key(0).named_document(name) }));
    json!({ "epoch": 1, "named": named, "index": key(0).index_document() })
}

fn wraps() -> Value {
    let people = [("owner", owner()), ("phone", device(PHONE)), ("laptop", device(LAPTOP))];
    let wraps = people.into_iter().zip([0, 1, 2]).map(|((name, to), at)| {
        let wrap = seal::wrap(&key(at), &to.x(), EPHEMERAL).expect("nobody's key is of small order");
        let opened = seal::unwrap(workspace(), EPOCHS[at].0, &to, &wrap).expect("it was wrapped to this key");
        assert_eq!(opened.commit(), key(at).commit(), "{name}");
        json!({
            "to": name,
            "x25519_public": hex::encode(to.x()),
            "epoch": EPOCHS[at].0,
            "ephemeral_secret": hex::encode(EPHEMERAL),
            "wrap": hex::encode(wrap),
        })
    });
    wraps.collect()
}

fn back_links() -> Value {
    let links = [(1, 0), (2, 1)].map(|(newer, older)| {
        let link = seal::back_link(&key(newer), &key(older));
        json!({ "epoch": EPOCHS[newer].0, "previous": EPOCHS[older].0, "back_link": hex::encode(link) })
    });
    json!(links)
}

fn labels() -> Value {
    let long = "é".repeat(40);
    let names = [("", "empty"), ("phone", "short"), (long.as_str(), "cut after 27 characters, 54 bytes")];
    let labels = names.map(|(name, why)| {
        let (nonce, id) = ([0x88; 24], device(PHONE).device_id());
        let label = seal::label(&key(1), id, nonce, name);
        let opened = seal::open_label(&key(1), id, &label).expect("it was sealed with this key");
        json!({
            "why": why,
            "epoch": EPOCHS[1].0,
            "device": id,
            "nonce": hex::encode(nonce),
            "name": name,
            "name_opened": opened,
            "label": hex::encode(label),
        })
    });
    json!(labels)
}

/// The document [0x33; 16] and {"line":12}, shown by the phone.
fn presence() -> Value {
    let phone = device(PHONE);
    let header = PresenceHeader {
        epoch: EPOCHS[1].0,
        workspace: workspace(),
        device: phone.device_id(),
        session: 0x0102_0304_0506_0708,
        counter: 9,
        nonce: [0x99; 24],
    };
    let (document, state) = (DocumentId([0x33; 16]), r#"{"line":12}"#);
    let plaintext = encode_state(Some(document), state).expect("it is short");
    let sealed = seal::presence(&key(1), &phone, header.clone(), &plaintext);
    assert_eq!(seal::open_presence(&key(1), &sealed).expect("it was sealed with this key"), plaintext);
    json!({
        "epoch": header.epoch,
        "device": header.device,
        "session": header.session,
        "counter": header.counter,
        "nonce": hex::encode(header.nonce),
        "document": document,
        "state": state,
        "plaintext": hex::encode(&plaintext),
        "bytes": hex::encode(sealed.into_bytes()),
    })
}

fn envelope() -> Value {
    let head = Head {
        compression: Compression::None,
        schema: 7,
        reader_min: 3,
        loro: (1, 17),
        part: 0,
        parts: 1,
        blob: [0; 16],
    };
    let plaintext = head.plaintext(b"not a Loro update");
    let header = Header {
        kind: Kind::Update,
        epoch: EPOCHS[1].0,
        workspace: workspace(),
        log: LogId([0x22; 16]),
        document: key(0).named_document("notes"),
        author: device(PHONE).device_id(),
        author_seq: 1,
        base_size: Cursor(3),
        base_root: Hash([0x55; 32]),
        nonce: [0x66; 24],
    };
    let envelope: Envelope = seal::envelope(&key(1), &device(PHONE), header, &plaintext);
    assert_eq!(seal::plaintext(&key(1), &envelope).as_ref(), Ok(&plaintext));
    let document: DocumentId = envelope.header().document;
    json!({
        "epoch": EPOCHS[1].0,
        "log": envelope.header().log,
        "document": document,
        "author": envelope.header().author,
        "author_seq": 1,
        "base_size": 3,
        "base_root": envelope.header().base_root,
        "nonce": hex::encode(envelope.header().nonce),
        "plaintext": hex::encode(plaintext),
        "header": hex::encode(envelope.header_bytes()),
        "body": hex::encode(envelope.body()),
        "bytes": hex::encode(envelope.as_bytes()),
        "hash": envelope.hash(),
    })
}

fn link() -> Value {
    let (link_id, secret) = ([0x1d; 16], [0x5e; 32]);
    let invite = Invite::new(link_id, secret);
    let keys = KeyPair::device(&invite.seed());
    let server = "https://roost.example:8443/path";
    let link = ShareLink::new(server.parse().expect("a URL"), invite.clone(), workspace());
    json!({
        "server": server,
        "link_id": hex::encode(link_id),
        "secret": hex::encode(secret),
        "workspace": workspace(),
        "text": link.to_string(),
        "invite_ed25519_public": hex::encode(keys.ed()),
        "invite_x25519_public": hex::encode(keys.x()),
        "invite_device_id": keys.device_id(),
        "link_proof": hex::encode(invite.link_proof()),
        "access_proof": hex::encode(invite.access_proof()),
        "link_hash": invite.link_hash(),
        "access_hash": invite.access_hash(),
        "with_passcode": with_passcode(&link),
    })
}

fn with_passcode(link: &ShareLink) -> Value {
    let passcode = "pflaume über 7";
    let link = link.clone().with_passcode(passcode).expect("a passcode");
    let invite = link.invite();
    json!({
        "passcode": passcode,
        "stretched": hex::encode(&invite.to_bytes()[48..]),
        "text": link.to_string(),
        "invite_device_id": invite.keys().device_id(),
        "link_proof": hex::encode(invite.link_proof()),
        "access_proof": hex::encode(invite.access_proof()),
    })
}

fn recovery() -> Value {
    let phrase = RecoveryPhrase::new([0x7f; 16]);
    let keys = phrase.keys(workspace());
    json!({
        "words": phrase.to_string(),
        "bytes": hex::encode([0x7f; 16]),
        "workspace": workspace(),
        "owner_seed": hex::encode([0x0e; 32]),
        "proof": hex::encode(keys.proof()),
        "verifier": hex::encode(keys.verifier()),
        "blob": hex::encode(keys.seal(&Seed::new([0x0e; 32]))),
    })
}

fn proofs() -> Value {
    let (nonce, audience) = ([0x5a; 32], "https://roost.example:8443");
    let phone = KeyPair::device(&Seed::new([PHONE; 32]));
    let challenge = Challenge { nonce: &nonce, audience, workspace: workspace(), device: phone.device_id() };
    json!({
        "nonce": hex::encode(nonce),
        "audience": audience,
        "workspace": workspace(),
        "device": phone.device_id(),
        "hello": hex::encode(phone.sign(&challenge.hello())),
        "session": hex::encode(phone.sign(&challenge.session())),
        "master_by_owner": hex::encode(owner().sign(&challenge.master())),
    })
}
