//! The envelope's bytes, its field rules and its signature.

use roost_shared::envelope::EnvelopeError;
use roost_shared::limits::{BODY_MAX, ENVELOPE_MAX, ENVELOPE_OVERHEAD};
use roost_shared::{Cursor, DeviceId, DocumentId, Envelope, Hash, Kind, LogId, WorkspaceId};
use sha2::{Digest, Sha256};

use crate::samples::{self, PHONE, SEALED_MIN, STRANGER};

const KINDS: [Kind; 4] = [Kind::Update, Kind::Snapshot, Kind::Control, Kind::Checkpoint];

/// What parsing says of a sound envelope of `kind` after `bytes` were written at `at`.
fn altered(kind: Kind, at: usize, bytes: &[u8]) -> EnvelopeError {
    let mut bad = samples::envelope(kind, &samples::body(kind)).into_bytes();
    bad[at..at + bytes.len()].copy_from_slice(bytes);
    Envelope::parse(bad).expect_err("the field must be refused")
}

#[test]
fn layout_byte_by_byte() {
    let envelope = samples::envelope(Kind::Update, b"body!");
    let bytes = envelope.as_bytes();
    assert_eq!(bytes.len(), 152 + 5 + 64);
    assert_eq!(&bytes[0..4], b"RST1", "magic");
    assert_eq!(bytes[4], 1, "suite");
    assert_eq!(bytes[5], 1, "kind");
    assert_eq!(bytes[6..8], [0, 0], "flags");
    assert_eq!(bytes[8..12], [1, 2, 3, 4], "epoch");
    assert_eq!(bytes[12..28], [0x11; 16], "workspace");
    assert_eq!(bytes[28..44], [0x22; 16], "log");
    assert_eq!(bytes[44..60], [0x33; 16], "document");
    assert_eq!(bytes[60..76], [0x44; 16], "author");
    assert_eq!(bytes[76..84], [0, 1, 2, 3, 4, 5, 6, 7], "author_seq");
    assert_eq!(bytes[84..92], [0, 8, 9, 10, 11, 12, 13, 14], "base_size");
    assert_eq!(bytes[92..124], [0x55; 32], "base_root");
    assert_eq!(bytes[124..148], [0x66; 24], "nonce");
    assert_eq!(bytes[148..152], [0, 0, 0, 5], "body_len");
    assert_eq!(&bytes[152..157], b"body!");

    assert_eq!(envelope.header_bytes(), &bytes[..152]);
    assert_eq!(envelope.header().encode(5), bytes[..152]);
    assert_eq!(envelope.body(), b"body!");
    assert_eq!(envelope.hash().0, <[u8; 32]>::from(Sha256::digest(bytes)));
}

#[test]
fn every_kind_parses_back() {
    for (kind, number) in KINDS.into_iter().zip(1..) {
        let bodies = if kind.is_sealed() {
            [samples::sealed(SEALED_MIN), samples::sealed(SEALED_MIN + 1)]
        } else {
            [vec![], b"body".to_vec()]
        };
        for body in bodies {
            let envelope = samples::envelope(kind, &body);
            assert_eq!(envelope.as_bytes()[5], number);
            assert_eq!(Envelope::parse(envelope.as_bytes().to_vec()), Ok(envelope));
        }
    }
}

#[test]
fn the_signature_covers_label_and_hash() {
    let mut signed = Vec::new();
    let envelope = Envelope::build(samples::header(Kind::Snapshot), b"body", |text| {
        signed = text.to_vec();
        [0x77; 64]
    });
    let (covered, signature) = envelope.as_bytes().split_at(156);
    assert_eq!(signature, [0x77; 64]);
    assert_eq!(signed, [&b"roost/v1/envelope\0"[..], &<[u8; 32]>::from(Sha256::digest(covered))].concat());
}

#[test]
fn fixed_fields_have_one_value() {
    for kind in KINDS {
        for at in 0..4 {
            assert_eq!(altered(kind, at, b"?"), EnvelopeError::Magic);
        }
        assert_eq!(altered(kind, 4, &[0]), EnvelopeError::Suite(0), "there is no clear mode");
        assert_eq!(altered(kind, 4, &[2]), EnvelopeError::Suite(2));
        assert_eq!(altered(kind, 6, &[1]), EnvelopeError::Flags);
        assert_eq!(altered(kind, 7, &[0x80]), EnvelopeError::Flags);
    }
    for byte in [0, 5, 255] {
        assert_eq!(altered(Kind::Update, 5, &[byte]), EnvelopeError::Kind(byte));
    }
}

#[test]
fn fields_fit_the_kind() {
    for kind in KINDS {
        assert_eq!(altered(kind, 8, &[0; 4]), EnvelopeError::Field("epoch"));
        assert_eq!(altered(kind, 76, &[0; 8]), EnvelopeError::Field("author_seq"));
    }
    for kind in [Kind::Update, Kind::Snapshot] {
        assert_eq!(altered(kind, 44, &[0; 16]), EnvelopeError::Field("document"));
        assert_eq!(altered(kind, 60, &[0; 16]), EnvelopeError::Field("author"));
    }
    assert_eq!(altered(Kind::Checkpoint, 60, &[0; 16]), EnvelopeError::Field("author"));
    // Each zero field of the clear kinds, in its first and in its last byte.
    let zeros = [
        (Kind::Checkpoint, "document", 44..60),
        (Kind::Checkpoint, "nonce", 124..148),
        (Kind::Control, "document", 44..60),
        (Kind::Control, "author", 60..76),
        (Kind::Control, "base_size", 84..92),
        (Kind::Control, "base_root", 92..124),
        (Kind::Control, "nonce", 124..148),
        (Kind::Control, "signature", 156..220),
    ];
    for (kind, field, range) in zeros {
        for at in [range.start, range.end - 1] {
            assert_eq!(altered(kind, at, &[1]), EnvelopeError::Field(field), "{kind:?} byte {at}");
        }
    }
}

#[test]
fn lengths_agree() {
    for body_len in [0u32, 271, 273, u32::MAX] {
        assert_eq!(altered(Kind::Update, 148, &body_len.to_be_bytes()), EnvelopeError::BodyLength);
    }
    let good = samples::envelope(Kind::Update, &samples::body(Kind::Update)).into_bytes();
    for len in 0..152 {
        assert!(matches!(Envelope::parse(good[..len].to_vec()), Err(EnvelopeError::Truncated(_))), "{len} bytes");
    }
    for len in 152..good.len() {
        assert_eq!(Envelope::parse(good[..len].to_vec()), Err(EnvelopeError::BodyLength), "{len} bytes");
    }
    assert_eq!(Envelope::parse([&good[..], &[0]].concat()), Err(EnvelopeError::BodyLength));
}

#[test]
fn a_sealed_body_holds_padding_and_tag() {
    assert_eq!(SEALED_MIN, 272);
    for kind in [Kind::Update, Kind::Snapshot] {
        for len in [0, 1, 16, 256, SEALED_MIN - 1] {
            let short = samples::envelope(kind, &samples::sealed(len)).into_bytes();
            assert_eq!(Envelope::parse(short), Err(EnvelopeError::Field("body_len")), "{kind:?} of {len} bytes");
        }
        assert!(Envelope::parse(samples::envelope(kind, &samples::sealed(SEALED_MIN)).into_bytes()).is_ok());
    }
}

#[test]
fn the_largest_envelope_and_one_byte_more() {
    let largest = samples::envelope(Kind::Update, &vec![7; BODY_MAX]);
    assert_eq!(largest.as_bytes().len(), ENVELOPE_MAX);
    let mut bytes = largest.into_bytes();
    assert!(Envelope::parse(bytes.clone()).is_ok());
    bytes.push(0);
    assert_eq!(Envelope::parse(bytes), Err(EnvelopeError::TooLarge(ENVELOPE_MAX + 1)));
}

#[test]
#[should_panic(expected = "split")]
fn a_body_over_the_limit_is_a_bug_of_the_caller() {
    samples::envelope(Kind::Update, &vec![7; BODY_MAX + 1]);
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let key = samples::key(PHONE).verifying_key();
    let good = samples::envelope(Kind::Update, &samples::body(Kind::Update)).into_bytes();
    assert!(Envelope::parse(good.clone()).is_ok_and(|envelope| envelope.is_signed_by(&key)));
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let accepted = Envelope::parse(bad).is_ok_and(|envelope| envelope.is_signed_by(&key));
        assert!(!accepted, "bit {} of byte {}", bit % 8, bit / 8);
    }
}

#[test]
fn only_the_author_signs() {
    let envelope = samples::envelope(Kind::Checkpoint, b"body");
    assert!(envelope.is_signed_by(&samples::key(PHONE).verifying_key()));
    assert!(!envelope.is_signed_by(&samples::key(STRANGER).verifying_key()));
}

#[test]
fn control_is_the_same_bytes_on_every_server() {
    let (workspace, log) = (WorkspaceId([1; 16]), LogId([2; 16]));
    let entry = Envelope::control(workspace, log, 3, 4, b"record");
    assert_eq!(entry, Envelope::control(workspace, log, 3, 4, b"record"));
    assert_eq!(Envelope::parse(entry.as_bytes().to_vec()).as_ref(), Ok(&entry));

    let header = entry.header();
    assert_eq!((header.kind, header.epoch, header.author_seq), (Kind::Control, 3, 4));
    assert_eq!((header.workspace, header.log), (workspace, log));
    assert_eq!((header.document, header.author), (DocumentId::ZERO, DeviceId::ZERO));
    assert_eq!((header.base_size, header.base_root), (Cursor::START, Hash::ZERO));
    assert_eq!(header.nonce, [0; 24]);
    assert_eq!(entry.body(), b"record");
    assert_eq!(entry.as_bytes().len(), 6 + ENVELOPE_OVERHEAD);
    assert_eq!(entry.as_bytes()[158..], [0; 64]);
    assert!(!entry.is_signed_by(&samples::key(PHONE).verifying_key()), "the record inside is signed, not the entry");
}
