//! From no socket to a live one, and back.

use roost::sync::Stage;
use roost::sync::{Effect, Event, Notice, Write};
use roost_shared::limits::{BACKOFF_MAX_MS, BACKOFF_MIN_MS, HELLO_TIMEOUT_MS};
use roost_shared::roster::Scope;
use roost_shared::wire::message::ServerMessage;
use roost_shared::{Code, Cursor, LogId};

use super::rig::{Rig, appending, effects, is_idle, loaded, sealing};
use super::world::{Team, TestLog};

#[test]
fn start_connects_once_and_a_challenge_is_answered_with_hello() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::new(loaded(&team, 0, log.id));
    assert!(is_idle(&rig.handle(Event::Edited)), "nothing happens before the start");
    assert_eq!(effects(&rig.handle(Event::Start)), ["connect"]);
    assert!(is_idle(&rig.handle(Event::Start)));
    assert!(is_idle(&rig.handle(Event::Opened)));
    let step = rig.hear(ServerMessage::Challenge { nonce: [3; 32] });
    let [Effect::Hello { nonce, log: known, cursor, root }] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!((*nonce, *known, *cursor, *root), ([3; 32], log.id, Cursor::START, log.root(0)));
    assert!(!rig.machine.view().online);
    let step = rig.hear(ServerMessage::Welcome(log.welcome(0)));
    assert_eq!(step.notices, [Notice::Online]);
    assert!(rig.machine.view().online);
}

#[test]
fn hello_names_how_far_the_log_was_read() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    rig.closed(None, 0);
    rig.now_ms = rig.wake_ms();
    rig.handle(Event::Tick);
    rig.handle(Event::Opened);
    let step = rig.hear(ServerMessage::Challenge { nonce: [4; 32] });
    let [Effect::Hello { cursor, root, .. }] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!((*cursor, *root), (Cursor(1), log.root(1)));
}

#[test]
fn a_server_that_does_not_greet_is_given_up() {
    let team = Team::new();
    let mut rig = Rig::new(loaded(&team, 0, LogId([1; 16])));
    rig.handle(Event::Start);
    rig.handle(Event::Opened);
    assert_eq!(rig.wake_ms(), rig.now_ms + HELLO_TIMEOUT_MS);
    rig.now_ms += HELLO_TIMEOUT_MS - 1;
    assert!(is_idle(&rig.handle(Event::Tick)));
    rig.now_ms += 1;
    assert_eq!(effects(&rig.handle(Event::Tick)), ["disconnect"]);
}

#[test]
fn a_device_that_has_read_nothing_adopts_the_log_as_it_is() {
    let team = Team::new();
    let log = TestLog::of(&team, 2);
    let mut rig = Rig::new(loaded(&team, 0, LogId::ZERO));
    let step = rig.start(&log);
    assert!(matches!(&step.writes[..], [Write::NewLog(id), Write::Resync(Some(Stage::Read))] if *id == log.id));
    assert_eq!(effects(&step), [""; 0], "the stream goes on");
    assert!(rig.machine.view().online);
    let at = sealing(&rig.read(&log)); // what the documents hold may not be in it
    assert_eq!((at.log, at.author_seq, at.base_size), (log.id, 1, Cursor(1)));
}

#[test]
fn another_log_id_resets_a_device_that_has_read_and_it_reconnects() {
    let team = Team::new();
    let (old, new) = (TestLog::of(&team, 1), TestLog::of(&team, 2));
    let mut rig = Rig::at(&team, 0, &old);
    rig.closed(None, 0);
    let step = rig.reconnect(&new);
    assert_eq!(effects(&step), ["disconnect", "connect"]);
    assert!(step.notices.contains(&Notice::LogReplaced { old: old.id, new: new.id, cursor: Cursor(1) }));
    assert!(step.writes.iter().any(|write| matches!(write, Write::NewLog(id) if *id == new.id)));
    assert_eq!(rig.cursor(), 0);
    rig.greet(new.welcome(0));
    assert_eq!(sealing(&rig.read(&new)).log, new.id);
}

/// A rig whose server forgot what was read of the log: it has sent its evidence.
fn disputing() -> (Team, Rig, TestLog) {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    rig.closed(None, 0);
    rig.now_ms = rig.wake_ms();
    rig.handle(Event::Tick);
    let mut welcome = log.welcome(1);
    welcome.root_at_cursor = None;
    let step = rig.greet(welcome);
    let [Effect::ProposeLog { old, cursor, root }] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!((*old, *cursor, *root), (log.id, Cursor(1), log.root(1)));
    (team, rig, log)
}

#[test]
fn a_log_that_lost_history_gets_evidence_and_no_append_until_a_new_one_is_granted() {
    let (team, mut rig, log) = disputing();
    assert!(is_idle(&rig.handle(Event::Edited)));
    assert!(is_idle(&rig.handle(Event::Tick)));
    let new = TestLog::of(&team, 2);
    let step = rig.handle(Event::LogGranted(Ok(new.id)));
    assert_eq!(effects(&step), ["disconnect", "connect"]);
    assert!(step.notices.contains(&Notice::LogReplaced { old: log.id, new: new.id, cursor: Cursor(1) }));
    assert_eq!(effects(&rig.greet(new.welcome(0))), [""; 0], "first it reads to the tail");
    assert_eq!(sealing(&rig.read(&new)).log, new.id);
}

#[test]
fn a_log_that_is_not_granted_is_asked_for_again_after_a_pause() {
    for granted in [Ok(LogId([1; 16])), Err(Code::LogKept)] {
        let (_, mut rig, _) = disputing();
        let step = rig.handle(Event::LogGranted(granted));
        assert_eq!(effects(&step), ["disconnect"]);
        assert_eq!(step.notices, [Notice::Offline { code: granted.err() }]);
        assert!(step.writes.is_empty());
        assert!(rig.wake_ms() >= rig.now_ms);
    }
}

#[test]
fn answers_nobody_waits_for_change_nothing() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    assert!(is_idle(&rig.handle(Event::LogGranted(Ok(LogId([2; 16]))))));
    assert!(is_idle(&rig.handle(Event::LogGranted(Err(Code::LogKept)))));
    assert!(is_idle(&rig.handle(Event::Posted(Ok(())))));
    assert!(is_idle(&rig.handle(Event::Posted(Err(Code::RosterMoved)))));
    assert!(is_idle(&rig.hear(ServerMessage::Challenge { nonce: [0; 32] })));
    assert!(is_idle(&rig.hear(ServerMessage::Appended { id: 9, seqs: vec![1] })));
    assert!(is_idle(&rig.refused(9, Code::Equivocation, 0)));
    assert!(rig.machine.view().synced);
    rig.handle(Event::Pause);
    assert_eq!(effects(&rig.handle(Event::Opened)), ["disconnect"]);
    assert!(is_idle(&rig.hear(ServerMessage::Welcome(log.welcome(1)))));
    assert!(!rig.machine.view().online);
}

#[test]
fn pause_closes_and_start_goes_on() {
    let team = Team::new();
    let mut log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let (envelope, append) = rig.edit(&team, 0, &log);
    let step = rig.handle(Event::Pause);
    assert_eq!(effects(&step), ["disconnect"]);
    assert_eq!(step.notices, [Notice::Offline { code: None }]);
    assert_eq!(rig.machine.wake_at_ms(), None);
    assert!(is_idle(&rig.handle(Event::Pause)));
    assert!(is_idle(&rig.closed(None, 0)), "the end of the socket it closed itself");
    assert!(is_idle(&rig.handle(Event::Tick)));
    log.push(envelope);
    assert!(is_idle(&rig.read(&log)), "what was still on the line");
    let step = rig.start(&log);
    assert_eq!(super::rig::appending(&step).envelopes, append.envelopes);
}

fn waits(seed: u64) -> Vec<u64> {
    let team = Team::new();
    let mut rig = Rig::new(roost::sync::Loaded { seed, ..loaded(&team, 0, LogId([1; 16])) });
    rig.handle(Event::Start);
    let mut waits = Vec::new();
    for _ in 0..12 {
        rig.closed(None, 0);
        waits.push(rig.wake_ms() - rig.now_ms);
        rig.now_ms = rig.wake_ms();
        assert_eq!(effects(&rig.handle(Event::Tick)), ["connect"]);
    }
    waits
}

#[test]
fn backoff_stays_below_a_ceiling_that_doubles_and_is_the_same_for_a_seed() {
    let mut largest = 0;
    for seed in 0..50 {
        let drawn = waits(seed);
        for (tries, wait) in drawn.iter().enumerate() {
            let ceiling = (BACKOFF_MIN_MS << tries).min(BACKOFF_MAX_MS);
            assert!(*wait <= ceiling, "try {tries} waits {wait} of {ceiling}");
        }
        assert_eq!(drawn, waits(seed));
        assert_ne!(drawn, waits(seed + 1));
        largest = largest.max(*drawn.iter().max().unwrap());
    }
    assert!(largest > BACKOFF_MAX_MS / 2, "the whole range is used");
}

#[test]
fn backoff_begins_anew_once_the_tail_was_read_and_minds_retry_after() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::new(loaded(&team, 0, log.id));
    rig.handle(Event::Start);
    for _ in 0..8 {
        rig.closed(None, 0);
        rig.now_ms = rig.wake_ms();
        rig.handle(Event::Tick);
    }
    rig.greet(log.welcome(0));
    rig.read(&log);
    rig.closed(Some(Code::RetryLater), 5_000);
    let wait = rig.wake_ms() - rig.now_ms;
    assert!((5_000..=5_000 + BACKOFF_MIN_MS).contains(&wait), "{wait}");
}

#[test]
fn a_server_that_drains_or_errs_is_left_and_seen_again() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    assert_eq!(effects(&rig.hear(ServerMessage::Drain { retry_after_ms: 3_000 })), ["disconnect"]);
    assert!(rig.wake_ms() >= rig.now_ms + 3_000);
    assert!(is_idle(&rig.closed(None, 0)), "the same socket's end");
    rig.reconnect(&log);
    let message = String::new();
    let step = rig.hear(ServerMessage::Error { code: Code::SlowReader, message });
    assert_eq!(effects(&step), ["disconnect"]);
    assert_eq!(step.notices, [Notice::Offline { code: Some(Code::SlowReader) }]);
    assert_eq!(rig.machine.view().blocked, None);
}

/// Whether the question is open, and what the answer was.
fn verdict(rig: &Rig) -> (bool, Option<Code>) {
    let view = rig.machine.view();
    (view.asking, view.blocked)
}

#[test]
fn a_device_that_is_kept_out_first_brings_the_records_the_server_may_have_lost() {
    for code in [Code::NotFound, Code::NotAllowed, Code::ProofInvalid] {
        let team = Team::new();
        let log = TestLog::of(&team, 1);
        let mut rig = Rig::new(loaded(&team, 0, log.id));
        rig.handle(Event::Start);
        let step = rig.closed(Some(code), 0);
        let [Effect::Republish { records }] = &step.effects[..] else { panic!("{step:?}") };
        assert_eq!(records, team.chain.records());
        assert_eq!(verdict(&rig), (true, None), "an open question is no verdict");
        assert_eq!(effects(&rig.handle(Event::Republished(Ok(true)))), ["connect"]);
        rig.closed(Some(code), 0);
        let step = rig.handle(Event::Republished(Ok(false)));
        assert_eq!((effects(&step), step.notices), (vec!["connect"], vec![]), "another device was first, perhaps");
        assert_eq!(verdict(&rig), (true, None));
        rig.closed(Some(code), 0);
        let step = rig.handle(Event::Republished(Ok(false)));
        assert_eq!(step.notices, [Notice::NotAllowed], "it had lost nothing: we are out");
        assert_eq!(verdict(&rig), (false, Some(Code::NotAllowed)));
        assert_eq!(rig.wake_ms(), rig.now_ms + BACKOFF_MAX_MS);

        // Asked again, the server may say something else.
        rig.now_ms = rig.wake_ms();
        rig.handle(Event::Tick);
        rig.closed(Some(code), 0);
        assert_eq!(verdict(&rig), (true, Some(Code::NotAllowed)), "its last answer stands until then");
        rig.handle(Event::Republished(Ok(true)));
        rig.greet(log.welcome(0));
        assert_eq!(verdict(&rig), (false, None));
    }
}

#[test]
fn a_question_that_is_not_answered_is_no_verdict() {
    for code in [Code::NotFound, Code::NotAllowed, Code::ProofInvalid] {
        let team = Team::new();
        let log = TestLog::of(&team, 1);
        let mut rig = Rig::at(&team, 0, &log);
        rig.hear(ServerMessage::Drain { retry_after_ms: 0 });
        rig.now_ms = rig.wake_ms();
        rig.handle(Event::Tick);
        assert_eq!(effects(&rig.closed(Some(code), 0)), ["republish"], "the server starts");
        assert_eq!(verdict(&rig), (true, None));
        let step = rig.handle(Event::Republished(Err(Code::RetryLater)));
        assert!(step.notices.is_empty(), "{step:?}");
        assert_eq!(verdict(&rig), (false, None));
        rig.reconnect(&log);
        assert!(rig.machine.view().online);
    }
}

#[test]
fn a_server_that_does_not_take_the_workspace_is_told_with_its_reason() {
    for code in [Code::AdmissionClosed, Code::WorkspaceGone] {
        let team = Team::new();
        let mut rig = Rig::new(loaded(&team, 0, LogId([1; 16])));
        rig.handle(Event::Start);
        rig.closed(Some(Code::NotFound), 0);
        let step = rig.handle(Event::Republished(Err(code)));
        assert_eq!(step.notices.contains(&Notice::Purged), code == Code::WorkspaceGone);
        assert_eq!(verdict(&rig), (false, Some(code)));
        rig.now_ms = rig.wake_ms();
        assert_eq!(effects(&rig.handle(Event::Tick)), ["connect"], "its operator may change that");
    }
}

#[test]
fn what_a_server_says_of_itself_needs_no_question() {
    for code in [Code::WorkspaceGone, Code::ProtocolVersion, Code::AudienceMismatch] {
        let team = Team::new();
        let mut rig = Rig::new(loaded(&team, 0, LogId([1; 16])));
        rig.handle(Event::Start);
        assert_eq!(effects(&rig.closed(Some(code), 0)), [""; 0]);
        assert_eq!(verdict(&rig), (false, Some(code)));
    }
}

/// Or the next try would find what the last one's records did, and take it for a refusal.
#[test]
fn no_new_try_while_records_are_on_their_way() {
    let team = Team::new();
    let mut rig = Rig::new(loaded(&team, 0, LogId([1; 16])));
    rig.handle(Event::Start);
    rig.closed(Some(Code::ProofInvalid), 0);
    assert_eq!(rig.machine.wake_at_ms(), None);
    rig.now_ms += BACKOFF_MAX_MS;
    assert!(is_idle(&rig.handle(Event::Tick)));
    rig.handle(Event::Republished(Err(Code::RetryLater)));
    assert!(rig.wake_ms() <= rig.now_ms);
    assert_eq!(effects(&rig.handle(Event::Tick)), ["connect"]);
}

#[test]
fn a_welcome_of_another_protocol_or_of_no_log_is_refused() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let (mut newer, mut empty) = (log.welcome(0), log.welcome(0));
    newer.protocol += 1;
    empty.logs.clear();
    for welcome in [newer, empty] {
        let mut rig = Rig::new(loaded(&team, 0, log.id));
        rig.handle(Event::Start);
        assert_eq!(effects(&rig.greet(welcome)), ["disconnect"]);
        assert_eq!(rig.machine.view().blocked, Some(Code::ProtocolVersion));
    }
}

#[test]
fn a_purged_workspace_is_not_synced() {
    let mut team = Team::new();
    team.purge();
    let mut rig = Rig::new(loaded(&team, 0, LogId([1; 16])));
    assert!(is_idle(&rig.handle(Event::Start)));
}

/// An app that need not know at once: it looks, says what it has to say, leaves, and comes back.
#[test]
fn who_polls_leaves_when_all_is_the_same_and_comes_back() {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    rig.machine.poll_every(Some(60_000));
    rig.handle(Event::Tick);
    let leaves_ms = rig.wake_ms();
    rig.now_ms = leaves_ms;
    assert_eq!(effects(&rig.handle(Event::Tick)), ["disconnect"]);
    assert!(!rig.machine.view().online);
    assert_eq!(rig.wake_ms(), leaves_ms + 60_000);
    assert_eq!(effects(&rig.handle(Event::Edited)), [""; 0], "an edit waits for the next look");
    let step = rig.reconnect(&log);
    let (envelope, step) = rig.seal(&team, 0, &log, sealing(&step));
    let append = appending(&step);
    let seq = log.push(envelope);
    rig.hear(ServerMessage::Appended { id: append.id, seqs: vec![seq] });
    rig.items(vec![log.leaf(seq), log.tail_item()]);
    rig.handle(Event::Sealed { rows: Vec::new(), left: false });
    assert!(rig.machine.view().synced);
    rig.now_ms = rig.wake_ms();
    assert_eq!(effects(&rig.handle(Event::Tick)), ["disconnect"], "and leaves again");
    assert_eq!(effects(&rig.handle(Event::Start)), ["connect"], "or comes at once, when it is asked to");
}
