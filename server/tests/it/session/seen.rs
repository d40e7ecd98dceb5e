//! How far devices have read: kept for the device that says it, passed on to the others, once.

use roost_server::fanout::Wake;
use roost_server::session::{Effect, Event};
use roost_server::store::conformance::world::{LOG, PHONE, TABLET, device_id};
use roost_shared::wire::error::Close;
use roost_shared::wire::message::{CAPABILITY_SEEN, ClientMessage, Seen, ServerMessage};
use roost_shared::{Code, Cursor, Hash};

use super::{ends, entries, live};

fn seen(seed: u8, size: u64) -> Seen {
    let (root, signature) = (Hash([seed; 32]), [seed; 64]);
    Seen { device: device_id(seed), log: LOG, epoch: 1, size, root, at_ms: 0, signature }
}

fn woken(seen: u64) -> Event<'static> {
    Event::Woken(Wake { tail: Cursor(0), roster: 0, seen, shown: 0, log: None })
}

#[test]
fn welcome_says_that_it_is_kept() {
    let (_, effects) = live(&entries(&[]), 0, None);
    let welcome = effects.iter().find_map(|effect| match effect {
        Effect::Send(ServerMessage::Welcome(welcome)) => Some(welcome),
        _ => None,
    });
    assert_eq!(welcome.unwrap().capabilities & CAPABILITY_SEEN, CAPABILITY_SEEN);
}

#[test]
fn a_device_speaks_for_itself() {
    let (mut session, _) = live(&entries(&[]), 0, None);
    let said = ClientMessage::Seen(seen(PHONE, 1)).encode();
    assert!(matches!(&session.handle(Event::Message(&said))[..], [Effect::See(kept)] if *kept == seen(PHONE, 1)));
    assert!(session.handle(Event::Saw(Ok(()))).is_empty());
    assert!(session.handle(Event::Saw(Err(Code::RetryLater))).is_empty(), "it is said again some time");
    let said = ClientMessage::Seen(seen(TABLET, 1)).encode();
    let effects = session.handle(Event::Message(&said));
    ends(&mut session, &effects, Code::BadMessage, Close::Protocol);
    let (mut session, _) = live(&entries(&[]), 0, None);
    let effects = session.handle(Event::Saw(Err(Code::ProofInvalid)));
    ends(&mut session, &effects, Code::ProofInvalid, Close::Token);
}

#[test]
fn one_is_kept_at_a_time_and_the_latest_waits() {
    let (mut session, _) = live(&entries(&[]), 0, None);
    let mut says = |size| session.handle(Event::Message(&ClientMessage::Seen(seen(PHONE, size)).encode())).len();
    assert_eq!([says(1), says(2), says(3)], [1, 0, 0]);
    let effects = session.handle(Event::Saw(Ok(())));
    assert!(matches!(&effects[..], [Effect::See(kept)] if *kept == seen(PHONE, 3)), "{effects:?}");
    assert!(session.handle(Event::Saw(Err(Code::RetryLater))).is_empty());
}

#[test]
fn one_look_at_a_time() {
    let (mut session, _) = live(&entries(&[]), 0, None);
    assert_eq!(session.handle(woken(1)).len(), 1);
    assert!(session.handle(woken(2)).is_empty() && session.handle(woken(5)).is_empty());
    assert!(matches!(&session.handle(Event::Seen(Err(Code::RetryLater.into())))[..], [Effect::ReadSeen]));
    assert!(session.handle(Event::Seen(Ok(Vec::new()))).is_empty());
}

#[test]
fn news_of_others_is_passed_on_once() {
    let (mut session, _) = live(&entries(&[]), 0, None);
    assert!(session.handle(woken(0)).is_empty());
    assert!(matches!(&session.handle(woken(3))[..], [Effect::ReadSeen]));
    let effects = session.handle(Event::Seen(Ok(vec![seen(PHONE, 4), seen(TABLET, 2)])));
    assert!(
        matches!(&effects[..], [Effect::Send(ServerMessage::Seen(told))] if *told == seen(TABLET, 2)),
        "{effects:?}"
    );
    assert!(session.handle(woken(3)).is_empty());
    assert!(matches!(&session.handle(woken(4))[..], [Effect::ReadSeen]));
    assert!(session.handle(Event::Seen(Ok(vec![seen(PHONE, 5), seen(TABLET, 2)]))).is_empty());
    let effects = session.handle(Event::Seen(Ok(vec![seen(TABLET, 3)])));
    assert_eq!(effects.len(), 1);
}
