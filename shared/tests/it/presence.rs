//! Presence: its layout, what is sealed in it, and what every reader refuses.

use ed25519_dalek::Signer as _;
use proptest::prelude::*;
use roost_shared::limits::{EPHEMERAL_MAX, PRESENCE_STATE_MAX, TAG_LEN};
use roost_shared::presence::{
    PRESENCE_HEADER_LEN, PresenceError, PresenceHeader, SealedPresence, decode_state, encode_state,
};
use roost_shared::{DeviceId, DocumentId};

use crate::samples::{self, LAPTOP, PHONE};

fn header() -> PresenceHeader {
    let (workspace, device) = (samples::workspace(), DeviceId([0x44; 16]));
    PresenceHeader { epoch: 3, workspace, device, session: 0x0102_0304_0506_0708, counter: 9, nonce: [0x55; 24] }
}

fn sealed(body: usize) -> SealedPresence {
    SealedPresence::build(header(), &vec![0xbb; body], |text| samples::key(PHONE).sign(text).to_bytes())
}

#[test]
fn it_is_laid_out_as_drawn() {
    let bytes = sealed(272).into_bytes();
    assert_eq!(bytes.len(), PRESENCE_HEADER_LEN + 272 + 64);
    assert_eq!(bytes[..12], *b"RSTP\x01\0\0\0\0\0\0\x03");
    assert_eq!((&bytes[12..28], &bytes[28..44]), (&samples::workspace().0[..], &[0x44; 16][..]));
    assert_eq!(bytes[44..60], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!((&bytes[60..84], &bytes[84..356]), (&[0x55; 24][..], &[0xbb; 272][..]));
    let read = SealedPresence::parse(bytes).unwrap();
    assert_eq!(
        (read.header(), read.body(), read.header_bytes()),
        (&header(), &[0xbb; 272][..], &header().encode()[..])
    );
    assert!(read.is_signed_by(&samples::key(PHONE).verifying_key()));
    assert!(!read.is_signed_by(&samples::key(LAPTOP).verifying_key()));
}

#[test]
fn every_byte_is_signed() {
    let bytes = sealed(272).into_bytes();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let refused = match SealedPresence::parse(altered) {
            Ok(read) => !read.is_signed_by(&samples::key(PHONE).verifying_key()),
            Err(error) => error == PresenceError::Magic && at < 8,
        };
        assert!(refused, "byte {at}");
    }
}

#[test]
fn what_is_too_short_too_long_or_of_another_kind_is_refused() {
    let bytes = sealed(272).into_bytes();
    for len in 0..bytes.len() {
        assert!(SealedPresence::parse(bytes[..len].to_vec()).is_err(), "{len} bytes");
    }
    assert_eq!(SealedPresence::parse(vec![0; EPHEMERAL_MAX + 1]), Err(PresenceError::TooLarge(EPHEMERAL_MAX + 1)));
    assert_eq!(SealedPresence::parse(b"RST1\x01\0\0\0".to_vec()), Err(PresenceError::Magic));
}

#[test]
fn the_state_is_padded_and_read_back() {
    let document = Some(DocumentId([0x33; 16]));
    for (document, state) in [(None, ""), (document, "{}"), (document, "\"é\"")] {
        let plaintext = encode_state(document, state).unwrap();
        assert_eq!(plaintext.len(), 256, "short ones are all as long as each other");
        assert_eq!(decode_state(&plaintext), Ok((document, state)));
    }
    let longest = "x".repeat(PRESENCE_STATE_MAX);
    let plaintext = encode_state(document, &longest).unwrap();
    assert_eq!(decode_state(&plaintext), Ok((document, &longest[..])));
    assert!(sealed(plaintext.len() + TAG_LEN).into_bytes().len() <= EPHEMERAL_MAX);
    assert_eq!(encode_state(document, &"x".repeat(PRESENCE_STATE_MAX + 1)), None);
}

#[test]
fn a_malformed_state_is_refused() {
    let good = encode_state(None, "{}").unwrap();
    let with = |at: usize, byte: u8| {
        let mut altered = good.clone();
        altered[at] = byte;
        decode_state(&altered).unwrap_err()
    };
    assert_eq!(with(0, 2), PresenceError::Format(2));
    for (at, byte) in [(1, 2), (2, 0xff), (4, 0xff), (255, 1)] {
        assert!(matches!(with(at, byte), PresenceError::Plaintext | PresenceError::Truncated(_)), "byte {at}");
    }
    assert_eq!(decode_state(&[&good[..], &[0]].concat()), Err(PresenceError::Plaintext));
    assert!(matches!(decode_state(&[]), Err(PresenceError::Truncated(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        let _ = decode_state(&bytes);
        let begun = [&b"RSTP\x01\0\0\0"[..], &bytes].concat();
        let _ = SealedPresence::parse(begun);
    }
}
