//! The roster the device holds and the log's: made one, carried, or a fork.

use roost::sync::{Effect, Event, Notice, Write};
use roost_shared::Code;
use roost_shared::roster::Scope;

use super::rig::{Rig, effects, is_idle, loaded};
use super::world::{Team, TestLog};

/// Device `n` of `ours` meets a log with the roster of `theirs`; what reading it led to.
fn meet(ours: &Team, n: usize, theirs: &Team) -> (TestLog, Rig, roost::sync::Step) {
    let log = TestLog::of(theirs, 1);
    let mut rig = Rig::new(loaded(ours, n, log.id));
    rig.start(&log);
    let step = rig.read(&log);
    (log, rig, step)
}

#[test]
fn an_owner_that_sees_a_newcomer_advances_the_epoch_once() {
    let mut team = Team::new();
    team.join(Scope::ReadWrite);
    let (mut log, mut rig, step) = meet(&team, 0, &team);
    assert_eq!(effects(&step), ["advance epoch"]);
    assert_eq!(effects(&rig.items(vec![log.tail_item()])), [""; 0]);
    team.advance();
    let record = team.last_record();
    let step = rig.handle(Event::Proposed(record.clone()));
    let [Effect::Post(posted)] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!(posted, &record);
    assert!(rig.machine.is_proposing() && !rig.machine.view().synced);
    assert_eq!(effects(&rig.handle(Event::Posted(Ok(())))), [""; 0]);
    assert!(rig.machine.is_proposing(), "until it comes back");
    log.record(&record);
    let step = rig.read(&log);
    assert_eq!(effects(&step), [""; 0]);
    assert!(step.writes.iter().any(|write| matches!(write, Write::NotPending)));
    assert!(!rig.machine.is_proposing() && rig.machine.view().synced);
    assert_eq!(rig.machine.held().roster().epoch(), 2);
}

#[test]
fn a_device_that_is_not_the_owners_leaves_the_epoch_alone() {
    let mut team = Team::new();
    let joiner = team.join(Scope::ReadWrite);
    let (_, rig, step) = meet(&team, joiner, &team);
    assert_eq!(effects(&step), [""; 0]);
    assert!(rig.machine.view().synced);
}

#[test]
fn a_record_that_came_too_late_is_built_again_once_the_first_is_read() {
    let mut team = Team::new();
    team.join(Scope::ReadWrite);
    let (mut log, mut rig, _) = meet(&team, 0, &team);
    let mut late = team.clone();
    late.advance();
    rig.handle(Event::Proposed(late.last_record()));
    let step = rig.handle(Event::Posted(Err(Code::RosterMoved)));
    assert!(matches!(&step.writes[..], [Write::NotPending]), "{step:?}");
    assert_eq!(effects(&step), [""; 0], "the record that came first is not here yet");
    team.join(Scope::Read); // two records came first
    for record in &team.chain.records()[team.chain.records().len() - 2..] {
        log.record(record);
    }
    assert_eq!(effects(&rig.read(&log)), ["advance epoch"]);
}

#[test]
fn a_record_of_ours_is_posted_again_on_the_next_socket() {
    let mut team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    team.invite(Scope::Read);
    let record = team.last_record();
    assert_eq!(effects(&rig.handle(Event::Proposed(record))), ["post"]);
    assert_eq!(effects(&rig.handle(Event::Posted(Err(Code::RetryLater)))), ["disconnect"]);
    assert!(rig.machine.is_proposing());
    assert_eq!(effects(&rig.reconnect(&log)), ["post"]);
    rig.closed(None, 0);
    assert!(is_idle(&rig.handle(Event::Posted(Err(Code::RosterMoved)))), "the answer on an old socket");
    assert!(rig.machine.is_proposing());
}

#[test]
fn records_the_log_lacks_are_carried_and_nothing_is_appended_before() {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::with(&team, 1, 1);
    let mut rig = Rig::new(loaded(&team, 0, log.id));
    assert_eq!(effects(&rig.start(&log)), [""; 0]);
    let step = rig.read(&log);
    let [Effect::Carry { records }] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!(records, &team.chain.records()[1..]);
    assert!(is_idle(&rig.handle(Event::Edited)));
    team.chain.records()[1..].iter().for_each(|record| log.record(record));
    assert_eq!(effects(&rig.read(&log)), [""; 0]);
    assert_eq!(effects(&rig.handle(Event::Carried(Ok(true)))), ["seal"]);
    assert!(!rig.machine.view().forked);
}

#[test]
fn a_server_that_takes_no_record_is_read_again() {
    for carried in [Ok(false), Err(Code::StorageFull)] {
        let team = Team::of(&[Scope::ReadWrite]);
        let log = TestLog::with(&team, 1, 1);
        let mut rig = Rig::new(loaded(&team, 0, log.id));
        rig.start(&log);
        rig.read(&log);
        assert_eq!(effects(&rig.handle(Event::Carried(carried))), ["disconnect"]);
        rig.reconnect(&log);
        assert_eq!(effects(&rig.read(&log)), ["carry"]);
    }
}

/// Two branches after the same invite.
fn branches(ours: impl FnOnce(&mut Team), theirs: impl FnOnce(&mut Team)) -> (Team, Team) {
    let base = Team::of(&[Scope::ReadWrite]);
    let (mut one, mut other) = (base.clone(), base);
    ours(&mut one);
    theirs(&mut other);
    (one, other)
}

fn leaves(ours: &Team, theirs: &Team) {
    let (_, mut rig, step) = meet(ours, 0, theirs);
    assert!(step.writes.iter().any(|write| matches!(write, Write::HoldLogChain)), "{step:?}");
    let version = theirs.chain.roster().version();
    assert!(step.notices.contains(&Notice::RosterChanged { version }), "{step:?}");
    assert!(!rig.machine.view().forked);
    assert_eq!(rig.machine.held().roster().hash(), theirs.chain.roster().hash());
    assert!(effects(&rig.handle(Event::Edited)).contains(&"seal"));
}

fn stays(ours: &Team, theirs: &Team) {
    let (log, mut rig, step) = meet(ours, 0, theirs);
    assert!(step.notices.contains(&Notice::RosterFork), "{step:?}");
    assert!(rig.machine.view().forked);
    assert_eq!(rig.machine.held().roster().hash(), ours.chain.roster().hash());
    let step = rig.items(vec![log.tail_item()]);
    assert!(!step.notices.contains(&Notice::RosterFork), "told once");
    assert!(is_idle(&rig.handle(Event::Edited)), "nothing is appended");
}

#[test]
fn a_branch_of_a_later_epoch_is_gone_over_to() {
    let (ours, theirs) = branches(|ours| drop(ours.invite(Scope::Read)), |theirs| theirs.advance());
    leaves(&ours, &theirs);
}

#[test]
fn a_branch_of_joins_alone_is_left_for_one_of_the_same_epoch() {
    let mut base = Team::of(&[Scope::ReadWrite]);
    let invite = base.invite(Scope::Read);
    let (mut ours, mut theirs) = (base.clone(), base);
    ours.replace(&invite);
    theirs.invite(Scope::Read);
    leaves(&ours, &theirs);
}

#[test]
fn the_owners_own_records_are_not_left_for_a_branch_of_the_same_or_an_earlier_epoch() {
    let invites = |team: &mut Team| drop(team.invite(Scope::Read));
    let (ours, theirs) = branches(invites, invites);
    stays(&ours, &theirs);
    let (ours, theirs) = branches(Team::advance, invites);
    stays(&ours, &theirs);
}

#[test]
fn a_fork_ends_when_the_other_branch_moves_on() {
    let (ours, mut theirs) = branches(|ours| drop(ours.invite(Scope::Read)), |theirs| drop(theirs.invite(Scope::Read)));
    let (mut log, mut rig, _) = meet(&ours, 0, &theirs);
    assert!(rig.machine.view().forked);
    theirs.advance();
    log.record(&theirs.last_record());
    let step = rig.read(&log);
    assert!(step.writes.iter().any(|write| matches!(write, Write::HoldLogChain)), "{step:?}");
    assert!(!rig.machine.view().forked);
}
