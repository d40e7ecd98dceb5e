//! Entries in: what is taken, what is put aside, and what no server can have.

use roost::sync::{Author, Effect, Event, Notice, Step, Write};
use roost_shared::hash::Hash;
use roost_shared::roster::{Scope, Status, WRAP_LEN};
use roost_shared::wire::message::Item;
use roost_shared::{Cursor, Envelope, LogId, Seq, WorkspaceId};

use super::rig::{Rig, effects, is_idle, sealing};
use super::world::{NOTES, Team, TestLog, forged, head};

fn world() -> (Team, TestLog, Rig) {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let rig = Rig::at(&team, 0, &log);
    (team, log, rig)
}

fn envelope_item(seq: u64, envelope: &Envelope) -> Item {
    Item::Envelope { seq, bytes: envelope.as_bytes().to_vec() }
}

/// The numbers a step puts into the inbox.
fn inbox(step: &Step) -> Vec<u64> {
    let seqs = step.writes.iter().filter_map(|write| match write {
        Write::Inbox { seq, .. } => Some(seq.get()),
        _ => None,
    });
    seqs.collect()
}

/// The numbers a step puts aside.
fn quarantine(step: &Step) -> Vec<(u64, &'static str)> {
    let put = step.writes.iter().filter_map(|write| match write {
        Write::Quarantine { seq, reason, .. } => Some((seq.get(), *reason)),
        _ => None,
    });
    put.collect()
}

#[test]
fn an_entry_is_counted_and_goes_to_be_merged() {
    let (team, mut log, mut rig) = world();
    let seq = log.push(team.entry(&log, 1, 1));
    let step = rig.read(&log);
    assert_eq!(inbox(&step), [seq]);
    assert_eq!(effects(&step), ["merge"]);
    assert_eq!(step.notices, [Notice::CaughtUp { tail: Cursor(seq) }]);
    let last = rig.machine.log().authors[&team.id(1)];
    assert_eq!(last, Author { last: 1, base: Cursor(seq - 1) });
    assert_eq!((rig.cursor(), rig.machine.log().frontier.root()), (seq, log.root(seq)));
    let leaves = step.writes.iter().filter(|write| matches!(write, Write::Leaf { .. })).count();
    let advances = step.writes.iter().filter(|write| matches!(write, Write::Advance(_))).count();
    assert_eq!((leaves, advances), (1, 1));
}

struct Lie {
    what: &'static str,
    item: Item,
    evidence: Vec<u8>,
}

/// What no honest server says after `log`.
fn lies(team: &Team, log: &TestLog) -> Vec<Lie> {
    let tail = log.tail();
    let good = team.entry(log, 1, 1);
    let sealed = |header| team.seal(1, header, &head().plaintext(b"x"));
    let numbered = |what, seq: u64, envelope: &Envelope| Lie {
        what,
        item: envelope_item(seq, envelope),
        evidence: envelope.as_bytes().to_vec(),
    };
    let entry = |what, envelope: &Envelope| numbered(what, tail + 1, envelope);
    let (mut elsewhere, mut other_log) = (team.header(log, 1, 1), team.header(log, 1, 1));
    elsewhere.workspace = WorkspaceId([9; 16]);
    other_log.log = LogId([9; 16]);
    let mut branch = team.clone();
    branch.advance();
    let (genesis, next) = (&team.chain.records()[0], branch.last_record());
    let control = |epoch, record: &roost_shared::roster::Record| {
        Envelope::control(team.workspace(), log.id, epoch, record.version, record.as_bytes())
    };
    let (wrong, root) = (Hash([1; 32]), log.root(tail));
    let leaf = Item::Leaf { seq: tail + 1, document: NOTES, envelope_hash: wrong };
    let floor = Item::Floor { seq: tail + 1, checkpoint: Vec::new(), frontier: Vec::new(), proof: Vec::new() };
    let garbage = Item::Envelope { seq: tail + 1, bytes: vec![7; 400] };
    vec![
        numbered("a gap", tail + 2, &good),
        numbered("a repeated number", tail, log.entry(tail)),
        entry("another workspace", &sealed(elsewhere)),
        entry("another log", &sealed(other_log)),
        entry("an author's gap", &team.entry(log, 1, 2)),
        entry("a record that does not fit the chain", &control(1, genesis)),
        entry("a record under another header", &control(99, &next)),
        Lie { what: "a leaf that is not ours", item: leaf, evidence: wrong.0.to_vec() },
        Lie { what: "a wrong root", item: Item::Tail { seq: tail, root: wrong }, evidence: wrong.0.to_vec() },
        Lie { what: "a wrong tail", item: Item::Tail { seq: tail + 1, root }, evidence: root.0.to_vec() },
        Lie { what: "a floor", item: floor, evidence: Vec::new() },
        Lie { what: "no envelope", item: garbage, evidence: vec![7; 400] },
    ]
}

#[test]
fn a_lie_is_asked_about_once_and_then_kept_as_evidence() {
    let (team, log, _) = world();
    for Lie { what: lie, item, evidence: told } in lies(&team, &log) {
        let mut rig = Rig::at(&team, 0, &log);
        let step = rig.items(vec![item.clone()]);
        assert_eq!(effects(&step), ["disconnect"], "{lie}");
        assert!(step.writes.is_empty() && !rig.machine.view().diverged, "{lie}");
        rig.reconnect(&log);
        let step = rig.items(vec![item]);
        assert_eq!(effects(&step), ["disconnect"], "{lie}");
        let [Write::Diverged { what, evidence }] = &step.writes[..] else { panic!("{lie}: {step:?}") };
        assert_eq!(evidence, &told, "{lie}");
        assert!(step.notices.contains(&Notice::Diverged { what: what.clone() }), "{lie}");
        let view = rig.machine.view();
        assert!(view.diverged && !view.online && !view.synced, "{lie}");
        assert_eq!((rig.machine.wake_at_ms(), rig.cursor()), (None, log.tail()), "{lie}");
        assert!(is_idle(&rig.handle(Event::Edited)), "{lie}");
        assert!(is_idle(&rig.read(&log)), "{lie}");
    }
}

#[test]
fn what_was_verified_before_a_lie_stays() {
    let (team, mut log, mut rig) = world();
    let seq = log.push(team.entry(&log, 1, 1));
    let step = rig.items(vec![log.item(seq), log.item(seq)]);
    assert_eq!(effects(&step), ["merge", "disconnect"]);
    assert_eq!((inbox(&step), rig.cursor()), (vec![seq], seq));
    assert!(step.writes.iter().any(|write| matches!(write, Write::Advance(_))));
}

#[test]
fn a_repeated_entry_of_an_author_is_a_lie() {
    let (team, mut log, mut rig) = world();
    log.push(team.entry(&log, 1, 1));
    rig.read(&log);
    log.push(log.entry(log.tail()).clone());
    assert_eq!(effects(&rig.read(&log)), ["disconnect"]);
}

#[test]
fn a_server_that_makes_sense_again_is_forgiven() {
    let (team, mut log, mut rig) = world();
    for author_seq in 1..=3 {
        let lie = Item::Tail { seq: log.tail(), root: Hash([1; 32]) };
        assert_eq!(effects(&rig.items(vec![lie])), ["disconnect"]);
        rig.reconnect(&log);
        log.push(team.entry(&log, 1, author_seq));
        rig.read(&log);
    }
    assert!(!rig.machine.view().diverged);
}

#[test]
fn a_bad_signature_is_put_aside_but_counted_and_its_author_goes_on() {
    let (team, mut log, mut rig) = world();
    let bad = log.push(forged(&team.entry(&log, 1, 1)));
    let step = rig.read(&log);
    assert_eq!(quarantine(&step), [(bad, "its signature is not its author's")]);
    assert_eq!((inbox(&step), rig.cursor()), (vec![], bad));
    let good = log.push(team.entry(&log, 1, 2));
    assert_eq!(inbox(&rig.read(&log)), [good]);
}

#[test]
fn a_forgery_far_ahead_does_not_count() {
    let (team, mut log, mut rig) = world();
    log.push(forged(&team.entry(&log, 1, 5)));
    assert_eq!(quarantine(&rig.read(&log)).len(), 1);
    let good = log.push(team.entry(&log, 1, 1));
    assert_eq!(inbox(&rig.read(&log)), [good]);
}

#[test]
fn a_server_that_forges_an_entry_is_caught_by_the_true_one() {
    let (team, mut log, mut rig) = world();
    log.push(forged(&team.entry(&log, 1, 1)));
    rig.read(&log);
    log.push(team.entry(&log, 1, 1));
    assert_eq!(effects(&rig.read(&log)), ["disconnect"]);
}

#[test]
fn an_author_who_was_never_in_is_put_aside() {
    let (team, mut log, mut rig) = world();
    let mut branch = team;
    let stranger = branch.join(Scope::ReadWrite);
    let seq = log.push(branch.entry(&log, stranger, 1));
    assert_eq!(quarantine(&rig.read(&log)), [(seq, "its author was never in the roster")]);
}

#[test]
fn a_wrong_base_is_told_and_the_content_kept() {
    let (team, mut log, mut rig) = world();
    let author = team.id(1);
    type Base = fn(&TestLog) -> (Cursor, Hash);
    let bases: [Base; 3] = [
        |log| (Cursor(log.tail()), Hash([1; 32])),
        |log| (Cursor(log.tail() + 5), log.root(log.tail())),
        |_| (Cursor(0), Hash([1; 32])),
    ];
    for (base, author_seq) in bases.into_iter().zip(1..) {
        let mut header = team.header(&log, 1, author_seq);
        (header.base_size, header.base_root) = base(&log);
        let number = log.push(team.seal(1, header, &head().plaintext(b"x")));
        let step = rig.read(&log);
        assert_eq!(inbox(&step), [number]);
        let seq = Seq::new(number).unwrap();
        assert!(step.notices.contains(&Notice::BaseMismatch { seq, author }), "{step:?}");
    }
}

#[test]
fn a_base_that_falls_is_told() {
    let (team, mut log, mut rig) = world();
    let (early, early_root) = (Cursor(log.tail() - 1), log.root(log.tail() - 1));
    log.push(team.entry(&log, 1, 1));
    let mut header = team.header(&log, 1, 2);
    (header.base_size, header.base_root) = (early, early_root);
    log.push(team.seal(1, header, &head().plaintext(b"x")));
    let step = rig.read(&log);
    assert_eq!(inbox(&step).len(), 2);
    assert_eq!(step.notices.iter().filter(|notice| matches!(notice, Notice::BaseMismatch { .. })).count(), 1);
}

#[test]
fn a_base_within_the_page_and_one_from_before_it_are_known() {
    let (team, mut log, mut rig) = world();
    let before = team.entry(&log, 1, 1);
    log.push(team.entry(&log, 0, 1));
    log.push(before);
    log.push(team.entry(&log, 1, 2));
    let step = rig.read(&log);
    assert_eq!(inbox(&step).len(), 3);
    assert!(!step.notices.iter().any(|notice| matches!(notice, Notice::BaseMismatch { .. })), "{step:?}");
}

#[test]
fn a_read_only_author_is_put_aside() {
    let team = Team::of(&[Scope::Read]);
    let mut log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let seq = log.push(team.entry(&log, 1, 1));
    let step = rig.read(&log);
    assert_eq!((quarantine(&step), inbox(&step)), (vec![(seq, "its author may not write")], vec![]));
    assert_eq!(rig.machine.log().authors[&team.id(1)].last, 1);
}

#[test]
fn what_an_author_wrote_counts_until_the_record_that_revokes_it() {
    let (mut team, mut log, mut rig) = world();
    let before = log.push(team.entry(&log, 1, 1));
    team.change(1, |device| (device.status, device.wrap) = (Status::Revoked, [0; WRAP_LEN]));
    log.record(&team.last_record());
    let after = log.push(team.entry(&log, 1, 2));
    let step = rig.read(&log);
    assert_eq!((inbox(&step), quarantine(&step)), (vec![before], vec![(after, "its author may not write")]));
    assert!(step.notices.contains(&Notice::RosterChanged { version: team.chain.roster().version() }));
    assert!(step.writes.iter().any(|write| matches!(write, Write::HeldRecord(_))));
    assert!(rig.machine.view().synced);
}

#[test]
fn an_own_entry_that_comes_whole_meets_its_row() {
    let (team, mut log, mut rig) = world();
    let (envelope, _) = rig.edit(&team, 0, &log);
    log.push(envelope);
    let step = rig.read(&log);
    assert!(step.writes.iter().any(|write| matches!(write, Write::Met { author_seq: 1 })));
    assert_eq!((inbox(&step), rig.machine.view().outbox), (vec![], 0));
}

#[test]
fn an_own_entry_that_comes_as_a_leaf_meets_its_row() {
    let (team, mut log, mut rig) = world();
    let (envelope, _) = rig.edit(&team, 0, &log);
    let seq = log.push(envelope);
    let step = rig.items(vec![log.leaf(seq), log.tail_item()]);
    assert!(step.writes.iter().any(|write| matches!(write, Write::Met { author_seq: 1 })));
    assert_eq!((rig.cursor(), rig.machine.view().outbox), (seq, 0));
    assert_eq!(rig.machine.log().authors[&team.id(0)].last, 1);
}

#[test]
fn an_own_entry_this_device_forgot_is_merged_and_its_number_is_taken() {
    let (team, mut log, mut rig) = world();
    let seq = log.push(team.entry(&log, 0, 1));
    let step = rig.read(&log);
    assert_eq!(inbox(&step), [seq]);
    assert!(step.effects.iter().any(|effect| matches!(effect, Effect::Merge)));
    assert_eq!(sealing(&rig.handle(Event::Edited)).author_seq, 2);
}
