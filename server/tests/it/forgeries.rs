//! A corpus of forged tokens against a ring of all three kinds of key, and the files that keys are read from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use roost_server::access::{Access, KeyRing};
use roost_server::store::conformance::world::{NOW_MS, OWNER, PHONE, device_id, workspace_of};
use roost_shared::limits::TOKEN_MAX;
use roost_shared::wire::http::TokenScope;
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

use crate::access::{AUDIENCE, LIFE_S, SECRET, access_of};

const NOW_S: u64 = NOW_MS / 1_000;
const SEED: [u8; 32] = [0x11; 32];
const TYPE: &str = "roost-access+jwt";

/// The private halves of a ring's keys.
struct Keys {
    folder: TempDir,
    rsa: RsaKeyPair,
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn ed_private(seed: &[u8]) -> String {
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    pem("PRIVATE KEY", &[&head, seed].concat())
}

fn ed_public(seed: [u8; 32]) -> String {
    let head = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    pem("PUBLIC KEY", &[&head[..], SigningKey::from_bytes(&seed).verifying_key().as_bytes()].concat())
}

fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Keys {
    fn new() -> Self {
        let keys = Self { folder: tempfile::tempdir().unwrap(), rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap() };
        put(keys.folder.path(), "hs.secret", &URL_SAFE_NO_PAD.encode([0x22; 32]));
        put(keys.folder.path(), "ed.ed25519.pem", &ed_private(&SEED));
        put(keys.folder.path(), "theirs.ed25519.pub.pem", &ed_public([0x33; 32]));
        put(keys.folder.path(), "rs.rs256.pub.pem", &pem("RSA PUBLIC KEY", keys.rsa.public_key().as_ref()));
        keys
    }

    fn access(&self, signer: &str) -> Access {
        access_of(AUDIENCE, &SECRET).with_keys(KeyRing::open(self.folder.path(), signer).unwrap())
    }

    /// Signed as the key of this name signs.
    fn sign(&self, kid: &str, text: &[u8]) -> Vec<u8> {
        match kid {
            "hs" => mac(&[0x22; 32], text),
            "ed" => SigningKey::from_bytes(&SEED).sign(text).to_bytes().to_vec(),
            "theirs" => SigningKey::from_bytes(&[0x33; 32]).sign(text).to_bytes().to_vec(),
            _ => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).unwrap();
                signature
            }
        }
    }

    fn token(&self, kid: &str) -> String {
        let text = unsigned(&head(kid, alg(kid)), &claims());
        signed(&text, &self.sign(kid, text.as_bytes()))
    }
}

fn alg(kid: &str) -> &'static str {
    match kid {
        "hs" => "HS256",
        "ed" | "theirs" => "EdDSA",
        _ => "RS256",
    }
}

fn mac(secret: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn head(kid: &str, alg: &str) -> Value {
    json!({ "alg": alg, "typ": TYPE, "kid": kid })
}

fn claims() -> Value {
    json!({
        "iss": AUDIENCE, "aud": AUDIENCE, "sub": device_id(PHONE), "ws": workspace_of(OWNER),
        "scope": "read_write", "jti": "AQEBAQEBAQEBAQEBAQEBAQ", "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + LIFE_S,
    })
}

fn unsigned(head: &Value, claims: &Value) -> String {
    raw(&head.to_string(), &claims.to_string())
}

fn raw(head: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims))
}

fn signed(text: &str, signature: &[u8]) -> String {
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

const KIDS: [&str; 4] = ["hs", "ed", "theirs", "rs"];

/// Everything that is signed by a good key and still is no token of this server.
fn well_signed(keys: &Keys) -> Vec<String> {
    let mut forged = Vec::new();
    for kid in KIDS {
        let sign = |text: String| {
            let signature = keys.sign(kid, text.as_bytes());
            signed(&text, &signature)
        };
        let with_head = |change: &dyn Fn(&mut Value)| {
            let mut head = head(kid, alg(kid));
            change(&mut head);
            sign(unsigned(&head, &claims()))
        };
        for (name, value) in [
            ("crit", json!(["exp"])),
            ("jku", json!("https://elsewhere.test/keys")),
            ("jwk", json!({ "kty": "oct", "k": "AAAA", "alg": "HS256" })),
            ("x5u", json!("https://elsewhere.test/cert")),
            ("x5c", json!(["AAAA"])),
            ("typ", json!("JWT")),
            ("typ", json!(null)),
            ("alg", json!("none")),
            ("alg", json!("HS384")),
            ("alg", json!("PS256")),
            ("alg", json!("ES256")),
            ("alg", json!(7)),
            ("alg", json!(null)),
        ] {
            forged.push(with_head(&|head| head[name] = value.clone()));
        }
        let kids = ["", "1", "HS", "../hs", "hs/../hs", "hs\0", "' OR '1'='1", "hs'--", "hs.secret", "*", "%", "🔑"];
        forged.extend(kids.iter().map(|other| with_head(&|head| head["kid"] = json!(other))));
        for other in KIDS.iter().filter(|other| **other != kid) {
            forged.push(with_head(&|head| head["kid"] = json!(other))); // one key's signature under another's name
            forged.push(with_head(&|head| (head["kid"], head["alg"]) = (json!(other), json!(alg(other)))));
        }
        forged.push(with_head(&|head| head["pad"] = json!("x".repeat(100_000))));
        for name in ["iss", "aud", "sub", "ws", "scope", "jti", "iat", "nbf", "exp"] {
            let mut missing = claims();
            missing.as_object_mut().unwrap().remove(name);
            forged.push(sign(unsigned(&head(kid, alg(kid)), &missing)));
            for value in [json!(null), json!({}), json!([]), json!(true), json!(-1), json!("\u{0}"), json!(1.5)] {
                let mut wrong = claims();
                wrong[name] = value;
                forged.push(sign(unsigned(&head(kid, alg(kid)), &wrong)));
            }
            let twice = claims().to_string().replacen('{', &format!("{{\"{name}\":\"x\","), 1);
            forged.push(sign(raw(&head(kid, alg(kid)).to_string(), &twice)));
        }
        let head_twice = head(kid, alg(kid)).to_string().replacen('{', "{\"alg\":\"none\",", 1);
        forged.push(sign(raw(&head_twice, &claims().to_string())));
    }
    forged
}

/// Signed by nobody, or by somebody who has only what is public.
fn badly_signed(keys: &Keys) -> Vec<String> {
    let mut forged = Vec::new();
    let rsa_public = keys.rsa.public_key().as_ref().to_vec();
    let public_texts = [
        rsa_public.clone(),
        pem("RSA PUBLIC KEY", &rsa_public).into_bytes(),
        SigningKey::from_bytes(&SEED).verifying_key().as_bytes().to_vec(),
        ed_public([0x33; 32]).into_bytes(),
        Vec::new(),
        vec![0; 32],
    ];
    for kid in KIDS {
        for name in ["HS256", "none", "None", "nOnE", "", "RS256", "EdDSA"] {
            let text = unsigned(&head(kid, name), &claims());
            forged.extend([format!("{text}."), text.clone(), signed(&text, &[0; 64]), signed(&text, &[0; 256])]);
            // The public key as if it were a secret.
            forged.extend(public_texts.iter().map(|secret| signed(&text, &mac(secret, text.as_bytes()))));
        }
        let good = keys.token(kid);
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            // The last letter of a signature may carry bits that belong to no byte.
            if at + 1 < good.len() {
                forged.push(changed);
            }
        }
        forged.extend((0..good.len()).step_by(7).map(|cut| good[..cut].to_owned()));
    }
    forged
}

#[test]
fn the_corpus_is_refused() {
    let keys = Keys::new();
    let access = keys.access("ed");
    for kid in KIDS {
        assert!(access.verify(&keys.token(kid), NOW_MS).is_ok(), "{kid}: the forger's tools make good ones too");
    }
    let forged: Vec<String> = well_signed(&keys).into_iter().chain(badly_signed(&keys)).collect();
    let accepted: Vec<&String> = forged.iter().filter(|token| access.verify(token, NOW_MS).is_ok()).collect();
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(forged.len() >= 2_500, "{} forgeries", forged.len());
    println!("figure: {} forged tokens tried, 0 accepted", forged.len());
}

#[test]
fn a_new_key_signs_while_the_old_one_still_counts() {
    let keys = Keys::new();
    let issue = |access: &Access| {
        access.issue(workspace_of(OWNER), device_id(PHONE), TokenScope::Read, NOW_MS, [1; 16]).unwrap().token
    };
    let (old, new) = (issue(&keys.access("hs")), issue(&keys.access("ed")));
    assert!(old.len() <= TOKEN_MAX && new.len() <= TOKEN_MAX);
    for signer in ["hs", "ed"] {
        for token in [&old, &new] {
            assert!(keys.access(signer).verify(token, NOW_MS).is_ok());
        }
    }
    fs::remove_file(keys.folder.path().join("hs.secret")).unwrap();
    let later = keys.access("ed");
    assert!(later.verify(&new, NOW_MS).is_ok() && later.verify(&old, NOW_MS).is_err());
}

#[test]
fn files_that_are_no_keys_are_refused_with_their_name() {
    let long = URL_SAFE_NO_PAD.encode([1; 32]);
    let short_rsa = pem("RSA PUBLIC KEY", RsaKeyPair::generate(KeySize::Rsa2048).unwrap().public_key().as_ref());
    let short_rsa = short_rsa.replace("\n-----END", "");
    for (name, text) in [
        ("a.secret", URL_SAFE_NO_PAD.encode([1; 31])),
        ("a.secret", "not base64url!".to_owned()),
        ("a.ed25519.pem", "nothing".to_owned()),
        ("a.ed25519.pem", ed_private(&SEED[..31])),
        ("a.ed25519.pem", ed_private(&[SEED, SEED].concat())),
        ("a.ed25519.pem", ed_public(SEED)),
        ("a.ed25519.pub.pem", ed_private(&SEED)),
        ("a.rs256.pub.pem", ed_public(SEED)),
        ("a.rs256.pub.pem", short_rsa),
        ("a.pem", ed_private(&SEED)),
        ("secret", long.clone()),
        (".secret", long.clone()),
        ("a b.secret", long.clone()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "good.secret", &long);
        put(folder.path(), name, &text);
        let error = KeyRing::open(folder.path(), "good").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(name), "{name}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "theirs.ed25519.pub.pem", &ed_public(SEED));
    for signer in ["theirs", "none"] {
        let error = KeyRing::open(folder.path(), signer).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(signer) && error.contains("can sign"), "{error}");
    }
    put(folder.path(), "open.secret", &long);
    fs::set_permissions(folder.path().join("open.secret"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = KeyRing::open(folder.path(), "open").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}
