//! A record in its document: a mergeable map below the collection's root map.
//!
//! ```text
//! root "todos"  ─ "ID"    { title, done, ~deleted }     the first life of the record
//!               ─ "ID~2"  { title, done }               the second, after it was deleted and made again
//! ```
//! A record is deleted by a mark, so that what others wrote meanwhile is not lost. Made again under the same id it gets a
//! new map: nothing of its former life shows through.

use loro::{LoroDoc, LoroMap, LoroResult};
use serde_json::{Map, Value};

use super::fields::{self, Fields, Writer};
use crate::operations::census::Census;

/// The mark of a deleted record.
pub(crate) const DELETED: &str = "~deleted";
/// What stands between an id and the number of its life.
const LIFE: char = '~';

/// The id of the record that a key of the root map belongs to.
pub(crate) fn id_of(key: &str) -> &str {
    key.split(LIFE).next().unwrap_or(key)
}

/// The newest life of a record, and its number from 1; None if there never was one.
fn newest(root: &LoroMap, id: &str) -> Option<(u32, LoroMap)> {
    let mut newest = None;
    for life in 1.. {
        let Some(map) = root.get(&key(id, life)).and_then(|held| held.into_container().ok()?.into_map().ok()) else {
            break;
        };
        newest = Some((life, map));
    }
    newest
}

fn key(id: &str, life: u32) -> String {
    if life == 1 { id.to_owned() } else { format!("{id}{LIFE}{life}") }
}

fn is_deleted(record: &LoroMap) -> bool {
    record.get(DELETED).is_some_and(|mark| mark.get_deep_value().as_bool() == Some(&true))
}

/// A record's fields as they are stored; None if there is none, or it was deleted.
pub(crate) fn read(
    loro: &LoroDoc,
    census: &Census,
    collection: &str,
    id: &str,
    fields: &Fields,
) -> Option<Map<String, Value>> {
    let (_, record) = newest(&loro.get_map(collection), id)?;
    (!is_deleted(&record)).then(|| fields::read(&record, census, fields))
}

/// Whether a record's newest life lies under this key.
pub(crate) fn is_newest(loro: &LoroDoc, collection: &str, id: &str, life_key: &str) -> bool {
    newest(&loro.get_map(collection), id).is_some_and(|(life, _)| key(id, life) == life_key)
}

/// Whether a field is a container of its own, such as a text.
pub(crate) fn is_container(loro: &LoroDoc, collection: &str, id: &str, field: &str) -> bool {
    let record = newest(&loro.get_map(collection), id);
    record.and_then(|(_, record)| record.get(field)).is_some_and(|held| held.is_container())
}

/// Makes a record, or makes it again; false if it is there.
pub(crate) fn create(
    loro: &LoroDoc,
    collection: &str,
    id: &str,
    values: &Map<String, Value>,
    fields: &Fields,
    writer: &mut Writer<'_>,
) -> LoroResult<bool> {
    let root = loro.get_map(collection);
    let life = match newest(&root, id) {
        None => 1,
        Some((life, record)) if is_deleted(&record) => life + 1,
        Some(_) => return Ok(false),
    };
    let record = root.ensure_mergeable_map(&key(id, life))?;
    let filled: Vec<_> = values.iter().filter(|(_, value)| !value.is_null()).collect();
    for (field, value) in &filled {
        fields::write(&record, field, &fields.of(field), None, Some(value), writer)?;
    }
    if filled.is_empty() {
        record.insert(DELETED, false)?; // an empty map would not be seen
    }
    Ok(true)
}

/// Writes the fields in which `after` differs from `before`; false if the record is not there.
pub(crate) fn update(
    loro: &LoroDoc,
    collection: &str,
    id: &str,
    (before, after): (&Map<String, Value>, &Map<String, Value>),
    fields: &Fields,
    writer: &mut Writer<'_>,
) -> LoroResult<bool> {
    let Some((_, record)) = newest(&loro.get_map(collection), id).filter(|(_, record)| !is_deleted(record)) else {
        return Ok(false);
    };
    for field in before.keys().filter(|field| !after.contains_key(*field)) {
        fields::write(&record, field, &fields.of(field), before.get(field), None, writer)?;
    }
    for (field, value) in after {
        fields::write(&record, field, &fields.of(field), before.get(field), Some(value), writer)?;
    }
    Ok(true)
}

/// Deletes a record, or brings the newest life of a deleted one back; false if there is nothing to do.
pub(crate) fn set_deleted(loro: &LoroDoc, collection: &str, id: &str, deleted: bool) -> LoroResult<bool> {
    let Some((_, record)) = newest(&loro.get_map(collection), id).filter(|(_, record)| is_deleted(record) != deleted)
    else {
        return Ok(false);
    };
    record.insert(DELETED, deleted)?;
    Ok(true)
}
