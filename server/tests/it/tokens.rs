//! Forged, foreign and stale tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use roost_server::store::conformance::world::{NOW_MS, OWNER, PHONE, device_id, workspace_of};
use roost_shared::Code;
use roost_shared::limits::{TOKEN_LIFE_MAX_S, TOKEN_MAX};
use roost_shared::wire::http::TokenScope;
use serde_json::{Value, json};

use crate::access::{AUDIENCE, LIFE_S, SECRET, access, access_of};

const NOW_S: u64 = NOW_MS / 1_000;
const TYPE: &str = "roost-access+jwt";

fn header() -> Header {
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some("1".to_owned());
    header
}

fn claims() -> Value {
    json!({
        "iss": AUDIENCE, "aud": AUDIENCE,
        "sub": device_id(PHONE), "ws": workspace_of(OWNER),
        "scope": "read_write", "jti": "AQEBAQEBAQEBAQEBAQEBAQ",
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + LIFE_S,
    })
}

fn token(header: &Header, claims: &Value, secret: &[u8]) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// The good claims with one of them changed.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn verify(token: &str, now_ms: u64) -> Result<(), Code> {
    access().verify(token, now_ms).map(|_| ())
}

fn is_refused(token: &str, what: &str) {
    assert_eq!(verify(token, NOW_MS), Err(Code::TokenInvalid), "{what}");
}

fn issued() -> String {
    access().issue(workspace_of(OWNER), device_id(PHONE), TokenScope::ReadWrite, NOW_MS, [1; 16]).unwrap().token
}

#[test]
fn what_is_issued_is_accepted() {
    for scope in [TokenScope::Read, TokenScope::ReadWrite, TokenScope::Master, TokenScope::Join] {
        let issued = access().issue(workspace_of(OWNER), device_id(PHONE), scope, NOW_MS, [1; 16]).unwrap();
        assert_eq!(issued.scope, scope);
        assert!(issued.token.len() <= TOKEN_MAX);
        let claims = access().verify(&issued.token, NOW_MS).ok().unwrap();
        assert_eq!((claims.ws, claims.sub, claims.scope), (workspace_of(OWNER), device_id(PHONE), scope));
        assert_eq!(claims.exp * 1_000, issued.expires_at_ms);
    }
    assert_eq!(verify(&token(&header(), &claims(), &SECRET), NOW_MS), Ok(()), "the forger's tool makes good ones too");
}

#[test]
fn times_are_judged_with_five_seconds_of_leeway() {
    let token = issued();
    let end_ms = NOW_MS + LIFE_S * 1_000;
    for (now_ms, wanted) in [
        (NOW_MS, Ok(())),
        (NOW_MS - 5_000, Ok(())),
        (NOW_MS - 6_000, Err(Code::TokenInvalid)),
        (0, Err(Code::TokenInvalid)),
        (end_ms, Ok(())),
        (end_ms + 5_999, Ok(())),
        (end_ms + 6_000, Err(Code::TokenExpired)),
        (u64::MAX, Err(Code::TokenExpired)),
    ] {
        assert_eq!(verify(&token, now_ms), wanted, "at {now_ms}");
    }
}

#[test]
fn a_life_is_a_day_at_most() {
    let longest = with("exp", json!(NOW_S + TOKEN_LIFE_MAX_S));
    assert_eq!(verify(&token(&header(), &longest, &SECRET), NOW_MS), Ok(()));
    for exp in [NOW_S + TOKEN_LIFE_MAX_S + 1, u64::MAX] {
        is_refused(&token(&header(), &with("exp", json!(exp)), &SECRET), "longer than a day");
    }
    let far = json!(u64::MAX);
    let mut claims = with("exp", far.clone());
    claims["iat"] = far;
    is_refused(&token(&header(), &claims, &SECRET), "from the end of time");
}

#[test]
fn the_header_is_ours() {
    let bad = |change: fn(&mut Header)| {
        let mut header = header();
        change(&mut header);
        token(&header, &claims(), &SECRET)
    };
    is_refused(&bad(|header| header.typ = None), "no typ");
    is_refused(&bad(|header| header.typ = Some("JWT".to_owned())), "another typ");
    is_refused(&bad(|header| header.kid = None), "no kid");
    is_refused(&bad(|header| header.kid = Some("2".to_owned())), "another kid");
    is_refused(&bad(|header| header.crit = Some(vec!["b64".to_owned()])), "a crit");
    is_refused(&bad(|header| header.alg = Algorithm::HS384), "HS384 with the same secret");
    is_refused(&bad(|header| header.alg = Algorithm::HS512), "HS512 with the same secret");
}

#[test]
fn alg_is_not_trusted() {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let body = part(&claims());
    let good = issued();
    let signature = good.rsplit('.').next().unwrap();
    for alg in ["none", "None", "NONE", "", "RS256", "EdDSA", "HS256 "] {
        let head = part(&json!({ "alg": alg, "typ": TYPE, "kid": "1" }));
        is_refused(&format!("{head}.{body}."), alg);
        is_refused(&format!("{head}.{body}"), alg);
        is_refused(&format!("{head}.{body}.{signature}"), alg);
    }
    let head = part(&json!({ "typ": TYPE, "kid": "1" }));
    is_refused(&format!("{head}.{body}."), "no alg at all");
}

#[test]
fn other_servers_and_secrets() {
    for secret in [&[0x5f; 32][..], &[0; 32], &SECRET[..31], b""] {
        is_refused(&token(&header(), &claims(), secret), "another secret");
    }
    let elsewhere = access_of("http://other.test", &SECRET);
    let theirs = elsewhere.issue(workspace_of(OWNER), device_id(PHONE), TokenScope::Read, NOW_MS, [1; 16]).unwrap();
    is_refused(&theirs.token, "another server's token under the same secret");
    for name in ["iss", "aud"] {
        for value in [json!("http://other.test"), json!(""), json!(7), json!(null), json!([]), json!(["x"])] {
            is_refused(&token(&header(), &with(name, value), &SECRET), name);
        }
    }
}

#[test]
fn every_claim_is_required() {
    for name in ["iss", "aud", "sub", "ws", "scope", "jti", "iat", "nbf", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        is_refused(&token(&header(), &claims, &SECRET), name);
        is_refused(&token(&header(), &with(name, json!({})), &SECRET), name);
    }
    let bad = [
        ("scope", json!("owner")),
        ("scope", json!("READ")),
        ("sub", json!("phone")),
        ("sub", json!("00".repeat(17))),
        ("ws", json!("zz".repeat(16))),
        ("exp", json!(-1)),
        ("exp", json!("never")),
        ("nbf", json!(NOW_S + 6)),
        ("iat", json!(NOW_S + 6)),
    ];
    for (name, value) in bad {
        is_refused(&token(&header(), &with(name, value.clone()), &SECRET), &format!("{name} = {value}"));
    }
}

#[test]
fn no_byte_may_change() {
    let good = issued();
    for at in 0..good.len() {
        for other in [b'A', b'B', b'.', b'=', b' '] {
            let mut bytes = good.clone().into_bytes();
            if std::mem::replace(&mut bytes[at], other) == other {
                continue;
            }
            let mutated = String::from_utf8(bytes).unwrap();
            assert!(verify(&mutated, NOW_MS).is_err(), "byte {at} changed: {mutated}");
        }
    }
    for cut in 0..good.len() {
        is_refused(&good[..cut], "cut short");
    }
    let longer =
        [format!("{good}A"), format!("{good}."), format!("{good}\n"), format!(" {good}"), format!("{good}.{good}")];
    for token in longer {
        is_refused(&token, "something added");
    }
    is_refused(&"a".repeat(TOKEN_MAX + 1), "longer than any token");
    is_refused("", "nothing");
    is_refused("..", "two dots");
    is_refused("\u{1f511}.\u{1f511}.\u{1f511}", "no base64url at all");
}
