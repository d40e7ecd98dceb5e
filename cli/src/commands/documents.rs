//! Documents: work offline, durable on return. Text lives in the root text `text`, data in the root map `root`.

use std::collections::BTreeMap;

use roost::loro::{ContainerID, ContainerType, LoroDoc, LoroMap, LoroResult, LoroValue, ValueOrContainer};
use roost::{Document, DocumentId, DocumentSchema, Plain, Workspace, insert_text};
use serde_json::{Value, json};

use super::offline;
use crate::args::Cli;
use crate::exact;
use crate::output::{Failure, Output, exactly, json_line};

/// The root text of a document.
pub const TEXT: &str = "text";
/// The root map of a document.
pub const ROOT: &str = "root";
/// As many digits of an id are shown beside a name that is not enough, or more if they are not enough either.
const ID_DIGITS: usize = 8;

pub async fn docs(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let documents = offline(cli, |workspace| Ok(workspace.documents()?)).await?;
    output.print(&json!({ "documents": list(&documents) }), shown(&documents));
    Ok(())
}

/// Documents as JSON.
fn list(documents: &[(DocumentId, String)]) -> Vec<Value> {
    documents.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect()
}

/// Names of documents in a list for people: the name, and where another is shown by the same, the beginning of its
/// id.
pub fn shown(documents: &[(DocumentId, String)]) -> Vec<String> {
    let mut named = BTreeMap::<String, Vec<String>>::new();
    for (id, name) in documents {
        named.entry(Plain(name).to_string()).or_default().push(id.to_string());
    }
    for ids in named.values_mut() {
        ids.sort_unstable();
    }
    let shown = documents.iter().map(|(id, name)| {
        let (name, id) = (Plain(name).to_string(), id.to_string());
        match named.get(&name) {
            Some(ids) if ids.len() > 1 => format!("{name} ({})", beginning(&id, ids)),
            _ => name,
        }
    });
    shown.collect()
}

/// The beginning of an id that no other of these has, which are in order.
fn beginning<'a>(id: &'a str, ids: &[String]) -> &'a str {
    let at = ids.partition_point(|other| other.as_str() < id);
    let beside = [at.checked_sub(1), Some(at + 1)].into_iter().flatten().filter_map(|at| ids.get(at));
    let in_common = |other: &String| id.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let needed = beside.map(in_common).max().map_or(0, |common| common + 1);
    id.get(..needed.max(ID_DIGITS)).unwrap_or(id)
}

/// The same, with the schema version of the newest app that wrote each, and the lowest that may read it.
pub fn with_schemas(documents: &[(DocumentId, String)], schemas: &[(DocumentId, DocumentSchema)]) -> Vec<Value> {
    let mut listed = list(documents);
    for (object, (id, _)) in listed.iter_mut().zip(documents) {
        let schema = schemas.iter().find(|(other, _)| other == id).map(|(_, schema)| *schema).unwrap_or_default();
        object["schema"] = json!(schema.written);
        object["reader_min"] = json!(schema.reader_min);
    }
    listed
}

/// The same for people; nothing for a document of an app without a schema.
pub fn schema_of(document: &Value) -> String {
    match (&document["schema"], &document["reader_min"]) {
        (schema, _) if *schema == json!(0) => String::new(),
        (schema, reader_min) if *reader_min == json!(0) => format!(", schema {schema}"),
        (schema, reader_min) => format!(", schema {schema}, needs {reader_min}"),
    }
}

pub async fn get(cli: &Cli, document: &str, path: Option<&str>) -> Result<(), Failure> {
    let found = on_document(cli, document, |_, document| {
        let root = document.value_of(&ContainerID::new_root(ROOT, ContainerType::Map))?.unwrap_or_else(|| json!({}));
        let mut keys = path.into_iter().flat_map(|path| path.split('.'));
        Ok(keys.try_fold(root, |value, key| match value {
            Value::Object(mut map) => map.remove(key),
            _ => None,
        }))
    });
    let missing = || Failure::other(format!("there is nothing at {}", path.unwrap_or_default()));
    json_line(&found.await?.ok_or_else(missing)?);
    Ok(())
}

pub async fn set(cli: &Cli, output: &Output, document: &str, path: &str, json: &str) -> Result<(), Failure> {
    let value = exact::read(json)?;
    edit(cli, document, |loro| set_at(loro, path, value.into())).await?;
    output.print(&json!({ "set": path }), [format!("set {path}")]);
    Ok(())
}

/// Maps on the way are made so that two devices making one at once get one.
fn set_at(loro: &LoroDoc, path: &str, value: LoroValue) -> LoroResult<()> {
    let mut map: LoroMap = loro.get_map(ROOT);
    let mut keys = path.split('.').peekable();
    while let Some(key) = keys.next() {
        if keys.peek().is_none() {
            return map.insert(key, value);
        }
        map = match map.get(key) {
            Some(ValueOrContainer::Container(container)) => match container.into_map() {
                Ok(inner) => inner,
                Err(_) => map.ensure_mergeable_map(key)?,
            },
            Some(ValueOrContainer::Value(_)) | None => map.ensure_mergeable_map(key)?,
        };
    }
    Ok(())
}

pub async fn cat(cli: &Cli, document: &str) -> Result<(), Failure> {
    let look = |loro: &LoroDoc| loro.get_text(TEXT).to_string();
    let text = on_document(cli, document, |_, document| Ok(document.read(look)?)).await?;
    exactly(&text);
    Ok(())
}

pub async fn insert(cli: &Cli, output: &Output, document: &str, position: usize, text: &str) -> Result<(), Failure> {
    edit(cli, document, |loro| insert_text(&loro.get_text(TEXT), position, text)).await?;
    let inserted = text.chars().count();
    output.print(&json!({ "inserted": inserted }), [format!("inserted {inserted}")]);
    Ok(())
}

pub async fn delete(cli: &Cli, output: &Output, document: &str, position: usize, len: usize) -> Result<(), Failure> {
    edit(cli, document, |loro| loro.get_text(TEXT).delete(position, len)).await?;
    output.print(&json!({ "deleted": len }), [format!("deleted {len}")]);
    Ok(())
}

pub async fn digest(cli: &Cli, output: &Output, document: &str) -> Result<(), Failure> {
    let digest = on_document(cli, document, |_, document| Ok(document.digest()?)).await?;
    let version: Vec<String> = digest.version.iter().map(|(peer, counter)| format!("{peer}:{counter}")).collect();
    output.print(&json!({ "digest": digest.digest, "version": version }), [digest.digest]);
    Ok(())
}

async fn edit(cli: &Cli, document: &str, edit: impl FnOnce(&LoroDoc) -> LoroResult<()>) -> Result<(), Failure> {
    on_document(cli, document, |_, document| Ok(document.edit(edit)?)).await
}

/// Runs a command that works offline on a document.
pub async fn on_document<T>(
    cli: &Cli,
    name: &str,
    command: impl FnOnce(&Workspace, &Document) -> Result<T, Failure>,
) -> Result<T, Failure> {
    offline(cli, |workspace| command(workspace, &workspace.document(name)?)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(documents: &[(u8, u8, &str)]) -> Vec<String> {
        let id = |first: u8, last: u8| {
            let mut bytes = [0; 16];
            (bytes[0], bytes[15]) = (first, last);
            DocumentId(bytes)
        };
        shown(&documents.iter().map(|(first, last, name)| (id(*first, *last), (*name).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn documents_of_one_name_are_told_apart() {
        assert_eq!(called(&[(1, 0, "a"), (2, 0, "b"), (0x3f, 0, "b")]), ["a", "b (02000000)", "b (3f000000)"]);
        let whole = format!("{}02", "0".repeat(30));
        assert_eq!(called(&[(0, 2, "n"), (0, 1, "n"), (9, 0, "n")])[0], format!("n ({whole})"), "ids may begin alike");
    }

    #[test]
    fn names_that_are_shown_alike_are_told_apart() {
        assert_eq!(called(&[(1, 0, "a\nb"), (2, 0, "a\\nb")]), ["a\\nb (01000000)", "a\\nb (02000000)"]);
    }
}
