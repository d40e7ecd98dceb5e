//! Rewrites: once for all devices, at the tail; what misses one is kept and told.

use roost::loro::{ExportMode, LoroDoc, LoroResult};
use roost::replica::EditError;
use roost::schema::{Rewrite, Schema};
use roost::sync::{Event, Notice};
use roost::{Code, DocumentId};
use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{Team, TestLog};

fn into_lines(loro: &LoroDoc) -> LoroResult<()> {
    let lines = loro.get_list("lines");
    loro.get_text("text").to_string().lines().try_for_each(|line| lines.push(line))
}

fn with(rewrite: Rewrite) -> Schema {
    Schema::new().version(2, |version| version.rewrite("note/*", rewrite))
}

fn second() -> Schema {
    with(Rewrite::of(["text"], into_lines))
}

fn note(bench: &mut Bench) -> DocumentId {
    bench.replica.named("note/one").unwrap()
}

fn write(bench: &mut Bench, what: &str) {
    let note = note(bench);
    bench.write(note, what);
}

fn text(bench: &mut Bench) -> String {
    let note = note(bench);
    bench.text(note)
}

fn lines(bench: &mut Bench) -> Vec<String> {
    let note = note(bench);
    let lines = bench.replica.read(note, |loro| loro.get_list("lines").get_deep_value()).unwrap();
    lines.into_list().unwrap().iter().map(|line| line.as_string().unwrap().to_string()).collect()
}

fn version(bench: &mut Bench) -> u32 {
    let note = note(bench);
    bench.replica.schema_of(note).unwrap()
}

/// Two devices at version 1 that hold one note.
fn two() -> (TestLog, Bench, Bench) {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (one, other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    let (mut one, mut other) = (one.restart_with(Schema::new()), other.restart_with(Schema::new()));
    write(&mut one, "eggs\nplums\n");
    one.sync(&mut log);
    other.sync(&mut log);
    one.sync(&mut log);
    (log, one, other)
}

fn same(one: &mut Bench, other: &mut Bench) {
    let (first, second) = (note(one), note(other));
    assert_eq!(one.replica.digest(first).unwrap(), other.replica.digest(second).unwrap());
}

#[test]
fn a_rewritten_document_is_looked_at_and_not_edited_without_its_app() {
    let (mut log, one, mut other) = two();
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    let mut raw = one.restart_with(Schema::raw());
    assert_eq!(lines(&mut raw), ["eggs", "plums"]);
    let note = note(&mut raw);
    let before = raw.replica.digest(note).unwrap();
    let refused = raw.replica.edit(note, |loro| loro.get_text("text").insert(0, "bread")).unwrap_err();
    assert!(matches!(refused, EditError::NeedsApp { needs: 2 }), "{refused}");
    assert_eq!(roost::Error::from(refused).code(), "behind_schema");
    assert!(matches!(raw.replica.undo(note), Err(EditError::NeedsApp { needs: 2 })), "an undo is an edit");
    assert_eq!(raw.replica.digest(note).unwrap(), before);
    let list = raw.replica.named("list").unwrap();
    raw.write(list, "bread");
    raw.sync(&mut log);
    other.sync(&mut log);
    assert_eq!(other.text(list), "bread", "other documents are edited as ever");
}

/// Operations of a rewrite say what the document needs by whichever door they come in.
#[test]
fn an_edit_that_imports_a_rewrite_is_the_last_one_without_its_app() {
    let (mut log, one, other) = two();
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    let note = note(&mut one);
    let rewritten = one.replica.read(note, |loro| loro.export(ExportMode::all_updates())).unwrap().unwrap();
    let image = other.replica.store().image().unwrap();
    for schema in [Schema::new(), Schema::default(), Schema::raw()] {
        let mut bench = Bench::of_image(&image, &other, schema);
        bench.write(note, "plums\n");
        bench.replica.edit(note, |loro| loro.import(&rewritten).map(|_| ())).unwrap();
        assert_eq!(lines(&mut bench), ["eggs", "plums"], "the import is taken");
        assert_eq!(bench.replica.store().document_schema(note).unwrap().reader_min, 2);
        let refused = bench.replica.edit(note, |loro| loro.get_text("text").insert(0, "no")).unwrap_err();
        assert_eq!(roost::Error::from(refused).code(), "behind_schema");
        let mut updated = bench.restart_with(second());
        write(&mut updated, "and with it the document is edited again");
    }
}

#[test]
fn a_rewrite_needs_the_server_once_and_until_then_the_document_is_as_it_was() {
    let (mut log, one, other) = two();
    let mut one = one.restart_with(second());
    one.settle();
    assert_eq!((version(&mut one), lines(&mut one).len()), (1, 0));
    write(&mut one, "flour\n");
    one.sync(&mut log);
    assert_eq!(
        (version(&mut one), lines(&mut one)),
        (2, vec!["eggs".to_owned(), "plums".to_owned(), "flour".to_owned()])
    );
    assert_eq!(text(&mut one), "eggs\nplums\nflour\n", "what it was made of stays");
    assert!(one.replica.view().synced);
    let tail = log.tail();
    let mut other = other.restart_with(second());
    other.sync(&mut log);
    one.sync(&mut log);
    assert_eq!(log.tail(), tail, "the other has it from the log");
    assert_eq!((version(&mut other), lines(&mut other).len()), (2, 3));
    same(&mut one, &mut other);
    one = one.restart_with(second());
    one.sync(&mut log);
    assert_eq!((log.tail(), version(&mut one)), (tail, 2));
    assert!(one.replica.late_edits().unwrap().is_empty() && other.replica.late_edits().unwrap().is_empty());
}

#[test]
fn of_two_devices_that_rewrite_at_once_one_wins() {
    let (mut log, one, other) = two();
    let (mut one, mut other) = (one.restart_with(second()), other.restart_with(second()));
    other.meanwhile = Some(Box::new(move |log| {
        one.sync(log);
        assert_eq!(lines(&mut one), ["eggs", "plums"]);
    }));
    let notices = other.sync(&mut log);
    assert!(notices.contains(&Notice::Refused { code: Code::TailMoved }), "{notices:?}");
    assert_eq!((version(&mut other), lines(&mut other)), (2, vec!["eggs".to_owned(), "plums".to_owned()]));
    assert!(other.replica.view().synced);
}

/// What a server that was restored forgot: the log has no rewrite, though a device had made one.
#[test]
fn two_rewrites_on_one_base_are_the_same_bytes() {
    let (mut log, one, other) = two();
    let mut elsewhere = log.clone();
    let (mut one, mut other) = (one.restart_with(second()), other.restart_with(second()));
    one.sync(&mut log);
    other.sync(&mut elsewhere);
    same(&mut one, &mut other);
}

#[test]
fn entries_that_come_first_are_rewritten_too() {
    let (mut log, one, mut other) = two();
    let mut one = one.restart_with(second());
    write(&mut other, "figs\n");
    one.meanwhile = Some(Box::new(move |log| {
        other.sync(log);
    }));
    one.sync(&mut log);
    assert_eq!(lines(&mut one), ["eggs", "plums", "figs"]);
    assert!(one.replica.late_edits().unwrap().is_empty());
}

/// The machine has read to the tail before the documents hold it all.
#[test]
fn what_was_read_and_not_merged_is_rewritten_too() {
    let (mut log, one, mut other) = two();
    let mut one = one.restart_with(second());
    one.settle();
    one.take(&mut log); // at the tail: the rewrite is the next piece of work
    write(&mut other, "figs\n");
    other.sync(&mut log);
    one.take(&mut log); // and the entry waits behind it
    one.sync(&mut log);
    assert_eq!(lines(&mut one), ["eggs", "plums", "figs"]);
    assert!(one.replica.late_edits().unwrap().is_empty());
}

#[test]
fn a_crash_after_it_was_sealed_sends_the_same_bytes() {
    let (mut log, one, _) = two();
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    let tail = log.tail();
    assert_eq!(lines(&mut one).len(), 2);
    let (mut log, one, _) = two();
    let mut one = one.restart_with(second());
    one.take(&mut log);
    while one.replica.has_work() {
        one.replica.work().unwrap(); // the Append is lost on the way
    }
    assert_eq!(one.replica.view().outbox, 1);
    let mut one = one.restart_with(second());
    assert_eq!((one.replica.view().outbox, lines(&mut one).len()), (1, 0));
    one.sync(&mut log);
    assert_eq!((log.tail(), lines(&mut one).len(), version(&mut one)), (tail, 2, 2));
}

#[test]
fn a_crash_after_it_arrived_merges_it_from_the_log() {
    let (mut log, one, _) = two();
    let mut one = one.restart_with(second());
    one.take(&mut log);
    while one.replica.has_work() {
        one.replica.work().unwrap();
    }
    for output in one.replica.take_outputs() {
        if let roost::replica::Output::Send(roost_shared::wire::message::ClientMessage::Append(append)) = output {
            for bytes in append.envelopes {
                log.push_bytes(bytes);
            }
        }
    }
    let tail = log.tail();
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    assert_eq!((log.tail(), lines(&mut one).len(), version(&mut one)), (tail, 2, 2));
    assert!(one.replica.view().synced);
}

#[test]
fn an_app_that_is_behind_keeps_its_edits_and_writes_no_more_of_the_document() {
    let (mut log, one, mut other) = two();
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    let notices = other.sync(&mut log);
    let id = note(&mut other);
    assert!(notices.contains(&Notice::Behind { document: id, needs: 2 }), "{notices:?}");
    assert_eq!(text(&mut other), "eggs\nplums\n", "what it has it shows");
    let refused = other.replica.edit(id, |loro| loro.get_text("text").insert(0, "no"));
    assert!(matches!(refused, Err(EditError::Behind { needs: 2 })), "{refused:?}");
    let todos = other.replica.named("todos").unwrap();
    other.write(todos, "other documents go on");
    other.sync(&mut log);
    assert!(other.replica.view().synced);
    let mut other = other.restart_with(second());
    other.sync(&mut log);
    assert_eq!(lines(&mut other).len(), 2, "what waited is there once the app is updated");
    write(&mut other, "and it writes again");
    one.sync(&mut log);
}

/// The server lost history while the app was behind, and whoever wrote what waits may be gone: it is kept in the document.
#[test]
fn what_waits_for_an_update_outlives_the_log() {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (one, other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    let (mut one, mut other) = (one.restart_with(Schema::new()), other.restart_with(Schema::new()));
    write(&mut one, "eggs\n");
    one.sync(&mut log);
    other.sync(&mut log);
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    other.sync(&mut log);
    assert_eq!(lines(&mut other).len(), 0, "it waits");
    other.sync(&mut TestLog::of(&team, 2));
    assert_eq!(lines(&mut other), ["eggs"]);
    let id = note(&mut other);
    let refused = other.replica.edit(id, |loro| loro.get_text("text").insert(0, "no"));
    assert!(matches!(refused, Err(EditError::Behind { needs: 2 })), "{refused:?}");
}

/// Offline for months with an old app: what it wrote is sent, late, or waits for the update; nothing is lost.
#[test]
fn an_edit_that_missed_the_rewrite_is_kept_and_told() {
    let (mut log, one, mut other) = two();
    write(&mut other, "figs\n");
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    other.sync(&mut log); // it sends before it has read
    let notices = one.sync(&mut log);
    let id = note(&mut one);
    assert!(notices.contains(&Notice::Late { document: id, version: 2 }), "{notices:?}");
    let late = one.replica.late_edits().unwrap();
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!((late[0].document, late[0].version, late[0].device), (id, 2, Some(other.replica.device().device_id())));
    assert_eq!((text(&mut one), lines(&mut one).len()), ("eggs\nplums\nfigs\n".to_owned(), 2));
    one.replica.forget_late(&late).unwrap();
    assert!(one.replica.late_edits().unwrap().is_empty());
    let mut other = other.restart_with(second());
    other.sync(&mut log);
    one.sync(&mut log);
    assert_eq!(other.replica.late_edits().unwrap().len(), 1, "whoever wrote it learns it too");
    same(&mut one, &mut other);
}

#[test]
fn an_edit_that_was_not_sent_is_told_by_the_updated_app() {
    let (mut log, one, mut other) = two();
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    write(&mut other, "figs\n");
    let mut other = other.restart_with(second());
    other.sync(&mut log);
    let mine = other.replica.late_edits().unwrap();
    assert_eq!((mine.len(), mine[0].device), (1, Some(other.replica.device().device_id())));
    assert_eq!(text(&mut other), "eggs\nplums\nfigs\n");
    one.sync(&mut log);
    assert_eq!(one.replica.late_edits().unwrap().len(), 1);
    same(&mut one, &mut other);
}

#[test]
fn what_its_writer_does_elsewhere_later_makes_no_late_edit_of_it_again() {
    let (mut log, one, other) = two();
    let (mut one, mut other) = (one.restart_with(second()), other.restart_with(second()));
    write(&mut other, "figs\n"); // the rewrite did not run yet
    one.sync(&mut log);
    other.sync(&mut log);
    one.sync(&mut log);
    let late = one.replica.late_edits().unwrap();
    assert_eq!(late.len(), 1, "{late:?}");
    one.replica.forget_late(&late).unwrap();
    let id = note(&mut other);
    other.replica.edit(id, |loro| loro.get_list("lines").push("nuts")).unwrap(); // where it belongs, by the same process
    other.sync(&mut log);
    one.sync(&mut log);
    let third = second().version(3, |version| version.rewrite("note/*", Rewrite::of(["tags"], |_| Ok(()))));
    let one = one.restart_with(third);
    assert!(one.replica.late_edits().unwrap().is_empty());
}

#[test]
fn undoing_its_first_words_leaves_what_a_document_says_of_its_readers() {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let mut one = Bench::new(&team, 0, log.id).restart_with(second());
    let id = one.replica.named("note/new").unwrap();
    let schema = |bench: &mut Bench| bench.replica.read(id, |loro| loro.get_map("~schema").get_deep_value()).unwrap();
    one.replica.edit(id, |loro| loro.get_list("lines").push("salt")).unwrap();
    let before = schema(&mut one);
    assert!(one.replica.undo(id).unwrap());
    let held = one.replica.read(id, |loro| loro.get_list("lines").len()).unwrap();
    assert_eq!((schema(&mut one), held), (before, 0));
}

#[test]
fn a_document_that_began_under_the_version_is_not_rewritten() {
    let (mut log, one, other) = two();
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    let id = one.replica.named("note/new").unwrap();
    one.replica.edit(id, |loro| loro.get_list("lines").push("salt")).unwrap();
    one.sync(&mut log);
    let tail = log.tail();
    one = one.restart_with(second());
    one.sync(&mut log);
    assert_eq!((log.tail(), one.replica.schema_of(id).unwrap()), (tail, 2));
    // The old app does not read it; it may have begun one of that name itself.
    let mut other = other;
    let same_id = other.replica.named("note/new").unwrap();
    other.write(same_id, "pepper\n");
    other.sync(&mut log);
    one.sync(&mut log);
    let lines = one.replica.read(id, |loro| loro.get_list("lines").len()).unwrap();
    assert_eq!(lines, 2, "what an older app began is rewritten into what a newer one began");
    assert!(one.replica.view().synced && log.tail() > tail);
}

fn gives_up(rewrite: Rewrite) -> &'static str {
    let (mut log, one, _) = two();
    let mut one = one.restart_with(with(rewrite));
    let tail = log.tail();
    let notices = one.sync(&mut log);
    assert_eq!((log.tail(), text(&mut one).as_str(), lines(&mut one).len()), (tail, "eggs\nplums\n", 0));
    let id = note(&mut one);
    let code = notices.into_iter().find_map(|notice| match notice {
        Notice::NotMigrated { document, version: 2, code, .. } if document == id => Some(code),
        _ => None,
    });
    assert!(one.replica.view().synced, "and sync goes on");
    assert_eq!(version(&mut one), 1, "the app still looks where the content is");
    code.expect("the app is told")
}

#[test]
fn a_rewrite_that_fails_leaves_the_document_and_is_told() {
    let deletes = |loro: &LoroDoc| {
        into_lines(loro)?;
        loro.get_text("text").delete(0, 4)
    };
    assert_eq!(gives_up(Rewrite::of(["text"], deletes)), "legacy_changed");
    assert_eq!(gives_up(Rewrite::of(["text"], |_| panic!("as an app may"))), "step_panicked");
    assert_eq!(gives_up(Rewrite::of(["text"], |loro| loro.get_text("text").delete(0, 999))), "step_refused");
    let fixed = |loro: &LoroDoc| {
        loro.set_peer_id(7)?;
        into_lines(loro)
    };
    assert_eq!(gives_up(Rewrite::of(["text"], fixed)), "peer_changed");
    let counted = std::sync::atomic::AtomicI64::new(0);
    let drifting =
        move |loro: &LoroDoc| loro.get_list("lines").push(counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    assert_eq!(gives_up(Rewrite::of(["text"], drifting)), "step_not_repeatable");
    let noise = |loro: &LoroDoc| {
        let mut state = 1u64;
        (0..200_000).try_for_each(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            loro.get_list("lines").push(state.cast_signed())
        })
    };
    assert_eq!(gives_up(Rewrite::of(["text"], noise)), "rewrite_too_large");
    let deep = |loro: &LoroDoc| {
        let mut map = loro.get_map("deep");
        for _ in 0..1_100 {
            map = map.ensure_mergeable_map("m")?;
        }
        map.insert("end", true)
    };
    assert_eq!(gives_up(Rewrite::of(["text"], deep)), "nested_too_deep");
}

#[test]
fn an_edit_that_sets_a_peer_id_is_refused() {
    let (_, mut one, _) = two();
    let id = note(&mut one);
    let refused = one.replica.edit(id, |loro| {
        loro.set_peer_id(7)?;
        loro.get_text("text").insert(0, "no")
    });
    assert!(matches!(refused, Err(EditError::PeerChanged)), "{refused:?}");
    assert_eq!(text(&mut one), "eggs\nplums\n");
}

/// Who may only read is updated first: it shows the document as it is until a writer is.
#[test]
fn a_reader_knows_which_version_a_document_is_at() {
    let team = Team::of(&[Scope::Read]);
    let mut log = TestLog::of(&team, 1);
    let (one, reader) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    let (mut one, mut reader) = (one.restart_with(Schema::new()), reader.restart_with(second()));
    write(&mut one, "eggs\n");
    one.sync(&mut log);
    reader.sync(&mut log);
    assert_eq!((version(&mut reader), text(&mut reader).as_str()), (1, "eggs\n"));
    let mut one = one.restart_with(second());
    one.sync(&mut log);
    reader.sync(&mut log);
    assert_eq!((version(&mut reader), lines(&mut reader)), (2, vec!["eggs".to_owned()]));
}

/// What it was given back of a document that began under a newer app is that app's alone.
#[test]
fn an_older_app_on_the_same_file_does_not_write_into_what_began_newer() {
    let (_, one, _) = two();
    let mut one = one.restart_with(second());
    let id = one.replica.named("note/new").unwrap();
    one.replica.edit(id, |loro| loro.get_list("lines").push("salt")).unwrap();
    let mut back = one.restart_with(Schema::new());
    let refused = back.replica.edit(id, |loro| loro.get_text("text").insert(0, "nobody would see it"));
    assert!(matches!(refused, Err(EditError::Behind { needs: 2 })), "{refused:?}");
}

#[test]
fn a_paused_device_rewrites_nothing() {
    let (mut log, one, _) = two();
    let mut one = one.restart_with(second());
    one.take(&mut log);
    one.replica.handle(Event::Pause).unwrap();
    while one.replica.has_work() {
        one.replica.work().unwrap();
    }
    assert_eq!(one.replica.view().outbox, 0);
}
