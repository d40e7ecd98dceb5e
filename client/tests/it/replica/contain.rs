//! What Loro dies of, fails at or builds too deep: the entry is put aside or the change left out, and all else goes on.

use roost::loro::{ExportMode, LoroDoc, LoroMap, LoroValue};
use roost::replica::EditError;
use roost::schema::Schema;
use roost::store::{Risk, Signed};
use roost_shared::Seq;
use roost_shared::limits::NESTING_MAX;
use roost_shared::roster::Scope;

use super::bench::{Bench, update};
use crate::machine::world::{NOTES, TODOS, Team, TestLog, head};

fn world() -> (Team, TestLog, Bench) {
    let team = Team::of(&[Scope::ReadWrite, Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let bench = Bench::new(&team, 0, log.id);
    (team, log, bench)
}

fn push(team: &Team, log: &mut TestLog, author_seq: u64, blob: &[u8]) -> u64 {
    let mut header = team.header(log, 1, author_seq);
    header.document = NOTES;
    log.push(team.seal(1, header, &head().plaintext(blob)))
}

/// The process dies while Loro has these.
fn die(bench: Bench, risks: &[Risk]) -> Bench {
    bench.restart_after(Schema::default(), |store| store.risk(risks).unwrap())
}

/// A change that was saved, whatever it is.
fn saved(bench: Bench, change: &[u8]) -> Bench {
    bench.restart_after(Schema::default(), |store| {
        store.commit(NOTES, &[change], &Signed { schema: 1, ..Signed::default() }).unwrap()
    })
}

#[test]
fn an_entry_of_which_two_processes_died_is_put_aside() {
    let (team, mut log, mut bench) = world();
    let entry = Risk::Entry(Seq::new(push(&team, &mut log, 1, &update(4, "deadly"))).unwrap());
    push(&team, &mut log, 2, &update(5, "innocent"));
    bench.take(&mut log);
    bench = die(bench, &[entry]);
    bench = die(bench, &[entry]);
    bench.settle();
    assert_eq!(bench.text(NOTES), "innocent");
    assert_eq!(bench.replica.store().quarantined().unwrap(), 1);
    bench.sync(&mut log);
    assert!(bench.replica.view().synced);
}

#[test]
fn a_process_that_died_by_chance_costs_no_entry() {
    let (team, mut log, mut bench) = world();
    let entry = Risk::Entry(Seq::new(push(&team, &mut log, 1, &update(4, "once"))).unwrap());
    bench.take(&mut log);
    bench = die(bench, &[entry]);
    bench = bench.restart(); // dies again, before it came to that
    bench.settle();
    assert_eq!(bench.text(NOTES), "once");
    assert_eq!(bench.replica.store().deaths(entry).unwrap(), 0, "forgotten once it is in");
    assert_eq!(bench.replica.store().quarantined().unwrap(), 0);
}

#[test]
fn a_document_that_killed_a_process_is_loaded_change_by_change() {
    let (_, _, mut bench) = world();
    bench.write(NOTES, "one ");
    bench.write(NOTES, "two ");
    bench.write(TODOS, "other");
    bench = die(bench, &[Risk::Document(NOTES)]);
    assert_eq!(bench.text(NOTES), "one two ");
    assert_eq!(bench.replica.store().deaths(Risk::Document(NOTES)).unwrap(), 0);
    assert_eq!(bench.replica.store().document(NOTES).unwrap().unwrap().changes.len(), 0, "it is one snapshot now");
    bench = die(bench, &[Risk::Document(NOTES)]);
    bench.write(NOTES, "three");
    assert_eq!(bench.text(NOTES), "one two three");
    assert_eq!(bench.replica.store().quarantined().unwrap(), 0);
}

#[test]
fn a_change_of_which_two_processes_died_is_left_out_and_kept() {
    let (_, _, mut bench) = world();
    bench.write(NOTES, "one ");
    let first = bench.replica.store().document(NOTES).unwrap().unwrap().changes[0].key;
    bench = saved(bench, &update(7, "deadly"));
    let changes = [Risk::Document(NOTES), Risk::Change(first + 1)];
    bench = die(bench, &changes);
    bench = die(bench, &changes);
    assert_eq!(bench.text(NOTES), "one ");
    bench.write(NOTES, "two");
    bench = bench.restart();
    assert_eq!(bench.text(NOTES), "one two");
    assert_eq!(bench.replica.store().quarantined().unwrap(), 1);
}

#[test]
fn a_change_that_does_not_load_is_left_out_and_kept() {
    let (_, _, mut bench) = world();
    bench.write(NOTES, "one ");
    bench = saved(bench, b"this is not Loro's");
    assert_eq!(bench.text(NOTES), "one ");
    bench.write(NOTES, "two");
    assert_eq!(bench.text(NOTES), "one two");
    assert_eq!(bench.replica.store().quarantined().unwrap(), 1);
}

fn nested_containers(loro: &LoroDoc, levels: usize) {
    let mut map = loro.get_map("map");
    for _ in 0..levels {
        map = map.insert_container("deeper", LoroMap::new()).unwrap();
    }
    map.insert("end", true).unwrap();
}

fn nested_value(levels: usize) -> LoroValue {
    (0..levels).fold(LoroValue::Null, |value, _| LoroValue::List(vec![value].into()))
}

#[test]
fn what_is_nested_too_deep_is_neither_written_nor_merged() {
    let (team, mut log, mut bench) = world();
    let too_deep = bench.replica.edit(NOTES, |loro| {
        nested_containers(loro, NESTING_MAX + 1);
        Ok(())
    });
    assert!(matches!(too_deep, Err(EditError::TooDeep)), "{too_deep:?}");
    let too_deep = bench.replica.edit(NOTES, |loro| loro.get_list("list").push(nested_value(NESTING_MAX + 1)));
    assert!(matches!(too_deep, Err(EditError::TooDeep)), "{too_deep:?}");
    bench.replica.edit(NOTES, |loro| loro.get_list("list").push(nested_value(NESTING_MAX - 1))).unwrap();

    let by_another = |make: &dyn Fn(&LoroDoc)| {
        let loro = LoroDoc::new();
        make(&loro);
        loro.commit();
        loro.export(ExportMode::all_updates()).unwrap()
    };
    push(&team, &mut log, 1, &by_another(&|loro| nested_containers(loro, NESTING_MAX + 1)));
    push(
        &team,
        &mut log,
        2,
        &by_another(&|loro| loro.get_map("map").insert("key", nested_value(NESTING_MAX + 1)).unwrap()),
    );
    push(&team, &mut log, 3, &update(8, "flat"));
    bench.sync(&mut log);
    assert_eq!(bench.replica.store().quarantined().unwrap(), 2);
    assert_eq!(bench.text(NOTES), "flat");
}
