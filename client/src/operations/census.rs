//! A document's census: what its operations say that Loro's state does not, namely the roots they wrote into and what
//! each counter counts.
//!
//! Loro keeps a counter as a running double, and a sum of doubles depends on the order of its terms, which is the order
//! in which operations arrived. Loro also shows one root of each name, the one it met last. Equal operations must mean
//! equal documents, so both are taken from the operations themselves: a counter is the sum, over peers in ascending
//! order, of each peer's own sum (PROTOCOL.md, section 18), and a root is a name and a type.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use loro::{Container, ContainerID, ContainerTrait as _, IdSpan, LoroDoc, LoroValue, PeerID, ValueOrContainer};
use loro::{ContainerType, TreeID, VersionVector, json::JsonOpContent};

use crate::operations::spans::{changes_in, containers_in, pieces, spans_since};

/// The largest number that a counter counts to, either way: up to it every whole number is exact.
pub(crate) const COUNTER_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
/// [`COUNTER_MAX`] as an integer.
pub(crate) const COUNTER_MAX_WHOLE: u64 = 1 << 53;

/// The names of a document's roots, and the types that each name is a root of.
pub(crate) type Roots = BTreeMap<String, BTreeSet<ContainerType>>;

/// A document's roots and the counts of its counters, from its operations.
#[derive(Debug, Default, Clone)]
pub(crate) struct Census {
    /// Every root that an operation ever wrote into.
    pub(crate) roots: Roots,
    /// Roots that are not saved yet.
    met: Vec<(String, ContainerType)>,
    /// The version up to which the counters were counted.
    until: VersionVector,
    /// Each peer's sum of each counter.
    counters: HashMap<ContainerID, BTreeMap<PeerID, f64>>,
    /// The writing peer's sum of each counter, the commit under way included.
    draft: HashMap<ContainerID, (PeerID, f64)>,
}

/// The counters that operations wrote into: what each counted before, and what was added.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    counters: HashMap<ContainerID, (f64, f64)>,
    /// An operation added no finite number.
    is_endless: bool,
}

impl Census {
    /// The census of a document before anything was counted.
    pub(crate) fn new(roots: Roots) -> Self {
        Self { roots, ..Self::default() }
    }

    /// Takes in the roots among these containers.
    pub(crate) fn meet(&mut self, containers: &[ContainerID]) {
        for id in containers.iter().filter(|id| !id.is_mergeable()) {
            let ContainerID::Root { name, container_type: kind } = id else { continue };
            if self.roots.entry(name.to_string()).or_default().insert(*kind) {
                self.met.push((name.to_string(), *kind));
            }
        }
    }

    /// The roots that are to be saved.
    pub(crate) fn take_met(&mut self) -> Vec<(String, ContainerType)> {
        std::mem::take(&mut self.met)
    }

    /// The census of a copy of the document: of the same operations, and so with the same roots and counters.
    pub(crate) fn of_copy(&self, copy: &LoroDoc) -> Self {
        let mut census = Self::new(self.roots.clone());
        if !self.counters.is_empty() {
            census.follow(copy);
        }
        census
    }

    /// Names that are roots of several types.
    pub(crate) fn clashes(&self) -> impl Iterator<Item = (&str, &BTreeSet<ContainerType>)> {
        self.roots.iter().filter(|(_, kinds)| kinds.len() > 1).map(|(name, kinds)| (name.as_str(), kinds))
    }

    /// Counts the operations on counters that came since the last time.
    pub(crate) fn follow(&mut self, loro: &LoroDoc) -> Counted {
        self.draft.clear();
        let mut counted = Counted::default();
        let counts =
            |span: &IdSpan| containers_in(loro, *span).iter().any(|id| id.container_type() == ContainerType::Counter);
        for span in spans_since(loro, &self.until) {
            // Asked of the whole first: most documents have none, and each question reads the history it is about.
            if !counts(&span) {
                continue;
            }
            // Only pieces that touch a counter are written out.
            for piece in pieces(loro, span).filter(counts) {
                self.count(loro, piece, &mut counted);
            }
        }
        self.until = loro.oplog_vv();
        counted
    }

    fn count(&mut self, loro: &LoroDoc, piece: IdSpan, counted: &mut Counted) {
        for change in changes_in(loro, piece) {
            for op in change.ops {
                if let JsonOpContent::Future(counter) = &op.content
                    && op.container.container_type() == ContainerType::Counter
                {
                    let by = increment(&counter.value);
                    counted.is_endless |= by.is_none();
                    let before = self.counter(&op.container);
                    counted.counters.entry(op.container.clone()).or_insert((before, 0.0)).1 += by.unwrap_or(0.0);
                    let sums = self.counters.entry(op.container).or_default();
                    *sums.entry(change.id.peer).or_insert(0.0) += by.unwrap_or(0.0);
                }
            }
        }
    }

    /// Counts what a commit under way adds to a counter; the operations take its place once they are followed.
    pub(crate) fn draft(&mut self, counter: ContainerID, peer: PeerID, by: f64) {
        let held = self.counters.get(&counter).and_then(|sums| sums.get(&peer)).copied();
        self.draft.entry(counter).or_insert((peer, held.unwrap_or(0.0))).1 += by;
    }

    /// A counter's value, the commit under way included.
    pub(crate) fn counter(&self, id: &ContainerID) -> f64 {
        let sum = |sums: &BTreeMap<PeerID, f64>| sums.values().fold(0.0, |sum, by| sum + by);
        let (held, draft) = (self.counters.get(id), self.draft.get(id));
        let count = match (held, draft) {
            (None, None) => 0.0,
            (Some(held), None) => sum(held),
            (held, Some((peer, by))) => {
                let mut sums = held.cloned().unwrap_or_default();
                sums.insert(*peer, *by);
                sum(&sums)
            }
        };
        count + 0.0 // minus zero is zero
    }

    /// Counters are within the limit, and their whole numbers exact.
    pub(crate) fn counts(&self, counted: &Counted) -> bool {
        let is_whole = |number: f64| number.fract() == 0.0;
        let fits = |(id, (before, by)): (&ContainerID, &(f64, f64))| {
            let after = self.counter(id);
            let is_exact = !is_whole(*before) || !is_whole(*by) || after - before == *by && after - by == *before;
            after.abs() <= COUNTER_MAX && is_exact
        };
        !counted.is_endless && counted.counters.iter().all(fits)
    }

    /// Roots that hold something, by name; where several types of one name do, by name, a zero byte
    /// and the type.
    pub(crate) fn values(&self, loro: &LoroDoc) -> Vec<(String, LoroValue)> {
        let mut roots = Vec::new();
        for (name, types) in &self.roots {
            let ids = types.iter().map(|kind| ContainerID::new_root(name, *kind));
            let values = ids.filter_map(|id| Some((id.container_type(), self.deep_value(loro, &id)?)));
            let full: Vec<_> = values.filter(|(kind, value)| !is_empty(*kind, value)).collect();
            let is_alone = full.len() == 1;
            roots.extend(full.into_iter().map(|(kind, value)| match is_alone {
                true => (name.clone(), value),
                false => (format!("{name}\0{kind}"), value),
            }));
        }
        roots
    }

    /// The deep value of a container; None if the document has no such container.
    pub(crate) fn deep_value(&self, loro: &LoroDoc, id: &ContainerID) -> Option<LoroValue> {
        loro.get_container(id.clone()).map(|container| self.value_of(&container))
    }

    /// The deep value of what a map or a list holds.
    pub(crate) fn value(&self, held: &ValueOrContainer) -> LoroValue {
        match held {
            ValueOrContainer::Value(value) => value.clone(),
            ValueOrContainer::Container(container) => self.value_of(container),
        }
    }

    fn value_of(&self, container: &Container) -> LoroValue {
        if self.counters.is_empty() && self.draft.is_empty() {
            return ValueOrContainer::Container(container.clone()).get_deep_value();
        }
        match container {
            Container::Counter(counter) => LoroValue::Double(self.counter(&counter.id())),
            Container::Map(map) => {
                let mut held = Vec::with_capacity(map.len());
                map.for_each(|key, value| held.push((key.to_owned(), value)));
                let valued = held.into_iter().map(|(key, held)| (key, self.value(&held)));
                LoroValue::from(valued.collect::<HashMap<_, _>>())
            }
            Container::List(list) => {
                let mut held = Vec::with_capacity(list.len());
                list.for_each(|value| held.push(value));
                self.list(&held)
            }
            Container::MovableList(list) => {
                let mut held = Vec::with_capacity(list.len());
                list.for_each(|value| held.push(value));
                self.list(&held)
            }
            Container::Tree(tree) => {
                let meta = |node: TreeID| tree.get_meta(node).ok().map(|meta| self.value_of(&Container::Map(meta)));
                with_meta(tree.get_value_with_meta(), &meta)
            }
            Container::Text(_) | Container::Unknown(_) => {
                ValueOrContainer::Container(container.clone()).get_deep_value()
            }
        }
    }

    fn list(&self, held: &[ValueOrContainer]) -> LoroValue {
        LoroValue::from(held.iter().map(|held| self.value(held)).collect::<Vec<_>>())
    }
}

/// The nodes of a tree, each with the counters of its meta counted.
fn with_meta(nodes: LoroValue, meta: &impl Fn(TreeID) -> Option<LoroValue>) -> LoroValue {
    let LoroValue::List(nodes) = nodes else { return nodes };
    let counted = nodes.iter().map(|node| {
        let LoroValue::Map(fields) = node else { return node.clone() };
        let id = fields.get("id").and_then(|id| TreeID::try_from(id.as_string()?.as_str()).ok());
        let fields = fields.iter().map(|(key, value)| {
            let value = match (key.as_str(), id.and_then(meta)) {
                ("meta", Some(meta)) => meta,
                ("children", _) => with_meta(value.clone(), meta),
                _ => value.clone(),
            };
            (key.clone(), value)
        });
        LoroValue::from(fields.collect::<HashMap<_, _>>())
    });
    LoroValue::from(counted.collect::<Vec<_>>())
}

/// A counter operation's increment; None for one that is not finite, which counts as zero.
fn increment(counter: &loro::JsonFutureOp) -> Option<f64> {
    let written = serde_json::to_value(counter).unwrap_or_default();
    written["value"].as_f64().filter(|by| by.is_finite())
}

fn is_empty(kind: ContainerType, value: &LoroValue) -> bool {
    match value {
        LoroValue::Null => true,
        LoroValue::String(text) => text.is_empty(),
        LoroValue::List(list) => list.is_empty(),
        LoroValue::Map(map) => map.is_empty(),
        LoroValue::Double(number) => kind == ContainerType::Counter && *number == 0.0, // as one that nobody touched
        LoroValue::Bool(_) | LoroValue::I64(_) | LoroValue::Binary(_) | LoroValue::Container(_) => false,
    }
}
