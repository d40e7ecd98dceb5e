//! `messages.json`: each message and item with its fields and its bytes.

use roost_shared::wire::codec::{encode_envelopes, encode_items};
use roost_shared::wire::http::LogLife;
use roost_shared::wire::message::{Append, ClientMessage, Hello, Item, Seen, ServerMessage, Welcome};
use roost_shared::{Code, DeviceId, DocumentId, Hash, LogId, WorkspaceId};
use serde_json::{Value, json};

/// One for each length a varint has: 1, 3, 5 and 9 bytes.
const NUMBERS: [u64; 7] = [0, 250, 251, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000];

pub fn document() -> Value {
    let codes = Code::ALL.iter().map(|code| json!({ "number": code.number(), "text": code.as_str() }));
    let envelopes: [Vec<u8>; 2] = [vec![0xaa, 0xbb], vec![]];
    json!({
        "comment": "type u8, then bincode with varints: 0..250 as one byte, else fb u16, fc u32, fd u64, little \
                    endian; lists and text have a length before them, arrays none; an Option is 0 or 1 and the value",
        "codes": codes.collect::<Vec<_>>(),
        "client": client(),
        "server": server(),
        "envelope_stream": {
            "envelopes": envelopes.each_ref().map(hex::encode),
            "bytes": hex::encode(encode_envelopes(&envelopes)),
        },
        "item_stream": { "items": item_fields(), "bytes": hex::encode(encode_items(&items())) },
    })
}

fn from_client(name: &str, fields: Value, message: &ClientMessage) -> Value {
    let bytes = message.encode();
    assert_eq!(ClientMessage::decode(&bytes).as_ref(), Ok(message), "{name}");
    json!({ "name": name, "type": bytes[0], "fields": fields, "bytes": hex::encode(bytes) })
}

fn from_server(name: &str, fields: Value, message: &ServerMessage) -> Value {
    let bytes = message.encode();
    assert_eq!(ServerMessage::decode(&bytes).as_ref(), Ok(message), "{name}");
    json!({ "name": name, "type": bytes[0], "fields": fields, "bytes": hex::encode(bytes) })
}

fn seen() -> Seen {
    Seen {
        device: DeviceId([0x44; 16]),
        log: LogId([0x22; 16]),
        epoch: 3,
        size: 1_000,
        root: Hash([0x55; 32]),
        at_ms: 1_800_000_000_000,
        signature: [0x99; 64],
    }
}

fn seen_fields() -> Value {
    let seen = seen();
    json!({
        "device": seen.device.to_string(),
        "log": seen.log.to_string(),
        "epoch": seen.epoch,
        "size": seen.size,
        "root": seen.root.to_string(),
        "at_ms": seen.at_ms,
        "signature": hex::encode(seen.signature),
    })
}

fn hello(documents: Option<Vec<DocumentId>>) -> (Value, ClientMessage) {
    let hello = Hello {
        protocol: 1,
        token: roost_shared::wire::message::Token("a.token.é".to_owned()),
        proof: [0x99; 64],
        workspace: WorkspaceId([0x11; 16]),
        device: DeviceId([0x44; 16]),
        log: LogId([0x22; 16]),
        cursor: 300,
        root: Hash([0x55; 32]),
        documents,
    };
    let fields = json!({
        "protocol": hello.protocol,
        "token": hello.token.0,
        "proof": hex::encode(hello.proof),
        "workspace": hello.workspace.to_string(),
        "device": hello.device.to_string(),
        "log": hello.log.to_string(),
        "cursor": hello.cursor,
        "root": hello.root.to_string(),
        "documents": hello.documents,
    });
    (fields, ClientMessage::Hello(hello))
}

fn append(if_tail: Option<u64>, envelopes: Vec<Vec<u8>>) -> (Value, ClientMessage) {
    let texts: Vec<_> = envelopes.iter().map(hex::encode).collect();
    let fields = json!({ "id": 7, "if_tail": if_tail, "envelopes": texts });
    (fields, ClientMessage::Append(Append { id: 7, if_tail, envelopes }))
}

fn client() -> Vec<Value> {
    let (all_fields, all) = hello(None);
    let (none_fields, none) = hello(Some(vec![]));
    let (some_fields, some) = hello(Some(vec![DocumentId([0x33; 16]), DocumentId([0x34; 16])]));
    let (append_fields, plain) = append(None, vec![vec![0xaa; 300]]);
    let (if_tail_fields, if_tail) = append(Some(0x1_0000), vec![vec![0xaa, 0xbb], vec![0xcc]]);
    let ephemeral = ClientMessage::Ephemeral { presence: vec![0xe0, 0xe1] };
    let renew = ClientMessage::Renew { token: roost_shared::wire::message::Token("a.token".to_owned()) };
    vec![
        from_client("hello for all documents", all_fields, &all),
        from_client("hello for no documents", none_fields, &none),
        from_client("hello for two documents", some_fields, &some),
        from_client("append", append_fields, &plain),
        from_client("append if the tail has not moved", if_tail_fields, &if_tail),
        from_client("seen", seen_fields(), &ClientMessage::Seen(seen())),
        from_client("ephemeral", json!({ "presence": "e0e1" }), &ephemeral),
        from_client("renew", json!({ "token": "a.token" }), &renew),
    ]
}

fn welcome(root_at_cursor: Option<Hash>) -> (Value, ServerMessage) {
    let logs = vec![LogLife { log: LogId([0x21; 16]), first: 1 }, LogLife { log: LogId([0x22; 16]), first: 251 }];
    let welcome = Welcome {
        protocol: 1,
        logs,
        tail: 1_000,
        root: Hash([0x55; 32]),
        root_at_cursor,
        bytes: 0x1_0000_0000,
        quota_bytes: 0x2_0000_0000,
        capabilities: 7,
        seen: vec![seen()],
    };
    let fields = json!({
        "protocol": welcome.protocol,
        "logs": welcome.logs,
        "tail": welcome.tail,
        "root": welcome.root.to_string(),
        "root_at_cursor": welcome.root_at_cursor,
        "bytes": welcome.bytes,
        "quota_bytes": welcome.quota_bytes,
        "capabilities": welcome.capabilities,
        "seen": [seen_fields()],
    });
    (fields, ServerMessage::Welcome(welcome))
}

fn server() -> Vec<Value> {
    let (in_step_fields, in_step) = welcome(Some(Hash([0x56; 32])));
    let (shorter_fields, shorter) = welcome(None);
    let challenge = ServerMessage::Challenge { nonce: [0x5a; 32] };
    let appended = ServerMessage::Appended { id: 7, seqs: NUMBERS.to_vec() };
    let refused = ServerMessage::Refused { id: 7, code: Code::QuotaExceeded, retry_after_ms: 1_500 };
    let refused_fields = json!({ "id": 7, "code": Code::QuotaExceeded.number(), "retry_after_ms": 1_500 });
    let error = ServerMessage::Error { code: Code::TokenExpired, message: "ask for a new one".to_owned() };
    let error_fields = json!({ "code": Code::TokenExpired.number(), "message": "ask for a new one" });
    let ephemeral = ServerMessage::Ephemeral { device: DeviceId([0x44; 16]), presence: vec![0xe0, 0xe1] };
    let gone = ServerMessage::Ephemeral { device: DeviceId([0x44; 16]), presence: Vec::new() };
    let shown = |presence: &str| json!({ "device": hex::encode([0x44; 16]), "presence": presence });
    vec![
        from_server("challenge", json!({ "nonce": hex::encode([0x5a; 32]) }), &challenge),
        from_server("welcome", in_step_fields, &in_step),
        from_server("welcome by a shorter log", shorter_fields, &shorter),
        from_server("appended", json!({ "id": 7, "seqs": NUMBERS }), &appended),
        from_server("refused", refused_fields, &refused),
        from_server("entries", json!({ "items": item_fields() }), &ServerMessage::Entries { items: items() }),
        from_server("seen", seen_fields(), &ServerMessage::Seen(seen())),
        from_server("ephemeral", shown("e0e1"), &ephemeral),
        from_server("ephemeral of a device that shows nothing", shown(""), &gone),
        from_server("drain", json!({ "retry_after_ms": 500 }), &ServerMessage::Drain { retry_after_ms: 500 }),
        from_server("error", error_fields, &error),
    ]
}

fn items() -> Vec<Item> {
    vec![
        Item::Envelope { seq: 1, bytes: vec![0xaa; 300] },
        Item::Leaf { seq: 251, document: DocumentId([0x33; 16]), envelope_hash: Hash([0x66; 32]) },
        Item::Floor {
            seq: 252,
            checkpoint: vec![0xcc, 0xcd],
            frontier: vec![Hash([0x71; 32]), Hash([0x72; 32])],
            proof: vec![Hash([0x81; 32])],
        },
        Item::Tail { seq: 0x1_0000, root: Hash([0x55; 32]) },
    ]
}

fn item_fields() -> Vec<Value> {
    let fields = |item: &Item| match item {
        Item::Envelope { seq, bytes } => json!({ "item": 0, "seq": seq, "bytes": hex::encode(bytes) }),
        Item::Leaf { seq, document, envelope_hash } => {
            json!({ "item": 1, "seq": seq, "document": document, "envelope_hash": envelope_hash })
        }
        Item::Floor { seq, checkpoint, frontier, proof } => json!({
            "item": 2,
            "seq": seq,
            "checkpoint": hex::encode(checkpoint),
            "frontier": frontier,
            "proof": proof,
        }),
        Item::Tail { seq, root } => json!({ "item": 3, "seq": seq, "root": root }),
    };
    items().iter().map(fields).collect()
}
