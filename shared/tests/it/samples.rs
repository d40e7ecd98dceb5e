//! Keys, envelopes and records from seed bytes: what several modules start from.

use ed25519_dalek::{Signer, SigningKey};
use roost_shared::limits::{PADDING_FLOOR, SIGNATURE_LEN, TAG_LEN};
use roost_shared::roster::{Device, LABEL_LEN, Owner, Record, RecordBody, Replace, Roster, Scope, Status, WRAP_LEN};
use roost_shared::{Cursor, DeviceId, DocumentId, Envelope, Hash, Header, Kind, LogId, WorkspaceId};

/// Seed bytes of the people in these tests. None is zero: zeros mean "absent" in most fields.
pub const OWNER: u8 = 1;
pub const PHONE: u8 = 2;
pub const INVITE: u8 = 3;
pub const LAPTOP: u8 = 4;
pub const STRANGER: u8 = 9;

/// The shortest body an update or snapshot has: the smallest padded plaintext and its tag.
pub const SEALED_MIN: usize = PADDING_FLOOR + TAG_LEN;

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn ed(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

/// The crate never computes with X25519 keys, so any bytes do.
pub fn x(seed: u8) -> [u8; 32] {
    [seed ^ 0xff; 32]
}

pub fn device_id(seed: u8) -> DeviceId {
    DeviceId::of_keys(&ed(seed), &x(seed))
}

pub fn workspace() -> WorkspaceId {
    WorkspaceId::of_owner(&ed(OWNER))
}

pub fn sign(seed: u8) -> impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN] {
    move |text: &[u8]| key(seed).sign(text).to_bytes()
}

/// A header that fits `kind`, each field filled with a byte of its own.
pub fn header(kind: Kind) -> Header {
    let control = kind == Kind::Control;
    let sealed = kind.is_sealed();
    Header {
        kind,
        epoch: 0x0102_0304,
        workspace: WorkspaceId([0x11; 16]),
        log: LogId([0x22; 16]),
        document: if sealed { DocumentId([0x33; 16]) } else { DocumentId::ZERO },
        author: if control { DeviceId::ZERO } else { DeviceId([0x44; 16]) },
        author_seq: 0x0001_0203_0405_0607,
        base_size: if control { Cursor::START } else { Cursor(0x0008_090a_0b0c_0d0e) },
        base_root: if control { Hash::ZERO } else { Hash([0x55; 32]) },
        nonce: if sealed { [0x66; 24] } else { [0; 24] },
    }
}

/// `len` bytes that stand for ciphertext and tag: nothing here opens them.
pub fn sealed(len: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(len).collect()
}

/// A body that `kind` may have: the shortest sealed one, or four clear bytes.
pub fn body(kind: Kind) -> Vec<u8> {
    if kind.is_sealed() { sealed(SEALED_MIN) } else { b"body".to_vec() }
}

pub fn envelope(kind: Kind, body: &[u8]) -> Envelope {
    match kind {
        Kind::Control => Envelope::build(header(kind), body, |_| [0; SIGNATURE_LEN]),
        Kind::Update | Kind::Snapshot | Kind::Checkpoint => Envelope::build(header(kind), body, sign(PHONE)),
    }
}

pub fn device(seed: u8, status: Status) -> Device {
    let invite = status == Status::Invite;
    let holds_key = invite || status == Status::Active;
    Device {
        id: device_id(seed),
        ed: ed(seed),
        x: x(seed),
        scope: Scope::ReadWrite,
        status,
        not_after_ms: if invite { 1_800_000_000_000 } else { 0 },
        label: [seed; LABEL_LEN],
        wrap: if holds_key { [seed; WRAP_LEN] } else { [0; WRAP_LEN] },
        link_hash: if invite { Hash::of(&[b"link", &[seed]]) } else { Hash::ZERO },
        access_hash: if invite { Hash::of(&[b"access", &[seed]]) } else { Hash::ZERO },
    }
}

/// A device whose keys were chosen freely and whose id fits them.
pub fn device_with_key(ed: [u8; 32]) -> Device {
    let x = x(STRANGER);
    Device { id: DeviceId::of_keys(&ed, &x), ed, x, ..device(STRANGER, Status::Active) }
}

/// The owner's view of the workspace in `epoch`, its devices in the order a record wants.
pub fn owner(epoch: u32, mut devices: Vec<Device>) -> Owner {
    devices.sort_by_key(|device| device.id);
    Owner {
        ed: ed(OWNER),
        x: x(OWNER),
        epoch,
        ek_commit: Hash::of(&[b"ek_commit", &epoch.to_be_bytes()]),
        back_link: if epoch == 1 { [0; 48] } else { [0xb1; 48] },
        wrap: [0x0a; WRAP_LEN],
        recovery_verifier: [0x0b; 32],
        recovery_blob: [0x0c; 81],
        devices,
    }
}

/// `joiner` takes the place of `invite`.
pub fn replace(invite: u8, joiner: u8) -> Replace {
    Replace {
        invite: device_id(invite),
        device: device_id(joiner),
        ed: ed(joiner),
        x: x(joiner),
        label: [joiner; LABEL_LEN],
    }
}

/// The successor of the roster's newest record, whether or not the roster will have it.
pub fn next(roster: &Roster, body: RecordBody, signer: u8) -> Record {
    Record::build(roster.workspace(), roster.version() + 1, roster.hash(), body, sign(signer))
}

/// A whole life: genesis, an invite, its use, the epoch after it, a revocation, a list without those who went,
/// the end.
pub fn chain() -> Vec<Record> {
    let phone = || device(PHONE, Status::Active);
    let used = || device(INVITE, Status::Replaced);
    let steps = [
        (RecordBody::Owner(owner(1, vec![phone()])), OWNER),
        (RecordBody::Owner(owner(1, vec![phone(), device(INVITE, Status::Invite)])), OWNER),
        (RecordBody::Replace(replace(INVITE, LAPTOP)), INVITE),
        (RecordBody::Owner(owner(2, vec![phone(), used(), device(LAPTOP, Status::Active)])), OWNER),
        (RecordBody::Owner(owner(3, vec![phone(), used(), device(LAPTOP, Status::Revoked)])), OWNER),
        (RecordBody::Owner(owner(3, vec![phone()])), OWNER),
        (RecordBody::Purge, OWNER),
    ];
    let mut roster = Roster::empty(workspace());
    steps
        .into_iter()
        .map(|(body, signer)| {
            let record = next(&roster, body, signer);
            roster.apply(&record).expect("the chain of the tests keeps the rules");
            record
        })
        .collect()
}

/// The roster after the first `records` of [`chain`].
pub fn roster_after(records: usize) -> Roster {
    Roster::verify(workspace(), &chain()[..records]).expect("the chain of the tests keeps the rules")
}
