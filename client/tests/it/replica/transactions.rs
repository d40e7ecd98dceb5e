//! An edit and all that follows from it is one transaction: saved whole, or not at all.

use std::sync::Arc;

use roost::Fields;
use roost::loro::{LoroDoc, LoroResult};
use roost::replica::CollectionForm;
use roost::schema::Schema;

use super::bench::{Bench, open};
use crate::machine::world::{NOTES, Team, TestLog};
use crate::store::fault::with_room;

fn form() -> Arc<CollectionForm> {
    let fields = Fields::default().index("number");
    Arc::new(CollectionForm { document: NOTES, name: "records".to_owned(), fields })
}

fn put(loro: &LoroDoc, number: i64, note: &str) -> LoroResult<()> {
    let record = loro.get_map("records").ensure_mergeable_map("one")?;
    record.insert("number", number)?;
    record.insert("note", note)
}

fn bench() -> Bench {
    let team = Team::of(&[]);
    let mut bench = Bench::new(&team, 0, TestLog::of(&team, 1).id);
    bench.replica.use_collection(&form()).unwrap();
    bench.replica.edit(NOTES, |loro| put(loro, 1, "first")).unwrap();
    bench
}

/// The process dies and starts again, with room for so many pages more.
fn with_pages(bench: Bench, pages: i64) -> Bench {
    let Bench { replica, clock, meanwhile } = bench;
    let replica = open(with_room(replica.into_store(), pages), &clock, Schema::default()).unwrap();
    let mut bench = Bench { replica, clock, meanwhile };
    bench.replica.use_collection(&form()).unwrap();
    bench
}

fn record(bench: &mut Bench) -> String {
    let table = bench.replica.use_collection(&form()).unwrap();
    bench.replica.followed(NOTES).unwrap().record(table, "one").unwrap().unwrap()
}

#[test]
fn an_edit_and_what_follows_from_it_is_one_transaction() {
    let mut bench = bench();
    let mut last = bench.replica.store().transactions();
    let mut transactions = |bench: &Bench| {
        let now = bench.replica.store().transactions();
        now - std::mem::replace(&mut last, now)
    };
    bench.replica.edit(NOTES, |loro| put(loro, 2, "second")).unwrap();
    let edit = transactions(&bench);
    assert!(bench.replica.undo(NOTES).unwrap());
    let undo = transactions(&bench);
    assert!(bench.replica.redo(NOTES).unwrap());
    let redo = transactions(&bench);
    assert_eq!((edit, undo, redo), (1, 1, 1));
    assert!(record(&mut bench).contains("second"));
    println!("figure: an edit with its records and its undo step is {edit} transaction, an undo {undo}, a redo {redo}");
}

#[test]
fn an_edit_that_the_disk_has_no_room_for_is_saved_whole_or_not_at_all() {
    let (mut refused, mut made) = (0, 0);
    for pages in 0..40 {
        let mut bench = bench();
        let before = (bench.replica.digest(NOTES).unwrap(), record(&mut bench));
        let mut bench = with_pages(bench, pages);
        let note = "x".repeat(20_000);
        let edited = bench.replica.edit(NOTES, |loro| put(loro, 2, &note));
        let held = (bench.replica.digest(NOTES).unwrap(), record(&mut bench));
        if edited.is_err() {
            refused += 1;
            assert_eq!(held, before, "with room for {pages} pages");
        } else {
            made += 1;
            assert!(held.0 != before.0 && held.1.contains(&note), "with room for {pages} pages");
        }
        let mut bench = with_pages(bench, 1_000);
        assert_eq!((bench.replica.digest(NOTES).unwrap(), record(&mut bench)), held, "after a restart");
        assert!(bench.replica.undo(NOTES).unwrap(), "the step before is there");
        let undone = (edited.is_ok()).then(|| before.1.clone());
        let table = bench.replica.use_collection(&form()).unwrap();
        assert_eq!(bench.replica.followed(NOTES).unwrap().record(table, "one").unwrap(), undone, "it is the newest");
    }
    assert!(refused > 3 && made > 3, "{refused} refused, {made} made");
    println!("figure: of 40 edits on a disk that fills up, {refused} were refused whole, {made} saved whole");
}
