//! How far devices have read: told, kept, and compared.

use roost::sync::{Effect, Notice, Step, Write};
use roost_shared::limits::SEEN_PAUSE_MS;
use roost_shared::proof;
use roost_shared::roster::Scope;
use roost_shared::wire::message::{CAPABILITY_SEEN, Seen, ServerMessage, Welcome};
use roost_shared::{Cursor, Hash};

use super::rig::{Rig, effects, loaded};
use super::world::{Team, TestLog};

const OTHER: usize = 1;

/// With so many entries of the other device.
fn log_of(team: &Team, id: u8, entries: u64) -> TestLog {
    let mut log = TestLog::of(team, id);
    for author_seq in 1..=entries {
        log.push(team.entry(&log, OTHER, author_seq));
    }
    log
}

fn seen(team: &Team, n: usize, log: &TestLog, size: u64, root: Hash) -> Seen {
    let text = proof::seen(team.workspace(), team.id(n), log.id, team.epoch(), Cursor(size), root);
    let signature = team.keys(n).sign(&text);
    Seen { device: team.id(n), log: log.id, epoch: team.epoch(), size, root, at_ms: 5, signature }
}

fn welcome(log: &TestLog, cursor: u64, seen: Vec<Seen>) -> Welcome {
    Welcome { capabilities: CAPABILITY_SEEN, seen, ..log.welcome(cursor) }
}

/// Device 0 with all of `log` read, at a server that keeps Seen and knows these.
fn rig(team: &Team, log: &TestLog, seen: Vec<Seen>) -> (Rig, Step) {
    let mut rig = Rig::new(loaded(team, 0, log.id));
    rig.handle(roost::sync::Event::Start);
    rig.greet(welcome(log, 0, seen));
    let step = rig.read(log);
    (rig, step)
}

fn told(step: &Step) -> Option<u64> {
    step.effects.iter().find_map(|effect| match effect {
        Effect::Seen { size, .. } => Some(size.0),
        _ => None,
    })
}

fn contradicted(step: &Step) -> bool {
    let written = step.writes.iter().any(|write| matches!(write, Write::Contradiction { .. }));
    let noticed = step.notices.iter().any(|notice| matches!(notice, Notice::Contradicted { .. }));
    assert_eq!(written, noticed, "the evidence is kept");
    noticed
}

#[test]
fn a_device_tells_at_once_and_then_once_a_pause() {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let mut log = log_of(&team, 1, 3);
    let (mut rig, step) = rig(&team, &log, Vec::new());
    assert_eq!(told(&step), Some(log.tail()));
    for author_seq in 4..=5 {
        log.push(team.entry(&log, OTHER, author_seq));
        assert_eq!(told(&rig.read(&log)), None, "it waits");
    }
    assert_eq!(rig.wake_ms(), rig.now_ms + SEEN_PAUSE_MS);
    rig.now_ms = rig.wake_ms();
    assert_eq!(told(&rig.handle(roost::sync::Event::Tick)), Some(log.tail()));
    assert_eq!(rig.machine.wake_at_ms(), None);
}

#[test]
fn what_was_told_on_an_earlier_socket_is_not_told_again() {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = log_of(&team, 1, 3);
    let own = seen(&team, 0, &log, log.tail(), log.root(log.tail()));
    let (_, step) = rig(&team, &log, vec![own]);
    assert_eq!(told(&step), None);
}

#[test]
fn a_server_that_does_not_keep_it_is_told_nothing() {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = log_of(&team, 1, 3);
    let mut rig = Rig::new(loaded(&team, 0, log.id));
    rig.start(&log);
    assert_eq!(told(&rig.read(&log)), None);
}

#[test]
fn everyone_has_seen_it_once_everyone_read_past_our_last_entry() {
    let team = Team::of(&[Scope::ReadWrite, Scope::Read]);
    let mut log = log_of(&team, 1, 2);
    let own = log.push(team.entry(&log, 0, 1));
    log.push(team.entry(&log, OTHER, 3));
    let (mut rig, _) = rig(&team, &log, Vec::new());
    let view = rig.machine.view();
    assert_eq!((view.seen_by, view.others), (0, 2));
    let tell = |rig: &mut Rig, n, size| rig.hear(ServerMessage::Seen(seen(&team, n, &log, size, log.root(size))));
    tell(&mut rig, OTHER, own - 1);
    assert_eq!(rig.machine.view().seen_by, 0);
    let step = tell(&mut rig, OTHER, own);
    assert!(step.writes.iter().any(|write| matches!(write, Write::Seen { at, .. } if at.size == own && at.at_ms == 5)));
    tell(&mut rig, 2, log.tail());
    assert_eq!(rig.machine.view().seen_by, 2);
    tell(&mut rig, OTHER, own - 1); // late: it does not go back
    assert_eq!(rig.machine.view().seen_by, 2);
}

#[test]
fn another_root_at_the_same_size_is_a_contradiction() {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let mut log = log_of(&team, 1, 3);
    let (mut rig, _) = rig(&team, &log, Vec::new());
    let tail = log.tail();
    assert!(!contradicted(&rig.hear(ServerMessage::Seen(seen(&team, OTHER, &log, tail, log.root(tail))))));
    // Of a size that is still to come.
    assert!(!contradicted(&rig.hear(ServerMessage::Seen(seen(&team, OTHER, &log, tail + 1, Hash([1; 32]))))));
    log.push(team.entry(&log, OTHER, 4));
    assert!(contradicted(&rig.read(&log)));
    // And of the tail.
    log.push(team.entry(&log, OTHER, 5));
    assert!(!contradicted(&rig.read(&log)));
    assert!(contradicted(&rig.hear(ServerMessage::Seen(seen(&team, OTHER, &log, log.tail(), Hash([1; 32]))))));
    assert!(!rig.machine.view().diverged, "which of them was lied to, nobody can say: sync goes on");
}

#[test]
fn who_is_not_in_the_roster_yet_is_heard_once_it_is() {
    let mut team = Team::of(&[Scope::ReadWrite]);
    let mut log = log_of(&team, 1, 2);
    let (mut rig, _) = rig(&team, &log, Vec::new());
    let before = team.chain.records().len();
    let newcomer = team.join(Scope::ReadWrite);
    team.chain.records()[before..].iter().for_each(|record| log.record(record));
    let step = rig.hear(ServerMessage::Seen(seen(&team, newcomer, &log, log.tail(), log.root(log.tail()))));
    assert!(step.writes.is_empty());
    let step = rig.read(&log);
    assert!(
        step.writes.iter().any(|write| matches!(write, Write::Seen { device, .. } if *device == team.id(newcomer)))
    );
    assert_eq!(rig.machine.view().seen_by, 1);
}

#[test]
fn what_a_socket_lost_is_told_again() {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = log_of(&team, 1, 3);
    let (mut rig, step) = rig(&team, &log, Vec::new());
    assert_eq!(told(&step), Some(log.tail()));
    rig.closed(None, 0);
    rig.now_ms = rig.wake_ms() + SEEN_PAUSE_MS;
    rig.handle(roost::sync::Event::Tick);
    rig.greet(welcome(&log, log.tail(), Vec::new()));
    assert_eq!(told(&rig.read(&log)), Some(log.tail()));
}

#[test]
fn nobody_speaks_for_another_device() {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = log_of(&team, 1, 3);
    let (mut rig, _) = rig(&team, &log, Vec::new());
    let forged = Seen { signature: [1; 64], ..seen(&team, OTHER, &log, 2, log.root(2)) };
    let step = rig.hear(ServerMessage::Seen(forged.clone()));
    assert_eq!(effects(&step), ["disconnect"], "once may be a fault on the way");
    assert_eq!(rig.machine.view().seen_by, 0);
    rig.now_ms = rig.wake_ms();
    rig.handle(roost::sync::Event::Tick);
    rig.greet(welcome(&log, log.tail(), vec![forged]));
    assert!(rig.machine.view().diverged);
}

#[test]
fn what_is_said_of_another_log_is_let_be() {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let (log, other) = (log_of(&team, 1, 3), log_of(&team, 2, 3));
    let (mut rig, _) = rig(&team, &log, Vec::new());
    let step = rig.hear(ServerMessage::Seen(seen(&team, OTHER, &other, 2, Hash([1; 32]))));
    assert!(step.writes.is_empty() && step.notices.is_empty());
}

#[test]
fn while_the_log_is_disputed_nobody_contradicts() {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = log_of(&team, 1, 3);
    let (mut rig, _) = rig(&team, &log, Vec::new());
    // The server was restored, and went on from there with other entries.
    rig.closed(None, 0);
    rig.now_ms = rig.wake_ms();
    rig.handle(roost::sync::Event::Tick);
    let lost = Welcome { root_at_cursor: Some(Hash([1; 32])), ..welcome(&log, log.tail(), Vec::new()) };
    assert_eq!(effects(&rig.greet(lost)), ["propose log"]);
    let other = seen(&team, OTHER, &log, log.tail(), Hash([1; 32]));
    assert!(!contradicted(&rig.hear(ServerMessage::Seen(other))));
}
