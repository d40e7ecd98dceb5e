//! An edit of any shape and size is refused at once and leaves no trace, or it is on the other device in the end, or the
//! machine says that something is not on the server. What it costs is counted in entries and bytes.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::select;
use roost::Error;
use roost::loro::{LoroDoc, LoroMap, LoroResult, LoroValue};
use roost_shared::limits::{CONTAINER_NAME_MAX, NESTING_MAX, PART_MAX, UPDATE_MAX, VALUE_MAX};
use roost_shared::roster::Scope;
use roost_shared::{Hash, Kind};

use super::bench::Bench;
use crate::machine::world::{NOTES, Team, TestLog};

/// What Loro may write around a value, in the same operation.
const AROUND_MAX: usize = UPDATE_MAX - VALUE_MAX;
const MIB: usize = 1024 * 1024;

/// Text that no compression makes much shorter.
pub(super) static NOISE: LazyLock<String> = LazyLock::new(|| {
    let blocks = (0..(10 * MIB / 64) as u64).map(|number| Hash::of(&[&number.to_be_bytes()]).to_string());
    blocks.collect()
});

static TEAM: LazyLock<Team> = LazyLock::new(|| Team::of(&[Scope::ReadWrite]));

fn two() -> (TestLog, Bench, Bench) {
    let log = TestLog::of(&TEAM, 1);
    let (one, other) = (Bench::new(&TEAM, 0, log.id), Bench::new(&TEAM, 1, log.id));
    (log, one, other)
}

/// Both have all there is; false if the machine says that something stays here.
fn meet(log: &mut TestLog, one: &mut Bench, other: &mut Bench) -> bool {
    for _ in 0..2 {
        one.sync(log);
        other.sync(log);
    }
    assert_eq!(other.replica.store().quarantined().unwrap(), 0, "what is sent is taken");
    !one.replica.view().edited
}

/// The updates in the log: how many entries, and their bytes.
fn weight(log: &TestLog) -> (usize, usize) {
    let updates = (1..=log.tail()).map(|seq| log.entry(seq)).filter(|entry| entry.header().kind == Kind::Update);
    updates.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.as_bytes().len()))
}

/// What an edit is made of. All of it is `words`.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    /// A text, typed from its end to its start.
    TextBackwards,
    MapValue,
    MapKey,
    ListItem,
    MovableItem,
    Bytes,
    MarkValue,
    NodeMeta,
    /// The key of a mergeable container, which is part of the names of all that it holds.
    MergeableKey,
    ManyItems,
    ManyKeys,
}

impl Shape {
    const ALL: [Self; 12] = [
        Self::Text,
        Self::TextBackwards,
        Self::MapValue,
        Self::MapKey,
        Self::ListItem,
        Self::MovableItem,
        Self::Bytes,
        Self::MarkValue,
        Self::NodeMeta,
        Self::MergeableKey,
        Self::ManyItems,
        Self::ManyKeys,
    ];

    /// Whether it can go out in several updates, however large it is.
    const fn splits(self) -> bool {
        matches!(self, Self::Text | Self::TextBackwards | Self::ManyItems | Self::ManyKeys)
    }

    /// How often an update may hold it: the name of a container below a key holds that again.
    const fn copies(self) -> usize {
        if matches!(self, Self::MergeableKey) { 3 } else { 1 }
    }

    fn write(self, loro: &LoroDoc, words: &str) -> LoroResult<()> {
        const PIECE: usize = 16 * 1024;
        let pieces = || (0..words.len()).step_by(PIECE).map(move |from| &words[from..words.len().min(from + PIECE)]);
        let (text, map) = (loro.get_text("text"), loro.get_map("map"));
        match self {
            Self::Text => text.insert(0, words),
            Self::TextBackwards => pieces().try_for_each(|piece| text.insert(0, piece)),
            Self::MapValue => map.insert("key", words),
            Self::MapKey => map.insert(words, true),
            Self::ListItem => loro.get_list("list").insert(0, words),
            Self::MovableItem => loro.get_movable_list("movable").insert(0, words),
            Self::Bytes => map.insert("key", LoroValue::from(words.as_bytes())),
            Self::MarkValue => {
                text.insert(0, "marked")?;
                text.mark(0..6, "comment", words)
            }
            Self::NodeMeta => {
                let tree = loro.get_tree("tree");
                let node = tree.create(None)?;
                tree.get_meta(node)?.insert("note", words)
            }
            Self::MergeableKey => map.ensure_mergeable_map(words)?.ensure_mergeable_text("note")?.insert(0, "in it"),
            Self::ManyItems => pieces().try_for_each(|piece| loro.get_list("list").push(piece)),
            Self::ManyKeys => pieces().zip(0..).try_for_each(|(piece, n)| map.insert(&format!("key {n}"), piece)),
        }
    }
}

/// Lengths about each limit, and any in between.
fn lengths() -> impl Strategy<Value = usize> {
    let limits = vec![1_000, PART_MAX, VALUE_MAX - AROUND_MAX, VALUE_MAX, UPDATE_MAX, UPDATE_MAX + AROUND_MAX, 6 * MIB];
    let about = (select(limits), -40_isize..40).prop_map(|(limit, by)| limit.saturating_add_signed(by));
    prop_oneof![3 => about, 1 => 0..2 * MIB]
}

/// Nobody is told yes and then left alone.
fn push(shape: Shape, len: usize) {
    let (mut log, mut one, mut other) = two();
    one.write(NOTES, "words");
    assert!(meet(&mut log, &mut one, &mut other));
    let (before, weight_before) = (one.replica.digest(NOTES).unwrap(), weight(&log));
    let edited = one.replica.edit(NOTES, |loro| shape.write(loro, &NOISE[..len]));
    let is_sent = meet(&mut log, &mut one, &mut other);
    match edited {
        Ok(()) => {
            // Here, nothing else keeps an edit from the server: what was taken is sent.
            assert!(is_sent, "{shape:?} of {len} bytes was taken and is not sent");
            assert!(shape.splits() || len <= UPDATE_MAX, "{shape:?} of {len} bytes cannot fit");
            assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap());
            let (count, bytes) = weight(&log);
            let (count, bytes) = (count - weight_before.0, bytes - weight_before.1);
            assert!(bytes <= shape.copies() * (len + len / 4) + 64 * 1024, "{shape:?} of {len} bytes became {bytes}");
            assert!(count <= 2 * (bytes / PART_MAX) + 16, "{shape:?} of {len} bytes became {count} entries");
        }
        Err(refused) => {
            let max =
                if matches!(shape, Shape::MergeableKey) { CONTAINER_NAME_MAX - 1_024 } else { VALUE_MAX - AROUND_MAX };
            let may_fit = shape.splits() || len <= max;
            assert!(!may_fit, "{shape:?} of {len} bytes: {refused}");
            assert_eq!(Error::from(refused).code(), "value_too_large");
            assert_eq!(one.replica.digest(NOTES).unwrap(), before);
            assert_eq!(weight(&log), weight_before, "nothing of it is sent");
        }
    }
    let after = one.replica.digest(NOTES).unwrap();
    let mut one = one.restart();
    assert_eq!(one.replica.digest(NOTES).unwrap(), after, "{shape:?} of {len} bytes after a restart");
    one.write(NOTES, "!");
    assert!(meet(&mut log, &mut one, &mut other), "and the document goes on");
    assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_edit_of_any_size_is_refused_or_arrives(shape in select(Shape::ALL.to_vec()), len in lengths()) {
        push(shape, len);
    }
}

#[test]
fn one_value_of_each_kind_is_taken_up_to_the_limit_and_refused_beyond_it() {
    for shape in [Shape::MapValue, Shape::MapKey, Shape::MarkValue] {
        push(shape, VALUE_MAX - AROUND_MAX);
        let (_, mut one, _) = two();
        let refused = one.replica.edit(NOTES, |loro| shape.write(loro, &NOISE[..=VALUE_MAX])).unwrap_err();
        assert_eq!(Error::from(refused).code(), "value_too_large", "{shape:?}");
    }
}

/// Larger than two updates; the process dies when a part of it is on the server.
#[test]
fn a_document_of_several_updates_arrives_whole_and_goes_on_in_proportion() {
    const LEN: usize = 9 * MIB;
    let (mut log, mut one, mut other) = two();
    one.replica.edit(NOTES, |loro| Shape::Text.write(loro, &NOISE[..LEN])).unwrap();
    let mut one = one.restart();
    assert!(meet(&mut log, &mut one, &mut other));
    assert_eq!(other.text(NOTES).len(), LEN);
    assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap());
    let (count, bytes) = weight(&log);
    assert!(bytes <= LEN + LEN / 4, "{bytes} bytes");
    assert!((LEN / 2 / PART_MAX..2 * LEN / PART_MAX).contains(&count), "{count} entries");
    // One letter more is one entry more, on either device.
    let mut other = other.restart();
    for bench in [&mut one, &mut other] {
        bench.write(NOTES, "!");
        bench.sync(&mut log);
    }
    assert!(meet(&mut log, &mut one, &mut other));
    let (more, more_bytes) = weight(&log);
    assert_eq!(more, count + 2);
    assert!(more_bytes - bytes < 2_048, "{} bytes for two letters", more_bytes - bytes);
    assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap());
}

/// All that was written offline goes out in several updates, each after those it follows on.
#[test]
fn many_edits_of_several_devices_arrive_in_several_updates() {
    let (mut log, mut one, mut other) = two();
    for round in 0..6 {
        let words = &NOISE[round * MIB..(round + 1) * MIB];
        one.replica.edit(NOTES, |loro| Shape::TextBackwards.write(loro, words)).unwrap();
        other.replica.edit(NOTES, |loro| loro.get_map("map").insert(&format!("key {round}"), words)).unwrap();
        one = one.restart();
    }
    assert!(meet(&mut log, &mut one, &mut other));
    assert!(!other.replica.view().edited);
    assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap());
}

#[test]
fn what_is_nested_as_deep_as_may_be_arrives() {
    for levels in NESTING_MAX - 3..NESTING_MAX + 3 {
        let (mut log, mut one, mut other) = two();
        let before = one.replica.digest(NOTES).unwrap();
        let containers = one.replica.edit(NOTES, |loro| {
            let start = loro.get_map("map");
            let end = (0..levels).try_fold(start, |map, _| map.insert_container("deeper", LoroMap::new()))?;
            end.insert("end", true)
        });
        let value = (0..levels).fold(LoroValue::Null, |within, _| LoroValue::from(vec![within]));
        let values = one.replica.edit(NOTES, |loro| loro.get_list("list").push(value));
        for edited in [containers, values] {
            if let Err(refused) = edited {
                assert_eq!(Error::from(refused).code(), "nested_too_deep");
                assert!(levels >= NESTING_MAX, "{levels} levels");
            }
        }
        assert!(meet(&mut log, &mut one, &mut other), "{levels} levels");
        assert_eq!(one.replica.digest(NOTES).unwrap(), other.replica.digest(NOTES).unwrap(), "{levels} levels");
        assert_eq!(levels > NESTING_MAX, one.replica.digest(NOTES).unwrap() == before, "{levels} levels");
    }
}
