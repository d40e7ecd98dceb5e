//! Collections that are in use: their tables follow the documents.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use loro::json::{JsonOpContent, MapOp};
use loro::{ContainerID, ContainerType, LoroDoc, VersionVector};
use roost_shared::DocumentId;
use roost_shared::hash::Hash;

use super::fields::Fields;
use super::record;
use crate::documents::cache::Documents;
use crate::documents::error::EditError;
use crate::documents::open::OpenDocument;
use crate::operations::census::Census;
use crate::operations::spans::{changes_in, containers_in, len_of, pieces, spans_since};
use crate::operations::touched::{Touched, touch};
use crate::store::{RecordRow, Store};
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
pub(crate) struct Tables {
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
pub(crate) struct Mark {
    versions: Vec<Option<VersionVector>>,
    is_behind: bool,
    changes: usize,
    resets: usize,
}

impl Tables {
    pub(crate) fn mark(&self, document: DocumentId) -> Mark {
        let in_use = self.in_use.get(&document).into_iter().flatten();
        Mark {
            versions: in_use.map(|in_use| in_use.vv.clone()).collect(),
            is_behind: self.behind.contains(&document),
            changes: self.changes.len(),
            resets: self.resets.len(),
        }
    }

    /// The tables are as they were: what was written into them since was taken back.
    pub(crate) fn back_to(&mut self, document: DocumentId, mark: Mark) {
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

impl Tables {
    /// Uses a collection from now on: its table is brought up to date, and follows.
    pub(crate) fn open(
        &mut self,
        store: &mut Store,
        documents: &mut Documents,
        form: &Arc<CollectionForm>,
        schema: u32,
    ) -> Result<i64, EditError> {
        let hash = form.hash(schema);
        let held = self.in_use.get(&form.document).into_iter().flatten();
        if let Some(held) = held.into_iter().find(|held| *held.name == form.name) {
            if held.form.hash(schema) != hash {
                return Err(EditError::OtherForm(form.name.clone()));
            }
            return Ok(held.table);
        }
        let table = store.open_collection(form.document, &form.name, &hash, &form.fields.indexes)?;
        let (key, vv) = (table.key, table.vv);
        let mut in_use = InUse { form: Arc::clone(form), name: form.name.as_str().into(), table: key, vv };
        self.follow_one(store, documents, &mut in_use)?;
        self.in_use.entry(form.document).or_default().push(in_use);
        Ok(key)
    }

    /// True for a document whose tables have yet to follow it.
    pub(crate) fn is_behind(&self, document: DocumentId) -> bool {
        self.behind.contains(&document)
    }

    /// Operations came into a document: its tables are behind until they followed.
    pub(crate) fn has_changed(&mut self, document: DocumentId) {
        if self.in_use.contains_key(&document) {
            self.behind.insert(document);
        }
    }

    /// Brings the tables of a document's collections up to date, after an edit or an import; how many records were added,
    /// changed and removed.
    pub(crate) fn follow(
        &mut self,
        store: &mut Store,
        documents: &mut Documents,
        document: DocumentId,
    ) -> Result<Followed, EditError> {
        let Some(mut in_use) = self.in_use.remove(&document) else { return Ok(Followed::default()) };
        let followed = in_use
            .iter_mut()
            .try_fold(Followed::default(), |so_far, in_use| Ok(so_far.and(self.follow_one(store, documents, in_use)?)));
        self.in_use.insert(document, in_use);
        match followed {
            Ok(_) => self.behind.remove(&document),
            Err(_) => self.behind.insert(document),
        };
        followed
    }

    fn follow_one(
        &mut self,
        store: &mut Store,
        documents: &mut Documents,
        in_use: &mut InUse,
    ) -> Result<Followed, EditError> {
        let form = Arc::clone(&in_use.form);
        let read = documents.contain(store, form.document, |open| Ok(read(open, &form, in_use.vv.as_ref())))?;
        let mut followed = Followed::default();
        let Read { rows, vv, is_anew } = read;
        if in_use.vv.as_ref() == Some(&vv) {
            return Ok(followed);
        }
        if is_anew {
            let there = |(id, fields): RecordRow| Some((id, fields?));
            let rows: Vec<(String, String)> = rows.into_iter().filter_map(there).collect();
            store.fill_records(in_use.table, &rows, &vv)?;
            self.resets.push((form.document, Arc::clone(&in_use.name)));
        } else {
            let before = store.put_records(in_use.table, &rows, &vv)?;
            let is_told = rows.len() <= TOLD_MAX;
            if !is_told {
                self.resets.push((form.document, Arc::clone(&in_use.name)));
            }
            for ((id, after), before) in rows.into_iter().zip(before) {
                if before == after {
                    continue;
                }
                match (&before, &after) {
                    (None, _) => followed.added += 1,
                    (_, Some(_)) => followed.updated += 1,
                    (_, None) => followed.removed += 1,
                }
                if is_told {
                    let (before, after) = (before.map(Into::into), after.map(Into::into));
                    let (document, collection) = (form.document, Arc::clone(&in_use.name));
                    self.changes.push(RecordChange { document, collection, id, before, after });
                }
            }
        }
        in_use.vv = Some(vv);
        Ok(followed)
    }

    /// Records that changed since the last call, and collections of which it is not known which.
    pub(crate) fn take(&mut self) -> (Vec<RecordChange>, Vec<(DocumentId, Arc<str>)>) {
        (std::mem::take(&mut self.changes), std::mem::take(&mut self.resets))
    }
}

/// The number of records of a document's tables that changed.
#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) added: u64,
    pub(crate) updated: u64,
    pub(crate) removed: u64,
}

impl Followed {
    const fn and(self, more: Self) -> Self {
        Self {
            added: self.added + more.added,
            updated: self.updated + more.updated,
            removed: self.removed + more.removed,
        }
    }
}

/// Records as the document has them.
struct Read {
    rows: Vec<RecordRow>,
    vv: VersionVector,
    /// The list holds all records, not the changed ones alone.
    is_anew: bool,
}

/// Reads the records that changed since a table followed last, or all of them.
fn read(open: &mut OpenDocument, form: &CollectionForm, from: Option<&VersionVector>) -> Read {
    let (loro, vv) = (&open.loro, open.loro.oplog_vv());
    // A table may be ahead: of a document of which changes were left out, or brought back from a backup.
    let from = from.filter(|from| vv.includes_vv(from) && !is_most(loro, from));
    let is_anew = from.is_none();
    let ids = match from {
        Some(from) if *from == vv => BTreeSet::new(),
        Some(from) => changed_ids(loro, &form.name, from),
        None => all_ids(loro, &form.name),
    };
    open.census.follow(loro);
    tally::count(|tally| tally.records += ids.len() as u64);
    let rows = ids.into_iter().map(|id| row(loro, &open.census, form, id)).collect::<Vec<_>>();
    Read { rows, vv, is_anew }
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
