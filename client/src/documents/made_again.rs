//! Containers that were made again. What is no mergeable container comes back by an undo or a redo as a new container
//! under a new id, and edits of the old one are then carried to the new one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use loro::event::{Diff, DiffBatch, ListDiffItem};
use loro::undo::DiffBatch as InnerBatch;
use loro::{
    ContainerID, ContainerTrait as _, LoroDoc, LoroResult, TreeDiff, TreeDiffItem, TreeExternalDiff, TreeID,
    TreeParentId, ValueOrContainer,
};

use crate::tally;

/// Ids of containers that are gone, each with the id of the one made in its place.
#[derive(Debug, Default, Clone)]
pub(crate) struct MadeAgain {
    held: HashMap<ContainerID, ContainerID>,
}

impl MadeAgain {
    pub(crate) fn new(pairs: impl IntoIterator<Item = (ContainerID, ContainerID)>) -> Self {
        Self { held: pairs.into_iter().collect() }
    }

    /// The container that stands in another's place now; the containers in `kept` stand for themselves.
    fn of(&self, id: &ContainerID, kept: &HashSet<ContainerID>) -> ContainerID {
        if kept.contains(id) {
            return id.clone();
        }
        let mut at = id;
        while let Some(new) = self.held.get(at) {
            at = new;
        }
        // The id of a mergeable container names the map it lies in.
        match at.parse_mergeable() {
            Some((parent, key, kind)) => ContainerID::new_mergeable(&self.of(&parent, kept), &key, kind),
            None => at.clone(),
        }
    }

    /// The node that is here now in the place of a node; the node itself where it was not made again.
    pub(crate) fn node_now(&self, node: TreeID) -> TreeID {
        self.node(node, &HashSet::new())
    }

    fn node(&self, node: TreeID, kept: &HashSet<ContainerID>) -> TreeID {
        match self.of(&node.associated_meta_container(), kept) {
            ContainerID::Normal { peer, counter, .. } => TreeID { peer, counter },
            ContainerID::Root { .. } => node,
        }
    }

    /// A difference between two versions, in terms of the containers that are here now.
    pub(crate) fn renamed(&self, batch: InnerBatch) -> InnerBatch {
        if self.held.is_empty() {
            return batch;
        }
        let made = made_by(&batch.clone().into());
        let mut renamed = InnerBatch { full_state: batch.full_state, ..InnerBatch::default() };
        for (id, diff) in batch.into_iter() {
            let id = self.of(&id, &made);
            if renamed.cid_to_events.insert(id.clone(), diff).is_none() {
                renamed.order.push(id);
            }
        }
        renamed
    }

    /// A difference whose containers were renamed, in terms of the tree nodes that are here now.
    pub(crate) fn with_nodes(&self, batch: &DiffBatch) -> DiffBatch {
        let made = made_by(batch);
        let mut nodes_renamed = DiffBatch::default();
        nodes_renamed.set_full_state(batch.is_full_state());
        for (id, diff) in batch.iter() {
            let diff = match diff {
                Diff::Tree(tree) => Diff::Tree(Cow::Owned(self.nodes_renamed(tree, &made))),
                diff => diff.clone(),
            };
            let _ = nodes_renamed.push(id.clone(), diff); // each id comes once
        }
        nodes_renamed
    }

    /// Applies a difference whose containers were renamed, and gives the containers that it made again.
    pub(crate) fn apply(&self, loro: &LoroDoc, batch: &DiffBatch) -> LoroResult<Vec<(ContainerID, ContainerID)>> {
        let (made, nodes_renamed) = (made_by(batch), self.with_nodes(batch));
        let mut making = Making::new(loro, &nodes_renamed, &made);
        loro.apply_diff(nodes_renamed.clone())?;
        for (id, diff) in nodes_renamed.iter() {
            making.meet(loro, id, diff);
        }
        Ok(making.pairs.into_iter().collect())
    }

    fn nodes_renamed(&self, tree: &TreeDiff, made: &HashSet<ContainerID>) -> TreeDiff {
        let node = |node| self.node(node, made);
        let parent = |parent| match parent {
            TreeParentId::Node(at) => TreeParentId::Node(node(at)),
            parent => parent,
        };
        let renamed = tree.diff.iter().map(|item| {
            let mut item = item.clone();
            item.target = node(item.target);
            match &mut item.action {
                TreeExternalDiff::Create { parent: at, .. } => *at = parent(*at),
                TreeExternalDiff::Move { parent: at, old_parent, .. } => {
                    (*at, *old_parent) = (parent(*at), parent(*old_parent));
                }
                TreeExternalDiff::Delete { old_parent, .. } => *old_parent = parent(*old_parent),
            }
            item
        });
        TreeDiff { diff: renamed.collect() }
    }
}

/// The containers that a difference makes by putting them somewhere.
fn made_by(batch: &DiffBatch) -> HashSet<ContainerID> {
    let mut made = HashSet::new();
    for (_, diff) in batch.iter() {
        match diff {
            Diff::Map(map) => made.extend(map.updated.values().flatten().filter_map(normal)),
            Diff::List(items) => made.extend(items.iter().flat_map(inserted).filter_map(normal)),
            Diff::Tree(tree) => made.extend(tree.diff.iter().filter_map(|item| match item.action {
                TreeExternalDiff::Create { .. } => Some(item.target.associated_meta_container()),
                TreeExternalDiff::Move { .. } | TreeExternalDiff::Delete { .. } => None,
            })),
            _ => {}
        }
    }
    made
}

/// A container is one of some containers, or a mergeable one that lies in one of them.
fn lies_in(id: &ContainerID, these: &HashSet<ContainerID>) -> bool {
    these.contains(id) || id.parse_mergeable().is_some_and(|(parent, ..)| lies_in(&parent, these))
}

fn inserted(item: &ListDiffItem) -> &[ValueOrContainer] {
    match item {
        ListDiffItem::Insert { insert, .. } => insert,
        ListDiffItem::Delete { .. } | ListDiffItem::Retain { .. } => &[],
    }
}

/// The id of a container that is no mergeable one.
fn normal(held: &ValueOrContainer) -> Option<ContainerID> {
    match held {
        ValueOrContainer::Container(child) => Some(child.id()).filter(|id| !id.is_root()),
        ValueOrContainer::Value(_) => None,
    }
}

/// A difference that is being applied: which containers come into being by it.
struct Making {
    /// Nodes that are not there before, by their tree, in the order they are made in.
    nodes: HashMap<ContainerID, Vec<TreeID>>,
    peer: u64,
    /// The peer's next operation before it.
    from: i32,
    pairs: HashMap<ContainerID, ContainerID>,
}

impl Making {
    fn new(loro: &LoroDoc, batch: &DiffBatch, made: &HashSet<ContainerID>) -> Self {
        loro.commit(); // so that operations from here on are of the difference alone
        let peer = loro.peer_id();
        let from = loro.oplog_vv().get(&peer).copied().unwrap_or(0);
        let mut nodes = HashMap::new();
        for (id, diff) in batch.iter() {
            let Diff::Tree(diff) = diff else { continue };
            // In a tree that is made again itself, no node is there yet.
            let tree = if lies_in(id, made) { None } else { loro.try_get_tree(id.clone()) };
            let is_there = |node| {
                tree.as_ref().is_some_and(|tree| tree.contains(node) && !tree.is_node_deleted(&node).unwrap_or(true))
            };
            let is_made = |item: &&TreeDiffItem| {
                !matches!(item.action, TreeExternalDiff::Delete { .. }) && !is_there(item.target)
            };
            nodes.insert(id.clone(), diff.diff.iter().filter(is_made).map(|item| item.target).collect());
        }
        Self { nodes, peer, from, pairs: HashMap::new() }
    }

    /// Pairs what a container of the difference was to hold with what it holds now that it was made.
    fn meet(&mut self, loro: &LoroDoc, id: &ContainerID, diff: &Diff<'_>) {
        let now = self.now(id);
        match diff {
            Diff::Map(delta) => {
                let Some(map) = loro.try_get_map(now) else { return };
                for (key, held) in &delta.updated {
                    let old = held.as_ref().and_then(normal);
                    self.pair(old, map.get(key));
                }
            }
            Diff::List(items) => {
                let list = loro.get_container(now);
                let at = |index| match &list {
                    Some(loro::Container::List(list)) => list.get(index),
                    Some(loro::Container::MovableList(list)) => list.get(index),
                    _ => None,
                };
                let mut index = 0;
                for item in items {
                    match item {
                        ListDiffItem::Retain { retain } => index += retain,
                        ListDiffItem::Delete { .. } => {}
                        ListDiffItem::Insert { insert, .. } => {
                            for held in insert {
                                self.pair(normal(held), at(index));
                                index += 1;
                            }
                        }
                    }
                }
            }
            Diff::Tree(_) => {
                // Only to find nodes that were made is the whole tree looked at.
                let Some(old) = self.nodes.remove(id).filter(|old| !old.is_empty()) else { return };
                let Some(tree) = loro.try_get_tree(now) else { return };
                let is_new = |node: &TreeID| node.peer == self.peer && node.counter >= self.from;
                let nodes = tree.nodes();
                tally::count(|tally| tally.containers += nodes.len() as u64);
                let mut new: Vec<TreeID> = nodes.into_iter().filter(is_new).collect();
                new.sort_by_key(|node| node.counter);
                if new.len() == old.len() {
                    let metas = |nodes: Vec<TreeID>| nodes.into_iter().map(|node| node.associated_meta_container());
                    self.pairs.extend(metas(old).zip(metas(new)));
                }
            }
            _ => {}
        }
    }

    fn pair(&mut self, old: Option<ContainerID>, held: Option<ValueOrContainer>) {
        let Some((old, ContainerID::Normal { peer, counter, container_type })) =
            old.zip(held.as_ref().and_then(normal))
        else {
            return;
        };
        if peer == self.peer && counter >= self.from && container_type == old.container_type() {
            self.pairs.insert(old, ContainerID::Normal { peer, counter, container_type });
        }
    }

    /// The id that a container of the difference has now.
    fn now(&self, id: &ContainerID) -> ContainerID {
        if let Some(new) = self.pairs.get(id) {
            return new.clone();
        }
        match id.parse_mergeable() {
            Some((parent, key, kind)) => ContainerID::new_mergeable(&self.now(&parent), &key, kind),
            None => id.clone(),
        }
    }
}
