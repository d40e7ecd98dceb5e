//! What a server could make of what a device shows: hide it, and nothing else.

use std::collections::VecDeque;

use roost::Presence;
use roost::json::json;
use roost::keys::{EpochKey, KeyPair, seal};
use roost::replica::Output;
use roost::sync::Event;
use roost_shared::limits::PRESENCE_STATE_MAX;
use roost_shared::presence::{PresenceHeader, encode_state};
use roost_shared::roster::{Scope, Status, WRAP_LEN};
use roost_shared::wire::message::{CAPABILITY_PRESENCE, ClientMessage, ServerMessage, Welcome};

use super::bench::Bench;
use crate::machine::world::{Team, TestLog, entries};

fn line(number: u64) -> Presence {
    Presence { document: None, state: json!({ "line": number }) }
}

/// Live at a server that passes presence on.
fn connect(bench: &mut Bench, log: &TestLog) -> VecDeque<Output> {
    bench.replica.handle(Event::Pause).unwrap();
    bench.replica.handle(Event::Start).unwrap();
    bench.replica.handle(Event::Opened).unwrap();
    let welcome = Welcome { capabilities: CAPABILITY_PRESENCE, ..log.welcome(log.tail()) };
    bench.replica.message(&ServerMessage::Challenge { nonce: [5; 32] }.encode()).unwrap();
    bench.replica.take_outputs();
    bench.replica.message(&ServerMessage::Welcome(welcome).encode()).unwrap();
    bench.replica.take_outputs()
}

/// What is said to be shown.
fn said(outputs: impl IntoIterator<Item = Output>) -> Vec<Vec<u8>> {
    let said = outputs.into_iter().filter_map(|output| match output {
        Output::Send(ClientMessage::Ephemeral { presence }) => Some(presence),
        _ => None,
    });
    said.collect()
}

fn two() -> (Team, TestLog, Bench, Bench) {
    let team = Team::of(&[Scope::Read]);
    let mut log = TestLog::of(&team, 1);
    let (mut one, mut other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    one.sync(&mut log);
    other.sync(&mut log);
    for device in [&mut one, &mut other] {
        assert_eq!(said(connect(device, &log)), [Vec::<u8>::new()], "it shows nothing");
        device.clock.pass(1_000);
    }
    (team, log, one, other)
}

fn hear(bench: &mut Bench, team: &Team, n: usize, presence: Vec<u8>) -> Option<Presence> {
    let device = team.id(n);
    bench.replica.message(&ServerMessage::Ephemeral { device, presence }.encode()).unwrap();
    bench.replica.presence_of(device).cloned()
}

#[test]
fn what_one_shows_the_other_sees() {
    let (team, _, mut one, mut other) = two();
    other.replica.show(Some(line(1))).unwrap();
    let [bytes] = &said(other.replica.take_outputs())[..] else { panic!("it is said") };
    assert!(!one.replica.take_looks());
    assert_eq!(hear(&mut one, &team, 1, bytes.clone()), Some(line(1)), "a reader shows what it looks at, too");
    assert!(one.replica.take_looks() && !one.replica.take_looks());
    assert!(!bytes.windows(4).any(|window| window == b"line"), "and the server sees nothing of it");
    other.replica.show(None).unwrap();
    other.clock.pass(1_000);
    other.replica.handle(Event::Tick).unwrap();
    assert_eq!(said(other.replica.take_outputs()), [Vec::<u8>::new()]);
    assert_eq!(hear(&mut one, &team, 1, Vec::new()), None);
    let too_much = Presence { document: None, state: json!("x".repeat(PRESENCE_STATE_MAX)) };
    assert_eq!(one.replica.show(Some(too_much)).unwrap_err().0, PRESENCE_STATE_MAX + 2);
}

#[test]
fn a_new_socket_is_told_and_a_server_without_presence_is_not() {
    let (_, log, mut one, _) = two();
    one.replica.show(Some(line(1))).unwrap();
    assert_eq!(said(one.replica.take_outputs()).len(), 1);
    assert_eq!(said(connect(&mut one, &log)).len(), 1);
    one.clock.pass(1_000_000);
    one.replica.handle(Event::Pause).unwrap();
    assert_eq!(one.replica.wake_at_ms(), None, "who rests says nothing");
    one.replica.handle(Event::Start).unwrap();
    one.replica.handle(Event::Opened).unwrap();
    one.replica.message(&ServerMessage::Challenge { nonce: [5; 32] }.encode()).unwrap();
    let welcome = ServerMessage::Welcome(log.welcome(log.tail()));
    one.replica.message(&welcome.encode()).unwrap();
    assert!(said(one.replica.take_outputs()).is_empty());
}

#[test]
fn nothing_is_made_up() {
    let (team, _, mut one, mut other) = two();
    other.replica.show(Some(line(1))).unwrap();
    let good = said(other.replica.take_outputs()).remove(0);
    let mut forged: Vec<(&str, Vec<u8>)> = Vec::new();
    for (at, what) in [(8, "another epoch"), (12, "another workspace"), (28, "another device"), (58, "a later counter")]
    {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        forged.push((what, bytes));
    }
    let ring = team.ring();
    let key = ring.get(team.epoch()).unwrap();
    let by = |keys: &KeyPair, key: &EpochKey| {
        let header = PresenceHeader {
            epoch: key.epoch(),
            workspace: team.workspace(),
            device: team.id(1),
            session: 99,
            counter: 1,
            nonce: [7; 24],
        };
        let plaintext = encode_state(None, &json!({ "line": 2 }).to_string()).unwrap();
        seal::presence(key, keys, header, &plaintext).into_bytes()
    };
    let of_before = ring.get(team.epoch() - 1).unwrap();
    forged.push(("of the epoch before", by(&team.keys(1), of_before)));
    forged.push(("signed by another device", by(&team.keys(0), key)));
    forged.push(("under another key", by(&team.keys(1), &EpochKey::new(team.workspace(), team.epoch(), [9; 32]))));
    forged.push(("not of this kind", vec![1; 500]));
    for (what, bytes) in forged {
        assert_eq!(hear(&mut one, &team, 1, bytes), None, "{what}");
    }
    assert_eq!(hear(&mut one, &team, 0, good.clone()), None, "said to be of another device");
    assert_eq!(hear(&mut one, &team, 1, good.clone()), Some(line(1)));
    assert_eq!(hear(&mut one, &team, 1, by(&team.keys(1), key)), Some(line(2)), "what it did sign is shown");
    assert_eq!(hear(&mut one, &team, 1, good), Some(line(2)), "and not what it showed before");
    assert_eq!(hear(&mut one, &team, 1, Vec::new()), None, "a server can hide");
}

#[test]
fn who_was_sent_away_shows_nothing() {
    let (mut team, mut log, mut one, mut other) = two();
    other.replica.show(Some(line(1))).unwrap();
    let said = said(other.replica.take_outputs()).remove(0);
    team.change(1, |device| (device.status, device.wrap) = (Status::Revoked, [0; WRAP_LEN]));
    let from = log.tail();
    log.record(&team.last_record());
    one.replica.message(&entries(log.page(from)).encode()).unwrap();
    assert_eq!(one.replica.held().roster().scope(team.id(1)), None);
    assert_eq!(hear(&mut one, &team, 1, said), None);
}
