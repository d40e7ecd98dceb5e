//! The roster the device holds and the log's: made one, carried, or a fork.

use roost::sync::{Effect, Event, Notice, Write, fork};
use roost_shared::roster::{Scope, Status, WRAP_LEN};
use roost_shared::{Code, LogId};

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
    assert!(is_idle(&rig.handle(Event::Posted(Err(Code::RosterMoved)))), "which record came first, the log will say");
    assert!(rig.machine.is_proposing());
    team.join(Scope::Read); // two records came first
    for record in &team.chain.records()[team.chain.records().len() - 2..] {
        log.record(record);
    }
    let step = rig.read(&log);
    assert_eq!(effects(&step), ["advance epoch"]);
    assert!(step.writes.iter().any(|write| matches!(write, Write::NotPending)));
}

#[test]
fn a_record_refused_for_want_of_one_that_is_carried_is_posted_once_that_is_there() {
    let mut team = Team::new();
    team.invite(Scope::Read);
    let mut log = TestLog::with(&team, 1, 1);
    let mut rig = Rig::new(loaded(&team, 0, log.id));
    rig.start(&log);
    assert_eq!(effects(&rig.read(&log)), ["republish"]);
    let carried = team.last_record();
    team.invite(Scope::Read);
    assert_eq!(effects(&rig.handle(Event::Proposed(team.last_record()))), ["post"]);
    rig.handle(Event::Posted(Err(Code::RosterMoved)));
    rig.handle(Event::Republished(Ok(true)));
    log.record(&carried);
    let step = rig.read(&log);
    let [Effect::Post(posted)] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!(posted, &team.last_record());
}

/// A post that arrived twice is answered twice: the second answer says nothing of the first.
#[test]
fn a_record_that_was_taken_and_forgotten_is_posted_again_and_not_another() {
    let mut team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    team.invite(Scope::Read);
    let record = team.last_record();
    rig.handle(Event::Proposed(record.clone()));
    rig.handle(Event::Posted(Ok(())));
    assert!(is_idle(&rig.handle(Event::Posted(Err(Code::RosterMoved)))));
    // The server was restored before the record came back: it has room for it.
    rig.closed(None, 0);
    let step = rig.reconnect(&log);
    let [Effect::Post(posted)] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!(posted, &record);
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
    let [Effect::Republish { records }] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!(records, &team.chain.records()[1..]);
    assert!(is_idle(&rig.handle(Event::Edited)));
    team.chain.records()[1..].iter().for_each(|record| log.record(record));
    assert_eq!(effects(&rig.read(&log)), [""; 0]);
    assert_eq!(effects(&rig.handle(Event::Republished(Ok(true)))), ["seal"]);
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
        assert_eq!(effects(&rig.handle(Event::Republished(carried))), ["disconnect"]);
        rig.reconnect(&log);
        assert_eq!(effects(&rig.read(&log)), ["republish"]);
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

/// The joiner of [`branches`], which owns nothing.
const MEMBER: usize = 1;

fn goes_over(rig: &Rig, step: &roost::sync::Step, theirs: &Team) {
    assert!(step.writes.iter().any(|write| matches!(write, Write::HoldLogChain)), "{step:?}");
    let version = theirs.chain.roster().version();
    assert!(step.notices.contains(&Notice::RosterChanged { version }), "{step:?}");
    assert!(!rig.machine.view().forked);
    assert_eq!(rig.machine.held().roster().hash(), theirs.chain.roster().hash());
}

fn leaves(ours: &Team, theirs: &Team) {
    let (_, mut rig, step) = meet(ours, MEMBER, theirs);
    goes_over(&rig, &step, theirs);
    assert!(effects(&rig.handle(Event::Edited)).contains(&"seal"));
}

fn stays(ours: &Team, theirs: &Team) {
    let (log, mut rig, step) = meet(ours, MEMBER, theirs);
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
fn the_owners_records_are_not_left_for_a_branch_of_the_same_or_an_earlier_epoch() {
    let invites = |team: &mut Team| drop(team.invite(Scope::Read));
    let (ours, theirs) = branches(invites, invites);
    stays(&ours, &theirs);
    let (ours, theirs) = branches(Team::advance, invites);
    stays(&ours, &theirs);
}

#[test]
fn a_fork_ends_when_the_other_branch_moves_on() {
    let (ours, mut theirs) = branches(|ours| drop(ours.invite(Scope::Read)), |theirs| drop(theirs.invite(Scope::Read)));
    let (mut log, mut rig, _) = meet(&ours, MEMBER, &theirs);
    assert!(rig.machine.view().forked);
    theirs.advance();
    log.record(&theirs.last_record());
    let step = rig.read(&log);
    goes_over(&rig, &step, &theirs);
}

/// The owner meets a fork, builds one record above both branches, and goes over to it once it is in the log.
fn mended(ours: &Team, theirs: &mut Team) {
    let (mut log, mut rig, step) = meet(ours, 0, theirs);
    assert!(step.notices.contains(&Notice::RosterFork), "{step:?}");
    assert_eq!(effects(&step), ["advance epoch"]);
    assert!(is_idle(&rig.handle(Event::Edited)), "nothing is appended before");
    theirs.mend(ours);
    let record = theirs.last_record();
    assert_eq!(effects(&rig.handle(Event::Proposed(record.clone()))), ["post"]);
    rig.handle(Event::Posted(Ok(())));
    log.record(&record);
    let step = rig.read(&log);
    goes_over(&rig, &step, theirs);
    assert!(theirs.epoch() > ours.epoch());
    assert!(fork::amended(&ours.chain, &theirs.chain).is_empty(), "nothing is lost any more");
    assert!(effects(&step).contains(&"seal"), "{step:?}");
}

fn status(team: &Team, n: usize) -> Option<Status> {
    team.chain.roster().member(team.id(n)).map(|member| member.device.status)
}

#[test]
fn an_owner_lists_again_whom_the_server_lost() {
    let (ours, mut theirs) = branches(
        |ours| {
            ours.join(Scope::ReadWrite);
            ours.invite(Scope::Read);
            ours.advance();
        },
        |theirs| _ = theirs.join(Scope::Read),
    );
    mended(&ours, &mut theirs);
    let roster = theirs.chain.roster();
    let found = roster.member(ours.id(2)).unwrap();
    assert_eq!((found.device.status, found.device.scope), (Status::Active, Scope::ReadWrite));
    assert!(!found.is_newcomer(), "its key is wrapped to it");
    assert_eq!(status(&theirs, 2), Some(Status::Active), "and the one who joined there stays");
    assert_eq!(roster.members().filter(|member| member.device.status == Status::Invite).count(), 1);
}

#[test]
fn an_owner_revokes_again() {
    let (ours, mut theirs) = branches(
        |ours| ours.change(MEMBER, |device| (device.status, device.wrap) = (Status::Revoked, [0; WRAP_LEN])),
        |theirs| _ = theirs.join(Scope::Read),
    );
    mended(&ours, &mut theirs);
    assert_eq!(status(&theirs, MEMBER), Some(Status::Revoked));
}

#[test]
fn an_owner_keeps_a_reader_a_reader() {
    let (ours, mut theirs) = branches(
        |ours| ours.change(MEMBER, |device| device.scope = Scope::Read),
        |theirs| _ = theirs.join(Scope::Read),
    );
    mended(&ours, &mut theirs);
    assert_eq!(theirs.chain.roster().scope(theirs.id(MEMBER)), Some(Scope::Read));
}

/// The server forgot that the link was used: the second to use it came too late.
#[test]
fn a_link_lets_one_in_though_the_server_forgot() {
    let mut base = Team::of(&[]);
    let invite = base.invite(Scope::ReadWrite);
    let (mut ours, mut theirs) = (base.clone(), base);
    let (first, second) = (ours.replace(&invite), theirs.replace(&invite));
    ours.advance();
    mended(&ours, &mut theirs);
    assert_eq!(theirs.chain.roster().scope(ours.id(first)), Some(Scope::ReadWrite));
    assert_eq!(status(&theirs, second), Some(Status::Revoked));
}

#[test]
fn a_device_the_server_forgot_takes_its_place_again_while_it_has_its_invite() {
    let mut team = Team::of(&[]);
    let joiner = team.join(Scope::ReadWrite);
    let mut rig = Rig::new(loaded(&team, joiner, LogId([1; 16])));
    rig.handle(Event::Start);
    rig.closed(Some(Code::ProofInvalid), 0);
    assert_eq!(effects(&rig.handle(Event::Republished(Ok(false)))), ["connect"], "another may have carried ours");
    for _ in 0..2 {
        assert_eq!(effects(&rig.closed(Some(Code::ProofInvalid), 0)), ["republish"]);
        assert_eq!(
            effects(&rig.handle(Event::Republished(Ok(false)))),
            ["rejoin"],
            "others stand in the place of ours"
        );
        let step = rig.handle(Event::Republished(Ok(false)));
        assert_eq!((effects(&step), step.notices.contains(&Notice::NotAllowed)), (vec![], true), "it is used up");
        rig.now_ms = rig.wake_ms();
        assert_eq!(effects(&rig.handle(Event::Tick)), ["connect"]);
    }
    rig.closed(Some(Code::ProofInvalid), 0);
    rig.handle(Event::Republished(Ok(false)));
    assert_eq!(effects(&rig.handle(Event::Republished(Ok(true)))), ["connect"]);

    team.advance();
    let mut rig = Rig::new(loaded(&team, joiner, LogId([1; 16])));
    rig.handle(Event::Start);
    rig.closed(Some(Code::ProofInvalid), 0);
    rig.handle(Event::Republished(Ok(false)));
    rig.closed(Some(Code::ProofInvalid), 0);
    let step = rig.handle(Event::Republished(Ok(false)));
    assert!(step.notices.contains(&Notice::NotAllowed), "the owner knows it, and lists it again");
}
