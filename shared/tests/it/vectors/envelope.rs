//! `envelope.json`: one envelope of each kind, and some that every reader refuses.

use ed25519_dalek::Signer;
use roost_shared::limits::TAG_LEN;
use roost_shared::tree::leaf_of;
use roost_shared::{Envelope, Hash, Kind};
use serde_json::{Value, json};

use super::seed_hex;
use crate::samples::{self, PHONE, SEALED_MIN};

pub fn document() -> Value {
    // The two shortest sealed bodies: 256 and 272 bytes of padded plaintext, each with its tag.
    let kinds = [
        ("update", Kind::Update, samples::sealed(SEALED_MIN)),
        ("snapshot", Kind::Snapshot, samples::sealed(272 + TAG_LEN)),
        ("checkpoint", Kind::Checkpoint, b"body of a checkpoint".to_vec()),
    ];
    let mut envelopes: Vec<_> = kinds.into_iter().map(|(name, kind, body)| signed(name, kind, &body)).collect();
    envelopes.push(control());
    json!({
        "comment": "signed_text = 'roost/v1/envelope' 00 || SHA256(bytes before the signature); hash = SHA256(bytes); \
                    control entries have a signature of zeros; sealed bodies have 272 bytes at least, here opaque ones",
        "envelopes": envelopes,
        "refused": refused(),
    })
}

fn signed(name: &str, kind: Kind, body: &[u8]) -> Value {
    let mut text = Vec::new();
    let envelope = Envelope::build(samples::header(kind), body, |signed| {
        text = signed.to_vec();
        samples::key(PHONE).sign(signed).to_bytes()
    });
    let mut out = described(name, &envelope);
    out["ed25519_seed"] = json!(seed_hex(PHONE));
    out["ed25519_public"] = json!(hex::encode(samples::ed(PHONE)));
    out["signed_text"] = json!(hex::encode(text));
    out
}

/// The entry of the genesis record in `roster.json`.
fn control() -> Value {
    let record = &samples::chain()[0];
    let log = samples::header(Kind::Control).log;
    described("control", &Envelope::control(samples::workspace(), log, 1, record.version, record.as_bytes()))
}

fn described(name: &str, envelope: &Envelope) -> Value {
    let header = envelope.header();
    json!({
        "name": name,
        "kind": header.kind as u8,
        "epoch": header.epoch,
        "workspace": header.workspace.to_string(),
        "log": header.log.to_string(),
        "document": header.document.to_string(),
        "author": header.author.to_string(),
        "author_seq": header.author_seq,
        "base_size": header.base_size.0,
        "base_root": header.base_root.to_string(),
        "nonce": hex::encode(header.nonce),
        "body": hex::encode(envelope.body()),
        "header": hex::encode(envelope.header_bytes()),
        "bytes": hex::encode(envelope.as_bytes()),
        "hash": Hash::of(&[envelope.as_bytes()]).to_string(),
        "leaf": leaf_of(envelope).to_string(),
    })
}

fn refused() -> Vec<Value> {
    let cases: [(&str, Kind, usize, &[u8]); 10] = [
        ("wrong magic", Kind::Update, 0, b"RSR1"),
        ("suite 0", Kind::Update, 4, &[0]),
        ("unknown kind", Kind::Update, 5, &[5]),
        ("flags set", Kind::Update, 6, &[0, 1]),
        ("epoch 0", Kind::Update, 8, &[0; 4]),
        ("update without a document", Kind::Update, 44, &[0; 16]),
        ("checkpoint with a document", Kind::Checkpoint, 44, &[1; 16]),
        ("author_seq 0", Kind::Update, 76, &[0; 8]),
        ("control entry with an author", Kind::Control, 60, &[1; 16]),
        ("body_len beyond the bytes", Kind::Update, 148, &[0, 0, 2, 0]),
    ];
    let altered = cases.into_iter().map(|(why, kind, at, bytes)| {
        let mut bad = samples::envelope(kind, &samples::body(kind)).into_bytes();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        (why, bad)
    });
    let short = |kind| samples::envelope(kind, &samples::sealed(SEALED_MIN - 1)).into_bytes();
    let short = [
        ("update shorter than padding and tag", short(Kind::Update)),
        ("snapshot shorter than padding and tag", short(Kind::Snapshot)),
    ];
    let refused = altered.chain(short).map(|(why, bad)| {
        let bytes = hex::encode(&bad);
        let error = Envelope::parse(bad).expect_err(why);
        json!({ "why": why, "bytes": bytes, "error": error.to_string() })
    });
    refused.collect()
}
