//! The conversation as a state machine: events in, effects out, nothing else.

mod seen;
mod shown;
mod stream;

use std::sync::Arc;

use roost_server::access::Admission;
use roost_server::session::{Effect, Event, Session};
use roost_server::store::conformance::world::{
    BODY_MIN, LOG, OWNER, PHONE, device_id, genesis, people, sealed, workspace_of,
};
use roost_server::store::{Entry, Page, Workspace};
use roost_shared::limits::{APPEND_ENVELOPES_MAX, ENVELOPE_MAX, HELLO_MAX, MESSAGE_MAX};
use roost_shared::roster::Roster;
use roost_shared::tree::{Frontier, leaf};
use roost_shared::wire::PROTOCOL;
use roost_shared::wire::error::Close;
use roost_shared::wire::http::LogLife;
use roost_shared::wire::message::{Append, ClientMessage, Hello, Item, ServerMessage, Token};
use roost_shared::{Code, Cursor, DocumentId, Envelope, Hash, Header, Kind, Seq};

const DOCUMENT: DocumentId = DocumentId([0x33; 16]);

fn hello(cursor: u64, root: Hash, documents: Option<Vec<DocumentId>>) -> Hello {
    Hello {
        protocol: PROTOCOL,
        token: Token("a token".to_owned()),
        proof: [7; 64],
        workspace: workspace_of(OWNER),
        device: device_id(PHONE),
        log: LOG,
        cursor,
        root,
        documents,
    }
}

/// A log of these documents, zeros for a control entry; its entries' bytes say where they stand.
fn entries(documents: &[DocumentId]) -> Vec<Entry> {
    let entry = |(at, document): (u8, &DocumentId)| Entry {
        seq: Seq::new(u64::from(at) + 1).unwrap(),
        document: *document,
        envelope_hash: Hash([at; 32]),
        body: Some(vec![at; 4]),
    };
    (0u8..).zip(documents).map(entry).collect()
}

fn tree(entries: &[Entry]) -> Frontier {
    let mut tree = Frontier::default();
    for entry in entries {
        tree.append(leaf(entry.document, entry.envelope_hash));
    }
    tree
}

fn admission(log: &[Entry], root_at_cursor: Option<Hash>) -> Box<Admission> {
    let roster = Roster::verify(workspace_of(OWNER), &[genesis(OWNER, people())]).unwrap();
    let workspace = Workspace {
        logs: vec![LogLife { log: LOG, first: 1 }],
        frontier: tree(log),
        roster: Arc::new(roster),
        bytes: 10,
        quota_bytes: 100,
    };
    Box::new(Admission { workspace, root_at_cursor, seen: Vec::new(), may_append: true, expires_at_ms: 0 })
}

fn page(log: &[Entry], from: usize, to: usize) -> Event<'static> {
    let tree = tree(log);
    Event::Page(Ok(Page { entries: log[from..to].to_vec(), tail: Cursor(tree.size()), root: tree.root() }))
}

/// A session that said Hello at `cursor` of `log` and was let in; and what came of it.
fn live(log: &[Entry], cursor: usize, documents: Option<Vec<DocumentId>>) -> (Session, Vec<Effect>) {
    let (mut session, _) = Session::open([1; 32]);
    let root = tree(&log[..cursor]).root();
    let said = ClientMessage::Hello(hello(cursor as u64, root, documents)).encode();
    assert!(matches!(&session.handle(Event::Message(&said))[..], [Effect::Admit(_)]));
    let effects = session.handle(Event::Admitted(Ok(admission(log, Some(root)))));
    (session, effects)
}

fn envelope(author_seq: u64) -> Envelope {
    let header = Header {
        kind: Kind::Update,
        epoch: 1,
        workspace: workspace_of(OWNER),
        log: LOG,
        document: DOCUMENT,
        author: device_id(PHONE),
        author_seq,
        base_size: Cursor(0),
        base_root: Frontier::default().root(),
        nonce: [1; 24],
    };
    sealed(header, 1, BODY_MIN, PHONE)
}

fn append_of(id: u64, if_tail: Option<u64>, envelopes: Vec<Vec<u8>>) -> Vec<u8> {
    ClientMessage::Append(Append { id, if_tail, envelopes }).encode()
}

/// It ends with this code and close, and says no more after.
fn ends(session: &mut Session, effects: &[Effect], wanted: Code, wanted_close: Close) {
    match effects {
        [Effect::Send(ServerMessage::Error { code, .. }), Effect::Close(close)] => {
            assert_eq!((*code, *close), (wanted, wanted_close));
        }
        other => panic!("{wanted} was to end it, but {other:?}"),
    }
    let said = ClientMessage::Hello(hello(0, Hash::ZERO, None)).encode();
    assert!(session.handle(Event::Message(&said)).is_empty(), "nothing after the close");
    assert!(session.handle(Event::Drain { retry_after_ms: 1 }).is_empty(), "not even a drain");
}

fn items(effects: &[Effect]) -> Vec<Item> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(ServerMessage::Entries { items }) => Some(items.clone()),
        _ => None,
    });
    sent.flatten().collect()
}

fn whole(entry: &Entry) -> Item {
    Item::Envelope { seq: entry.seq.get(), bytes: entry.body.clone().unwrap() }
}

fn as_leaf(entry: &Entry) -> Item {
    Item::Leaf { seq: entry.seq.get(), document: entry.document, envelope_hash: entry.envelope_hash }
}

fn tail(log: &[Entry]) -> Item {
    Item::Tail { seq: log.len() as u64, root: tree(log).root() }
}

#[test]
fn begins_with_the_challenge() {
    let (_, effect) = Session::open([9; 32]);
    assert!(matches!(effect, Effect::Send(ServerMessage::Challenge { nonce }) if nonce == [9; 32]));
}

#[test]
fn hello_comes_first() {
    let early = [
        append_of(1, None, vec![envelope(1).into_bytes()]),
        ClientMessage::Renew { token: Token("t".to_owned()) }.encode(),
        ClientMessage::Ephemeral { presence: vec![1] }.encode(),
    ];
    for said in early {
        let (mut session, _) = Session::open([1; 32]);
        let effects = session.handle(Event::Message(&said));
        ends(&mut session, &effects, Code::BadMessage, Close::Protocol);
        // Nor between Hello and Welcome.
        let (mut session, _) = Session::open([1; 32]);
        session.handle(Event::Message(&ClientMessage::Hello(hello(0, Hash::ZERO, None)).encode()));
        let effects = session.handle(Event::Message(&said));
        ends(&mut session, &effects, Code::BadMessage, Close::Protocol);
    }
    let (mut session, _) = Session::open([1; 32]);
    let effects = session.handle(Event::HelloLate);
    ends(&mut session, &effects, Code::BadMessage, Close::Protocol);
}

#[test]
fn a_second_hello_ends_it() {
    let log = entries(&[DocumentId::ZERO]);
    let said = ClientMessage::Hello(hello(0, Hash::ZERO, None)).encode();
    let (mut session, _) = live(&log, 1, None);
    let effects = session.handle(Event::Message(&said));
    ends(&mut session, &effects, Code::BadMessage, Close::Protocol);
    let (mut session, _) = Session::open([1; 32]);
    session.handle(Event::Message(&said));
    let effects = session.handle(Event::Message(&said));
    ends(&mut session, &effects, Code::BadMessage, Close::Protocol);
}

#[test]
fn messages_that_are_none() {
    let giant = vec![0x02; MESSAGE_MAX + 1];
    let mut long_hello = ClientMessage::Hello(hello(0, Hash::ZERO, None)).encode();
    long_hello.resize(HELLO_MAX + 1, 0);
    let mut huge_count = vec![0x02, 1, 0, 0xfd];
    huge_count.extend_from_slice(&u64::MAX.to_le_bytes());
    let cases: [(&[u8], Code); 8] = [
        (&[], Code::BadMessage),
        (&[0x00], Code::BadMessage),
        (&[0x06], Code::BadMessage),
        (&[0x41; 33], Code::BadMessage), // the server's own message
        (&[0x02, 1], Code::BadMessage),
        (&giant, Code::TooLarge),
        (&long_hello, Code::TooLarge),
        (&huge_count, Code::TooLarge),
    ];
    let log = entries(&[DocumentId::ZERO]);
    for (said, code) in cases {
        let (mut session, _) = Session::open([1; 32]);
        let effects = session.handle(Event::Message(said));
        ends(&mut session, &effects, code, Close::Protocol);
        let (mut session, _) = live(&log, 1, None);
        let effects = session.handle(Event::Message(said));
        ends(&mut session, &effects, code, Close::Protocol);
    }
}

#[test]
fn an_append_over_a_limit_has_the_code_it_has_over_http() {
    let cases = [
        vec![vec![1]; APPEND_ENVELOPES_MAX + 1],
        vec![vec![1; ENVELOPE_MAX + 1]],
        vec![vec![1; ENVELOPE_MAX - 100]; 4],
    ];
    for envelopes in cases {
        let (mut session, _) = live(&entries(&[DocumentId::ZERO]), 1, None);
        let effects = session.handle(Event::Message(&append_of(1, None, envelopes)));
        ends(&mut session, &effects, Code::TooLarge, Close::Protocol);
    }
}

#[test]
fn what_was_not_read_ends_it() {
    let cases =
        [(Code::TooLarge, Close::Protocol), (Code::TooMany, Close::TooMany), (Code::RetryLater, Close::SlowReader)];
    for (code, close) in cases {
        let (mut session, _) = Session::open([1; 32]);
        let effects = session.handle(Event::Unread(code));
        ends(&mut session, &effects, code, close);
        let (mut session, _) = live(&entries(&[DocumentId::ZERO]), 1, None);
        let effects = session.handle(Event::Unread(code));
        ends(&mut session, &effects, code, close);
    }
}

#[test]
fn codes_that_may_be_tried_again_say_when_and_no_others() {
    for code in Code::ALL {
        let (mut session, _) = live(&entries(&[DocumentId::ZERO]), 1, None);
        session.handle(Event::Message(&append_of(7, None, vec![envelope(1).into_bytes()])));
        let effects = session.handle(Event::Appended { id: 7, outcome: Err((*code).into()) });
        let [Effect::Send(ServerMessage::Refused { id: 7, code: said, retry_after_ms })] = &effects[..] else {
            panic!("a Refused for {code}, but {effects:?}");
        };
        assert_eq!((*said, *retry_after_ms), (*code, if code.is_retryable() { 1_000 } else { 0 }));
    }
}

#[test]
fn messages_from_a_later_version_are_ignored() {
    let log = entries(&[DocumentId::ZERO]);
    let (mut session, _) = Session::open([1; 32]);
    assert!(session.handle(Event::Message(&[0x80])).is_empty());
    let (mut session, _) = live(&log, 1, None);
    for said in [&[0x80][..], &[0xff, 1, 2, 3]] {
        assert!(session.handle(Event::Message(said)).is_empty(), "{said:?}");
    }
}

#[test]
fn who_is_refused_learns_why() {
    let cases = [
        (Code::TokenInvalid, Close::Token),
        (Code::TokenExpired, Close::Token),
        (Code::ProofInvalid, Close::Token),
        (Code::NotAllowed, Close::NotAllowed),
        (Code::NotFound, Close::NotAllowed),
        (Code::TooMany, Close::TooMany),
        (Code::ProtocolVersion, Close::Protocol),
        (Code::RetryLater, Close::SlowReader),
        (Code::StorageFailed, Close::SlowReader),
    ];
    for (code, close) in cases {
        let (mut session, _) = Session::open([1; 32]);
        session.handle(Event::Message(&ClientMessage::Hello(hello(0, Hash::ZERO, None)).encode()));
        let effects = session.handle(Event::Admitted(Err(code)));
        ends(&mut session, &effects, code, close);
    }
}
