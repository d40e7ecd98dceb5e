//! Bytes nobody promised anything about: no reader panics, and what one accepts it can say again.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use roost_shared::plaintext::{Compression, Head};
use roost_shared::roster::{Record, Roster};
use roost_shared::tree::Frontier;
use roost_shared::wire::codec::{decode_envelopes, decode_items, encode_envelopes, encode_items};
use roost_shared::wire::message::{ClientMessage, ServerMessage};
use roost_shared::{Envelope, Hash, Kind};

use crate::{samples, strategies};

/// The last 64 bytes, for rebuilding what is signed without its key.
fn signature_of(bytes: &[u8]) -> [u8; 64] {
    bytes[bytes.len() - 64..].try_into().expect("64 bytes")
}

/// A message may be said in more than one way (a varint need not be the shortest), so the meaning has to survive.
fn judge_messages(bytes: &[u8]) {
    if let Ok(message) = ClientMessage::decode(bytes) {
        assert_eq!(ClientMessage::decode(&message.encode()), Ok(message));
    }
    if let Ok(message) = ServerMessage::decode(bytes) {
        assert_eq!(ServerMessage::decode(&message.encode()), Ok(message));
    }
    if let Ok(envelopes) = decode_envelopes(bytes) {
        assert_eq!(decode_envelopes(&encode_envelopes(&envelopes)), Ok(envelopes));
    }
    if let Ok(items) = decode_items(bytes) {
        assert_eq!(decode_items(&encode_items(&items)), Ok(items));
    }
}

/// What is hashed has one way to be said, so the very bytes have to come back.
fn judge_layouts(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::parse(bytes.to_vec()) {
        assert_eq!(envelope.as_bytes(), bytes);
        let again = Envelope::build(envelope.header().clone(), envelope.body(), |_| signature_of(bytes));
        assert_eq!(again, envelope);
        envelope.is_signed_by(&samples::key(samples::PHONE).verifying_key());
    }
    if let Ok(record) = Record::parse(bytes.to_vec()) {
        assert_eq!(record.as_bytes(), bytes);
        let body = record.body.clone();
        let again = Record::build(record.workspace, record.version, record.previous, body, |_| signature_of(bytes));
        assert_eq!(again, record);
        drop(Roster::verify(record.workspace, &[record]));
    }
    if let Some(frontier) = Frontier::decode(bytes) {
        assert_eq!(frontier.encode(), bytes);
        frontier.root();
    }
    if let Ok((head, body)) = Head::parse(bytes) {
        assert_eq!(Head::parse(&head.plaintext(body)), Ok((head, body)));
    }
}

fn judge(bytes: &[u8]) {
    judge_messages(bytes);
    judge_layouts(bytes);
}

/// What happens to sound bytes on the way: flipped bits, an end cut off, bytes from elsewhere in the middle.
#[derive(Debug, Clone)]
enum Harm {
    Flip(Vec<(Index, u8)>),
    Cut(Index),
    Splice(Index, Vec<u8>),
}

impl Harm {
    fn strategy() -> impl Strategy<Value = Self> {
        prop_oneof![
            vec((any::<Index>(), 0u8..8), 1..=4).prop_map(Self::Flip),
            any::<Index>().prop_map(Self::Cut),
            (any::<Index>(), strategies::bytes(12)).prop_map(|(at, bytes)| Self::Splice(at, bytes)),
        ]
    }

    fn done_to(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Flip(flips) => {
                for (at, bit) in flips {
                    let at = at.index(bytes.len());
                    bytes[at] ^= 1 << *bit;
                }
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Splice(at, more) => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + more.len());
                drop(bytes.splice(at..end, more.iter().copied()));
            }
        }
        bytes
    }
}

/// Sound bytes of everything that is laid out by hand.
fn sound_layouts() -> Vec<Vec<u8>> {
    let kinds = [Kind::Update, Kind::Snapshot, Kind::Control, Kind::Checkpoint];
    let head = Head {
        compression: Compression::None,
        schema: 1,
        reader_min: 1,
        loro: (1, 17),
        part: 0,
        parts: 1,
        blob: [0; 16],
    };
    let mut frontier = Frontier::default();
    (0..7u8).for_each(|byte| frontier.append(Hash([byte; 32])));
    let envelope = |kind| samples::envelope(kind, &samples::body(kind)).into_bytes();
    let mut sound: Vec<_> = kinds.into_iter().map(envelope).collect();
    sound.extend(samples::chain().iter().map(|record| record.as_bytes().to_vec()));
    sound.extend([head.plaintext(b"body"), frontier.encode()]);
    sound
}

#[test]
fn sound_bytes_pass() {
    for bytes in sound_layouts() {
        judge(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes(bytes in strategies::bytes(800)) {
        judge(&bytes);
    }

    /// Random bytes rarely start with a known type; these always do.
    #[test]
    fn random_fields(
        kind in prop_oneof![0x01u8..=0x05, 0x41u8..=0x49],
        // Small numbers make plausible counts and tags.
        fields in vec(prop_oneof![0u8..6, select(vec![0xfbu8, 0xfc, 0xfd, 0xfe, 0xff]), any::<u8>()], 0..=400),
    ) {
        judge_messages(&[&[kind][..], &fields].concat());
        judge_messages(&fields);
    }

    /// Random bytes behind the right magic, suite, kind and flags.
    #[test]
    fn random_layouts(
        magic in select(vec![*b"RST1", *b"RSR1"]),
        kind in 1u8..=4,
        rest in strategies::bytes(1_200),
    ) {
        let marks = if magic == *b"RST1" { [1, kind, 0, 0] } else { [kind, 1, 0, 0] };
        judge_layouts(&[&magic[..], &marks, &rest].concat());
    }

    #[test]
    fn harmed_client_messages(message in strategies::client_message(), harm in Harm::strategy()) {
        judge(&harm.done_to(message.encode()));
    }

    #[test]
    fn harmed_server_messages(message in strategies::server_message(), harm in Harm::strategy()) {
        judge(&harm.done_to(message.encode()));
    }

    #[test]
    fn harmed_streams(
        envelopes in vec(strategies::bytes(200), 0..=6),
        items in vec(strategies::item(), 0..=6),
        harm in Harm::strategy(),
    ) {
        judge_messages(&harm.done_to(encode_envelopes(&envelopes)));
        judge_messages(&harm.done_to(encode_items(&items)));
    }

    #[test]
    fn harmed_layouts(bytes in select(sound_layouts()), harm in Harm::strategy()) {
        judge(&harm.done_to(bytes));
    }
}
