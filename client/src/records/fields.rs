//! How the fields of a record are kept in a document, and what two writers at once come to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use loro::{ContainerTrait as _, LoroError, LoroMap, LoroResult, LoroValue, PeerID};
use serde_json::{Map, Value};

use super::text;
use crate::operations::census::{COUNTER_MAX, COUNTER_MAX_WHOLE, Census};
use crate::schema::effective;

/// A function that makes one value of several.
type Resolve = Arc<dyn Fn(&[Value]) -> Value + Send + Sync>;

/// What becomes of a field that two devices wrote without knowing of each other.
///
/// A field's policy is part of how it is stored: to change it later, give the field a new name and derive it.
///
/// ```
/// use roost::json::{Value, json};
/// use roost::{Fields, Merge};
///
/// fn fields(fields: Fields) -> Fields {
///     // The longer of two notes stays; what is eaten on two devices adds up.
///     let longer = |all: &[Value]| json!(all.iter().filter_map(Value::as_str).max_by_key(|text| (text.len(), *text)));
///     fields.merge("note", Merge::resolve(longer)).merge("eaten", Merge::Counter).merge("tags", Merge::Set)
/// }
/// # fields(Fields::default());
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Merge {
    /// The later write stays. What it hid is in [`crate::Workspace::conflicts`].
    #[default]
    LastWriter,
    /// Who wrote first stays, and nobody writes again. Of several who wrote before they had heard of each other it is the
    /// one with the smallest device id, since clocks cannot be compared; for a date, [`Merge::Min`] keeps the earliest.
    FirstWriter,
    /// The largest value stays.
    Max,
    /// The smallest value stays.
    Min,
    /// A number: what each device added to it is added up.
    Counter,
    /// A text: what each device typed into it stays.
    Text,
    /// A list without order or doubles: what each device put in or took out is put in or taken out.
    Set,
    /// All values stay, until someone who has seen them writes one. The field reads as a list of them.
    KeepAll,
    /// All values stay, and read as what this function makes of them.
    Resolve(Resolve),
}

/// The fields of a collection that need more than to be read and written.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    pub(crate) indexes: Vec<String>,
    pub(crate) merges: BTreeMap<String, Merge>,
}

impl Merge {
    /// A function that makes one value of several; the same on every device, whatever their order.
    pub fn resolve(function: impl Fn(&[Value]) -> Value + Send + Sync + 'static) -> Self {
        Self::Resolve(Arc::new(function))
    }

    /// The key of each kind, in what stands for a collection's form.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::LastWriter => "last writer",
            Self::FirstWriter => "first writer",
            Self::Max => "max",
            Self::Min => "min",
            Self::Counter => "counter",
            Self::Text => "text",
            Self::Set => "set",
            Self::KeepAll => "keep all",
            Self::Resolve(_) => "resolve",
        }
    }
}

impl fmt::Debug for Merge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Fields {
    /// Questions that compare or order by this field do not look at every record.
    #[must_use]
    pub fn index(mut self, field: &str) -> Self {
        self.indexes.push(field.to_owned());
        self
    }

    /// What becomes of this field when two devices write it at once.
    #[must_use]
    pub fn merge(mut self, field: &str, merge: Merge) -> Self {
        self.merges.insert(field.to_owned(), merge);
        self
    }

    pub(crate) fn of(&self, field: &str) -> Merge {
        self.merges.get(field).cloned().unwrap_or_default()
    }
}

/// Who writes, for the policies that keep what each wrote apart.
pub(crate) struct Writer<'a> {
    /// The peer of the document that is written.
    pub(crate) peer: PeerID,
    /// The document's census, the commit under way included.
    pub(crate) census: &'a mut Census,
    /// The same at every write of a device.
    pub(crate) device: String,
    /// Another at every write.
    pub(crate) unique: String,
}

/// All fields of a record, by the keys they are stored under.
pub(crate) fn read(record: &LoroMap, census: &Census, fields: &Fields) -> Map<String, Value> {
    let mut read = Map::new();
    let mut derived = BTreeSet::new();
    for key in record.keys() {
        if let Some(field) = key.strip_prefix(crate::schema::DERIVED) {
            derived.insert(field.to_owned());
        } else if !key.starts_with('~') {
            read.extend(read_field(record, census, &key, &fields.of(&key)).map(|value| (key.to_string(), value)));
        }
    }
    for field in derived {
        if !read.contains_key(&field) {
            read.extend(effective(record, census, &field).map(|value| (field, value.into())));
        }
    }
    read
}

fn read_field(record: &LoroMap, census: &Census, key: &str, merge: &Merge) -> Option<Value> {
    let held = census.value(&record.get(key)?);
    if let (Merge::Counter, LoroValue::Double(sum)) = (merge, &held) {
        return Some(whole(*sum).map_or_else(|| (*sum).into(), Value::from));
    }
    let LoroValue::Map(map) = &held else { return Some(held.into()) };
    let all = || -> Vec<Value> {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by(|one, other| one.0.cmp(other.0)); // the same on every device
        entries.into_iter().map(|(_, value)| value.clone().into()).collect()
    };
    match merge {
        Merge::LastWriter | Merge::Counter | Merge::Text => Some(held.into()),
        Merge::FirstWriter => all().into_iter().next(),
        Merge::Max => all().into_iter().reduce(|one, other| if is_less(&one, &other) { other } else { one }),
        Merge::Min => all().into_iter().reduce(|one, other| if is_less(&other, &one) { other } else { one }),
        Merge::Set => {
            let mut items: Vec<&String> = map.keys().collect();
            items.sort_unstable();
            Some(items.into_iter().filter_map(|item| serde_json::from_str::<Value>(item).ok()).collect())
        }
        Merge::KeepAll => Some(Value::Array(all())),
        Merge::Resolve(function) => Some(function(&all())),
    }
}

/// A counter counts in floating point; what it counts is mostly whole. Beyond 2^53 it counts in larger steps.
fn whole(sum: f64) -> Option<i64> {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0; // 2^63
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within the range")]
    (sum.fract() == 0.0 && sum.abs() < TOO_LARGE).then_some(sum as i64)
}

/// Loro has no such integers: it would keep them as floating point, and no integer type reads that.
fn is_beyond_i64(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_u64() && !number.is_i64(),
        Value::Array(values) => values.iter().any(is_beyond_i64),
        Value::Object(fields) => fields.values().any(is_beyond_i64),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// Numbers as numbers, everything else as its JSON text.
fn is_less(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one < other,
        (None, None) => match (one.as_str(), other.as_str()) {
            (Some(one), Some(other)) => one < other,
            _ => {
                let (one, other) = (one.to_string(), other.to_string());
                one < other
            }
        },
        (one, _) => one.is_none(),
    }
}

/// Writes a field that was `before` and is to be `after`, and nothing that stays as it is.
pub(crate) fn write(
    record: &LoroMap,
    key: &str,
    merge: &Merge,
    before: Option<&Value>,
    after: Option<&Value>,
    writer: &mut Writer<'_>,
) -> LoroResult<()> {
    let is_plain = matches!(merge, Merge::LastWriter);
    let [before, after] = [before, after].map(|value| value.filter(|value| is_plain || !value.is_null()));
    if before == after {
        return Ok(());
    }
    let wrong = |what: &str| LoroError::ArgErr(format!("the field {key} is {what}").into());
    if after.is_some_and(is_beyond_i64) {
        return Err(wrong("a whole number beyond 9223372036854775807: keep it as text"));
    }
    match (merge, after) {
        (Merge::LastWriter, None) => record.delete(key),
        (Merge::LastWriter, Some(value)) => record.insert(key, LoroValue::from(value.clone())),
        (Merge::Counter, after) => {
            // A whole number that a double would round counts for more than any.
            let exactly = |value: &Value| match value.as_i64() {
                Some(whole) if whole.unsigned_abs() > COUNTER_MAX_WHOLE => Some(f64::INFINITY),
                _ => value.as_f64(),
            };
            let numbers = after.map_or(Some(0.0), exactly).zip(before.map_or(Some(0.0), Value::as_f64));
            let (after, before) = numbers.ok_or_else(|| wrong("a counter: give it a number"))?;
            if after.abs() > COUNTER_MAX {
                return Err(wrong("a counter, which counts to 9007199254740992: keep larger numbers as text"));
            }
            let counter = record.ensure_mergeable_counter(key)?;
            let by = after - before;
            if by == 0.0 {
                return Ok(());
            }
            writer.census.draft(counter.id(), writer.peer, by);
            counter.increment(by)
        }
        (Merge::Text, after) => {
            let words = after.map_or(Some(""), Value::as_str).ok_or_else(|| wrong("a text: give it a text"))?;
            let held = record.ensure_mergeable_text(key)?;
            text::replace(&held, words)
        }
        (Merge::Set, after) => {
            let items = |value: Option<&Value>| -> Option<BTreeSet<String>> {
                let list = value.map_or(Some(&[][..]), |value| value.as_array().map(Vec::as_slice));
                list.map(|list| list.iter().map(Value::to_string).collect())
            };
            let (held, wanted) = items(before).zip(items(after)).ok_or_else(|| wrong("a set: give it a list"))?;
            let set = record.ensure_mergeable_map(key)?;
            held.difference(&wanted).try_for_each(|item| set.delete(item))?;
            wanted.difference(&held).try_for_each(|item| set.insert(item, true))
        }
        (_, None) => Err(wrong("kept for good: it cannot be taken out of a record")),
        (Merge::FirstWriter, Some(_)) if before.is_some() => Ok(()),
        (Merge::Max, Some(value)) if before.is_some_and(|before| !is_less(before, value)) => Ok(()),
        (Merge::Min, Some(value)) if before.is_some_and(|before| !is_less(value, before)) => Ok(()),
        (Merge::FirstWriter | Merge::Max | Merge::Min, Some(value)) => {
            record.ensure_mergeable_map(key)?.insert(&writer.device, LoroValue::from(value.clone()))
        }
        (Merge::KeepAll | Merge::Resolve(_), Some(value)) => {
            // Those that this device has seen are answered by its own; one that comes from elsewhere stays beside it.
            let all = record.ensure_mergeable_map(key)?;
            let seen: Vec<String> = all.keys().map(|key| key.to_string()).collect();
            seen.iter().try_for_each(|key| all.delete(key))?;
            let values = match (merge, value) {
                (Merge::KeepAll, Value::Array(values)) => &values[..],
                _ => std::slice::from_ref(value),
            };
            values.iter().enumerate().try_for_each(|(number, value)| {
                all.insert(&format!("{}{number}", writer.unique), LoroValue::from(value.clone()))
            })
        }
    }
}
