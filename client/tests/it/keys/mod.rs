//! Keys: who holds what, and what each opens.

mod link;
mod recovery;
mod ring;
mod seal;

use roost::keys::{KeyPair, Seed};

#[test]
fn one_seed_gives_an_owner_and_a_device_different_keys() {
    let seed = Seed::new([7; 32]);
    let (owner, device) = (KeyPair::owner(&seed), KeyPair::device(&seed));
    assert_ne!(owner.ed(), device.ed());
    assert_ne!(owner.x(), device.x());
    assert_ne!(owner.ed(), owner.x());
    assert_ne!(device.ed(), device.x());
}

#[test]
fn keys_are_those_of_their_seed() {
    let keys = |byte| KeyPair::device(&Seed::new([byte; 32]));
    assert_eq!((keys(7).ed(), keys(7).x(), keys(7).device_id()), (keys(7).ed(), keys(7).x(), keys(7).device_id()));
    assert_ne!(keys(7).ed(), keys(8).ed());
    assert_ne!(keys(7).x(), keys(8).x());
    assert_ne!(keys(7).device_id(), keys(8).device_id());
}

#[test]
fn a_signature_is_the_keys_own() {
    let keys = KeyPair::device(&Seed::new([7; 32]));
    let public = ed25519_dalek::VerifyingKey::from_bytes(&keys.ed()).unwrap();
    assert!(roost_shared::proof::verify(&public, b"text", &keys.sign(b"text")));
    assert!(!roost_shared::proof::verify(&public, b"texts", &keys.sign(b"text")));
}
