//! Edits: durable or not made.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use roost::loro::{ID, LoroError};
use roost::replica::EditError;
use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{NOTES, TODOS, Team, TestLog};

fn bench() -> Bench {
    let team = Team::new();
    Bench::new(&team, 0, TestLog::of(&team, 1).id)
}

#[test]
fn an_edit_is_in_the_store_when_the_process_dies() {
    let mut bench = bench();
    bench.write(NOTES, "one ");
    bench = bench.restart();
    assert_eq!(bench.text(NOTES), "one ");
    bench.write(NOTES, "two");
    bench.write(TODOS, "else");
    bench = bench.restart().restart();
    assert_eq!((bench.text(NOTES), bench.text(TODOS)), ("one two".to_owned(), "else".to_owned()));
}

#[test]
fn an_edit_that_fails_leaves_the_document_as_it_was() {
    let mut bench = bench();
    bench.write(NOTES, "kept");
    let (before, _) = bench.replica.digest(NOTES).unwrap();
    let failed = bench.replica.edit(NOTES, |loro| {
        loro.get_text("text").insert(0, "lost")?;
        loro.get_text("text").insert(999, "beyond the end")
    });
    assert!(matches!(failed, Err(EditError::Loro(_))), "{failed:?}");
    assert_eq!(bench.replica.digest(NOTES).unwrap().0, before);
    bench.write(NOTES, " on");
    assert_eq!(bench.text(NOTES), "kept on");
    assert_eq!(bench.restart().text(NOTES), "kept on");
}

#[test]
fn an_edit_that_panics_leaves_the_document_as_it_was() {
    let mut bench = bench();
    bench.write(NOTES, "kept");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let edited = bench.replica.edit(NOTES, |loro| -> Result<(), LoroError> {
            loro.get_text("text").insert(0, "lost")?;
            panic!("as an app may");
        });
        drop(edited);
    }));
    assert!(panicked.is_err());
    assert_eq!(bench.text(NOTES), "kept");
    bench.write(NOTES, " on");
    assert_eq!(bench.restart().text(NOTES), "kept on");
}

#[test]
fn an_edit_made_while_looking_is_undone() {
    let mut bench = bench();
    bench.write(NOTES, "kept");
    bench
        .replica
        .read(NOTES, |loro| {
            loro.get_text("text").insert(0, "lost").unwrap();
            loro.commit();
        })
        .unwrap();
    assert_eq!(bench.text(NOTES), "kept");
    assert_eq!(bench.restart().text(NOTES), "kept");
}

#[test]
fn each_opening_writes_under_another_peer() {
    let mut bench = bench();
    let mut peers = BTreeSet::new();
    for opening in 1..=5 {
        peers.insert(bench.replica.read(NOTES, |loro| loro.peer_id()).unwrap());
        peers.insert(bench.replica.read(TODOS, |loro| loro.peer_id()).unwrap());
        assert_eq!(peers.len(), 2 * opening);
        bench.write(NOTES, "x");
        bench = bench.restart();
    }
    assert_eq!(bench.text(NOTES), "xxxxx");
}

#[test]
fn changes_are_dated_by_the_clock_and_can_be_travelled_to() {
    const HOUR_MS: u64 = 3_600_000;
    let mut bench = bench();
    for word in ["one ", "two ", "three"] {
        bench.write(NOTES, word);
        bench.clock.pass(HOUR_MS);
    }
    bench = bench.restart();
    let start_s = 1_700_000_000;
    let (mut changes, second) = bench
        .replica
        .read(NOTES, |loro| {
            let mut changes = Vec::new();
            let heads: Vec<ID> = loro.oplog_frontiers().iter().collect();
            let visit = &mut |change: roost::loro::ChangeMeta| {
                let last = ID::new(change.id.peer, change.id.counter + i32::try_from(change.len).unwrap() - 1);
                changes.push((change.timestamp, last));
                ControlFlow::Continue(())
            };
            loro.travel_change_ancestors(&heads, visit).unwrap();
            let then = changes.iter().find(|(at_s, _)| *at_s == start_s + 3_600).unwrap().1;
            let past = loro.fork_at(&then.into()).unwrap();
            (changes, past.get_text("text").to_string())
        })
        .unwrap();
    changes.sort_by_key(|(at_s, _)| *at_s);
    let dates: Vec<i64> = changes.iter().map(|(at_s, _)| *at_s).collect();
    assert_eq!(dates, [start_s, start_s + 3_600, start_s + 7_200]);
    assert_eq!(second, "one two ");
}

#[test]
fn a_device_that_may_only_read_edits_nothing() {
    let team = Team::of(&[Scope::Read]);
    let mut bench = Bench::new(&team, 1, TestLog::of(&team, 1).id);
    let edited = bench.replica.edit(NOTES, |loro| loro.get_text("text").insert(0, "no"));
    assert!(matches!(edited, Err(EditError::ReadOnly)), "{edited:?}");
    assert_eq!(bench.text(NOTES), "");
    assert!(bench.replica.named("notes").is_ok(), "names are the same for those who read");
    assert!(bench.replica.store().edited_documents().unwrap().is_empty());
}

#[test]
fn a_name_is_listed_by_the_first_edit_that_is_saved_under_it() {
    let team = Team::of(&[]);
    let mut bench = Bench::new(&team, 0, TestLog::of(&team, 1).id);
    let listed = |bench: &mut Bench| -> Vec<String> {
        bench.replica.names().unwrap().into_iter().map(|(_, name)| name).collect()
    };
    let typo = bench.replica.named("typo").unwrap();
    assert_eq!(bench.text(typo), "");
    bench.replica.edit(typo, |loro| loro.get_text("text").insert(7, "beyond")).unwrap_err();
    bench.replica.edit(typo, |_| Ok(())).unwrap();
    assert!(listed(&mut bench).is_empty(), "a look, an edit that was refused and an empty one list nothing");
    assert!(bench.replica.store().edited_documents().unwrap().is_empty());
    bench.replica.edit(typo, |loro| loro.get_text("text").insert(0, "meant")).unwrap();
    assert_eq!(listed(&mut bench), ["typo"]);
}

#[test]
fn names_lead_every_device_to_the_same_documents() {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (mut one, mut other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    let id = one.replica.named("notes").unwrap();
    assert_eq!(other.replica.named("notes").unwrap(), id);
    let todos = other.replica.named("todos").unwrap();
    assert_ne!(todos, id);
    one.replica.edit(id, |loro| loro.get_text("text").insert(0, "plums")).unwrap();
    other.replica.edit(todos, |loro| loro.get_text("text").insert(0, "pears")).unwrap();
    one.sync(&mut log);
    other.sync(&mut log);
    one.sync(&mut log);
    let names = one.replica.names().unwrap();
    assert_eq!(names, other.replica.names().unwrap());
    assert_eq!(names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), ["notes", "todos"]);
}

#[test]
fn documents_that_were_not_used_for_long_are_not_kept_in_memory() {
    let mut bench = bench();
    let ids: Vec<_> = (0..40).map(|number| bench.replica.named(&format!("note {number}")).unwrap()).collect();
    for id in &ids {
        bench.write(*id, "text");
    }
    let mut peers: Vec<u64> = ids.iter().map(|id| bench.replica.read(*id, |loro| loro.peer_id()).unwrap()).collect();
    for id in &ids {
        assert_eq!(bench.text(*id), "text");
    }
    let again: Vec<u64> = ids.iter().map(|id| bench.replica.read(*id, |loro| loro.peer_id()).unwrap()).collect();
    peers.retain(|peer| again.contains(peer));
    assert!(peers.is_empty(), "each was loaded anew, under a peer of its own");
}
