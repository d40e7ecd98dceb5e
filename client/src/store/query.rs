//! Questions to a collection's table, as SQL.

use std::collections::BTreeMap;

use rusqlite::types::Value as SqlValue;
use serde_json::Value;

use super::{Store, StoreError};

/// What a record must fulfil. Fields are compared as JSON values: numbers with numbers, texts with texts byte by byte,
/// booleans with booleans; a field that is missing or null is neither equal, nor less, nor more.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// Every record does.
    All,
    /// A field compared with a value.
    Compare {
        /// The field, as it is stored.
        field: String,
        /// How.
        how: Comparison,
        /// With what.
        value: Value,
    },
    /// A field is one of these.
    OneOf {
        /// The field.
        field: String,
        /// The values.
        values: Vec<Value>,
    },
    /// A field is missing, or null.
    Missing(String),
    /// A text field begins so.
    Begins {
        /// The field.
        field: String,
        /// The beginning.
        beginning: String,
    },
    /// All of these.
    And(Vec<Self>),
    /// One of these at least.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// One order among records: a field, and whether the largest comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The field, as it is stored.
    pub field: String,
    /// Largest first.
    pub descending: bool,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Select {
    /// Which records.
    pub condition: Condition,
    /// In which order; records equal in all of it follow their ids.
    pub order: Vec<Order>,
    /// How many at the most.
    pub limit: Option<usize>,
    /// After this place.
    pub after: Option<Place>,
}

/// Where a record stands in an order: its values there, and its id.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    pub(crate) values: Vec<Value>,
    pub(crate) id: String,
}

/// A record that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its place in the order asked for.
    pub place: Place,
    /// Its fields, a JSON object.
    pub fields: String,
}

/// SQL and what is bound to it.
#[derive(Default)]
struct Sql {
    text: String,
    bound: Vec<SqlValue>,
}

impl Sql {
    fn bind(&mut self, value: SqlValue) -> String {
        self.bound.push(value);
        format!("?{}", self.bound.len())
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::All => "1".to_owned(),
            Condition::Compare { field, how, value } => {
                let operator = match how {
                    Comparison::Equal => "=",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::More => ">",
                    Comparison::MoreOrEqual => ">=",
                };
                let (column, bound) = (column(field), self.bind(sql_value(value)));
                // SQLite orders numbers before texts; a field of another type is not less, it is not comparable.
                let kind = kind(field, value);
                format!("({column} {operator} {bound}{kind})")
            }
            Condition::OneOf { field, values } => self.one_of(field, values),
            Condition::Missing(field) => format!("({} IS NULL)", column(field)),
            Condition::Begins { field, beginning } => {
                let (column, len) = (column(field), beginning.chars().count());
                let (low, same) = (self.bind(beginning.clone().into()), self.bind(beginning.clone().into()));
                let is_text = format!("json_type(fields, {}) = 'text'", path(field));
                format!("({column} >= {low} AND substr({column}, 1, {len}) = {same} AND {is_text})")
            }
            Condition::And(all) => self.joined(all, " AND ", "1"),
            Condition::Or(any) => self.joined(any, " OR ", "0"),
            Condition::Not(inner) => {
                let inner = self.condition(inner);
                format!("NOT coalesce({inner}, 0)")
            }
        }
    }

    /// The values are bound as one list of each JSON type, however many they are.
    fn one_of(&mut self, field: &str, values: &[Value]) -> String {
        let mut lists: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for value in values {
            if let Some(types) = json_types(value) {
                lists.entry(types).or_default().push(value);
            }
        }
        let any = lists.into_iter().map(|(types, values)| {
            let list = self.bind(serde_json::json!(values).to_string().into());
            let (column, path) = (column(field), path(field));
            format!("{column} IN (SELECT value FROM json_each({list})) AND json_type(fields, {path}) IN ({types})")
        });
        let any: Vec<String> = any.collect();
        if any.is_empty() { "0".to_owned() } else { format!("({})", any.join(" OR ")) }
    }

    fn joined(&mut self, conditions: &[Condition], between: &str, empty: &str) -> String {
        let parts: Vec<String> = conditions.iter().map(|condition| self.condition(condition)).collect();
        if parts.is_empty() { empty.to_owned() } else { format!("({})", parts.join(between)) }
    }

    /// Records behind a place, in an order: larger in the first value, or equal there and larger in the next.
    fn after(&mut self, order: &[Order], place: &Place) -> String {
        let id = self.bind(place.id.clone().into());
        let mut behind = format!("id > {id}");
        for (order, value) in order.iter().zip(&place.values).rev() {
            let (column, bound) = (column(&order.field), self.bind(sql_value(value)));
            // NULL comes before everything.
            let larger = match (order.descending, value.is_null()) {
                (false, true) => format!("{column} IS NOT NULL"),
                (false, false) => format!("{column} > {bound}"),
                (true, true) => "0".to_owned(),
                (true, false) => format!("({column} < {bound} OR {column} IS NULL)"),
            };
            behind = format!("({larger} OR ({column} IS {bound} AND {behind}))");
        }
        behind
    }
}

impl Store {
    /// The records of a collection that fulfil a condition, in order.
    pub fn select(&self, collection: i64, select: &Select) -> Result<Vec<Found>, StoreError> {
        self.select_of(collection, select, None)
    }

    /// The same for one record: where it stands, if it belongs to them.
    pub fn select_one(&self, collection: i64, select: &Select, id: &str) -> Result<Option<Found>, StoreError> {
        Ok(self.select_of(collection, select, Some(id))?.pop())
    }

    fn select_of(&self, collection: i64, select: &Select, id: Option<&str>) -> Result<Vec<Found>, StoreError> {
        let mut sql = Sql::default();
        let columns: Vec<String> = select.order.iter().map(|order| column(&order.field)).collect();
        let listed = columns.iter().map(|column| format!(", {column}")).collect::<String>();
        let condition = sql.condition(&select.condition);
        sql.text = format!("SELECT id, fields{listed} FROM records_{collection} WHERE {condition}");
        if let Some(id) = id {
            let id = sql.bind(id.to_owned().into());
            sql.text.push_str(&format!(" AND id = {id}"));
        }
        if let Some(place) = &select.after {
            let after = sql.after(&select.order, place);
            sql.text.push_str(&format!(" AND {after}"));
        }
        let order = columns.iter().zip(&select.order);
        let order =
            order.map(|(column, order)| format!("{column} {}, ", if order.descending { "DESC" } else { "ASC" }));
        sql.text.push_str(&format!(" ORDER BY {}id", order.collect::<String>()));
        if let Some(limit) = select.limit {
            sql.text.push_str(&format!(" LIMIT {limit}"));
        }
        let mut statement = self.connection.prepare_cached(&sql.text)?;
        let rows = statement.query_map(rusqlite::params_from_iter(sql.bound), |row| {
            let values = (0..select.order.len()).map(|place| row.get(place + 2).map(json_value));
            let place = Place { values: values.collect::<Result<_, _>>()?, id: row.get(0)? };
            Ok(Found { place, fields: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many records fulfil a condition.
    pub fn count(&self, collection: i64, condition: &Condition) -> Result<u64, StoreError> {
        let mut sql = Sql::default();
        let condition = sql.condition(condition);
        sql.text = format!("SELECT count(*) FROM records_{collection} WHERE {condition}");
        let mut statement = self.connection.prepare_cached(&sql.text)?;
        let count: i64 = statement.query_row(rusqlite::params_from_iter(sql.bound), |row| row.get(0))?;
        Ok(count.cast_unsigned())
    }
}

/// How SQLite finds a field. The same text in an index and in a question, or the index does not serve it.
pub(super) fn column(field: &str) -> String {
    format!("json_extract(fields, {})", path(field))
}

/// Field names are the app's; a quote in one could end the text it stands in.
fn path(field: &str) -> String {
    let escaped = field.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "''");
    format!("'$.\"{escaped}\"'")
}

/// Values of different JSON types are never equal, less or more; SQLite needs to be told where it would find them so.
fn kind(field: &str, value: &Value) -> String {
    match json_types(value) {
        Some(types) => format!(" AND json_type(fields, {}) IN ({types})", path(field)),
        None => " AND 0".to_owned(),
    }
}

/// What SQLite calls the types that a value can be compared with; None for null, which is never equal.
const fn json_types(value: &Value) -> Option<&'static str> {
    match value {
        Value::Bool(_) => Some("'true', 'false'"),
        Value::Number(_) => Some("'integer', 'real'"),
        Value::String(_) => Some("'text'"),
        Value::Null => None,
        Value::Array(_) => Some("'array'"),
        Value::Object(_) => Some("'object'"),
    }
}

/// As json_extract answers.
fn sql_value(value: &Value) -> SqlValue {
    match value {
        Value::Null => SqlValue::Null,
        Value::Bool(flag) => SqlValue::Integer((*flag).into()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => SqlValue::Integer(number),
            None => SqlValue::Real(number.as_f64().unwrap_or(0.0)),
        },
        Value::String(text) => SqlValue::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => SqlValue::Text(value.to_string()),
    }
}

fn json_value(value: SqlValue) -> Value {
    match value {
        SqlValue::Null | SqlValue::Blob(_) => Value::Null,
        SqlValue::Integer(number) => number.into(),
        SqlValue::Real(number) => number.into(),
        SqlValue::Text(text) => text.into(),
    }
}
