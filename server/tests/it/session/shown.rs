//! What devices show: passed on to the others as it stands, never more than once, and its end.

use roost_server::fanout::Shown;
use roost_server::session::{Effect, Event, Session};
use roost_server::store::conformance::world::{OWNER, PHONE, TABLET, device_id};
use roost_shared::wire::message::{CAPABILITY_PRESENCE, ClientMessage, ServerMessage};

use super::{entries, live};

fn shown(session: &mut Session, all: &[(u8, u64)]) -> Vec<(u8, Vec<u8>)> {
    let shown = |version: u64| Shown { version, presence: version.to_be_bytes().as_slice().into() };
    let all = all.iter().map(|(device, version)| (device_id(*device), shown(*version))).collect();
    let told = session.handle(Event::Shown(all)).into_iter().map(|effect| match effect {
        Effect::Send(ServerMessage::Ephemeral { device, presence }) => {
            let seed = [OWNER, PHONE, TABLET].into_iter().find(|seed| device_id(*seed) == device);
            (seed.unwrap(), presence)
        }
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn welcome_says_that_it_is_passed_on() {
    let (_, effects) = live(&entries(&[]), 0, None);
    let Some(Effect::Send(ServerMessage::Welcome(welcome))) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(welcome.capabilities & CAPABILITY_PRESENCE, CAPABILITY_PRESENCE);
}

#[test]
fn what_a_device_shows_is_handed_on_as_it_is() {
    let (mut session, _) = live(&entries(&[]), 0, None);
    let said = ClientMessage::Ephemeral { presence: vec![1, 2, 3] }.encode();
    assert!(matches!(&session.handle(Event::Message(&said))[..], [Effect::Show(shown)] if *shown == [1, 2, 3]));
}

#[test]
fn each_is_told_once_and_its_end_too() {
    let (mut session, _) = live(&entries(&[]), 0, None); // the phone's
    let bytes = |version: u64| version.to_be_bytes().to_vec();
    assert_eq!(shown(&mut session, &[(PHONE, 1), (TABLET, 2)]), [(TABLET, bytes(2))], "not its own");
    assert_eq!(shown(&mut session, &[(PHONE, 3), (TABLET, 2)]), []);
    assert_eq!(shown(&mut session, &[(TABLET, 4), (PHONE, 3)]), [(TABLET, bytes(4))]);
    assert_eq!(shown(&mut session, &[(PHONE, 3)]), [(TABLET, Vec::new())], "it shows nothing any more");
    assert_eq!(shown(&mut session, &[]), []);
    assert_eq!(shown(&mut session, &[(TABLET, 9)]), [(TABLET, bytes(9))]);
}
