//! Writes into a document for properties: of every kind of container, wherever it lies. Whatever a document has become,
//! each of them fits it.

use std::collections::{BTreeMap, HashMap};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use roost::json::{Map, Value, json};
use roost::loro::{
    Container, ContainerTrait, LoroCounter, LoroDoc, LoroList, LoroMap, LoroMovableList, LoroResult, LoroText,
    LoroTree, LoroValue, TextDelta, TreeID, TreeParentId, ValueOrContainer,
};

/// Steps of a counter that come out the same in whatever order they are added up.
pub const WHOLE: &[f64] = &[1.0, 2.0, -3.0, 40.0, -1_000_000.0];
/// Steps of a counter that do not, or that it does not count.
pub const EXTREME: &[f64] = &[
    1.0,
    0.1,
    0.2,
    -0.3,
    0.7,
    1e9 / 3.0,
    -0.0,
    1e-300,
    4_503_599_627_370_496.5,
    9_007_199_254_740_991.0,
    -9_007_199_254_740_992.0,
    1e300,
    f64::NAN,
    f64::NEG_INFINITY,
];

/// Where the container lies that is written into.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// A root of its own.
    Root,
    /// One of the roots that share a name, each of another type.
    Shared,
    /// A mergeable container of a map.
    Mergeable,
    /// Any other container of a map.
    Child,
    /// A container of a list.
    Item,
    /// A mergeable container of the meta map of a tree's node.
    Node,
}

/// One write.
#[derive(Debug, Clone)]
pub struct Write {
    place: Place,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Type(usize, String),
    Erase(usize, usize),
    Mark(usize, usize, &'static str, LoroValue),
    Set(&'static str, LoroValue),
    Unset(&'static str),
    Put(usize, LoroValue),
    Take(usize),
    PutMovable(usize, LoroValue),
    Replace(usize, LoroValue),
    Move(usize, usize),
    TakeMovable(usize),
    Grow(usize),
    Graft(usize, usize),
    Label(usize, LoroValue),
    Fell(usize),
    Count(f64),
    /// Takes a container away from its place, with all that is in it.
    Drop(usize),
}

/// A kind of container, for all of them to be found in one way.
trait Kind: ContainerTrait + Sized {
    const NAME: &str;

    fn fresh() -> Self;
    fn root(loro: &LoroDoc, name: &str) -> Self;
    fn mergeable(map: &LoroMap, key: &str) -> LoroResult<Self>;
}

macro_rules! kinds {
    ($($kind:ty, $name:literal, $root:ident, $mergeable:ident;)*) => {
        $(impl Kind for $kind {
            const NAME: &str = $name;

            fn fresh() -> Self {
                <$kind>::new()
            }

            fn root(loro: &LoroDoc, name: &str) -> Self {
                loro.$root(name)
            }

            fn mergeable(map: &LoroMap, key: &str) -> LoroResult<Self> {
                map.$mergeable(key)
            }
        })*

        /// The roots of each kind, and those that share a name.
        fn roots_of_each_kind(loro: &LoroDoc, whose: &str) -> Vec<(String, Container)> {
            vec![$(
                (format!("{whose}{}", $name), <$kind as Kind>::root(loro, &format!("{whose}{}", $name)).to_container()),
                (format!("{whose}shared {}", $name), <$kind as Kind>::root(loro, &format!("{whose}shared")).to_container()),
            )*]
        }
    };
}

kinds! {
    LoroText, "text", get_text, ensure_mergeable_text;
    LoroMap, "map", get_map, ensure_mergeable_map;
    LoroList, "list", get_list, ensure_mergeable_list;
    LoroMovableList, "movable list", get_movable_list, ensure_mergeable_movable_list;
    LoroTree, "tree", get_tree, ensure_mergeable_tree;
    LoroCounter, "counter", get_counter, ensure_mergeable_counter;
}

/// Where the containers lie that are no roots.
struct Homes {
    home: LoroMap,
    items: LoroList,
    nodes: LoroTree,
}

impl Homes {
    fn of(loro: &LoroDoc, whose: &str) -> Self {
        Self {
            home: loro.get_map(format!("{whose}home").as_str()),
            items: loro.get_list(format!("{whose}items").as_str()),
            nodes: loro.get_tree(format!("{whose}nodes").as_str()),
        }
    }
}

/// Every root that writes go into, by its name.
pub fn roots(loro: &LoroDoc, whose: &str) -> Vec<(String, Container)> {
    let homes = Homes::of(loro, whose);
    let mut roots = roots_of_each_kind(loro, whose);
    roots.push((format!("{whose}home"), homes.home.to_container()));
    roots.push((format!("{whose}items"), homes.items.to_container()));
    roots.push((format!("{whose}nodes"), homes.nodes.to_container()));
    roots
}

/// All that these roots hold, marks of texts and the order of nodes included, and no id of anything.
pub fn shown(loro: &LoroDoc, whose: &str) -> Value {
    Value::Object(roots(loro, whose).into_iter().map(|(name, root)| (name, picture(&root))).collect())
}

fn picture(container: &Container) -> Value {
    match container {
        Container::Text(text) => letters(text),
        Container::Map(map) => {
            let keys: Vec<String> = map.keys().map(|key| key.to_string()).collect();
            let held: Map<String, Value> =
                keys.into_iter().filter_map(|key| Some((key.clone(), pictured(&map.get(&key)?)))).collect();
            Value::Object(held)
        }
        Container::List(list) => (0..list.len()).filter_map(|at| Some(pictured(&list.get(at)?))).collect(),
        Container::MovableList(list) => (0..list.len()).filter_map(|at| Some(pictured(&list.get(at)?))).collect(),
        Container::Tree(tree) => forest(tree, tree.roots()),
        Container::Counter(counter) => json!(counter.get_value()),
        Container::Unknown(_) => Value::Null,
    }
}

fn pictured(held: &ValueOrContainer) -> Value {
    match held {
        ValueOrContainer::Value(value) => value.clone().into(),
        ValueOrContainer::Container(container) => picture(container),
    }
}

fn letters(text: &LoroText) -> Value {
    let mut letters = Vec::new();
    for part in text.to_delta() {
        let TextDelta::Insert { insert, attributes } = part else { continue };
        let marks = attributes.unwrap_or_default().into_iter().map(|(key, value)| (key, Value::from(value)));
        let marks: BTreeMap<String, Value> = marks.filter(|(_, value)| !value.is_null()).collect();
        letters.extend(insert.chars().map(|letter| json!([letter.to_string(), &marks])));
    }
    Value::Array(letters)
}

fn forest(tree: &LoroTree, nodes: Vec<TreeID>) -> Value {
    let node = |node: TreeID| {
        let meta = tree.get_meta(node).unwrap();
        json!({ "meta": picture(&Container::Map(meta)), "below": forest(tree, tree.children(node).unwrap_or_default()) })
    };
    nodes.into_iter().map(node).collect()
}

/// The container of a kind at a place; it is made if there is none.
fn at<C: Kind>(loro: &LoroDoc, whose: &str, place: Place) -> LoroResult<C> {
    let of_kind = |held: Option<ValueOrContainer>| C::try_from_container(held?.into_container().ok()?);
    let Homes { home, items, nodes } = Homes::of(loro, whose);
    match place {
        Place::Root => Ok(C::root(loro, &format!("{whose}{}", C::NAME))),
        Place::Shared => Ok(C::root(loro, &format!("{whose}shared"))),
        Place::Mergeable => C::mergeable(&home, C::NAME),
        Place::Child => {
            let key = format!("own {}", C::NAME);
            match of_kind(home.get(&key)) {
                Some(child) => Ok(child),
                None => home.insert_container(&key, C::fresh()),
            }
        }
        Place::Item => match (0..items.len()).find_map(|at| of_kind(items.get(at))) {
            Some(child) => Ok(child),
            None => items.push_container(C::fresh()),
        },
        Place::Node => {
            let node = match nodes.roots().first() {
                Some(node) => *node,
                None => nodes.create(None)?,
            };
            C::mergeable(&nodes.get_meta(node)?, C::NAME)
        }
    }
}

impl Write {
    /// Writes it below the roots whose names begin with `whose`.
    pub fn apply(&self, loro: &LoroDoc, whose: &str) -> LoroResult<()> {
        let (place, what) = (self.place, &self.what);
        match what {
            What::Type(..) | What::Erase(..) | What::Mark(..) => on_text(&at(loro, whose, place)?, what),
            What::Set(key, value) => at::<LoroMap>(loro, whose, place)?.insert(key, value.clone()),
            What::Unset(key) => take_key(&at(loro, whose, place)?, key),
            What::Put(to, value) => {
                let list: LoroList = at(loro, whose, place)?;
                list.insert(to % (list.len() + 1), value.clone())
            }
            What::Take(from) => take_item(&at(loro, whose, place)?, *from),
            What::PutMovable(..) | What::Replace(..) | What::Move(..) | What::TakeMovable(..) => {
                on_movable(&at(loro, whose, place)?, what)
            }
            What::Grow(..) | What::Graft(..) | What::Label(..) | What::Fell(..) => {
                on_tree(&at(loro, whose, place)?, what)
            }
            What::Count(by) => at::<LoroCounter>(loro, whose, place)?.increment(*by),
            What::Drop(which) => take_away(&Homes::of(loro, whose), place, *which),
        }
    }
}

fn on_text(text: &LoroText, what: &What) -> LoroResult<()> {
    let len = text.len_unicode();
    match what {
        What::Type(to, words) => text.insert(to % (len + 1), words),
        What::Erase(from, count) if len > 0 => text.delete(from % len, (*count).min(len - from % len)),
        What::Mark(from, count, key, value) if len > 0 && *count > 0 => {
            let from = from % len;
            let range = from..from + (*count).min(len - from);
            if matches!(value, LoroValue::Null) {
                text.unmark(range, key)
            } else {
                text.mark(range, key, value.clone())
            }
        }
        _ => Ok(()),
    }
}

fn take_key(map: &LoroMap, key: &str) -> LoroResult<()> {
    if map.get(key).is_some() { map.delete(key) } else { Ok(()) }
}

fn take_item(list: &LoroList, from: usize) -> LoroResult<()> {
    if list.is_empty() { Ok(()) } else { list.delete(from % list.len(), 1) }
}

fn on_movable(list: &LoroMovableList, what: &What) -> LoroResult<()> {
    let len = list.len();
    match what {
        What::PutMovable(to, value) => list.insert(to % (len + 1), value.clone()),
        What::Replace(to, value) if len > 0 => list.set(to % len, value.clone()),
        What::Move(from, to) if len > 0 => list.mov(from % len, to % len),
        What::TakeMovable(from) if len > 0 => list.delete(from % len, 1),
        _ => Ok(()),
    }
}

fn on_tree(tree: &LoroTree, what: &What) -> LoroResult<()> {
    let nodes = nodes(tree);
    // Below one of its nodes, or a root.
    let parent = |which: usize| nodes.get(which % (nodes.len() + 1)).copied();
    match what {
        What::Grow(below) => tree.create(parent(*below)).map(|_| ()),
        What::Graft(which, below) if !nodes.is_empty() => {
            let (node, below) = (nodes[which % nodes.len()], parent(*below));
            if below.is_some_and(|below| lies_in(tree, below, node)) { Ok(()) } else { tree.mov(node, below) }
        }
        What::Label(which, value) if !nodes.is_empty() => {
            tree.get_meta(nodes[which % nodes.len()])?.insert("name", value.clone())
        }
        What::Fell(which) if !nodes.is_empty() => tree.delete(nodes[which % nodes.len()]),
        _ => Ok(()),
    }
}

/// The nodes of a tree that are there.
pub fn nodes(tree: &LoroTree) -> Vec<TreeID> {
    let (mut found, mut open) = (Vec::new(), tree.roots());
    while let Some(node) = open.pop() {
        open.extend(tree.children(node).unwrap_or_default());
        found.push(node);
    }
    found
}

fn lies_in(tree: &LoroTree, node: TreeID, whole: TreeID) -> bool {
    let mut at = Some(node);
    while let Some(node) = at {
        if node == whole {
            return true;
        }
        at = match tree.parent(node) {
            Some(TreeParentId::Node(parent)) => Some(parent),
            _ => None,
        };
    }
    false
}

fn take_away(homes: &Homes, place: Place, which: usize) -> LoroResult<()> {
    match place {
        Place::Item => take_item(&homes.items, which),
        Place::Node => on_tree(&homes.nodes, &What::Fell(which)),
        Place::Root | Place::Shared | Place::Mergeable | Place::Child => {
            let mut keys: Vec<String> = homes.home.keys().map(|key| key.to_string()).collect();
            keys.sort_unstable();
            match keys.len() {
                0 => Ok(()),
                len => homes.home.delete(&keys[which % len]),
            }
        }
    }
}

/// Values at the ends of what there is, and a few others.
pub fn value() -> impl Strategy<Value = LoroValue> {
    let extremes = vec![
        LoroValue::Null,
        LoroValue::Bool(true),
        LoroValue::Double(0.1),
        LoroValue::Double(-0.0),
        LoroValue::Double(f64::NAN),
        LoroValue::Double(f64::INFINITY),
        LoroValue::Double(f64::MAX),
        LoroValue::Double(9_007_199_254_740_992.0),
        LoroValue::I64(9_007_199_254_740_993),
        LoroValue::I64(i64::MIN),
        LoroValue::I64(i64::MAX),
        LoroValue::from(""),
        LoroValue::from("\0"),
        LoroValue::from("🦜:cid:root-text:Text"),
        LoroValue::from(&[0_u8, 255]),
        (0..40).fold(LoroValue::Null, |within, _| LoroValue::from(vec![within])),
    ];
    let plain = prop_oneof![
        select(extremes),
        any::<i16>().prop_map(|number| LoroValue::I64(i64::from(number))),
        any::<f64>().prop_map(LoroValue::Double),
        "\\PC{0,4}".prop_map(LoroValue::from),
    ];
    plain.prop_recursive(3, 8, 3, |within| {
        let fields = vec((key(), within.clone()), 0..3);
        prop_oneof![
            vec(within, 0..3).prop_map(LoroValue::from),
            fields.prop_map(|fields| LoroValue::from(fields.into_iter().collect::<HashMap<&str, LoroValue>>())),
        ]
    })
}

fn key() -> impl Strategy<Value = &'static str> {
    select(vec!["", "a", "b", "a longer key", "ключ"])
}

fn place() -> impl Strategy<Value = Place> {
    select(vec![Place::Root, Place::Shared, Place::Mergeable, Place::Child, Place::Item, Place::Node])
}

/// A write of any kind at any place; counters step by one of `steps`.
pub fn write(steps: &'static [f64]) -> impl Strategy<Value = Write> {
    let at = || 0..12_usize;
    let mark = select(vec!["bold", "link", "comment"]);
    let mark_value = select(vec![LoroValue::Null, true.into(), "https://example.org".into()]);
    let text = prop_oneof![
        3 => (at(), "\\PC{1,6}").prop_map(|(to, words)| What::Type(to, words)),
        1 => (at(), 1..4_usize).prop_map(|(from, count)| What::Erase(from, count)),
        2 => (at(), 1..4_usize, mark, mark_value).prop_map(|(from, count, key, value)| What::Mark(from, count, key, value)),
    ];
    let map = prop_oneof![
        3 => (key(), value()).prop_map(|(key, value)| What::Set(key, value)),
        1 => key().prop_map(What::Unset),
    ];
    let list = prop_oneof![
        2 => (at(), value()).prop_map(|(to, value)| What::Put(to, value)),
        1 => at().prop_map(What::Take),
    ];
    let movable = prop_oneof![
        2 => (at(), value()).prop_map(|(to, value)| What::PutMovable(to, value)),
        1 => (at(), value()).prop_map(|(to, value)| What::Replace(to, value)),
        1 => (at(), at()).prop_map(|(from, to)| What::Move(from, to)),
        1 => at().prop_map(What::TakeMovable),
    ];
    let tree = prop_oneof![
        2 => at().prop_map(What::Grow),
        1 => (at(), at()).prop_map(|(which, below)| What::Graft(which, below)),
        1 => (at(), value()).prop_map(|(which, value)| What::Label(which, value)),
        1 => at().prop_map(What::Fell),
    ];
    let count = select(steps).prop_map(What::Count);
    let taken = at().prop_map(What::Drop);
    let what = prop_oneof![2 => text, 2 => map, 2 => list, 2 => movable, 2 => tree, 2 => count, 1 => taken];
    (place(), what).prop_map(|(place, what)| Write { place, what })
}
