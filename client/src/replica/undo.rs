//! Undo and redo of this device's own edits, over restarts, and never of what others wrote.

use std::collections::HashSet;

use loro::event::{Diff, DiffBatch, ListDiffItem, MapDelta, TreeDiff};
use loro::json::{JsonOpContent, TreeOp};
use loro::{
    ContainerID, ContainerTrait as _, ContainerType, Frontiers, IdSpan, Index, LoroDoc, LoroResult, TreeExternalDiff,
    TreeID, TreeParentId, ValueOrContainer,
};
use roost_shared::DocumentId;

use super::touched::{containers_in, spans_since};
use super::{EditError, Replica};
use crate::schema::{gate, is_computed};
use crate::store::{StoreError, Turn};

/// Whether an edit is one that the app may take back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembered {
    Yes,
    No,
}

impl Replica {
    /// Undoes this device's last edit of a document that was not undone yet; false if there is none. What others wrote
    /// since stays: where they wrote into the same place, theirs stands, and a record, text or node that the edit made and
    /// they have written into stays whole.
    pub fn undo(&mut self, id: DocumentId) -> Result<bool, EditError> {
        self.turn(id, false)
    }

    /// Makes the edit that was undone last again; false if there is none, or something was edited since.
    pub fn redo(&mut self, id: DocumentId) -> Result<bool, EditError> {
        self.turn(id, true)
    }

    fn turn(&mut self, id: DocumentId, undone: bool) -> Result<bool, EditError> {
        let Some((edit, later)) = self.store.last_undo(id, undone)? else { return Ok(false) };
        let before = self.frontiers(id)?;
        let theirs = self.written_by_others(id, &edit.after)?;
        // The edit that undoes is none that is undone.
        let turned = self.edit_as(id, Remembered::No, |loro| take_back(loro, &edit, &later, &theirs));
        if let Err(error @ EditError::Loro(_)) = turned {
            // It does not fit what the document has become: the next one is the one before it.
            self.store.turn_undo(id, edit.key, None, 0)?;
            return Err(error);
        }
        turned?;
        let after = self.frontiers(id)?;
        let by = (before != after).then_some((&before, &after));
        self.store.turn_undo(id, edit.key, by, self.clock.now_ms())?;
        Ok(true)
    }

    fn frontiers(&mut self, id: DocumentId) -> Result<Frontiers, EditError> {
        self.contain(id, |open| Ok(open.loro.oplog_frontiers()))
    }

    /// An edit of the app can be undone from now on.
    pub(super) fn remember_edit(&mut self, id: DocumentId, before: Frontiers) -> Result<(), StoreError> {
        let Some(open) = self.open.get(&id).filter(|_| self.index() != Some(id)) else { return Ok(()) };
        let after = open.loro.oplog_frontiers();
        let (at_ms, pause_ms) = (self.clock.now_ms(), self.undo_pause_ms);
        self.store.push_undo(id, (&before, &after), at_ms, pause_ms)
    }

    /// Edits of this device that follow on each other within this time are undone together.
    pub const fn set_undo_pause(&mut self, pause_ms: u64) {
        self.undo_pause_ms = pause_ms;
    }

    /// The operations that came since a version and are of no edit of this device.
    fn written_by_others(&mut self, id: DocumentId, since: &Frontiers) -> Result<Vec<IdSpan>, EditError> {
        let spans = self.contain(id, |open| {
            let seen = open.loro.frontiers_to_vv(since).unwrap_or_default();
            Ok(spans_since(&open.loro, &seen))
        })?;
        let mut theirs = Vec::new();
        for span in spans {
            if self.store.device_of(id, span.peer)? != Some(self.device.device_id()) {
                theirs.push(span);
            }
        }
        Ok(theirs)
    }
}

/// The edit backwards, past what others wrote since: as Loro's own undo does it, without the memory of a process. Where
/// someone has written the same key of a map since, that stands. Loro takes back a container by hiding it with all that is
/// in it, and shows a mergeable one again by making it as it was: neither is done to what others wrote into since. (What
/// is no mergeable container comes back as a new one, and nothing finds into that from before.)
fn take_back(loro: &LoroDoc, edit: &Turn, later: &[Turn], theirs: &[IdSpan]) -> LoroResult<()> {
    let inner = loro.inner();
    let back = inner.diff(&edit.after, &edit.before)?;
    if theirs.is_empty() && is_all(edit, later, &loro.oplog_frontiers()) {
        // What this device did since, it has taken back.
        return loro.apply_diff(without_schema(&back.into()));
    }
    // From where the edit ended to now: this device's turns, which come in pairs, and what others wrote between them. That
    // is carried past the turns that were open when it came, to stand where the edit ended.
    let mut open = vec![Open { key: edit.key, after: &edit.after, before: &edit.before, back: Some(back) }];
    let carry = |open: &mut Vec<Open<'_, _>>, from: &Frontiers, to: &Frontiers| {
        if from == to {
            return Ok(());
        }
        let mut came = inner.diff(from, to)?;
        for turn in open.iter_mut().rev() {
            let back = match &mut turn.back {
                Some(back) => back,
                none => none.insert(inner.diff(turn.after, turn.before)?),
            };
            let unmoved = came.clone();
            came.transform(back, true);
            back.transform(&unmoved, false);
        }
        LoroResult::Ok(())
    };
    let mut at = &edit.after;
    for turn in later {
        carry(&mut open, at, &turn.before)?;
        at = &turn.after;
        match open.pop_if(|open| turn.takes_back == Some(open.key)) {
            Some(_) => {}
            None => open.push(Open { key: turn.key, after: &turn.after, before: &turn.before, back: None }),
        }
    }
    carry(&mut open, at, &loro.oplog_frontiers())?;
    let Some(back) = open.into_iter().next().and_then(|edit| edit.back) else { return Ok(()) };
    let (rest, marks) = Theirs::of(loro, theirs).spared_by(loro, &without_schema(&back.into()));
    loro.apply_diff(rest)?;
    loro.apply_diff(marks)
}

/// Whether nothing came since but these turns. One that was not noted, after a crash or for want of space, is missed.
fn is_all(edit: &Turn, later: &[Turn], now: &Frontiers) -> bool {
    let ends = std::iter::once(edit).chain(later).map(|turn| &turn.after);
    later.iter().map(|turn| &turn.before).chain([now]).eq(ends)
}

/// What a document says of the apps that may read it only grows.
pub(crate) fn without_schema(back: &DiffBatch) -> DiffBatch {
    let schema = ContainerID::new_root(gate::ROOT, ContainerType::Map);
    let mut rest = DiffBatch::default();
    rest.set_full_state(back.is_full_state());
    for (id, diff) in back.iter().filter(|(id, _)| **id != schema) {
        let _ = rest.push(id.clone(), diff.clone()); // each id comes once
    }
    rest
}

/// A turn that was not taken back yet, and its way back from what the document had become.
struct Open<'a, Batch> {
    key: i64,
    after: &'a Frontiers,
    before: &'a Frontiers,
    back: Option<Batch>,
}
/// What others wrote into, and all that it lies in.
#[derive(Default)]
struct Theirs {
    containers: HashSet<ContainerID>,
    nodes: HashSet<TreeID>,
}

impl Theirs {
    fn of(loro: &LoroDoc, spans: &[IdSpan]) -> Self {
        let mut theirs = Self::default();
        for span in spans.iter().filter(|span| !is_computed(span.peer)) {
            let touched = containers_in(loro, *span);
            if touched.iter().any(|id| id.container_type() == ContainerType::Tree) {
                for op in loro.export_json_in_id_span(*span).iter().flat_map(|change| &change.ops) {
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
        for (id, index) in loro.get_path_to_container(&outermost).unwrap_or_default() {
            if let (Some(tree), Index::Node(node)) = (&within, index) {
                self.node(loro, tree, node);
            }
            self.containers.insert(id.clone());
            within = Some(id);
        }
    }

    fn node(&mut self, loro: &LoroDoc, tree: &ContainerID, node: TreeID) {
        let tree = loro.get_tree(tree.clone());
        let mut at = Some(node);
        while let Some(node) = at.filter(|node| self.nodes.insert(*node)) {
            at = match tree.parent(node) {
                Some(TreeParentId::Node(parent)) => Some(parent),
                _ => None,
            };
        }
    }

    /// A way back that leaves theirs alone: all of it but what would hide theirs, or make it again as it was; and the
    /// marks by which hidden containers are shown again with what they hold.
    fn spared_by(&self, loro: &LoroDoc, back: &DiffBatch) -> (DiffBatch, DiffBatch) {
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
        let map = loro.get_map(id.clone());
        let (mut kept, mut marked) = (delta.clone(), delta.clone());
        marked.updated.retain(|_, value| {
            let child = value.as_ref().and_then(container_of);
            child.is_some_and(|child| child.is_mergeable() && self.containers.contains(&child))
        });
        kept.updated
            .retain(|key, _| !marked.updated.contains_key(key) && !map.get(key).is_some_and(|held| self.holds(&held)));
        (kept, marked)
    }

    /// A list's way back without the deletion of items that are theirs.
    fn spared_items(&self, loro: &LoroDoc, id: &ContainerID, items: &[ListDiffItem]) -> Vec<ListDiffItem> {
        let at = |index| match id.container_type() {
            ContainerType::MovableList => loro.get_movable_list(id.clone()).get(index),
            _ => loro.get_list(id.clone()).get(index),
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

/// Whether a container is one of these, or lies in one of them.
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
