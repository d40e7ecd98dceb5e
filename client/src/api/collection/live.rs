//! Answers that stay right: what a change costs is in proportion to what changed.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::handle::Collection;
use super::query::Query;
use super::record::{Record, RecordId, Row, read};
use crate::api::error::Error;
use crate::api::workspace::Workspace;
use crate::driver::listener::Listener;
use crate::driver::shared::Told;
use crate::records::tables::{CollectionForm, RecordChange};
use crate::schema::Schema;
use crate::store::{Found, Order, StoreError};

/// After an error, and if nothing changes meanwhile.
const STALE_PAUSE: Duration = Duration::from_secs(1);

/// What became of an answer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Diff<T> {
    /// Records that belong to it now.
    pub added: Vec<Row<T>>,
    /// Records that belonged to it and changed.
    pub changed: Vec<Row<T>>,
    /// Records that belong to it no more.
    pub removed: Vec<RecordId>,
}

/// A query that is followed. Dropping it ends that.
///
/// ```
/// # use roost::{Record, Roost, field};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Todo { title: String, done: bool }
///
/// impl Record for Todo {
///     const NAME: &str = "todos";
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let roost = Roost::builder(dir.path()).paused(true).open().await?;
/// # let workspace = roost.create_workspace("http://127.0.0.1:1", "laptop").await?;
/// let todos = workspace.collection::<Todo>()?;
/// let mut open = todos.query().filter(field("done").eq(false)).order_by("title").watch()?;
/// let bread = todos.insert(&Todo { title: "bread".to_owned(), done: false })?;
/// let diff = open.next().await.expect("the workspace is open")?;
/// assert_eq!(diff.added[0].id, bread);
/// todos.set(&bread, "done", true)?;
/// assert_eq!(open.next().await.expect("the workspace is open")?.removed, [bread]);
/// # Ok(()) }
/// ```
pub struct Live<T> {
    query: Query<T>,
    told: Listener<Arc<Told>>,
    /// The ids of the answer, in its order.
    order: BTreeMap<Key, String>,
    held: HashMap<String, Held>,
    /// What changed is not known: a look failed.
    is_stale: bool,
    looked_at: u64,
}

/// A record that belongs to the answer.
struct Held {
    /// Where it stands; None for one that does not fit its type, and was not told.
    key: Option<Key>,
    digest: u64,
}

/// A record was added, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<T> {
    /// It was not there before.
    Added(Row<T>),
    /// It holds something else.
    Updated {
        /// What it held, if that fits the type.
        before: Option<T>,
        /// What it holds.
        row: Row<T>,
    },
    /// It is gone.
    Removed(RecordId),
    /// Too much happened to tell it one by one: ask again.
    Many,
}

/// Follows a collection's records; dropping it ends that.
pub struct Changes<T> {
    workspace: Workspace,
    form: Arc<CollectionForm>,
    told: Listener<Arc<Told>>,
    waiting: std::collections::VecDeque<RecordChange>,
    record: PhantomData<fn() -> T>,
}

/// Where a record stands: its values in the order asked for, then its id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Vec<Ranked>, String);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Ranked {
    Up(Rank),
    Down(Reverse<Rank>),
}

/// As SQLite orders: nothing, numbers, texts.
#[derive(Debug, Clone)]
enum Rank {
    Nothing,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Nothing, Self::Nothing) => Ordering::Equal,
            (Self::Nothing, _) | (Self::Integer(_) | Self::Real(_), Self::Text(_)) => Ordering::Less,
            (_, Self::Nothing) | (Self::Text(_), Self::Integer(_) | Self::Real(_)) => Ordering::Greater,
            (Self::Integer(one), Self::Integer(other)) => one.cmp(other),
            (Self::Real(one), Self::Real(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal), // JSON has no NaN
            (Self::Integer(one), Self::Real(other)) => exactly(*one, *other),
            (Self::Real(one), Self::Integer(other)) => exactly(*other, *one).reverse(),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
        }
    }
}

/// Beyond 2^53 an integer has no floating point of its own.
fn exactly(integer: i64, real: f64) -> Ordering {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if real >= TOO_LARGE {
        return Ordering::Less;
    }
    if real < -TOO_LARGE {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "its fraction is looked at next")]
    let whole = real as i64;
    integer.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&real.fract()).unwrap_or(Ordering::Equal))
}

fn key(order: &[Order], found: &Found) -> Key {
    let rank = |value: &Value| match value {
        Value::String(text) => Rank::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Rank::Integer(number),
            None => number.as_f64().map_or(Rank::Nothing, Rank::Real),
        },
        _ => Rank::Nothing,
    };
    let ranked = order.iter().zip(&found.place.values).map(|(order, value)| match order.descending {
        false => Ranked::Up(rank(value)),
        true => Ranked::Down(Reverse(rank(value))),
    });
    Key(ranked.collect(), found.place.id.clone())
}

impl<T: Record> Query<T> {
    /// Follows the answer: what it is now, and how it changes from then on.
    pub fn watch(&self) -> Result<Live<T>, Error> {
        Live::new(self.clone())
    }
}

impl<T: Record> Collection<T> {
    /// Each record as it is added, changed or removed from now on, here or by another device.
    pub fn changes(&self) -> Changes<T> {
        Changes::new(self)
    }
}

impl<T: Record> Live<T> {
    pub(super) fn new(query: Query<T>) -> Result<Self, Error> {
        // First the ear, then the look: what happens between is heard, and looked at again.
        let told = query.collection.workspace.told();
        let mut live =
            Self { query, told, order: BTreeMap::new(), held: HashMap::new(), is_stale: false, looked_at: 0 };
        live.look()?;
        Ok(live)
    }

    /// The answer as it is, in its order.
    pub fn rows(&self) -> Result<Vec<Row<T>>, Error> {
        Ok(self.query.run()?.rows)
    }

    /// The ids of the answer as it was told last, in its order.
    pub fn ids(&self) -> impl Iterator<Item = RecordId> + '_ {
        self.order.values().map(|id| RecordId(id.clone()))
    }

    /// How many records it looked at so far, to know what changed.
    pub const fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Waits until the answer changes. None once the workspace is closed. After an error it looks at the whole
    /// answer again: at the next change, or a second later.
    pub async fn next(&mut self) -> Option<Result<Diff<T>, Error>> {
        loop {
            let told = if self.is_stale {
                let told = tokio::time::timeout(STALE_PAUSE, self.told.heard()).await;
                told.unwrap_or(Err(RecvError::Lagged(0)))
            } else {
                self.told.heard().await
            };
            let diff = match told {
                Err(RecvError::Closed) => return None,
                Ok(_) if self.is_stale => self.look(),
                Ok(told) => match self.ids_of(&told) {
                    Some(ids) if ids.is_empty() => continue,
                    Some(ids) if self.query.select.limit.is_none() => self.look_at(&ids),
                    Some(ids) => match self.is_within(&ids) {
                        Ok(false) => continue,
                        Ok(true) => self.look(),
                        Err(error) => Err(error),
                    },
                    None => self.look(),
                },
                Err(RecvError::Lagged(_)) => self.look(),
            };
            self.is_stale = diff.is_err();
            match diff {
                Ok(diff) if diff.added.is_empty() && diff.changed.is_empty() && diff.removed.is_empty() => {}
                diff => return Some(diff),
            }
        }
    }

    /// The records of this collection among what was told; None if it may be any.
    fn ids_of(&self, told: &Told) -> Option<Vec<String>> {
        let form = &self.query.collection.form;
        match told {
            Told::Any(document, name) if *document == form.document && **name == form.name => None,
            Told::Any(..) => Some(Vec::new()),
            Told::Changed(changes) => {
                let own = changes.iter().filter(|change| is_of(change, form));
                Some(own.map(|change| change.id.clone()).collect())
            }
        }
    }

    /// Whether any of these records is in the limited answer, or comes before its end.
    fn is_within(&mut self, ids: &[String]) -> Result<bool, Error> {
        let is_full = self.query.select.limit.is_some_and(|limit| self.held.len() >= limit);
        if !is_full || ids.iter().any(|id| self.held.contains_key(id)) {
            return Ok(true);
        }
        self.looked_at += ids.len() as u64;
        let found = self.found(ids)?.into_iter().filter_map(|(_, found)| found);
        let last = self.order.last_key_value().map(|(last, _)| last);
        Ok(found.map(|found| key(&self.query.select.order, &found)).any(|key| last.is_none_or(|last| key < *last)))
    }

    fn found(&self, ids: &[String]) -> Result<Vec<(String, Option<Found>)>, Error> {
        let (Collection { workspace, form, table, .. }, select) = (&self.query.collection, &self.query.select);
        Ok(workspace.look_at_records(form.document, |store| {
            let one = |id: &String| Ok((id.clone(), store.select_one(*table, select, id)?));
            ids.iter().map(one).collect::<Result<Vec<_>, StoreError>>()
        })?)
    }

    /// Looks at some records: whether they belong to the answer, and where.
    fn look_at(&mut self, ids: &[String]) -> Result<Diff<T>, Error> {
        let found = self.found(ids)?;
        self.looked_at += ids.len() as u64;
        self.compare(found)
    }

    /// Looks at the whole answer.
    fn look(&mut self) -> Result<Diff<T>, Error> {
        let found = self.query.found()?;
        self.looked_at += found.len() as u64;
        let there: std::collections::HashSet<&str> = found.iter().map(|found| found.place.id.as_str()).collect();
        let gone: Vec<String> = self.held.keys().filter(|id| !there.contains(id.as_str())).cloned().collect();
        let found = found.into_iter().map(|found| (found.place.id.clone(), Some(found)));
        self.compare(found.chain(gone.into_iter().map(|id| (id, None))).collect())
    }

    fn compare(&mut self, looked: Vec<(String, Option<Found>)>) -> Result<Diff<T>, Error> {
        let schema = self.query.collection.workspace.schema().clone();
        let mut diff = Diff { added: Vec::new(), changed: Vec::new(), removed: Vec::new() };
        for (id, found) in looked {
            let before = self.held.remove(&id);
            let was_told = before.as_ref().and_then(|held| held.key.as_ref());
            if let Some(key) = was_told {
                self.order.remove(key);
            }
            let was_told = was_told.is_some();
            let Some(found) = found else {
                diff.removed.extend(was_told.then_some(RecordId(id)));
                continue;
            };
            let (key, digest) = (key(&self.query.select.order, &found), digest(&found.fields));
            let is_same = before.is_some_and(|held| held.digest == digest);
            if is_same && was_told {
                self.order.insert(key.clone(), id.clone());
                self.held.insert(id, Held { key: Some(key), digest });
                continue;
            }
            let row_id = RecordId(id.clone());
            // One that does not fit the type is in `Page::unreadable` for who asks.
            let Ok(record) = read(&schema, &row_id, &found.fields) else {
                diff.removed.extend(was_told.then_some(row_id));
                self.held.insert(id, Held { key: None, digest });
                continue;
            };
            self.order.insert(key.clone(), id.clone());
            self.held.insert(id, Held { key: Some(key), digest });
            let rows = if was_told { &mut diff.changed } else { &mut diff.added };
            rows.push(Row { id: row_id, record });
        }
        Ok(diff)
    }
}

/// Enough to see that a record holds something else.
fn digest(fields: &str) -> u64 {
    let hash = roost_shared::Hash::of(&[fields.as_bytes()]);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.0[..8]);
    u64::from_be_bytes(first)
}

fn is_of(change: &RecordChange, form: &CollectionForm) -> bool {
    change.document == form.document && *change.collection == form.name
}

impl<T: Record> Changes<T> {
    pub(super) fn new(collection: &Collection<T>) -> Self {
        let (workspace, form) = (collection.workspace.clone(), Arc::clone(&collection.form));
        let told = workspace.told();
        Self { workspace, form, told, waiting: std::collections::VecDeque::new(), record: PhantomData }
    }

    /// Waits for the next one. None once the workspace is closed.
    pub async fn next(&mut self) -> Option<Change<T>> {
        loop {
            if let Some(change) = self.waiting.pop_front() {
                let schema = self.workspace.schema().clone();
                if let Some(change) = typed(&schema, change) {
                    return Some(change);
                }
                continue;
            }
            match self.told.heard().await {
                Ok(told) => match &*told {
                    Told::Changed(changes) => {
                        self.waiting.extend(changes.iter().filter(|change| is_of(change, &self.form)).cloned());
                    }
                    Told::Any(document, name) if *document == self.form.document && **name == self.form.name => {
                        return Some(Change::Many);
                    }
                    Told::Any(..) => {}
                },
                Err(RecvError::Lagged(_)) => return Some(Change::Many),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

/// None where the record does not fit the type.
fn typed<T: Record>(schema: &Schema, change: RecordChange) -> Option<Change<T>> {
    let id = RecordId(change.id);
    let of = |fields: &str| read::<T>(schema, &id, fields).ok();
    match (change.before, change.after) {
        (None, Some(after)) => Some(Change::Added(Row { record: of(&after)?, id })),
        (Some(before), Some(after)) => {
            let (before, record) = (of(&before), of(&after)?);
            Some(Change::Updated { before, row: Row { id, record } })
        }
        (_, None) => Some(Change::Removed(id)),
    }
}
