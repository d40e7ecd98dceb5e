//! Documents: work offline, durable on return. Text lives in the root text `text`, data in the root map `root`.

use roost::loro::{LoroDoc, LoroMap, LoroResult, LoroValue, ValueOrContainer};
use roost::{Document, DocumentId, DocumentSchema, Workspace};
use serde_json::{Value, json};

use super::offline;
use crate::args::Cli;
use crate::output::{Failure, Output, exactly, line};

/// The root text of a document.
pub const TEXT: &str = "text";
/// The root map of a document.
pub const ROOT: &str = "root";

pub async fn docs(cli: &Cli, output: &Output) -> Result<(), Failure> {
    let documents = offline(cli).await?.documents()?;
    let names: Vec<&str> = documents.iter().map(|(_, name)| name.as_str()).collect();
    output.print(&json!({ "documents": list(&documents) }), names.join("\n"));
    Ok(())
}

/// Documents as JSON.
fn list(documents: &[(DocumentId, String)]) -> Vec<Value> {
    documents.iter().map(|(id, name)| json!({ "id": id, "name": name })).collect()
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
    let value = open(cli, document).await?.1.read(|loro| {
        let root = loro.get_map(ROOT).get_deep_value();
        let mut keys = path.into_iter().flat_map(|path| path.split('.'));
        keys.try_fold(root, |value, key| match value {
            LoroValue::Map(map) => map.get(key).cloned(),
            _ => None,
        })
    })?;
    let missing = || Failure::other(format!("there is nothing at {}", path.unwrap_or_default()));
    line(Value::from(value.ok_or_else(missing)?));
    Ok(())
}

pub async fn set(cli: &Cli, output: &Output, document: &str, path: &str, json: &str) -> Result<(), Failure> {
    let value: Value = serde_json::from_str(json)
        .map_err(|error| Failure::other(format!("{json} is not JSON ({error}); text needs quotes: '\"text\"'")))?;
    open(cli, document).await?.1.edit(|loro| set_at(loro, path, value.into()))?;
    output.print(&json!({ "set": path }), format!("set {path}"));
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
    exactly(&open(cli, document).await?.1.read(|loro| loro.get_text(TEXT).to_string())?);
    Ok(())
}

pub async fn insert(cli: &Cli, output: &Output, document: &str, position: usize, text: &str) -> Result<(), Failure> {
    open(cli, document).await?.1.edit(|loro| loro.get_text(TEXT).insert(position, text))?;
    let inserted = text.chars().count();
    output.print(&json!({ "inserted": inserted }), format!("inserted {inserted}"));
    Ok(())
}

pub async fn delete(cli: &Cli, output: &Output, document: &str, position: usize, len: usize) -> Result<(), Failure> {
    open(cli, document).await?.1.edit(|loro| loro.get_text(TEXT).delete(position, len))?;
    output.print(&json!({ "deleted": len }), format!("deleted {len}"));
    Ok(())
}

pub async fn digest(cli: &Cli, output: &Output, document: &str) -> Result<(), Failure> {
    let digest = open(cli, document).await?.1.digest()?;
    let version: Vec<String> = digest.version.iter().map(|(peer, counter)| format!("{peer}:{counter}")).collect();
    output.print(&json!({ "digest": digest.digest, "version": version }), digest.digest);
    Ok(())
}

/// The workspace goes along: it holds the store's lock.
pub async fn open(cli: &Cli, document: &str) -> Result<(Workspace, Document), Failure> {
    let workspace = offline(cli).await?;
    let document = workspace.document(document)?;
    Ok((workspace, document))
}
