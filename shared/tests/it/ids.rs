//! Ids, hashes, places in the log, and the texts that are signed to prove who one is.

use ed25519_dalek::Signer;
use roost_shared::proof::{self, Challenge};
use roost_shared::{Cursor, DeviceId, DocumentId, Hash, LogId, Seq, WorkspaceId};
use sha2::{Digest, Sha256};

use crate::samples::{self, PHONE, STRANGER};

const TEXT: &str = "000102030405060708090a0b0c0d0eff";

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

#[test]
fn ids_print_and_parse_as_32_lowercase_digits() {
    let document: DocumentId = TEXT.parse().expect("32 digits");
    assert_eq!(document.0[15], 0xff);
    assert_eq!(document.to_string(), TEXT);
    assert_eq!(format!("{document:?}"), format!("DocumentId({TEXT})"));
    assert_eq!(LogId([0xab; 16]).to_string(), "ab".repeat(16));
    assert_eq!(WorkspaceId::ZERO.to_string(), "0".repeat(32));
}

#[test]
fn what_is_not_32_digits_is_no_id() {
    let wrong: [&str; 6] =
        ["", "00", &TEXT[1..], &TEXT.replace("ff", "fg"), &format!("{TEXT}00"), &format!(" {}", &TEXT[1..])];
    for text in wrong {
        assert!(text.parse::<DeviceId>().is_err(), "{text:?}");
    }
    assert!(Hash::parse(TEXT).is_none(), "a hash is 64 digits");
}

#[test]
fn upper_case_is_refused() {
    for text in [TEXT.to_uppercase(), TEXT.replace("ff", "fF")] {
        assert!(text.parse::<WorkspaceId>().is_err(), "{text}");
        assert!(text.parse::<DocumentId>().is_err(), "{text}");
        assert!(text.parse::<DeviceId>().is_err(), "{text}");
        assert!(text.parse::<LogId>().is_err(), "{text}");
        assert!(serde_json::from_str::<LogId>(&format!("\"{text}\"")).is_err(), "{text} in JSON");

        let hash = format!("{TEXT}{text}");
        assert!(Hash::parse(&hash.to_lowercase()).is_some());
        assert!(Hash::parse(&hash).is_none(), "{hash}");
        assert!(serde_json::from_str::<Hash>(&format!("\"{hash}\"")).is_err(), "{hash} in JSON");
    }
}

#[test]
fn ids_and_hashes_are_strings_in_json() {
    let log = LogId([3; 16]);
    let json = serde_json::to_string(&log).expect("an id serializes");
    assert_eq!(json, format!("\"{log}\""));
    assert_eq!(serde_json::from_str::<LogId>(&json).ok(), Some(log));
    assert!(serde_json::from_str::<LogId>("\"03\"").is_err());

    let hash = Hash([4; 32]);
    let json = serde_json::to_string(&hash).expect("a hash serializes");
    assert_eq!(json, format!("\"{}\"", "04".repeat(32)));
    assert_eq!(serde_json::from_str::<Hash>(&json).ok(), Some(hash));
}

#[test]
fn workspace_and_device_certify_themselves() {
    let (ed, x) = (samples::ed(PHONE), samples::x(PHONE));
    assert_eq!(WorkspaceId::of_owner(&ed).0, sha256(&[b"roost/v1/workspace\0", &ed])[..16]);
    assert_eq!(DeviceId::of_keys(&ed, &x).0, sha256(&[b"roost/v1/device\0", &ed, &x])[..16]);
    assert_ne!(DeviceId::of_keys(&ed, &x), DeviceId::of_keys(&x, &ed), "the order counts");
}

#[test]
fn entries_count_from_one_and_cursors_from_zero() {
    assert_eq!(Seq::new(0), None);
    let first = Seq::new(1).expect("1 numbers an entry");
    assert_eq!(Cursor::START.next(), first);
    assert_eq!(first.cursor(), Cursor(1));
    assert_eq!(Cursor(41).next().get(), 42);
    assert_eq!(first.to_string(), "1");
}

fn challenge() -> Challenge<'static> {
    Challenge {
        nonce: b"a nonce",
        audience: "https://roost.example:8443",
        workspace: WorkspaceId([1; 16]),
        device: DeviceId([2; 16]),
    }
}

#[test]
fn the_texts_of_a_challenge_differ_by_their_label_alone() {
    let fields = [&sha256(&[b"a nonce"])[..], &sha256(&[b"https://roost.example:8443"]), &[1; 16], &[2; 16]].concat();
    assert_eq!(challenge().hello(), [&b"roost/v1/hello\0"[..], &fields].concat());
    assert_eq!(challenge().session(), [&b"roost/v1/session\0"[..], &fields].concat());
    assert_eq!(challenge().master(), [&b"roost/v1/master\0"[..], &fields].concat());
}

#[test]
fn the_text_of_seen() {
    let text = proof::seen(WorkspaceId([1; 16]), DeviceId([2; 16]), LogId([3; 16]), 4, Cursor(5), Hash([6; 32]));
    let label: &[u8] = b"roost/v1/seen\0";
    let expected = [label, &[1; 16], &[2; 16], &[3; 16], &[0, 0, 0, 4], &[0, 0, 0, 0, 0, 0, 0, 5], &[6; 32]].concat();
    assert_eq!(text, expected);
}

#[test]
fn a_compare_code_is_six_groups_of_five_digits_over_all_it_compares() {
    let code = |workspace, size, root, roster| {
        proof::compare_code(WorkspaceId([workspace; 16]), Cursor(size), &Hash([root; 32]), &Hash([roster; 32]))
    };
    let hash = sha256(&[b"roost/v1/compare\0", &[1; 16], &[0, 0, 0, 0, 0, 0, 0, 2], &[3; 32], &[4; 32]]);
    let groups = hash.chunks_exact(5).map(|group| {
        let number = u64::from_be_bytes([&[0; 3], group].concat().try_into().unwrap());
        format!("{:05}", number % 100_000)
    });
    let expected = groups.collect::<Vec<_>>().join(" ");
    assert_eq!((code(1, 2, 3, 4), expected.len()), (expected, 35));
    for other in [code(9, 2, 3, 4), code(1, 9, 3, 4), code(1, 2, 9, 4), code(1, 2, 3, 9)] {
        assert_ne!(other, code(1, 2, 3, 4));
    }
}

#[test]
fn a_proof_holds_for_its_key_and_text_only() {
    let text = challenge().hello();
    let key = samples::key(PHONE).verifying_key();
    let signature = samples::key(PHONE).sign(&text).to_bytes();
    assert!(proof::verify(&key, &text, &signature));
    assert!(!proof::verify(&key, &challenge().session(), &signature));
    assert!(!proof::verify(&samples::key(STRANGER).verifying_key(), &text, &signature));
    assert!(!proof::verify(&key, &text, &signature[..63]));
    assert!(!proof::verify(&key, &text, &[&signature[..], &[0]].concat()));
    for bit in 0..512 {
        let mut bad = signature;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!proof::verify(&key, &text, &bad), "bit {bit}");
    }
}
