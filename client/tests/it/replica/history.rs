//! Undo and redo of one device's edits among another's, and after a restart.

use roost::json::{Value, json};
use roost::loro::{LoroDoc, LoroMap, LoroResult, LoroText};
use roost_shared::roster::Scope;

use super::bench::Bench;
use crate::machine::world::{NOTES, Team, TestClock, TestLog};

fn two() -> (TestLog, Bench, Bench) {
    let team = Team::of(&[Scope::ReadWrite]);
    let mut log = TestLog::of(&team, 1);
    let (mut one, mut other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    one.write(NOTES, "base. ");
    one.sync(&mut log);
    other.sync(&mut log);
    one.sync(&mut log);
    (log, one, other)
}

fn meet(log: &mut TestLog, one: &mut Bench, other: &mut Bench) {
    for _ in 0..2 {
        one.sync(log);
        other.sync(log);
    }
    assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap());
}

fn edit(bench: &mut Bench, edit: impl FnOnce(&LoroDoc) -> LoroResult<()>) {
    bench.replica.edit(NOTES, edit).unwrap();
    bench.clock.pass(5_000);
}

fn undo(bench: &mut Bench) -> bool {
    bench.replica.undo(NOTES).unwrap()
}

fn redo(bench: &mut Bench) -> bool {
    bench.replica.redo(NOTES).unwrap()
}

#[test]
fn edits_are_undone_and_made_again_one_by_one() {
    let (_, mut one, _) = two();
    one.write(NOTES, "one ");
    one.write(NOTES, "two ");
    assert!(undo(&mut one));
    assert_eq!(one.text(NOTES), "base. one ");
    assert!(undo(&mut one) && undo(&mut one) && !undo(&mut one));
    assert_eq!(one.text(NOTES), "");
    assert!(redo(&mut one) && redo(&mut one));
    assert_eq!(one.text(NOTES), "base. one ");
    assert!(undo(&mut one) && redo(&mut one) && redo(&mut one) && !redo(&mut one));
    assert_eq!(one.text(NOTES), "base. one two ");
    assert!(undo(&mut one));
    one.write(NOTES, "else");
    assert!(!redo(&mut one), "an edit ends what can be made again");
    assert_eq!(one.text(NOTES), "base. one else");
}

#[test]
fn it_goes_on_after_a_restart() {
    let (_, mut one, _) = two();
    one.write(NOTES, "one ");
    let mut one = one.restart();
    one.write(NOTES, "two ");
    let mut one = one.restart();
    assert!(undo(&mut one));
    let mut one = one.restart();
    assert!(undo(&mut one));
    assert_eq!(one.text(NOTES), "base. ");
    let mut one = one.restart();
    assert!(redo(&mut one));
    assert_eq!(one.text(NOTES), "base. one ");
}

#[test]
fn what_others_wrote_stays() {
    let (mut log, mut one, mut other) = two();
    edit(&mut one, |loro| loro.get_text("text").insert(6, "mine "));
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, |loro| {
        loro.get_text("text").insert(8, "THEIRS")?; // in the middle of it
        loro.get_text("text").insert(0, "before ")
    });
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "before base. miTHEIRSne ");
    assert!(undo(&mut one));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "before base. THEIRS");
    assert!(redo(&mut one));
    meet(&mut log, &mut one, &mut other);
    let text = one.text(NOTES);
    assert!(
        text.starts_with("before base. ") && text.contains("THEIRS") && text.len() == "before base. miTHEIRSne ".len(),
        "{text}"
    );
    // A device undoes its own edits alone.
    assert!(undo(&mut other));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "base. mine ");
    assert!(!undo(&mut other));
}

#[test]
fn a_key_that_another_wrote_since_is_theirs() {
    let (mut log, mut one, mut other) = two();
    let set = |key: &'static str, value: i64| move |loro: &LoroDoc| loro.get_map("map").insert(key, value);
    edit(&mut one, set("a", 1));
    edit(&mut one, set("b", 1));
    edit(&mut one, set("b", 2));
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, set("a", 7));
    meet(&mut log, &mut one, &mut other);
    let map = |bench: &mut Bench| {
        bench.replica.read(NOTES, |loro| roost::json::Value::from(loro.get_map("map").get_deep_value())).unwrap()
    };
    assert!(undo(&mut one));
    assert_eq!(map(&mut one), roost::json::json!({ "a": 7, "b": 1 }));
    assert!(undo(&mut one));
    assert_eq!(map(&mut one), roost::json::json!({ "a": 7 }));
    assert!(undo(&mut one), "of its own a nothing is left to undo");
    assert_eq!(map(&mut one), roost::json::json!({ "a": 7 }));
    meet(&mut log, &mut one, &mut other);
}

fn shown(bench: &mut Bench) -> Value {
    bench.replica.read(NOTES, |loro| Value::from(loro.get_map("todos").get_deep_value())).unwrap()
}

fn record(loro: &LoroDoc) -> LoroMap {
    loro.get_map("todos").get("ID").unwrap().into_container().unwrap().into_map().unwrap()
}

/// A record with a text of its own, made in one edit.
fn make_record(loro: &LoroDoc) -> LoroResult<()> {
    let record = loro.get_map("todos").ensure_mergeable_map("ID")?;
    record.insert("title", "bread")?;
    record.insert("done", false)?;
    record.ensure_mergeable_text("note")?.insert(0, "rye")
}

#[test]
fn a_record_that_others_wrote_into_since_it_was_made_stays() {
    let (mut log, mut one, mut other) = two();
    edit(&mut one, make_record);
    edit(&mut one, |loro| record(loro).insert("title", "two breads"));
    assert!(undo(&mut one) && undo(&mut one));
    assert_eq!(shown(&mut one), json!({}), "nobody else wrote into it");
    assert!(redo(&mut one) && redo(&mut one));
    assert_eq!(shown(&mut one), json!({ "ID": { "title": "two breads", "done": false, "note": "rye" } }));
    assert!(undo(&mut one));
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, |loro| record(loro).insert("done", true));
    meet(&mut log, &mut one, &mut other);
    assert!(undo(&mut one));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(shown(&mut one), json!({ "ID": { "title": "bread", "done": true, "note": "rye" } }));
}

#[test]
fn a_text_or_a_set_that_others_wrote_into_since_it_was_made_stays() {
    let (mut log, mut one, mut other) = two();
    let field = |loro: &LoroDoc| record(loro).ensure_mergeable_text("note");
    let set = |loro: &LoroDoc| record(loro).ensure_mergeable_map("tags");
    edit(&mut one, |loro| loro.get_map("todos").ensure_mergeable_map("ID")?.insert("title", "bread"));
    edit(&mut one, |loro| field(loro)?.insert(0, "rye").and_then(|()| set(loro)?.insert("baked", true)));
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, |loro| field(loro)?.insert(3, " or oats").and_then(|()| set(loro)?.insert("food", true)));
    meet(&mut log, &mut one, &mut other);
    assert!(undo(&mut one));
    meet(&mut log, &mut one, &mut other);
    let whole = json!({ "title": "bread", "note": "rye or oats", "tags": { "baked": true, "food": true } });
    assert_eq!(shown(&mut one), json!({ "ID": whole }));
}

#[test]
fn an_item_or_a_node_that_others_wrote_into_since_it_was_made_stays() {
    let (mut log, mut one, mut other) = two();
    edit(&mut one, |loro| {
        let (list, tree) = (loro.get_list("list"), loro.get_tree("tree"));
        for name in ["a", "b", "c"] {
            list.insert_container(list.len(), LoroMap::new())?.insert("name", name)?;
            let node = tree.create(None)?;
            tree.get_meta(node)?.insert("name", name)?;
        }
        Ok(())
    });
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, |loro| {
        loro.get_list("list").get(1).unwrap().into_container().unwrap().into_map().unwrap().insert("name", "B")?;
        let tree = loro.get_tree("tree");
        let nodes = tree.roots();
        tree.get_meta(nodes[1])?.insert("name", "B")?;
        tree.create(nodes[2]).map(|_| ()) // a child below it
    });
    meet(&mut log, &mut one, &mut other);
    assert!(undo(&mut one));
    meet(&mut log, &mut one, &mut other);
    let (list, nodes) = one
        .replica
        .read(NOTES, |loro| {
            let tree = loro.get_tree("tree");
            let names = tree.roots().into_iter().map(|node| tree.get_meta(node).unwrap().get_deep_value());
            (Value::from(loro.get_list("list").get_deep_value()), names.map(Value::from).collect::<Vec<_>>())
        })
        .unwrap();
    assert_eq!(list, json!([{ "name": "B" }]));
    assert_eq!(nodes, [json!({ "name": "B" }), json!({ "name": "c" })]);
}

#[test]
fn what_others_wrote_into_a_hidden_record_stays_when_it_is_made_again() {
    let (mut log, mut one, mut other) = two();
    edit(&mut one, make_record);
    meet(&mut log, &mut one, &mut other);
    assert!(undo(&mut one));
    assert_eq!(shown(&mut one), json!({}));
    edit(&mut other, |loro| {
        record(loro).insert("done", true)?;
        record(loro).ensure_mergeable_text("note")?.insert(3, " or oats")
    });
    meet(&mut log, &mut one, &mut other);
    assert!(redo(&mut one));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(shown(&mut one), json!({ "ID": { "title": "bread", "done": true, "note": "rye or oats" } }));
}

#[test]
fn a_devices_own_edits_of_one_place_are_taken_back_one_after_the_other() {
    let (_, mut one, _) = two();
    edit(&mut one, |loro| loro.get_text("text").insert(6, "abc"));
    edit(&mut one, |loro| loro.get_text("text").delete(6, 3));
    assert!(undo(&mut one));
    assert_eq!(one.text(NOTES), "base. abc");
    assert!(undo(&mut one));
    assert_eq!(one.text(NOTES), "base. ");
    assert!(redo(&mut one) && redo(&mut one));
    assert_eq!(one.text(NOTES), "base. ");
    assert!(undo(&mut one) && undo(&mut one) && undo(&mut one));
    assert_eq!(one.text(NOTES), "");
    assert!(redo(&mut one));
    edit(&mut one, |loro| loro.get_text("text").insert(6, "hello"));
    edit(&mut one, |loro| loro.get_text("text").insert(8, "X"));
    assert!(undo(&mut one) && undo(&mut one) && redo(&mut one) && redo(&mut one));
    assert_eq!(one.text(NOTES), "base. heXllo");
}

#[test]
fn and_so_they_are_among_what_others_write_meanwhile() {
    let (mut log, mut one, mut other) = two();
    edit(&mut one, |loro| loro.get_text("text").insert(6, "hello"));
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, |loro| loro.get_text("text").insert(0, "A "));
    meet(&mut log, &mut one, &mut other);
    edit(&mut one, |loro| loro.get_text("text").insert(10, "X"));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "A base. heXllo");
    edit(&mut other, |loro| loro.get_text("text").insert(14, " B").and_then(|()| loro.get_text("text").delete(8, 1)));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "A base. eXllo B");
    assert!(undo(&mut one));
    edit(&mut other, |loro| loro.get_text("text").insert(0, "C "));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "C A base. ello B");
    assert!(undo(&mut one));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "C A base.  B");
    assert!(redo(&mut one) && redo(&mut one));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "C A base. eXllo B");
    let mut one = one.restart();
    edit(&mut other, |loro| loro.get_text("text").insert(0, "D "));
    meet(&mut log, &mut one, &mut other);
    assert!(undo(&mut one) && undo(&mut one));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(one.text(NOTES), "D C A base.  B");
    // A key that others wrote between two own writes of it stays theirs, however far back one goes.
    let set = |value: i64| move |loro: &LoroDoc| loro.get_map("map").insert("a", value);
    edit(&mut one, set(1));
    edit(&mut one, set(2));
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, set(7));
    meet(&mut log, &mut one, &mut other);
    assert!(undo(&mut one) && undo(&mut one));
    let held = one.replica.read(NOTES, |loro| loro.get_map("map").get("a").unwrap().get_deep_value()).unwrap();
    assert_eq!(held, 7.into());
}

#[test]
fn a_value_that_became_a_text_stays_one_and_a_moved_item_goes_back() {
    let (mut log, mut one, mut other) = two();
    edit(&mut one, |loro| loro.get_map("map").insert("note", "x"));
    edit(&mut one, |loro| loro.get_map("map").insert_container("note", LoroText::new())?.insert(0, "words"));
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, |loro| {
        loro.get_map("map").get("note").unwrap().into_container().unwrap().into_text().unwrap().insert(5, " of theirs")
    });
    meet(&mut log, &mut one, &mut other);
    assert!(undo(&mut one));
    let note = one.replica.read(NOTES, |loro| loro.get_map("map").get_deep_value()).unwrap();
    assert_eq!(Value::from(note), json!({ "note": "words of theirs" }));

    let list = |loro: &LoroDoc| loro.get_movable_list("list");
    let names = |bench: &mut Bench| {
        bench.replica.read(NOTES, |loro| Value::from(loro.get_movable_list("list").get_deep_value())).unwrap()
    };
    edit(&mut one, |loro| {
        (0..3).try_for_each(|n| list(loro).insert_container(n, LoroMap::new())?.insert("name", n as i64))
    });
    edit(&mut one, |loro| list(loro).mov(0, 2));
    meet(&mut log, &mut one, &mut other);
    edit(&mut other, |loro| {
        list(loro).get(2).unwrap().into_container().unwrap().into_map().unwrap().insert("name", "theirs")
    });
    meet(&mut log, &mut one, &mut other);
    assert_eq!(names(&mut one), json!([{ "name": 1 }, { "name": 2 }, { "name": "theirs" }]));
    assert!(undo(&mut one));
    meet(&mut log, &mut one, &mut other);
    assert_eq!(names(&mut one), json!([{ "name": "theirs" }, { "name": 1 }, { "name": 2 }]));
}

#[test]
fn deleted_content_and_moved_nodes_come_back() {
    let (mut log, mut one, mut other) = two();
    edit(&mut one, |loro| loro.get_text("text").delete(0, 4));
    assert_eq!(one.text(NOTES), ". ");
    edit(&mut other, |loro| loro.get_text("text").insert(6, "more "));
    meet(&mut log, &mut one, &mut other);
    assert!(undo(&mut one));
    assert_eq!(one.text(NOTES), "base. more ");
    let nodes = one.replica.edit(NOTES, |loro| {
        let tree = loro.get_tree("tree");
        let (a, b) = (tree.create(None)?, tree.create(None)?);
        tree.get_meta(a)?.insert("name", "a")?;
        tree.get_meta(b)?.insert("name", "b")?;
        Ok((a, b))
    });
    let (a, b) = nodes.unwrap();
    edit(&mut one, |loro| loro.get_tree("tree").mov(b, a));
    let shape = |bench: &mut Bench| bench.replica.read(NOTES, |loro| loro.get_tree("tree").roots().len()).unwrap();
    assert_eq!(shape(&mut one), 1);
    assert!(undo(&mut one));
    assert_eq!(shape(&mut one), 2);
    edit(&mut one, |loro| loro.get_tree("tree").delete(a));
    assert!(undo(&mut one));
    let name = one.replica.read(NOTES, |loro| {
        let tree = loro.get_tree("tree");
        let names = tree.roots().into_iter().filter_map(|node| tree.get_meta(node).ok()?.get("name"));
        let mut names: Vec<String> =
            names.filter_map(|name| Some(name.get_deep_value().as_string()?.to_string())).collect();
        names.sort();
        names
    });
    assert_eq!(name.unwrap(), ["a", "b"]);
    meet(&mut log, &mut one, &mut other);
}

#[test]
fn what_is_typed_without_a_pause_is_undone_together() {
    let (mut log, mut one, mut other) = two();
    one.replica.set_undo_pause(1_000);
    one.clock.pass(5_000);
    for word in ["a", "b", "c"] {
        one.write(NOTES, word);
        one.clock.pass(200);
    }
    one.clock.pass(5_000);
    one.write(NOTES, " later");
    assert!(undo(&mut one));
    assert_eq!(one.text(NOTES), "base. abc");
    assert!(undo(&mut one));
    assert_eq!(one.text(NOTES), "base. ");
    one.write(NOTES, "x");
    other.write(NOTES, "THEIRS");
    meet(&mut log, &mut one, &mut other);
    one.write(NOTES, "y"); // no pause, but another's words between
    assert!(undo(&mut one));
    let text = one.text(NOTES);
    assert!(text.contains('x') && !text.contains('y') && text.contains("THEIRS"), "{text}");
}

#[test]
fn two_hundred_edits_can_be_undone() {
    let (_, mut one, _) = two();
    for _ in 0..205 {
        one.write(NOTES, "x");
    }
    let undone = (0..).take_while(|_| undo(&mut one)).count();
    assert_eq!((undone, one.text(NOTES).len()), (200, "base. ".len() + 5));
}

/// Both type, one deletes too, undoes and makes again; whatever order it comes in, undoing all of it leaves what the other
/// typed, each letter once.
#[test]
fn in_whatever_order_undoing_all_leaves_what_others_wrote() {
    for seed in 0..30 {
        let (mut log, mut one, mut other) = two();
        let dice = TestClock::new(seed);
        let draw = |below: usize| usize::from(u16::from_be_bytes(dice.draw())) % below;
        let mut theirs = 0;
        for _ in 0..30 {
            match draw(8) {
                0..3 => {
                    let (at, len) = (draw(1_000), draw(3) + 1);
                    edit(&mut one, |loro| {
                        let text = loro.get_text("text");
                        text.insert(at % (text.len_unicode() + 1), &"own"[..len])
                    });
                }
                3 => {
                    let (at, len) = (draw(1_000), draw(4));
                    edit(&mut one, |loro| {
                        let text = loro.get_text("text");
                        let at = at % (text.len_unicode() + 1);
                        text.delete(at, len.min(text.len_unicode() - at))
                    });
                }
                4 => drop(undo(&mut one)),
                5 => drop(redo(&mut one)),
                _ => {
                    let at = draw(1_000);
                    let letter = char::from(b'A' + u8::try_from(theirs % 26).unwrap()).to_string();
                    edit(&mut other, |loro| {
                        let text = loro.get_text("text");
                        text.insert(at % (text.len_unicode() + 1), &letter)
                    });
                    theirs += 1;
                }
            }
            if draw(3) > 0 {
                meet(&mut log, &mut one, &mut other);
            }
        }
        meet(&mut log, &mut one, &mut other);
        while undo(&mut one) {}
        meet(&mut log, &mut one, &mut other);
        let mut left: Vec<char> = one.text(NOTES).chars().collect();
        left.sort_unstable();
        let mut wanted: Vec<char> = (0..theirs).map(|n| char::from(b'A' + u8::try_from(n % 26).unwrap())).collect();
        wanted.sort_unstable();
        assert_eq!(left, wanted, "seed {seed}");
    }
}
