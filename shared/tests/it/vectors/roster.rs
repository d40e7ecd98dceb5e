//! `roster.json`: a chain from genesis to purge with the roster after each record, and successors it refuses.

use roost_shared::roster::{Device, Record, RecordBody, Roster, Status};
use serde_json::{Value, json};

use super::seed_hex;
use crate::samples::{self, INVITE, LAPTOP, OWNER, PHONE, STRANGER, device, next, owner, replace, roster_after};

pub fn document() -> Value {
    let seeds = [("owner", OWNER), ("phone", PHONE), ("invite", INVITE), ("laptop", LAPTOP), ("stranger", STRANGER)];
    let seeds = seeds.map(|(name, seed)| {
        let device_id = samples::device_id(seed);
        json!({ "name": name, "ed25519_seed": seed_hex(seed), "device_id": device_id })
    });
    let mut roster = Roster::empty(samples::workspace());
    let names = ["genesis", "invite", "replace", "owner record of the next epoch", "revoke", "leave out", "purge"];
    let signers = [OWNER, OWNER, INVITE, OWNER, OWNER, OWNER, OWNER];
    let chain: Vec<_> = samples::chain()
        .iter()
        .zip(names.into_iter().zip(signers))
        .map(|(record, (name, signer))| {
            roster.apply(record).expect("the chain of the vectors keeps the rules");
            described(name, signer, record, &roster)
        })
        .collect();
    json!({
        "comment": "signature over 'roost/v1/roster' 00 || SHA256(bytes before it); previous = SHA256(previous bytes)",
        "workspace": samples::workspace().to_string(),
        "seeds": seeds,
        "chain": chain,
        "refused": refused(),
    })
}

fn described(name: &str, signer: u8, record: &Record, after: &Roster) -> Value {
    let members: Vec<_> = after
        .members()
        .map(|member| {
            json!({
                "device": member.device.id.to_string(),
                "scope": member.device.scope,
                "status": member.device.status,
            })
        })
        .collect();
    json!({
        "name": name,
        "ed25519_seed": seed_hex(signer),
        "version": record.version,
        "previous": record.previous.to_string(),
        "body": body(&record.body),
        "bytes": hex::encode(record.as_bytes()),
        "hash": record.hash().to_string(),
        "after": {
            "version": after.version(),
            "epoch": after.epoch(),
            "purged": after.is_purged(),
            "has_newcomer": after.has_newcomer(),
            "members": members,
        },
    })
}

fn body(body: &RecordBody) -> Value {
    match body {
        RecordBody::Owner(owner) => json!({
            "kind": 1,
            "ed25519_public": hex::encode(owner.ed),
            "x25519_public": hex::encode(owner.x),
            "epoch": owner.epoch,
            "ek_commit": owner.ek_commit.to_string(),
            "back_link": hex::encode(owner.back_link),
            "wrap": hex::encode(owner.wrap),
            "recovery_verifier": hex::encode(owner.recovery_verifier),
            "recovery_blob": hex::encode(owner.recovery_blob),
            "devices": owner.devices.iter().map(listed).collect::<Vec<_>>(),
        }),
        RecordBody::Replace(replace) => json!({
            "kind": 2,
            "invite": replace.invite.to_string(),
            "device": replace.device.to_string(),
            "ed25519_public": hex::encode(replace.ed),
            "x25519_public": hex::encode(replace.x),
            "label": hex::encode(replace.label),
        }),
        RecordBody::Purge => json!({ "kind": 3 }),
    }
}

fn listed(device: &Device) -> Value {
    json!({
        "id": device.id.to_string(),
        "ed25519_public": hex::encode(device.ed),
        "x25519_public": hex::encode(device.x),
        "scope": device.scope as u8,
        "status": device.status as u8,
        "not_after_ms": device.not_after_ms,
        "label": hex::encode(device.label),
        "wrap": hex::encode(device.wrap),
        "link_hash": device.link_hash.to_string(),
        "access_hash": device.access_hash.to_string(),
    })
}

/// Well-formed records that do not go on the chain after its first `after` records.
fn refused() -> Vec<Value> {
    let phone = || device(PHONE, Status::Active);
    let laptop_back = owner(3, vec![phone(), device(LAPTOP, Status::Active)]);
    let laptop_listed = owner(3, vec![phone(), device(LAPTOP, Status::Revoked)]);
    let mut no_back_link = owner(2, vec![phone()]);
    no_back_link.back_link = [0; 48];
    let mut other_key = owner(1, vec![phone()]);
    other_key.ek_commit.0[0] ^= 1;
    let cases = [
        ("signed by a device", 1, RecordBody::Owner(owner(1, vec![phone()])), PHONE),
        ("an active device is left out", 1, RecordBody::Owner(owner(1, vec![])), OWNER),
        ("a new epoch without a back link", 1, RecordBody::Owner(no_back_link), OWNER),
        ("another key for the same epoch", 1, RecordBody::Owner(other_key), OWNER),
        ("a purge by a stranger", 1, RecordBody::Purge, STRANGER),
        ("a replace record signed by the joiner", 2, RecordBody::Replace(replace(INVITE, LAPTOP)), LAPTOP),
        ("an invite used twice", 3, RecordBody::Replace(replace(INVITE, STRANGER)), INVITE),
        ("a revoked device active again", 5, RecordBody::Owner(laptop_back.clone()), OWNER),
        ("a device that was left out active again", 6, RecordBody::Owner(laptop_back), OWNER),
        ("a device that was left out listed again", 6, RecordBody::Owner(laptop_listed), OWNER),
        ("a record after the purge", 7, RecordBody::Purge, OWNER),
    ];
    let refused = cases.into_iter().map(|(why, after, body, signer)| {
        let mut roster = roster_after(after);
        let record = next(&roster, body, signer);
        let error = roster.apply(&record).expect_err(why);
        Record::parse(record.as_bytes().to_vec()).expect("only the chain refuses it");
        json!({ "why": why, "after": after, "bytes": hex::encode(record.as_bytes()), "error": error.to_string() })
    });
    refused.collect()
}
