//! The work that a change costs is in proportion to the change: counted, in bytes, operations, containers, records and rows.
//!
//! Records are 50,000 here, and maps in a list 20,000: each is read by code that these tests run unoptimised. Counts grow
//! with the number of items, and a quarter of it shows how.

use std::sync::Arc;

use roost::Fields;
use roost::loro::{LoroDoc, LoroMap, LoroResult, LoroValue};
use roost::replica::CollectionForm;
use roost::tally::{self, Tally};
use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{NOTES, Team, TestLog};

const RECORDS: &str = "records";

/// A kind of change: what it is called, how large it is, and how it is made.
struct Kind {
    name: &'static str,
    items: usize,
    fill: fn(&LoroDoc, usize) -> LoroResult<()>,
}

const KINDS: &[Kind] = &[
    Kind { name: "characters in one insertion", items: 4_000_000, fill: |loro, n| text(loro, 0, &"x".repeat(n)) },
    Kind {
        name: "characters in pieces",
        items: 4_000_000,
        fill: |loro, n| roost::insert_text(&loro.get_text("text"), 0, &"x".repeat(n)),
    },
    Kind {
        name: "items of a list",
        items: 500_000,
        fill: |loro, n| (0..n).try_for_each(|i| loro.get_list("list").insert(i, i as i64)),
    },
    Kind {
        name: "maps in a list",
        items: 20_000,
        fill: |loro, n| {
            let list = loro.get_list("list");
            (0..n).try_for_each(|i| list.insert_container(i, LoroMap::new())?.insert("number", i as i64))
        },
    },
    Kind {
        name: "keys of a map",
        items: 100_000,
        fill: |loro, n| (0..n).try_for_each(|i| loro.get_map("map").insert(&format!("key {i}"), i as i64)),
    },
    Kind {
        name: "nodes of a tree",
        items: 50_000,
        fill: |loro, n| {
            let tree = loro.get_tree("tree");
            let mut parent = tree.create(None)?;
            for i in 1..n {
                let node = tree.create(parent)?;
                if i % 100 == 0 {
                    parent = node;
                }
            }
            Ok(())
        },
    },
    Kind {
        name: "marks of a text",
        items: 20_000,
        fill: |loro, n| {
            text(loro, 0, &"word ".repeat(n))?;
            (0..n).try_for_each(|i| loro.get_text("text").mark(i * 5..i * 5 + 4, "bold", LoroValue::Bool(i % 2 == 0)))
        },
    },
    Kind {
        name: "records of a collection",
        items: 50_000,
        fill: |loro, n| {
            let records = loro.get_map(RECORDS);
            (0..n).try_for_each(|i| {
                let record = records.ensure_mergeable_map(&format!("record {i}"))?;
                record.insert("name", format!("name {i}"))?;
                record.insert("number", i as i64)
            })
        },
    },
];

fn text(loro: &LoroDoc, at: usize, content: &str) -> LoroResult<()> {
    loro.get_text("text").insert(at, content)
}

/// A change that adds one of everything.
fn little(loro: &LoroDoc) -> LoroResult<()> {
    text(loro, 0, "a")?;
    loro.get_list("list").insert(0, 1)?;
    loro.get_map("map").insert("one more", 1)?;
    loro.get_tree("tree").create(None)?;
    loro.get_map(RECORDS).ensure_mergeable_map("one more")?.insert("name", "one")
}

fn form() -> Arc<CollectionForm> {
    let fields = Fields::default().index("number");
    Arc::new(CollectionForm { document: NOTES, name: RECORDS.to_owned(), fields })
}

/// The work that a change costs, in turn: where it is made and sent, where it arrives, and at the next opening; then of a
/// little change to the document that is large by then, where it is made and where it arrives.
struct Costs {
    large: [Tally; 3],
    little: [Tally; 2],
    /// Operations and bytes of the change, as Loro counts and writes it.
    operations: u64,
    bytes: u64,
}

fn costs(kind: &Kind, items: usize) -> Costs {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (mut one, mut other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    one.write(NOTES, "both hold this");
    for bench in [&mut one, &mut other] {
        bench.replica.use_collection(&form()).unwrap();
        bench.sync(&mut log);
    }
    let before = one.replica.read(NOTES, |loro| loro.oplog_vv()).unwrap();
    tally::take();
    one.replica.edit(NOTES, |loro| (kind.fill)(loro, items)).unwrap();
    one.sync(&mut log);
    let made = tally::take();
    other.sync(&mut log);
    let merged = tally::take();
    let mut other = other.restart();
    other.replica.use_collection(&form()).unwrap();
    other.replica.read(NOTES, |loro| loro.len_ops()).unwrap();
    let opened = tally::take();
    let size = one.replica.read(NOTES, |loro| {
        let update = loro.export(roost::loro::ExportMode::updates(&before)).unwrap();
        let held = |vv: &roost::loro::VersionVector| vv.values().map(|end| *end as u64).sum::<u64>();
        (held(&loro.oplog_vv()) - held(&before), update.len() as u64)
    });
    let (operations, bytes) = size.unwrap();
    // The first may find it time for a local snapshot: the cost of that is shared by all changes since the one before.
    let mut little_costs = [Tally::default(); 2];
    for _ in 0..2 {
        one.sync(&mut log);
        other.sync(&mut log);
        tally::take();
        one.replica.edit(NOTES, little).unwrap();
        one.sync(&mut log);
        let made = tally::take();
        other.sync(&mut log);
        little_costs = [made, tally::take()];
    }
    let digests = [&mut one, &mut other].map(|bench| bench.replica.digest(NOTES).unwrap());
    assert_eq!(digests[0], digests[1], "{}", kind.name);
    Costs { large: [made, merged, opened], little: little_costs, operations, bytes }
}

#[test]
fn work_is_in_proportion_to_the_change() {
    for kind in KINDS {
        let (whole, quarter) = (costs(kind, kind.items), costs(kind, kind.items / 4));
        for (step, (cost, of_quarter)) in whole.large.iter().zip(&quarter.large).enumerate() {
            let what = format!("{} {}, step {step}: {cost:?}, of a quarter: {of_quarter:?}", kind.items, kind.name);
            for (all, part) in walked(cost).into_iter().zip(walked(of_quarter)) {
                assert!(all <= part * 4 + part / 2 + 100, "{what}");
            }
            assert!(cost.operations <= whole.operations * 6, "{what}");
            let items = kind.items as u64;
            assert!(cost.containers <= items * 4 + 100 && cost.records <= items, "{what}");
            assert!(cost.path_steps <= items * 12 + 100, "{what}");
            // The local snapshot is written and read once more from a size on; Loro keeps the state of each container in it.
            let bytes = whole.bytes * 6 + cost.containers * 50;
            assert!(cost.imported_bytes.max(cost.exported_bytes) <= bytes, "{what}");
            // Beside the records, rows are of entries; a record is written out once, as JSON.
            assert!(cost.stored_rows <= items + 5_000, "{what}");
            assert!(cost.stored_bytes <= bytes + cost.records * 100 + 10_000, "{what}");
            // Of entries, those that were not looked at; all of them are the change's.
            assert!(cost.scanned_rows <= 1_000 && cost.compared == 0, "{what}");
        }
        whole.little.iter().for_each(|cost| check_little(cost, kind.name));
        let [made, merged, _] = &whole.large;
        println!(
            "figure: {} {}: {} operations; walked {} times where made and {} where merged, {} and {} bytes through Loro for each \
             of its {}; a little change beside them walks {}",
            kind.items,
            kind.name,
            whole.operations,
            made.operations / whole.operations,
            merged.operations / whole.operations,
            (made.imported_bytes + made.exported_bytes) / whole.bytes,
            (merged.imported_bytes + merged.exported_bytes) / whole.bytes,
            whole.bytes,
            whole.little[0].operations + whole.little[1].operations,
        );
    }
}

/// What a change that adds one of everything costs at the most, whatever it is made beside.
fn check_little(cost: &Tally, beside: &str) {
    let what = format!("beside {beside}: {cost:?}");
    assert!(cost.imported_bytes.max(cost.exported_bytes) <= 1_000, "{what}");
    assert!(cost.operations <= 50 && cost.containers <= 50 && cost.path_steps <= 100 && cost.records <= 1, "{what}");
    assert!(cost.stored_rows <= 60 && cost.stored_bytes <= 6_000, "{what}");
    assert!(cost.scanned_rows <= 10 && cost.compared == 0, "{what}");
}

fn walked(tally: &Tally) -> [u64; 5] {
    [tally.operations, tally.containers, tally.records, tally.path_steps, tally.stored_rows]
}
