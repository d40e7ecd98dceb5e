//! Undo and redo give back what was: as many redos as undos, in any nesting, over every kind of container, with another
//! device's edits, restarts and wrong clocks in between.
//!
//! What another device wrote stays. Where it wrote into the same place, its writes stand: its letters, items and nodes are
//! there once each, the keys it wrote hold what it wrote last, and a counter has counted what it added.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use roost::json::{Map, Value, json};
use roost::loro::{LoroDoc, LoroResult};
use roost_shared::roster::Scope;

use super::bench::Bench;
use super::writing::{WHOLE, Write, nodes, shown, write};
use crate::machine::world::{NOTES, Team, TestLog};

const HOUR_MS: i64 = 3_600_000;

/// Two devices: one undoes, the other writes.
struct Pair {
    log: TestLog,
    one: Option<Bench>,
    other: Bench,
}

impl Pair {
    fn new() -> Self {
        let team = Team::of(&[Scope::ReadWrite]);
        let log = TestLog::of(&team, 1);
        Self { one: Some(Bench::new(&team, 0, log.id)), other: Bench::new(&team, 1, log.id), log }
    }

    fn one(&mut self) -> &mut Bench {
        self.one.as_mut().unwrap()
    }

    fn restart(&mut self) {
        self.one = self.one.take().map(Bench::restart);
    }

    fn meet(&mut self) {
        let one = self.one.as_mut().unwrap();
        for _ in 0..2 {
            one.sync(&mut self.log);
            self.other.sync(&mut self.log);
        }
        assert_eq!(one.replica.digest(NOTES).unwrap(), self.other.replica.digest(NOTES).unwrap());
    }
}

fn edit(bench: &mut Bench, edit: impl FnOnce(&LoroDoc) -> LoroResult<()>) {
    bench.replica.edit(NOTES, edit).unwrap();
    bench.clock.pass(5_000);
}

fn operations(bench: &mut Bench) -> usize {
    bench.replica.read(NOTES, |loro| loro.len_ops()).unwrap()
}

/// What lies in the roots of one device.
fn held(bench: &mut Bench, whose: &str) -> Value {
    bench.replica.read(NOTES, |loro| shown(loro, whose)).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Edit(Vec<Write>),
    Undo,
    Redo,
    /// The other device writes into roots of its own.
    Theirs(Vec<Write>),
    Meet,
    Restart,
    /// The time of day is set, hours ahead or behind.
    Clock(i64),
}

/// An edit that can be undone or made again: what was there before it and after it.
struct Turn {
    before: Value,
    after: Value,
}

/// The edits of one device as a person remembers them.
#[derive(Default)]
struct Turns {
    done: Vec<Turn>,
    undone: Vec<Turn>,
}

impl Turns {
    fn edit(&mut self, bench: &mut Bench, writes: &[Write]) {
        let (before, operations_before) = (held(bench, "mine "), operations(bench));
        edit(bench, |loro| writes.iter().try_for_each(|write| write.apply(loro, "mine ")));
        if operations(bench) > operations_before {
            self.done.push(Turn { before, after: held(bench, "mine ") });
            self.undone.clear();
        }
    }

    fn undo(&mut self, bench: &mut Bench) {
        let before = operations(bench);
        assert_eq!(bench.replica.undo(NOTES).unwrap(), !self.done.is_empty(), "there was one to undo, or none");
        bench.clock.pass(5_000);
        let Some(turn) = self.done.pop() else { return };
        assert_eq!(held(bench, "mine "), turn.before, "as before the edit");
        self.undone.extend(still_there(turn, operations(bench) > before));
    }

    fn redo(&mut self, bench: &mut Bench) {
        let before = operations(bench);
        assert_eq!(bench.replica.redo(NOTES).unwrap(), !self.undone.is_empty(), "there was one to redo, or none");
        bench.clock.pass(5_000);
        let Some(turn) = self.undone.pop() else { return };
        assert_eq!(held(bench, "mine "), turn.after, "as after the edit");
        self.done.extend(still_there(turn, operations(bench) > before));
    }
}

/// A turn of which nothing was left to take back is over; it changed nothing that anyone sees.
fn still_there(turn: Turn, turned: bool) -> Option<Turn> {
    assert!(turned || turn.before == turn.after, "nothing was taken back of an edit that changed something");
    turned.then_some(turn)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => vec(write(WHOLE), 1..4).prop_map(Step::Edit),
        4 => Just(Step::Undo),
        3 => Just(Step::Redo),
        2 => vec(write(WHOLE), 1..3).prop_map(Step::Theirs),
        1 => Just(Step::Meet),
        1 => Just(Step::Restart),
        1 => (-50_i64..50).prop_map(Step::Clock),
    ];
    vec(step, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_was_undone_and_made_again_is_what_was(steps in steps()) {
        let (mut pair, mut turns) = (Pair::new(), Turns::default());
        for step in &steps {
            match step {
                Step::Edit(writes) => turns.edit(pair.one(), writes),
                Step::Undo => turns.undo(pair.one()),
                Step::Redo => turns.redo(pair.one()),
                Step::Theirs(writes) => {
                    edit(&mut pair.other, |loro| writes.iter().try_for_each(|write| write.apply(loro, "theirs ")));
                }
                Step::Meet => pair.meet(),
                Step::Restart => pair.restart(),
                Step::Clock(hours) => pair.one().clock.set_ahead(hours * HOUR_MS),
            }
        }
        pair.meet();
        let theirs = held(&mut pair.other, "theirs ");
        let last = held(pair.one(), "mine ");
        let (done, undone) = (turns.done.len(), turns.undone.len());
        while !turns.done.is_empty() {
            turns.undo(pair.one());
        }
        pair.restart();
        while turns.undone.len() > undone {
            turns.redo(pair.one());
        }
        assert!(turns.done.len() <= done);
        assert_eq!(held(pair.one(), "mine "), last, "all undone and made again");
        pair.meet();
        assert_eq!(held(&mut pair.other, "mine "), last, "on the other device, too");
        assert_eq!(held(pair.one(), "theirs "), theirs, "and the other's stay");
    }
}

/// What either device does to one document, in the very same places.
#[derive(Debug, Clone)]
enum Act {
    Type(usize),
    Set(&'static str),
    Put(usize),
    PutMovable(usize),
    Grow(usize),
    Count,
    // What follows, only the device does that undoes.
    Erase(usize, usize),
    Unset(&'static str),
    Take(usize),
    TakeMovable(usize),
    Move(usize, usize),
    Fell(usize),
}

/// What a device wrote, of which each stays where its own edits alone stay.
#[derive(Debug, Default, PartialEq)]
struct Own {
    letters: Vec<String>,
    items: Vec<String>,
    movable_items: Vec<String>,
    names: Vec<String>,
    keys: Map<String, Value>,
    count: f64,
}

impl Own {
    fn sorted(mut self) -> Self {
        for all in [&mut self.letters, &mut self.items, &mut self.movable_items, &mut self.names] {
            all.sort_unstable();
        }
        self
    }

    /// All that a document holds.
    fn of(loro: &LoroDoc) -> Self {
        let tree = loro.get_tree("tree");
        let texts = |list: Value| -> Vec<String> { roost::json::from_value(list).unwrap() };
        let name = |node| tree.get_meta(node).unwrap().get("name").unwrap().get_deep_value();
        let Value::Object(keys) = Value::from(loro.get_map("map").get_deep_value()) else { panic!("a map") };
        Self {
            letters: loro.get_text("text").to_string().chars().map(String::from).collect(),
            items: texts(loro.get_list("list").get_deep_value().into()),
            movable_items: texts(loro.get_movable_list("movable").get_deep_value().into()),
            names: texts(nodes(&tree).into_iter().map(name).map(Value::from).collect()),
            keys,
            count: loro.get_counter("counter").get_value(),
        }
        .sorted()
    }

    /// Notes what an act writes, which is called `name`.
    fn note(&mut self, act: &Act, name: &str) {
        match act {
            Act::Type(_) => self.letters.push(name.to_owned()),
            Act::Put(_) => self.items.push(name.to_owned()),
            Act::PutMovable(_) => self.movable_items.push(name.to_owned()),
            Act::Grow(_) => self.names.push(name.to_owned()),
            Act::Set(key) => drop(self.keys.insert((*key).to_owned(), json!(name))),
            Act::Count => self.count += 1.0,
            _ => {}
        }
    }
}

impl Act {
    fn apply(&self, loro: &LoroDoc, name: &str) -> LoroResult<()> {
        let (text, map, list) = (loro.get_text("text"), loro.get_map("map"), loro.get_list("list"));
        let (movable, tree) = (loro.get_movable_list("movable"), loro.get_tree("tree"));
        let (all, len) = (nodes(&tree), text.len_unicode());
        match self {
            Self::Type(to) => text.insert(to % (len + 1), name),
            Self::Set(key) => map.insert(key, name),
            Self::Put(to) => list.insert(to % (list.len() + 1), name),
            Self::PutMovable(to) => movable.insert(to % (movable.len() + 1), name),
            Self::Grow(below) => {
                let node = tree.create(all.get(below % (all.len() + 1)).copied())?;
                tree.get_meta(node)?.insert("name", name)
            }
            Self::Count => loro.get_counter("counter").increment(1.0),
            Self::Erase(from, count) if len > 0 => text.delete(from % len, (*count).min(len - from % len)),
            Self::Unset(key) if map.get(key).is_some() => map.delete(key),
            Self::Take(from) if !list.is_empty() => list.delete(from % list.len(), 1),
            Self::TakeMovable(from) if !movable.is_empty() => movable.delete(from % movable.len(), 1),
            Self::Move(from, to) if !movable.is_empty() => movable.mov(from % movable.len(), to % movable.len()),
            Self::Fell(which) if !all.is_empty() => tree.delete(all[which % all.len()]),
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Clone)]
enum Turned {
    Mine(Act),
    Theirs(Act),
    Undo,
    Redo,
    Restart,
}

fn turned() -> impl Strategy<Value = Vec<Turned>> {
    let at = || 0..12_usize;
    let key = || select(vec!["a", "b"]);
    let adds = move || {
        prop_oneof![
            at().prop_map(Act::Type),
            key().prop_map(Act::Set),
            at().prop_map(Act::Put),
            at().prop_map(Act::PutMovable),
            at().prop_map(Act::Grow),
            Just(Act::Count),
        ]
    };
    let takes = prop_oneof![
        (at(), 1..4_usize).prop_map(|(from, count)| Act::Erase(from, count)),
        key().prop_map(Act::Unset),
        at().prop_map(Act::Take),
        at().prop_map(Act::TakeMovable),
        (at(), at()).prop_map(|(from, to)| Act::Move(from, to)),
        at().prop_map(Act::Fell),
    ];
    let turned = prop_oneof![
        4 => adds().prop_map(Turned::Mine),
        3 => takes.prop_map(Turned::Mine),
        4 => adds().prop_map(Turned::Theirs),
        3 => Just(Turned::Undo),
        2 => Just(Turned::Redo),
        1 => Just(Turned::Restart),
    ];
    vec(turned, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// They meet after every act, so that which of two came later is what both saw.
    #[test]
    fn where_others_wrote_into_the_same_place_theirs_stands(turned in turned()) {
        let (mut pair, mut theirs) = (Pair::new(), Own::default());
        for (turn, number) in turned.iter().zip(0_u32..) {
            let letter = |first: char| char::from_u32(u32::from(first) + number).unwrap().to_string();
            match turn {
                Turned::Mine(act) => edit(pair.one(), |loro| act.apply(loro, &letter('a'))),
                Turned::Theirs(act) => {
                    let name = letter('A');
                    edit(&mut pair.other, |loro| act.apply(loro, &name));
                    theirs.note(act, &name);
                }
                Turned::Undo => drop(pair.one().replica.undo(NOTES).unwrap()),
                Turned::Redo => drop(pair.one().replica.redo(NOTES).unwrap()),
                Turned::Restart => pair.restart(),
            }
            pair.meet();
        }
        while pair.one().replica.redo(NOTES).unwrap() {}
        let last = pair.one().replica.read(NOTES, Own::of).unwrap();
        let mut undone = 0;
        while pair.one().replica.undo(NOTES).unwrap() {
            undone += 1;
        }
        let left = pair.one().replica.read(NOTES, Own::of).unwrap();
        let theirs = theirs.sorted();
        // A node of one's own stays as long as theirs lie below it.
        assert!(theirs.names.iter().all(|name| left.names.iter().filter(|left| *left == name).count() == 1), "{left:?}");
        assert_eq!(Own { names: Vec::new(), ..left }, Own { names: Vec::new(), ..theirs }, "all undone");
        pair.meet();
        let redone = (0..undone).take_while(|_| pair.one().replica.redo(NOTES).unwrap()).count();
        assert!(redone <= undone);
        assert_eq!(pair.one().replica.read(NOTES, Own::of).unwrap(), last, "all made again");
        pair.meet();
    }
}

#[test]
fn one_undo_takes_back_one_edit_whatever_the_clock_was_set_to() {
    let mut pair = Pair::new();
    let one = pair.one();
    one.replica.set_undo_pause(1_000);
    // By far, and by so little that the edits look as if they followed on each other at once.
    let clocks = [0, -24 * HOUR_MS, 24 * HOUR_MS, -4_500, -9_300, 0];
    for ahead_ms in clocks {
        one.clock.set_ahead(ahead_ms);
        one.write(NOTES, "x");
        one.clock.pass(5_000);
    }
    for left in (0..clocks.len()).rev() {
        assert!(one.replica.undo(NOTES).unwrap());
        assert_eq!(one.text(NOTES).len(), left, "one edit was taken back");
    }
    assert!(!one.replica.undo(NOTES).unwrap());
    for held in 1..=clocks.len() {
        assert!(one.replica.redo(NOTES).unwrap());
        assert_eq!(one.text(NOTES).len(), held);
    }
}
