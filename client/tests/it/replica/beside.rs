//! Changes that are small beside what the document holds: their cost does not grow with the rest of it.

use std::sync::Arc;

use roost::Fields;
use roost::loro::{LoroDoc, LoroResult, TreeParentId};
use roost::replica::CollectionForm;
use roost::tally;
use roost_shared::roster::Scope;

use super::bench::Bench;
use super::sizes::NOISE;
use crate::machine::world::{NOTES, Team, TestLog};

const RECORDS: &str = "records";

fn using_records(bench: &mut Bench) {
    let (document, name) = (NOTES, RECORDS.to_owned());
    bench.replica.use_collection(&Arc::new(CollectionForm { document, name, fields: Fields::default() })).unwrap();
}

fn alone() -> Bench {
    let team = Team::of(&[]);
    Bench::new(&team, 0, TestLog::of(&team, 1).id)
}

/// Gives records, from the first on, a number.
fn number(loro: &LoroDoc, records: usize, number: i64) -> LoroResult<()> {
    let root = loro.get_map(RECORDS);
    (0..records).try_for_each(|i| root.ensure_mergeable_map(&format!("record {i}"))?.insert("number", number))
}

#[test]
fn a_large_change_beside_a_collection_reads_and_writes_only_records_that_changed() {
    const ALL: usize = 40_000;
    const MANY: usize = 20_001;
    let mut bench = alone();
    using_records(&mut bench);
    bench.replica.edit(NOTES, |loro| number(loro, ALL, 1)).unwrap();
    bench.replica.take_record_changes();
    tally::take();
    bench.replica.edit(NOTES, |loro| loro.get_text("text").insert(0, &"x".repeat(60_000))).unwrap();
    let pasted = tally::take();
    assert_eq!(pasted.records, 0, "{pasted:?}");
    assert!(pasted.stored_rows <= 60, "{pasted:?}");
    assert!(pasted.operations <= 60_000 * 6, "{pasted:?}");
    let (changes, resets) = bench.replica.take_record_changes();
    assert!(changes.is_empty() && resets.is_empty(), "nothing is told of a collection that nobody touched");

    bench.replica.edit(NOTES, |loro| number(loro, MANY, 2)).unwrap();
    let changed = tally::take();
    assert_eq!(changed.records, MANY as u64, "{changed:?}");
    assert!(changed.stored_rows <= MANY as u64 + 60, "{changed:?}");
    let (changes, resets) = bench.replica.take_record_changes();
    assert_eq!((changes.len(), resets.len()), (0, 1), "so many are not told one by one");
    bench.replica.edit(NOTES, |loro| number(loro, 3, 3)).unwrap();
    let (changes, resets) = bench.replica.take_record_changes();
    assert_eq!((changes.len(), resets.len()), (3, 0));
    println!("figure: a text of 60,000 characters beside {ALL} records reads {} of them", pasted.records);
}

#[test]
fn small_edits_of_a_large_document_do_not_write_it_out_again_and_again() {
    const LEN: usize = 5 * 1024 * 1024;
    const EDITS: u64 = 1_100;
    let mut bench = alone();
    bench.replica.edit(NOTES, |loro| roost::insert_text(&loro.get_text("text"), 0, &NOISE[..LEN])).unwrap();
    tally::take();
    for edit in 0..EDITS {
        bench.replica.edit(NOTES, |loro| loro.get_map("map").insert("key", edit as i64)).unwrap();
    }
    let cost = tally::take();
    let most = cost.exported_bytes.max(cost.imported_bytes).max(cost.stored_bytes);
    assert!(most <= EDITS * 1_000, "{cost:?}");
    assert!(cost.operations <= EDITS * 10, "{cost:?}");
    let digest = bench.replica.digest(NOTES).unwrap();
    let mut bench = bench.restart();
    assert_eq!(bench.replica.digest(NOTES).unwrap(), digest);
    println!("figure: {EDITS} small edits of a document of {LEN} bytes: {} bytes at the most for each", most / EDITS);
}

/// Writes that are held against each other where two devices fill one record at once.
fn compared(fields: usize) -> u64 {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (mut one, mut other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    one.write(NOTES, "both hold this");
    for (bench, number) in [(&mut one, 1), (&mut other, 2)] {
        using_records(bench);
        bench.sync(&mut log);
        let filled = bench.replica.edit(NOTES, |loro| {
            let record = loro.get_map(RECORDS).ensure_mergeable_map("one")?;
            (0..fields).try_for_each(|field| record.insert(&format!("field {field}"), number))
        });
        filled.unwrap();
    }
    one.sync(&mut log);
    tally::take();
    other.sync(&mut log);
    let compared = tally::take().compared;
    assert!(!other.replica.conflicts().unwrap().is_empty(), "each hid fields of the other");
    compared
}

#[test]
fn conflicts_between_fields_of_one_record_are_found_in_near_linear_work() {
    const FIELDS: usize = 4_000;
    let (whole, quarter) = (compared(FIELDS), compared(FIELDS / 4));
    assert!(whole >= FIELDS as u64 && whole <= FIELDS as u64 * 3, "{whole} of {FIELDS} fields");
    assert!(whole <= quarter * 5, "{whole} of {FIELDS} fields, {quarter} of a quarter");
    println!("figure: two devices that write {FIELDS} fields of one record at once: {whole} writes are compared");
}

#[test]
fn an_undo_that_makes_no_node_does_not_list_the_tree() {
    const NODES: usize = 5_000;
    let mut bench = alone();
    let grown = bench.replica.edit(NOTES, |loro| {
        let tree = loro.get_tree("tree");
        (0..NODES).try_for_each(|_| tree.create(None).map(|_| ()))
    });
    grown.unwrap();
    bench.replica.edit(NOTES, |loro| loro.get_tree("tree").create(None)).unwrap();
    tally::take();
    assert!(bench.replica.undo(NOTES).unwrap());
    let cost = tally::take();
    assert!(cost.containers <= 50 && cost.operations <= 50, "{cost:?}");
    let left = bench.replica.read(NOTES, |loro| loro.get_tree("tree").children(TreeParentId::Root)).unwrap();
    assert_eq!(left.map(|nodes| nodes.len()), Some(NODES));
}
