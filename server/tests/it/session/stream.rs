//! From Welcome on: appends, the stream of entries, and what ends it.

use roost_server::fanout::Wake;
use roost_server::session::{Effect, Event, Session};
use roost_server::store::conformance::world::{LOG, PHONE, device_id};
use roost_server::store::{Appended, Entry, Refusal};
use roost_shared::limits::PAGE_TARGET;
use roost_shared::wire::error::Close;
use roost_shared::wire::message::{CAPABILITY_PRESENCE, CAPABILITY_SEEN, ClientMessage, Item, ServerMessage, Token};
use roost_shared::{Code, Cursor, DocumentId, Hash, LogId, Seq};

use super::{
    DOCUMENT, admission, append_of, as_leaf, ends, entries, envelope, hello, items, live, page, tail, tree, whole,
};

const OTHER: DocumentId = DocumentId([0x34; 16]);

fn wake(tail: usize) -> Event<'static> {
    Event::Woken(Wake { tail: Cursor(tail as u64), roster: 0, seen: 0, shown: 0, log: None })
}

fn seqs(numbers: &[u64]) -> Vec<Seq> {
    numbers.iter().map(|number| Seq::new(*number).unwrap()).collect()
}

fn reads(effects: &[Effect]) -> Vec<u64> {
    let reads = effects.iter().filter_map(|effect| match effect {
        Effect::Read { after, max_bytes } => {
            assert_eq!(*max_bytes, PAGE_TARGET);
            Some(after.0)
        }
        _ => None,
    });
    reads.collect()
}

#[test]
fn welcome_says_how_things_stand() {
    let log = entries(&[DocumentId::ZERO, DOCUMENT]);
    let (_, effects) = live(&log, 1, None);
    let [Effect::Send(ServerMessage::Welcome(welcome)), Effect::Read { after: Cursor(1), .. }] = &effects[..] else {
        panic!("a Welcome and a read, but {effects:?}");
    };
    assert_eq!((welcome.protocol, welcome.tail, welcome.root), (1, 2, tree(&log).root()));
    assert_eq!(welcome.root_at_cursor, Some(tree(&log[..1]).root()));
    assert_eq!(
        (welcome.bytes, welcome.quota_bytes, welcome.capabilities),
        (10, 100, CAPABILITY_PRESENCE | CAPABILITY_SEEN)
    );
    assert_eq!(welcome.logs.len(), 1);
    assert!(welcome.seen.is_empty());
}

#[test]
fn who_is_at_the_tail_is_told_so() {
    let log = entries(&[DocumentId::ZERO, DOCUMENT]);
    let (mut session, effects) = live(&log, 2, None);
    assert_eq!(items(&effects), [tail(&log)]);
    assert!(reads(&effects).is_empty(), "there is nothing to read");
    assert!(session.handle(wake(2)).is_empty(), "a wake that brings nothing");
}

#[test]
fn another_root_is_streamed_nothing() {
    let log = entries(&[DocumentId::ZERO, DOCUMENT]);
    for root_at_cursor in [None, Some(tree(&log[..1]).root())] {
        let (mut session, _) = Session::open([1; 32]);
        let said = ClientMessage::Hello(hello(1, Hash([9; 32]), None)).encode();
        session.handle(Event::Message(&said));
        let effects = session.handle(Event::Admitted(Ok(admission(&log, root_at_cursor))));
        assert!(matches!(&effects[..], [Effect::Send(ServerMessage::Welcome(_))]), "{effects:?}");
        assert!(session.handle(wake(9)).is_empty(), "nor later");
    }
}

#[test]
fn pages_follow_one_another() {
    let log = entries(&[DocumentId::ZERO, DOCUMENT, OTHER, DOCUMENT]);
    let (mut session, effects) = live(&log, 0, None);
    assert_eq!(reads(&effects), [0]);
    assert!(session.handle(wake(4)).is_empty(), "one read at a time");
    let effects = session.handle(page(&log, 0, 3));
    assert_eq!(items(&effects), log[..3].iter().map(whole).collect::<Vec<_>>(), "no Tail before the tail");
    assert_eq!(reads(&effects), [3], "the next page from where this one ended");
    let effects = session.handle(page(&log, 3, 4));
    assert_eq!(items(&effects), [whole(&log[3]), tail(&log)]);
    assert!(reads(&effects).is_empty());

    // The log grows while a page is on its way.
    let longer = entries(&[DocumentId::ZERO, DOCUMENT, OTHER, DOCUMENT, DOCUMENT, OTHER]);
    assert_eq!(reads(&session.handle(wake(5))), [4]);
    assert!(session.handle(wake(6)).is_empty());
    let effects = session.handle(page(&longer, 4, 5));
    assert_eq!((items(&effects), reads(&effects)), (vec![whole(&longer[4])], vec![5]));
    let effects = session.handle(page(&longer, 5, 6));
    assert_eq!(items(&effects), [whole(&longer[5]), tail(&longer)]);
    // A wake that comes late and says less takes nothing back.
    assert!(session.handle(wake(3)).is_empty());
}

#[test]
fn documents_not_asked_for_travel_as_leaves() {
    let log = entries(&[DocumentId::ZERO, DOCUMENT, OTHER, DOCUMENT, DocumentId::ZERO]);
    let cases: [(Vec<DocumentId>, &[u64]); 3] =
        [(vec![DOCUMENT], &[1, 2, 4, 5]), (Vec::new(), &[1, 5]), (vec![OTHER], &[1, 3, 5])];
    for (documents, whole_ones) in cases {
        let (mut session, _) = live(&log, 0, Some(documents));
        let sent = items(&session.handle(page(&log, 0, 5)));
        let form = |entry: &Entry| if whole_ones.contains(&entry.seq.get()) { whole(entry) } else { as_leaf(entry) };
        let mut wanted: Vec<Item> = log.iter().map(form).collect();
        wanted.push(tail(&log));
        assert_eq!(sent, wanted);
    }
}

#[test]
fn a_trimmed_entry_travels_as_a_leaf() {
    let mut log = entries(&[DocumentId::ZERO, DOCUMENT]);
    log[1].body = None;
    let (mut session, _) = live(&log, 1, None);
    assert_eq!(items(&session.handle(page(&log, 1, 2))), [as_leaf(&log[1]), tail(&log)]);
}

#[test]
fn an_append_is_asked_for_as_the_device() {
    let log = entries(&[DocumentId::ZERO]);
    let (mut session, _) = live(&log, 1, None);
    let said = append_of(7, Some(1), vec![envelope(1).into_bytes(), envelope(2).into_bytes()]);
    let effects = session.handle(Event::Message(&said));
    let [Effect::Append { id: 7, append }] = &effects[..] else { panic!("an Append, but {effects:?}") };
    assert_eq!(append.device, device_id(PHONE));
    assert_eq!((append.if_tail, append.may_append), (Some(Cursor(1)), true));
    assert_eq!(append.envelopes, [envelope(1), envelope(2)]);
}

fn refused(effects: &[Effect]) -> (u64, Code, bool) {
    match effects {
        [Effect::Send(ServerMessage::Refused { id, code, retry_after_ms })] => (*id, *code, *retry_after_ms > 0),
        other => panic!("a Refused, but {other:?}"),
    }
}

#[test]
fn one_append_in_flight() {
    let log = entries(&[DocumentId::ZERO]);
    let (mut session, _) = live(&log, 1, None);
    let said = |id| append_of(id, None, vec![envelope(id).into_bytes()]);
    assert!(matches!(session.handle(Event::Message(&said(1)))[..], [Effect::Append { id: 1, .. }]));
    assert_eq!(refused(&session.handle(Event::Message(&said(2)))), (2, Code::TooMany, true));
    let outcome = Err(Refusal { code: Code::LogChanged, log: Some(LogId([9; 16])) });
    assert_eq!(refused(&session.handle(Event::Appended { id: 1, outcome })), (1, Code::LogChanged, false));
    assert!(matches!(session.handle(Event::Message(&said(3)))[..], [Effect::Append { id: 3, .. }]));
    let outcome = Err(Refusal::from(Code::StorageFull));
    assert_eq!(refused(&session.handle(Event::Appended { id: 3, outcome })), (3, Code::StorageFull, true));
    assert!(matches!(session.handle(Event::Message(&said(4)))[..], [Effect::Append { id: 4, .. }]));
    let outcome = Ok(Appended { seqs: seqs(&[2]), tail: Cursor(2) });
    let effects = session.handle(Event::Appended { id: 4, outcome });
    assert!(matches!(&effects[..], [Effect::Send(ServerMessage::Appended { id: 4, seqs })] if *seqs == [2]));
}

#[test]
fn what_is_no_envelope_is_refused_and_blocks_nothing() {
    let log = entries(&[DocumentId::ZERO]);
    let (mut session, _) = live(&log, 1, None);
    let said = append_of(1, None, vec![envelope(1).into_bytes(), vec![1, 2, 3]]);
    assert_eq!(refused(&session.handle(Event::Message(&said))), (1, Code::EnvelopeInvalid, false));
    let said = append_of(2, None, vec![envelope(1).into_bytes()]);
    assert!(matches!(session.handle(Event::Message(&said))[..], [Effect::Append { id: 2, .. }]));
}

#[test]
fn own_entries_travel_as_leaves() {
    let log = entries(&[DocumentId::ZERO, DOCUMENT, OTHER, DOCUMENT]);
    let (mut session, _) = live(&log[..1], 1, None);
    session.handle(Event::Message(&append_of(1, None, vec![envelope(1).into_bytes()])));
    let outcome = Ok(Appended { seqs: seqs(&[2, 4]), tail: Cursor(4) });
    session.handle(Event::Appended { id: 1, outcome });
    assert_eq!(reads(&session.handle(wake(4))), [1]);
    let sent = items(&session.handle(page(&log, 1, 4)));
    assert_eq!(sent, [as_leaf(&log[1]), whole(&log[2]), as_leaf(&log[3]), tail(&log)]);
}

#[test]
fn own_entries_that_were_read_before_the_answer_travel_whole() {
    let log = entries(&[DocumentId::ZERO, DOCUMENT]);
    let (mut session, _) = live(&log[..1], 1, None);
    session.handle(Event::Message(&append_of(1, None, vec![envelope(1).into_bytes()])));
    session.handle(wake(2));
    assert_eq!(items(&session.handle(page(&log, 1, 2))), [whole(&log[1]), tail(&log)]);
    let outcome = Ok(Appended { seqs: seqs(&[2]), tail: Cursor(2) });
    let effects = session.handle(Event::Appended { id: 1, outcome });
    assert!(matches!(&effects[..], [Effect::Send(ServerMessage::Appended { .. })]));
}

#[test]
fn a_new_log_id_ends_it() {
    let log = entries(&[DocumentId::ZERO]);
    let (mut session, _) = live(&log, 1, None);
    let same = Wake { tail: Cursor(1), roster: 0, seen: 0, shown: 0, log: Some(LOG) };
    assert!(session.handle(Event::Woken(same)).is_empty(), "the id it knows");
    let effects = session.handle(Event::Woken(Wake { log: Some(LogId([9; 16])), ..same }));
    ends(&mut session, &effects, Code::LogChanged, Close::LogChanged);
}

#[test]
fn a_roster_change_is_looked_into() {
    let log = entries(&[DocumentId::ZERO]);
    let (mut session, _) = live(&log, 1, None);
    let newer = Wake { tail: Cursor(2), roster: 2, seen: 0, shown: 0, log: None };
    let effects = session.handle(Event::Woken(newer));
    assert!(matches!(&effects[..], [Effect::Read { .. }, Effect::Check]), "{effects:?}");
    assert!(session.handle(Event::Woken(newer)).is_empty(), "once a version");
    assert!(session.handle(Event::Checked(true)).is_empty());
    let effects = session.handle(Event::Checked(false));
    ends(&mut session, &effects, Code::NotAllowed, Close::NotAllowed);
}

#[test]
fn tokens_are_renewed_or_run_out() {
    let log = entries(&[DocumentId::ZERO]);
    let said = ClientMessage::Renew { token: Token("new".to_owned()) }.encode();
    let (mut session, _) = live(&log, 1, None);
    assert!(matches!(&session.handle(Event::Message(&said))[..], [Effect::Renew(token)] if token == "new"));
    assert!(session.handle(Event::Renewed(Ok(1))).is_empty(), "a renewal has no answer");
    let effects = session.handle(Event::Renewed(Err(Code::TokenInvalid)));
    ends(&mut session, &effects, Code::TokenInvalid, Close::Token);
    let (mut session, _) = live(&log, 1, None);
    let effects = session.handle(Event::TokenExpired);
    ends(&mut session, &effects, Code::TokenExpired, Close::Token);
}

#[test]
fn a_store_that_cannot_read_ends_it() {
    let log = entries(&[DocumentId::ZERO, DOCUMENT]);
    let (mut session, _) = live(&log, 1, None);
    let effects = session.handle(Event::Page(Err(Code::StorageFailed.into())));
    ends(&mut session, &effects, Code::StorageFailed, Close::SlowReader);
}

#[test]
fn a_drain_is_said_in_every_state() {
    let log = entries(&[DocumentId::ZERO]);
    let (greeting, _) = Session::open([1; 32]);
    let (mut admitting, _) = Session::open([1; 32]);
    admitting.handle(Event::Message(&ClientMessage::Hello(hello(0, Hash::ZERO, None)).encode()));
    let (live, _) = live(&log, 1, None);
    for mut session in [greeting, admitting, live] {
        let effects = session.handle(Event::Drain { retry_after_ms: 42 });
        let said = matches!(
            &effects[..],
            [Effect::Send(ServerMessage::Drain { retry_after_ms: 42 }), Effect::Close(Close::Drain)]
        );
        assert!(said, "{effects:?}");
        assert!(session.handle(Event::TokenExpired).is_empty(), "nothing follows a drain");
    }
}
