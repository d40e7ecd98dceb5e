//! A document in memory, as it is saved: filled from the store, imported into, proven, written out.

use std::collections::HashSet;

use loro::json::{JsonOpContent, ListOp, MapOp, MovableListOp, TextOp};
use loro::{ContainerID, ExportMode, IdSpan, LoroDoc, LoroError, LoroValue, PeerID, VersionVector};
use roost_shared::limits::NESTING_MAX;

use super::contain::{Refusal, scratch};
use super::dates::{Dates, HISTORY_GRAIN_S};
use super::digest::digest;
use crate::operations::census::Census;
use crate::operations::spans::{changes_in, containers_in, path_of, pieces, spans_since};
use crate::store::DocumentRow;
use crate::tally;

/// Documents up to this size are proven after every import; it takes a millisecond.
const PROVEN_ALWAYS: usize = 16 * 1024;
/// Larger ones once a part of them this large is new, so that the cost stays in proportion to what comes in.
const PROVEN_PART: usize = 16;
/// Operations that are tried as one update first.
pub(crate) const UPDATE_OPS: i32 = 1 << 20;

/// From this many updates on, a batch beats one by one.
const BATCH_FROM: usize = 4;
/// Bytes of updates that are imported as one batch.
const BATCH_BYTES: usize = 64 * 1024;

/// A document in memory.
pub(crate) struct OpenDocument {
    pub(crate) loro: LoroDoc,
    /// What the log has of it.
    pub(crate) log_vv: VersionVector,
    /// What is saved beside the snapshot: how many changes, and their bytes.
    pub(crate) changes: usize,
    pub(crate) change_bytes: usize,
    pub(crate) snapshot_bytes: usize,
    /// When it was used last, in uses of any.
    pub(crate) used: u64,
    /// Whether it is on the disk whose peer id it writes under.
    pub(crate) is_signed: bool,
    /// The schema version whose steps looked at all of it.
    pub(crate) migrated: u32,
    /// The document's roots and counters, from its operations.
    pub(crate) census: Census,
    /// The version that is saved.
    pub(crate) saved: VersionVector,
    /// Operations that wait for others, as they are saved.
    pub(crate) waits: Option<Vec<u8>>,
    /// The peer it was opened under.
    pub(crate) peer: PeerID,
    /// The dates of its commits.
    pub(crate) dates: Dates,
    /// The time of this process's last edit, by the monotonic clock.
    pub(crate) edited_at_ms: Option<u64>,
    /// About as many operations as fit into one update.
    pub(crate) update_ops: i32,
    /// Bytes of others since Loro last wrote all of it out, and how many it wrote.
    unproven_bytes: usize,
    proven_bytes: usize,
}

/// A state of a document that operations do not bring about.
pub(crate) enum Stray {
    Peer,
    Detached,
    Shallow,
}

/// The operations beyond a version, and what they wrote into.
pub(crate) struct Beyond {
    pub(crate) spans: Vec<IdSpan>,
    pub(crate) containers: Vec<ContainerID>,
}

/// What an import brought.
pub(crate) struct Taken {
    /// As this device's Loro writes it: what another wrote may kill it at the next start.
    pub(crate) changes: Vec<Vec<u8>>,
    /// Whether something depends on what is not here.
    pub(crate) is_pending: bool,
}

impl OpenDocument {
    pub(crate) fn new() -> Self {
        let loro = LoroDoc::new();
        let (peer, dates) = (loro.peer_id(), Dates::of(&loro));
        Self {
            loro,
            dates,
            waits: None,
            edited_at_ms: None,
            log_vv: VersionVector::default(),
            changes: 0,
            change_bytes: 0,
            snapshot_bytes: 0,
            used: 0,
            is_signed: false,
            migrated: 0,
            census: Census::default(),
            saved: VersionVector::default(),
            peer,
            update_ops: UPDATE_OPS,
            unproven_bytes: 0,
            proven_bytes: 0,
        }
    }

    /// Fills a new one from the store.
    pub(crate) fn fill(&mut self, row: &DocumentRow) -> Result<(), LoroError> {
        self.census = Census::new(row.roots.clone());
        // Loro shows one root of each name, the one it met last: the same on every device and at every opening.
        for (name, kinds) in self.census.clashes() {
            for kind in kinds {
                let _ = self.loro.get_container(ContainerID::new_root(name, *kind));
            }
        }
        if let Some(snapshot) = &row.snapshot {
            tally::imported(snapshot);
            self.loro.import(snapshot)?;
            self.snapshot_bytes = snapshot.len();
            self.proven_bytes = snapshot.len();
        }
        let changes: Vec<Vec<u8>> = row.changes.iter().map(|change| change.bytes.clone()).collect();
        import(&self.loro, &changes)?;
        self.changes = changes.len();
        self.change_bytes = changes.iter().map(Vec::len).sum();
        self.log_vv = row.log_vv.clone();
        self.is_saved();
        if row.roots.is_empty() {
            self.census.meet(&self.beyond(&VersionVector::default()).containers); // saved before roots were
        }
        Ok(())
    }

    /// Changes were saved beside the snapshot, and all the document holds is saved with them.
    pub(crate) fn grew(&mut self, changes: &[Vec<u8>]) {
        self.changes += changes.len();
        self.change_bytes += changes.iter().map(Vec::len).sum::<usize>();
        self.is_saved();
    }

    /// All it holds is saved, and what waits in it.
    pub(crate) fn is_saved(&mut self) {
        self.saved = self.loro.oplog_vv();
        self.waits = self.waiting();
    }

    /// Operations in the document that wait for others.
    pub(crate) fn waiting(&self) -> Option<Vec<u8>> {
        self.loro.export_pending_updates().ok().flatten()
    }

    /// Whether the log has all operations of the document, those that wait for others included.
    pub(crate) fn is_in_log(&self) -> bool {
        self.log_vv.includes_vv(&self.loro.oplog_vv()) && !self.waits_unsent()
    }

    /// Whether the log lacks operations that wait for others which are not here.
    pub(crate) fn waits_unsent(&self) -> bool {
        let lacks = |waits: Vec<u8>| {
            let meta = LoroDoc::decode_import_blob_meta(&waits, false);
            meta.is_ok_and(|meta| !self.log_vv.includes_vv(&meta.partial_end_vv))
        };
        self.waiting().is_some_and(lacks)
    }

    /// Makes it ready to be written by this device.
    pub(crate) fn begin(&mut self, peer: PeerID) -> Result<(), LoroError> {
        self.loro.set_peer_id(peer)?;
        self.peer = peer;
        self.calm();
        Ok(())
    }

    /// Takes back what a closure may have set.
    fn calm(&self) {
        self.loro.set_record_timestamp(false); // `dates` does
        self.loro.set_change_merge_interval(HISTORY_GRAIN_S);
        self.loro.set_hide_empty_root_containers(false);
        self.loro.clear_next_commit_options();
    }

    /// The document is in the state that every closure is given it in: what is saved, all of it, at its newest
    /// version, under its own peer. An app may have kept a handle on it, or left it elsewhere.
    pub(crate) fn is_as_saved(&self) -> bool {
        self.loro.commit();
        self.calm();
        self.stray().is_none() && self.loro.oplog_vv() == self.saved && self.waiting() == self.waits
    }

    /// Looks at the document, and whether it is as it was saved after that. A look into the past ends with the look.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&LoroDoc) -> T) -> (T, bool) {
        let looked = look(&self.loro);
        if self.loro.is_detached() {
            self.loro.checkout_to_latest();
        }
        (looked, self.is_as_saved())
    }

    /// A state that a closure left the document in without an operation.
    pub(crate) fn stray(&self) -> Option<Stray> {
        if self.loro.peer_id() != self.peer || self.loro.is_detached_editing_enabled() {
            Some(Stray::Peer)
        } else if self.loro.is_detached() {
            Some(Stray::Detached)
        } else if self.loro.is_shallow() {
            Some(Stray::Shallow)
        } else {
            None
        }
    }

    /// A snapshot and the rest beside it are what is saved now.
    pub(crate) fn compacted(&mut self, snapshot_bytes: usize, rest: Option<&[u8]>) {
        self.changes = usize::from(rest.is_some());
        self.change_bytes = rest.map_or(0, <[u8]>::len);
        self.snapshot_bytes = snapshot_bytes;
        (self.unproven_bytes, self.proven_bytes) = (0, snapshot_bytes);
    }

    /// Imports what others wrote: snapshots first and alone, then the updates at once.
    pub(crate) fn take_in(&mut self, snapshots: &[&[u8]], updates: Vec<Vec<u8>>) -> Result<Taken, Refusal> {
        let before = self.loro.oplog_vv();
        let mut is_pending = false;
        for snapshot in snapshots {
            let history = history(snapshot)?;
            tally::imported(&history);
            is_pending |= self.loro.import(&history)?.pending.is_some();
        }
        self.unproven_bytes +=
            updates.iter().map(Vec::len).chain(snapshots.iter().map(|bytes| bytes.len())).sum::<usize>();
        is_pending |= import(&self.loro, &updates)?;
        let mut changes = Vec::new();
        if !before.includes_vv(&self.loro.oplog_vv()) {
            let beyond = self.beyond(&before);
            changes.push(self.update_since(&before, &beyond)?);
            self.census.meet(&beyond.containers);
        }
        if is_pending {
            changes.extend(self.loro.export_pending_updates().map_err(LoroError::from)?);
        }
        Ok(Taken { changes, is_pending })
    }

    /// The operations the document holds beyond a version.
    pub(crate) fn beyond(&self, before: &VersionVector) -> Beyond {
        let spans = spans_since(&self.loro, before);
        let containers: HashSet<ContainerID> = spans.iter().flat_map(|span| containers_in(&self.loro, *span)).collect();
        Beyond { spans, containers: containers.into_iter().collect() }
    }

    /// What the document holds beyond `before`, within the limit of depth.
    pub(crate) fn update_since(&self, before: &VersionVector, beyond: &Beyond) -> Result<Vec<u8>, Refusal> {
        let update = self.loro.export(ExportMode::updates(before)).map_err(LoroError::from)?;
        tally::exported(&update);
        let is_deep = |id: &ContainerID| path_of(&self.loro, id).is_some_and(|path| path.len() > NESTING_MAX);
        // A level of a value takes a byte at the least.
        let may_nest = update.len() > NESTING_MAX;
        let has_deep_value = |span: &IdSpan| may_nest && has_deep_value(&self.loro, *span);
        if beyond.containers.iter().any(is_deep) || beyond.spans.iter().any(has_deep_value) {
            return Err(Refusal::TooDeep);
        }
        Ok(update)
    }

    /// Whether it is time to prove that Loro can still write it.
    pub(crate) const fn is_unproven(&self) -> bool {
        self.unproven_bytes > 0
            && (self.proven_bytes <= PROVEN_ALWAYS || self.unproven_bytes >= self.proven_bytes / PROVEN_PART)
    }

    /// Some damage shows only when Loro writes the whole document, or reads what it wrote. A snapshot that holds the
    /// same document.
    pub(crate) fn prove(&mut self) -> Result<Vec<u8>, LoroError> {
        let snapshot = self.snapshot()?;
        self.census.follow(&self.loro);
        let read = scratch(|read| {
            tally::imported(&snapshot);
            read.import(&snapshot)?;
            Ok(digest(read, &self.census.of_copy(read)))
        })?;
        if read != digest(&self.loro, &self.census) {
            return Err(LoroError::DecodeDataCorruptionError);
        }
        (self.unproven_bytes, self.proven_bytes) = (0, snapshot.len());
        Ok(snapshot)
    }

    pub(crate) fn snapshot(&self) -> Result<Vec<u8>, LoroError> {
        let snapshot = self.loro.export(ExportMode::Snapshot)?;
        tally::exported(&snapshot);
        Ok(snapshot)
    }
}

/// Imports updates, many small ones at once and each large one alone: whether one of them waits for operations that are
/// not here.
///
/// One by one, a backlog of small updates costs its square. At once, Loro replays all of them, and a replay costs the
/// square of the longest piece of text in it.
fn import(loro: &LoroDoc, updates: &[Vec<u8>]) -> Result<bool, LoroError> {
    let (mut at, mut is_pending) = (0, false);
    while at < updates.len() {
        let mut bytes = 0;
        let fits = |update: &&Vec<u8>| {
            bytes += update.len();
            bytes <= BATCH_BYTES
        };
        let count = updates[at..].iter().take_while(fits).count().max(1);
        let batch = &updates[at..at + count];
        batch.iter().for_each(|update| tally::imported(update));
        if count < BATCH_FROM {
            for update in batch {
                is_pending |= loro.import(update)?.pending.is_some();
            }
        } else {
            is_pending |= loro.import_batch(batch)?.pending.is_some();
        }
        at += count;
    }
    Ok(is_pending)
}

/// The operations of a snapshot, all it follows on included: of a part of a history, what has no beginning would be lost
/// without a word. The state in it is another's word, and read only when it is needed; this device's Loro makes it anew.
fn history(snapshot: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (history, is_whole) = scratch(|read| {
        tally::imported(snapshot);
        let is_whole = read.import(snapshot)?.pending.is_none() && !read.is_shallow();
        Ok((read.export(ExportMode::all_updates())?, is_whole))
    })?;
    tally::exported(&history);
    if is_whole { Ok(history) } else { Err(Refusal::Shallow) }
}

/// Operations of the span write a value that is nested too deep.
fn has_deep_value(loro: &LoroDoc, span: IdSpan) -> bool {
    let changes = pieces(loro, span).flat_map(|piece| changes_in(loro, piece));
    changes.flat_map(|change| change.ops).any(|op| match &op.content {
        JsonOpContent::List(ListOp::Insert { value, .. })
        | JsonOpContent::MovableList(MovableListOp::Insert { value, .. }) => value.iter().any(is_deep_value),
        JsonOpContent::MovableList(MovableListOp::Set { value, .. })
        | JsonOpContent::Map(MapOp::Insert { value, .. })
        | JsonOpContent::Text(TextOp::Mark { style_value: value, .. }) => is_deep_value(value),
        JsonOpContent::List(_)
        | JsonOpContent::MovableList(_)
        | JsonOpContent::Map(_)
        | JsonOpContent::Text(_)
        | JsonOpContent::Tree(_)
        | JsonOpContent::Future(_) => false,
    })
}

fn is_deep_value(value: &LoroValue) -> bool {
    let mut open = vec![(value, 0)];
    while let Some((value, depth)) = open.pop() {
        if depth > NESTING_MAX {
            return true;
        }
        match value {
            LoroValue::List(list) => open.extend(list.iter().map(|item| (item, depth + 1))),
            LoroValue::Map(map) => open.extend(map.values().map(|item| (item, depth + 1))),
            LoroValue::Null
            | LoroValue::Bool(_)
            | LoroValue::Double(_)
            | LoroValue::I64(_)
            | LoroValue::Binary(_)
            | LoroValue::String(_)
            | LoroValue::Container(_) => {}
        }
    }
    false
}
