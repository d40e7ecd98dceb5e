//! Collections that are in use: their tables follow the documents.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use loro::json::{JsonOpContent, MapOp};
use loro::{ContainerID, ContainerType, LoroDoc, VersionVector};
use roost_shared::DocumentId;
use roost_shared::hash::Hash;

use super::touched::{Touched, touch};
use super::{EditError, Replica};
use crate::census::Census;
use crate::collection::{Fields, record};
use crate::spans::{changes_in, containers_in, len_of, pieces, spans_since};
use crate::store::{RecordRow, Store, StoreError};
use crate::tally;

/// Operations from which on a table is made anew rather than brought up to date, if most of the document came with them.
const ANEW_FROM: usize = 50_000;
/// Records that are told one by one. Where more changed at once, whoever follows the collection asks again.
const TOLD_MAX: usize = 20_000;

/// A collection in use.
#[derive(Debug)]
pub struct CollectionForm {
    /// The document it is in.
    pub document: DocumentId,
    /// The root map of its records.
    pub name: String,
    /// How its fields are kept.
    pub fields: Fields,
}

/// A record was added, changed or removed, here or by another device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordChange {
    /// The collection's document.
    pub document: DocumentId,
    /// The collection.
    pub collection: Arc<str>,
    /// The record.
    pub id: String,
    /// Its fields as they were stored; None if it was not there.
    pub before: Option<Arc<str>>,
    /// Its fields as they are stored; None if it is gone.
    pub after: Option<Arc<str>>,
}

/// The tables of the collections in use.
#[derive(Default)]
pub(super) struct Tables {
    in_use: HashMap<DocumentId, Vec<InUse>>,
    /// Documents that changed and whose tables did not follow yet.
    behind: HashSet<DocumentId>,
    changes: Vec<RecordChange>,
    /// Collections in which more changed than is told one by one.
    resets: Vec<(DocumentId, Arc<str>)>,
}

/// A collection in use and its table.
struct InUse {
    form: Arc<CollectionForm>,
    name: Arc<str>,
    table: i64,
    /// How far the table is; None if it was never filled.
    vv: Option<VersionVector>,
}

/// How far the tables of a document were, before a transaction.
pub(super) struct Mark {
    versions: Vec<Option<VersionVector>>,
    is_behind: bool,
    changes: usize,
    resets: usize,
}

impl Tables {
    pub(super) fn mark(&self, document: DocumentId) -> Mark {
        let in_use = self.in_use.get(&document).into_iter().flatten();
        Mark {
            versions: in_use.map(|in_use| in_use.vv.clone()).collect(),
            is_behind: self.behind.contains(&document),
            changes: self.changes.len(),
            resets: self.resets.len(),
        }
    }

    /// The tables are as they were: what was written into them since was taken back.
    pub(super) fn back_to(&mut self, document: DocumentId, mark: Mark) {
        let in_use = self.in_use.get_mut(&document).into_iter().flatten();
        in_use.zip(mark.versions).for_each(|(in_use, vv)| in_use.vv = vv);
        if !mark.is_behind {
            self.behind.remove(&document);
        }
        self.changes.truncate(mark.changes);
        self.resets.truncate(mark.resets);
    }
}

impl CollectionForm {
    /// Stands for how the fields are read: another form needs another table.
    fn hash(&self, schema: u32) -> [u8; 32] {
        let indexes = self.fields.indexes.iter().map(|field| format!("index {field}\n"));
        let merges = self.fields.merges.iter().map(|(field, merge)| format!("{} {field}\n", merge.name()));
        let text: String = indexes.chain(merges).collect();
        Hash::of(&[b"roost/v1/collection\0", &schema.to_be_bytes(), text.as_bytes()]).0
    }
}

impl Replica {
    /// Uses a collection from now on: its table is brought up to date, and follows.
    pub fn use_collection(&mut self, form: &Arc<CollectionForm>) -> Result<i64, EditError> {
        let hash = form.hash(self.schema.number());
        let held = self.tables.in_use.get(&form.document).into_iter().flatten();
        if let Some(held) = held.into_iter().find(|held| *held.name == form.name) {
            if held.form.hash(self.schema.number()) != hash {
                return Err(EditError::OtherForm(form.name.clone()));
            }
            return Ok(held.table);
        }
        let table = self.store.open_collection(form.document, &form.name, &hash, &form.fields.indexes)?;
        let (key, vv) = (table.key, table.vv);
        let mut in_use = InUse { form: Arc::clone(form), name: form.name.as_str().into(), table: key, vv };
        self.follow_collection(&mut in_use, true)?;
        self.tables.in_use.entry(form.document).or_default().push(in_use);
        Ok(key)
    }

    /// The store, with a document's tables as they are to be: one that could not follow does so now.
    pub fn followed(&mut self, document: DocumentId) -> Result<&Store, EditError> {
        if self.tables.behind.contains(&document) {
            self.follow_collections(document, true)?;
        }
        Ok(&self.store)
    }

    /// Operations came into a document: its tables are behind until they followed, and whether it can be sealed is not
    /// known until that is tried again.
    pub(super) fn has_changed(&mut self, document: DocumentId) {
        self.changed.push(document);
        self.left.remove(&document);
        if self.tables.in_use.contains_key(&document) {
            self.tables.behind.insert(document);
        }
    }

    /// After operations came into a document, by an edit here or from elsewhere: brings the tables of its collections up to date.
    pub(super) fn follow_collections(&mut self, document: DocumentId, is_own: bool) -> Result<(), EditError> {
        let Some(mut in_use) = self.tables.in_use.remove(&document) else { return Ok(()) };
        let followed = in_use.iter_mut().try_for_each(|in_use| self.follow_collection(in_use, is_own));
        self.tables.in_use.insert(document, in_use);
        match followed {
            Ok(()) => self.tables.behind.remove(&document),
            Err(_) => self.tables.behind.insert(document),
        };
        followed
    }

    fn follow_collection(&mut self, in_use: &mut InUse, is_own: bool) -> Result<(), EditError> {
        let form = Arc::clone(&in_use.form);
        let from = in_use.vv.clone();
        let (rows, vv, is_anew) = self.contain(form.document, |open| {
            let (loro, vv) = (&open.loro, open.loro.oplog_vv());
            // A table may be ahead: of a document of which changes were left out, or brought back from a backup.
            let from = from.filter(|from| vv.includes_vv(from) && !is_most(loro, from));
            let is_anew = from.is_none();
            let ids = match from {
                Some(from) if from == vv => BTreeSet::new(),
                Some(from) => changed_ids(loro, &form.name, &from),
                None => all_ids(loro, &form.name),
            };
            open.census.follow(loro);
            tally::count(|tally| tally.records += ids.len() as u64);
            let rows = ids.into_iter().map(|id| row(loro, &open.census, &form, id)).collect::<Vec<_>>();
            Ok((rows, vv, is_anew))
        })?;
        if in_use.vv.as_ref() == Some(&vv) {
            return Ok(());
        }
        if is_anew {
            let there = |(id, fields): RecordRow| Some((id, fields?));
            let rows: Vec<(String, String)> = rows.into_iter().filter_map(there).collect();
            self.store.fill_records(in_use.table, &rows, &vv)?;
            self.tables.resets.push((form.document, Arc::clone(&in_use.name)));
        } else {
            let before = self.store.put_records(in_use.table, &rows, &vv)?;
            let is_told = rows.len() <= TOLD_MAX;
            if !is_told {
                self.tables.resets.push((form.document, Arc::clone(&in_use.name)));
            }
            for ((id, after), before) in rows.into_iter().zip(before) {
                if before == after {
                    continue;
                }
                if let Some((_, report)) = self.round.as_mut().filter(|_| !is_own) {
                    match (&before, &after) {
                        (None, _) => report.added += 1,
                        (_, Some(_)) => report.updated += 1,
                        (_, None) => report.removed += 1,
                    }
                }
                if is_told {
                    let (before, after) = (before.map(Into::into), after.map(Into::into));
                    let (document, collection) = (form.document, Arc::clone(&in_use.name));
                    self.tables.changes.push(RecordChange { document, collection, id, before, after });
                }
            }
        }
        in_use.vv = Some(vv);
        Ok(())
    }

    /// Records that changed since the last call, and collections of which it is not known which.
    pub fn take_record_changes(&mut self) -> (Vec<RecordChange>, Vec<(DocumentId, Arc<str>)>) {
        (std::mem::take(&mut self.tables.changes), std::mem::take(&mut self.tables.resets))
    }

    /// The same, where a table that cannot follow now must not hold up the document.
    pub(super) fn follow_changes(&mut self, document: DocumentId, is_own: bool) -> Result<(), StoreError> {
        match self.follow_collections(document, is_own) {
            Err(EditError::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(%document, %error, "its collections are behind");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

fn row(loro: &LoroDoc, census: &Census, form: &CollectionForm, id: String) -> RecordRow {
    let fields = record::read(loro, census, &form.name, &id, &form.fields);
    (id, fields.map(|fields| serde_json::Value::Object(fields).to_string()))
}

/// Whether the operations since a version are many, and more than the document held before: to read all of its records
/// costs then no more than the operations do.
fn is_most(loro: &LoroDoc, from: &VersionVector) -> bool {
    let came = operations_since(loro, from);
    came > ANEW_FROM && came > operations_since(loro, &VersionVector::default()) / 2
}

fn operations_since(loro: &LoroDoc, from: &VersionVector) -> usize {
    spans_since(loro, from).into_iter().map(len_of).sum()
}

fn all_ids(loro: &LoroDoc, name: &str) -> BTreeSet<String> {
    loro.get_map(name).keys().map(|key| record::id_of(&key).to_owned()).collect()
}

fn changed_ids(loro: &LoroDoc, name: &str, from: &VersionVector) -> BTreeSet<String> {
    let root = ContainerID::new_root(name, ContainerType::Map);
    let mut touched = Touched::new();
    let mut keys = BTreeSet::new();
    for span in spans_since(loro, from) {
        let containers = containers_in(loro, span);
        touch(loro, &containers, &mut touched);
        if !containers.contains(&root) {
            continue;
        }
        // A record that was added, or that someone deleted outright, shows in the root map alone.
        let changes = pieces(loro, span).flat_map(|piece| changes_in(loro, piece));
        for op in changes.flat_map(|change| change.ops).filter(|op| op.container == root) {
            if let JsonOpContent::Map(MapOp::Insert { key, .. } | MapOp::Delete { key }) = &op.content {
                keys.insert(record::id_of(key).to_owned());
            }
        }
    }
    let records = touched.remove(name).unwrap_or_default();
    keys.extend(records.iter().map(|key| record::id_of(key).to_owned()));
    keys
}
