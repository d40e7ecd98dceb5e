//! The containers that others wrote into: an undo hides none of them, and makes none of them again as it was.

use std::collections::HashSet;

use loro::event::{Diff, DiffBatch, ListDiffItem, MapDelta, TreeDiff};
use loro::json::{JsonOpContent, TreeOp};
use loro::{
    ContainerID, ContainerTrait as _, ContainerType, IdSpan, Index, LoroDoc, TreeExternalDiff, TreeID, TreeParentId,
    ValueOrContainer,
};

use super::made_again::MadeAgain;
use crate::operations::spans::{changes_in, containers_in, path_of, pieces};
use crate::schema::is_computed;

/// Containers that others wrote into, and the containers around them.
pub(crate) struct Theirs<'a> {
    made: &'a MadeAgain,
    containers: HashSet<ContainerID>,
    nodes: HashSet<TreeID>,
}

impl<'a> Theirs<'a> {
    pub(crate) fn of(loro: &LoroDoc, spans: &[IdSpan], made: &'a MadeAgain) -> Self {
        let mut theirs = Self { made, containers: HashSet::new(), nodes: HashSet::new() };
        for span in spans.iter().filter(|span| !is_computed(span.peer)) {
            let touched = containers_in(loro, *span);
            if touched.iter().any(|id| id.container_type() == ContainerType::Tree) {
                let changes = pieces(loro, *span).flat_map(|piece| changes_in(loro, piece));
                for op in changes.flat_map(|change| change.ops) {
                    if let JsonOpContent::Tree(
                        TreeOp::Create { target, parent, .. } | TreeOp::Move { target, parent, .. },
                    ) = &op.content
                    {
                        [Some(*target), *parent]
                            .into_iter()
                            .flatten()
                            .for_each(|node| theirs.node(loro, &op.container, node));
                    }
                }
            }
            touched.into_iter().for_each(|id| theirs.container(loro, id));
        }
        theirs
    }

    fn container(&mut self, loro: &LoroDoc, id: ContainerID) {
        let mut outermost = id.clone();
        self.containers.insert(id);
        // A mergeable container that is hidden has no path; its id names what it lies in.
        while let Some((parent, ..)) = outermost.parse_mergeable() {
            self.containers.insert(parent.clone());
            outermost = parent;
        }
        let mut within = None;
        for (id, index) in path_of(loro, &outermost).unwrap_or_default() {
            if let (Some(tree), Index::Node(node)) = (&within, index) {
                self.node(loro, tree, node);
            }
            self.containers.insert(id.clone());
            within = Some(id);
        }
    }

    fn node(&mut self, loro: &LoroDoc, tree: &ContainerID, node: TreeID) {
        let Some(tree) = loro.try_get_tree(tree.clone()) else { return };
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if self.nodes.insert(node) {
                open.push(self.made.node_now(node)); // one that was made again since lies elsewhere
                if let Some(TreeParentId::Node(parent)) = tree.parent(node) {
                    open.push(parent);
                }
            }
        }
    }

    /// A way back that leaves theirs alone: all of it but what would hide theirs, or make it again as it was; and the
    /// marks by which hidden containers are shown again with what they hold.
    pub(crate) fn spared_by(&self, loro: &LoroDoc, back: &DiffBatch) -> (DiffBatch, DiffBatch) {
        let (mut rest, mut marks) = (DiffBatch::default(), DiffBatch::default());
        rest.set_full_state(back.is_full_state());
        let mut shown: HashSet<ContainerID> = HashSet::new();
        for (id, diff) in back.iter() {
            if is_within(id, &shown) {
                continue;
            }
            let spared = match diff {
                Diff::Map(delta) => {
                    let (kept, marked) = self.spared_keys(loro, id, delta);
                    shown.extend(marked.updated.values().flatten().filter_map(container_of));
                    if !marked.updated.is_empty() {
                        let _ = marks.push(id.clone(), Diff::Map(marked)); // each id comes once
                    }
                    Diff::Map(kept)
                }
                Diff::List(items) => Diff::List(self.spared_items(loro, id, items)),
                Diff::Tree(tree) => {
                    let mut diff = tree.diff.clone();
                    diff.retain(|item| {
                        !matches!(item.action, TreeExternalDiff::Delete { .. }) || !self.nodes.contains(&item.target)
                    });
                    Diff::Tree(std::borrow::Cow::Owned(TreeDiff { diff }))
                }
                diff => diff.clone(),
            };
            let _ = rest.push(id.clone(), spared);
        }
        (rest, marks)
    }

    /// A map's way back without the keys under which theirs is; and those that show theirs again.
    fn spared_keys(
        &self,
        loro: &LoroDoc,
        id: &ContainerID,
        delta: &MapDelta<'static>,
    ) -> (MapDelta<'static>, MapDelta<'static>) {
        let map = loro.try_get_map(id.clone()); // None for one that the way back makes again
        let (mut kept, mut marked) = (delta.clone(), delta.clone());
        marked.updated.retain(|_, value| {
            let child = value.as_ref().and_then(container_of);
            child.is_some_and(|child| child.is_mergeable() && self.containers.contains(&child))
        });
        kept.updated.retain(|key, _| {
            !marked.updated.contains_key(key)
                && !map.as_ref().and_then(|map| map.get(key)).is_some_and(|held| self.holds(&held))
        });
        (kept, marked)
    }

    /// A list's way back without the deletion of items that are theirs.
    fn spared_items(&self, loro: &LoroDoc, id: &ContainerID, items: &[ListDiffItem]) -> Vec<ListDiffItem> {
        let at = |index| match id.container_type() {
            ContainerType::MovableList => loro.try_get_movable_list(id.clone())?.get(index),
            _ => loro.try_get_list(id.clone())?.get(index),
        };
        // Taken out at one place and put in at another, an item is not lost.
        let moved: HashSet<ContainerID> = items.iter().flat_map(moved_by).collect();
        let (mut spared, mut index) = (Vec::new(), 0);
        for item in items {
            match item {
                ListDiffItem::Delete { delete } => {
                    spared.extend((index..index + delete).map(|index| match at(index) {
                        Some(held)
                            if self.holds(&held) && !container_of(&held).is_some_and(|id| moved.contains(&id)) =>
                        {
                            ListDiffItem::Retain { retain: 1 }
                        }
                        _ => ListDiffItem::Delete { delete: 1 },
                    }));
                    index += delete;
                }
                ListDiffItem::Retain { retain } => {
                    index += retain;
                    spared.push(item.clone());
                }
                ListDiffItem::Insert { .. } => spared.push(item.clone()),
            }
        }
        spared
    }

    fn holds(&self, held: &ValueOrContainer) -> bool {
        container_of(held).is_some_and(|child| self.containers.contains(&child))
    }
}

fn moved_by(item: &ListDiffItem) -> Vec<ContainerID> {
    match item {
        ListDiffItem::Insert { insert, is_move: true } => insert.iter().filter_map(container_of).collect(),
        _ => Vec::new(),
    }
}

fn container_of(held: &ValueOrContainer) -> Option<ContainerID> {
    match held {
        ValueOrContainer::Container(child) => Some(child.id()),
        ValueOrContainer::Value(_) => None,
    }
}

/// A container is one of these, or lies in one of them.
fn is_within(id: &ContainerID, these: &HashSet<ContainerID>) -> bool {
    let mut at = Some(id.clone());
    while let Some(id) = at {
        if these.contains(&id) {
            return true;
        }
        at = id.parse_mergeable().map(|(parent, ..)| parent);
    }
    false
}
