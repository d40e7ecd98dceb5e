//! What is sealed opens for whom it was sealed, and only unchanged.

use ed25519_dalek::VerifyingKey;
use proptest::prelude::*;
use roost::keys::EpochKey;
use roost::keys::seal::{self, SealBroken};
use roost_shared::limits::{HEADER_LEN, LABEL_TEXT_MAX, SIGNATURE_LEN, TAG_LEN};
use roost_shared::{Cursor, DocumentId, Envelope, Hash, Header, Kind, LogId, WorkspaceId};

use crate::fixtures::{LAPTOP, PHONE, STRANGER, device, epoch_key, owner, workspace};

/// Points of small order on Curve25519: with each the shared secret is zeros, known to everyone.
pub(super) const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

pub(super) fn point(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

#[test]
fn a_wrap_opens_for_its_recipient_alone() {
    let (key, phone) = (epoch_key(1), device(PHONE));
    let wrap = seal::wrap(&key, &phone.x(), [7; 32]).unwrap();
    let opened = seal::unwrap(workspace(), 1, &phone, &wrap).unwrap();
    assert_eq!((opened.epoch(), opened.commit()), (1, key.commit()));
    for other in [device(LAPTOP), device(STRANGER), owner()] {
        assert_eq!(seal::unwrap(workspace(), 1, &other, &wrap).err(), Some(SealBroken));
    }
    assert_eq!(seal::unwrap(workspace(), 2, &phone, &wrap).err(), Some(SealBroken), "another epoch");
    assert_eq!(seal::unwrap(WorkspaceId([3; 16]), 1, &phone, &wrap).err(), Some(SealBroken), "another workspace");
}

#[test]
fn a_changed_wrap_does_not_open() {
    let phone = device(PHONE);
    let wrap = seal::wrap(&epoch_key(1), &phone.x(), [7; 32]).unwrap();
    for bit in 0..wrap.len() * 8 {
        let mut changed = wrap;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(seal::unwrap(workspace(), 1, &phone, &changed).err(), Some(SealBroken), "bit {bit}");
    }
}

#[test]
fn nothing_is_wrapped_to_or_from_a_point_of_small_order() {
    let phone = device(PHONE);
    for text in SMALL_ORDER {
        assert_eq!(seal::wrap(&epoch_key(1), &point(text), [7; 32]).err(), Some(SealBroken), "{text}");
        let mut wrap = seal::wrap(&epoch_key(1), &phone.x(), [7; 32]).unwrap();
        wrap[..32].copy_from_slice(&point(text));
        assert_eq!(seal::unwrap(workspace(), 1, &phone, &wrap).err(), Some(SealBroken), "{text}");
    }
}

#[test]
fn a_back_link_opens_with_its_own_epochs_key() {
    let (first, second) = (epoch_key(1), epoch_key(2));
    let link = seal::back_link(&second, &first);
    let opened = seal::open_back_link(&second, 1, &link).unwrap();
    assert_eq!((opened.epoch(), opened.commit()), (1, first.commit()));
    assert_eq!(seal::open_back_link(&epoch_key(3), 1, &link).err(), Some(SealBroken), "another key");
    assert_eq!(seal::open_back_link(&second, 2, &link).err(), Some(SealBroken), "said to be of another epoch");
    for bit in 0..link.len() * 8 {
        let mut changed = link;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(seal::open_back_link(&second, 1, &changed).err(), Some(SealBroken), "bit {bit}");
    }
}

#[test]
fn a_commitment_names_key_epoch_and_workspace() {
    let commit = EpochKey::new(workspace(), 1, [5; 32]).commit();
    assert_eq!(EpochKey::new(workspace(), 1, [5; 32]).commit(), commit);
    assert_ne!(EpochKey::new(workspace(), 1, [6; 32]).commit(), commit);
    assert_ne!(EpochKey::new(workspace(), 2, [5; 32]).commit(), commit);
    assert_ne!(EpochKey::new(WorkspaceId([3; 16]), 1, [5; 32]).commit(), commit);
}

#[test]
fn a_long_name_is_cut_at_a_character() {
    let (key, phone) = (epoch_key(1), device(PHONE).device_id());
    let just_too_long = format!("{}é", "a".repeat(54)); // its last character is bytes 54 and 55
    for (name, expected) in [
        (String::new(), String::new()),
        ("phone".to_owned(), "phone".to_owned()),
        ("a".repeat(55), "a".repeat(55)),
        ("a".repeat(56), "a".repeat(55)),
        (just_too_long, "a".repeat(54)),
        ("é".repeat(40), "é".repeat(27)),
        ("🪶".repeat(14), "🪶".repeat(13)),
    ] {
        let label = seal::label(&key, phone, [8; 24], &name);
        assert_eq!(seal::open_label(&key, phone, &label), Ok(expected), "{name}");
    }
}

#[test]
fn a_label_is_for_one_device_and_one_epoch() {
    let (key, phone) = (epoch_key(1), device(PHONE).device_id());
    let label = seal::label(&key, phone, [8; 24], "phone");
    assert_eq!(seal::open_label(&key, device(LAPTOP).device_id(), &label), Err(SealBroken));
    assert_eq!(seal::open_label(&epoch_key(2), phone, &label), Err(SealBroken));
    for bit in 0..label.len() * 8 {
        let mut changed = label;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(seal::open_label(&key, phone, &changed), Err(SealBroken), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn a_name_loses_no_more_than_it_must(name in prop::collection::vec(any::<char>(), 0..40)) {
        let (key, phone) = (epoch_key(1), device(PHONE).device_id());
        let name: String = name.into_iter().collect();
        let opened = seal::open_label(&key, phone, &seal::label(&key, phone, [8; 24], &name)).unwrap();
        prop_assert!(opened.len() <= LABEL_TEXT_MAX);
        let rest = name.strip_prefix(opened.as_str());
        prop_assert!(rest.is_some(), "{opened:?} is not the beginning of {name:?}");
        let next = rest.and_then(|rest| rest.chars().next());
        prop_assert!(next.is_none_or(|next| opened.len() + next.len_utf8() > LABEL_TEXT_MAX));
    }
}

/// No byte of it is so small that a flipped bit makes it zero.
fn header() -> Header {
    Header {
        kind: Kind::Update,
        epoch: 0x0102_0304,
        workspace: workspace(),
        log: LogId([0x22; 16]),
        document: DocumentId([0x33; 16]),
        author: device(PHONE).device_id(),
        author_seq: 0x0506_0708,
        base_size: Cursor(0x090a_0b0c),
        base_root: Hash([0x55; 32]),
        nonce: [0x66; 24],
    }
}

fn header_key() -> EpochKey {
    EpochKey::new(workspace(), 0x0102_0304, [0xe4; 32])
}

fn sealed() -> Envelope {
    seal::envelope(&header_key(), &device(PHONE), header(), &[0xab; 256])
}

#[test]
fn an_envelope_opens_and_is_signed() {
    let envelope = sealed();
    assert_eq!(seal::plaintext(&header_key(), &envelope), Ok(vec![0xab; 256]));
    assert_eq!(envelope.body().len(), 256 + TAG_LEN);
    assert_eq!(envelope.header(), &header());
    let signed_by = |seed| envelope.is_signed_by(&VerifyingKey::from_bytes(&device(seed).ed()).unwrap());
    assert!(signed_by(PHONE));
    assert!(!signed_by(LAPTOP));
    assert_eq!(Envelope::parse(envelope.as_bytes().to_vec()).as_ref(), Ok(&envelope), "every reader takes it");
}

#[test]
fn an_envelope_opens_with_its_own_epochs_key_alone() {
    let envelope = sealed();
    for other in [
        EpochKey::new(workspace(), 0x0102_0304, [0xe5; 32]),
        EpochKey::new(workspace(), 0x0102_0305, [0xe4; 32]),
        EpochKey::new(WorkspaceId([3; 16]), 0x0102_0304, [0xe4; 32]),
    ] {
        assert_eq!(seal::plaintext(&other, &envelope), Err(SealBroken));
    }
}

#[test]
fn no_header_byte_can_be_changed() {
    let bytes = sealed().into_bytes();
    let mut unopened = 0;
    for at in 0..HEADER_LEN {
        for mask in [0x01, 0x03, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            let Ok(envelope) = Envelope::parse(changed) else { continue };
            assert_eq!(seal::plaintext(&header_key(), &envelope), Err(SealBroken), "byte {at} ^ {mask:#x}");
            unopened += 1;
        }
    }
    // Epoch to nonce, and the kind as a snapshot; magic, suite, flags and length have one value and do not parse.
    assert_eq!(unopened, (148 - 8) * 3 + 1);
}

#[test]
fn no_bit_of_the_body_can_be_changed() {
    let bytes = sealed().into_bytes();
    for bit in HEADER_LEN * 8..(bytes.len() - SIGNATURE_LEN) * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let envelope = Envelope::parse(changed).unwrap();
        assert_eq!(seal::plaintext(&header_key(), &envelope), Err(SealBroken), "bit {bit}");
    }
}

#[test]
fn each_document_has_a_key_of_its_own() {
    let other = Header { document: DocumentId([0x34; 16]), ..header() };
    let other = seal::envelope(&header_key(), &device(PHONE), other, &[0xab; 256]);
    let text = |envelope: &Envelope| envelope.body()[..256].to_vec();
    assert_ne!(text(&sealed()), text(&other), "the same nonce and plaintext under another document");
}
