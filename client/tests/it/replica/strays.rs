//! Provable edits: whatever a closure does to a document besides writing, it is refused with a code and the document is as
//! before, or it is the same on every device; and a look changes nothing.

use std::cell::RefCell;

use roost::Error;
use roost::loro::{ExportMode, Frontiers, LoroDoc, LoroMap, LoroResult, LoroValue, VersionVector};
use roost_shared::limits::{NESTING_MAX, VALUE_MAX};
use roost_shared::roster::Scope;

use super::bench::{Bench, update};
use crate::machine::world::{NOTES, TODOS, Team, TestLog};

/// What an app may have at hand in a closure.
struct Hand {
    /// The document as it was once.
    past: Frontiers,
    /// What another peer wrote, whole.
    whole: Vec<u8>,
    /// The second half of it.
    half: Vec<u8>,
    /// A snapshot of it without its history.
    shallow: Vec<u8>,
    damaged: Vec<u8>,
}

type Work = fn(&LoroDoc, &Hand) -> LoroResult<()>;

fn hand(bench: &mut Bench) -> Hand {
    bench.write(NOTES, "one ");
    let past = bench.replica.read(NOTES, LoroDoc::oplog_frontiers).unwrap();
    bench.write(NOTES, "two ");
    let (loro, middle) = halves();
    let whole = loro.export(ExportMode::all_updates()).unwrap();
    let half = loro.export(ExportMode::updates(&middle)).unwrap();
    let cut = loro.vv_to_frontiers(&middle);
    let shallow = loro.export(ExportMode::shallow_snapshot(&cut)).unwrap();
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    Hand { past, whole, half, shallow, damaged }
}

/// A document that another app wrote in two commits, and its version between them.
fn halves() -> (LoroDoc, VersionVector) {
    let loro = LoroDoc::new();
    loro.set_peer_id(77).unwrap();
    loro.get_text("text").insert(0, "first ").unwrap();
    loro.commit();
    let middle = loro.oplog_vv();
    loro.get_text("text").insert(6, "second ").unwrap();
    loro.commit();
    (loro, middle)
}

fn two() -> (TestLog, Bench, Bench) {
    let team = Team::of(&[Scope::ReadWrite]);
    let log = TestLog::of(&team, 1);
    let (one, other) = (Bench::new(&team, 0, log.id), Bench::new(&team, 1, log.id));
    (log, one, other)
}

/// Both hold the same, with nothing put aside and nothing left to send.
fn agree(log: &mut TestLog, one: &mut Bench, other: &mut Bench, what: &str) {
    meet(log, one, other, what);
    for bench in [one, other] {
        assert!(bench.replica.view().synced, "{what}: {:?}", bench.replica.view());
    }
}

/// Both hold the same, with nothing put aside.
fn meet(log: &mut TestLog, one: &mut Bench, other: &mut Bench, what: &str) {
    for _ in 0..2 {
        one.sync(log);
        other.sync(log);
    }
    assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap(), "{what}");
    for bench in [one, other] {
        assert_eq!(bench.replica.store().quarantined().unwrap(), 0, "{what}");
    }
}

fn deep(levels: usize) -> LoroValue {
    (0..levels).fold(LoroValue::Null, |within, _| LoroValue::from(vec![within]))
}

const REFUSED: &[(&str, &str, Work)] = &[
    ("an older version", "edit_detached", |loro, hand| loro.checkout(&hand.past)),
    ("words, then an older version", "edit_detached", |loro, hand| {
        loro.get_text("text").insert(0, "lost")?;
        loro.checkout(&hand.past)
    }),
    ("detached", "edit_detached", |loro, _| {
        loro.detach();
        Ok(())
    }),
    ("an edit of an older version", "edit_refused", |loro, hand| {
        loro.checkout(&hand.past)?;
        loro.get_text("text").insert(0, "lost")
    }),
    ("edits of older versions allowed", "peer_changed", |loro, _| {
        loro.set_detached_editing(true);
        Ok(())
    }),
    ("an edit of an older version, allowed", "peer_changed", |loro, hand| {
        loro.set_detached_editing(true);
        loro.checkout(&hand.past)?;
        loro.get_text("text").insert(0, "lost")
    }),
    ("an edit of an older version, and back", "peer_changed", |loro, hand| {
        loro.set_detached_editing(true);
        loro.checkout(&hand.past)?;
        loro.get_text("text").insert(0, "lost")?;
        loro.checkout_to_latest();
        loro.set_detached_editing(false);
        Ok(())
    }),
    ("another peer", "peer_changed", |loro, _| {
        loro.set_peer_id(7)?;
        loro.get_text("text").insert(0, "lost")
    }),
    ("beyond the end", "edit_refused", |loro, _| loro.get_text("text").insert(999, "lost")),
    ("committed, then beyond the end", "edit_refused", |loro, _| {
        loro.get_text("text").insert(0, "lost")?;
        loro.commit();
        loro.get_text("text").insert(999, "lost")
    }),
    ("a damaged blob", "edit_refused", |loro, hand| loro.import(&hand.damaged).map(|_| ())),
    ("no blob", "edit_refused", |loro, _| loro.import(b"no blob").map(|_| ())),
    ("an import, then a failure", "edit_refused", |loro, hand| {
        loro.import(&hand.whole)?;
        loro.import(&hand.damaged).map(|_| ())
    }),
    ("half an import, then a failure", "edit_refused", |loro, hand| {
        loro.import(&hand.half)?;
        loro.import(&hand.damaged).map(|_| ())
    }),
    ("no number", "counter_range", |loro, _| loro.get_counter("counter").increment(f64::NAN)),
    ("no end", "counter_range", |loro, _| loro.get_counter("counter").increment(f64::NEG_INFINITY)),
    ("too far", "counter_range", |loro, _| loro.get_counter("counter").decrement(9_007_199_254_740_994.0)),
    ("too far in two steps", "counter_range", |loro, _| {
        loro.get_counter("counter").increment(9_007_199_254_740_000.0)?;
        loro.get_counter("counter").increment(1_000.0)
    }),
    ("too deep a value", "nested_too_deep", |loro, _| loro.get_list("list").push(deep(NESTING_MAX + 1))),
    ("too deep a value of a mark", "nested_too_deep", |loro, _| {
        loro.get_text("text").mark(0..2, "comment", deep(NESTING_MAX + 1))
    }),
    ("containers too deep", "nested_too_deep", |loro, _| {
        let start = loro.get_map("map");
        let end = (0..=NESTING_MAX).try_fold(start, |map, _| map.insert_container("deeper", LoroMap::new()))?;
        end.insert("end", true)
    }),
    ("too large a value", "value_too_large", |loro, _| loro.get_map("map").insert("key", "x".repeat(VALUE_MAX + 1))),
    ("too large a key", "value_too_large", |loro, _| loro.get_map("map").insert(&"x".repeat(VALUE_MAX + 1), 1)),
];

#[test]
fn what_is_no_edit_is_refused_and_the_document_is_as_before() {
    let (mut log, mut one, mut other) = two();
    let hand = hand(&mut one);
    let before = one.replica.digest(NOTES).unwrap();
    for (what, code, work) in REFUSED {
        let refused = one.replica.edit(NOTES, |loro| work(loro, &hand)).expect_err(what);
        assert_eq!(Error::from(refused).code(), *code, "{what}");
        assert_eq!(one.replica.digest(NOTES).unwrap(), before, "{what}");
        assert_eq!(one.text(NOTES), "one two ", "{what}");
        one = one.restart();
        assert_eq!(one.replica.digest(NOTES).unwrap(), before, "{what}, after a restart");
    }
    one.write(NOTES, "on");
    agree(&mut log, &mut one, &mut other, "after all of them");
    assert_eq!(other.text(NOTES), "one two on");
}

#[test]
fn a_snapshot_without_its_history_is_refused() {
    let (_, mut one, _) = two();
    let hand = hand(&mut one);
    let before = one.replica.digest(TODOS).unwrap();
    let refused = one.replica.edit(TODOS, |loro| loro.import(&hand.shallow).map(|_| ())).expect_err("shallow");
    assert_eq!(Error::from(refused).code(), "edit_shallow");
    assert_eq!(one.replica.digest(TODOS).unwrap(), before);
    one.write(TODOS, "on");
    let mut one = one.restart();
    assert_eq!(one.text(TODOS), "on");
}

const TAKEN: &[(&str, Work)] = &[
    ("commits of its own", |loro, _| {
        loro.get_text("text").insert(0, "a")?;
        loro.commit();
        loro.get_text("text").insert(0, "b")?;
        loro.commit();
        loro.get_text("text").insert(0, "c")
    }),
    ("an older version and back", |loro, hand| {
        loro.get_text("text").insert(0, "a")?;
        loro.checkout(&hand.past)?;
        loro.checkout_to_latest();
        loro.get_text("text").insert(0, "b")
    }),
    ("detached and attached", |loro, _| {
        loro.detach();
        loro.attach();
        loro.get_text("text").insert(0, "a")
    }),
    ("what it was once", |loro, hand| loro.revert_to(&hand.past)),
    ("an import", |loro, hand| loro.import(&hand.whole).map(|_| ())),
    ("an import of a snapshot", |loro, _| {
        let snapshot = halves().0.export(ExportMode::Snapshot)?;
        loro.import(&snapshot).map(|_| ())
    }),
    ("an import, twice, with words", |loro, hand| {
        loro.import(&hand.whole)?;
        loro.get_text("text").insert(0, "a")?;
        loro.import(&hand.whole).map(|_| ())
    }),
    ("half an import", |loro, hand| loro.import(&hand.half).map(|_| ())),
    ("half an import, with words", |loro, hand| {
        loro.import(&hand.half)?;
        loro.get_text("text").insert(0, "a")
    }),
    ("half an import, then all of it", |loro, hand| {
        loro.import(&hand.half)?;
        loro.import(&hand.whole).map(|_| ())
    }),
    ("settings of Loro's", |loro, _| {
        loro.set_record_timestamp(false);
        loro.set_change_merge_interval(0);
        loro.set_hide_empty_root_containers(true);
        loro.set_next_commit_message("a message");
        loro.get_text("text").insert(0, "a")
    }),
    ("a fork that goes on by itself", |loro, _| {
        let fork = loro.fork();
        fork.get_text("text").insert(0, "fork ")?;
        fork.commit();
        loro.get_text("text").insert(0, "a")
    }),
    ("a fork that is brought in", |loro, _| {
        let fork = loro.fork();
        fork.get_text("text").insert(0, "fork ")?;
        fork.commit();
        loro.import(&fork.export(ExportMode::all_updates())?).map(|_| ())
    }),
    ("values as deep as may be", |loro, _| loro.get_list("list").push(deep(NESTING_MAX))),
    ("nothing", |_, _| Ok(())),
];

#[test]
fn what_is_taken_is_the_same_after_a_restart_and_on_the_other_device() {
    for (what, work) in TAKEN {
        let (mut log, mut one, mut other) = two();
        let hand = hand(&mut one);
        agree(&mut log, &mut one, &mut other, what);
        one.replica.edit(NOTES, |loro| work(loro, &hand)).expect(what);
        let after = one.replica.digest(NOTES).unwrap();
        let mut one = one.restart();
        assert_eq!(one.replica.digest(NOTES).unwrap(), after, "{what}");
        meet(&mut log, &mut one, &mut other, what);
        assert_eq!(other.replica.digest(NOTES).unwrap(), after, "{what}");
        // The other half may come at last, from either device.
        other.replica.edit(NOTES, |loro| loro.import(&hand.whole).map(|_| ())).unwrap();
        one.write(NOTES, "on");
        agree(&mut log, &mut one, &mut other, what);
        assert!(one.text(NOTES).contains("second "), "{what}");
    }
}

/// What waits for its other half was taken, and is kept as any edit is.
#[test]
fn halves_that_wait_are_kept_however_many_wait() {
    let (mut log, mut one, mut other) = two();
    one.write(NOTES, "words");
    let mut firsts = Vec::new();
    for peer in [101, 102, 103] {
        let loro = LoroDoc::new();
        loro.set_peer_id(peer).unwrap();
        loro.get_map("map").insert(&format!("first {peer}"), true).unwrap();
        loro.commit();
        let middle = loro.oplog_vv();
        firsts.push(loro.export(ExportMode::all_updates()).unwrap());
        loro.get_map("map").insert(&format!("second {peer}"), true).unwrap();
        loro.commit();
        let half = loro.export(ExportMode::updates(&middle)).unwrap();
        one.replica.edit(NOTES, |loro| loro.import(&half).map(|_| ())).unwrap();
    }
    let mut one = one.restart();
    for first in firsts {
        one.replica.edit(NOTES, |loro| loro.import(&first).map(|_| ())).unwrap();
    }
    let keys = |bench: &mut Bench| bench.replica.read(NOTES, |loro| loro.get_map("map").len()).unwrap();
    assert_eq!(keys(&mut one), 6, "all halves found each other");
    agree(&mut log, &mut one, &mut other, "halves");
    assert_eq!(keys(&mut other), 6);
}

/// Operations that wait go out by themselves once the log brings those that they follow on.
#[test]
fn a_half_that_waits_is_sent_once_another_device_brings_the_first_half() {
    let (mut log, mut one, mut other) = two();
    let (loro, middle) = halves();
    let half = loro.export(ExportMode::updates(&middle)).unwrap();
    let first = loro.export(ExportMode::updates_till(&middle)).unwrap();
    one.replica.edit(NOTES, |loro| loro.import(&half).map(|_| ())).unwrap();
    one.sync(&mut log);
    assert!(one.replica.view().edited && !one.replica.view().synced, "{:?}", one.replica.view());
    let (mut one, tail) = (one.restart(), log.tail());
    one.sync(&mut log);
    assert!(one.replica.view().edited && !one.replica.view().synced, "{:?}", one.replica.view());
    assert_eq!(log.tail(), tail, "nothing is sent that other devices could not merge");
    other.replica.edit(NOTES, |loro| loro.import(&first).map(|_| ())).unwrap();
    other.sync(&mut log);
    agree(&mut log, &mut one, &mut other, "the first half comes by the log");
    assert_eq!(other.text(NOTES), "first second ");
}

const LOOKS: &[(&str, Work)] = &[
    ("an older version", |loro, hand| loro.checkout(&hand.past)),
    ("detached", |loro, _| {
        loro.detach();
        Ok(())
    }),
    ("words", |loro, _| loro.get_text("text").insert(0, "stray ")),
    ("words, committed", |loro, _| {
        loro.get_text("text").insert(0, "stray ")?;
        loro.commit();
        Ok(())
    }),
    ("words of an older version", |loro, hand| {
        loro.set_detached_editing(true);
        loro.checkout(&hand.past)?;
        loro.get_text("text").insert(0, "stray ")
    }),
    ("another peer", |loro, _| loro.set_peer_id(7)),
    ("an import", |loro, hand| loro.import(&hand.whole).map(|_| ())),
    ("half an import", |loro, hand| loro.import(&hand.half).map(|_| ())),
    ("what it was once", |loro, hand| loro.revert_to(&hand.past)),
    ("a root that nobody wrote into", |loro, _| {
        loro.get_counter("text");
        Ok(())
    }),
];

/// After what is no edit, the document is as it was, and the next edit is itself alone, on both devices.
fn is_untouched(what: &str, stray: impl FnOnce(&mut Bench, &Hand)) {
    let (mut log, mut one, mut other) = two();
    let hand = hand(&mut one);
    agree(&mut log, &mut one, &mut other, what);
    let before = one.replica.digest(NOTES).unwrap();
    stray(&mut one, &hand);
    assert_eq!(one.text(NOTES), "one two ", "{what}");
    assert_eq!(one.replica.digest(NOTES).unwrap(), before, "{what}");
    one.write(NOTES, "on ");
    other.write(NOTES, "there ");
    agree(&mut log, &mut one, &mut other, what);
    // What a stray import would have waited for.
    let (whole, middle) = halves();
    let start = whole.export(ExportMode::updates_till(&middle)).unwrap();
    one.replica.edit(NOTES, |loro| loro.import(&start).map(|_| ())).unwrap();
    let text = one.text(NOTES);
    assert!(text.contains("first ") && !text.contains("second ") && !text.contains("stray "), "{what}: {text}");
    let mut one = one.restart();
    assert_eq!(one.text(NOTES), text, "{what}");
    agree(&mut log, &mut one, &mut other, what);
}

#[test]
fn a_look_changes_nothing() {
    for (what, look) in LOOKS {
        is_untouched(what, |bench, hand| bench.replica.read(NOTES, |loro| look(loro, hand)).unwrap().unwrap());
    }
}

#[test]
fn a_handle_that_was_kept_changes_nothing() {
    for (what, work) in LOOKS {
        // Kept from a look, and used afterwards.
        is_untouched(what, |bench, hand| {
            let kept = bench.replica.read(NOTES, LoroDoc::clone).unwrap();
            drop(work(&kept, hand));
        });
        // Kept from an edit, and used after a look at the document, which may be another by then.
        is_untouched(what, |bench, hand| {
            let kept = RefCell::new(None);
            let edited = bench.replica.edit(NOTES, |loro| {
                *kept.borrow_mut() = Some(loro.clone());
                Ok(())
            });
            edited.unwrap();
            bench.text(NOTES);
            drop(work(kept.borrow().as_ref().unwrap(), hand));
        });
    }
}

#[test]
fn a_container_that_was_kept_changes_nothing() {
    is_untouched("a text", |bench, _| {
        let text = bench.replica.read(NOTES, |loro| loro.get_text("text")).unwrap();
        text.insert(0, "stray ").unwrap();
        bench.replica.read(NOTES, |_| drop(text.insert(0, "stray "))).unwrap();
        bench.text(NOTES);
        drop(text.insert(0, "stray "));
    });
}

/// While entries of others come in, a handle that was kept is of no document any more.
#[test]
fn a_handle_that_was_kept_is_not_merged_into() {
    let (mut log, mut one, mut other) = two();
    one.write(NOTES, "one ");
    agree(&mut log, &mut one, &mut other, "at first");
    let kept = one.replica.read(NOTES, LoroDoc::clone).unwrap();
    kept.import(&update(9, "stray ")).unwrap();
    other.write(NOTES, "other ");
    agree(&mut log, &mut one, &mut other, "with a stray import");
    assert_eq!(one.text(NOTES), "one other ");
    assert_eq!(one.restart().text(NOTES), "one other ");
}
