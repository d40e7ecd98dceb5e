//! Edits out: sealed, sent, met; and what silence and each refusal lead to.

use roost::sync::Stage;
use roost::sync::{Effect, Event, Notice, OutboxRow, Write};
use roost_shared::limits::{APPEND_TIMEOUT_MS, BACKOFF_MAX_MS, SEAL_PAUSE_MS};
use roost_shared::roster::Scope;
use roost_shared::wire::message::{Append, ServerMessage};
use roost_shared::{Code, Cursor, Envelope};

use super::rig::{Rig, appending, effects, is_idle, row, sealing};
use super::world::{Team, TestLog, head};

struct World {
    team: Team,
    log: TestLog,
    rig: Rig,
    envelope: Envelope,
    append: Append,
}

/// With an edit on its way.
fn in_flight() -> World {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let (envelope, append) = rig.edit(&team, 0, &log);
    World { team, log, rig, envelope, append }
}

fn appended(id: u64, seq: u64) -> ServerMessage {
    ServerMessage::Appended { id, seqs: vec![seq] }
}

#[test]
fn an_edit_is_sealed_on_what_was_read_and_sent_without_condition() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let step = rig.handle(Event::Edited);
    assert_eq!(effects(&step), ["seal"]);
    let at = sealing(&step);
    assert_eq!((at.log, at.epoch, at.author_seq), (log.id, 1, 1));
    assert_eq!((at.base_size, at.base_root), (Cursor(1), log.root(1)));
    let (envelope, step) = rig.seal(&team, 0, &log, at);
    let append = appending(&step);
    assert_eq!((append.if_tail, append.envelopes), (None, vec![envelope.into_bytes()]));
}

#[test]
fn an_acknowledgement_alone_drops_no_row() {
    let World { mut log, mut rig, envelope, append, .. } = in_flight();
    let seq = log.push(envelope);
    assert!(is_idle(&rig.hear(appended(append.id, seq))));
    assert_eq!((rig.machine.view().outbox, rig.machine.view().synced), (1, false));
    let step = rig.items(vec![log.leaf(seq), log.tail_item()]);
    assert!(step.writes.iter().any(|write| matches!(write, Write::Met { author_seq: 1 })));
    assert_eq!(effects(&step), ["seal"], "there may be more");
    rig.handle(Event::Sealed { rows: Vec::new(), left: false });
    let view = rig.machine.view();
    assert!(view.synced && view.outbox == 0 && !view.edited, "{view:?}");
}

#[test]
fn that_all_is_uploaded_is_told() {
    let World { mut log, mut rig, envelope, append, .. } = in_flight();
    let seq = log.push(envelope);
    let mut notices = rig.hear(appended(append.id, seq)).notices;
    notices.extend(rig.items(vec![log.leaf(seq), log.tail_item()]).notices);
    notices.extend(rig.handle(Event::Sealed { rows: Vec::new(), left: false }).notices);
    assert!(notices.contains(&Notice::Uploaded), "{notices:?}");
}

#[test]
fn edits_while_one_is_in_flight_become_one_seal() {
    let World { team, mut log, mut rig, envelope, append } = in_flight();
    for _ in 0..5 {
        assert!(is_idle(&rig.handle(Event::Edited)));
    }
    let seq = log.push(envelope);
    rig.hear(appended(append.id, seq));
    assert_eq!(effects(&rig.items(vec![log.leaf(seq), log.tail_item()])), [""; 0], "others may come still");
    assert!(!rig.machine.view().synced);
    rig.now_ms += SEAL_PAUSE_MS - 1;
    assert_eq!(effects(&rig.handle(Event::Edited)), [""; 0]);
    assert_eq!(rig.wake_ms(), rig.now_ms + 1);
    rig.now_ms += 1;
    let step = rig.handle(Event::Tick);
    assert_eq!(effects(&step), ["seal"]);
    let at = sealing(&step);
    assert_eq!(at.author_seq, 2);
    assert!(is_idle(&rig.handle(Event::Edited)), "one seal at a time");
    let (_, step) = rig.seal(&team, 0, &log, at);
    assert_eq!(effects(&step), ["send"]);
    assert!(appending(&step).id > append.id);
}

/// What it could not send before it was made a reader stays in its documents, and holds nothing up.
#[test]
fn a_readers_outbox_is_emptied_at_the_tail() {
    let mut team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 1, &log);
    rig.edit(&team, 1, &log);
    rig.closed(None, 0);
    team.change(1, |device| device.scope = Scope::Read);
    log.record(&team.last_record());
    assert_eq!(effects(&rig.reconnect(&log)), ["send"], "it does not know yet");
    let step = rig.read(&log);
    assert!(step.writes.iter().any(|write| matches!(write, Write::ClearOutbox)), "{step:?}");
    let view = rig.machine.view();
    assert!(view.synced && view.outbox == 0, "{view:?}");
}

#[test]
fn an_edit_after_a_rest_is_sealed_at_once() {
    let World { team, mut log, mut rig, envelope, append } = in_flight();
    let seq = log.push(envelope);
    rig.hear(appended(append.id, seq));
    rig.items(vec![log.leaf(seq), log.tail_item()]);
    rig.handle(Event::Sealed { rows: Vec::new(), left: false });
    assert_eq!(rig.machine.wake_at_ms(), None);
    rig.now_ms += SEAL_PAUSE_MS;
    rig.edit(&team, 0, &log);
}

#[test]
fn an_edit_while_sealing_is_sealed_next() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    rig.handle(Event::Edited);
    assert!(is_idle(&rig.handle(Event::Edited)));
    assert_eq!(effects(&rig.handle(Event::Sealed { rows: Vec::new(), left: false })), ["seal"]);
    assert_eq!(effects(&rig.handle(Event::Sealed { rows: Vec::new(), left: false })), [""; 0]);
}

#[test]
fn edits_that_cannot_be_sealed_are_not_synced() {
    let team = Team::new();
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    rig.handle(Event::Edited);
    assert!(is_idle(&rig.handle(Event::Sealed { rows: Vec::new(), left: true })));
    assert!(rig.machine.view().edited && !rig.machine.view().synced);
}

#[test]
fn the_next_append_waits_until_the_last_is_both_acknowledged_and_met() {
    let World { team, mut log, mut rig, envelope, append } = in_flight();
    let seq = log.push(envelope);
    let step = rig.items(vec![log.leaf(seq), log.tail_item()]);
    let (_, step) = rig.seal(&team, 0, &log, sealing(&step));
    assert!(is_idle(&step), "not acknowledged");
    assert_eq!(effects(&rig.hear(appended(append.id, seq))), ["send"]);
}

#[test]
fn silence_ends_the_socket_and_the_same_bytes_go_on_the_next() {
    let World { log, mut rig, append, .. } = in_flight();
    let bytes: usize = append.envelopes.iter().map(Vec::len).sum();
    assert_eq!(rig.wake_ms(), rig.now_ms + APPEND_TIMEOUT_MS + bytes as u64 / 8);
    rig.now_ms = rig.wake_ms() - 1;
    assert!(is_idle(&rig.handle(Event::Tick)));
    rig.now_ms += 1;
    assert_eq!(effects(&rig.handle(Event::Tick)), ["disconnect"]);
    let again = appending(&rig.reconnect(&log));
    assert_eq!((again.envelopes, again.if_tail), (append.envelopes, None));
    assert!(again.id > append.id, "an answer on the old socket is not to this one");
}

#[test]
fn an_acknowledged_entry_that_never_comes_ends_the_socket_too() {
    let World { log, mut rig, append, .. } = in_flight();
    rig.now_ms += 1_000;
    rig.hear(appended(append.id, log.tail() + 1));
    rig.now_ms = rig.wake_ms();
    assert_eq!(effects(&rig.handle(Event::Tick)), ["disconnect"]);
    assert_eq!(appending(&rig.reconnect(&log)).envelopes, append.envelopes);
}

#[test]
fn a_refusal_leads_to_resync() {
    let codes = [
        Code::Equivocation,
        Code::AuthorGap,
        Code::BaseMismatch,
        Code::EpochStale,
        Code::LogChanged,
        Code::NotAllowed,
        Code::TailMoved,
    ];
    for code in codes {
        let World { team, mut log, mut rig, append, .. } = in_flight();
        let step = rig.refused(append.id, code, 0);
        assert_eq!(step.notices, [Notice::Refused { code }]);
        // The tail was read: nothing more to wait for.
        let [Write::Resync(Some(Stage::Read)), Write::ClearOutbox, Write::Resync(Some(Stage::Reseal))] =
            &step.writes[..]
        else {
            panic!("{code}: {step:?}")
        };
        assert_eq!(effects(&step), ["seal"], "{code}");
        assert_eq!(rig.machine.view().outbox, 0);
        let (envelope, step) = rig.seal(&team, 0, &log, sealing(&step));
        let again = appending(&step);
        assert_eq!(again.if_tail, Some(log.tail()), "{code}: on condition that the log still ends here");
        let seq = log.push(envelope);
        rig.hear(appended(again.id, seq));
        let step = rig.items(vec![log.leaf(seq), log.tail_item()]);
        assert!(step.writes.iter().any(|write| matches!(write, Write::Resync(None))), "{code}");
        let (_, step) = rig.seal(&team, 0, &log, sealing(&step));
        assert_eq!(appending(&step).if_tail, None, "{code}: the one after goes without");
    }
}

#[test]
fn a_refusal_that_passes_holds_the_rows_and_nothing_else() {
    let codes = [Code::QuotaExceeded, Code::RetryLater, Code::TooLarge, Code::StorageFull, Code::StorageFailed];
    for code in codes {
        let World { team, mut log, mut rig, append, .. } = in_flight();
        let step = rig.refused(append.id, code, 4_000);
        assert_eq!(step.notices, [Notice::Refused { code }]);
        assert!(step.writes.is_empty() && step.effects.is_empty(), "{code}: {step:?}");
        let view = rig.machine.view();
        assert!(view.online && view.caught_up && !view.synced, "{code}: {view:?}");
        assert_eq!((view.outbox, view.held), (1, Some(code)));
        let has_no_room = matches!(code, Code::QuotaExceeded | Code::TooLarge);
        let due_ms = rig.wake_ms();
        assert!(due_ms >= rig.now_ms + if has_no_room { BACKOFF_MAX_MS } else { 4_000 }, "{code}");

        log.push(team.entry(&log, 1, 1));
        assert_eq!(effects(&rig.read(&log)), ["merge"], "{code}: what others write comes");
        rig.now_ms = due_ms - 1;
        assert!(is_idle(&rig.handle(Event::Tick)), "{code}");
        rig.now_ms = due_ms;
        let again = appending(&rig.handle(Event::Tick));
        assert_eq!((again.envelopes, again.if_tail), (append.envelopes, None), "{code}");
        assert_eq!(rig.machine.view().held, Some(code), "until something is taken");
    }
}

#[test]
fn what_was_held_goes_when_there_is_room() {
    let World { mut log, mut rig, envelope, append, .. } = in_flight();
    rig.refused(append.id, Code::QuotaExceeded, 0);
    rig.now_ms = rig.wake_ms();
    let again = appending(&rig.handle(Event::Tick));
    let seq = log.push(envelope);
    rig.hear(appended(again.id, seq));
    assert_eq!(rig.machine.view().held, None);
    rig.items(vec![log.leaf(seq), log.tail_item()]);
    rig.handle(Event::Sealed { rows: Vec::new(), left: false });
    assert!(rig.machine.view().synced, "{:?}", rig.machine.view());
}

#[test]
fn what_was_held_is_tried_at_once_on_a_new_socket() {
    let World { log, mut rig, append, .. } = in_flight();
    rig.refused(append.id, Code::QuotaExceeded, 0);
    rig.closed(None, 0);
    assert_eq!(rig.machine.view().held, Some(Code::QuotaExceeded));
    assert_eq!(appending(&rig.reconnect(&log)).envelopes, append.envelopes);
}

/// A full workspace keeps the owner from nothing: control entries count towards no quota.
#[test]
fn the_owner_changes_the_roster_while_edits_are_held() {
    let World { mut team, mut log, mut rig, append, .. } = in_flight();
    rig.refused(append.id, Code::QuotaExceeded, 0);
    team.advance();
    let record = team.last_record();
    assert_eq!(effects(&rig.handle(Event::Proposed(record.clone()))), ["post"]);
    assert_eq!(effects(&rig.handle(Event::Posted(Ok(())))), [""; 0]);
    log.record(&record);
    let step = rig.read(&log);
    assert!(step.writes.iter().any(|write| matches!(write, Write::NotPending)), "{step:?}");
    let view = rig.machine.view();
    assert!(!rig.machine.is_proposing() && view.online && view.caught_up, "{view:?}");
    assert_eq!((view.outbox, view.held), (1, Some(Code::QuotaExceeded)), "the edits wait on");

    // They were sealed in the epoch before: the next try says so, and what is sealed anew is held again.
    rig.now_ms = rig.wake_ms();
    let again = appending(&rig.handle(Event::Tick));
    let step = rig.refused(again.id, Code::EpochStale, 0);
    let (_, step) = rig.seal(&team, 0, &log, sealing(&step));
    rig.refused(appending(&step).id, Code::QuotaExceeded, 0);
    let view = rig.machine.view();
    assert!(view.online && view.held == Some(Code::QuotaExceeded), "{view:?}");
}

/// However long a workspace was full, the first refusal of another kind is answered at once.
#[test]
fn tries_that_were_held_are_no_refusals_in_a_row() {
    let World { mut rig, mut append, .. } = in_flight();
    for _ in 0..8 {
        rig.refused(append.id, Code::QuotaExceeded, 0);
        rig.now_ms = rig.wake_ms();
        append = appending(&rig.handle(Event::Tick));
    }
    assert_eq!(effects(&rig.refused(append.id, Code::EpochStale, 0)), ["seal"]);
}

#[test]
fn what_a_reader_had_held_is_held_no_longer() {
    let World { mut team, mut log, .. } = in_flight();
    let mut rig = Rig::at(&team, 1, &log);
    let (_, append) = rig.edit(&team, 1, &log);
    rig.refused(append.id, Code::QuotaExceeded, 0);
    team.change(1, |device| device.scope = Scope::Read);
    log.record(&team.last_record());
    rig.read(&log);
    let view = rig.machine.view();
    assert!(view.synced && view.held.is_none(), "{view:?}");
    assert_eq!(rig.machine.wake_at_ms(), None);
}

#[test]
fn a_refusal_of_something_else_is_ignored() {
    let World { mut rig, append, .. } = in_flight();
    assert!(is_idle(&rig.refused(append.id + 1, Code::Equivocation, 0)));
    assert_eq!(rig.machine.view().outbox, 1);
}

#[test]
fn the_fourth_refusal_in_a_row_waits() {
    let World { team, log, mut rig, mut append, .. } = in_flight();
    for _ in 0..3 {
        let step = rig.refused(append.id, Code::EpochStale, 0);
        let (_, step) = rig.seal(&team, 0, &log, sealing(&step));
        append = appending(&step);
    }
    assert_eq!(effects(&rig.refused(append.id, Code::EpochStale, 0)), ["disconnect"]);
    assert!(rig.machine.wake_at_ms().is_some());
    assert_eq!(effects(&rig.reconnect(&log)), [""; 0], "it reads first");
    assert_eq!(effects(&rig.read(&log)), ["seal"]);
}

#[test]
fn rows_from_before_a_restart_are_sent_as_they_are() {
    let World { team, log, rig, envelope, .. } = in_flight();
    let mut loaded = super::rig::loaded(&team, 0, log.id);
    loaded.log = rig.machine.log().clone();
    loaded.outbox = vec![row(&envelope)];
    loaded.edited = true;
    let mut rig = Rig::new(loaded);
    let step = rig.start(&log);
    let [Effect::Send(_)] = &step.effects[..] else { panic!("{step:?}") };
    assert_eq!(appending(&step).envelopes, [envelope.into_bytes()]);
}

/// A rewrite goes into the log only if that still ends where it was computed, and alone; then it is merged like anyone's.
#[test]
fn a_rewrite_travels_alone_on_condition_and_is_merged_when_it_is_met() {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let at = rig.machine.rewrite_at().unwrap();
    assert_eq!((at.base_size, at.author_seq), (Cursor(log.tail()), 1));
    let envelope = team.seal(0, team.header(&log, 0, 1), &head().plaintext(b"a rewrite"));
    let rewrite = OutboxRow { if_tail: Some(log.tail()), ..row(&envelope) };
    let append = appending(&rig.handle(Event::Rewritten(vec![rewrite])));
    assert_eq!((append.if_tail, append.envelopes), (Some(log.tail()), vec![envelope.as_bytes().to_vec()]));
    assert_eq!(rig.machine.rewrite_at(), None, "one at a time");
    assert_eq!(effects(&rig.handle(Event::Edited)), [""; 0], "edits wait for it");
    let seq = log.push(envelope);
    rig.hear(appended(append.id, seq));
    let step = rig.items(vec![log.leaf(seq), log.tail_item()]);
    assert!(step.writes.iter().any(|write| matches!(write, Write::Met { author_seq: 1 })), "{step:?}");
    assert!(step.writes.iter().any(|write| matches!(write, Write::Inbox { .. })), "{step:?}");
    assert_eq!(effects(&step), ["merge", "seal"]);
}

#[test]
fn a_rewrite_that_came_too_late_is_dropped() {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let envelope = team.seal(0, team.header(&log, 0, 1), &head().plaintext(b"a rewrite"));
    let rewrite = OutboxRow { if_tail: Some(log.tail()), ..row(&envelope) };
    let append = appending(&rig.handle(Event::Rewritten(vec![rewrite])));
    log.push(team.seal(1, team.header(&log, 1, 1), &head().plaintext(b"another's")));
    rig.refused(append.id, Code::TailMoved, 0);
    let step = rig.read(&log);
    assert!(step.writes.iter().any(|write| matches!(write, Write::ClearOutbox)), "{step:?}");
    let step = rig.handle(Event::Sealed { rows: Vec::new(), left: false });
    assert!(step.effects.is_empty(), "{step:?}");
    assert!(rig.machine.view().synced && rig.machine.rewrite_at().is_some(), "it may be computed again");
}

#[test]
fn a_rewrite_for_which_there_is_no_room_holds_nothing_up() {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let envelope = team.seal(0, team.header(&log, 0, 1), &head().plaintext(b"a rewrite"));
    let rewrite = OutboxRow { if_tail: Some(log.tail()), ..row(&envelope) };
    let append = appending(&rig.handle(Event::Rewritten(vec![rewrite])));
    rig.handle(Event::Edited);
    let step = rig.refused(append.id, Code::QuotaExceeded, 0);
    assert!(step.writes.iter().any(|write| matches!(write, Write::ClearOutbox)), "{step:?}");
    assert_eq!(effects(&step), ["seal"], "an edit is smaller");
}
