//! Messages for proptest, within their limits.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use roost_shared::wire::http::LogLife;
use roost_shared::wire::message::{Append, ClientMessage, Hello, Item, Seen, ServerMessage, Welcome};
use roost_shared::{Code, DeviceId, DocumentId, Hash, LogId, WorkspaceId};

pub fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=max)
}

/// Small numbers as often as large ones: they differ in length on the wire.
pub fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..=300, 0u64..=0x2_0000, any::<u64>()]
}

pub fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn document() -> impl Strategy<Value = DocumentId> {
    any::<[u8; 16]>().prop_map(DocumentId)
}

fn device() -> impl Strategy<Value = DeviceId> {
    any::<[u8; 16]>().prop_map(DeviceId)
}

fn log() -> impl Strategy<Value = LogId> {
    any::<[u8; 16]>().prop_map(LogId)
}

fn code() -> impl Strategy<Value = Code> {
    select(Code::ALL)
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,64}"
}

fn hello() -> impl Strategy<Value = Hello> {
    let documents = option::of(vec(document(), 0..=16));
    let workspace = any::<[u8; 16]>().prop_map(WorkspaceId);
    (any::<u32>(), text(), any::<[u8; 64]>(), workspace, device(), log(), number(), hash(), documents).prop_map(
        |(protocol, token, proof, workspace, device, log, cursor, root, documents)| Hello {
            protocol,
            token: roost_shared::wire::message::Token(token),
            proof,
            workspace,
            device,
            log,
            cursor,
            root,
            documents,
        },
    )
}

fn append() -> impl Strategy<Value = Append> {
    (number(), option::of(number()), vec(bytes(400), 0..=6)).prop_map(|(id, if_tail, envelopes)| Append {
        id,
        if_tail,
        envelopes,
    })
}

fn seen() -> impl Strategy<Value = Seen> {
    (device(), log(), any::<u32>(), number(), hash(), number(), any::<[u8; 64]>()).prop_map(
        |(device, log, epoch, size, root, at_ms, signature)| Seen { device, log, epoch, size, root, at_ms, signature },
    )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let logs = vec((log(), number()).prop_map(|(log, first)| LogLife { log, first }), 0..=4);
    let sizes = (number(), number(), number());
    (any::<u32>(), logs, number(), hash(), option::of(hash()), sizes, vec(seen(), 0..=4)).prop_map(
        |(protocol, logs, tail, root, root_at_cursor, (bytes, quota_bytes, capabilities), seen)| Welcome {
            protocol,
            logs,
            tail,
            root,
            root_at_cursor,
            bytes,
            quota_bytes,
            capabilities,
            seen,
        },
    )
}

pub fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        (number(), bytes(400)).prop_map(|(seq, bytes)| Item::Envelope { seq, bytes }),
        (number(), document(), hash()).prop_map(|(seq, document, envelope_hash)| Item::Leaf {
            seq,
            document,
            envelope_hash,
        }),
        (number(), bytes(400), vec(hash(), 0..=8), vec(hash(), 0..=8))
            .prop_map(|(seq, checkpoint, frontier, proof)| Item::Floor { seq, checkpoint, frontier, proof }),
        (number(), hash()).prop_map(|(seq, root)| Item::Tail { seq, root }),
    ]
}

pub fn client_message() -> impl Strategy<Value = ClientMessage> {
    prop_oneof![
        hello().prop_map(ClientMessage::Hello),
        append().prop_map(ClientMessage::Append),
        seen().prop_map(ClientMessage::Seen),
        bytes(400).prop_map(|presence| ClientMessage::Ephemeral { presence }),
        text().prop_map(|token| ClientMessage::Renew { token: roost_shared::wire::message::Token(token) }),
    ]
}

pub fn server_message() -> impl Strategy<Value = ServerMessage> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(|nonce| ServerMessage::Challenge { nonce }),
        welcome().prop_map(ServerMessage::Welcome),
        (number(), vec(number(), 0..=256)).prop_map(|(id, seqs)| ServerMessage::Appended { id, seqs }),
        (number(), code(), number()).prop_map(|(id, code, retry_after_ms)| ServerMessage::Refused {
            id,
            code,
            retry_after_ms,
        }),
        vec(item(), 0..=8).prop_map(|items| ServerMessage::Entries { items }),
        seen().prop_map(ServerMessage::Seen),
        (any::<[u8; 16]>(), bytes(400))
            .prop_map(|(device, presence)| ServerMessage::Ephemeral { device: DeviceId(device), presence }),
        number().prop_map(|retry_after_ms| ServerMessage::Drain { retry_after_ms }),
        (code(), text()).prop_map(|(code, message)| ServerMessage::Error { code, message }),
    ]
}
