//! Finding records.

use serde_json::Value;

use super::handle::Collection;
use super::record::{CollectionError, Record, RecordId, Row, read};
use crate::api::error::Error;
use crate::schema::Schema;
use crate::store::{Comparison, Condition, Found, Order, Place, Select};

/// A field, to be compared.
#[derive(Debug, Clone)]
pub struct FieldName(String);

/// A question to a collection.
///
/// ```no_run
/// # use roost::{Collection, Error, Record, field};
/// # fn open<Todo: Record>(todos: &Collection<Todo>) -> Result<(), Error> {
/// let due = todos.query().filter(field("done").eq(false)).filter(field("due").lt("2027")).order_by("due").limit(20);
/// let page = due.clone().run()?;
/// if let Some(place) = page.next {
///     due.after(place).run()?;
/// }
/// # Ok(()) }
/// ```
pub struct Query<T> {
    pub(super) collection: Collection<T>,
    pub(super) select: Select,
}

impl<T> Clone for Query<T> {
    fn clone(&self) -> Self {
        Self { collection: self.collection.clone(), select: self.select.clone() }
    }
}

/// Records that were found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page<T> {
    /// In the order asked for.
    pub rows: Vec<Row<T>>,
    /// Where the next page begins; None if the limit was not reached.
    pub next: Option<Place>,
    /// Records that fulfil the condition and do not fit the type, with what serde says. They are kept.
    pub unreadable: Vec<(RecordId, String)>,
}

/// A record, and the record of another collection that it leads to.
pub type Paired<T, U> = (Row<T>, Option<Row<U>>);

/// A field of a record. One that has a default in a [`crate::schema::View`] is compared by it where it is missing, and
/// ordered as missing.
pub fn field(name: &str) -> FieldName {
    FieldName(name.to_owned())
}

impl FieldName {
    fn compare(self, how: Comparison, value: impl Into<Value>) -> Condition {
        Condition::Compare { field: self.0, how, value: value.into() }
    }

    /// It is this.
    pub fn eq(self, value: impl Into<Value>) -> Condition {
        self.compare(Comparison::Equal, value)
    }

    /// It is less.
    pub fn lt(self, value: impl Into<Value>) -> Condition {
        self.compare(Comparison::Less, value)
    }

    /// It is less, or this.
    pub fn le(self, value: impl Into<Value>) -> Condition {
        self.compare(Comparison::LessOrEqual, value)
    }

    /// It is more.
    pub fn gt(self, value: impl Into<Value>) -> Condition {
        self.compare(Comparison::More, value)
    }

    /// It is more, or this.
    pub fn ge(self, value: impl Into<Value>) -> Condition {
        self.compare(Comparison::MoreOrEqual, value)
    }

    /// It is one of these.
    pub fn one_of<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Condition {
        Condition::OneOf { field: self.0, values: values.into_iter().map(Into::into).collect() }
    }

    /// It begins so.
    pub fn begins(self, beginning: &str) -> Condition {
        Condition::Begins { field: self.0, beginning: beginning.to_owned() }
    }

    /// It is missing, or null.
    pub fn missing(self) -> Condition {
        Condition::Missing(self.0)
    }
}

impl Condition {
    /// This and that.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::And(vec![self, other])
    }

    /// This or that.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::Or(vec![self, other])
    }

    /// Not this. A record whose field is missing fulfils it.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it stands beside and() and or()")]
    pub fn not(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// As the fields are stored, and with the defaults of missing ones.
    fn stored(self, schema: &Schema, collection: &str) -> Self {
        let all =
            |conditions: Vec<Self>| conditions.into_iter().map(|inner| inner.stored(schema, collection)).collect();
        let name = |field: &str| schema.stored(collection, field);
        let default = |field: &str| schema.default_of(collection, field);
        let or_missing = |inner: Self, field: &str, holds: bool| {
            if holds { inner.or(Self::Missing(name(field))) } else { inner }
        };
        match self {
            Self::All => Self::All,
            Self::And(conditions) => Self::And(all(conditions)),
            Self::Or(conditions) => Self::Or(all(conditions)),
            Self::Not(inner) => Self::Not(Box::new(inner.stored(schema, collection))),
            Self::Missing(field) if default(&field).is_some() => Self::Not(Box::new(Self::All)),
            Self::Missing(field) => Self::Missing(name(&field)),
            Self::Compare { field, how, value } => {
                let holds = default(&field).is_some_and(|default| holds(&default, how, &value));
                or_missing(Self::Compare { field: name(&field), how, value }, &field, holds)
            }
            Self::OneOf { field, values } => {
                let holds = default(&field).is_some_and(|default| values.contains(&default));
                or_missing(Self::OneOf { field: name(&field), values }, &field, holds)
            }
            Self::Begins { field, beginning } => {
                let default = default(&field);
                let holds = default.is_some_and(|text| text.as_str().is_some_and(|text| text.starts_with(&beginning)));
                or_missing(Self::Begins { field: name(&field), beginning }, &field, holds)
            }
        }
    }
}

/// As SQL compares.
fn holds(one: &Value, how: Comparison, other: &Value) -> bool {
    let order = match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64().partial_cmp(&other.as_f64()),
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        _ => None,
    };
    order.is_some_and(|order| match how {
        Comparison::Equal => order.is_eq(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::More => order.is_gt(),
        Comparison::MoreOrEqual => order.is_ge(),
    })
}

impl<T: Record> Collection<T> {
    /// Finds records: all of them, unless the query is told which.
    pub fn query(&self) -> Query<T> {
        Query::new(self.clone())
    }

    /// The records that fulfil a condition, by their ids.
    pub fn find(&self, condition: Condition) -> Result<Vec<Row<T>>, Error> {
        Ok(self.query().filter(condition).run()?.rows)
    }

    /// The first of them, by its id.
    pub fn find_one(&self, condition: Condition) -> Result<Option<Row<T>>, Error> {
        Ok(self.query().filter(condition).limit(1).run()?.rows.pop())
    }

    /// How many records there are.
    pub fn count(&self) -> Result<u64, Error> {
        self.query().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.count()? == 0)
    }

    /// Records of another collection whose `field` holds this record's id.
    pub fn related<U: Record>(&self, id: &RecordId, others: &Collection<U>, field: &str) -> Query<U> {
        others.query().filter(self::field(field).eq(id.as_str()))
    }
}

impl<T: Record> Query<T> {
    pub(super) fn new(collection: Collection<T>) -> Self {
        let select = Select { condition: Condition::All, order: Vec::new(), limit: None, after: None };
        Self { collection, select }
    }

    /// Only records that fulfil this, too.
    #[must_use]
    pub fn filter(mut self, condition: Condition) -> Self {
        let condition = condition.stored(self.collection.workspace.schema(), T::NAME);
        self.select.condition = match self.select.condition {
            Condition::All => condition,
            Condition::And(mut all) => {
                all.push(condition);
                Condition::And(all)
            }
            one => one.and(condition),
        };
        self
    }

    /// The smallest value of this field first; records equal in it by the order asked for next, and at last by their ids.
    #[must_use]
    pub fn order_by(self, field: &str) -> Self {
        self.order(field, false)
    }

    /// The largest first.
    #[must_use]
    pub fn order_by_largest(self, field: &str) -> Self {
        self.order(field, true)
    }

    fn order(mut self, field: &str, descending: bool) -> Self {
        let field = self.collection.workspace.schema().stored(T::NAME, field);
        self.select.order.push(Order { field, descending });
        self
    }

    /// So many at the most.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.select.limit = Some(limit);
        self
    }

    /// From the place on that a page of this query ended with.
    #[must_use]
    pub fn after(mut self, place: Place) -> Self {
        self.select.after = Some(place);
        self
    }

    /// Finds them.
    pub fn run(&self) -> Result<Page<T>, Error> {
        if self.select.after.as_ref().is_some_and(|place| place.values.len() != self.select.order.len()) {
            return Err(CollectionError::Place.into());
        }
        let found = self.found()?;
        let is_full = self.select.limit.is_some_and(|limit| found.len() == limit);
        let next = found.last().filter(|_| is_full).map(|found| found.place.clone());
        let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
        let schema = self.collection.workspace.schema();
        for found in found {
            let id = RecordId(found.place.id);
            match read(schema, &id, &found.fields) {
                Ok(record) => rows.push(Row { id, record }),
                Err(error) => unreadable.push((id, error.to_string())),
            }
        }
        Ok(Page { rows, next, unreadable })
    }

    pub(super) fn found(&self) -> Result<Vec<Found>, Error> {
        let Collection { workspace, form, table, .. } = &self.collection;
        Ok(workspace.look_at_records(form.document, |store| store.select(*table, &self.select))?)
    }

    /// How many there are, whatever the limit.
    pub fn count(&self) -> Result<u64, Error> {
        let (Collection { workspace, form, table, .. }, condition) = (&self.collection, &self.select.condition);
        Ok(workspace.look_at_records(form.document, |store| store.count(*table, condition))?)
    }

    /// Each with the record of another collection whose id its `field` holds; None if there is none, or it does not fit
    /// its type.
    pub fn with<U: Record>(&self, others: &Collection<U>, field: &str) -> Result<Vec<Paired<T, U>>, Error> {
        let mut pairs = Vec::new();
        for row in self.run()?.rows {
            let fields = serde_json::to_value(&row.record).unwrap_or_default();
            let id = fields.get(field).and_then(Value::as_str).and_then(|id| RecordId::new(id).ok());
            let other = match id.map(|id| (others.get(&id), id)) {
                Some((Err(Error::Collection(CollectionError::Unreadable { .. })), _)) | None => None,
                Some((other, id)) => other?.map(|record| Row { id, record }),
            };
            pairs.push((row, other));
        }
        Ok(pairs)
    }
}
