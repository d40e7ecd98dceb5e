//! Twelve words: read, refused, and what they open.

use roost::RecoveryPhrase;
use roost::keys::{KeyPair, Seed};
use roost_shared::WorkspaceId;

use crate::fixtures::workspace;

const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

#[test]
fn words_are_read_as_people_type_them() {
    let phrase: RecoveryPhrase = WORDS.parse().unwrap();
    assert_eq!(phrase.to_string(), WORDS);
    for typed in [WORDS.to_uppercase(), WORDS.replace(' ', "\n  "), format!("  {WORDS}\n")] {
        assert_eq!(typed.parse::<RecoveryPhrase>().unwrap().to_string(), WORDS);
    }
    let shorter = WORDS.rsplit_once(' ').unwrap().0;
    let twenty_four = [&["abandon"; 23][..], &["art"]].concat().join(" ");
    for wrong in ["", "legal", shorter, &format!("{WORDS} legal"), &WORDS.replace("year", "years"), &twenty_four] {
        assert!(wrong.parse::<RecoveryPhrase>().is_err(), "{wrong}");
    }
    let swapped = WORDS.replacen("legal winner", "winner legal", 1);
    assert!(swapped.parse::<RecoveryPhrase>().is_err(), "its checksum does not hold");
    assert_eq!(format!("{phrase:?}"), "RecoveryPhrase(…)");
}

#[test]
fn a_blob_opens_under_its_phrase_in_its_workspace_only() {
    let phrase: RecoveryPhrase = WORDS.parse().unwrap();
    let keys = phrase.keys(workspace());
    let blob = keys.seal(&Seed::new([7; 32]));
    let owner = KeyPair::owner(&keys.open(&blob).unwrap());
    assert_eq!(owner.ed(), KeyPair::owner(&Seed::new([7; 32])).ed());
    for at in 0..blob.len() {
        let mut bad = blob;
        bad[at] ^= 1;
        assert!(keys.open(&bad).is_err(), "byte {at}");
    }
    let other = RecoveryPhrase::new([1; 16]).keys(workspace());
    assert!(other.open(&blob).is_err() && other.verifier() != keys.verifier());
    let elsewhere = phrase.keys(WorkspaceId([9; 16]));
    assert!(elsewhere.open(&blob).is_err() && elsewhere.proof() != keys.proof());
}
