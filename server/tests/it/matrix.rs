//! Every route tried with every credential: the table of routes says what each needs, and nothing else gets in.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use roost_server::clock::now_ms;
use roost_server::routes::{Needs, ROUTES, Route};
use roost_server::store::TokenChange;
use roost_server::store::conformance::world::{
    INVITE, LOG, OWNER, PHONE, READER, STRANGER, TABLET, World, device, device_id, genesis, invite, owner, people,
    people_and, workspace_of,
};
use roost_shared::Code;
use roost_shared::hash::Hash;
use roost_shared::limits::TOKEN_LIFE_MAX_S;
use roost_shared::roster::{Scope, Status};
use roost_shared::wire::codec::encode_envelopes;
use roost_shared::wire::http::{IssueToken, IssuedToken, Problem, TokenScope, TokensAre};
use serde_json::{Value, json};

use crate::access::{SECRET, access_of};
use crate::live::Server;

/// A new device, which has redeemed a link and is not listed yet.
const JOINER: u8 = 40;

/// What a credential opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opens {
    /// No route that needs a token; the code says why.
    Nothing(Code),
    /// Reading.
    Read,
    /// Reading, as a device of the workspace.
    Device,
    /// Appending, as a device that signs with its own key.
    Append,
    /// The owner's routes, too.
    Master,
}

impl Opens {
    /// None if the request gets past the door; what lies behind may still be wrong with it.
    fn refusal(self, needs: Needs) -> Option<Code> {
        let enough = match (self, needs) {
            (_, Needs::Nothing) => true,
            (Self::Nothing(code), _) => return Some(code),
            (_, Needs::Read) | (Self::Master, _) => true,
            (Self::Read, _) => false,
            (Self::Device | Self::Append, Needs::Device) => true,
            (Self::Append, Needs::Append) => true,
            (Self::Device, Needs::Append) | (Self::Device | Self::Append, Needs::Master) => false,
        };
        (!enough).then_some(Code::NotAllowed)
    }
}

/// A token with one thing wrong, or none.
struct Forge<'a> {
    audience: &'a str,
    now_s: u64,
}

impl Forge<'_> {
    fn token(&self, change: impl FnOnce(&mut Header, &mut Value)) -> String {
        let mut header = Header::new(Algorithm::HS256);
        (header.typ, header.kid) = (Some("roost-access+jwt".to_owned()), Some("1".to_owned()));
        let mut claims = json!({
            "iss": self.audience, "aud": self.audience, "sub": device_id(PHONE), "ws": workspace_of(OWNER),
            "scope": "read_write", "jti": "AQEBAQEBAQEBAQEBAQEBAQ",
            "iat": self.now_s, "nbf": self.now_s, "exp": self.now_s + 600,
        });
        change(&mut header, &mut claims);
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&SECRET)).unwrap()
    }
}

/// Every credential there is, by name.
async fn credentials(server: &Server) -> BTreeMap<&'static str, (Option<String>, Opens)> {
    let invalid = Opens::Nothing(Code::TokenInvalid);
    let denied = Opens::Nothing(Code::NotAllowed);
    let audience = server.audience();
    let now_s = now_ms() / 1_000;
    let forge = Forge { audience: &audience, now_s };
    let token = |owner, device, scope| Some(server.token(owner, device, scope));
    let forged = |change: &dyn Fn(&mut Header, &mut Value)| Some(forge.token(change));

    let master = server.token(OWNER, PHONE, TokenScope::Master);
    let path = format!("/v1/workspaces/{}/tokens", workspace_of(OWNER));
    let mut keyless = Vec::new();
    for label in ["kept", "withdrawn"] {
        let body = IssueToken { label: label.to_owned(), expires_in_s: 3_600 };
        let issued = server.post(&path).bearer_auth(&master).json(&body).send().await.unwrap();
        let issued: IssuedToken = issued.json().await.unwrap();
        keyless.push(issued);
    }
    let withdraw = TokenChange::Withdraw { id: keyless[1].id };
    server.store.change_token(workspace_of(OWNER), withdraw).await.unwrap();
    let never_kept = access_of(&audience, &SECRET).issue_keyless(workspace_of(OWNER), 60, now_ms(), [8; 16]).unwrap();

    BTreeMap::from([
        ("none", (None, invalid)),
        ("garbage", (Some("garbage".to_owned()), invalid)),
        ("other workspace: read", (token(STRANGER, PHONE, TokenScope::Read), denied)),
        ("other workspace: read_write", (token(STRANGER, PHONE, TokenScope::ReadWrite), denied)),
        ("other workspace: master", (token(STRANGER, PHONE, TokenScope::Master), denied)),
        ("read", (token(OWNER, READER, TokenScope::Read), Opens::Device)),
        ("read_write", (token(OWNER, PHONE, TokenScope::ReadWrite), Opens::Append)),
        ("master", (Some(master), Opens::Master)),
        ("join", (token(OWNER, JOINER, TokenScope::Join), Opens::Read)),
        ("join of a listed device", (token(OWNER, INVITE, TokenScope::Join), denied)),
        ("not listed", (token(OWNER, STRANGER, TokenScope::Master), denied)),
        ("revoked", (token(OWNER, TABLET, TokenScope::Master), denied)),
        ("keyless", (Some(keyless[0].token.clone()), Opens::Read)),
        ("keyless, withdrawn", (Some(keyless[1].token.clone()), denied)),
        ("keyless, never kept", (Some(never_kept.token), denied)),
        ("keyless that would write", (forged(&|_, claims| claims["sub"] = json!("00".repeat(16))), invalid)),
        ("expired", (forged(&|_, claims| claims["exp"] = json!(now_s - 60)), Opens::Nothing(Code::TokenExpired))),
        ("not valid yet", (forged(&|_, claims| claims["nbf"] = json!(now_s + 60)), invalid)),
        ("a life of days", (forged(&|_, claims| claims["exp"] = json!(now_s + 2 * TOKEN_LIFE_MAX_S)), invalid)),
        ("wrong aud", (forged(&|_, claims| claims["aud"] = json!("http://other.test")), invalid)),
        ("wrong iss", (forged(&|_, claims| claims["iss"] = json!("http://other.test")), invalid)),
        ("wrong typ", (forged(&|header, _| header.typ = Some("JWT".to_owned())), invalid)),
        ("wrong kid", (forged(&|header, _| header.kid = Some("2".to_owned())), invalid)),
    ])
}

/// A request that is as it should be but for the token; the append is signed by the phone.
fn request(server: &Server, route: Route, envelope: &[u8]) -> reqwest::RequestBuilder {
    let path = route.path.replace("{ws}", &workspace_of(OWNER).to_string()).replace("{token}", &Hash::ZERO.to_string());
    match (route.method, route.path) {
        ("POST", "/v1/workspaces/{ws}/entries") => server.post(&path).body(encode_envelopes(&[envelope.to_vec()])),
        ("POST", "/v1/workspaces/{ws}/log") => server.post(&path).json(&json!({
            "old": LOG, "proposed": "07".repeat(16), "cursor": 0, "root": Hash::ZERO,
        })),
        ("POST", "/v1/workspaces/{ws}/tokens") => server.post(&path).json(&json!({ "label": "x", "expires_in_s": 60 })),
        ("POST", _) => server.post(&path).json(&json!({})),
        ("DELETE", _) => server.delete(&path),
        ("GET", "/v1/workspaces/{ws}/tree") => server.get(&format!("{path}?first=0&second=1")),
        (_, _) => server.get(&path),
    }
}

/// A workspace with a reader, a revoked tablet and an open invite, and another workspace with the same devices.
async fn people_in(server: &Server) -> World<'_> {
    let mut world = World::create_with(&*server.store, people_and(invite(INVITE))).await;
    let mut devices = people_and(invite(INVITE));
    devices.retain(|device| device.id != device_id(TABLET));
    devices.push(device(TABLET, Scope::ReadWrite, Status::Revoked));
    world.posts(owner(OWNER, 2, devices), OWNER).await;
    server.store.create(workspace_of(STRANGER), LOG, vec![genesis(STRANGER, people())]).await.unwrap();
    world
}

#[tokio::test]
async fn every_route_with_every_credential() {
    let server = Server::open().await;
    let world = people_in(&server).await;
    let credentials = credentials(&server).await;
    let (mut tried, mut refused) = (0, 0);
    for route in ROUTES {
        for (name, (token, opens)) in &credentials {
            let envelope = world.update(PHONE, 1).into_bytes();
            let mut asked = request(&server, route, &envelope);
            if let Some(token) = token {
                asked = asked.bearer_auth(token);
            }
            let answer = asked.send().await.unwrap();
            let status = answer.status();
            let code = serde_json::from_slice::<Problem>(&answer.bytes().await.unwrap()).ok().map(|found| found.code);
            tried += 1;
            let case = format!("{} {} with {name}: {status} {code:?}", route.method, route.path);
            if let Some(wanted) = opens.refusal(route.needs) {
                assert_eq!(code, Some(wanted), "{case}");
                refused += 1;
            } else {
                let at_the_door = [Code::TokenInvalid, Code::TokenExpired, Code::NotAllowed];
                assert!(!code.is_some_and(|code| at_the_door.contains(&code)), "{case}");
                assert_ne!(status.as_u16(), 405, "{case}: the table names a method that is not served");
                // The right token without the device's key: its scope is enough, its signature is not.
                if route.needs == Needs::Append {
                    let mut bytes = envelope;
                    let last = bytes.len() - 1;
                    bytes[last] ^= 1;
                    let asked = request(&server, route, &bytes).bearer_auth(token.as_deref().unwrap_or_default());
                    let problem: Problem = asked.send().await.unwrap().json().await.unwrap();
                    assert_eq!(problem.code, Code::SignatureInvalid, "{case}, without the proof");
                    refused += 1;
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(
        ROUTES.len() * credentials.len(),
        tried - 2,
        "read_write and master were tried without the proof as well"
    );
    println!(
        "figure: {} routes x {} credentials: {tried} tried, {refused} refused as they must be",
        ROUTES.len(),
        credentials.len()
    );
}

#[tokio::test]
async fn a_token_without_a_device_is_listed_and_withdrawn() {
    let server = Server::open().await;
    let _world = people_in(&server).await;
    let path = format!("/v1/workspaces/{}", workspace_of(OWNER));
    let master = server.token(OWNER, PHONE, TokenScope::Master);
    let body = IssueToken { label: "nightly backup".to_owned(), expires_in_s: 90 * 24 * 3_600 };
    let tokens = format!("{path}/tokens");
    let issued = server.post(&tokens).bearer_auth(&master).json(&body).send().await.unwrap();
    let issued: IssuedToken = issued.json().await.unwrap();
    let read = || server.get(&format!("{path}/entries")).bearer_auth(&issued.token).send();
    assert_eq!(read().await.unwrap().status().as_u16(), 200);

    let listed = server.get(&tokens).bearer_auth(&master).send().await.unwrap().text().await.unwrap();
    assert!(!listed.contains(&issued.token), "never the token");
    let listed: TokensAre = serde_json::from_str(&listed).unwrap();
    let [only] = &listed.tokens[..] else { panic!("{listed:?}") };
    assert_eq!((only.id, only.label.as_str(), only.expires_at_ms), (issued.id, "nightly backup", issued.expires_at_ms));

    let one = format!("{tokens}/{}", issued.id);
    assert_eq!(server.delete(&one).bearer_auth(&master).send().await.unwrap().status().as_u16(), 204);
    crate::live::problem(read().await.unwrap(), 403, Code::NotAllowed).await;
    let again = server.delete(&one).bearer_auth(&master).send().await.unwrap();
    crate::live::problem(again, 404, Code::NotFound).await;
    for (label, expires_in_s) in [("x".repeat(56), 60), (String::new(), 0), (String::new(), 400 * 24 * 3_600)] {
        let bad = server.post(&tokens).bearer_auth(&master).json(&IssueToken { label, expires_in_s }).send().await;
        crate::live::problem(bad.unwrap(), 400, Code::BadMessage).await;
    }
}
