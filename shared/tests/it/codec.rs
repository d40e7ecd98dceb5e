//! The bytes of messages: pinned by hand, round trips, and what is refused.

use proptest::prelude::*;
use proptest::sample::Index;
use roost_shared::limits::{
    APPEND_BYTES_MAX, APPEND_ENVELOPES_MAX, DEVICES_MAX, ENVELOPE_MAX, EPHEMERAL_MAX, ERROR_TEXT_MAX,
    HELLO_DOCUMENTS_MAX, HELLO_MAX, LOG_LIVES_MAX, MESSAGE_MAX, PAGE_ITEMS_MAX, PROOF_HASHES_MAX, TOKEN_MAX,
};
use roost_shared::wire::codec::{CodecError, decode_envelopes, decode_items, encode_envelopes, encode_items};
use roost_shared::wire::message::{Append, ClientMessage, Hello, Item, Seen, ServerMessage, Token};
use roost_shared::{Code, DeviceId, DocumentId, Hash, LogId, WorkspaceId};

use crate::strategies;

/// u64::MAX as a varint.
const HUGE: [u8; 9] = [0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

fn hello(documents: Option<Vec<DocumentId>>) -> Hello {
    Hello {
        protocol: 1,
        token: Token("tok".to_owned()),
        proof: [1; 64],
        workspace: WorkspaceId([2; 16]),
        device: DeviceId([3; 16]),
        log: LogId([4; 16]),
        cursor: 5,
        root: Hash([6; 32]),
        documents,
    }
}

fn append(envelopes: Vec<Vec<u8>>) -> ClientMessage {
    ClientMessage::Append(Append { id: 1, if_tail: None, envelopes })
}

fn too_large(what: &'static str, max: usize) -> CodecError {
    CodecError::TooLarge { what, max }
}

#[test]
fn client_messages_by_hand() {
    let append = Append { id: 1, if_tail: Some(300), envelopes: vec![vec![0xaa, 0xbb], vec![]] };
    let append_bytes = [0x02, 1, 1, 0xfb, 0x2c, 0x01, 2, 2, 0xaa, 0xbb, 0];
    assert_eq!(ClientMessage::Append(append).encode(), append_bytes);
    assert_eq!(ClientMessage::Ephemeral { presence: vec![9] }.encode(), [0x04, 1, 9]);
    assert_eq!(ClientMessage::Renew { token: Token("ab".to_owned()) }.encode(), [0x05, 2, b'a', b'b']);

    let fixed = [&[0x01, 1, 3][..], b"tok", &[1; 64], &[2; 16], &[3; 16], &[4; 16], &[5], &[6; 32]].concat();
    assert_eq!(ClientMessage::Hello(hello(None)).encode(), [&fixed[..], &[0]].concat());
    let documents = Some(vec![DocumentId([7; 16]), DocumentId([8; 16])]);
    let named = [&fixed[..], &[1, 2], &[7; 16], &[8; 16]].concat();
    assert_eq!(ClientMessage::Hello(hello(documents)).encode(), named);
}

#[test]
fn server_messages_by_hand() {
    let nonce = ServerMessage::Challenge { nonce: [7; 32] };
    assert_eq!(nonce.encode(), [&[0x41][..], &[7; 32]].concat(), "arrays have no length");

    // One seq for each length a varint has.
    let appended = ServerMessage::Appended { id: 250, seqs: vec![251, 0x1_0000, 0x1_0000_0000] };
    let varints = [&[0xfb, 251, 0][..], &[0xfc, 0, 0, 1, 0], &[0xfd, 0, 0, 0, 0, 1, 0, 0, 0]].concat();
    assert_eq!(appended.encode(), [&[0x43, 250, 3][..], &varints].concat());

    let refused = ServerMessage::Refused { id: 7, code: Code::EpochStale, retry_after_ms: 0 };
    assert_eq!(refused.encode(), [0x44, 7, 19, 0]);
    let shown = ServerMessage::Ephemeral { device: DeviceId([7; 16]), presence: vec![9] };
    assert_eq!(shown.encode(), [&[0x47][..], &[7; 16], &[1, 9]].concat());
    assert_eq!(ServerMessage::Drain { retry_after_ms: 500 }.encode(), [0x48, 0xfb, 0xf4, 0x01]);
    let error = ServerMessage::Error { code: Code::RetryLater, message: "x".to_owned() };
    assert_eq!(error.encode(), [0x49, 28, 1, b'x']);

    let seen = Seen {
        device: DeviceId([1; 16]),
        log: LogId([2; 16]),
        epoch: 3,
        size: 4,
        root: Hash([5; 32]),
        at_ms: 6,
        signature: [7; 64],
    };
    let fields = [&[1; 16][..], &[2; 16], &[3, 4], &[5; 32], &[6], &[7; 64]].concat();
    assert_eq!(ClientMessage::Seen(seen.clone()).encode(), [&[0x03][..], &fields].concat());
    assert_eq!(ServerMessage::Seen(seen).encode(), [&[0x46][..], &fields].concat());
}

#[test]
fn items_by_hand() {
    let items = vec![
        Item::Envelope { seq: 1, bytes: vec![0xaa, 0xbb] },
        Item::Leaf { seq: 2, document: DocumentId([3; 16]), envelope_hash: Hash([4; 32]) },
        Item::Floor { seq: 5, checkpoint: vec![0xcc], frontier: vec![Hash([6; 32])], proof: vec![] },
        Item::Tail { seq: 7, root: Hash([8; 32]) },
    ];
    let envelope = [0, 1, 2, 0xaa, 0xbb];
    let leaf = [&[1, 2][..], &[3; 16], &[4; 32]].concat();
    let floor = [&[2, 5, 1, 0xcc, 1][..], &[6; 32], &[0]].concat();
    let tail = [&[3, 7][..], &[8; 32]].concat();
    let page = [&[4][..], &envelope, &leaf, &floor, &tail].concat();
    assert_eq!(encode_items(&items), page);
    assert_eq!(decode_items(&page).as_ref(), Ok(&items));
    assert_eq!(ServerMessage::Entries { items }.encode(), [&[0x45][..], &page].concat());
    assert_eq!(encode_envelopes(&[vec![1, 2], vec![]]), [2, 2, 1, 2, 0]);
}

#[test]
fn unknown_types_are_skipped_from_0x80_on() {
    for kind in 0..=u8::MAX {
        let expected = if kind >= 0x80 { CodecError::Skipped(kind) } else { CodecError::UnknownType(kind) };
        for bytes in [&[kind][..], &[kind, 1, 2, 3]] {
            if !(0x01..=0x05).contains(&kind) {
                assert_eq!(ClientMessage::decode(bytes).err(), Some(expected), "{kind:#04x} from a client");
            }
            if !(0x41..=0x49).contains(&kind) {
                assert_eq!(ServerMessage::decode(bytes).err(), Some(expected), "{kind:#04x} from a server");
            }
        }
    }
    assert_eq!(ClientMessage::decode(&[]).err(), Some(CodecError::Empty));
    assert_eq!(ServerMessage::decode(&[]).err(), Some(CodecError::Empty));
}

#[test]
fn giant_counts_and_lengths_from_a_client() {
    let to_token = [0x01, 1];
    let to_documents = [&to_token[..], &[0], &[0; 64 + 3 * 16], &[0], &[0; 32], &[1]].concat();
    let cases: [(&[u8], &'static str, usize); 6] = [
        (&to_token, "token", TOKEN_MAX),
        (&to_documents, "documents", HELLO_DOCUMENTS_MAX),
        (&[0x02, 0, 0], "envelopes", APPEND_ENVELOPES_MAX),
        (&[0x02, 0, 0, 1], "envelope", ENVELOPE_MAX),
        (&[0x04], "presence", EPHEMERAL_MAX),
        (&[0x05], "token", TOKEN_MAX),
    ];
    for (start, what, max) in cases {
        let huge = [start, &HUGE].concat();
        assert_eq!(ClientMessage::decode(&huge).err(), Some(too_large(what, max)), "{start:02x?}");
        // A count within its limit is a lie all the same when the bytes for it are not there.
        let lie = [start, &[90]].concat();
        assert_eq!(ClientMessage::decode(&lie).err(), Some(CodecError::Field(what)), "{start:02x?}");
    }
    assert_eq!(decode_envelopes(&HUGE), Err(too_large("envelopes", APPEND_ENVELOPES_MAX)));
}

#[test]
fn giant_counts_and_lengths_from_a_server() {
    let to_presence = [&[0x47][..], &[7; 16]].concat();
    let to_seen = [&[0x42, 1, 0, 0][..], &[0; 32], &[0], &[0; 3]].concat();
    let cases: [(&[u8], &'static str, usize); 10] = [
        (&[0x42, 1], "logs", LOG_LIVES_MAX),
        (&to_seen, "seen", DEVICES_MAX),
        (&[0x43, 0], "seqs", APPEND_ENVELOPES_MAX),
        (&[0x45], "items", PAGE_ITEMS_MAX),
        (&[0x45, 1, 0, 1], "envelope", ENVELOPE_MAX),
        (&[0x45, 1, 2, 1], "checkpoint", ENVELOPE_MAX),
        (&[0x45, 1, 2, 1, 0], "frontier", PROOF_HASHES_MAX),
        (&[0x45, 1, 2, 1, 0, 0], "proof", PROOF_HASHES_MAX),
        (&to_presence, "presence", EPHEMERAL_MAX),
        (&[0x49, 1], "message", ERROR_TEXT_MAX),
    ];
    for (start, what, max) in cases {
        let huge = [start, &HUGE].concat();
        assert_eq!(ServerMessage::decode(&huge).err(), Some(too_large(what, max)), "{start:02x?}");
        let lie = [start, &[100]].concat();
        assert_eq!(ServerMessage::decode(&lie).err(), Some(CodecError::Field(what)), "{start:02x?}");
    }
    assert_eq!(decode_items(&HUGE), Err(too_large("items", PAGE_ITEMS_MAX)));
}

#[test]
fn limits_hold_to_the_byte() {
    let taken = |message: &ClientMessage| ClientMessage::decode(&message.encode());
    let largest = append(vec![vec![7; ENVELOPE_MAX]]);
    assert_eq!(taken(&largest).as_ref(), Ok(&largest));
    assert_eq!(taken(&append(vec![vec![7; ENVELOPE_MAX + 1]])), Err(too_large("envelope", ENVELOPE_MAX)));

    let most = append(vec![vec![7]; APPEND_ENVELOPES_MAX]);
    assert_eq!(taken(&most).as_ref(), Ok(&most));
    let more = append(vec![vec![7]; APPEND_ENVELOPES_MAX + 1]);
    assert_eq!(taken(&more), Err(too_large("envelopes", APPEND_ENVELOPES_MAX)));

    let naming = |count| ClientMessage::Hello(hello(Some(vec![DocumentId([7; 16]); count])));
    assert_eq!(taken(&naming(HELLO_DOCUMENTS_MAX)), Ok(naming(HELLO_DOCUMENTS_MAX)));
    assert_eq!(taken(&naming(HELLO_DOCUMENTS_MAX + 1)), Err(too_large("documents", HELLO_DOCUMENTS_MAX)));

    assert_eq!(ClientMessage::decode(&[0x01; HELLO_MAX + 1]), Err(too_large("Hello", HELLO_MAX)));
    assert_eq!(ClientMessage::decode(&vec![0x02; MESSAGE_MAX + 1]), Err(too_large("message", MESSAGE_MAX)));
    assert_eq!(ServerMessage::decode(&vec![0x45; MESSAGE_MAX + 1]), Err(too_large("message", MESSAGE_MAX)));
}

#[test]
fn the_envelopes_of_an_append_together_hold_to_the_byte() {
    let mut envelopes = vec![vec![7; ENVELOPE_MAX]; APPEND_BYTES_MAX / ENVELOPE_MAX];
    // Lengths and framing do not count.
    envelopes.push(vec![7; APPEND_BYTES_MAX % ENVELOPE_MAX]);
    let full = append(envelopes.clone());
    assert_eq!(ClientMessage::decode(&full.encode()), Ok(full));
    assert_eq!(decode_envelopes(&encode_envelopes(&envelopes)).as_ref(), Ok(&envelopes));

    envelopes.push(vec![7]);
    let refused = too_large("envelopes", APPEND_BYTES_MAX);
    assert_eq!(decode_envelopes(&encode_envelopes(&envelopes)), Err(refused));
    assert_eq!(ClientMessage::decode(&append(envelopes).encode()), Err(refused));
}

#[test]
fn values_that_do_not_exist_are_refused() {
    assert_eq!(ClientMessage::decode(&[0x02, 0, 2, 0]), Err(CodecError::Field("if_tail")), "an Option is 0 or 1");
    assert_eq!(ClientMessage::decode(&[0x05, 1, 0xff]), Err(CodecError::Field("token")), "text is UTF-8");
    assert_eq!(ServerMessage::decode(&[0x45, 1, 4, 0]), Err(CodecError::Field("item")), "there are four items");
    assert_eq!(ServerMessage::decode(&[0x48, 0xff]), Err(CodecError::Field("retry_after_ms")), "no varint starts so");
}

#[test]
fn codes_never_share_text_number_or_sentence() {
    for (at, code) in Code::ALL.iter().enumerate() {
        assert_eq!(Code::of_number(code.number()), *code);
        assert_eq!(code.as_str().parse::<Code>().ok(), Some(*code));
        assert_eq!(usize::from(code.number()), at + 1, "{code} keeps its number");
        let same = Code::ALL.iter().filter(|other| other.advice() == code.advice());
        assert_eq!(same.count(), 1, "{code} says what it means");
    }
    assert_eq!(Code::of_number(u16::MAX), Code::RetryLater, "an unknown refusal is not a definite one");
    assert_eq!(serde_json::from_str::<Code>("\"from_the_future\"").ok(), Some(Code::RetryLater));
}

proptest! {
    #[test]
    fn client_messages_round_trip(
        message in strategies::client_message(),
        more in strategies::bytes(40),
        cut: Index,
    ) {
        let bytes = message.encode();
        prop_assert_eq!(ClientMessage::decode(&bytes), Ok(message.clone()));
        let later_version = [&bytes[..], &more].concat();
        prop_assert_eq!(ClientMessage::decode(&later_version), Ok(message), "trailing bytes are ignored");
        prop_assert!(ClientMessage::decode(&bytes[..cut.index(bytes.len())]).is_err(), "a prefix is no message");
    }

    #[test]
    fn server_messages_round_trip(
        message in strategies::server_message(),
        more in strategies::bytes(40),
        cut: Index,
    ) {
        let bytes = message.encode();
        prop_assert_eq!(ServerMessage::decode(&bytes), Ok(message.clone()));
        let later_version = [&bytes[..], &more].concat();
        prop_assert_eq!(ServerMessage::decode(&later_version), Ok(message), "trailing bytes are ignored");
        prop_assert!(ServerMessage::decode(&bytes[..cut.index(bytes.len())]).is_err(), "a prefix is no message");
    }

    #[test]
    fn octet_streams_round_trip(
        envelopes in prop::collection::vec(strategies::bytes(400), 0..=8),
        items in prop::collection::vec(strategies::item(), 0..=8),
    ) {
        prop_assert_eq!(decode_envelopes(&encode_envelopes(&envelopes)), Ok(envelopes));
        prop_assert_eq!(decode_items(&encode_items(&items)), Ok(items));
    }
}
