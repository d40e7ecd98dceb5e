//! Share links: a round trip, nothing else, and no secret in what is printed.

use roost::keys::link::{Invite, LinkError, ShareLink};
use roost::keys::{KeyPair, Seed};
use roost::store::Identity;

use crate::fixtures::{invite, owner, workspace};

/// The fragment's text of [`link`], 86 digits.
fn secret_text() -> String {
    let text = link("https://roost.example").to_string();
    text.rsplit_once("#v1.").unwrap().1.to_owned()
}

fn link(server: &str) -> ShareLink {
    ShareLink::new(server.parse().unwrap(), invite(), workspace())
}

fn is_refused(text: &str) {
    assert_eq!(text.parse::<ShareLink>().err(), Some(LinkError), "{text}");
}

#[test]
fn a_link_comes_back_as_it_was() {
    for (server, prefix) in [
        ("https://roost.example", "https://roost.example/join#v1."),
        ("https://roost.example/", "https://roost.example/join#v1."),
        ("https://roost.example:8443", "https://roost.example:8443/join#v1."),
        ("https://roost.example/some/path", "https://roost.example/some/path/join#v1."),
        ("http://127.0.0.1:7070", "http://127.0.0.1:7070/join#v1."),
        ("http://[::1]:7070", "http://[::1]:7070/join#v1."),
    ] {
        let link = link(server);
        let text = link.to_string();
        assert!(text.starts_with(prefix), "{text}");
        assert_eq!(text.len(), prefix.len() + 86, "{text}");
        let read: ShareLink = text.parse().unwrap();
        assert_eq!(read.server(), link.server());
        assert_eq!(read.workspace(), workspace());
        assert_eq!(read.invite().link_proof(), invite().link_proof());
        assert_eq!(read.invite().access_proof(), invite().access_proof());
        assert_eq!(read.invite().keys().device_id(), invite().keys().device_id());
        assert_eq!(read.to_string(), text);
    }
}

#[test]
fn white_space_around_a_link_is_forgiven() {
    let text = link("https://roost.example").to_string();
    for pasted in [format!(" {text}"), format!("{text}\n"), format!("\t{text}\r\n")] {
        assert_eq!(pasted.parse::<ShareLink>().unwrap().to_string(), text);
    }
}

#[test]
fn a_link_that_was_cut_is_refused() {
    let text = link("https://roost.example").to_string();
    for end in 0..text.len() {
        is_refused(&text[..end]);
    }
}

#[test]
fn a_link_with_more_than_a_link_is_refused() {
    let text = link("https://roost.example").to_string();
    for more in ["A", "AA", "=", "==", "AAAA", ".", "&x", "#", "%20"] {
        is_refused(&format!("{text}{more}"));
    }
    let secret = secret_text();
    for query in ["?", "?x=1", "?v1"] {
        is_refused(&format!("https://roost.example/join{query}#v1.{secret}"));
    }
    is_refused(&format!("https://roost.example/{}/join#v1.{secret}", "a".repeat(2_048)));
}

#[test]
fn what_is_no_link_is_refused() {
    let secret = secret_text();
    for text in [
        String::new(),
        "not a link".to_owned(),
        secret.clone(),
        format!("v1.{secret}"),
        format!("roost.example/join#v1.{secret}"),
        format!("https://roost.example/join#v2.{secret}"),
        format!("https://roost.example/join#V1.{secret}"),
        format!("https://roost.example/join#v1{secret}"),
        format!("https://roost.example/join#{secret}"),
        format!("https://roost.example/join?v1.{secret}"),
        format!("https://roost.example/join/v1.{secret}"),
        format!("https://roost.example/#v1.{secret}"),
        format!("https://roost.example/join/#v1.{secret}"),
        format!("https://roost.example/joined#v1.{secret}"),
        format!("https://roost.example/rejoin#v1.{secret}"),
        format!("https:///join#v1.{secret}"),
    ] {
        is_refused(&text);
    }
}

#[test]
fn a_secret_has_one_spelling() {
    let secret = secret_text();
    let with = |secret: &str| format!("https://roost.example/join#v1.{secret}");
    assert!(with(&secret).parse::<ShareLink>().is_ok());
    let standard = format!("+/{}", &secret[2..]);
    is_refused(&with(&standard));
    // 86 digits are 516 bits: four of the last digit's are no part of the 64 bytes, and must be zero.
    let last = secret.chars().next_back().unwrap();
    assert!("AQgw".contains(last), "{last}");
    let next = char::from_u32(u32::from(last) + 1).unwrap();
    is_refused(&with(&format!("{}{next}", &secret[..85])));
}

#[test]
fn every_derivation_of_a_link_is_another() {
    let invite = invite();
    let mut all = vec![
        invite.link_proof(),
        invite.access_proof(),
        invite.link_hash().0,
        invite.access_hash().0,
        invite.keys().ed(),
        invite.keys().x(),
        Invite::new([0x1e; 16], [0x5e; 32]).link_proof(),
        Invite::new([0x1d; 16], [0x5f; 32]).link_proof(),
    ];
    assert_eq!(KeyPair::device(&invite.seed()).device_id(), invite.keys().device_id());
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

/// Several bytes of `byte`, in any of the ways a program prints bytes.
fn holds_secret(text: &str, byte: u8) -> bool {
    let base64 = roost_shared::wire::http::Base64::encode(&[byte; 6]);
    let spellings = [format!("{byte}, {byte}"), format!("{byte:#x}, {byte:#x}"), hex::encode([byte; 6]), base64];
    let text = text.to_lowercase();
    spellings.iter().any(|spelling| text.contains(&spelling.to_lowercase()))
}

#[test]
fn a_passcode_changes_access_and_keys_and_not_where_the_link_is_found() {
    let plain = invite();
    let with = plain.with_passcode("tulip").unwrap();
    assert_eq!(with.link_proof(), plain.link_proof());
    assert_ne!(with.access_proof(), plain.access_proof());
    assert_ne!(with.keys().device_id(), plain.keys().device_id());
    let other = plain.with_passcode("Tulip").unwrap();
    assert_ne!(with.access_proof(), other.access_proof());
    let elsewhere = Invite::new([0x1e; 16], [0x5e; 32]).with_passcode("tulip").unwrap();
    assert_ne!(elsewhere.access_proof(), with.access_proof());
    assert_eq!(Invite::from_bytes(&with.to_bytes()).access_proof(), with.access_proof());
    assert!(plain.with_passcode("").is_err() && plain.with_passcode(&"x".repeat(257)).is_err());
}

#[test]
fn a_link_says_that_a_passcode_goes_with_it_and_not_which() {
    let made = link("https://roost.example").with_passcode("tulip").unwrap();
    let text = made.to_string();
    assert!(text.contains("/join#v1p.") && !text.contains("tulip"), "{text}");
    assert!(!made.needs_passcode());
    let opened: ShareLink = text.parse().unwrap();
    assert!(opened.needs_passcode());
    let opened = opened.with_passcode("tulip").unwrap();
    assert!(!opened.needs_passcode());
    assert_eq!(opened.invite().access_proof(), made.invite().access_proof());
    assert!(!link("https://roost.example").to_string().parse::<ShareLink>().unwrap().needs_passcode());
}

#[test]
fn nothing_secret_is_printed() {
    let text = link("https://roost.example").to_string();
    assert!(holds_secret(&text, 0x5e), "the text of a link is its secret: {text}");
    assert!(holds_secret(&format!("{:?}", [0x5e_u8; 32]), 0x5e));
    assert!(holds_secret(&hex::encode([0x5e; 32]), 0x5e));

    let seed = Seed::new([0x5e; 32]);
    let identity = Identity {
        workspace: workspace(),
        server: "https://roost.example".to_owned(),
        name: "phone".to_owned(),
        device_seed: seed.clone(),
        owner_seed: Some(seed.clone()),
        invite: Some(Invite::new([0x5e; 16], [0x5e; 32])),
        joined: true,
    };
    let error = format!("{}x", &text[..text.len() - 1]).parse::<ShareLink>().map(|_| ()).unwrap_err();
    for printed in [
        format!("{seed:?}"),
        format!("{identity:?}"),
        format!("{:?}", link("https://roost.example")),
        format!("{error} {error:?}"),
        format!("{:?}", roost::Error::from(error)),
    ] {
        assert!(!holds_secret(&printed, 0x5e), "{printed}");
        assert!(!printed.contains(&secret_text()), "{printed}");
    }
    let printed = format!("{:?}", link("https://roost.example"));
    assert!(printed.contains(&owner().workspace_id().to_string()), "but it says which: {printed}");
}
