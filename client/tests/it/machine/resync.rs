//! Resync: durable, on condition of the tail, and the same after a crash.

use roost::sync::Stage;
use roost::sync::{Event, Loaded, Write};
use roost_shared::roster::Scope;
use roost_shared::wire::message::{Append, ServerMessage};
use roost_shared::{Code, Envelope};

use super::rig::{Rig, appending, effects, is_idle, loaded, row, sealing};
use super::world::{Team, TestLog};

/// Device 0 with an Append in flight that is to be taken only at the tail.
fn resealing() -> (Team, TestLog, Rig, Append) {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 0, &log);
    let (_, append) = rig.edit(&team, 0, &log);
    let step = rig.refused(append.id, Code::BaseMismatch, 0);
    let (_, step) = rig.seal(&team, 0, &log, sealing(&step));
    (team, log, rig, appending(&step))
}

/// What the store of device 0 holds after a crash in `stage`, with one row.
fn crashed(team: &Team, log: &TestLog, stage: Stage) -> (Loaded, Envelope) {
    let mut rig = Rig::at(team, 0, log);
    let (envelope, _) = rig.edit(team, 0, log);
    let mut loaded = loaded(team, 0, log.id);
    loaded.log = rig.machine.log().clone();
    loaded.outbox = vec![row(&envelope)];
    loaded.resync = Some(stage);
    loaded.edited = true;
    (loaded, envelope)
}

#[test]
fn tail_moved_when_the_new_tail_was_read_already_goes_on_at_once() {
    let (team, mut log, mut rig, append) = resealing();
    let condition = append.if_tail;
    log.push(team.entry(&log, 1, 1));
    assert_eq!(effects(&rig.read(&log)), ["merge"]);
    let step = rig.refused(append.id, Code::TailMoved, 0);
    assert_eq!(effects(&step), ["seal"]);
    let (_, step) = rig.seal(&team, 0, &log, sealing(&step));
    assert_eq!(appending(&step).if_tail, condition.map(|tail| tail + 1));
}

#[test]
fn tail_moved_before_the_entries_waits_for_the_tail() {
    let (team, mut log, mut rig, append) = resealing();
    let step = rig.refused(append.id, Code::TailMoved, 0);
    assert_eq!(effects(&step), [""; 0]);
    assert!(matches!(&step.writes[..], [Write::Resync(Some(Stage::Read))]), "{step:?}");
    assert!(is_idle(&rig.handle(Event::Edited)));
    let seq = log.push(team.entry(&log, 1, 1));
    assert_eq!(effects(&rig.items(vec![log.item(seq)])), ["merge"], "not the tail yet");
    let step = rig.items(vec![log.tail_item()]);
    assert_eq!(effects(&step), ["seal"]);
    assert!(step.writes.iter().any(|write| matches!(write, Write::ClearOutbox)));
    let (_, step) = rig.seal(&team, 0, &log, sealing(&step));
    assert_eq!(appending(&step).if_tail, Some(seq));
}

#[test]
fn resync_with_nothing_to_seal_is_over() {
    let (_, _, mut rig, append) = resealing();
    let step = rig.refused(append.id, Code::EpochStale, 0);
    assert_eq!(effects(&step), ["seal"]);
    let step = rig.handle(Event::Sealed { rows: Vec::new(), left: false });
    assert!(matches!(&step.writes[..], [Write::Resync(None)]), "{step:?}");
}

#[test]
fn a_crash_while_reading_reads_on_and_sends_nothing_before_the_tail() {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let (loaded, _) = crashed(&team, &log, Stage::Read);
    let mut rig = Rig::new(loaded);
    assert_eq!(effects(&rig.start(&log)), [""; 0]);
    let step = rig.read(&log);
    assert!(matches!(&step.writes[..], [Write::ClearOutbox, Write::Resync(Some(Stage::Reseal))]), "{step:?}");
    assert_eq!(effects(&step), ["seal"]);
}

#[test]
fn a_row_that_is_in_the_log_after_all_is_met_while_reading() {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (loaded, envelope) = crashed(&team, &log, Stage::Read);
    log.push(envelope);
    let mut rig = Rig::new(loaded);
    rig.start(&log);
    let step = rig.read(&log);
    assert!(step.writes.iter().any(|write| matches!(write, Write::Met { author_seq: 1 })));
    assert_eq!(sealing(&step).author_seq, 2, "its number is taken");
}

#[test]
fn a_crash_while_resealing_sends_its_rows_on_condition() {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let (loaded, envelope) = crashed(&team, &log, Stage::Reseal);
    let mut rig = Rig::new(loaded);
    let append = appending(&rig.start(&log));
    assert_eq!((append.if_tail, append.envelopes), (Some(log.tail()), vec![envelope.into_bytes()]));
}

#[test]
fn a_crash_while_resealing_before_anything_was_sealed_seals() {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let (mut loaded, _) = crashed(&team, &log, Stage::Reseal);
    loaded.outbox.clear();
    loaded.edited = false;
    let mut rig = Rig::new(loaded);
    assert_eq!(effects(&rig.start(&log)), ["seal"]);
}

#[test]
fn a_socket_that_ends_during_resync_goes_on_with_it_on_the_next() {
    let (team, mut log, mut rig, append) = resealing();
    let envelopes = append.envelopes;
    log.push(team.entry(&log, 1, 1));
    rig.closed(None, 0);
    let again = appending(&rig.reconnect(&log));
    assert_eq!((again.if_tail, &again.envelopes), (append.if_tail, &envelopes), "the same bytes, the same condition");
    rig.read(&log);
    assert_eq!(effects(&rig.refused(again.id, Code::TailMoved, 0)), ["seal"]);
}

/// Pointed at another, empty server, a device fills it, and says that it is synced once the log has it all.
#[test]
fn a_server_that_is_filled_again_is_synced_with_once_its_log_has_everything() {
    let team = Team::of(&[Scope::ReadWrite]);
    let (old, mut new) = (TestLog::of(&team, 1), TestLog::of(&team, 2));
    let mut rig = Rig::at(&team, 0, &old);
    rig.closed(None, 0);
    rig.now_ms = rig.wake_ms();
    rig.handle(Event::Tick);
    assert_eq!(effects(&rig.closed(Some(Code::ProofInvalid), 0)), ["republish"]);
    assert_eq!(effects(&rig.handle(Event::Republished(Ok(true)))), ["connect"]);
    assert_eq!(effects(&rig.greet(new.welcome(rig.cursor()))), ["disconnect", "connect"]);
    rig.greet(new.welcome(0));
    assert!(!rig.machine.view().synced, "nothing was read");
    let step = rig.read(&new);
    assert!(rig.machine.view().caught_up && !rig.machine.view().synced, "the roster alone is there");
    let (envelope, step) = rig.seal(&team, 0, &new, sealing(&step));
    let append = appending(&step);
    assert!(!rig.machine.view().synced, "it is on its way");
    let seq = new.push(envelope);
    rig.hear(ServerMessage::Appended { id: append.id, seqs: vec![seq] });
    let step = rig.items(vec![new.leaf(seq), new.tail_item()]);
    assert_eq!(effects(&step), ["seal"]);
    assert!(!rig.machine.view().synced, "there may be more");
    rig.handle(Event::Sealed { rows: Vec::new(), left: false });
    assert!(rig.machine.view().synced, "{:?}", rig.machine.view());
}

#[test]
fn a_device_that_may_only_read_never_seals_and_becomes_synced() {
    let team = Team::of(&[Scope::Read]);
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 1, &log);
    assert!(rig.machine.view().synced);
    // A new log, by which other devices offer everything again.
    let new = TestLog::of(&team, 2);
    rig.closed(None, 0);
    rig.reconnect(&new);
    rig.greet(new.welcome(0));
    let step = rig.read(&new);
    assert_eq!(effects(&step), [""; 0]);
    assert!(step.writes.iter().any(|write| matches!(write, Write::Resync(None))));
    assert!(rig.machine.view().synced);
}

/// A new log marks every document as edited until its entries were merged, and the machine is told.
#[test]
fn a_device_that_may_only_read_is_synced_though_it_was_told_of_edits() {
    let team = Team::of(&[Scope::Read]);
    let log = TestLog::of(&team, 1);
    let mut rig = Rig::at(&team, 1, &log);
    assert!(is_idle(&rig.handle(Event::Edited)));
    let view = rig.machine.view();
    assert!(view.synced, "it can never seal them: {view:?}");
}
