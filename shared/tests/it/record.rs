//! The bytes of the three records, and the fields that have no valid value.

use roost_shared::Hash;
use roost_shared::limits::{DEVICES_MAX, ROSTER_DEVICE_LEN, ROSTER_RECORD_MAX};
use roost_shared::roster::{Record, RecordBody, RecordError, Status};
use sha2::{Digest, Sha256};

use crate::samples::{
    INVITE, LAPTOP, OWNER, PHONE, chain, device, device_id, ed, next, owner, replace, roster_after, sign, workspace, x,
};

/// Where the first device of an owner record begins.
const FIRST_DEVICE: usize = 407;

/// An owner record that lists one device of `status`.
fn listing(status: Status) -> Vec<u8> {
    let body = RecordBody::Owner(owner(1, vec![device(PHONE, status)]));
    next(&roster_after(0), body, OWNER).as_bytes().to_vec()
}

/// What parsing says of `record` after `bytes` were written at `at`.
fn altered(record: &[u8], at: usize, bytes: &[u8]) -> RecordError {
    let mut bad = record.to_vec();
    bad[at..at + bytes.len()].copy_from_slice(bytes);
    Record::parse(bad).expect_err("the field must be refused")
}

#[test]
fn owner_record_byte_by_byte() {
    let record = &chain()[1];
    let bytes = record.as_bytes();
    assert_eq!(bytes.len(), FIRST_DEVICE + 2 * ROSTER_DEVICE_LEN + 64);
    assert_eq!(&bytes[0..4], b"RSR1", "magic");
    assert_eq!(bytes[4..8], [1, 1, 0, 0], "kind, suite, flags");
    assert_eq!(bytes[8..24], workspace().0, "workspace");
    assert_eq!(bytes[24..32], [0, 0, 0, 0, 0, 0, 0, 2], "version");
    assert_eq!(bytes[32..64], chain()[0].hash().0, "previous record");
    assert_eq!(bytes[64..96], ed(OWNER), "owner Ed25519 key");
    assert_eq!(bytes[96..128], x(OWNER), "owner X25519 key");
    assert_eq!(bytes[128..132], [0, 0, 0, 1], "epoch");
    assert_eq!(bytes[132..164], owner(1, vec![]).ek_commit.0, "ek_commit");
    assert_eq!(bytes[164..212], [0; 48], "back link");
    assert_eq!(bytes[212..292], [0x0a; 80], "wrapped epoch key");
    assert_eq!(bytes[292..324], [0x0b; 32], "recovery verifier");
    assert_eq!(bytes[324..405], [0x0c; 81], "recovery blob");
    assert_eq!(bytes[405..407], [0, 2], "device count");
    assert_eq!(record.hash().0, <[u8; 32]>::from(Sha256::digest(bytes)));
    assert!(record.is_signed_by(&ed(OWNER)) && !record.is_signed_by(&ed(PHONE)));
}

#[test]
fn device_byte_by_byte() {
    let invite = device(PHONE, Status::Invite);
    let bytes = listing(Status::Invite);
    let bytes = &bytes[FIRST_DEVICE..FIRST_DEVICE + ROSTER_DEVICE_LEN];
    assert_eq!(bytes[0..16], device_id(PHONE).0, "id");
    assert_eq!(bytes[16..48], ed(PHONE), "Ed25519 key");
    assert_eq!(bytes[48..80], x(PHONE), "X25519 key");
    assert_eq!(bytes[80..82], [2, 3], "scope, status");
    assert_eq!(bytes[82..90], 1_800_000_000_000u64.to_be_bytes(), "not_after");
    assert_eq!(bytes[90..186], [PHONE; 96], "label");
    assert_eq!(bytes[186..266], [PHONE; 80], "wrapped epoch key");
    assert_eq!(bytes[266..298], invite.link_hash.0, "link proof");
    assert_eq!(bytes[298..330], invite.access_hash.0, "access proof");
}

#[test]
fn replace_and_purge_byte_by_byte() {
    let bytes = chain()[2].as_bytes().to_vec();
    assert_eq!(bytes.len(), 64 + 192 + 64);
    assert_eq!(bytes[4], 2, "kind");
    assert_eq!(bytes[64..80], device_id(INVITE).0, "invite");
    assert_eq!(bytes[80..96], device_id(LAPTOP).0, "new device");
    assert_eq!(bytes[96..128], ed(LAPTOP), "Ed25519 key");
    assert_eq!(bytes[128..160], x(LAPTOP), "X25519 key");
    assert_eq!(bytes[160..256], [LAPTOP; 96], "label");

    let bytes = chain()[6].as_bytes().to_vec();
    assert_eq!(bytes.len(), 64 + 64);
    assert_eq!(bytes[4], 3, "kind");
}

#[test]
fn the_signature_covers_label_and_hash() {
    let mut signed = Vec::new();
    let record = Record::build(workspace(), 1, Hash::ZERO, RecordBody::Purge, |text| {
        signed = text.to_vec();
        [0x77; 64]
    });
    let (covered, signature) = record.as_bytes().split_at(64);
    assert_eq!(signature, [0x77; 64]);
    assert_eq!(signed, [&b"roost/v1/roster\0"[..], &<[u8; 32]>::from(Sha256::digest(covered))].concat());
}

#[test]
fn records_parse_back() {
    for record in chain() {
        assert_eq!(Record::parse(record.as_bytes().to_vec()), Ok(record));
    }
}

#[test]
fn every_truncation_and_every_byte_more_is_refused() {
    for record in chain() {
        let bytes = record.as_bytes();
        for len in 0..bytes.len() {
            assert!(Record::parse(bytes[..len].to_vec()).is_err(), "{len} of {} bytes", bytes.len());
        }
        assert_eq!(Record::parse([bytes, &[0]].concat()), Err(RecordError::Trailing));
    }
    let too_large = vec![0; ROSTER_RECORD_MAX + 1];
    assert_eq!(Record::parse(too_large), Err(RecordError::TooLarge(ROSTER_RECORD_MAX + 1)));
}

#[test]
fn fixed_fields_have_one_value() {
    for record in chain() {
        let bytes = record.as_bytes();
        assert_eq!(altered(bytes, 0, b"RST1"), RecordError::Magic, "an envelope is no record");
        assert_eq!(altered(bytes, 5, &[0]), RecordError::Field("suite"));
        assert_eq!(altered(bytes, 6, &[0, 1]), RecordError::Field("flags"));
        assert_eq!(altered(bytes, 4, &[0]), RecordError::Field("kind"));
        assert_eq!(altered(bytes, 4, &[4]), RecordError::Field("kind"));
        assert_eq!(altered(bytes, 24, &[0; 8]), RecordError::Field("version"));
    }
    let (first, second) = (chain()[0].clone(), chain()[1].clone());
    assert_eq!(altered(first.as_bytes(), 63, &[1]), RecordError::Field("version"), "nothing precedes the first");
    assert_eq!(altered(second.as_bytes(), 32, &[0; 32]), RecordError::Field("version"), "something precedes others");
}

#[test]
fn device_fields_without_a_meaning_are_refused() {
    let active = listing(Status::Active);
    for (at, field) in [(0, "device id"), (16, "device id"), (48, "device id"), (80, "scope"), (81, "status")] {
        let other = active[FIRST_DEVICE + at] ^ 0x40;
        assert_eq!(altered(&active, FIRST_DEVICE + at, &[other]), RecordError::Field(field), "byte {at}");
    }
    for none in [0, 3] {
        assert_eq!(altered(&active, FIRST_DEVICE + 80, &[none]), RecordError::Field("scope"));
    }
    for none in [0, 5] {
        assert_eq!(altered(&active, FIRST_DEVICE + 81, &[none]), RecordError::Field("status"));
    }
    let mut replaced = replace(INVITE, LAPTOP);
    replaced.x = [7; 32];
    let record = Record::build(workspace(), 3, Hash([7; 32]), RecordBody::Replace(replaced), sign(INVITE));
    assert_eq!(Record::parse(record.as_bytes().to_vec()), Err(RecordError::Field("device id")));
}

#[test]
fn device_fields_fit_the_status() {
    let invite = listing(Status::Invite);
    assert_eq!(altered(&invite, FIRST_DEVICE + 82, &[0; 8]), RecordError::Field("not_after"));
    assert_eq!(altered(&invite, FIRST_DEVICE + 266, &[0; 32]), RecordError::Field("proof hashes"));
    assert_eq!(altered(&invite, FIRST_DEVICE + 298, &[0; 32]), RecordError::Field("proof hashes"));
    assert_eq!(altered(&invite, FIRST_DEVICE + 186, &[0; 80]), RecordError::Field("wrapped key"));
    for status in [Status::Active, Status::Revoked, Status::Replaced] {
        let bytes = listing(status);
        assert!(Record::parse(bytes.clone()).is_ok(), "{status:?}");
        assert_eq!(altered(&bytes, FIRST_DEVICE + 89, &[1]), RecordError::Field("not_after"), "{status:?}");
        assert_eq!(altered(&bytes, FIRST_DEVICE + 297, &[1]), RecordError::Field("proof hashes"), "{status:?}");
        assert_eq!(altered(&bytes, FIRST_DEVICE + 329, &[1]), RecordError::Field("proof hashes"), "{status:?}");
    }
    assert_eq!(altered(&listing(Status::Active), FIRST_DEVICE + 186, &[0; 80]), RecordError::Field("wrapped key"));
    for status in [Status::Revoked, Status::Replaced] {
        let error = altered(&listing(status), FIRST_DEVICE + 265, &[1]);
        assert_eq!(error, RecordError::Field("wrapped key"), "{status:?} holds no key");
    }
}

#[test]
fn a_device_count_beyond_limit_or_bytes_is_refused() {
    let bytes = listing(Status::Active);
    for count in [2, DEVICES_MAX, DEVICES_MAX + 1, usize::from(u16::MAX)] {
        let count = u16::try_from(count).expect("a u16");
        assert_eq!(altered(&bytes, 405, &count.to_be_bytes()), RecordError::Field("device count"), "{count}");
    }
    assert_eq!(altered(&bytes, 405, &[0, 0]), RecordError::Trailing, "devices nobody counted");
}

#[test]
fn a_full_roster_fits_a_record() {
    // Ids are hashes of the keys, so the keys need not be points for the layout.
    let mut devices: Vec<_> = (0..DEVICES_MAX)
        .map(|at| {
            let mut full = device(PHONE, Status::Active);
            full.x[..8].copy_from_slice(&(at as u64).to_be_bytes());
            full.id = roost_shared::DeviceId::of_keys(&full.ed, &full.x);
            full
        })
        .collect();
    let parsed = |devices: &[_]| {
        let body = RecordBody::Owner(owner(1, devices.to_vec()));
        Record::parse(next(&roster_after(0), body, OWNER).as_bytes().to_vec()).map(|_| ())
    };
    assert_eq!(parsed(&devices), Ok(()));
    devices.push(device(LAPTOP, Status::Active));
    assert_eq!(parsed(&devices), Err(RecordError::Field("device count")));
}
