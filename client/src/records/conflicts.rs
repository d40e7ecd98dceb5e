//! Which values of records hid others, when operations come in: those that one device wrote without having seen another's.
//!
//! An operation that came in is held against those that were here and that its author had not seen; what that costs is in
//! proportion to what was written on both sides meanwhile.

use std::collections::{BTreeMap, HashMap};

use loro::json::{JsonChange, JsonOpContent, MapOp};
use loro::{ContainerID, Index, LoroDoc, LoroValue, VersionVector};
use roost_shared::DocumentId;
use serde_json::Value;

use super::record::DELETED;
use crate::documents::cache::Documents;
use crate::documents::error::EditError;
use crate::operations::spans::{changes_in, path_of, pieces, spans_since};
use crate::store::{ConflictRow, Store, StoreError};
use crate::tally;

/// A write of one field.
struct Wrote {
    peer: u64,
    lamport: u32,
    field: String,
    what: What,
}

#[derive(PartialEq)]
enum What {
    Value(Value),
    TakenOut,
    /// Into the text, set or counter that the field is: it merges with all but the end of its record.
    Into,
}

/// The last write of each field of a record by each peer.
type OfRecord = BTreeMap<(String, u64), Wrote>;
/// Writes by the container of the record they went into.
type Writes = HashMap<ContainerID, OfRecord>;

/// Notes the values that were hidden as operations of others came into a document after `before`; how many.
pub(crate) fn find(
    store: &mut Store,
    documents: &mut Documents,
    id: DocumentId,
    before: &VersionVector,
) -> Result<usize, StoreError> {
    let collections = store.collections_of(id)?;
    if collections.is_empty() || before.is_empty() {
        return Ok(0);
    }
    match documents.contain(store, id, |open| Ok(conflicts(&open.loro, id, &collections, before))) {
        Ok(found) if found.is_empty() => Ok(0),
        Ok(found) => store.add_conflicts(&found),
        Err(EditError::Store(error)) => Err(error),
        Err(error) => {
            tracing::error!(document = %id, %error, "it is not known what hid what");
            Ok(0)
        }
    }
}

fn conflicts(loro: &LoroDoc, document: DocumentId, collections: &[String], before: &VersionVector) -> Vec<ConflictRow> {
    let mut found = Vec::new();
    let came = spans_since(loro, before).into_iter().flat_map(|span| pieces(loro, span));
    let came = came.flat_map(|piece| changes_in(loro, piece));
    // What was here and the author of a change had not seen.
    let mut unseen: HashMap<Vec<(u64, i32)>, Writes> = HashMap::new();
    for change in came {
        let deps = change.deps.clone().into();
        let Some(seen) = loro.frontiers_to_vv(&deps) else { continue };
        let mut key: Vec<(u64, i32)> = before.iter().map(|(peer, end)| (*peer, *end)).collect();
        key.retain(|(peer, end)| seen.get(peer).copied().unwrap_or(0) < *end && *peer != change.id.peer);
        if key.is_empty() {
            continue;
        }
        key.iter_mut().for_each(|(peer, end)| *end = seen.get(peer).copied().unwrap_or(0).min(*end));
        key.sort_unstable();
        let others = unseen.entry(key.clone()).or_insert_with(|| {
            let spans = key.iter().filter_map(|(peer, from)| {
                let end = before.get(peer).copied()?;
                Some(loro::IdSpan::new(*peer, *from, end))
            });
            let changes: Vec<JsonChange> = spans.flat_map(|span| changes_in(loro, span)).collect();
            writes(loro, &changes)
        });
        for (container, wrote) in writes(loro, std::slice::from_ref(&change)) {
            let Some(others) = others.get(&container) else { continue };
            let Some((collection, record)) = record_of(loro, &container, collections) else { continue };
            let mut wrote: Vec<Wrote> = wrote.into_values().collect();
            wrote.sort_by_key(|wrote| wrote.lamport);
            for wrote in &wrote {
                for other in about(others, wrote) {
                    let (kept, hidden) = if wins(wrote, other) { (wrote, other) } else { (other, wrote) };
                    if kept.what == hidden.what || loro_has_moved_on(loro, &container, kept) {
                        continue;
                    }
                    found.push(row(document, &collection, &record, kept, hidden));
                }
            }
        }
    }
    found
}

/// The writes of a record that a write may be in conflict with, by peer and in turn. All others are not looked at: a
/// record may have a hundred thousand fields.
fn about<'a>(others: &'a OfRecord, wrote: &Wrote) -> Vec<&'a Wrote> {
    let of = |field: &str| others.range((field.to_owned(), 0)..=(field.to_owned(), u64::MAX)).map(|(_, other)| other);
    let mut about: Vec<&Wrote> = match wrote.field == DELETED {
        true => others.values().collect(),
        false => of(&wrote.field).chain(of(DELETED)).collect(),
    };
    tally::count(|tally| tally.compared += about.len() as u64);
    about.retain(|other| is_about(other, wrote));
    about.sort_by_key(|other| (other.peer, other.lamport));
    about
}

/// The same field; or one deleted the record that the other wrote into.
fn is_about(one: &Wrote, other: &Wrote) -> bool {
    let deletes = |wrote: &Wrote| wrote.field == DELETED && wrote.what == What::Value(true.into());
    let writes = |wrote: &Wrote| !wrote.field.starts_with('~');
    let is_into = one.what == What::Into || other.what == What::Into;
    one.field == other.field && writes(one) && !is_into
        || deletes(one) && writes(other)
        || deletes(other) && writes(one)
}

/// As Loro decides; a record that was deleted stays deleted, whatever is written into it.
fn wins(one: &Wrote, other: &Wrote) -> bool {
    match (one.field == DELETED, other.field == DELETED) {
        (true, false) => true,
        (false, true) => false,
        _ => (one.lamport, one.peer) > (other.lamport, other.peer),
    }
}

/// Whoever wrote last had seen both.
fn loro_has_moved_on(loro: &LoroDoc, container: &ContainerID, kept: &Wrote) -> bool {
    let map = loro.get_map(container.clone());
    map.get_last_editor(&kept.field).is_some_and(|editor| editor != kept.peer)
}

fn row(document: DocumentId, collection: &str, record: &str, kept: &Wrote, hidden: &Wrote) -> ConflictRow {
    let text = |wrote: &Wrote| match &wrote.what {
        What::Value(value) if wrote.field != DELETED => value.to_string(),
        What::Value(_) | What::TakenOut | What::Into => Value::Null.to_string(),
    };
    let field = if kept.field == DELETED { &hidden.field } else { &kept.field };
    ConflictRow {
        key: 0,
        document,
        collection: collection.to_owned(),
        record: record.to_owned(),
        field: field.clone(),
        kept: text(kept),
        kept_peer: kept.peer,
        kept_by: None,
        hidden: text(hidden),
        hidden_peer: hidden.peer,
        hidden_by: None,
    }
}

/// The last write of each field by each peer, by the container of the record.
fn writes(loro: &LoroDoc, changes: &[JsonChange]) -> Writes {
    let mut writes = Writes::new();
    let mut places: HashMap<&ContainerID, Option<(ContainerID, Option<String>)>> = HashMap::new();
    for change in changes {
        for op in &change.ops {
            let place = places.entry(&op.container).or_insert_with(|| place_of(loro, &op.container));
            let Some((record, within)) = place.clone() else { continue };
            let (field, what) = match (&op.content, within) {
                (_, Some(field)) => (field, What::Into),
                // The mark of a child container, such as a text: nobody's value.
                (JsonOpContent::Map(MapOp::Insert { value: LoroValue::Binary(_), .. }), _) => continue,
                (JsonOpContent::Map(MapOp::Insert { key, value }), _) => {
                    (key.to_string(), What::Value(value.clone().into()))
                }
                (JsonOpContent::Map(MapOp::Delete { key }), _) => (key.to_string(), What::TakenOut),
                _ => continue,
            };
            let peer = change.id.peer;
            let lamport = change.lamport + op.counter.abs_diff(change.id.counter);
            let wrote = Wrote { peer, lamport, field: field.clone(), what };
            writes.entry(record).or_default().insert((field, peer), wrote);
        }
    }
    writes
}

/// The container of the record that a container is, or is the field of, and that field.
fn place_of(loro: &LoroDoc, container: &ContainerID) -> Option<(ContainerID, Option<String>)> {
    let path = path_of(loro, container)?;
    match &path[..] {
        [_, (record, Index::Key(_))] => Some((record.clone(), None)),
        [_, (record, Index::Key(_)), (_, Index::Key(field)), ..] => Some((record.clone(), Some(field.to_string()))),
        _ => None,
    }
}

/// The collection, and the key of the record, that a container is; if it is one.
fn record_of(loro: &LoroDoc, container: &ContainerID, collections: &[String]) -> Option<(String, String)> {
    let path = path_of(loro, container)?;
    let [(_, Index::Key(root)), (_, Index::Key(record))] = &path[..] else { return None };
    let collection = collections.iter().find(|name| name.as_str() == &**root)?;
    Some((collection.clone(), record.to_string()))
}
