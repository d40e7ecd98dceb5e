//! Requests over a real socket: what is refused, how, and the way of a device that is let in.

use roost_server::config::Admission;
use roost_server::store::conformance::world::{
    BODY_MIN, LOG, OWNER, PHONE, READER, STRANGER, TABLET, World, device_id, genesis, key, people, sealed, workspace_of,
};
use roost_shared::limits::{APPEND_ENVELOPES_MAX, ENVELOPE_MAX, HTTP_BODY_MAX, HTTP_CHAIN_MAX, HTTP_HEAD_MAX};
use roost_shared::proof::Challenge;
use roost_shared::wire::codec::{decode_items, encode_envelopes};
use roost_shared::wire::http::{
    AppendedIs, AskSession, Base64, CreateWorkspace, LogIs, TokenIs, TokenScope, WorkspaceIs,
};
use roost_shared::wire::message::Item;
use roost_shared::{Code, Header, LogId};

use ed25519_dalek::Signer as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::live::{Server, problem};

fn path(rest: &str) -> String {
    format!("/v1/workspaces/{}{rest}", workspace_of(OWNER))
}

#[tokio::test]
async fn health() {
    let server = Server::open().await;
    let alive = server.get("/healthz").send().await.unwrap();
    assert_eq!((alive.status().as_u16(), alive.text().await.unwrap().trim()), (200, "ok"));
    let ready = server.get("/readyz").send().await.unwrap();
    assert_eq!((ready.status().as_u16(), ready.text().await.unwrap().trim()), (200, "ready"));
    let capabilities: serde_json::Value = server.get("/v1/capabilities").send().await.unwrap().json().await.unwrap();
    let wanted = serde_json::json!({ "protocols": [1], "audience": server.audience(), "admission": "open" });
    assert_eq!(capabilities, wanted);
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_route() {
    let server = Server::open().await;
    for nowhere in ["/", "/v1", "/v2/workspaces", "/v1/workspaces/", "/healthz/x", "/v1/session/x", "/%00"] {
        problem(server.get(nowhere).send().await.unwrap(), 404, Code::NotFound).await;
    }
    let wrong_method = server.get("/v1/session").send().await.unwrap();
    assert_eq!(wrong_method.status().as_u16(), 405);
    assert_eq!(wrong_method.text().await.unwrap(), "", "405 has no body");
    let bad_id = server.post("/v1/workspaces/xyz/roster").json(&serde_json::json!({ "record": "" })).send().await;
    problem(bad_id.unwrap(), 404, Code::NotFound).await;
}

#[tokio::test]
async fn bodies_that_do_not_parse() {
    let server = Server::open().await;
    let json = |body: &'static str| server.post("/v1/session").header("content-type", "application/json").body(body);
    for body in ["", "{", "[]", "null", "{\"workspace\":1}", "{\"workspace\":\"00\",\"device\":\"00\"}", "\u{fffd}"] {
        problem(json(body).send().await.unwrap(), 400, Code::BadMessage).await;
    }
    let untyped = server.post("/v1/session").body("{}").send().await.unwrap();
    problem(untyped, 400, Code::BadMessage).await;
    World::create(&*server.store).await;
    let token = server.token(OWNER, PHONE, TokenScope::ReadWrite);
    for query in ["?after=x", "?after=-1", "?max_bytes=much"] {
        let bad = server.get(&path(&format!("/entries{query}"))).bearer_auth(&token).send().await;
        problem(bad.unwrap(), 400, Code::BadMessage).await;
    }
    for body in [Vec::<u8>::new(), vec![1], vec![0]] {
        let bad = server.post(&path("/entries")).bearer_auth(&token).body(body).send().await;
        problem(bad.unwrap(), 400, Code::BadMessage).await;
    }
    let huge_count = server.post(&path("/entries")).bearer_auth(&token).body(vec![0xfd; 9]);
    problem(huge_count.send().await.unwrap(), 413, Code::TooLarge).await;
    let no_envelope = server.post(&path("/entries")).bearer_auth(&token).body(encode_envelopes(&[vec![1; 300]]));
    problem(no_envelope.send().await.unwrap(), 400, Code::EnvelopeInvalid).await;
    let record = serde_json::json!({ "record": "AAAA" });
    let no_record = server.post(&path("/roster")).json(&record).send().await.unwrap();
    problem(no_record, 400, Code::RosterInvalid).await;
}

#[tokio::test]
async fn bodies_over_their_limit() {
    let server = Server::open().await;
    World::create(&*server.store).await;
    let token = server.token(OWNER, PHONE, TokenScope::ReadWrite);
    // The head says that it is too long. The answer arrives all the same: a refused connection is not reset at once.
    let json = |route: &str, len| server.post(route).header("content-type", "application/json").body(vec![b' '; len]);
    problem(json("/v1/session", HTTP_BODY_MAX + 1).send().await.unwrap(), 413, Code::TooLarge).await;
    problem(json("/v1/workspaces", HTTP_CHAIN_MAX + 1).send().await.unwrap(), 413, Code::TooLarge).await;
    let entries = server.post(&path("/entries")).bearer_auth(&token).body(vec![0u8; HTTP_BODY_MAX + 1]);
    problem(entries.send().await.unwrap(), 413, Code::TooLarge).await;
    // At the limit it is read, and found to be nothing.
    problem(json("/v1/session", HTTP_BODY_MAX).send().await.unwrap(), 400, Code::BadMessage).await;
    problem(json("/v1/workspaces", HTTP_BODY_MAX + 1).send().await.unwrap(), 400, Code::BadMessage).await;
}

#[tokio::test]
async fn an_append_over_a_limit() {
    let server = Server::open().await;
    World::create(&*server.store).await;
    let token = server.token(OWNER, PHONE, TokenScope::ReadWrite);
    let cases = [
        (vec![vec![1]; APPEND_ENVELOPES_MAX + 1], "257 envelopes"),
        (vec![vec![1; ENVELOPE_MAX + 1]], "an envelope over 256 KiB"),
        (vec![vec![1; ENVELOPE_MAX - 100]; 4], "envelopes over 1 MiB - 4 KiB together"),
    ];
    for (envelopes, what) in cases {
        let body = encode_envelopes(&envelopes);
        assert!(body.len() <= HTTP_BODY_MAX, "{what}: it is not the body that is too long");
        let sent = server.post(&path("/entries")).bearer_auth(&token).body(body).send().await.unwrap();
        problem(sent, 413, Code::TooLarge).await;
    }
    let nothing = server.post(&path("/entries")).bearer_auth(&token).body(encode_envelopes(&[]));
    problem(nothing.send().await.unwrap(), 400, Code::BadMessage).await;
}

#[tokio::test]
async fn the_schemes_name_is_the_same_in_any_case() {
    let server = Server::open().await;
    World::create(&*server.store).await;
    let token = server.token(OWNER, READER, TokenScope::Read);
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer "] {
        let shown = server.get(&path("")).header("authorization", format!("{scheme} {token}")).send().await.unwrap();
        assert_eq!(shown.status().as_u16(), 200, "{scheme}");
    }
    for shown in [token.clone(), format!("Bearer{token}"), format!("Token {token}"), "Bearer".to_owned()] {
        let refused = server.get(&path("")).header("authorization", shown).send().await.unwrap();
        problem(refused, 401, Code::TokenInvalid).await;
    }
}

#[tokio::test]
async fn heads_over_eight_kibibytes() {
    let server = Server::open().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let long = "x".repeat(3 * HTTP_HEAD_MAX);
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n");
    // The server closes with bytes unread: the rest of the write, and even the answer, may be lost to a reset.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let refused = answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 ");
    assert!(refused, "{}", String::from_utf8_lossy(&answer));
    let long = "x".repeat(HTTP_HEAD_MAX / 2);
    let within = server.get("/healthz").header("x-long", long).send().await.unwrap();
    assert_eq!(within.status().as_u16(), 200, "a long head within the limit");
}

#[tokio::test]
async fn tokens_are_asked_for() {
    let server = Server::open().await;
    let world = World::create(&*server.store).await;
    let reads = ["", "/roster", "/entries", "/tree?first=0&second=1"].map(path);
    let elsewhere = server.token(STRANGER, PHONE, TokenScope::ReadWrite);
    let unlisted = server.token(OWNER, STRANGER, TokenScope::Master);
    let good = server.token(OWNER, READER, TokenScope::Read);
    for route in &reads {
        problem(server.get(route).send().await.unwrap(), 401, Code::TokenInvalid).await;
        let basic = server.get(route).basic_auth("phone", Some(&good)).send().await.unwrap();
        problem(basic, 401, Code::TokenInvalid).await;
        let forged = server.get(route).bearer_auth(format!("{good}x")).send().await.unwrap();
        problem(forged, 401, Code::TokenInvalid).await;
        problem(server.get(route).bearer_auth(&elsewhere).send().await.unwrap(), 403, Code::NotAllowed).await;
        problem(server.get(route).bearer_auth(&unlisted).send().await.unwrap(), 403, Code::NotAllowed).await;
        let let_in = server.get(route).bearer_auth(&good).send().await.unwrap();
        assert_eq!(let_in.status().as_u16(), 200, "{route}");
    }
    let in_query = server.get(&path(&format!("?token={good}&access_token={good}"))).send().await.unwrap();
    problem(in_query, 401, Code::TokenInvalid).await;
    for route in ["/entries", "/log"].map(path) {
        problem(server.post(&route).send().await.unwrap(), 401, Code::TokenInvalid).await;
        problem(server.post(&route).bearer_auth(&elsewhere).send().await.unwrap(), 403, Code::NotAllowed).await;
    }
    let by_reader = encode_envelopes(&[world.update(READER, 1).into_bytes()]);
    let by_reader = server.post(&path("/entries")).bearer_auth(&good).body(by_reader).send().await.unwrap();
    problem(by_reader, 403, Code::NotAllowed).await;
    world.stands().await;
}

#[tokio::test]
async fn a_stolen_token_appends_nothing() {
    let server = Server::open().await;
    let world = World::create(&*server.store).await;
    let token = server.token(OWNER, PHONE, TokenScope::Master);
    let forged = sealed(world.header(PHONE, 1), 1, BODY_MIN, TABLET);
    let body = encode_envelopes(&[world.update(PHONE, 1).into_bytes(), forged.into_bytes()]);
    let sent = server.post(&path("/entries")).bearer_auth(&token).body(body).send().await.unwrap();
    problem(sent, 403, Code::SignatureInvalid).await;
    world.stands().await;
}

#[tokio::test]
async fn admission() {
    let create = CreateWorkspace { log: LOG, chain: vec![Base64(genesis(OWNER, people()).as_bytes().to_vec())] };
    let server = Server::start(Admission::Closed).await;
    let sent = server.post("/v1/workspaces").json(&create).send().await.unwrap();
    problem(sent, 403, Code::AdmissionClosed).await;
    let server = Server::start(Admission::Key("sixteen letters!".to_owned().into())).await;
    for wrong in [None, Some(""), Some("sixteen letters"), Some("Sixteen letters!")] {
        let request = server.post("/v1/workspaces").json(&create);
        let request = wrong.into_iter().fold(request, |request, key| request.header("roost-admission-key", key));
        problem(request.send().await.unwrap(), 403, Code::AdmissionClosed).await;
    }
    let right = server.post("/v1/workspaces").header("roost-admission-key", "sixteen letters!").json(&create);
    assert_eq!(right.send().await.unwrap().status().as_u16(), 200);
}

#[tokio::test]
async fn the_way_of_a_device() {
    let server = Server::open().await;
    let chain = vec![Base64(genesis(OWNER, people()).as_bytes().to_vec())];
    let create = CreateWorkspace { log: LOG, chain };
    for _ in 0..2 {
        let created: LogIs = server.post("/v1/workspaces").json(&create).send().await.unwrap().json().await.unwrap();
        assert_eq!(created.log, LOG);
    }
    let rival = CreateWorkspace { log: LogId([9; 16]), ..create };
    let exists = server.post("/v1/workspaces").json(&rival).send().await.unwrap();
    assert_eq!(problem(exists, 409, Code::WorkspaceExists).await.log, Some(LOG));

    let (workspace, device) = (workspace_of(OWNER), device_id(PHONE));
    let ask = AskSession { workspace, device, nonce: None, signature: None, owner_signature: None };
    let first = server.post("/v1/session").json(&ask).send().await.unwrap();
    let nonce = problem(first, 401, Code::NonceInvalid).await.nonce.unwrap();
    assert_eq!(nonce.audience, server.audience());
    let challenge = Challenge { nonce: &nonce.nonce.0, audience: &nonce.audience, workspace, device };
    let signature = Base64(key(PHONE).sign(&challenge.session()).to_bytes().to_vec());
    let ask = AskSession { nonce: Some(nonce.nonce.clone()), signature: Some(signature), ..ask };
    let token: TokenIs = server.post("/v1/session").json(&ask).send().await.unwrap().json().await.unwrap();
    assert_eq!(token.scope, TokenScope::ReadWrite);

    let show = server.get(&path("")).bearer_auth(&token.token).send().await.unwrap();
    let show: WorkspaceIs = show.json().await.unwrap();
    let found = server.store.workspace(workspace).await.unwrap().unwrap();
    assert_eq!((show.tail, show.root, show.epoch, show.bytes), (1, found.frontier.root(), 1, 0));
    let header = Header {
        kind: roost_shared::Kind::Update,
        epoch: 1,
        workspace,
        log: LOG,
        document: roost_shared::DocumentId([3; 16]),
        author: device,
        author_seq: 1,
        base_size: roost_shared::Cursor(show.tail),
        base_root: show.root,
        nonce: [1; 24],
    };
    let envelope = sealed(header, 1, BODY_MIN, PHONE).into_bytes();
    let append = |query: &str| {
        let body = encode_envelopes(std::slice::from_ref(&envelope));
        server.post(&path(&format!("/entries{query}"))).bearer_auth(&token.token).body(body)
    };
    problem(append("?if_tail=0").send().await.unwrap(), 409, Code::TailMoved).await;
    for query in ["?if_tail=1", ""] {
        let appended: AppendedIs = append(query).send().await.unwrap().json().await.unwrap();
        assert_eq!(appended.seqs, [2], "the same bytes, the same number");
    }
    let page = server.get(&path("/entries?after=1")).bearer_auth(&token.token).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "application/octet-stream");
    let items = decode_items(&page.bytes().await.unwrap()).unwrap();
    let root = server.store.workspace(workspace).await.unwrap().unwrap().frontier.root();
    assert_eq!(items, [Item::Envelope { seq: 2, bytes: envelope.clone() }, Item::Tail { seq: 2, root }]);
    server.stop().await;
}
