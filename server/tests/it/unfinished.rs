//! Attacks with requests and sockets that are begun and not ended: what they hold is counted.

use roost_server::config::Admission;
use roost_server::store::conformance::world::{
    BODY_MIN, LOG, OWNER, PHONE, READER, STRANGER, World, device_id, key, sealed, workspace_of,
};
use roost_shared::limits::{BEFORE_WELCOME_MAX, HELLO_MAX, HTTP_BODY_MAX, HTTP_CHAIN_MAX, MESSAGE_MAX};
use roost_shared::proof::Challenge;
use roost_shared::tree::Frontier;
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::http::TokenScope;
use roost_shared::wire::message::{Append, ClientMessage, Hello, ServerMessage, Token};
use roost_shared::{Code, Cursor, DocumentId, Hash};

use ed25519_dalek::Signer as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::live::{EACH, Server};
use crate::raw::{Wire, answer, head, is_refusal, until};

const HOST: &str = "host: x";
const JSON: &str = "content-type: application/json";
const CONNECTIONS: usize = 60;

/// Begins this many creations of 7 MiB, sends the beginning of each, and waits for what is said to them.
async fn begin(server: &Server, sent: usize) -> JoinSet<String> {
    let mut answers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        answers.spawn(async move {
            stream.write_all(head("POST /v1/workspaces", &[HOST, JSON], 7 << 20).as_bytes()).await.unwrap();
            let _ = stream.write_all(&vec![b' '; sent]).await; // a refused one is closed while it sends
            answer(&mut stream).await
        });
    }
    answers
}

#[tokio::test]
async fn unfinished_creations_hold_no_more_than_an_address_may() {
    const SENT: usize = 1 << 20;
    const HELD_MAX: usize = EACH / 4 * 3;
    let server = Server::open().await;
    let mut answers = begin(&server, SENT).await;
    // So many may wait with all they sent; every other one is refused, and holds nothing.
    for _ in 0..CONNECTIONS - HELD_MAX / SENT {
        let said = answers.join_next().await.unwrap().unwrap();
        assert!(said.is_empty() || is_refusal(&said, 429, Code::TooMany), "{said}");
    }
    let most = server.in_flight.unknown.most();
    assert!((SENT..=HELD_MAX).contains(&most), "{most} bytes were held");
    // Small requests of the same address get through beside them.
    let ask = serde_json::json!({ "workspace": workspace_of(OWNER), "device": device_id(PHONE) });
    let asked = server.post("/v1/session").json(&ask).send().await.unwrap();
    crate::live::problem(asked, 401, Code::NonceInvalid).await;
    drop(answers);
    until("all is given back", || server.in_flight.unknown.held() == 0).await;
    println!("figure: {CONNECTIONS} unfinished creations of 7 MiB held {most} bytes at the most, of {HELD_MAX}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    const SENT: usize = 1_024;
    let server = Server::open().await;
    let answers = begin(&server, SENT).await;
    for said in answers.join_all().await {
        assert!(is_refusal(&said, 503, Code::RetryLater) && said.contains("\r\nretry-after: 1\r\n"), "{said}");
    }
    let (held, most) = (server.in_flight.unknown.held(), server.in_flight.unknown.most());
    assert_eq!((held, most), (0, CONNECTIONS * SENT), "bytes are charged as they arrive, and given back");
    println!(
        "figure: {CONNECTIONS} creations that stopped after {SENT} bytes held {most} bytes, {held} after the deadline"
    );
}

/// Sends a head alone, and not a byte of the body it promises: the refusal comes all the same.
async fn refuses(server: &Server, request: &str, lines: &[&str], length: usize, status: u16, code: Code) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(head(request, lines, length).as_bytes()).await.unwrap();
    let said = answer(&mut stream).await;
    assert!(is_refusal(&said, status, code), "{request} {lines:?} {length}: {said}");
    assert_eq!((server.in_flight.unknown.most(), server.in_flight.known.most()), (0, 0), "{request}");
}

#[tokio::test]
async fn what_the_head_alone_refuses_reads_no_body() {
    let length = 7 << 20;
    let closed = Server::start(Admission::Closed).await;
    refuses(&closed, "POST /v1/workspaces", &[HOST, JSON], length, 403, Code::AdmissionClosed).await;
    let keyed = Server::start(Admission::Key("sixteen letters!".to_owned().into())).await;
    for shown in ["roost-admission-key: sixteen letters", "roost-admission-key:", "accept: */*"] {
        refuses(&keyed, "POST /v1/workspaces", &[HOST, JSON, shown], length, 403, Code::AdmissionClosed).await;
    }

    let server = Server::open().await;
    World::create(&*server.store).await;
    refuses(&server, "POST /v1/workspaces", &[HOST, JSON], HTTP_CHAIN_MAX + 1, 413, Code::TooLarge).await;
    refuses(&server, "POST /v1/session", &[HOST, JSON], HTTP_BODY_MAX + 1, 413, Code::TooLarge).await;
    refuses(&server, "POST /v1/session", &[HOST], 10, 400, Code::BadMessage).await;
    refuses(&server, "POST /v1/session", &[HOST, "content-type: text/plain"], 10, 400, Code::BadMessage).await;
    refuses(&server, "POST /v1/nowhere", &[HOST, JSON], length, 404, Code::NotFound).await;
    for hosts in [&[JSON][..], &[HOST, HOST, JSON], &[HOST, "host: y", JSON]] {
        refuses(&server, "POST /v1/session", hosts, 10, 400, Code::BadMessage).await;
    }
    let workspace = format!("POST /v1/workspaces/{}", workspace_of(OWNER));
    let show = |device, scope| format!("authorization: Bearer {}", server.token(OWNER, device, scope));
    let (reader, phone) = (show(READER, TokenScope::Read), show(PHONE, TokenScope::ReadWrite));
    let joiner = show(STRANGER, TokenScope::Join);
    let (entries, log, tokens) =
        (format!("{workspace}/entries"), format!("{workspace}/log"), format!("{workspace}/tokens"));
    refuses(&server, &entries, &[HOST], length, 401, Code::TokenInvalid).await;
    refuses(&server, &entries, &[HOST, &reader], length, 403, Code::NotAllowed).await;
    refuses(&server, &format!("{entries}?if_tail=x"), &[HOST, &phone], length, 400, Code::BadMessage).await;
    refuses(&server, &entries, &[HOST, &phone], HTTP_BODY_MAX + 1, 413, Code::TooLarge).await;
    refuses(&server, &log, &[HOST, JSON, &joiner], 10, 403, Code::NotAllowed).await;
    refuses(&server, &tokens, &[HOST, JSON, &phone], 10, 403, Code::NotAllowed).await;
    println!("figure: requests that their head refuses held 0 bytes of their bodies");
}

#[tokio::test]
async fn sockets_before_hello_hold_a_hello_at_the_most() {
    const SOCKETS: usize = 200;
    const SENT: usize = 4_000;
    let server = Server::open().await;
    let begun = [Wire::frame_of(MESSAGE_MAX), vec![0; SENT]].concat();
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = Wire::open(&server, None).await;
        socket.stream.write_all(&begun).await.unwrap();
        sockets.push(socket);
    }
    until("all were read", || server.in_flight.unknown.most() >= SOCKETS * begun.len()).await;
    for mut socket in sockets {
        assert_eq!(socket.hear().await.1.first(), Some(&0x41), "the Challenge");
        socket.stream.write_all(&vec![0; BEFORE_WELCOME_MAX - begun.len()]).await.unwrap();
        let (_, error) = socket.hear().await;
        let said = ServerMessage::decode(&error);
        assert!(matches!(said, Ok(ServerMessage::Error { code: Code::TooLarge, .. })), "{said:?}");
        assert_eq!(socket.hear().await, (8, 4_400_u16.to_be_bytes().to_vec()), "the close");
    }
    until("all is given back", || server.in_flight.unknown.held() == 0).await;
    let most = server.in_flight.unknown.most();
    assert!(most <= SOCKETS * BEFORE_WELCOME_MAX, "{most} bytes");
    println!("figure: {SOCKETS} sockets with an unfinished frame of 1 MiB before Hello held {most} bytes at the most");
}

#[tokio::test]
async fn the_longest_hello_is_let_in_and_whole_messages_after_it() {
    let server = Server::open().await;
    let world = World::create(&*server.store).await;
    let mut socket = Wire::open(&server, None).await;
    let (_, challenge) = socket.hear().await;
    let Ok(ServerMessage::Challenge { nonce }) = ServerMessage::decode(&challenge) else { panic!("{challenge:?}") };
    let (audience, workspace, device) = (server.audience(), workspace_of(OWNER), device_id(PHONE));
    let challenge = Challenge { nonce: &nonce, audience: &audience, workspace, device };
    let hello = Hello {
        protocol: PROTOCOL,
        token: Token(server.token(OWNER, PHONE, TokenScope::ReadWrite)),
        proof: key(PHONE).sign(&challenge.hello()).to_bytes(),
        workspace,
        device,
        log: LOG,
        cursor: 0,
        root: Frontier::default().root(),
        documents: Some(vec![DocumentId([3; 16])]),
    };
    let mut hello = ClientMessage::Hello(hello).encode();
    hello.resize(HELLO_MAX, 0); // fields of a later version
    socket.say(&hello).await;
    let (_, welcome) = socket.hear().await;
    assert!(matches!(ServerMessage::decode(&welcome), Ok(ServerMessage::Welcome(_))), "{welcome:?}");
    assert_eq!(server.in_flight.unknown.held(), 0, "it is known now");

    let envelope = sealed(world.header(PHONE, 1), 1, BODY_MIN + 8 * BEFORE_WELCOME_MAX, PHONE).into_bytes();
    let hash = Hash::of(&[&envelope]);
    socket.say(&ClientMessage::Append(Append { id: 1, if_tail: None, envelopes: vec![envelope] }).encode()).await;
    loop {
        match ServerMessage::decode(&socket.hear().await.1).unwrap() {
            ServerMessage::Appended { id: 1, seqs } => break assert_eq!(seqs, [2]),
            ServerMessage::Entries { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let read = server.store.read(workspace, Cursor(1), 1).await.unwrap();
    assert_eq!(read.entries[0].envelope_hash, hash);
    // A message over its limit is named, not only cut off.
    socket.stream.write_all(&Wire::frame_of(MESSAGE_MAX + 1)).await.unwrap();
    loop {
        match ServerMessage::decode(&socket.hear().await.1).unwrap() {
            ServerMessage::Error { code, .. } => break assert_eq!(code, Code::TooLarge),
            ServerMessage::Entries { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}
