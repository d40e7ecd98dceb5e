//! The golden files in `tests/vectors`, for everyone who writes a client in another language.
//!
//! Each document is computed here from fixed seeds and compared with its file, so a change of any byte shows as a
//! failing test. Bytes are lowercase hex; numbers stay below 2^53, which every JSON parser reads exactly.

use std::fs;
use std::path::Path;

use ed25519_dalek::Signer;
use roost_shared::proof::{self, Challenge};
use roost_shared::tree::{Frontier, consistency_proof, leaf, root};
use roost_shared::{Cursor, DocumentId, Hash, LogId, WorkspaceId};
use serde_json::{Value, json};

use crate::samples::{self, INVITE, LAPTOP, OWNER, PHONE, STRANGER};

mod envelope;
mod messages;
mod plaintext;
mod roster;

/// Compares `document` with its file, or writes the file when asked to.
fn pinned(name: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    if std::env::var_os("ROOST_WRITE_VECTORS").is_some_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(document).expect("JSON has a text");
        fs::create_dir_all(path.parent().expect("a file lies in a directory")).expect("tests/vectors can be made");
        fs::write(&path, text + "\n").expect("tests/vectors can be written");
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

fn seed_hex(seed: u8) -> String {
    hex::encode([seed; 32])
}

#[test]
fn ids() {
    pinned("ids.json", &ids_document());
}

#[test]
fn tree() {
    pinned("tree.json", &tree_document());
}

#[test]
fn envelope_json() {
    pinned("envelope.json", &envelope::document());
}

#[test]
fn plaintext_json() {
    pinned("plaintext.json", &plaintext::document());
}

#[test]
fn roster_json() {
    pinned("roster.json", &roster::document());
}

#[test]
fn messages_json() {
    pinned("messages.json", &messages::document());
}

fn ids_document() -> Value {
    let people = [OWNER, PHONE, INVITE, LAPTOP, STRANGER];
    let devices = people.map(|seed| {
        json!({
            "ed25519_seed": seed_hex(seed),
            "ed25519_public": hex::encode(samples::ed(seed)),
            "x25519_public": hex::encode(samples::x(seed)),
            "device_id": samples::device_id(seed).to_string(),
            "workspace_id_if_owner": WorkspaceId::of_owner(&samples::ed(seed)).to_string(),
        })
    });
    json!({
        "comment": "workspace id = SHA256('roost/v1/workspace' 00 || ed25519_public)[..16], device id = \
                    SHA256('roost/v1/device' 00 || ed25519_public || x25519_public)[..16]; x25519_public is opaque",
        "devices": devices,
        "challenges": challenges(),
        "seen": seen(),
    })
}

fn challenges() -> Value {
    let nonce = [0x5a; 32];
    let audience = "https://roost.example:8443";
    let (workspace, device) = (samples::workspace(), samples::device_id(PHONE));
    let challenge = Challenge { nonce: &nonce, audience, workspace, device };
    let signed = |label: &str, signer: u8, text: Vec<u8>| {
        json!({
            "label": label,
            "ed25519_seed": seed_hex(signer),
            "text": hex::encode(&text),
            "signature": hex::encode(samples::key(signer).sign(&text).to_bytes()),
        })
    };
    json!({
        "comment": "text = label 00 || SHA256(nonce) || SHA256(audience) || workspace || device",
        "nonce": hex::encode(nonce),
        "audience": audience,
        "workspace": workspace.to_string(),
        "device": device.to_string(),
        "texts": [
            signed("roost/v1/hello", PHONE, challenge.hello()),
            signed("roost/v1/session", PHONE, challenge.session()),
            signed("roost/v1/master", OWNER, challenge.master()),
        ],
    })
}

fn seen() -> Value {
    let (workspace, device, log) = (samples::workspace(), samples::device_id(PHONE), LogId([0x22; 16]));
    let (epoch, size, root) = (3, 1_000, Hash([0x55; 32]));
    let text = proof::seen(workspace, device, log, epoch, Cursor(size), root);
    json!({
        "comment": "text = 'roost/v1/seen' 00 || workspace || device || log || u32 epoch || u64 size || root",
        "workspace": workspace.to_string(),
        "device": device.to_string(),
        "log": log.to_string(),
        "epoch": epoch,
        "size": size,
        "root": root.to_string(),
        "ed25519_seed": seed_hex(PHONE),
        "text": hex::encode(&text),
        "signature": hex::encode(samples::key(PHONE).sign(&text).to_bytes()),
    })
}

fn tree_document() -> Value {
    let inputs: Vec<_> = (1..=12u8).map(|n| (DocumentId([n / 3; 16]), Hash::of(&[b"envelope", &[n]]))).collect();
    let leaves: Vec<_> = inputs.iter().map(|(document, envelope_hash)| leaf(*document, *envelope_hash)).collect();
    let texts = |hashes: &[Hash]| hashes.iter().map(Hash::to_string).collect::<Vec<_>>();

    let mut frontier = Frontier::default();
    let mut trees = Vec::new();
    for size in 0..=leaves.len() {
        trees.push(json!({
            "size": size,
            "root": root(&leaves[..size]).to_string(),
            "peaks": texts(frontier.peaks()),
            "frontier": hex::encode(frontier.encode()),
        }));
        if let Some(next) = leaves.get(size) {
            frontier.append(*next);
        }
    }
    let mut proofs = Vec::new();
    for second in 0..=leaves.len() {
        for first in 0..=second {
            let proof = texts(&consistency_proof(first, &leaves[..second]));
            proofs.push(json!({ "first": first, "second": second, "proof": proof }));
        }
    }
    let leaves = inputs.iter().zip(&leaves).map(|((document, envelope_hash), leaf)| {
        json!({
            "document": document.to_string(),
            "envelope_hash": envelope_hash.to_string(),
            "leaf": leaf.to_string(),
        })
    });
    json!({
        "comment": "RFC 9162: leaf = SHA256(00 || document || envelope_hash), node = SHA256(01 || left || right); \
                    a frontier is u64 size || peaks, largest first",
        "leaves": leaves.collect::<Vec<_>>(),
        "trees": trees,
        "consistency_proofs": proofs,
    })
}
